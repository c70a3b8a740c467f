"""cocotb testbench of hdl.pcie.Switch: messages that it sends again, and their order with writes.

Environment: ``PORTS``; the switch has one segment a beat.
"""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie import Kind, Tlp, TlpClass

from .fault_bed import FaultBed
from .flows import completion, message, read, requester, write
from .switch_bed import UNEVEN, starve_at_random
from .switch_links_tb import make_bed, plenty_but
from .switch_port import Credits

PORTS = int(os.environ["PORTS"])
BELOW = range(1, PORTS)
ASSERT, DEASSERT = 0x20, 0x24
TURN_OFF, ACKNOWLEDGE, VENDOR = 0x19, 0x1B, 0x7F


def broadcast(number: int, *, digest: bool = False) -> Tlp:
    """Message for all downstream ports that no other is like."""
    return message(Kind.MESSAGE_BROADCAST, VENDOR).with_changes(
        message_payload=number, digest=random.randbytes(4) if digest else None
    )


async def codes(bed: FaultBed, number: int) -> list[int]:
    """Codes of the messages that a port has received since this was asked last, in order."""
    await bed.drain()
    return [tlp.code for tlp in bed.taken(number) if tlp.is_message]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def interrupt_wires(dut):
    """Pins of ports are ORed, each port's turned by its device number; a dead link drives none."""
    bed = await make_bed(dut)
    asserted, deasserted = ASSERT, DEASSERT
    for pin in range(4):
        # Pin `pin` of device 1 and the next of device 0 are one wire.
        wire = (pin + 1) % 4
        for number, code, expected in (
            (1, asserted + wire, [asserted + wire]),
            (2, asserted + pin, []),
            (1, deasserted + wire, []),
            (1, deasserted + wire, []),
            (2, deasserted + pin, [deasserted + wire]),
            (2, asserted + pin, [asserted + wire]),
        ):
            bed.send(number, message(Kind.MESSAGE_LOCAL, code, 0x100 * (number + 1)))
            assert await codes(bed, 0) == expected
        await bed.drop(2)
        assert await codes(bed, 0) == [deasserted + wire]
        await bed.lift(2)
        assert await codes(bed, 0) == []


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def broadcasts_and_power_off(dut):
    """To every port below, if need be one by one; one acknowledgement for all of them."""
    bed = await make_bed(dut, limits=lambda _: [Credits(1, 32), Credits(7, 64), Credits(7, 64)])
    bed.send(0, message(Kind.MESSAGE_BROADCAST, VENDOR))
    assert [await codes(bed, number) for number in BELOW] == [[VENDOR]] * (PORTS - 1)

    # A port without credits holds up only itself.
    bed.ports[1].starve(TlpClass.POSTED)
    bed.send(0, write(0, 1, 1))
    bed.send(0, message(Kind.MESSAGE_BROADCAST, TURN_OFF))
    await ClockCycles(dut.clk, 200)
    assert [tlp.code for tlp in bed.taken(2) if tlp.is_message] == [TURN_OFF]
    assert await codes(bed, 1) == [TURN_OFF]

    bed.taken(0)
    bed.send(2, message(Kind.MESSAGE_GATHER, ACKNOWLEDGE, 0x0300))
    assert await codes(bed, 0) == []
    bed.send(1, message(Kind.MESSAGE_GATHER, ACKNOWLEDGE, 0x0200))
    assert await codes(bed, 0) == [ACKNOWLEDGE]

    # A link that fails owes none.
    bed.send(0, message(Kind.MESSAGE_BROADCAST, TURN_OFF))
    bed.send(2, message(Kind.MESSAGE_GATHER, ACKNOWLEDGE, 0x0300))
    assert await codes(bed, 0) == []
    await bed.drop(1)
    assert await codes(bed, 0) == [ACKNOWLEDGE]


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(number=BELOW, kind=[Kind.MESSAGE_LOCAL, Kind.MESSAGE_GATHER])
async def a_message_stays_behind_writes(dut, number, kind):
    """Tell nothing for a port before the writes that it sent up, which wait for credits."""
    bed = await make_bed(dut, limits=plenty_but(0), return_delay=lambda: random.randint(0, 60))
    others = [port for port in BELOW if port != number]
    for dwords in (1, 8, 64):
        code = ASSERT
        if kind == Kind.MESSAGE_GATHER:
            code = ACKNOWLEDGE
            bed.send(0, message(Kind.MESSAGE_BROADCAST, TURN_OFF))
            await bed.drain()
            for other in others:
                bed.send(other, message(kind, ACKNOWLEDGE, requester(other)))
        await bed.drain()
        bed.taken(0)
        bed.ports[0].starve(TlpClass.POSTED)
        writes = [write(number, 0, dwords) for _ in range(7)]
        for tlp in writes:
            bed.send(number, tlp)
        bed.send(number, message(kind, code, requester(number)))
        behind = [write(number, 0, 1) for _ in range(40)]
        for tlp in behind:
            bed.send(number, tlp)
        await ClockCycles(dut.clk, 600)
        assert len(bed.waiting(0)) >= 45, "the writes must wait"
        bed.ports[0].feed()
        await bed.drain()
        came = bed.taken(0)
        place = next(n for n, tlp in enumerate(came) if tlp.is_message)
        assert came[:place] == [*writes, *behind][:place] and place >= len(writes)
        assert place < len(writes) + len(behind), "it must not wait for what comes behind it"
        if kind == Kind.MESSAGE_LOCAL:
            bed.send(number, message(kind, DEASSERT, requester(number)))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def interrupts_amid_writes(dut):
    """Every pin has a wire of its own, and comes after all that its port wrote before."""
    bed = await make_bed(
        dut,
        limits=lambda _: [Credits(3, 34), Credits(3, 8), Credits(7, 64)],
        **UNEVEN,
    )
    waited = 0
    for turn in range(30):
        starving = starve_at_random(bed.ports, dut)
        before: dict[int, list[Tlp]] = {}
        wrote: dict[int, list[Tlp]] = {port: [] for port in BELOW}
        pins = [(port, 2 * (port - 1) + pin) for port in (1, 2) for pin in range(2)]
        for port, wire in random.sample(pins, len(pins)):
            for _ in range(random.randint(0, 12)):
                source = random.choice(BELOW)
                target = random.choice([port for port in range(PORTS) if port != source])
                make = random.choice([write, write, write, completion, read])
                tlp = make(source, target, random.choice([1, 8, 33]))
                bed.send(source, tlp)
                if target == 0 and make is write:
                    wrote[source].append(tlp)
            code = DEASSERT if turn % 2 else ASSERT
            pin = (wire - (port - 1)) % 4
            bed.send(port, message(Kind.MESSAGE_LOCAL, code + pin, requester(port)))
            before[code + wire] = list(wrote[port])
            await ClockCycles(dut.clk, random.choice([0, 0, 20]))
        await ClockCycles(dut.clk, 200)
        starving.cancel()
        await bed.drain()
        came = bed.taken(0)
        told = {tlp.code: place for place, tlp in enumerate(came) if tlp.is_message}
        assert set(told) == set(before)
        for code, place in told.items():
            assert all(tlp in came[:place] for tlp in before[code]), f"{code:#x} passed a write"
            waited += bool(before[code])
    assert waited > 60


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(victim=[None, *BELOW], down=[False, True])
async def broadcasts_stay_between_writes(dut, victim, down):
    """Each downstream port gets all as it was sent; what one cannot take delays no other."""
    bed = await make_bed(dut, limits=plenty_but(victim or -1))
    if victim and down:
        await bed.drop(victim)
    elif victim:
        bed.ports[victim].starve(TlpClass.POSTED)
    expected: dict[int, list[Tlp]] = {port: [] for port in BELOW}
    for number in range(25):
        for _ in range(random.randint(0, 2)):
            target = random.choice([port for port in BELOW if port != victim or not down])
            tlp = write(0, target, random.choice([1, 8, 33]))
            bed.send(0, tlp)
            expected[target].append(tlp)
        everybody = broadcast(number, digest=random.random() < 0.5)
        bed.send(0, everybody)
        for port in BELOW:
            expected[port].append(everybody)
        if number % 5 == 0:
            await ClockCycles(dut.clk, 20)
    await ClockCycles(dut.clk, 1000)
    for port in BELOW:
        if port != victim:
            assert bed.taken(port) == expected[port]
    if victim and not down:
        assert len(bed.received[victim]) == 1
    await bed.drain()
    if victim:
        assert bed.taken(victim) == ([] if down else expected[victim])
        if down:
            await bed.lift(victim)
    last = broadcast(1000)
    bed.send(0, last)
    await bed.drain()
    assert [bed.taken(port) for port in BELOW] == [[last]] * len(BELOW)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(victim=BELOW, fails=[False, True])
async def a_flood_of_broadcasts(dut, victim, fails):
    """As many as there are credits fill every queue that they are in; then all come back."""
    bed = await make_bed(dut, limits=plenty_but(victim))
    source = bed.ports[0].source
    (other,) = (port for port in BELOW if port != victim)
    for turn in range(3):
        bed.ports[victim].starve(*TlpClass)
        for number in range(200):
            bed.send(0, broadcast(number + 1000 * turn))
            if turn and number % 3 == 0:
                bed.send(0, write(0, victim, 33))
        await ClockCycles(dut.clk, 1500)
        source.read_credits()
        free = source.available(TlpClass.POSTED)
        assert not free.headers or free.data < 9, "the port must run out of credits"
        assert len(bed.taken(other)) > 40, "the other port must have got its copies"
        # What others send moves on.
        for make in (write, completion, read):
            bed.send(victim, make(victim, other, 8))
        await ClockCycles(dut.clk, 200)
        assert len(bed.taken(other)) == 3
        if fails:
            await bed.drop(victim)
            await bed.settle()
            bed.ports[victim].feed()
            await bed.lift(victim)
            assert not bed.taken(victim)[1:]
        else:
            await bed.drain()
            assert sum(tlp.is_message for tlp in bed.taken(victim)) == 200
        bed.taken(other)
