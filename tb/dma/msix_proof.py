"""Proofs of hdl.dma.Msix: what becomes of events and masks, whatever comes when.

They are of what lies below the registers, with accesses at any time, so also with less care than
``MsixBus`` takes: it waits until nothing is on its way. Holds may end at any time.
"""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.dma.msix_core import MsixCore
from tb.prove import Proof
from tb.stream.rules import assert_stream

__all__ = ["PROOFS"]

VECTORS = 2


class _Anything(wiring.Component):
    """Two vectors, any events, accesses and pauses, and any contents of RAMs."""

    event: Signal
    vector: Signal
    allowed: Signal
    ready: Signal
    data_ready: Signal
    access: Signal
    access_vector: Signal
    writes_mask: Signal
    mask: Signal

    def __init__(self):
        super().__init__(
            {
                "event": In(1),
                "vector": In(2),
                "allowed": In(1),
                "ready": In(1),
                "data_ready": In(1),
                "access": In(1),
                "access_vector": In(1),
                "writes_mask": In(1),
                "mask": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = MsixCore(
            vector_count=VECTORS, data_bytes=4, tick_cycles=4, interval_bits=1
        )
        incoming, rows, sender = core._events, core._rows, core._sender
        memories = rows._memories

        # Two cycles of clearing, then accesses of three cycles each.
        cleared = Signal(2)
        looks, sees, does = Signal(), Signal(), Signal()
        begins = Signal()
        vector = Signal(1)
        new_mask = Signal()
        writes = Signal()
        seen_masked = Signal(2)
        runs = Signal()
        accesses = Signal()
        m.d.comb += [
            runs.eq(cleared == 2),
            begins.eq(runs & self.access & ~looks & ~sees),
            accesses.eq(looks | sees | does),
        ]
        m.d.sync += [
            looks.eq(begins),
            sees.eq(looks),
            does.eq(sees),
            seen_masked.eq(core.masked_row),
        ]
        with m.If(~runs):
            m.d.sync += cleared.eq(cleared + 1)
        with m.If(begins):
            m.d.sync += [
                vector.eq(self.access_vector),
                writes.eq(self.writes_mask),
                new_mask.eq(self.mask),
            ]
        selected = Signal(2)
        m.d.comb += [
            selected.eq(1 << vector),
            core.started.eq(runs),
            core.allowed.eq(self.allowed & runs),
            core.clear.eq(~runs),
            core.clear_row.eq(cleared),
            core.access.hold.eq(accesses),
            core.access.flush.eq(accesses),
            core.access.read.eq(looks),
            core.access.vector.eq(vector),
            core.mask_write.eq(does & writes),
            core.mask_row.eq(0),
            core.mask_data.eq((seen_masked & ~selected) | Mux(new_mask, selected, 0)),
            core.events.valid.eq(self.event),
            core.events.payload.eq(self.vector),
            core.o.request.ready.eq(self.ready),
            core.o.data.ready.eq(self.data_ready),
        ]

        taken = Signal()
        was_allowed = Signal()
        begun = Signal()
        m.d.comb += [taken.eq(core.events.valid & core.events.ready), begun.eq(core.sent.valid)]
        m.d.sync += was_allowed.eq(core.allowed)
        pending = Signal(2)
        ways = {
            "waiting": Signal(2),
            "picked": Signal(2),
            "fetched": Signal(2),
            "sent": Signal(2),
        }
        for name, valid, on_way in (
            ("picked", sender._picked, sender._picked_vector),
            ("fetched", sender._fetched, sender._fetched_vector),
            ("sent", begun, core.sent.vector),
        ):
            m.d.comb += ways[name].eq(Mux(valid, 1 << on_way[:5], 0))
        m.d.comb += [
            ways["waiting"].eq(sender._waiting),
            pending.eq(memories["asked"].rows[0] ^ memories["answered"].rows[0]),
        ]

        def state(condition: Value, message: str) -> None:
            """Assert an invariant from the end of clearing on."""
            m.d.comb += Assert(~runs | condition, message)

        with m.If(~ResetSignal()):
            # What the core's interface says.
            state(~begun | was_allowed, "began while forbidden")
            state(~begun | (core.o.request.valid & core.o.data.valid), "not offered")
            # Invariants: there are two vectors, in row 0; accesses find nothing on its way.
            asked, answered = memories["asked"].rows[1], memories["answered"].rows[1]
            on_way = (sender._waiting.any(), sender._picked, sender._fetched)
            m.d.comb += [
                Assert(cleared <= 2, "clearing"),
                Assert(runs | ~accesses, "accesses while clearing"),
                Assert(looks + sees + does <= 1, "one access"),
                Assert(runs | ~(Cat(on_way).any() | begun), "on its way while clearing"),
                Assert(runs | ~(incoming._looked_up | incoming._arrives), "events while clearing"),
            ]
            row_0_is_clear = (pending == 0) & (memories["mask"].rows[0] == 3)
            m.d.comb += Assert((cleared == 0) | runs | row_0_is_clear, "row 0 is not clear")
            state(asked == answered, "row 1 is pending")
            state(~sender._waiting.any() | (sender._waiting_row == 0), "row of what waits")
            state(~sender._picked | (sender._picked_vector < 2), "what is picked")
            state(~sender._fetched | (sender._fetched_vector < 2), "what is fetched")
            state(~begun | (core.sent.vector < 2), "what is sent")
            state(~incoming._looked_up | (incoming._vector < 2), "what is looked up")
            state(~incoming._arrives | (incoming._arriving < 2), "what arrives")
            state(
                ~incoming._arrives | (incoming._arriving_bit == 1 << incoming._arriving[:5]), "bit"
            )
            state(~(sees | does) | (~Cat(on_way).any() & ~begun), "on its way in an access")
            state(~does | (seen_masked == memories["mask"].rows[0]), "masks seen")
            state(~sees | (sender.visit_row == 0), "row of the access")

        for number in range(VECTORS):
            mine = Signal(name=f"event_{number}")
            begins_mine = Signal(name=f"begins_{number}")
            m.d.comb += [
                mine.eq(taken & (self.vector == number)),
                begins_mine.eq(begun & (core.sent.vector == number)),
            ]
            masked = Signal(init=1, name=f"masked_{number}")
            with m.If(does & writes & (vector == number)):
                m.d.sync += masked.eq(new_mask)

            # An event that no message has followed; one that may still have a message.
            owed = Signal(name=f"owed_{number}")
            may = Signal(name=f"may_{number}")
            late = Signal(2, name=f"late_{number}")  # events of the last two cycles
            m.d.sync += [
                owed.eq(mine | (owed & ~begins_mine)),
                may.eq(mine | Mux(begins_mine, late.any(), may)),
                late.eq(Cat(mine, late)),
            ]
            coming = Signal(name=f"coming_{number}")
            m.d.comb += coming.eq(
                (incoming._looked_up & (incoming._vector == number))
                | (incoming._arrives & (incoming._arriving == number))
            )
            with m.If(~ResetSignal()):
                # What the core's interface says.
                state(~begins_mine | ~masked, "a masked vector's message began")
                state(~begins_mine | may, "a message without event")
                state(
                    ~sees | ~owed | late.any() | core.pending_row[number],
                    "an event is lost: neither sent nor pending",
                )
                if number == 0:
                    m.d.comb += Cover(begins_mine & mine & ~late.any(), "event beside message")
                # Invariants.
                waiting, picked, fetched, sent = (way[number] for way in ways.values())
                somewhere = waiting + picked + fetched + sent
                state(masked == memories["mask"].rows[0][number], "mask")
                state(coming == late.any(), "coming")
                state(~owed | coming | pending[number], "owed")
                state(may | ~(coming | pending[number]), "may")
                state(somewhere <= 1, "twice on its way")
                state((somewhere == 0) | pending[number], "on its way without being pending")
                state((somewhere == 0) | ~masked, "on its way, masked")
                m.d.comb += Assert(runs | ~(owed | may | late.any() | ~masked), "before the start")
        assert_stream(m, "request", core.o.request)
        assert_stream(m, "data", core.o.data)
        return m


PROOFS = [
    Proof("dma.Msix/no event is lost and no masked vector sends", _Anything, depth=3),
    Proof("dma.Msix/events come beside messages", _Anything, depth=18, mode="cover"),
]
