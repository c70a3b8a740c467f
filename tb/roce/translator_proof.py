"""Proofs of hdl.roce.Translator."""

from dataclasses import replace
from functools import partial
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import TranslateRequestLayout
from hdl.roce.translator import Translator
from tb.prove import Proof

from .sizes import least

__all__ = ["PROOFS"]


class _WithinPages(wiring.Component):
    """Whatever is asked and whatever the tables hold, spans are within the pages that were read."""

    def __init__(self, config: RoceConfig):
        self.dut = Translator(config=config)
        ports = self.dut.signature.members
        super().__init__({name: member for name, member in ports.items() if member.flow == In})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.dut
        for name in self.signature.members:
            outer, inner = getattr(self, name), getattr(dut, name)
            pairs = zip(outer, inner, strict=True) if isinstance(outer, list) else [(outer, inner)]
            for mine, its in pairs:
                wiring.connect(m, wiring.flipped(mine), its)

        # What the response is the answer to, a cycle later.
        asked: Any = Signal(TranslateRequestLayout(least()), reset_less=True)
        pages = [Signal(52, name=f"page_{n}", reset_less=True) for n in range(2)]
        m.d.sync += [
            asked.eq(dut.answered),
            pages[0].eq(dut.first_page),
            pages[1].eq(dut.second_page),
        ]
        shift = asked.place.page_shift
        within = Signal(30)  # bits of an address that are the place in a page
        m.d.comb += within.eq((C(1, 31) << shift) - 1)

        response: Any = dut.clients[0].response.p
        lengths = [span.length for span in response.spans]
        starts = [Signal(30, name=f"start_{n}") for n in range(2)]
        has_bytes = Signal()
        m.d.comb += has_bytes.eq(~asked.invalidate & ~asked.bind & (asked.length != 0))
        answers = Signal()
        m.d.comb += answers.eq(Cat(client.response.valid for client in dut.clients).any())
        with m.If(~ResetSignal()):
            m.d.comb += Cover((lengths[1] != 0) & dut.clients[2].response.valid, "two pages")
            for client in dut.clients:
                m.d.comb += [
                    Assume(client.request.p.place.page_shift >= 12, "page of less than 4 KiB"),
                    Assume(client.request.p.place.page_shift <= 30, "page of more than 1 GiB"),
                ]
        with m.If(~ResetSignal() & answers):
            for start, span, page in zip(starts, response.spans, pages, strict=True):
                address = Cat(C(0, 12), page)
                m.d.comb += [
                    start.eq(span.address & within),
                    Assert((span.address & ~within) == (address & ~within), "another page"),
                    Assert(start + span.length <= within + 1, "beyond the page"),
                ]
            m.d.comb += [
                Assert(starts[0] == (asked.place.linear & within), "another place in the page"),
                Assert(starts[1] == 0, "the second page is not from its beginning"),
                Assert(
                    (lengths[1] == 0) | (starts[0] + lengths[0] == within + 1),
                    "the second page before the first one's end",
                ),
                Assert(
                    lengths[0] + lengths[1] == Mux(response.ok & has_bytes, asked.length, 0),
                    "bytes are lost or made",
                ),
                Assert(~response.ok | ~has_bytes | (asked.length <= 4096), "more than a packet"),
            ]
        return m


#: The response depends on the request and the tables of so many cycles more than its latency.
_MORE = 2

PROOFS = [
    proof
    for config, words, latency in (
        (replace(least(), data_bytes=128), "", 4),
        (least(), "narrow: ", 6),
    )
    for proof in (
        Proof(
            f"roce.Translator/{words}spans within their pages",
            partial(_WithinPages, config),
            depth=latency + _MORE,
        ),
        Proof(
            f"roce.Translator/{words}assumptions not vacuous",
            partial(_WithinPages, config),
            14,
            "cover",
        ),
    )
]
