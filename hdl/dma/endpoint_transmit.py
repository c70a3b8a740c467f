"""Transmit side of an endpoint's transaction layer."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker, select_one_hot
from ..pcie import CreditGate, TlpPacker
from ..pcie.port import CreditCountsLayout
from ..pcie.tlp import (
    CLASS_COUNT,
    SEGMENT_DWORDS,
    TlpBeatLayout,
    TlpClass,
    TlpHeaderLayout,
)
from ..pcie.tlp_packer import select_wide
from .read_gather import ReadGather
from .send_credits import SendCredits
from .send_queue import SendQueue
from .skid import Skid

__all__ = ["EndpointTransmit"]

#: Rows that a queue needs beside those of its longest TLP: as many as leave, at the full rate,
#: between a TLP's last beat and the moment in which its first row is free again.
_ROWS_UNDER_WAY = 9
#: Cycles for which reads wait for other reads while there is something else to send.
_GATHERING_CYCLES = 64
#: Rows on the way from a queue's RAM to the packer: as many as keep a row a cycle going.
_CARRIED_ROWS = 4


class EndpointTransmit(wiring.Component):
    """Send what an endpoint's clients have: posted TLPs, completions, and reads.

    A queue for each class holds its TLPs until they are whole; a producer that pauses within one
    holds up its own class only. A TLP goes when the partner has credits for all of it. Classes
    wait for none of each other's credits, but in one case: completions and reads go behind every
    posted TLP that was taken whole before them (attributes that would let them pass are not made
    use of). So a read of 0 bytes is answered when all earlier writes have arrived.

    **Turns.** Classes with something to send take turns, TLP by TLP, or, while rows end within
    TLPs, row by row; after ``quantum_rows`` rows, and if another class could go, a turn ends at
    the next eop. With R rows in the longest TLP, a class waits for at most 2 * (quantum_rows + R +
    2) rows of others.

    **Link down.** While ``link_up`` is 0, what is here is forgotten and what comes is taken and
    dropped, also the rest of a TLP that goes on when the link is up again. ``o.valid`` falls
    within 2 cycles, also within a TLP.

    Latency is 11 cycles from a TLP's last beat to its first one on ``o``, and 12 for a read.
    Throughput is a row in each cycle, from one queue or several: full beats of ``o`` while rows
    are full. Beats of reads are full while there are more than can leave; to that end, while other
    classes have rows to send, a read waits for others for 64 cycles at most.

    Specification: PCI Express Base Specification, 2.4.1, ordering rules, 2.6.1, flow control.

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    max_payload_bytes : int
        Longest payload that is written or answered: 128 to 4096, a power of two.
    read_rows : int
        Beats of reads that wait here, 2 or more.
    quantum_rows : int
        Rows after which a turn ends where it can, 1 or more.

    Members
    -------
    writes : In(stream.Signature(TlpBeatLayout(segment_count)))
        Posted TLPs; nullified ones are dropped. ``ready`` is registered, but for ``link_up``.
    answers : In(stream.Signature(TlpBeatLayout(segment_count)))
        Completions, likewise. Of both, a TLP longer than the longest is dropped.
    reads : In(stream.Signature(TlpHeaderLayout()))
        Non-posted requests without data, prefix or digest. ``ready`` is from registers.
    limits, infinite, scale, link_up : In
        The port's ``tx_limits``, ``tx_infinite``, ``tx_scale`` and ``link_up``.
    o : Out(stream.Signature(TlpBeatLayout(segment_count)))
        The port's ``tx``; registered. Within a TLP, ``valid`` does not fall while the link is up.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    writes: stream.Interface
    answers: stream.Interface
    reads: stream.Interface
    limits: Any
    infinite: Signal
    scale: Signal
    link_up: Signal
    o: stream.Interface

    def __init__(
        self,
        *,
        segment_count: int,
        max_payload_bytes: int,
        read_rows: int = 16,
        quantum_rows: int = 32,
    ):
        beat = TlpBeatLayout(segment_count)
        if max_payload_bytes not in (128, 256, 512, 1024, 2048, 4096):
            raise ValueError(
                f"max_payload_bytes must be a power of two, 128 to 4096, not {max_payload_bytes!r}"
            )
        if read_rows < 2:
            raise ValueError(f"read_rows must be 2 or more, not {read_rows!r}")
        if quantum_rows < 1:
            raise ValueError(f"quantum_rows must be 1 or more, not {quantum_rows!r}")
        self.segment_count = segment_count
        self.quantum_rows = quantum_rows
        # A digest may begin one segment more; a TLP that begins in the last lane one row more.
        longest = 1 + -(-(max_payload_bytes // (4 * SEGMENT_DWORDS)) // segment_count)
        rows = longest + _ROWS_UNDER_WAY
        count_bits = 1 + max(rows, read_rows).bit_length()
        # By class; kept here for the proofs.
        self.queues = [
            SendQueue(
                segment_count=segment_count,
                longest=1 if c is TlpClass.NON_POSTED else longest,
                rows=read_rows if c is TlpClass.NON_POSTED else rows,
                count_bits=count_bits,
                carries_data=c is not TlpClass.NON_POSTED,
            )
            for c in TlpClass
        ]
        self.posted_left = Signal(count_bits)
        self.room = Signal(range(_CARRIED_ROWS + 1), init=_CARRIED_ROWS)
        self.write_place = Signal(range(2 * _CARRIED_ROWS))  # one bit more than the address: laps
        self.read_place = Signal(range(2 * _CARRIED_ROWS))
        self.fetched = Signal(CLASS_COUNT)
        self.taken = Signal(CLASS_COUNT)
        super().__init__(
            {
                "writes": In(stream.Signature(beat)),
                "answers": In(stream.Signature(beat)),
                "reads": In(stream.Signature(TlpHeaderLayout())),
                "limits": In(CreditCountsLayout()),
                "infinite": In(2 * CLASS_COUNT),
                "scale": In(2),
                "link_up": In(1),
                "o": Out(stream.Signature(beat)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        is_down = Signal(init=1)
        m.d.sync += is_down.eq(~self.link_up)

        m.submodules.gather = gather = ReadGather(segment_count=self.segment_count)
        m.submodules.gate = gate = CreditGate()
        reads_queue = self.queues[TlpClass.NON_POSTED.value]
        m.d.comb += [
            gather.i.payload.eq(self.reads.payload),
            gather.i.valid.eq(self.reads.valid & ~is_down),
            self.reads.ready.eq(gather.i.ready | is_down),
            gather.clear.eq(is_down),
            gate.limits.eq(self.limits),
            gate.infinite.eq(self.infinite),
            gate.scale.eq(self.scale),
            gate.link_up.eq(self.link_up),
        ]
        wiring.connect(m, gather.o, reads_queue.i)

        # While others have rows to send, which reads stay behind anyway, they wait for more of
        # them: a row of one read takes as long as a row of four.
        waited = Signal(range(2 * _GATHERING_CYCLES))
        hurries = Signal()
        others = [queue.empty for queue in self.queues if queue is not reads_queue]
        m.d.sync += hurries.eq(Cat(others).all() | waited[-1])
        m.d.comb += gather.hurry.eq(reads_queue.empty & hurries)
        with m.If(~gather.o.p.valid[0] | (gather.o.valid & gather.o.ready)):
            m.d.sync += waited.eq(0)
        with m.Elif(~waited[-1]):
            m.d.sync += waited.eq(waited + 1)

        for source, c in ((self.writes, TlpClass.POSTED), (self.answers, TlpClass.COMPLETION)):
            queue = self.queues[c.value]
            m.d.comb += [
                queue.i.payload.eq(source.payload),
                queue.i.valid.eq(source.valid & ~is_down),
                source.ready.eq(queue.i.ready | is_down),
            ]

        pieces = []
        cuts = Signal(CLASS_COUNT)
        posted = self.queues[TlpClass.POSTED.value]
        for c, queue in zip(TlpClass, self.queues, strict=True):
            name = c.name.lower()
            m.submodules[f"{name}_queue"] = queue
            m.submodules[f"{name}_credits"] = paid = SendCredits(segment_count=self.segment_count)
            m.submodules[f"{name}_skid"] = skid = ResetInserter(is_down)(
                Skid(shape=queue.o.payload.shape())
            )
            wiring.connect(m, queue.o, skid.i)
            wiring.connect(m, skid.o, paid.i)
            m.d.comb += [
                queue.clear.eq(is_down),
                paid.clear.eq(is_down),
                paid.headers.eq(gate.available[c.value].headers),
                paid.data.eq(gate.available[c.value].data),
                gate.spend[c.value].headers.eq(paid.spend_headers),
                gate.spend[c.value].data.eq(paid.spend_data),
                paid.cut.eq(cuts[c.value]),
            ]
            if c is not TlpClass.POSTED:
                m.d.comb += [queue.wait_for.eq(posted.came), queue.left.eq(self.posted_left)]
            pieces.append(paid.o)

        granted = self._take_turns(m, pieces, cuts, is_down)
        self._carry(m, pieces, granted, is_down)
        return m

    def _take_turns(self, m: Module, pieces: list, cuts: Signal, is_down: Value) -> Signal:
        """Choose a class; between a TLP's rows there is no choice. Return who may go, one-hot."""
        requests = Signal(CLASS_COUNT)
        served = Signal(CLASS_COUNT)
        within = Signal()
        room = self.room
        granted = Signal(CLASS_COUNT)
        m.submodules.picker = picker = RoundRobinPicker(request_count=CLASS_COUNT)
        m.d.comb += [
            requests.eq(Cat(piece.valid & piece.p.some for piece in pieces)),
            picker.requests.eq(requests),
            picker.take.eq(room.any() & ~within),
            granted.eq(
                Mux(within, served & requests, picker.grant) & room.any().replicate(CLASS_COUNT)
            ),
        ]
        for n, (piece, queue) in enumerate(zip(pieces, self.queues, strict=True)):
            # A piece without lanes, of a TLP that was taken back, just gives its row free.
            m.d.comb += [
                piece.ready.eq(granted[n] | ~piece.p.some),
                queue.take.eq(piece.valid & piece.ready),
                queue.take_last.eq(piece.p.last),
            ]
        with m.If(granted[TlpClass.POSTED.value] & pieces[TlpClass.POSTED.value].p.ends):
            m.d.sync += self.posted_left.eq(self.posted_left + 1)

        rows = Signal(range(self.quantum_rows + 1))
        with m.If(granted.any()):
            m.d.sync += [
                served.eq(granted),
                within.eq(select_one_hot(granted, [piece.p.within for piece in pieces])),
                rows.eq(Mux(within, rows + (rows != self.quantum_rows), 1)),
            ]
        is_over = within & (rows == self.quantum_rows) & (requests & ~served).any()
        m.d.sync += cuts.eq(served & is_over.replicate(CLASS_COUNT))
        with m.If(is_down):
            m.d.sync += [within.eq(0), self.posted_left.eq(0)]
        return granted

    def _carry(self, m: Module, pieces: list, granted: Signal, is_down: Value) -> None:
        """Bring the row taken from its RAM to the packer."""
        taken, write_place, read_place = self.taken, self.write_place, self.read_place
        fetched_lanes = Signal(self.segment_count)
        taken_lanes = Signal(self.segment_count)
        m.d.sync += [
            self.fetched.eq(granted),
            fetched_lanes.eq(select_one_hot(granted, [piece.p.valid for piece in pieces])),
            taken.eq(self.fetched),
            taken_lanes.eq(fetched_lanes),
        ]
        row = Signal(len(Value.cast(self.queues[0].segments)))
        m.d.comb += row.eq(
            select_wide(taken, [Value.cast(queue.segments) for queue in self.queues])
        )

        m.submodules.rows = memory = Memory(
            shape=len(row) + self.segment_count, depth=_CARRIED_ROWS, init=[]
        )
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        m.submodules.packer = packer = TlpPacker(segment_count=self.segment_count)
        leaves = Signal()
        m.d.comb += [
            write.addr.eq(write_place),
            write.data.eq(Cat(taken_lanes, row)),
            write.en.eq(taken.any()),
            read.addr.eq(read_place),
            Value.cast(packer.i.payload).eq(read.data),
            packer.i.valid.eq(write_place != read_place),
            packer.clear.eq(is_down),
            leaves.eq(packer.i.valid & packer.i.ready),
        ]
        # A link that was down for a single cycle must not see what is left of the one before.
        m.d.comb += [
            self.o.payload.eq(packer.o.payload),
            self.o.valid.eq(packer.o.valid & ~is_down),
            packer.o.ready.eq(self.o.ready),
        ]
        m.d.sync += [
            write_place.eq(write_place + write.en),
            read_place.eq(read_place + leaves),
            self.room.eq(self.room - granted.any() + leaves),
        ]
        with m.If(is_down):
            m.d.sync += [
                write_place.eq(0),
                read_place.eq(0),
                self.room.eq(_CARRIED_ROWS),
                self.fetched.eq(0),
                taken.eq(0),
            ]
