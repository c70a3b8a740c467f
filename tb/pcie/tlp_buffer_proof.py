"""Proofs of hdl.pcie.TlpBuffer."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.pcie import CheckedBeatLayout, TlpBuffer
from tb.prove import Proof

__all__ = ["PROOFS"]

MAX_PAYLOAD_BYTES = 128
TAG_BITS = 2


class _WholeTlps(wiring.Component):
    """A buffer whose input keeps the rules of :class:`CheckedBeatLayout`, whatever TLPs it is.

    Each good TLP carries its number, modulo 4, in every segment; the bad ones do not count. What
    comes out is then numbered without a hole, each TLP from sop to eop without an idle lane or
    cycle, and never are there more beats inside than the block says.
    """

    i: Any
    will_be_good: Signal

    def __init__(self, segment_count: int, *, control_only: bool = False):
        self.segment_count = segment_count
        self.control_only = control_only
        super().__init__({"i": In(CheckedBeatLayout(segment_count)), "will_be_good": In(1)})

    def elaborate(self, platform):
        m = Module()
        count = self.segment_count
        m.submodules.buffer = buffer = TlpBuffer(
            segment_count=count, max_payload_bytes=MAX_PAYLOAD_BYTES
        )
        m.d.comb += buffer.i.eq(self.i)
        most_beats = buffer.depth - 1

        # The rules of the input, lane by lane.
        is_open = Signal()
        is_good = Signal()  # the open TLP will be good: the solver's word, kept to
        open_beats = Signal(range(most_beats + 1))
        number = Signal(TAG_BITS)
        valid, tail = self.i.beat.valid, self.i.tail
        inside: Value = is_open & ~(self.i.ended & self.i.bad)
        good: Value = is_good
        next_number: Value = number
        eop_of_open = C(0, 1)
        leads: Value = inside
        rules = [~self.i.ended | is_open]
        for lane in range(count):
            segment = self.i.beat.segments[lane]
            begins = valid[lane] & segment.sop
            rules += [
                ~valid[lane] | (segment.sop == ~inside),
                valid[lane] | ~valid.any() | ~inside,
                ~tail[lane] | valid[lane],
            ]
            # A TLP that ends in the beat in which it began is there because it is good.
            ends_here = Cat(
                valid[n] & self.i.beat.segments[n].eop for n in range(lane, count)
            ).any()
            good = Mux(begins, ends_here | self.will_be_good, good)
            rules.append(
                ~(valid[lane] & good) | (segment.data[:TAG_BITS] == next_number[:TAG_BITS])
            )
            rules.append(tail[lane] == (valid[lane] & ~ends_here))
            ends = valid[lane] & segment.eop
            eop_of_open |= leads & ends
            leads &= ~ends
            next_number = (next_number + (ends & good))[:TAG_BITS]
            inside = Mux(valid[lane], ~segment.eop, inside)
        rules += [
            (self.i.ended & ~self.i.bad) == (is_open & eop_of_open),
            ~self.i.ended | (self.i.bad == ~is_good),
            # Behind the last beat of those that a TLP may have, none is open.
            ~(tail.any() & is_open & ~self.i.ended) | (open_beats < most_beats - 1),
        ]
        goes_on = Signal()
        m.d.comb += goes_on.eq(is_open & ~self.i.ended)
        m.d.sync += [is_open.eq(inside & (valid.any() | goes_on)), number.eq(next_number)]
        with m.If(valid.any()):
            m.d.sync += is_good.eq(good)
            with m.If(tail.any()):
                m.d.sync += open_beats.eq(Mux(goes_on, open_beats + 1, 1))

        stored = Signal(range(buffer.depth + 1))
        since_open = Signal(range(buffer.depth + 1))
        m.d.comb += [
            stored.eq(_distance(buffer.read_address, buffer.write_address, buffer.depth)),
            since_open.eq(_distance(buffer.open_address, buffer.write_address, buffer.depth)),
        ]
        with m.If(~ResetSignal()):
            m.d.comb += [
                *(Assume(rule, "a rule of the input") for rule in rules),
                Assert(stored <= most_beats, "more beats than there may be"),
                # What ties the state to what was seen.
                Assert(buffer.write_address < buffer.depth, "no such row"),
                Assert(buffer.read_address < buffer.depth, "no such row"),
                Assert(~is_open | (buffer.open_address < buffer.depth), "no such row"),
                Assert(buffer.count == stored, "counted wrongly"),
                Assert(buffer.some == (stored > 0), "something or nothing"),
                Assert(buffer.is_open == is_open, "a TLP began or ended unseen"),
                Assert(
                    ~is_open
                    | ((since_open == open_beats) & (open_beats >= 1) & (since_open <= stored)),
                    "the open TLP begins elsewhere",
                ),
                Assert(~is_open | (open_beats < most_beats), "too long a TLP"),
                Cover((stored == most_beats) & is_open, "all rows"),
            ]
        if not self.control_only:
            self._check_output(m, buffer)
        return m

    def _check_output(self, m: Module, buffer: TlpBuffer) -> None:
        within = Signal()
        number = Signal(TAG_BITS)
        beat = buffer.o
        inside: Value = within
        expected: Value = number
        checks = [~within | beat.valid.any()]
        for lane in range(self.segment_count):
            segment = beat.segments[lane]
            here = beat.valid[lane]
            checks += [
                ~here | (segment.sop == ~inside),
                here | ~inside,
                ~here | (segment.data[:TAG_BITS] == expected[:TAG_BITS]),
            ]
            expected = (expected + (here & segment.eop))[:TAG_BITS]
            inside = Mux(here, ~segment.eop, inside)
        m.d.sync += [within.eq(inside), number.eq(expected)]
        with m.If(~ResetSignal()):
            m.d.comb += [Assert(check, "not a whole, good TLP in turn") for check in checks]
            m.d.comb += Cover(number == 3, "three came out")


def _distance(first: Value, last: Value, depth: int) -> Value:
    """Rows from ``first`` up to ``last``, around the end."""
    return Mux(last >= first, last - first, last + depth - first)


PROOFS = [
    *(
        Proof(
            f"pcie.TlpBuffer/never overflows, {count} segments",
            lambda count=count: _WholeTlps(count, control_only=True),
            depth=3,
        )
        for count in (1, 2, 4)
    ),
    Proof("pcie.TlpBuffer/whole good TLPs, 2 segments", lambda: _WholeTlps(2), depth=6, mode="bmc"),
    Proof("pcie.TlpBuffer/all is reached", lambda: _WholeTlps(2), depth=9, mode="cover"),
]
