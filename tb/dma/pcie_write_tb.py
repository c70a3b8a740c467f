"""cocotb testbench of hdl.dma.PcieWrite."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from sim.dma import Write
from sim.stream import Packet, to_beats

from ..stream import chance
from ..stream.packet_port import pack
from .write_bed import CANCELLED, LENGTH, LINK_DOWN, OK, WriteBed, random_write

CLIENT_COUNT = int(os.environ["CLIENT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
ROW_BYTES = 32 * SEGMENT_COUNT
CLIENTS = range(CLIENT_COUNT)
BASE = 0x5_0000_0000  # of client 0, above 4 GiB


def bed(dut, **options) -> WriteBed:
    """Make a bed of the sizes that are tested."""
    return WriteBed(dut, client_count=CLIENT_COUNT, segment_count=SEGMENT_COUNT, **options)


def plain(address: int, length: int, **changes) -> Write:
    """Make a good write of random bytes."""
    fields = {"data": random.randbytes(length), "tag": random.getrandbits(8), **changes}
    return Write(address, length, **fields)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def max_payload_4096_aligned_write_of_4096_is_one_tlp(dut):
    """One TLP of 1024 DW, whose length field is 0; below and above 4 GiB."""
    b = bed(dut)
    await b.start(max_payload=5)
    for address in (0x1000, BASE + 0x3000):
        b.write(0, plain(address, 4096))
    await b.finish()
    assert [tlp.length for tlp in b.tlps] == [1024, 1024]
    assert [tlp.four_dwords for tlp in b.tlps] == [False, True]


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(boundary=["page", "payload"])
async def every_length_and_offset(dut, boundary):
    """0 bytes to two rows, at every offset before a 4 KB boundary; and around Max_Payload_Size."""
    b = bed(dut)
    await b.start(max_payload=0)
    if boundary == "page":
        writes = [(4032 + n, size) for n in range(64) for size in range(2 * ROW_BYTES + 1)]
        step = 1 if SEGMENT_COUNT == 1 else 7
    else:
        writes = [(n, 128 * k + d) for n in range(4) for k in (1, 2, 3) for d in range(-5, 6)]
        step = 1
    for n, (offset, size) in enumerate(writes[::step]):
        address = (n % 16 << 32) | 0x2000 | offset
        b.write(0, plain(address, size))
    await b.finish()


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.4], sink_stall=[0.0, 0.5], max_payload=[0, 1, 7])
async def random_writes_are_the_models(dut, pause, sink_stall, max_payload):
    """Good and bad writes of all clients at once: TLPs, order, statuses, enables, bytes."""
    stalls = {"pause": chance(pause), "request_pause": chance(pause)}
    b = bed(dut, **stalls, sink_pause=chance(sink_stall), response_pause=chance(sink_stall))
    await b.start(max_payload=max_payload)
    for _ in range(80):
        client = random.randrange(CLIENT_COUNT)
        most = random.choice([8, 40, 300, 300, 1000, 5000])
        b.write(client, random_write(client, most_bytes=most, bad=0.2, near_page=most < 500))
    await b.finish()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def the_longest_write(dut):
    """65535 bytes at an odd address: the memory holds them all."""
    b = bed(dut, sink_pause=chance(0.1))
    await b.start(max_payload=1)
    write = plain(BASE + 0xFD3, 65535)
    b.write(0, write)
    await b.finish()
    assert bytes(b.memory[write.address + n] for n in range(65535)) == write.data
    assert len(b.memory) == 65535


@cocotb.test(timeout_time=500, timeout_unit="us")
async def wrong_packets_fail_alone(dut):
    """Too short, too long, cancelled, at once and after pages: status, and what is sent."""
    b = bed(dut)
    await b.start(max_payload=1)
    row = ROW_BYTES
    for length in (1, row - 1, row, row + 1, 3 * row + 5, 4096 + row, 9000):
        for size in {1, length - 1, length, length + 1, length + row, length + 5 * row} - {0}:
            for error in (False, True):
                for offset in (0, 1, 4096 - row - 2, 4095):
                    data = random.randbytes(size)
                    b.write(0, plain(0x4000 + offset, length, data=data, error=error))
                    b.write(0, plain(0x4000, 5))
    await b.finish()
    assert {OK, LENGTH, CANCELLED} == set(b.statuses[0])


@cocotb.test(timeout_time=500, timeout_unit="us")
async def empty_writes_wait_for_those_before(dut):
    """Answer writes of 0 bytes when all that was made before has left."""
    b = bed(dut, sink_pause=chance(0.9))
    await b.start(max_payload=0)
    for n in range(40):
        b.write(0, plain(0x1000 + n, random.choice([0, 0, 3, 700])))
    await b.finish()


@cocotb.test(timeout_time=50, timeout_unit="us")
async def a_tlp_behind_many_empty_writes_does_not_pause(dut):
    """While nothing leaves, as many as there is room for end without TLPs, then one of more beats.

    The link tells if ``valid`` falls within a TLP.
    """
    b = bed(dut)
    await b.start(max_payload=5)
    for empty in range(13, 25):
        for rows in (2, 3, 6):
            b.link.pause = chance(1.0)
            b.write(0, plain(0x1000, 5))
            for _ in range(empty):
                b.write(0, plain(0x1000, 0))
            b.write(0, plain(0x1000, rows * ROW_BYTES))
            await ClockCycles(dut.clk, 60)
            b.link.pause = chance(0.0)
            await b.finish()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def a_client_that_stops_holds_up_nobody(dut):
    """One stops in mid-packet, another takes no response; the others' writes are all answered."""
    if CLIENT_COUNT < 3:
        return
    b = bed(dut)
    await b.start(max_payload=1)
    stopped = plain(BASE + 77, 20000)
    b.request(0, stopped)
    beats = [pack(beat, ROW_BYTES) for beat in to_beats(Packet(stopped.data), ROW_BYTES)]
    for beat in beats[: len(beats) // 2]:
        b.packets[0].send_value(beat)
    b.responses[1].pause = chance(1.0)
    for _ in range(60):
        for client in CLIENTS[1:]:
            b.write(client, plain(client << 30 | random.randrange(9000), random.randint(0, 500)))
    edge = RisingEdge(dut.clk)
    while any(b.open[client] for client in CLIENTS[2:]):
        await edge
    assert len(b.open[0]) == 1
    assert len(b.open[1]) == 60
    for beat in beats[len(beats) // 2 :]:
        b.packets[0].send_value(beat)
    while b.open[0]:
        await edge
    b.responses[1].pause = chance(0.0)
    await b.finish()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def clients_share_by_turns(dut):
    """With all of them backlogged, nobody is a row behind by more than the pieces in the queue."""
    b = bed(dut)
    await b.start(max_payload=1)
    for _ in range(64):
        for client in CLIENTS:
            b.write(client, plain(client << 30 | 64, ROW_BYTES))
    await b.finish()
    middle = [tlp.address >> 30 & 3 for tlp in b.tlps[8 * CLIENT_COUNT : 16 * CLIENT_COUNT]]
    assert all(middle.count(client) == 8 for client in CLIENTS)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_link_that_is_down_takes_all_and_sends_nothing(dut):
    """Every write is answered LINK_DOWN, wrong ones as such; then the link comes up."""
    b = bed(dut)
    await b.start(max_payload=1, link_up=False)
    b.strict = False
    for _ in range(60):
        client = random.randrange(CLIENT_COUNT)
        b.write(client, random_write(client, most_bytes=6000, bad=0.2))
    await b.finish()
    assert not b.tlps
    assert {LINK_DOWN} < {s for statuses in b.statuses for s in statuses} <= {5, 6, 7}
    b.forget()
    dut.link_up.value = 1
    await ClockCycles(dut.clk, 2)
    b.strict = True
    for _ in range(20):
        client = random.randrange(CLIENT_COUNT)
        b.write(client, random_write(client, most_bytes=600))
    await b.finish()


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(sink_stall=[0.0, 0.5])
async def a_link_that_flaps(dut, sink_stall):
    """Let it go down at any moment: OK means all was sent; nullified TLPs end; nothing is lost."""
    b = bed(dut, sink_pause=chance(sink_stall))
    await b.start(max_payload=4)
    b.strict = False
    saw_down = saw_nullified = 0
    for _ in range(40):
        writes = [plain(random.randrange(1 << 29), random.randint(1, 9000)) for _ in range(3)]
        for write in writes:
            b.write(0, write)
        await ClockCycles(dut.clk, random.randint(1, 60 + 24000 // ROW_BYTES))
        await FallingEdge(dut.clk)
        dut.link_up.value = 0
        await ClockCycles(dut.clk, random.randint(4, 40))
        dut.link_up.value = 1
        await b.finish()
        for write, status in zip(writes, b.statuses[0], strict=True):
            assert status in (OK, LINK_DOWN)
            came = [write.address + n in b.memory for n in range(write.length)]
            assert status == LINK_DOWN or all(came)
            assert sorted(came, reverse=True) == came, "a hole within a request"
            saw_down += status == LINK_DOWN
        for address, byte in b.memory.items():
            assert any(
                w.address <= address < w.address + w.length and w.data[address - w.address] == byte
                for w in writes
            )
        saw_nullified += any(tlp.nullified for tlp in b.tlps)
        b.forget()
    assert saw_down
    assert saw_nullified
    b.strict = True
    for _ in range(20):
        b.write(0, random_write(0, most_bytes=600))
    await b.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(cycles=[1, 40])
async def a_link_that_dips_between_two_pages(dut, cycles):
    """Send no second page when the link was down since the first: what was sent of it is lost."""
    b = bed(dut)
    await b.start(max_payload=5)
    b.strict = False
    may_send = False
    source = b.packets[0]
    source.pause = lambda: not may_send and source.accepted >= 1
    b.write(0, plain(0x4000 - 15, 3000))
    while not b.tlps:
        await ClockCycles(dut.clk, 1)
    await ClockCycles(dut.clk, 40)
    await FallingEdge(dut.clk)
    dut.link_up.value = 0
    await ClockCycles(dut.clk, cycles)
    await FallingEdge(dut.clk)
    dut.link_up.value = 1
    await ClockCycles(dut.clk, 40)
    may_send = True
    await b.finish()
    assert b.statuses[0] == [LINK_DOWN]
    assert [(tlp.address, tlp.length) for tlp in b.tlps] == [(0x3FF0, 4)]
    # That one alone: the client's next write is sent.
    b.forget()
    b.strict = True
    b.write(0, plain(0x4000 - 15, 3000))
    await b.finish()
    assert b.statuses[0] == [OK]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_forgets_all(dut):
    """Reset in mid-traffic; what is asked then is done as if nothing had been."""
    b = bed(dut, sink_pause=chance(0.3))
    await b.start(max_payload=1)
    for _ in range(10):
        for _ in range(12):
            client = random.randrange(CLIENT_COUNT)
            b.write(client, random_write(client, most_bytes=3000, bad=0.2))
        await ClockCycles(dut.clk, random.randint(1, 80))
        await FallingEdge(dut.clk)
        dut.rst.value = 1
        for _ in range(3):
            await FallingEdge(dut.clk)  # the first edge may still have taken something
            for port in (*b.requests, *b.packets, *b.responses):
                port.flush()
        b.forget()
        dut.rst.value = 0
        for _ in range(4):
            client = random.randrange(CLIENT_COUNT)
            b.write(client, random_write(client, most_bytes=300))
        await b.finish()


async def _cycles(b: WriteBed, writes: list[tuple[int, Write]]) -> int:
    """Cycles in which ``o`` is busy with ``writes``."""
    b.link.open()
    b.link.restart()
    for client, write in writes:
        b.write(client, write)
    await b.finish()
    return b.link.span


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(size=[256, 512, 1024, 4096, 8192], max_payload=[1, 5])
async def aligned_writes_at_full_rate(dut, size, max_payload):
    """128 bytes a cycle at 4 segments, from one client."""
    b = bed(dut)
    await b.start(max_payload=max_payload)
    count = max(4, 16384 // size)
    cycles = await _cycles(b, [(0, plain(0x10000 + n * size, size)) for n in range(count)])
    assert cycles == count * size // ROW_BYTES


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(offset=[1, 4, 31], size=[256, 1000, 8192])
async def unaligned_writes_lose_a_cycle_a_page(dut, offset, size):
    """No more cycles than the TLPs have beats, each counted from lane 0, and one for each page."""
    b = bed(dut)
    await b.start(max_payload=1)
    count = max(4, 16384 // size)
    cycles = await _cycles(b, [(0, plain(0x10000 * n + offset, size)) for n in range(count)])
    beats = sum(-(-tlp.length // (8 * SEGMENT_COUNT)) for tlp in b.tlps)
    assert cycles <= beats + count * (1 + size // 4096)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(by_all=[False, True], offset=[0, 5])
async def small_writes_come_one_a_cycle(dut, by_all, offset):
    """Take requests of a row or less, one a cycle, from one client or from all."""
    b = bed(dut)
    await b.start(max_payload=1)
    size = ROW_BYTES - 8
    clients = CLIENTS if by_all else [0]
    count = 200
    writes = [(clients[n % len(clients)], n) for n in range(count)]
    await _cycles(
        b, [(client, plain(client << 30 | 512 * n + offset, size)) for client, n in writes]
    )
    sources = [b.requests[client] for client in clients]
    first = min(source.first for source in sources)
    assert max(source.last for source in sources) - first + 1 <= count + 2 * len(clients)
    # Beats are shared: no more of them than segments fill, and one a cycle.
    segments = -(-(size + offset % 4) // 32)
    assert b.link.segments == segments * count
    assert b.link.span <= count + 8
