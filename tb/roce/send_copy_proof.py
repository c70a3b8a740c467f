"""Proof of hdl.roce.SendCopy: it tells what was said last; a set-up counts as such."""

from collections.abc import Callable
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.roce.send_copy import SendCopy, SendCopyLayout
from hdl.roce.send_layouts import SendStateStrobe
from tb.memory.followed import follow
from tb.prove import Proof

from .sizes import least

__all__ = ["PROOFS", "follow_copy"]

_CONFIG = least()


def follow_copy(
    m: Module, copy: SendCopy, pair: Value, check: Callable[[Any, str], Any] = Assume
) -> tuple[Any, Signal]:
    """Keep what ``copy`` is told of ``pair``, and ``check`` that reads find that.

    Returns
    -------
    now : SendCopyLayout(config)
        What a read of this cycle finds.
    is_known : Signal
        It does: not in the cycle behind a set-up.
    """
    layout = SendCopyLayout(copy.config)
    kept: Any = Signal(layout)
    now: Any = Signal(layout)
    found: Any = [Signal(layout, name=f"copy_found_{n}") for n in (1, 2)]
    is_mine = [Signal(name=f"copy_mine_{n}") for n in (1, 2)]
    set_up: Any = Signal(copy.set_up.shape())
    is_known = Signal()
    sets_up = set_up.valid & (set_up.queue_pair == pair)
    m.d.sync += [kept.eq(now), set_up.eq(copy.set_up)]
    m.d.comb += [now.eq(kept), is_known.eq(~sets_up)]
    with m.If(copy.send_state.valid & (copy.send_state.queue_pair == pair)):
        m.d.comb += [now[name].eq(copy.send_state[name]) for name, _ in layout]
        m.d.comb += is_known.eq(1)
    with m.Elif(sets_up):
        m.d.comb += [now.highest.eq(set_up.psn), now.tail.eq(0)]
    with m.If(copy.read_en):
        m.d.sync += [is_mine[0].eq(is_known & (copy.read_address == pair)), found[0].eq(now)]
    m.d.sync += [is_mine[1].eq(is_mine[0]), found[1].eq(found[0])]
    m.d.comb += check(
        ~is_mine[1] | (Value.cast(copy.read_data) == Value.cast(found[1])), "what was said last"
    )
    return now, is_known


class _Watched(SendCopy):
    """With a look at one of its rows."""

    def __init__(self):
        super().__init__(config=_CONFIG)
        self.pair = Signal(_CONFIG.bits("queue_pairs"))
        self.row = Signal(SendCopyLayout(_CONFIG))

    def elaborate(self, platform):
        m: Any = super().elaborate(platform)
        m.d.comb += Value.cast(self.row).eq(follow(m, m.submodules.rows, self.pair)[1])
        return m


class _Last(wiring.Component):
    """Any queue pair, beside any strobes of it and of others."""

    pair: Signal
    send_state: Any
    set_up: Any
    read_en: Signal
    read_address: Signal

    def __init__(self):
        bits = _CONFIG.bits("queue_pairs")
        set_up = data.StructLayout({"valid": 1, "queue_pair": bits, "psn": 24})
        super().__init__(
            {
                "pair": In(bits),
                "send_state": In(SendStateStrobe(_CONFIG)),
                "set_up": In(set_up),
                "read_en": In(1),
                "read_address": In(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.copy = copy = _Watched()
        for name in ("pair", "send_state", "set_up", "read_en", "read_address"):
            m.d.comb += getattr(copy, name).eq(getattr(self, name))
        same = Signal.like(self.pair)
        started, spoke, set_up = Signal(), Signal(), Signal()
        m.d.sync += [
            same.eq(self.pair),
            started.eq(1),
            spoke.eq(self.send_state.valid),
            set_up.eq(self.set_up.valid),
        ]
        both = self.set_up.valid & self.send_state.valid
        m.d.comb += [
            Assume(~ResetSignal(), "no reset"),
            Assume(~started | (self.pair == same), "one queue pair for all time"),
            Assume(~(spoke & self.send_state.valid), "strobes apart"),
            Assume(~(set_up & self.set_up.valid), "set-ups apart"),
            Assume(~both | (self.send_state.queue_pair != self.set_up.queue_pair), "one or other"),
        ]
        now, is_known = follow_copy(m, copy, self.pair, Assert)
        was_known = Signal()
        m.d.sync += was_known.eq(is_known)
        m.d.comb += [
            Assert(~is_known | (Value.cast(copy.row) == Value.cast(now)), "its row"),
            Cover(~was_known & (now.highest == 2) & is_known & spoke, "a set-up beside a strobe"),
        ]
        return m


PROOFS = [
    Proof("roce.SendCopy/what was said last", _Last, 6),
    Proof("roce.SendCopy/a set-up beside a strobe", _Last, 10, "cover"),
]
