"""Writes of several clients as TLPs of PCI Express."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from ..pcie.tlp import TlpBeatLayout
from ..pcie.tlp_packer import TlpPacker
from ..stream import Queue
from .memory_port import MemoryWriteSignature
from .parts import row_bytes_of
from .skid import Skid
from .write_arbiter import WriteArbiter
from .write_intake import WriteIntake
from .write_parts import WritePieceLayout, store_rows_of
from .write_responses import WriteResponses
from .write_shift import WriteShift
from .write_splitter import WriteSplitter
from .write_verdict import WriteVerdict

__all__ = ["PcieWrite"]

_PIECES = 16
_RESPONSES = 32


class PcieWrite(wiring.Component):
    """Write what clients ask for, as posted memory write TLPs.

    A request is cut at boundaries of 4 KB into pieces. A piece is sent when it is whole in the
    client's part of the store, so no client waits for another that does not go on, and ``valid``
    does not fall within a TLP. A piece is cut into TLPs of Max_Payload_Size, counted from the DW
    of its first byte. TLPs share beats where they are back to back. Pieces of different clients
    may alternate; those of one client leave in order.

    A request whose packet ends too early, or with ``error``, is not sent from the piece on in which
    it ends: LENGTH, CANCELLED. What a packet has beyond the request is dropped: LENGTH. While
    ``link_up`` is low, writes are taken and not sent: LINK_DOWN. If it falls within a TLP, the TLP
    goes on and is nullified at its end, and nothing more of its request is sent.

    A client may have 32 requests whose responses it has not taken.

    Latency from the row that makes a piece whole to its first beat is 12 cycles with 1 segment,
    15 above, and one more if the row stored before was another client's. Throughput is a row and a
    piece per cycle in, a beat per cycle out; a piece that begins in mid-row takes a cycle more than
    its TLPs have beats if they are as many as its rows.

    Specification: PCI Express Base Specification: memory write requests (2.2.7), byte enables
    (2.2.5), Max_Payload_Size (2.2.2).

    Parameters
    ----------
    client_count : int
        Clients, 1 or more.
    segment_count : int
        Segments of a beat of TLPs, 1, 2 or 4; a row has ``row_bytes`` = 32 * segment_count bytes.

    Members
    -------
    clients : In(MemoryWriteSignature(row_bytes)).array(client_count)
        Requests and packets; ``ready`` of both depends combinationally on the client's own packet.
        Responses are registered: one for each request, in order, when the last segment of its
        last TLP has been taken on ``o``, and all TLPs that were made before.
    max_payload : In(3)
        Max_Payload_Size, 128 << code bytes; 6 and 7 are 4096. May change at any time; a piece that
        has begun is not affected.
    requester : In(16)
        Requester ID of the headers.
    link_up : In(1)
        Data link layer active. While it is low, ``o`` should be taken; what is not is sent later.
    o : Out(stream.Signature(TlpBeatLayout(segment_count)))
        Memory writes with tag 0, registered. Bytes that the enables leave out are undefined.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    clients: list
    max_payload: Signal
    requester: Signal
    link_up: Signal
    o: stream.Interface

    def __init__(self, *, client_count: int, segment_count: int):
        if client_count < 1:
            raise ValueError(f"client_count must be 1 or more, not {client_count!r}")
        beat = TlpBeatLayout(segment_count)
        self.client_count = client_count
        self.segment_count = segment_count
        self.row_bytes = row_bytes_of(segment_count)
        super().__init__(
            {
                "clients": In(MemoryWriteSignature(self.row_bytes)).array(client_count),
                "max_payload": In(3),
                "requester": In(16),
                "link_up": In(1),
                "o": Out(stream.Signature(beat)),
            }
        )

        sizes = {"client_count": client_count, "row_bytes": self.row_bytes}
        self.intakes = [WriteIntake(**sizes, response_count=_RESPONSES) for _ in self.clients]
        self.arbiter = WriteArbiter(**sizes, piece_count=_PIECES)
        self.verdict = WriteVerdict(**sizes)
        self.pieces = Queue(shape=WritePieceLayout(**sizes), depth=_PIECES, counted=True)
        self.splitter = WriteSplitter(**sizes)
        self.shift = WriteShift(client_count=client_count, segment_count=segment_count)
        self.responses = WriteResponses(
            client_count=client_count, segment_count=segment_count, response_count=_RESPONSES
        )
        self.store = SimpleDualPortRam(
            shape=8 * self.row_bytes,
            depth=client_count * store_rows_of(self.row_bytes),
            lane_count=1,
            latency=1,
            bypass=False,
            block=True,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = self.arbiter
        m.submodules.pieces = pieces = self.pieces
        m.submodules.splitter = splitter = self.splitter
        m.submodules.store = store = self.store
        m.submodules.shift = shift = self.shift
        m.submodules.responses = responses = self.responses

        for number, (intake, client) in enumerate(zip(self.intakes, self.clients, strict=True)):
            m.submodules[f"intake_{number}"] = intake
            wiring.connect(m, wiring.flipped(client.request), intake.request)
            wiring.connect(m, wiring.flipped(client.data), intake.data)
            wiring.connect(m, intake.o, arbiter.i[number])
            wiring.connect(m, responses.o[number], wiring.flipped(client.response))
            m.d.comb += [
                intake.freed.eq(splitter.freed[number]),
                intake.answered.eq(client.response.valid & client.response.ready),
            ]

        # There is room for what the arbiter tells.
        m.submodules.verdict = verdict = self.verdict
        m.d.sync += [
            verdict.i.valid.eq(arbiter.o.valid),
            verdict.i.payload.eq(arbiter.o.payload),
        ]
        m.d.comb += arbiter.left.eq(pieces.o.valid & pieces.o.ready)
        wiring.connect(m, verdict.o, pieces.i)
        wiring.connect(m, pieces.o, splitter.i)
        wiring.connect(m, splitter.o, shift.i)
        wiring.connect(m, shift.done, responses.i)
        m.d.comb += [
            store.write_lanes.eq(arbiter.write_en),
            store.write_address.eq(arbiter.write_row),
            store.write_data.eq(arbiter.write_data),
            store.read_en.eq(splitter.o.valid & splitter.o.ready),
            store.read_address.eq(Cat(splitter.o.p.row, splitter.o.p.client)),
            shift.row_data.eq(store.read_data),
            splitter.max_payload.eq(self.max_payload),
            splitter.link_up.eq(self.link_up),
            responses.link_up.eq(self.link_up),
            shift.requester.eq(self.requester),
        ]

        # Nothing asks the link and moves all of this in one cycle.
        m.submodules.made = made = Skid(shape=TlpBeatLayout(self.segment_count))
        # With one segment there is nothing to pack.
        if self.segment_count == 1:
            wiring.connect(m, shift.o, made.i)
        else:
            m.submodules.packer = packer = TlpPacker(segment_count=self.segment_count)
            wiring.connect(m, shift.o, packer.i)
            wiring.connect(m, packer.o, made.i)
        wiring.connect(m, made.o, wiring.flipped(self.o))

        ends = Cat(self.o.p.valid[n] & self.o.p.segments[n].eop for n in range(self.segment_count))
        with m.If(self.o.valid & self.o.ready):
            m.d.comb += responses.left.eq(sum(ends, start=C(0, 1)))
        return m
