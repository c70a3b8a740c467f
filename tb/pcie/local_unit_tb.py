"""cocotb testbench of hdl.pcie.LocalUnit: requests and their answers."""

import os
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.pcie.core.tlp import Tlp as OtherTlp

from sim.pcie import Action, Kind, Rule, Tlp
from tb.stream.stream_port import chance

from .local_bed import LocalBench

PORT_COUNT = int(os.environ["PORT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
ANSWER_ROWS = int(os.environ["ANSWER_ROWS"])
ROWS = int(os.environ["ROWS"])  # of each column

CONFIGURATION = (Action.LOCAL, Rule.CONFIGURATION)
UNCLAIMED = (Action.UNSUPPORTED, Rule.UNCLAIMED)
BLOCKED = (Action.ABORT, Rule.ACS_SOURCE_VALIDATION)


async def attach(dut: Any) -> LocalBench:
    """Make the bench and release reset."""
    bench = LocalBench(dut, PORT_COUNT, SEGMENT_COUNT, ROWS, ANSWER_ROWS)
    await bench.start()
    return bench


def read_of(address: int, length: int, first_be: int, last_be: int, **changes: Any) -> Tlp:
    """Make a memory read."""
    return Tlp(
        kind=Kind.MEMORY,
        length=length,
        address=address,
        four_dwords=address >= 1 << 32,
        first_be=first_be,
        last_be=last_be,
        **changes,
    )


def config_read(register: int, *, kind: Kind = Kind.CONFIGURATION_0, target: int = 0x0108) -> Tlp:
    """Make a configuration read of one DW."""
    return Tlp(kind=kind, length=1, register=register, target=target, first_be=0xF)


def config_write(register: int, data: bytes, **changes: Any) -> Tlp:
    """Make a configuration write."""
    return config_read(register).with_changes(data=data, **changes)


def random_attributes() -> dict[str, Any]:
    """Fields that an answer repeats."""
    return {
        "tc": random.getrandbits(3),
        "no_snoop": random.random() < 0.5,
        "relaxed_ordering": random.random() < 0.5,
        "id_ordering": random.random() < 0.5,
    }


def random_refused() -> Tlp:
    """Request of any kind that is not posted, whether or not it makes sense."""
    kind = random.choice(
        [0x00, 0x00, 0x00, 0x01, 0x02, 0x04, 0x05, 0x0C, 0x0D, 0x0E, *range(0x18, 0x20)]
    )
    length = random.choice([1, 1, 2, random.randint(1, 1024)])
    has_data = kind != Kind.MEMORY and random.random() < 0.4
    if has_data and kind not in (Kind.MEMORY_LOCKED, Kind.FETCH_ADD, Kind.SWAP):
        length = min(length, 40)
    is_memory = kind in (Kind.MEMORY, Kind.MEMORY_LOCKED)
    if not has_data and length > 1 and is_memory:
        enables = (random.choice([1, 3, 8, 12, 15]), random.choice([1, 2, 8, 9, 15]))
    else:
        enables = (random.getrandbits(4), 0)
        length = min(length, 8) if not is_memory else 1
    return Tlp(
        kind=kind,
        data=random.randbytes(4 * length) if has_data else None,
        length=length,
        four_dwords=random.random() < 0.5,
        first_be=enables[0],
        last_be=enables[1],
        address=random.getrandbits(64) & ~3
        if kind not in (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1)
        else 0,
        poisoned=random.random() < 0.2,
        **random_attributes(),
    )


def random_configuration() -> tuple[Tlp, int]:
    """Make a configuration request for a function of the switch; return the function, too."""
    function = random.randrange(PORT_COUNT)
    is_type_0 = function == 0
    tlp = Tlp(
        kind=Kind.CONFIGURATION_0 if is_type_0 else Kind.CONFIGURATION_1,
        data=random.randbytes(4) if random.random() < 0.5 else None,
        length=1,
        first_be=random.getrandbits(4),
        register=random.choice([0, 1, 0x3FF]),
        target=0x0100 if is_type_0 else 0x0200 | (function - 1) << 3,
        poisoned=random.random() < 0.1,
        **random_attributes(),
    )
    return tlp, function


@cocotb.test(timeout_time=50, timeout_unit="us")
async def configuration_is_read_and_written(dut):
    """Bytes are written where enabled, reads see earlier writes, numbers are captured."""
    bench = await attach(dut)
    steps = [
        (config_read(4), 0),
        (config_write(4, b"\x01\x02\x03\x04", target=0x0500), 0),
        (config_read(4), 0),
        (config_write(4, b"\xaa\xbb\xcc\xdd", first_be=0b0101, target=0x0710), 0),
        (config_write(4, b"\xff\xff\xff\xff", poisoned=True, target=0x0900), 0),
        (config_write(4, b"\x55\x55\x55\x55", first_be=0, target=0x0710), 0),
        (config_read(4), 0),
        (config_read(0x3FF, kind=Kind.CONFIGURATION_1, target=0x0208), 2),
        (config_write(0x3FF, b"abcd", kind=Kind.CONFIGURATION_1, target=0x0208), 2),
        (config_read(0x3FF, kind=Kind.CONFIGURATION_1, target=0x0208), 2),
        (config_read(0x3FF, kind=Kind.CONFIGURATION_1, target=0x0200), 1),
    ]
    sent = [
        bench.request(0, bench.named(tlp), *CONFIGURATION, function=function)
        for tlp, function in steps
    ]
    answers = [answer for _, answer in bench.expected[False, 0]]
    # What the model says, in words of bytes.
    assert [answer.data for answer in answers if answer.data is not None] == [
        bytes(4),
        b"\x01\x02\x03\x04",
        b"\xaa\x02\xcc\x04",
        bytes(4),
        b"abcd",
        bytes(4),
    ]
    assert [answer.status for answer in answers] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert [answer.completer for answer in answers] == (
        [0x0100, 0x0500, 0x0500, 0x0710, 0x0710, 0x0710, 0x0710] + [0x0208] * 3 + [0x0200]
    )
    bench.send(0, *[lane for lanes in sent for lane in lanes])
    await bench.drain()
    assert bench.captures == [0x05 << 5, 0x07 << 5 | 2, 0x07 << 5 | 2]


@cocotb.test(timeout_time=50, timeout_unit="us")
async def latency_is_as_documented(dut):
    """Answer a request that is alone after 10 cycles."""
    bench = await attach(dut)
    for port in range(PORT_COUNT):
        begun = bench.cycle
        bench.send(port, *bench.request(port, bench.named(read_of(0, 1, 15, 0)), *UNCLAIMED))
        await bench.drain()
        # Driven after the first edge seen from here, read before the one that ends the cycle.
        assert bench.cycles[-1] - begun - 2 == 10


@cocotb.test(timeout_time=200, timeout_unit="us")
async def byte_counts_are_those_of_others(dut):
    """Byte counts and lower addresses of refused reads are what cocotbext-pcie computes."""
    bench = await attach(dut)
    cases = [(1, first, 0) for first in range(16)]
    cases += [
        (length, first, last)
        for length in (2, 3, 17, 1023, 1024)
        for first in range(1, 16)
        for last in range(1, 16)
    ]
    for number, (length, first, last) in enumerate(cases):
        address = random.getrandbits(40) & ~3
        request = bench.named(read_of(address, length, first, last, **random_attributes()))
        port = number % PORT_COUNT
        bench.send(port, *bench.request(port, request, *random.choice([UNCLAIMED, BLOCKED])))
        other = OtherTlp()
        other.address, other.length, other.first_be, other.last_be = address, length, first, last
        _, answer = bench.expected[False, port][-1]
        assert answer.byte_count == other.get_be_byte_count() % 4096
        # Its own get_lower_address() adds before it masks, and a read of nothing starts at 0.
        offset = other.get_first_be_offset() if first else 0
        assert answer.lower_address == (address & 0x7C) + offset
    await bench.drain()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def saturated_inputs_share(dut):
    """With all inputs backlogged there is an answer in every cycle, to each input its share."""
    bench = await attach(dut)
    each = 100
    for port in range(PORT_COUNT):
        for _ in range(each):
            bench.send(port, *bench.request(port, bench.named(random_refused()), *UNCLAIMED)[:1])
            if len(bench.beats[port]) > ROWS // 2:
                break
        while len(bench.dead[port]) < 2 * each:
            bench.dead_row(port, random.randrange(PORT_COUNT), [bench.named(random_refused())])
    total = sum(map(len, bench.expected.values()))
    bench.cycles.clear()
    await ClockCycles(dut.clk, 2 * PORT_COUNT * 15)
    answers = len(bench.cycles)
    assert bench.cycles[-1] - bench.cycles[0] + 1 == answers, "a cycle was lost"
    counts = list(bench.answered.values())
    assert len(counts) == 2 * PORT_COUNT
    assert max(counts) - min(counts) <= 2, f"unfair: {bench.answered}"
    await bench.drain()
    assert sum(bench.answered.values()) == total


@cocotb.test(timeout_time=500, timeout_unit="us")
async def a_port_without_room_delays_nobody(dut):
    """While one port takes no answers the others have all cycles, configuration included."""
    bench = await attach(dut)
    stuck = PORT_COUNT - 1
    blocked = True
    bench.stays = lambda port: blocked and port == stuck
    for port in range(PORT_COUNT):
        for _ in range(ROWS // 2):
            if port == 0:
                tlp, function = random_configuration()
                lanes = bench.request(0, bench.named(tlp), *CONFIGURATION, function=function)
            else:
                lanes = bench.request(port, bench.named(random_refused()), *UNCLAIMED)[:1]
            bench.send(port, *lanes)
        for _ in range(20):
            if port != stuck:
                bench.dead_row(port, random.randrange(stuck), [bench.named(random_refused())])
    while any(
        expected for (is_dead, port), expected in bench.expected.items() if is_dead or port != stuck
    ):
        await ClockCycles(dut.clk, 1)
    assert bench.answered[False, stuck] == ANSWER_ROWS
    assert bench.cycles[-1] - bench.cycles[0] + 1 <= len(bench.cycles) + PORT_COUNT
    blocked = False
    await bench.drain()


def mixed_lanes(bench: LocalBench, port: int, count: int) -> Iterator[Any]:
    """Lanes of local requests and messages, of TLPs for others, and idle ones."""
    for _ in range(count):
        while random.random() < 0.2:
            yield None
        draw = random.random()
        if draw < 0.2:
            # For another port, or dropped: same kinds, but not local.
            tlp = random.choice([random_refused(), Tlp(kind=Kind.MESSAGE_LOCAL, four_dwords=True)])
            yield from bench.lanes(tlp, *UNCLAIMED, local=False)
        elif draw < 0.3:
            dwords = random.choice([0, 1, 20])
            tlp = Tlp(
                kind=random.choice([Kind.MESSAGE_LOCAL, Kind.MESSAGE_GATHER, 0x16, 0x17]),
                four_dwords=True,
                length=dwords,
                data=random.randbytes(4 * dwords) if dwords else None,
                code=random.choice([0x50, 0x7F, 0x1B, 0]),
            )
            yield from bench.lanes(tlp, Action.LOCAL, Rule.MESSAGE_LOCAL, local=True)
        elif draw < 0.5 and port == 0:
            tlp, function = random_configuration()
            yield from bench.request(0, bench.named(tlp), *CONFIGURATION, function=function)
        else:
            how = random.choice([UNCLAIMED, UNCLAIMED, BLOCKED])
            yield from bench.request(port, bench.named(random_refused()), *how)


def mixed_dead_row(bench: LocalBench, port: int) -> None:
    """Row with gaps and continuing segments, sometimes of a port that does not exist."""
    ingress = random.randrange(8 if random.random() < 0.1 else PORT_COUNT)
    bench.dead_row(
        port,
        ingress,
        [
            bench.named(random_refused()) if random.random() < 0.6 else None
            for _ in range(SEGMENT_COUNT)
        ],
    )
    row = bench.dead[port][-1][1]
    for lane, segment in enumerate(row):
        if segment is None and random.random() < 0.5:
            row[lane] = random.getrandbits(256)  # continues: no sop


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(stall=[0.0, 0.5, 0.9])
async def every_request_has_one_answer(dut, stall):
    """Whatever comes, each request is answered once, as the model says, and credits are exact."""
    bench = await attach(dut)
    bench.pause = bench.dead_pause = chance(stall if stall < 0.9 else 0.0)
    bench.stays = lambda port: random.random() < stall
    for _ in range(6):
        for port in range(PORT_COUNT):
            bench.send(port, *mixed_lanes(bench, port, ROWS // 2))
            for _ in range(10):
                mixed_dead_row(bench, port)
        await bench.drain()


@cocotb.test(timeout_time=500, timeout_unit="us")
@cocotb.parametrize(fallen=[0, 1])
async def a_link_that_goes_down_leaves_nothing(dut, fallen):
    """Never answer what is held at that time; its credits return, and all goes on."""
    bench = await attach(dut)
    for _ in range(4):
        bench.stays = lambda port: True
        for port in range(PORT_COUNT):
            bench.send(port, *mixed_lanes(bench, port, ROWS))
            # What is dead elsewhere, too, has nobody to go to.
            bench.dead_row(port, fallen, [bench.named(random_refused())])
        while any(bench.beats):
            await ClockCycles(dut.clk, 1)
        await ClockCycles(dut.clk, random.randint(1, 40))
        # More is held than can be thrown away in 16 cycles.
        assert len(bench.expected[False, fallen]) > 20
        bench.up[fallen] = False
        bench.stays = lambda port: False
        await ClockCycles(dut.clk, 16)
        bench.up[fallen] = True
        lost = range(PORT_COUNT) if fallen == 0 else [fallen]
        for expected in bench.expected.values():
            kept = [e for e in expected if e[0] not in lost]
            for _, answer in (e for e in expected if e[0] in lost):
                del bench.inputs[answer.requester, answer.tag]
            expected.clear()
            expected.extend(kept)
        # The lost writes are not known: start from what the functions have.
        bench.model.space.registers = dict(bench.functions.registers)
        await bench.drain(more=2 * ROWS * SEGMENT_COUNT)
        bench.model.space.registers = dict(bench.functions.registers)
        for port in range(PORT_COUNT):
            bench.send(port, *mixed_lanes(bench, port, 5))
        await bench.drain()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def reset_forgets(dut):
    """After a reset amid traffic, nothing old is answered and all room is back."""
    bench = await attach(dut)
    for port in range(PORT_COUNT):
        bench.send(port, *mixed_lanes(bench, port, ROWS // 2))
    bench.stays = lambda port: True
    await ClockCycles(dut.clk, 30)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    after = LocalBench(dut, PORT_COUNT, SEGMENT_COUNT, ROWS, ANSWER_ROWS)
    bench.stop()
    await after.start()
    for port in range(PORT_COUNT):
        after.send(port, *mixed_lanes(after, port, ROWS // 2))
    await after.drain()
