"""Actions that wait while their places are looked up."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .config import RoceConfig
from .layouts import ActionKind, ActionLayout, SpanLayout, TranslateRequestLayout
from .one_row import OneRow
from .scatter import ScatterJobLayout
from .translate_signature import TranslateSignature

__all__ = ["PAGE_BITS", "AskPlace", "FoundLayout", "WaitingLayout"]

#: Bits of an address that are 0 where a page begins.
PAGE_BITS = 12
#: Actions that wait for their translation, and translations that wait for their action. At one
#: every 2 cycles, and 9 cycles from a request until what came of it is taken, 5 are under way; the
#: others cover what the translator lets a request wait.
_WAITING = 8


class WaitingLayout(data.StructLayout):
    """Action without its place.

    With ``is_translated`` an element of ``found`` belongs to it, with ``is_walked`` one of
    ``walks``.
    """

    def __init__(self, config: RoceConfig):
        fields = {name: field.shape for name, field in ActionLayout(config) if name != "place"}
        super().__init__({**fields, "is_translated": 1, "is_walked": 1})


class FoundLayout(data.StructLayout):
    """Translation: what the ``first`` span has not begins with ``page`` of ``space``."""

    def __init__(self):
        super().__init__({"ok": 1, "first": SpanLayout(), "space": 2, "page": 64 - PAGE_BITS})


class AskPlace(wiring.Component):
    """Ask for the places of WRITEs, and let the actions wait meanwhile.

    Every action leaves on ``waiting``, the translation of each that is a WRITE with bytes on
    ``found``, and what is to be walked of each that is a SCATTER with bytes on ``walks``, all in
    order. A key is invalidated when all actions before have been decided, and
    none behind it has asked: its action waits on ``waiting`` and at the input, until
    ``may_invalidate``. Then its answer is on ``found``, and ``invalidated`` lets it go.

    Latency is 3 cycles to ``waiting`` and that of the translator and 3 to ``found``. Throughput is
    one action per cycle, and 8 translations may be asked for and not yet taken. With narrow beats
    one action waits at a time, 2 cycles later on ``waiting``, and ``found`` is 2 cycles behind the
    translator, which is asked 2 cycles later.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    config : RoceConfig
        Sizes.

    Members
    -------
    actions : In(stream.Signature(ActionLayout(config)))
        Actions. ``actions.ready`` depends combinationally on its payload, ``invalidated`` and, if
        beats are not narrow, ``translate.request.ready``.
    translate : Out(TranslateSignature(config))
        To the translator. The request is a function of ``actions`` and ``may_invalidate``; with
        narrow beats it is registered.
    waiting : Out(stream.Signature(WaitingLayout(config)))
        Actions, registered.
    found : Out(stream.Signature(FoundLayout()))
        Translations, registered.
    walks : Out(stream.Signature(ScatterJobLayout(config)))
        Packets to share out, registered.
    may_invalidate : In(1)
        The action on ``waiting`` invalidates, and shall do so: held until ``asked``.
    asked : Out(1)
        With ``may_invalidate``: the request is taken.
    invalidated : In(1)
        Pulse: the action on ``waiting`` that invalidates has its answer, or will not ask.
    """

    actions: stream.Interface
    translate: Any
    waiting: stream.Interface
    found: stream.Interface
    walks: stream.Interface
    may_invalidate: Signal
    asked: Signal
    invalidated: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "actions": In(stream.Signature(ActionLayout(config))),
                "translate": Out(TranslateSignature(config)),
                "waiting": Out(stream.Signature(WaitingLayout(config))),
                "found": Out(stream.Signature(FoundLayout())),
                "walks": Out(stream.Signature(ScatterJobLayout(config))),
                "may_invalidate": In(1),
                "asked": Out(1),
                "invalidated": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = WaitingLayout(self.config)
        if self.config.is_narrow:
            # A WRITE with bytes has ten beats or more, about what it takes from here on.
            places = 1
            waiting, found = OneRow(shape=layout), OneRow(shape=FoundLayout())
            walks = OneRow(shape=ScatterJobLayout(self.config))
        else:
            places = _WAITING
            waiting = Queue(shape=layout, depth=places, block=True)
            found = Queue(shape=FoundLayout(), depth=places, block=True, counted=True)
            walks = Queue(shape=ScatterJobLayout(self.config), depth=places, block=True)
        m.submodules.waiting, m.submodules.found, m.submodules.walks = waiting, found, walks
        wiring.connect(m, waiting.o, wiring.flipped(self.waiting))
        wiring.connect(m, found.o, wiring.flipped(self.found))
        wiring.connect(m, walks.o, wiring.flipped(self.walks))

        action: Any = self.actions.p
        request: Any = self.translate.request
        if self.config.is_narrow:
            m.submodules.ask = ask = OneRow(shape=TranslateRequestLayout(self.config))
            wiring.connect(m, ask.o, wiring.flipped(request))
            request = ask.i
        response: Any = self.translate.response
        room = Signal(range(places + 1), init=places)  # for translations
        is_waiting = Signal()  # what invalidates is in the queue, and still here
        is_translated = Signal()
        is_walked = Signal()
        can_ask = Signal()
        enters = Signal()
        valid = Signal()
        has_place = Signal()
        can_request = Signal()
        can_walk = Signal()
        can_wait = Signal()
        # With narrow beats it is known a cycle late. Room is taken by what then moves on alone, so
        # that there is no less than was known.
        is_known = Signal(init=not self.config.is_narrow)
        asks_key = Signal()
        is_over = Signal()
        when = m.d.comb
        if self.config.is_narrow:
            when = m.d.sync
            when += [
                asks_key.eq(self.may_invalidate & ~self.asked),
                is_over.eq(self.invalidated),
            ]
            m.d.sync += is_known.eq(self.actions.valid & ~self.actions.ready)
        else:
            when += [asks_key.eq(self.may_invalidate), is_over.eq(self.invalidated)]
        when += [
            has_place.eq(room != 0),
            can_request.eq(request.ready),
            can_walk.eq(walks.i.ready),
            can_wait.eq(waiting.i.ready),
            is_translated.eq(
                action.has_packet
                & (action.kind == ActionKind.WRITE)
                & (action.payload_bytes != 0)
                & ~action.invalidate
            ),
            is_walked.eq(
                action.has_packet
                & (action.kind == ActionKind.SCATTER)
                & (action.is_datagram | (action.payload_bytes != 0))
            ),
        ]
        m.d.comb += [
            valid.eq(self.actions.valid & is_known),
            can_ask.eq(Mux(is_translated, has_place & can_request, ~is_walked | can_walk)),
            enters.eq(waiting.i.valid & waiting.i.ready),
            walks.i.valid.eq(enters & is_walked),
            *(walks.i.p[name].eq(action[name]) for name, _ in ScatterJobLayout(self.config)),
            request.p.place.eq(action.place),
            request.p.length.eq(action.payload_bytes),
            request.p.invalidate.eq(action.invalidate),
            self.asked.eq(asks_key & request.ready),
            request.valid.eq(
                asks_key
                | (
                    valid
                    & is_translated
                    & has_place
                    & can_wait
                    & (can_request if self.config.is_narrow else 1)
                )
            ),
            *(
                waiting.i.p[name].eq(action[name])
                for name, _ in ActionLayout(self.config)
                if name != "place"
            ),
            waiting.i.p.is_translated.eq(is_translated),
            waiting.i.p.is_walked.eq(is_walked),
        ]
        with m.If(action.invalidate):
            m.d.comb += [
                waiting.i.valid.eq(valid & ~is_waiting & can_ask & can_wait),
                self.actions.ready.eq(is_over),
            ]
        with m.Else():
            m.d.comb += [
                waiting.i.valid.eq(valid & can_ask & can_wait),
                self.actions.ready.eq(can_ask & can_wait & is_known),
            ]
        with m.If(is_over):
            m.d.sync += is_waiting.eq(0)
        with m.Elif(enters & action.invalidate):
            m.d.sync += is_waiting.eq(1)

        asks = Signal()
        takes = Signal()
        m.d.comb += [
            asks.eq(request.valid & request.ready),
            takes.eq(found.o.valid & self.found.ready),
        ]
        with m.If(asks & ~takes):
            m.d.sync += room.eq(room - 1)
        with m.If(takes & ~asks):
            m.d.sync += room.eq(room + 1)

        m.d.comb += [
            found.i.valid.eq(response.valid),
            found.i.p.ok.eq(response.p.ok),
            found.i.p.first.eq(response.p.spans[0]),
            found.i.p.space.eq(response.p.spans[1].space),
            found.i.p.page.eq(response.p.spans[1].address[PAGE_BITS:]),
        ]
        return m
