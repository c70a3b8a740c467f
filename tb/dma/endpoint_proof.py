"""Proofs of the parts of hdl.dma.EndpointTransmit."""

from amaranth import *
from amaranth.hdl import Assert, Assume
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.dma import EndpointTransmit, SendCredits, SendQueue
from hdl.dma.send_parts import SendPartLayout
from hdl.pcie.tlp import TlpBeatLayout, TlpHeaderLayout
from tb.prove import Proof

from ..stream.rules import assert_stream

__all__ = ["PROOFS"]

_ROWS = 3
_COUNT_BITS = 3


class _Rows(wiring.Component):
    """A queue whose user takes no more rows than it was offered.

    Whatever comes in, the four places stay in their order, so that no row is written before it is
    free, or read before it is written.
    """

    i: stream.Interface
    wait_for: Signal
    left: Signal
    ready: Signal
    take: Signal
    take_last: Signal
    clear: Signal

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(TlpBeatLayout(1))),
                "wait_for": In(_COUNT_BITS),
                "left": In(_COUNT_BITS),
                "ready": In(1),
                "take": In(1),
                "take_last": In(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = SendQueue(
            segment_count=1, longest=2, rows=_ROWS, count_bits=_COUNT_BITS, carries_data=False
        )
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        m.d.comb += [
            queue.wait_for.eq(self.wait_for),
            queue.left.eq(self.left),
            queue.o.ready.eq(self.ready),
            queue.take.eq(self.take),
            queue.take_last.eq(self.take_last),
            queue.clear.eq(self.clear),
        ]
        # Last parts that were accepted and not taken.
        owed = Signal(range(_ROWS + 2))
        accepted = queue.o.valid & self.ready & queue.o.p.last
        m.d.sync += owed.eq(owed + accepted - (self.take & self.take_last))
        with m.If(self.clear):
            m.d.sync += owed.eq(0)
        offered = queue.o.valid & queue.o.p.last

        def between(behind: Value, ahead: Value) -> Value:
            return Mux(ahead >= behind, ahead - behind, ahead + (_ROWS + 1) - behind)

        used = Signal(range(_ROWS + 2))
        read = Signal.like(used)
        walked = Signal.like(used)
        m.d.comb += [
            used.eq(between(queue.free_place, queue.write_place)),
            read.eq(between(queue.free_place, queue.read_place)),
            walked.eq(between(queue.free_place, queue.walk_place)),
        ]
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~(self.take & self.take_last) | owed.any(), "takes what it was offered"),
                Assert(queue.room == _ROWS - used, "rows are counted wrongly"),
                Assert(read == owed + offered, "a row is read twice, or not at all"),
                Assert((read <= walked) & (walked <= used), "a row is passed"),
                *(
                    Assert(place <= _ROWS, "no such row")
                    for place in (
                        queue.write_place,
                        queue.walk_place,
                        queue.read_place,
                        queue.free_place,
                    )
                ),
            ]
        return m


class _Order(wiring.Component):
    """A queue behind posted rows, of which ``ahead`` have come and not gone.

    A row's ``debt`` is how many of them had come before it and have not gone; below 0 it counts on
    what has gone since, so that it tells of counts that go round. The walk passes no row that has
    a debt. A TLP is offered when the walk has passed all of its rows.
    """

    i: stream.Interface
    comes: Signal
    goes: Signal
    ready: Signal
    clear: Signal

    def __init__(self):
        bits = ("comes", "goes", "ready", "clear")
        super().__init__({"i": In(stream.Signature(TlpBeatLayout(1)))} | dict.fromkeys(bits, In(1)))

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = SendQueue(
            segment_count=1, longest=2, rows=_ROWS, count_bits=_COUNT_BITS, carries_data=False
        )
        wiring.connect(m, wiring.flipped(self.i), queue.i)

        ahead = Signal(range(_ROWS + 1))
        left = Signal(_COUNT_BITS)
        comes = Signal()
        goes = Signal()
        m.d.comb += [
            comes.eq(self.comes & (ahead != _ROWS)),
            goes.eq(self.goes & ahead.any()),
            queue.wait_for.eq(left + ahead),
            queue.left.eq(left),
            queue.clear.eq(self.clear),
            queue.o.ready.eq(self.ready),
        ]
        m.d.sync += [
            ahead.eq(ahead + comes - goes),
            left.eq(left + goes),
            # What is accepted is taken in the next cycle.
            queue.take.eq(queue.o.valid & self.ready),
            queue.take_last.eq(queue.o.p.last),
        ]
        with m.If(self.clear):
            m.d.sync += [ahead.eq(0), left.eq(0), queue.take.eq(0)]

        def distance(place: Value) -> Value:
            free = queue.free_place
            return Mux(place >= free, place - free, place + (_ROWS + 1) - free)

        # Of each row: how many are in front of it, what it waits for, its debt.
        debts = [Signal(signed(_COUNT_BITS + 1), name=f"debt_{n}") for n in range(_ROWS + 1)]
        distances = [Signal(range(_ROWS + 1), name=f"distance_{n}") for n in range(_ROWS + 1)]
        waits = []
        for n, debt in enumerate(debts):
            port = queue.waits.read_port(domain="comb")
            waits.append(port.data)
            m.d.comb += [port.addr.eq(n), distances[n].eq(distance(Const(n)))]
            with m.If(queue.stores & (queue.write_place == n)):
                m.d.sync += debt.eq(ahead - goes)
            with m.Elif(goes & (debt > -_ROWS)):
                m.d.sync += debt.eq(debt - 1)
        used = Signal(range(_ROWS + 1))
        walked = Signal.like(used)
        read = Signal.like(used)
        begun = Signal.like(used)
        m.d.comb += [
            used.eq(distance(queue.write_place)),
            walked.eq(distance(queue.walk_place)),
            read.eq(distance(queue.read_place)),
            begun.eq(distance(queue.walked_open_place)),
        ]

        # A TLP of which a row was read, and not the last one.
        within = Signal()
        reads = Signal()
        m.d.comb += reads.eq(
            (self.ready | ~queue.o.valid)
            & (read != walked)
            & ~(queue.walked_open & (read == begun))
        )
        for n, row in enumerate(waits):
            with m.If(reads & (queue.read_place == n)):
                m.d.sync += within.eq(row.tail)
        with m.If(self.clear):
            m.d.sync += within.eq(0)

        segment = self.i.p.segments[0]
        is_begin = self.i.valid & self.i.p.valid & segment.sop
        taken = queue.take & queue.take_last
        facts: list[tuple[Value, str]] = [
            (queue.room == _ROWS - used, "rows are counted"),
            (read == taken + (queue.o.valid & queue.o.p.last), "each row is read once"),
            ((read <= walked) & (walked <= used), "rows have an order"),
            (~queue.walked_open | ((read <= begun) & (begun < walked)), "waits for its end"),
            (walked.any() | ~queue.walked_open, "an open TLP is here"),
            (used.any() | ~queue.is_open, "an open TLP is here"),
            *((place <= _ROWS, "there is this place") for place in self._places(queue)),
        ]
        ends = []
        for n, (row, debt, at) in enumerate(zip(waits, debts, distances, strict=True)):
            behind, next_debt = waits[(n + 1) % len(waits)], debts[(n + 1) % len(waits)]
            pending = (at >= walked) & (at < used)
            here = at < used
            after = at + 1
            ends.append((at >= read) & (at < walked) & ~row.tail)
            facts += [
                (~pending | (row.wait_for == (left + debt)[:_COUNT_BITS]), "waits for its debt"),
                (~pending | (debt <= ahead), "owes no more than there are"),
                (~pending | (debt + (_ROWS - 1) >= at - walked), "is looked at soon"),
                (~pending | (after >= used) | (debt <= next_debt), "the next one owes more"),
                ((at >= walked) | (debt <= 0), "passed a posted row"),
                (~here | ~row.begins | row.tail, "begins in the tail"),
                (
                    ~here
                    | (after >= used)
                    | (behind.tail & ~behind.begins == row.tail & behind.tail),
                    "a TLP goes on in the next row",
                ),
                (~here | (after != used) | (row.tail == queue.is_open), "is open"),
                ((at >= walked) | (after != walked) | (row.tail == queue.walked_open), "is open"),
                (
                    ~queue.walked_open
                    | (at < begun)
                    | (at >= walked)
                    | (row.tail & (row.begins == (at == begun))),
                    "the open TLP's rows",
                ),
                ((at != read) | ~here | within | ~row.tail | row.begins, "is read from its begin"),
            ]
        facts.append((~within | Cat(ends).any(), "offered before its end was seen"))
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~(is_begin & queue.is_open), "well-formed TLPs"),
                *(Assert(fact, text) for fact, text in facts),
            ]
        return m

    def _places(self, queue: SendQueue) -> list[Signal]:
        return [queue.write_place, queue.walk_place, queue.read_place, queue.free_place]


def _is_well_formed(lanes, valid: Value) -> Value:
    """Whether TLPs among the ``valid`` lanes begin behind an eop, and cost what they can."""
    rules = [lane.cost <= 256 for lane in lanes]
    goes_on: Value = C(0, 1)
    for n, lane in enumerate(lanes):
        rules.append(~(valid[n] & lane.sop & goes_on))
        goes_on = Mux(valid[n], ~lane.eop, goes_on)
    return Cat(rules).all()


class _Spend(wiring.Component):
    """Credits of one class, that come as they like, and are never overdrawn."""

    i: stream.Interface
    ready: Signal
    cut: Signal
    more_headers: Signal
    more_data: Signal

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(SendPartLayout(2))),
                "ready": In(1),
                "cut": In(1),
                "more_headers": In(12),
                "more_data": In(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.credits = credits = SendCredits(segment_count=2)
        wiring.connect(m, wiring.flipped(self.i), credits.i)
        headers = Signal(13)
        units = Signal(17)
        m.d.comb += [
            credits.o.ready.eq(self.ready),
            credits.cut.eq(self.cut),
            credits.headers.eq(headers),
            credits.data.eq(units),
        ]
        # As CreditGate keeps them: below half of their width.
        next_headers = headers - credits.spend_headers + self.more_headers
        next_units = units - credits.spend_data + self.more_data
        m.d.sync += [headers.eq(next_headers), units.eq(next_units)]
        offered = Cat(lane.valid for lane in self.i.p.lanes)
        m.d.comb += Assume(_is_well_formed(self.i.p.lanes, offered), "a part by the rules")
        held, left, needs = credits.held, credits.left, credits.needs

        # What is left of the part that waits, and what was added up of it.
        costs: Value = C(0, 1)
        begins: Value = C(0, 1)
        first_costs: Value = C(0, 1)
        first_begins: Value = C(0, 1)
        first = []
        ended: Value = C(0, 1)
        for n, lane in enumerate(held.lanes):
            is_first = left[n] & ~ended
            here = left[n] & lane.sop
            first.append(is_first)
            costs = costs + Mux(here, lane.cost, 0)
            begins = begins + here
            first_costs = first_costs + Mux(here & is_first, lane.cost, 0)
            first_begins = first_begins + (here & is_first)
            ended = ended | (left[n] & lane.eop)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(next_headers <= 1 << 11, "as CreditGate has it"),
                Assume(next_units <= 1 << 15, "as CreditGate has it"),
                Assert(_is_well_formed(held.lanes, left), "a part by the rules"),
                Assert(needs.first == Cat(first), "the first TLP"),
                Assert((needs.headers == begins) & (needs.cost == costs), "what all need"),
                Assert(
                    (needs.first_begins == first_begins) & (needs.first_cost == first_costs),
                    "what the first needs",
                ),
                Assert((headers <= 1 << 11) & (units <= 1 << 15), "as CreditGate has it"),
                Assert(credits.spend_headers <= headers, "a header without credit"),
                Assert(credits.spend_data <= units, "data without credit"),
            ]
        assert_stream(m, "o", credits.o)
        return m


class _Carried(wiring.Component):
    """A transmit side, whatever it sends: rows on the way to the packer have a place there."""

    writes: stream.Interface
    answers: stream.Interface
    reads: stream.Interface
    infinite: Signal
    link_up: Signal
    ready: Signal

    def __init__(self):
        beat = stream.Signature(TlpBeatLayout(1))
        super().__init__(
            {
                "writes": In(beat),
                "answers": In(beat),
                "reads": In(stream.Signature(TlpHeaderLayout())),
                "infinite": In(6),
                "link_up": In(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmit = transmit = EndpointTransmit(
            segment_count=1, max_payload_bytes=128, read_rows=2
        )
        for name in ("writes", "answers", "reads"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(transmit, name))
        m.d.comb += [
            transmit.infinite.eq(self.infinite),
            transmit.link_up.eq(self.link_up),
            transmit.o.ready.eq(self.ready),
        ]
        carried = transmit.write_place - transmit.read_place
        with m.If(~ResetSignal()):
            m.d.comb += Assert(
                transmit.room
                + carried[: len(transmit.write_place)]
                + transmit.fetched.any()
                + transmit.taken.any()
                == 4,
                "a row has no place",
            )
        return m


PROOFS = [
    Proof("dma.Endpoint/no row is written before it is free", _Rows, depth=3),
    Proof("dma.Endpoint/nothing passes posted rows", _Order, depth=2),
    Proof("dma.Endpoint/credits are not overdrawn", _Spend, depth=2),
    Proof("dma.Endpoint/rows on the way have a place", _Carried, depth=2),
]
