"""cocotb testbench of hdl.stream.PacketCut."""

import os
import random
from itertools import pairwise

import cocotb
from cocotb.triggers import ClockCycles

from hdl.stream.packet_cut import PieceLayout
from sim.stream import Packet
from sim.stream.packet_cut import cut

from . import PacketSink, PacketSource, StreamSource, chance, reset, start
from .beat_port import BeatSink, malformed, send_beats
from .header_port import beat_count, random_packet

DATA_BYTES = int(os.environ["DATA_BYTES"])
LATENCY = 3 if DATA_BYTES <= 16 else 4
#: Largest place and size of a piece.
MOST = (1 << 13) - 1

_PIECE = PieceLayout()


def send_pieces(port: StreamSource, pieces: list[tuple[int, int]]) -> None:
    """Queue the pieces of one packet."""
    for number, (skip, take) in enumerate(pieces, start=1):
        fields = {"skip": skip, "take": take, "last": int(number == len(pieces))}
        port.send_value(sum(value << _PIECE[name].offset for name, value in fields.items()))


async def attach(dut, source_stall=0.0, piece_stall=0.0, sink_stall=0.0):
    """Attach a driver to every stream and release reset."""
    source = PacketSource(dut, "i", DATA_BYTES, pause=chance(source_stall))
    pieces = StreamSource(dut, "pieces", pause=chance(piece_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    await start(dut)
    return source, pieces, sink


async def exchange(dut, ports, cases: list[tuple[int, list[tuple[int, int]]]]) -> int:
    """Send packets of the sizes in ``cases`` and check what their pieces are; return how many."""
    source, port, sink = ports
    expected = []
    for size, pieces in cases:
        packet = random_packet(size)
        source.send(packet)
        send_pieces(port, pieces)
        expected += [(packet, size, pieces) for packet in cut(packet, pieces, DATA_BYTES)]
    for packet, size, pieces in expected:
        arrived = await sink.received.get()
        if packet.data:
            assert arrived == packet, f"{size} bytes, pieces {pieces}"
        else:
            assert (len(arrived.data), arrived.error) == (1, True), f"{size} bytes, {pieces}"
    await ClockCycles(dut.clk, 12)
    assert sink.received.empty()
    assert source.idle and port.idle
    return len(expected)


def random_pieces(size: int, *, most: int) -> list[tuple[int, int]]:
    """Up to ``most`` pieces in ascending order, most of them within ``size`` bytes."""
    reach = random.choice([size, size, size, size + 2 * DATA_BYTES])
    edges = sorted(random.randint(0, reach) for _ in range(2 * random.randint(1, most)))
    pieces = [(a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    if random.random() < 0.3:
        # One after the other, without gaps.
        pieces = [(a, b - a) for a, b in pairwise(edges)]
    return pieces


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def one_piece_takes_the_beats_that_its_packet_has(dut):
    """Back to back, one input beat is taken in every cycle, for every piece of every size."""
    cases = []
    sizes = range(1, 3 * DATA_BYTES + 1)
    for size in sizes if DATA_BYTES <= 8 else random.sample(sizes, 60):
        skips = range(size) if DATA_BYTES <= 8 else random.sample(range(size), min(size, 8))
        for skip in skips:
            takes = {0, 1, size - skip, random.randint(1, size - skip)}
            cases += [(size, [(skip, take)]) for take in takes]
    random.shuffle(cases)
    ports = source, _, _ = await attach(dut)
    await exchange(dut, ports, cases)
    beats = sum(beat_count(size, DATA_BYTES) for size, _ in cases)
    assert source.accepted == source.span == beats


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_further_piece_takes_one_cycle_at_most(dut):
    """Packets of up to five pieces: a cycle for each beat and for each piece but the first."""
    sizes = [random.randint(1, 5 * DATA_BYTES) for _ in range(600)]
    cases = [(size, random_pieces(size, most=5)) for size in sizes]
    ports = source, _, _ = await attach(dut)
    await exchange(dut, ports, cases)
    beats = sum(beat_count(size, DATA_BYTES) for size, _ in cases)
    assert source.accepted == beats
    # An empty piece takes no cycle of the packet, but one in which a piece could have come.
    assert source.span <= beats + sum(len(pieces) - 1 for _, pieces in cases)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def pieces_that_end_with_a_beat_cost_nothing(dut):
    """Cut between its beats, a packet takes as many cycles as it has beats."""
    cases = [
        (4 * DATA_BYTES, [(0, 2 * DATA_BYTES), (2 * DATA_BYTES, 2 * DATA_BYTES)]) for _ in range(20)
    ]
    ports = source, _, _ = await attach(dut)
    await exchange(dut, ports, cases)
    assert source.accepted == source.span == 80


@cocotb.test(timeout_time=100, timeout_unit="us")
async def latency_is_as_stated(dut):
    """Every first beat leaves a fixed time after the beat that holds its first byte."""
    source, pieces, sink = await attach(dut)
    for skip in sorted({0, 1, DATA_BYTES, 2 * DATA_BYTES - 1}):
        for port in (source, sink):
            port.restart()
        send_pieces(pieces, [(skip, 2 * DATA_BYTES)])
        await ClockCycles(dut.clk, 4)  # the piece is here before its packet
        packet = random_packet(skip + 2 * DATA_BYTES)
        source.send(packet)
        assert (await sink.received.get()).data == packet.data[skip:]
        assert sink.first - source.first == LATENCY + 1 + skip // DATA_BYTES


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(source_stall=[0.0, 0.5], piece_stall=[0.0, 0.8], sink_stall=[0.0, 0.5])
async def pieces_pass_under_stalls(dut, source_stall, piece_stall, sink_stall):
    """With random stalls anywhere, every packet is cut into its own pieces."""
    sizes = [random.randint(1, 6 * DATA_BYTES) for _ in range(150)]
    cases = [(size, random_pieces(size, most=4)) for size in sizes]
    ports = await attach(dut, source_stall, piece_stall, sink_stall)
    assert await exchange(dut, ports, cases) > 100


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_packet_that_is_too_short_gives_every_piece(dut):
    """Pieces beyond the packet's end are there, with an error, and the next packet is right."""
    cases = []
    for size in range(1, 3 * DATA_BYTES + 1, max(1, DATA_BYTES // 8)):
        beyond = size + random.randint(0, DATA_BYTES)
        cases += [
            (size, [(0, size + 1)]),
            (size, [(size - 1, MOST)]),
            (size, [(beyond, 1)]),
            (size, [(MOST, MOST)]),
            (size, [(0, 1), (beyond, 0), (beyond + 1, 3), (beyond + 9, 700)]),
            (size, [(0, size)]),
        ]
    assert await exchange(dut, await attach(dut), cases) > len(cases)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def malformed_packets_and_pieces_leave_their_neighbours_alone(dut):
    """Whatever comes, there is one packet for each piece that takes bytes, and then all is well."""
    source = PacketSource(dut, "i", DATA_BYTES)
    pieces = StreamSource(dut, "pieces")
    sink = BeatSink(dut, "o", DATA_BYTES)
    await start(dut)
    count = 0
    for _ in range(200):
        send_beats(source, malformed(DATA_BYTES))
        wild = [
            (random.randint(0, 4 * DATA_BYTES), random.randint(0, 2 * DATA_BYTES))
            for _ in range(random.randint(1, 3))
        ]
        send_pieces(pieces, wild)
        count += sum(take > 0 for _, take in wild)
    while not (source.idle and pieces.idle):
        await ClockCycles(dut.clk, 1)
    await ClockCycles(dut.clk, 12)
    assert sink.received.qsize() == count
    for _ in range(count):
        sink.received.get_nowait()
    packet = Packet(random.randbytes(3 * DATA_BYTES))
    source.send(packet)
    send_pieces(pieces, [(1, DATA_BYTES)])
    await ClockCycles(dut.clk, 20)
    (beat,) = sink.received.get_nowait()
    assert beat.data == int.from_bytes(packet.data[1 : 1 + DATA_BYTES], "little")


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(cycles=range(1, 9))
async def reset_in_mid_packet_forgets_it(dut, cycles):
    """After a reset at any time, the next piece meets the next packet."""
    ports = source, pieces, sink = await attach(dut)
    for _ in range(4):
        send_pieces(pieces, [(1, DATA_BYTES), (DATA_BYTES + 1, DATA_BYTES)])
        source.send(random_packet(2 * DATA_BYTES + 2))
    await ClockCycles(dut.clk, cycles)
    await reset(dut, source, pieces, sink)
    cases = [(2 * DATA_BYTES + length, [(length, DATA_BYTES)]) for length in range(4)]
    await exchange(dut, ports, cases)
