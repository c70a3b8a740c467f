"""cocotb testbench of hdl.pcie.Switch: TLPs that are wrong, and what the switch tells of them.

Environment: ``PORTS``; the switch has one segment a beat.
"""

import os
import random
from collections.abc import Callable

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie import Kind, Tlp, TlpClass
from sim.pcie.codec import encode_tlp

from .fault_bed import FaultBed
from .flows import completion, message, read, requester, write
from .segments import changed, to_segments
from .switch_links_tb import begin_flow, check_flow, make_bed, send_all_kinds
from .switch_port import Credits

PORTS = int(os.environ["PORTS"])
COMMAND, SECONDARY_STATUS, BRIDGE_CONTROL, DEVICE = 0x04, 0x1C, 0x3C, 0x68
MSI, MSI_ADDRESS, MSI_DATA = 0x48, 0x4C, 0x54
STATUS, SEVERITY, CORRECTABLE, CORRECTABLE_MASK = 0x104, 0x10C, 0x110, 0x114
FIRST, LOG, DPC, DPC_STATUS = 0x118, 0x11C, 0x15C, 0x160
POISONED, OVERFLOW, MALFORMED = 12, 17, 18
ERR_COR, ERR_NONFATAL, ERR_FATAL = 0x30, 0x31, 0x33
ALL_REPORTS = 0xF
ALL_ONES = 0xFFFF_FFFF
PAYLOAD_256 = 1 << 5  # as make_bed configures
LEAST = [Credits(1, 32), Credits(1, 2), Credits(1, 32)]


def function_of(number: int) -> int:
    """ID of a port's function."""
    return 0x0100 | number - 1 << 3 if number else 0x0000


async def reported(bed: FaultBed) -> list[tuple[int, int]]:
    """Error messages that came to the root since it was asked last: code and who sent it."""
    await bed.drain()
    return [(tlp.code, tlp.requester) for tlp in bed.taken(0) if tlp.is_message]


async def check_log(bed: FaultBed, number: int, bit: int, header: Tlp) -> None:
    """Check that a port's registers show one error, with the header of a TLP; clear it."""
    assert await bed.read(number, STATUS) == 1 << bit
    assert await bed.read(number, FIRST) & 0x1F == bit
    wire = encode_tlp(header)
    for place in range(3 + header.four_dwords):
        dword = int.from_bytes(wire[4 * place : 4 * place + 4], "big")
        assert await bed.read(number, LOG + 4 * place) == dword
    bed.write(number, STATUS, 1 << bit)
    assert await bed.read(number, STATUS) == 0
    bed.taken(0)


def neighbour(number: int) -> int:
    """Another port."""
    return (number + 1) % PORTS


#: What makes a good write malformed.
DEFECTS: dict[str, Callable[[Tlp], Tlp]] = {
    "a DW less than announced": lambda tlp: tlp.with_changes(data=(tlp.data or b"")[4:]),
    "a segment less than announced": lambda tlp: tlp.with_changes(data=(tlp.data or b"")[32:]),
    "a DW more than announced": lambda tlp: tlp.with_changes(data=(tlp.data or b"") + bytes(4)),
    "segments more than announced": lambda tlp: tlp.with_changes(
        data=(tlp.data or b"") + bytes(96)
    ),
    "across 4 KB": lambda tlp: tlp.with_changes(address=tlp.address | 0xFF0),
    "no last byte enables": lambda tlp: tlp.with_changes(last_be=0),
    "undefined type": lambda tlp: tlp.with_changes(kind=0x1F),
    "two DW of configuration": lambda tlp: tlp.with_changes(
        kind=Kind.CONFIGURATION_1, length=2, data=bytes(8), address=0
    ),
    "more than any port takes": lambda tlp: tlp.with_changes(length=256, data=bytes(1024)),
    "more than software allows": lambda tlp: tlp.with_changes(length=128, data=bytes(512)),
}


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(number=range(PORTS))
async def malformed_tlps(dut, number):
    """They end at their port, which tells; what is before and behind them goes on."""
    bed = await make_bed(dut)
    target = neighbour(number)
    for defect in DEFECTS.values():
        for enables, severity, messages in (
            (ALL_REPORTS, 1 << MALFORMED, [(ERR_FATAL, function_of(number))]),
            (ALL_REPORTS, 0, [(ERR_NONFATAL, function_of(number))]),
            (0, 1 << MALFORMED, []),
        ):
            bed.write(number, DEVICE, enables | PAYLOAD_256, 0b0001)
            bed.write(number, SEVERITY, severity)
            await bed.drain()
            bed.taken(0)
            bad = defect(write(number, target, 16))
            send_all_kinds(bed, [number], [target], 2)
            bed.send(number, bad)
            send_all_kinds(bed, [number], [target], 2)
            assert await reported(bed) == messages
            await check_log(bed, number, MALFORMED, bad)


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(number=range(PORTS))
async def broken_framing(dut, number):
    """Send a TLP that another one cuts off, one without end, and segments of none."""
    bed = await make_bed(dut)
    target = neighbour(number)
    bed.write(number, DEVICE, ALL_REPORTS | PAYLOAD_256, 0b0001)
    await bed.drain()
    for dwords in (16, 33, 64):
        whole = write(number, target, dwords)
        segments = to_segments(whole)
        endless = [*segments[:-1], changed(segments[-1], eop=0)]
        for lanes in (segments[:1], segments[:-1], endless):
            bed.taken(0)
            send_all_kinds(bed, [number], [target], 1)
            await bed.drain()
            bed.taken(0)
            bed.send_broken(number, lanes, whole)
            for _ in range(5):
                bed.send(number, write(number, target, 16))
            assert await reported(bed) == [(ERR_FATAL, function_of(number))]
            await check_log(bed, number, MALFORMED, whole)

    orphans = [changed(segment, sop=0) for segment in to_segments(write(number, target, 16))]
    bed.taken(0)
    bed.send_broken(number, orphans, whole, charged=False)
    for _ in range(5):
        bed.send(number, write(number, target, 16))
    assert await reported(bed) == [(ERR_FATAL, function_of(number))]
    assert await bed.read(number, STATUS) == 1 << MALFORMED


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def poisoned_tlps(dut):
    """They pass as they are, and are told of as advisory errors."""
    bed = await make_bed(dut)
    for number in range(PORTS):
        bed.write(number, CORRECTABLE_MASK, 0)
        bed.write(number, DEVICE, ALL_REPORTS | PAYLOAD_256, 0b0001)
    await bed.drain()
    for source in range(PORTS):
        for target in range(PORTS):
            if source == target:
                continue
            for make in (write, completion):
                tlp = make(source, target, random.choice([1, 16, 33])).with_changes(
                    poisoned=True, digest=random.choice([None, random.randbytes(4)])
                )
                bed.taken(target)
                bed.taken(0)
                bed.send(source, tlp)
                await bed.drain()
                came = bed.taken(target)
                assert tlp in came
                told = came if target == 0 else bed.taken(0)
                messages = [(each.code, each.requester) for each in told if each.is_message]
                assert messages == [(ERR_COR, function_of(source))]
                assert await bed.read(source, CORRECTABLE) == 1 << 13
                bed.write(source, CORRECTABLE, 1 << 13)
                await check_log(bed, source, POISONED, tlp)
                parity = SECONDARY_STATUS if source else COMMAND
                assert await bed.read(source, parity) >> 31 == 1
                bed.write(source, parity, 1 << 31, 0b1000)
                await bed.drain()


async def fill(bed: FaultBed, number: int, make: Callable[[], Tlp]) -> None:
    """Send TLPs of one kind until there are no credits for another."""
    source = bed.ports[number].source
    while True:
        tlp = make()
        source.read_credits()
        free = source.available(tlp.tlp_class)
        if not free.headers or free.data < tlp.data_credits:
            return
        bed.send(number, tlp)
        await ClockCycles(bed.dut.clk, 60)  # one that leaves the switch has returned its credits
        assert bed.ports[number].idle


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(number=range(PORTS))
async def a_sender_without_credits(dut, number):
    """Drop and report what it sends; what had credits comes, and nobody else notices."""
    bed = await make_bed(dut, limits=lambda _: LEAST)
    target = neighbour(number)
    other = neighbour(target)
    bed.write(number, DEVICE, ALL_REPORTS | PAYLOAD_256, 0b0001)
    await bed.drain()
    makes: list[Callable[[], Tlp]] = [
        lambda: write(number, target, 1),
        lambda: write(number, target, 64),  # no data credits, but headers
        lambda: completion(number, target, 1),
        lambda: completion(number, target, 64),
        lambda: read(number, target, 1),
    ]
    if target == 0:
        makes = makes[2:]  # reports could not leave
    for make in makes:
        first = make()
        bed.ports[target].starve(first.tlp_class)
        await fill(bed, number, make)
        bed.taken(0)
        cheats = [make() for _ in range(3)]
        for cheat in cheats:
            bed.cheat(number, cheat)
            for honest in (write, completion, read):
                if honest(number, other, 1).tlp_class != first.tlp_class:
                    bed.send(number, honest(number, other, 1))
                bed.send(other, honest(other, number, 1))
            await ClockCycles(dut.clk, 400)
        messages = [(tlp.code, tlp.requester) for tlp in bed.taken(0) if tlp.is_message]
        assert messages == [(ERR_FATAL, function_of(number))] * 3
        await bed.drain()
        await check_log(bed, number, OVERFLOW, cheats[0])


async def trigger(bed: FaultBed, victim: int, how: str) -> list[int]:
    """Let something happen that contains a port; codes of the messages that tell of it."""
    if how == "software":
        control = 1 << 22 | 1 << 20 | 1 << 19 | 1 << 16
        bed.write(victim, DPC, control, 0b1100)
        return [ERR_COR]
    if how == "malformed":
        bed.send(victim, write(victim, 0, 16).with_changes(last_be=0))
        return [ERR_COR]
    code = ERR_FATAL if how == "fatal" else ERR_NONFATAL
    bed.send(victim, message(Kind.MESSAGE_TO_ROOT, code, requester(victim)))
    return [code, ERR_COR]


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(
    victim=range(1, PORTS),
    how=["fatal", "nonfatal", "malformed", "software"],
)
async def containment(dut, victim, how):
    """Cut a port off on the first error; software sees why, and lets it go."""
    bed = await make_bed(dut)
    others = [number for number in range(PORTS) if number != victim]
    mode = 2 if how == "nonfatal" else 1
    bed.write(victim, MSI_ADDRESS, 0xFEE0_0000)
    bed.write(victim, MSI_DATA, 0x4321)
    bed.write(victim, MSI, 1 << 16, 0b1100)
    bed.write(victim, DEVICE, ALL_REPORTS | PAYLOAD_256, 0b0001)
    bed.write(victim, DPC, 1 << 20 | 1 << 19 | mode << 16, 0b1100)
    await bed.drain()
    for _ in range(2):
        bed.ports[victim].starve(*TlpClass)
        send_all_kinds(bed, others, [victim], 70, 1)  # more than the partner has credits for
        await ClockCycles(dut.clk, 3000)
        await begin_flow(bed, (others[1], 0))
        bed.taken(0)
        codes = await trigger(bed, victim, how)
        await bed.until(f"ports__{victim}__link_disable", 1, cycles=100)
        assert bed.give_up(victim), "the test must find requests that wait"
        # The partner goes on to send until it notices: none of that comes through.
        send_all_kinds(bed, [victim], others, 10, 1)
        await ClockCycles(dut.clk, 100)
        await bed.drop(victim)
        bed.ports[victim].feed()
        await bed.settle()
        check_flow(bed, 0)
        came = bed.taken(0)
        assert sorted(tlp.code for tlp in came if tlp.is_message) == sorted(codes)
        interrupts = [tlp for tlp in came if tlp.address == 0xFEE0_0000]
        assert [tlp.data for tlp in interrupts] == [bytes([0x21, 0x43, 0, 0])]
        assert interrupts[0].requester == function_of(victim)

        status = await bed.read(victim, DPC_STATUS)
        reason = {"malformed": 0, "nonfatal": 1, "fatal": 2, "software": 3}[how]
        assert status & 0b1111 == 0b1001 | reason << 1
        if how in ("nonfatal", "fatal"):
            assert status >> 16 == requester(victim)
        assert await bed.read(victim, STATUS) == (how == "malformed") << MALFORMED
        for number in range(PORTS):
            assert int(dut[f"ports__{number}__link_disable"].value) == (number == victim)
            bed.taken(number)
        send_all_kinds(bed, others, [victim], 5)
        await bed.settle()
        assert all(len(bed.taken(number)) == 5 for number in others)

        bed.write(victim, STATUS, ALL_ONES)
        bed.write(victim, DPC_STATUS, 0b1001)
        await bed.until(f"ports__{victim}__link_disable", 0)
        await bed.lift(victim)
        assert await bed.read(victim, DPC_STATUS) & 0b1001 == 0
        send_all_kinds(bed, range(PORTS), range(PORTS), 10)
        await bed.drain()
