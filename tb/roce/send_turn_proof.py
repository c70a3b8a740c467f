"""Proofs of hdl.roce.SendFind and SendDecide, one behind the other: what any turn may do."""

from dataclasses import replace
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.config import RoceConfig
from hdl.roce.context import QueuePairState
from hdl.roce.opcode import Service
from hdl.roce.peer_layouts import ReplyStateLayout
from hdl.roce.send_decide import SendDecide
from hdl.roce.send_find import SendFind
from hdl.roce.send_layouts import GatheredLayout, PositionLayout
from hdl.roce.send_scheduler import TIME_BITS, TurnKind
from hdl.roce.send_state import SendStateLayout
from hdl.roce.turn_context import TurnContextLayout
from hdl.roce.work_layouts import FetchedLayout, SendKind, WorkHeadLayout
from tb.prove import Proof

from .sizes import SMALL

__all__ = ["PROOFS"]

_HALF = 1 << 23
_CONFIG = RoceConfig(**{"data_bytes": 128, **SMALL, "queue_pairs": 2, "send_requests": 4})
_REQUESTS, _READS = _CONFIG.send_requests, _CONFIG.resources


def _distance(m: Module, name: str, to: Value, since: Value) -> Signal:
    """From ``since`` to ``to``, modulo what they have."""
    distance = Signal(len(to), name=name)
    m.d.comb += distance.eq(to - since)
    return distance


class _Turn(wiring.Component):
    """A turn with any rows; what they have to be for it is assumed, and holds behind it again."""

    state: Any
    context: Any
    replies: Any
    retired: Any
    fetched: Any
    gathered: Any
    producer: Signal
    head: Any
    time: Signal
    hint: Signal
    now: Signal
    is_set_up: Signal
    is_held: Signal

    def __init__(self, topic: str, *, cover: bool = False):
        self.topic = topic
        self.cover = cover
        super().__init__(
            {
                "state": In(SendStateLayout(_CONFIG)),
                "context": In(TurnContextLayout(_CONFIG)),
                "replies": In(ReplyStateLayout(_CONFIG)),
                "retired": In(PositionLayout(_CONFIG)),
                "fetched": In(FetchedLayout(_CONFIG)),
                "gathered": In(GatheredLayout(_CONFIG)),
                "producer": In(16),
                "head": In(WorkHeadLayout()),
                "time": In(TIME_BITS),
                "hint": In(_CONFIG.bits("send_slots")),
                "now": In(TIME_BITS),
                "is_set_up": In(1),
                "is_held": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.find = find = SendFind(config=_CONFIG)
        m.submodules.decide = decide = SendDecide(config=_CONFIG)
        both = ("state", "context", "replies", "retired", "head")
        for name in (*both, "fetched", "gathered", "producer", "time", "hint", "now"):
            m.d.comb += getattr(find, name).eq(getattr(self, name))
        for name in both:
            m.d.comb += getattr(decide, name).eq(getattr(self, name))
        m.d.comb += [
            decide.found.eq(find.o),
            decide.is_set_up.eq(self.is_set_up),
            decide.is_held.eq(self.is_held),
        ]
        self.step: Any = decide.o
        self.new: Any = decide.o.state
        state, context, replies = self.state, self.context, self.replies
        m.d.comb += [
            # Else it is no context.
            Assume((context.mtu_shift >= 8) & (context.mtu_shift <= 12), "path MTU"),
            Assume(context.window <= _HALF, "window"),
            # What `_places` shows of the state behind each turn.
            Assume(self._fits(m, "before", state), "as turns leave it"),
        ]
        is_new = state.cursor.sequence == state.begun.sequence
        self.names = {
            "is_new": is_new,
            "is_rc": context.service == Service.RC,
            "leaves": self.step.sends & ~self.is_set_up & ~self.step.is_local,
            "under_way": _distance(m, "under_way", state.psn, replies.oldest),
            "reads": _distance(m, "reads", state.begun.reads, replies.reads),
            "begun": _distance(m, "begun", state.begun.sequence, self.retired.sequence),
        }
        # Packets of the entry, as one would count them by hand.
        self.count = Signal(33)
        head = self.head
        self.is_read = head.kind == SendKind.READ.value
        self.is_atomic = head.kind.matches(SendKind.COMPARE_SWAP.value, SendKind.FETCH_ADD.value)
        with m.Switch(context.mtu_shift):
            for shift in range(8, 13):
                with m.Case(shift):
                    m.d.comb += self.count.eq(head.length[shift:] + head.length[:shift].any())
        with m.If(~head.length.any() | self.is_atomic):
            m.d.comb += self.count.eq(1)
        getattr(self, f"_{self.topic}")(m)
        if self.cover:
            leaves = self.names["leaves"]
            m.d.comb += [
                Cover(leaves & is_new & self.is_read & (self.count == 3), "a READ begins"),
                Cover(leaves & ~is_new & (state.number == 2) & self.step.last, "a last packet"),
                Cover(leaves & (self.new.psn == 0), "round the PSNs"),
                Cover(self.step.begins & self.step.is_local & self.step.sends, "a local one"),
                Cover(self.step.kind == TurnKind.WAITS, "its rate"),
                Cover(self.new.number[2:].any() & (self.step.kind == TurnKind.SKIPPED), "walks"),
            ]
        return m

    def _fits(self, m: Module, name: str, state: Any) -> Value:
        """Whether cursor, number and PSN go together."""
        psn = Signal(24, name=f"{name}_psn")
        m.d.comb += psn.eq(state.cursor.psn + state.number)
        is_new = state.cursor.sequence == state.begun.sequence
        is_error = state.state == QueuePairState.ERROR
        return (state.psn == psn) & (~is_new | ~state.number.any()) & (~is_error | is_new)

    def _places(self, m: Module) -> None:
        """Cursor, number and PSN go together; packets of an entry are in order, up to the last."""
        names, state, new, step = self.names, self.state, self.new, self.step
        head, context = self.head, self.context
        leaves, is_new = names["leaves"], names["is_new"]
        is_last = state.number == self.count - 1
        has_response = self.is_read | self.is_atomic
        moves = new.cursor.sequence != state.cursor.sequence
        next_psn = Signal(24)
        next_entry = Signal(24)
        m.d.comb += [
            # An entry stays on chip while its packets are sent.
            Assume(is_new | (state.number < self.count), "a packet of the entry"),
            next_psn.eq(state.psn + 1),
            next_entry.eq(state.cursor.psn + self.count),
            Assert(self._fits(m, "after", new), "what is next is where it should be"),
            Assert(
                ~leaves | (step.last == (has_response | is_last)), "last is that with number n - 1"
            ),
            Assert(~leaves | (new.psn == Mux(has_response, next_entry, next_psn)), "PSN behind it"),
            Assert(~leaves | (step.after.psn == next_entry), "PSN behind the entry"),
            Assert(~leaves | (step.after.slot == (state.cursor.slot + head.slots)[:16]), "slots"),
            Assert(~leaves | (moves == step.last), "moves on behind the last one, only then"),
            Assert(~(leaves & ~step.last) | (new.number < self.count), "never beyond the last"),
            Assert(~(leaves & step.last & ~has_response) | (new.psn == next_entry), "all of it"),
            # Whoever walks finds a packet of the entry, or goes to the next one.
            Assert(
                ~(step.kind == TurnKind.SKIPPED)
                | step.is_local
                | moves
                | (new.number == state.number)
                | ~new.number.any()
                | (new.number < self.count),
                "walks to a packet of it",
            ),
            Assert(~leaves | (head.length <= 1 << 31) & (self.count <= _HALF), "as long as may be"),
            Assert(~leaves | ~self.is_atomic | (head.length == 8), "atomic"),
            Assert(
                ~leaves
                | (context.service != Service.UD)
                | (step.last & (head.length <= (1 << context.mtu_shift))),
                "datagrams are one packet",
            ),
            Assert(
                ~(step.kind == TurnKind.SENT) | leaves | self.is_set_up, "sent is what has left"
            ),
        ]

    def _highest(self, m: Module) -> None:
        """Show that what was ever sent ends behind the last new packet."""
        leaves, state, new = self.names["leaves"], self.state, self.new
        grows = Signal(24)
        m.d.comb += [
            Assume(self.names["is_new"] | (state.number < self.count), "a packet of the entry"),
            grows.eq(new.highest - state.highest),
            Assert(
                self.is_set_up
                | (
                    new.highest
                    == Mux(leaves & (state.psn == state.highest), new.psn, state.highest)
                ),
                "highest is moved by what was never sent, only",
            ),
            Assert(self.is_set_up | (grows <= _HALF), "highest never goes back"),
        ]

    def _limits(self, m: Module) -> None:
        """Windows, READs, fences, rings of those that have begun."""
        names, step = self.names, self.step
        leaves, under_way, reads = names["leaves"], names["under_way"], names["reads"]
        begins = step.begins & ~self.is_set_up
        takes = (self.head.kind == SendKind.SEND.value) | (
            (self.head.kind == SendKind.WRITE.value) & self.head.has_immediate
        )
        lead = _distance(m, "lead", self.replies.allowed, self.state.cursor.msn)
        has_credit = ~self.context.has_credits | ~takes | ((lead != 0) & (lead < _HALF))
        end = _distance(m, "end", step.after.psn, self.replies.oldest)
        begun_reads = _distance(m, "begun_reads", self.new.begun.reads, self.replies.reads)
        begun_after = _distance(m, "begun_after", self.new.begun.sequence, self.retired.sequence)
        has_response = self.is_read | self.is_atomic
        packets = begins & ~step.is_local
        m.d.comb += [
            Assume(names["begun"] <= _REQUESTS, "as many as there are have begun"),
            Assume(reads <= _READS, "as many READs as there may be"),
            Assume(
                ~names["is_new"] | (Value.cast(self.state.cursor) == Value.cast(self.state.begun)),
                "entries are what they were when they began",
            ),
            Assume(
                (names["begun"] != 0)
                | ((reads == 0) & (self.state.begun.psn == self.replies.oldest)),
                "of what has ended, all has been responded to",
            ),
            Assert(~(leaves & names["is_rc"]) | (under_way < self.context.window), "window"),
            Assert(~packets | ((end - 1)[:24] < _HALF), "2**23 PSNs"),
            Assert(
                ~(leaves & names["is_rc"] & ~has_credit)
                | (under_way == 0)
                | (under_way < self.state.number),
                "without credit it is the first one, alone",
            ),
            Assert(
                ~(leaves & names["is_rc"] & (~has_credit | (under_way + 1 == self.context.window)))
                | step.asks,
                "who will wait asks",
            ),
            Assert(
                ~(packets & has_response)
                | ((reads < self.context.reads) & (reads < _READS) & names["is_rc"]),
                "READs",
            ),
            Assert(self.is_set_up | (begun_reads <= _READS), "READs, afterwards"),
            Assert(~(packets & self.head.fence) | (reads == 0), "fence"),
            Assert(~begins | (names["begun"] < _REQUESTS), "room for it"),
            Assert(self.is_set_up | (begun_after <= _REQUESTS), "requests, afterwards"),
            # In error, they only end.
            Assert(
                ~(begins & step.is_local & step.sends) | (names["begun"] == 0),
                "a local one has all before it ended",
            ),
            Assert(
                ~(packets & self.state.is_local) | (names["begun"] == 0),
                "behind a local one it has ended",
            ),
            Assert(~begins | names["is_new"], "begins once"),
            Assert(~(leaves & names["is_new"]) | begins, "what leaves has begun"),
            Assert(
                (self.new.begun.sequence == self.state.begun.sequence) | begins | self.is_set_up,
                "begun is what begins",
            ),
            Assert(
                ~begins | (self.new.begun.sequence == (self.state.begun.sequence + 1)[:3]),
                "one at a time",
            ),
        ]

    def _quiet(self, m: Module) -> None:
        """Nothing is sent when nothing may be; a set-up begins anew; fetches have their room."""
        state, step, new, context = self.state, self.step, self.new, self.context
        posted = _distance(m, "posted", self.producer, state.cursor.slot)
        here = _distance(m, "here", self.fetched.slot, state.cursor.slot)
        is_ready = state.state == QueuePairState.READY
        is_error = state.state == QueuePairState.ERROR
        sends = step.sends & ~self.is_set_up
        leaves = self.names["leaves"]
        ring = Signal(17)
        early = _distance(m, "early", self.time, self.now)
        m.d.comb += ring.eq(1 << context.ring_shift)
        for name, may in (
            ("ready", is_ready),
            ("not held", ~self.is_held),
            ("not failed", ~self.replies.failed),
            ("no RNR time", ~self.replies.waits),
            ("as often back as told", self.replies.back == state.back),
            ("posted", posted != 0),
            ("no overrun, or local", step.is_local | (posted <= ring)),
            ("the entry that was looked up", state.cursor.slot[:3] == self.hint),
        ):
            m.d.comb += Assert(~sends | may, f"sends only: {name}")
        # No message is passed: others would get its PSNs.
        is_new = self.names["is_new"]
        moves = new.cursor.sequence != state.cursor.sequence
        goes_back = new.epoch != state.epoch
        has_no_rate = self.context.interval == 0
        is_behind = self.names["is_rc"] & (self.names["under_way"] >= _HALF)
        m.d.comb += [
            Assert(
                ~moves | is_new | leaves | state.is_local | goes_back | is_behind,
                "a message is left when it was sent, or acknowledged",
            ),
            Assert(~leaves | ((here >= self.head.slots) & (posted >= self.head.slots)), "whole"),
            Assert(~leaves | (self.fetched.epoch == state.epoch), "of this epoch"),
            Assert(~leaves | (early == 0) | early[34:].any() | has_no_rate, "its time has come"),
            Assert(~step.begins | (is_ready | is_error), "begins only if ready, or in error"),
            Assert(
                self.is_set_up | ~self.is_held | (Value.cast(new) == Value.cast(state)),
                "held: as it was",
            ),
            Assert(
                self.is_set_up | (new.state == state.state) | (self.replies.failed & is_ready),
                "a failure ends it",
            ),
            Assert((new.issued == (state.issued + 1)[:4]) == step.sends, "counts what it sends"),
            Assert(self.is_set_up | ((new.issued - state.issued)[:4] == step.sends), "no more"),
        ]
        # A set-up.
        m.d.comb += Assert(
            ~self.is_set_up
            | (
                step.sends
                & ~step.begins
                & ~step.fetches
                & (new.state == context.state)
                & (new.psn == context.psn)
                & (new.highest == context.psn)
                & (new.epoch == (state.epoch + 1)[:4])
                & (new.cursor.psn == context.psn)
                & (Value.cast(new.cursor) == Value.cast(new.begun))
                & (new.cursor.sequence == 0)
                & (new.cursor.slot == 0)
                & (new.cursor.reads == 0)
                & (new.cursor.msn == 0)
                & (new.number == 0)
                & (new.fetched == 0)
                & (new.floor == 0)
                & (new.back == 0)
                & ~new.is_local
            ),
            "a set-up begins anew",
        )
        # Fetches: of what is posted, never over what is needed, nor past the ring's end.
        count = _distance(m, "count", new.fetched, state.fetched)
        fetches = step.fetches & (count != 0)
        floor = Signal(16)
        is_quiet = state.issued == self.gathered.count
        m.d.comb += floor.eq(
            Mux(self.gathered.epoch == state.epoch, self.gathered.slot, state.floor)
        )
        with m.If(is_quiet):
            m.d.comb += floor.eq(state.cursor.slot)
        wanted = _distance(m, "wanted", self.producer, state.fetched)
        used = _distance(m, "used", state.fetched, floor)
        place = Signal(16)
        m.d.comb += [
            place.eq(state.fetched & (ring - 1)[:16]),
            # As it has asked for, it has had room.
            Assume(used <= _CONFIG.send_slots, "slots"),
            Assert(~fetches | (count <= 4), "4 at most"),
            Assert(~fetches | (count <= wanted), "posted"),
            Assert(~fetches | (used + count <= _CONFIG.send_slots), "room for it"),
            Assert(~fetches | (place + count <= ring), "not past the ring's end"),
        ]


class _Narrow(wiring.Component):
    """With narrow beats, of what is held for 2 cycles, the second one says what wide beats have."""

    def __init__(self):
        self._blocks = [SendDecide(config=replace(_CONFIG, data_bytes=n)) for n in (128, 8)]
        members = self._blocks[0].signature.members
        super().__init__({name: members[name] for name in members if name != "o"})

    def elaborate(self, platform):
        m = Module()
        m.submodules.wide, m.submodules.narrow = wide, narrow = self._blocks
        started = Signal()
        m.d.sync += started.eq(1)
        for name in self.signature.members:
            value = Value.cast(getattr(self, name))
            before = Signal(len(value), name=f"{name}_before")
            m.d.sync += before.eq(value)
            m.d.comb += [Value.cast(getattr(block, name)).eq(value) for block in (wide, narrow)]
            m.d.comb += Assume(~started | (value == before), f"{name} is held")
        same = Value.cast(narrow.o) == Value.cast(wide.o)
        m.d.comb += [
            Assume(~ResetSignal(), "no reset"),
            Assert(~started | same, "the same, a cycle later"),
            Cover(started & same & wide.o.sends, "a packet"),
        ]
        return m


PROOFS = [
    Proof("roce.SendDecide/with narrow beats a cycle later", _Narrow, 3),
    Proof("roce.SendDecide/with narrow beats a packet", _Narrow, 3, "cover"),
    *(
        Proof(f"roce.SendDecide/{what}", lambda topic=topic: _Turn(topic), 1)
        for topic, what in (
            ("places", "packets and PSNs in order, all of them, round the PSNs"),
            ("highest", "what was ever sent only grows, by what is sent"),
            ("limits", "windows, READs, fences, requests that have begun"),
            ("quiet", "nothing when nothing may be; set-ups; fetches"),
        )
    ),
    Proof("roce.SendDecide/turns of all kinds", lambda: _Turn("quiet", cover=True), 1, "cover"),
]
