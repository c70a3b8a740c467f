"""One place at the Translator for two."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .config import RoceConfig
from .translate_signature import TranslateSignature

__all__ = ["TranslateShare"]

#: Translations under way: the Translator has 6 cycles, and takes one of a client every second.
_REQUESTS = 8


class TranslateShare(wiring.Component):
    """Let two clients take turns at the Translator; give each its responses.

    Latency is 0 cycles from a request, and from a response. Throughput is that of the Translator.

    Specification: docs/roce.md; responses of a Translator's client come in order.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    i : In(TranslateSignature(config)).array(2)
        Clients. ``i[n].request.ready`` depends combinationally on ``i[*].request.valid`` and
        ``o.request.ready``.
    o : Out(TranslateSignature(config))
        To the Translator. A request that waits may be exchanged for the other client's.
    """

    i: Any
    o: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "i": In(TranslateSignature(config)).array(2),
                "o": Out(TranslateSignature(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.asked = asked = Queue(shape=unsigned(1), depth=_REQUESTS, shallow=True)
        first, second = self.i
        was_second = Signal()
        is_second = Signal()
        request = self.o.request
        m.d.comb += [
            is_second.eq(second.request.valid & (~was_second | ~first.request.valid)),
            request.valid.eq((first.request.valid | second.request.valid) & asked.i.ready),
            request.payload.eq(Mux(is_second, second.request.payload, first.request.payload)),
            first.request.ready.eq(request.ready & asked.i.ready & ~is_second),
            second.request.ready.eq(request.ready & asked.i.ready & is_second),
            asked.i.valid.eq(request.valid & request.ready),
            asked.i.payload.eq(is_second),
            asked.o.ready.eq(self.o.response.valid),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += was_second.eq(is_second)
        for number, client in enumerate(self.i):
            m.d.comb += [
                client.response.p.eq(self.o.response.p),
                client.response.valid.eq(self.o.response.valid & (asked.o.payload == number)),
            ]
        return m
