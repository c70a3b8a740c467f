"""cocotb testbench of hdl.dma.ReadIssue; headers are checked by cocotbext-pcie, too."""

import os
import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.pcie.core.tlp import Tlp as OtherTlp
from cocotbext.pcie.core.tlp import TlpAttr, TlpType
from cocotbext.pcie.core.utils import PcieId

from hdl.dma.parts import IssuedLayout, ReadPieceLayout
from sim.dma import ReadPiece, ReadRequest, read_tlp
from sim.pcie import Tlp, encode_tlp
from tb.pcie import header_from_int
from tb.stream import StreamSink, StreamSource, chance, start

from .fields import pack_fields
from .read_clients import piece_values

CLIENTS = int(os.environ["CLIENT_COUNT"])
ROW_BYTES = 32 * int(os.environ["SEGMENT_COUNT"])
TAGS = int(os.environ["TAG_COUNT"])
PIECE = ReadPieceLayout(CLIENTS, ROW_BYTES)
ISSUED = IssuedLayout(CLIENTS, ROW_BYTES, TAGS)


class _Issues:
    """What is issued, and in which cycle it may be offered at the earliest."""

    def __init__(self, dut):
        self.dut = dut
        self.restart()
        cocotb.start_soon(self._run())

    def restart(self) -> None:
        """Begin a new list."""
        self.values: list[int] = []
        self.sent = 0

    async def _run(self):
        edge = RisingEdge(self.dut.clk)
        offered = False
        while True:
            await edge
            value = int(self.dut.issued.value)
            if value & 1:
                self.values.append(value)
            if self.dut.o__valid.value and not offered:
                self.sent += 1
            offered = bool(self.dut.o__valid.value) and not self.dut.o__ready.value
            assert self.sent <= len(self.values), "a header is offered before it is issued"


class Bench:
    """Pieces, tags and a sink of headers."""

    def __init__(self, dut, *, piece_pause=0.0, tag_pause=0.0, sink_pause=0.0):
        self.dut = dut
        self.pieces = StreamSource(dut, "pieces", pause=chance(piece_pause))
        self.tags = StreamSource(dut, "tags", pause=chance(tag_pause))
        self.sink = StreamSink(dut, "o", pause=chance(sink_pause))
        self.expected: list[tuple[ReadPiece, int]] = []
        self.requester = random.getrandbits(16)
        dut.requester.value = self.requester
        dut.send.value, dut.discard.value = 1, 0

    async def begin(self):
        """Release reset and watch."""
        await start(self.dut)
        self.issues = _Issues(self.dut)
        return self

    def send(self, piece: ReadPiece) -> None:
        """Queue a piece and a tag."""
        tag = random.randrange(TAGS)
        self.expected.append((piece, tag))
        self.pieces.send_value(pack_fields(PIECE, **piece_values(piece, ROW_BYTES)))
        self.tags.send_value(tag)

    async def issued(self):
        """Wait for all that was queued, and see that it was issued."""
        while len(self.issues.values) < len(self.expected):
            await RisingEdge(self.dut.clk)
        for value, (piece, tag) in zip(self.issues.values, self.expected, strict=True):
            fields = pack_fields(PIECE, **piece_values(piece, ROW_BYTES))
            assert value == pack_fields(ISSUED, valid=1, tag=tag, piece=fields)

    async def finish(self):
        """See that all is issued and sent, and nothing else."""
        await self.issued()
        for piece, tag in self.expected:
            header = header_from_int(await self.sink.received.get())
            assert header == read_tlp(piece, tag=tag, requester=self.requester), f"not {piece}"
            assert_other_agrees(header, piece, tag, self.requester)
        await ClockCycles(self.dut.clk, 4)
        assert self.sink.received.empty()


def assert_other_agrees(header: Tlp, piece: ReadPiece, tag: int, requester: int) -> None:
    """See that cocotbext-pcie makes the same header of the same read."""
    other = OtherTlp()
    other.fmt_type = TlpType.MEM_READ_64 if piece.address >> 32 else TlpType.MEM_READ
    other.requester_id = PcieId(requester >> 8, requester >> 3 & 31, requester & 7)
    other.tag = tag
    if piece.length:
        other.set_addr_be(piece.address, piece.length)
    else:
        other.address, other.length = piece.address & ~3, 1
    request = piece.request
    other.attr = TlpAttr(
        request.id_ordering << 2 | request.relaxed_ordering << 1 | int(request.no_snoop)
    )
    assert other.check()
    assert encode_tlp(header) == bytes(other.pack_header())


def any_piece(length: int | None = None) -> ReadPiece:
    """Piece anywhere, within a page."""
    length = random.choice([0, 1, 4, 4096, random.randint(0, 4096)]) if length is None else length
    page = random.choice([0, 0xFFFF_F000, 1 << 32, (1 << 64) - 4096, random.getrandbits(52) << 12])
    request = ReadRequest(
        address=page + random.randint(0, 4096 - max(1, length)),
        length=length + random.choice([0, 1]),
        tag=random.getrandbits(8),
        no_snoop=random.random() < 0.5,
        relaxed_ordering=random.random() < 0.5,
        id_ordering=random.random() < 0.5,
    )
    return ReadPiece(random.randrange(CLIENTS), request, request.address, length)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_offset_and_length(dut):
    """First and last byte at each place of a DW, from none to a few DW; and near 4096 bytes."""
    bench = await Bench(dut).begin()
    for offset in range(4):
        for length in [*range(14), *range(4088 - offset, 4097 - offset)]:
            request = ReadRequest(0x8000_0000 + offset, length)
            bench.send(ReadPiece(0, request, request.address, length))
    await bench.finish()
    assert bench.sink.span == bench.sink.accepted, "not one a cycle"
    assert bench.sink.first - bench.pieces.first == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(piece_pause=[0.0, 0.5], tag_pause=[0.0, 0.5], sink_pause=[0.0, 0.5])
async def random_pieces(dut, piece_pause, tag_pause, sink_pause):
    """Any piece, with pauses everywhere."""
    bench = await Bench(
        dut, piece_pause=piece_pause, tag_pause=tag_pause, sink_pause=sink_pause
    ).begin()
    for _ in range(300):
        bench.send(any_piece())
    await bench.finish()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def waits_and_discards(dut):
    """Told to wait, nothing is issued; told to discard, it is issued, but nothing is sent."""
    bench = await Bench(dut, sink_pause=0.8).begin()
    for _ in range(20):
        bench.send(any_piece())
    await bench.finish()
    dut.send.value = 0
    await ClockCycles(dut.clk, 2)
    for _ in range(20):
        bench.send(any_piece())
    await ClockCycles(dut.clk, 50)
    assert len(bench.issues.values) == 20
    dut.discard.value = 1
    await bench.issued()
    assert bench.sink.received.empty()
    bench.expected = []
    bench.issues.restart()
    dut.send.value, dut.discard.value = 1, 0
    await ClockCycles(dut.clk, 2)
    for _ in range(20):
        bench.send(any_piece())
    await bench.finish()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def discards_behind_a_header(dut):
    """Keep a header that is refused while what comes behind it is discarded."""
    bench = await Bench(dut, sink_pause=1.0).begin()
    for _ in range(30):
        bench.send(any_piece())
    await ClockCycles(dut.clk, 10)
    assert len(bench.issues.values) == 1
    dut.send.value, dut.discard.value = 0, 1
    await bench.issued()
    bench.sink.pause = chance(0)
    piece, tag = bench.expected[0]
    header = header_from_int(await bench.sink.received.get())
    assert header == read_tlp(piece, tag=tag, requester=bench.requester)
    await ClockCycles(dut.clk, 10)
    assert bench.sink.received.empty()
