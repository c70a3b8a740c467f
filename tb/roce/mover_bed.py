"""Mover with its translator, whose other clients are ports."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.config import RoceConfig
from hdl.roce.mover import Mover
from hdl.roce.translate_signature import TranslateSignature
from hdl.roce.translator import Translator

__all__ = ["MoverBed"]


class MoverBed(wiring.Component):
    """Both, connected; ``others`` are the translator's clients 1 and 2."""

    others: list[Any]
    failed: Any

    def __init__(self, *, config: RoceConfig):
        self.mover = Mover(config=config)
        self.translator = Translator(config=config)
        mover = self.mover.signature.members
        table = self.translator.signature.members
        super().__init__(
            {
                **{name: member for name, member in mover.items() if name != "translate"},
                "key_states": table["key_states"],
                "pages": table["pages"],
                "others": In(TranslateSignature(config)).array(2),
            }
        )

    def elaborate(self, platform):
        """Connect them."""
        m = Module()
        m.submodules.mover = mover = self.mover
        m.submodules.translator = translator = self.translator
        wiring.connect(m, mover.translate, translator.clients[0])
        for number, port in enumerate(self.others, start=1):
            wiring.connect(m, wiring.flipped(port), translator.clients[number])
        for name, member in self.signature.members.items():
            if name in ("others", "failed"):
                continue
            inner = getattr(translator if name in ("key_states", "pages") else mover, name)
            outer = wiring.flipped(getattr(self, name))
            if member.flow == In:
                wiring.connect(m, outer, inner)
            else:
                wiring.connect(m, inner, outer)
        m.d.comb += mover.failed.eq(self.failed)
        return m
