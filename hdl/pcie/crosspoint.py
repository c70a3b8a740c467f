"""Queues between one ingress and one egress port."""

from collections.abc import Sequence
from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .lane_queue import LaneQueue, step
from .parts import CreditAmountsLayout, HeadSignature, PostedRowsLayout, RowLayout
from .tlp import (
    CLASS_COUNT,
    TlpBeatLayout,
    TlpClass,
    TlpSegmentLayout,
    TlpType,
    class_of,
    data_credits,
)
from .turns import Run, Turns

__all__ = ["Crosspoint", "rows_needed"]

#: What :class:`PostedRowsLayout` counts, less the row that has just left.
_MOST_POSTED = 2046


def rows_needed(segment_count: int, headers: int, data: int) -> int:
    """Rows that a queue needs so that ``headers`` and ``data`` credits never overflow it.

    A row in use has a lane that has not left, so a TLP whose header credit is not back yet. A TLP
    of u data credits has at most 1 + u // 2 segments: two credits fill one, and a digest may
    begin one more. Beginning in the last lane it is in 1 + ceil((u // 2) / segment_count) rows,
    and an idle lane behind it keeps it from sharing one. So each TLP is worth a row, its first
    two data credits are worth another, and then every 2 * segment_count are.

    Parameters
    ----------
    segment_count : int
        Segments a beat.
    headers, data : int
        Credits that the ingress port advertises of the class.
    """
    # A TLP has 1024 DW at most: further data credits are of no use.
    pairs = min(data, 256 * headers) // 2
    seconds = min(pairs, headers)
    return headers + seconds + (pairs - seconds) // segment_count


class Crosspoint(wiring.Component):
    """Hold what one ingress port sends to one egress port, and keep the order of the two.

    The lanes of a beat that belong here are stored, by class, as one row for each queue. A queue's
    first row is offered on its head; lanes are taken from it until none is left, then the next
    row is offered, in the next cycle. Nothing stops the input: whoever gives credits gives no more
    than :func:`rows_needed` has rows for.

    Posted TLPs wait for none. Every other TLP waits until each posted row that came before it, or
    came with it and has a posted lane before its first, has left entirely, unless it may pass:

    - with Relaxed Ordering, a completion or a non-posted request with data;
    - with ID-based Ordering, if nothing posted is inside but rows of one requester, and that is
      another: not the requester of the request, or not the completer of the completion.

    A row is offered when all TLPs that begin in it may go. Before that, lanes at its beginning
    that continue a TLP are offered alone: the rest of a TLP never waits, so an egress port that
    has begun one can end it.

    Latency is 2 cycles from ``i`` to a head, and as many from the ``take`` that empties a posted
    row to the rows that it held back. Throughput is 1 row written and 1 row taken per class and
    cycle, whatever is in the rows.

    Specification: PCI Express Base Specification, 2.4.1, transaction ordering (a request with IDO
    may pass a posted one of another Requester ID, a completion one whose Requester ID differs from
    its Completer ID; PASIDs are not looked at), 2.6.1, flow control units. What a posted or
    completion TLP may pass of its own class is not made use of.

    Parameters
    ----------
    segment_count : int
        Segments a beat, 1, 2 or 4.
    row_counts : sequence of int
        Rows of each queue by :class:`TlpClass`, 2 or more, of posted ones up to 2046; see
        :func:`rows_needed`.

    Members
    -------
    i : In(TlpBeatLayout(segment_count))
        Beats, well-formed and whole; ``valid`` is 0 in a cycle without one.
    select : In(segment_count)
        Lanes of ``i`` that belong here: all lanes of a TLP or none.
    heads : Out(HeadSignature(segment_count)).array(3)
        First row of each queue, by :class:`TlpClass`. ``lanes`` may grow while a row waits: see
        above. ``take`` must be 0 while ``lanes`` has no valid one. From registers to ``valid``,
        ``allowed`` and ``lanes`` there are three gates; ``take`` has no combinational path out.
    segments : Out(array of 3 of array of segment_count of TlpSegmentLayout)
        Row, by class, of which lanes were taken in the cycle before; its other lanes mean nothing.
    freed : Out(CreditAmountsLayout)
        Credits of what was taken 2 cycles before, registered: headers at the last segment of each
        TLP but broadcasts, data segment by segment.
    shared_left : Out(range(segment_count + 1))
        Broadcasts among what was taken 2 cycles before, registered: see :class:`SharedCredits`.
    posted : Out(PostedRowsLayout())
        Posted rows inside.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: data.View
    select: Signal
    heads: list[Any]
    segments: data.View
    freed: data.View
    shared_left: Signal
    posted: Any

    def __init__(self, *, segment_count: int, row_counts: Sequence[int]):
        beat = TlpBeatLayout(segment_count)
        if len(row_counts) != CLASS_COUNT or min(row_counts) < 2 or row_counts[0] > _MOST_POSTED:
            raise ValueError(
                f"row_counts must be {CLASS_COUNT} of 2 or more, the first at most {_MOST_POSTED}, "
                f"not {row_counts!r}"
            )
        self.segment_count = segment_count
        self.row_counts = tuple(row_counts)
        super().__init__(
            {
                "i": In(beat),
                "select": In(segment_count),
                "heads": Out(HeadSignature(segment_count)).array(CLASS_COUNT),
                "segments": Out(
                    data.ArrayLayout(
                        data.ArrayLayout(TlpSegmentLayout(), segment_count), CLASS_COUNT
                    )
                ),
                "freed": Out(
                    CreditAmountsLayout(
                        header_bits=segment_count.bit_length(),
                        data_bits=(2 * segment_count).bit_length(),
                    )
                ),
                "shared_left": Out(range(segment_count + 1)),
                "posted": Out(PostedRowsLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = self.segment_count
        segments = list(self.i.segments)

        # Cycle 1: what each lane is. A TLP that leaves the beat is in its last lane.
        lanes = Signal(Shape.cast(RowLayout(count)).width, reset_less=True)
        open_class = Signal(2, reset_less=True)
        open_digest = Signal(reset_less=True)
        tlp_class: Value = open_class
        digest: Value = open_digest
        sops = Signal(count)
        members = [Signal(count, name=f"{c.name.lower()}_members") for c in TlpClass]
        for n, segment in enumerate(segments):
            lane_class = Signal(2, name=f"lane_class_{n}")
            lane_digest = Signal(name=f"lane_digest_{n}")
            m.d.comb += [
                lane_class.eq(Mux(segment.sop, class_of(segment.header), tlp_class)),
                lane_digest.eq(Mux(segment.sop, segment.header.td, digest)),
                sops[n].eq(segment.sop),
            ]
            tlp_class, digest = lane_class, lane_digest
            mine = self.i.valid[n] & self.select[n]
            for c in TlpClass:
                m.d.comb += members[c.value][n].eq(mine & (lane_class == c.value))
            # All but the last segment are full of payload; only a digest may lack behind it.
            unused = Signal(4, name=f"unused_{n}")
            m.d.comb += unused.eq(segment.empty + lane_digest)
            lane = data.View(RowLayout(count), lanes)[n]
            m.d.sync += [
                lane.sop.eq(segment.sop),
                lane.eop.eq(segment.eop),
                lane.cost.eq(data_credits(segment.header)),
                lane.units.eq(
                    Mux(~segment.eop, 2, Mux(unused[3], 0, Mux(unused[2], 1, 2))),
                ),
                # Routers let no others through, and this one to all downstream ports (2.2.8).
                lane.shared.eq(
                    segment.sop
                    & (segment.header.type == TlpType.MESSAGE_BROADCAST)
                    & ~segment.header.has_data
                ),
            ]
        with m.If(self.i.valid[-1]):
            m.d.sync += [open_class.eq(tlp_class), open_digest.eq(digest)]

        # The queues: segments go straight into their RAM, what is known of them a cycle later.
        staged = Signal(data.ArrayLayout(count, CLASS_COUNT))
        writes = Signal(CLASS_COUNT)
        m.d.sync += [
            staged.eq(Cat(members)),
            writes.eq(Cat(of_class.any() for of_class in members)),
        ]
        turns = [Turns(rows=rows) for rows in self.row_counts[1:]]
        queues = []
        for c, rows in zip(TlpClass, self.row_counts, strict=True):
            note_bits = sum(len(t.before) for t in turns) if c is TlpClass.POSTED else 1
            queue = LaneQueue(segment_count=count, rows=rows, note_bits=note_bits)
            m.submodules[f"{c.name.lower()}_lanes"] = queue
            queues.append(queue)
            head = self.heads[c.value]
            m.d.comb += [
                queue.write.eq(writes[c.value]),
                queue.take.eq(head.take),
                head.valid.eq(queue.valid),
                Value.cast(queue.lanes).eq(lanes),
                *(queue.lanes[n].valid.eq(staged[c.value][n]) for n in range(count)),
                Value.cast(head.lanes).eq(Value.cast(queue.head)),
                head.needs.eq(queue.needs),
            ]
            self._store(m, c, members[c.value].any(), queue.pop)
        posted = queues[0]
        m.d.comb += [
            self.heads[0].allowed.eq(1),
            posted.whole.eq(self.heads[0].whole),
            posted.note.eq(Cat(t.before for t in turns)),
        ]

        # The run of posted rows of one requester, for ID-based Ordering.
        requester = Signal(16)
        posted_sops = Signal(count)
        changes = Signal()
        m.d.comb += [
            posted_sops.eq(members[0] & sops),
            changes.eq(
                Cat(
                    posted_sops[n] & (segment.header.requester != requester)
                    for n, segment in enumerate(segments)
                ).any()
            ),
        ]
        for n, segment in enumerate(segments):
            with m.If(posted_sops[n]):
                m.d.sync += requester.eq(segment.header.requester)
        is_one_tlp = Cat(posted_sops == 1 << n for n in range(count)).any()
        continues = members[0][0] & ~sops[0]
        m.submodules.run = run = Run(rows=self.row_counts[0])
        m.d.comb += [
            run.write.eq(writes[0]),
            run.leaves.eq(posted.pop),
            self.posted.inside.eq(run.inside),
            self.posted.leaves.eq(run.left),
        ]
        m.d.sync += [run.changes.eq(changes), run.with_others.eq(~is_one_tlp | continues)]

        # What waits for posted rows.
        is_behind = Cat(members[0][:n].any() for n in range(count))
        held_back = posted.head_note
        for c, turn, queue in zip(list(TlpClass)[1:], turns, queues[1:], strict=True):
            name = c.name.lower()
            m.submodules[f"{name}_turns"] = turn
            relaxed = []
            other_ids = []
            for segment in segments:
                header = segment.header
                attributes = header.attributes
                if c is TlpClass.COMPLETION:
                    relaxed.append(attributes.relaxed_ordering)
                    identifier = header.specific.completion.completer
                else:
                    relaxed.append(attributes.relaxed_ordering & header.has_data)
                    identifier = header.requester
                is_other = identifier != requester
                other_ids.append(attributes.id_ordering & is_other & ~changes)

            # Bit 0: as if posted TLPs of several requesters were inside; bit 1: of the run only.
            waits = Signal(2, name=f"{name}_waits")
            waits_here = Signal(2, name=f"{name}_waits_here")
            waiters = Signal(count, name=f"{name}_waiters")
            m.d.comb += waiters.eq(members[c.value] & sops & ~Cat(relaxed))
            for bit, lanes_waiting in enumerate((waiters, waiters & ~Cat(other_ids))):
                m.d.sync += [
                    waits[bit].eq(lanes_waiting.any()),
                    waits_here[bit].eq((lanes_waiting & is_behind).any()),
                ]
            m.d.comb += [
                turn.waiter.eq(Mux(run.alone, waits[1], waits[0])),
                turn.behind.eq(Mux(run.alone, waits_here[1], waits_here[0])),
                turn.posted_write.eq(writes[0]),
                turn.posted_valid.eq(posted.valid),
                turn.posted_fresh.eq(posted.fresh),
                turn.posted_before.eq(held_back),
                turn.leaves.eq(queue.pop & queue.head_note),
                queue.note.eq(turn.waiter),
            ]
            held_back = held_back[len(turn.before) :]
            self._offer(m, c, queue, turn)

        self._free(m)
        return m

    def _store(self, m: Module, c: TlpClass, writes: Value, leaves: Value) -> None:
        """Keep the segments of rows of class ``c``."""
        name = c.name.lower()
        rows = self.row_counts[c.value]
        m.submodules[f"{name}_segments"] = ram = SimpleDualPortRam(
            shape=len(self.segments[c.value].as_value()),
            depth=rows,
            lane_count=1,
            latency=1,
            bypass=False,
        )
        m.d.comb += [
            ram.write_lanes.eq(writes),
            ram.write_data.eq(self.i.segments.as_value()),
            ram.read_en.eq(self.heads[c.value].take),
            self.segments[c.value].eq(ram.read_data),
        ]
        for address, moves in ((ram.write_address, writes), (ram.read_address, leaves)):
            pointer = Signal.like(address, name=f"{name}_{address.name}")
            m.d.comb += address.eq(pointer)
            step(m, pointer, rows, moves)

    def _offer(self, m: Module, c: TlpClass, queue: LaneQueue, turn: Turns) -> None:
        """Offer a row whose turn it is, and of another row only what continues a TLP."""
        head = self.heads[c.value]
        begun = Signal(self.segment_count, name=f"{c.name.lower()}_begun")
        goes = Signal(name=f"{c.name.lower()}_goes")
        # What continues a TLP, and may go alone, is all up to the first eop.
        m.d.comb += [
            goes.eq(~queue.head_note | turn.may_go),
            queue.whole.eq(head.whole & goes),
        ]
        found: Value = C(0, 1)
        for n in range(self.segment_count):
            lane = queue.head[n]
            found = found | (lane.valid & lane.sop)
            m.d.comb += begun[n].eq(lane.valid & ~found)
            m.d.comb += head.lanes[n].valid.eq(Mux(goes, lane.valid, begun[n]))
        m.d.comb += head.allowed.eq(goes | begun.any())

    def _free(self, m: Module) -> None:
        """Count the credits of what was taken, in a cycle of its own."""
        for c, head in zip(TlpClass, self.heads, strict=True):
            freed = self.freed[c.value]
            ends = Signal(self.segment_count, name=f"{c.name.lower()}_ends")
            units = [
                Signal(2, name=f"{c.name.lower()}_units_{n}") for n in range(self.segment_count)
            ]
            for n in range(self.segment_count):
                lane = head.lanes[n]
                leaves = head.take & Mux(head.whole, lane.valid, head.needs.first[n])
                m.d.sync += [
                    ends[n].eq(leaves & lane.eop),
                    units[n].eq(Mux(leaves, lane.units, 0)),
                ]
            own: Value = ends
            if c is TlpClass.POSTED:
                shared = Signal(self.segment_count)
                m.d.sync += [
                    shared.eq(Cat(lane.shared for lane in head.lanes)),
                    self.shared_left.eq(sum(ends & shared)),
                ]
                own = ends & ~shared
            m.d.sync += [freed.headers.eq(sum(own)), freed.data.eq(sum(units))]
