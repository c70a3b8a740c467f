"""Shift of writes: turns rows to where TLPs want their bytes, and makes the beats."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import Rotate
from ..pcie.tlp import SEGMENT_DWORDS, TlpBeatLayout, TlpHeaderLayout, TlpType
from .parts import row_bytes_of
from .write_parts import ATTRIBUTES, WriteDoneLayout, WriteStepLayout

__all__ = ["WriteShift"]


class WriteShift(wiring.Component):
    """Turn the row of each step, join it with what the step before left over, and send the beat.

    TLPs begin in lane 0. Bytes that the enables leave out are undefined.

    Latency is 4 cycles with 1 segment and 5 above: row, rotator of one or two stages, beat.
    Throughput is a step per cycle.

    Specification: PCI Express Base Specification, memory write requests (2.2.7).

    Parameters
    ----------
    client_count, segment_count : int
        As of :class:`PcieWrite`.

    Members
    -------
    i : In(stream.Signature(WriteStepLayout(client_count, row_bytes)))
        Steps. ``ready`` depends combinationally on ``o.ready`` and ``done.ready``.
    row_data : In(8 * row_bytes)
        Row of the step that was taken last, from the cycle after on.
    requester : In(16)
        Requester ID of the headers.
    o : Out(stream.Signature(TlpBeatLayout(segment_count)))
        Memory writes, registered. ``ready`` must not wait for ``valid``: nothing moves without it.
        If steps come in every cycle, ``valid`` does not fall within a TLP.
    done : Out(stream.Signature(WriteDoneLayout(client_count)))
        Requests that have ended, in the cycle in which their last beat is put in the register of
        ``o``; depends combinationally on ``o.ready``. ``ready`` falls only for what is put in.
    """

    i: stream.Interface
    row_data: Signal
    requester: Signal
    o: stream.Interface
    done: stream.Interface

    def __init__(self, *, client_count: int, segment_count: int):
        self.segment_count = segment_count
        self.row_bytes = row_bytes_of(segment_count)
        step = self.step_layout = WriteStepLayout(client_count, self.row_bytes)
        # The step without what only reading needs, and with what became of its length and shift.
        self.copied = [str(name) for name, _ in step if name not in ("row", "length_1", "shift")]
        self.tag_layout = data.StructLayout(
            {name: step[name].shape for name in self.copied}
            | {"length": 10, "below": self.row_bytes}
        )
        super().__init__(
            {
                "i": In(stream.Signature(step)),
                "row_data": In(8 * self.row_bytes),
                "requester": In(16),
                "o": Out(stream.Signature(TlpBeatLayout(segment_count))),
                "done": Out(stream.Signature(WriteDoneLayout(client_count))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rotate = rotate = Rotate(
            lane_count=self.row_bytes,
            lane_bits=8,
            tag_bits=self.tag_layout.size,
            stages=1 if self.row_bytes <= 32 else 2,
            direction="left",
        )

        # While the row is read, then with the row.
        step = Signal(self.step_layout, reset_less=True)
        step_valid = Signal()
        tag = Signal(self.tag_layout, reset_less=True)
        amount = Signal(range(self.row_bytes), reset_less=True)
        row = Signal(8 * self.row_bytes, reset_less=True)
        row_valid = Signal()
        # All stages move together, which asks few questions: gaps stay as they are.
        moves = Signal()
        m.d.comb += [
            self.i.ready.eq(moves),
            rotate.i.valid.eq(row_valid & moves),
            rotate.i.p.data.eq(row),
            rotate.i.p.amount.eq(amount),
            rotate.i.p.tag.eq(tag),
        ]
        with m.If(moves):
            m.d.sync += [
                step_valid.eq(self.i.valid),
                step.eq(self.i.payload),
                row_valid.eq(step_valid),
                row.eq(self.row_data),
                amount.eq(step.shift),
                *(tag[name].eq(step[name]) for name in self.copied),
                tag.length.eq(step.length_1 + 1),
                tag.below.eq(Cat(step.shift > place for place in range(self.row_bytes))),
            ]

        turned = Signal(self.tag_layout)
        begins = Signal()
        takes = Signal()
        made = Signal(self.done.p.number.shape())
        number = Signal.like(made)
        m.d.comb += [
            turned.eq(rotate.o.p.tag),
            # A TLP begins only if there is room for its response: its last beat must not wait.
            begins.eq(rotate.o.valid & Mux(turned.emit, turned.sop, turned.end)),
            moves.eq(self.o.ready & (self.done.ready | ~begins)),
            rotate.o.ready.eq(moves),
            takes.eq(rotate.o.valid & moves),
            number.eq(made + (turned.emit & turned.eop)),
            self.done.valid.eq(rotate.o.valid & turned.end & self.o.ready),
            self.done.p.client.eq(turned.client),
            self.done.p.tag.eq(turned.tag),
            self.done.p.status.eq(turned.status),
            self.done.p.number.eq(number),
        ]

        kept = Signal(8 * self.row_bytes, reset_less=True)
        with m.If(takes):
            m.d.sync += [kept.eq(rotate.o.p.data), made.eq(number)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(takes & turned.emit)
        joined = Signal(8 * self.row_bytes)
        for place in range(self.row_bytes):
            byte = slice(8 * place, 8 * (place + 1))
            m.d.comb += joined[byte].eq(Mux(turned.below[place], kept[byte], rotate.o.p.data[byte]))
        self._make(m, turned, joined)
        return m

    def _make(self, m: Module, turned: data.View, joined: Value) -> None:
        """Put the beat in the register of ``o``."""
        bits = len(joined) // self.segment_count
        payload = Signal(len(joined), reset_less=True)
        header = Signal(TlpHeaderLayout(), reset_less=True)
        memory = header.specific.memory
        lanes = Signal(self.segment_count, reset_less=True)
        last_lane = Signal(self.segment_count, reset_less=True)
        sop = Signal(reset_less=True)
        empty = Signal(range(SEGMENT_DWORDS), reset_less=True)
        nullified = Signal(reset_less=True)
        lane_bits = SEGMENT_DWORDS.bit_length() - 1
        end = turned.dwords_1[lane_bits:]  # no bits if there is one segment
        with m.If(self.o.ready):
            m.d.sync += [
                payload.eq(joined),
                lanes.eq(Cat(end >= n for n in range(self.segment_count))),
                last_lane.eq(Cat(turned.eop & (end == n) for n in range(self.segment_count))),
                sop.eq(turned.sop),
                empty.eq(~turned.dwords_1[:lane_bits]),
                nullified.eq(turned.nullified),
                header.has_data.eq(1),
                header.type.eq(TlpType.MEMORY),
                header.four_dwords.eq(turned.four_dwords),
                header.length.eq(turned.length),
                header.requester.eq(self.requester),
                memory.address.eq(Cat(C(0, 2), turned.dword, turned.page)),
                memory.first_be.eq(turned.first_be),
                memory.last_be.eq(turned.last_be),
                *(header.attributes[name].eq(turned[name]) for name in ATTRIBUTES),
            ]
        first = self.o.p.segments[0]
        m.d.comb += [self.o.p.valid.eq(lanes), first.sop.eq(sop), first.header.eq(header)]
        for n in range(self.segment_count):
            segment = self.o.p.segments[n]
            m.d.comb += [
                segment.data.eq(payload.word_select(n, bits)),
                segment.eop.eq(last_lane[n]),
                segment.empty.eq(empty),
                segment.nullified.eq(nullified & last_lane[n]),
            ]
