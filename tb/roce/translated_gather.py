"""Gather and the Translator that it asks, which another client keeps busy."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.roce.config import RoceConfig
from hdl.roce.gather import Gather
from hdl.roce.layouts import TranslateRequestLayout
from hdl.roce.translator import KeyStateLayout, PageLayout, Translator

__all__ = ["TranslatedGather"]


class TranslatedGather(wiring.Component):
    """Members of :class:`Gather` but ``translate``; rows of the tables; ``rival``: a client."""

    key_states: stream.Interface
    pages: stream.Interface
    rival: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self._gather = Gather(config=config)
        self._translator = Translator(config=config)
        self._own = [name for name in self._gather.signature.members if name != "translate"]
        members = self._gather.signature.members
        super().__init__(
            {
                **{name: members[name] for name in self._own},
                "key_states": In(stream.Signature(KeyStateLayout(config))),
                "pages": In(stream.Signature(PageLayout(config))),
                "rival": In(stream.Signature(TranslateRequestLayout(config))),
            }
        )

    def elaborate(self, platform):
        """Connect the two."""
        m = Module()
        m.submodules.gather = gather = self._gather
        m.submodules.translator = translator = self._translator
        client: Any = translator.clients[1].request
        wiring.connect(m, gather.translate, translator.clients[0])
        m.d.comb += [
            client.valid.eq(self.rival.valid),
            client.payload.eq(self.rival.payload),
            self.rival.ready.eq(client.ready),
        ]
        wiring.connect(m, wiring.flipped(self.key_states), translator.key_states)
        wiring.connect(m, wiring.flipped(self.pages), translator.pages)
        members = gather.signature.members
        for name in self._own:
            inner, outer = getattr(gather, name), getattr(self, name)
            if members[name].is_signature:
                wiring.connect(m, inner, wiring.flipped(outer))
            elif members[name].flow is In:
                m.d.comb += inner.eq(outer)
            else:
                m.d.comb += outer.eq(inner)
        return m
