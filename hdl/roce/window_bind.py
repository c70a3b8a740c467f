"""Memory windows that work requests bind, or invalidate."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .gather_layouts import PartLayout
from .key_check import CheckedLayout, KeyLayout, KeyRowLayout

__all__ = ["WindowBind"]

#: Pages have 4 KiB at least.
_LEAST_SHIFT = 12
#: Bits of a page's size that are not the same for all: 1 GiB at most.
_CHOSEN_BITS = 30 - _LEAST_SHIFT
#: Levels of the shift that come first; the others stand in front of the adder.
_EARLY_LEVELS = (4, 3, 2)
_LATE_LEVELS = (1, 0)


class WindowBind(wiring.Component):
    """Say which local operations are right, and make the row of a window.

    An INVALIDATE is right if its key is that of a window of the queue pair. Of a BIND there are two
    parts: a window of the protection domain whose last key was another one, and bytes of a region
    that windows may be bound to; if remote hosts are to change something there, its owner may, too.
    Whether the window is bound now, the Translator knows.

    Row and ``fits`` are there 4 cycles after a BIND's second part was taken, and stay until the
    next BIND.

    Specification: IBTA Architecture Specification volume 1, 10.6.5, 10.6.7.2 (type 2 windows).

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    checked : In(CheckedLayout(config, PartLayout()))
        Part of a local operation, and what its key says.
    takes : In(1)
        It is taken.
    is_right : Out(1)
        Combinational, from ``checked``, and of a BIND's second part from the first one.
    is_made : Out(1)
        Row and ``fits`` are there.
    fits : Out(1)
        The window's first page has a row below ``config.pages``.
    key, variant : Out(config.bits("regions")), Out(8)
        The window's new key.
    row : Out(KeyRowLayout(config))
    """

    checked: Any
    takes: Signal
    is_right: Signal
    is_made: Signal
    fits: Signal
    key: Signal
    variant: Signal
    row: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "checked": In(CheckedLayout(config, PartLayout())),
                "takes": In(1),
                "is_right": Out(1),
                "is_made": Out(1),
                "fits": Out(1),
                "key": Out(config.bits("regions")),
                "variant": Out(8),
                "row": Out(KeyRowLayout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        part, key = self.checked.request, self.checked.key
        rights = Signal(3, reset_less=True)
        zero_based = Signal(reset_less=True)
        window_is_right = Signal()
        is_window = Signal()
        is_region = Signal()
        self._judge(m, is_window, is_region, rights)
        m.d.comb += self.is_right.eq(
            Mux(part.is_window, is_window, is_region & window_is_right),
        )
        with m.If(self.takes & part.is_bind & part.is_window):
            m.d.sync += [
                window_is_right.eq(is_window),
                self.key.eq(part.key[8:]),
                self.variant.eq(part.key),
                rights.eq(part.rights),
                zero_based.eq(part.zero_based),
            ]
        comes = Signal()
        m.d.comb += comes.eq(self.takes & part.is_bind & ~part.is_window)
        linear = Signal.like(key.place.linear, reset_less=True)
        row: Any = Signal(KeyLayout(self.config), reset_less=True)
        with m.If(comes):
            m.d.sync += [
                linear.eq(key.place.linear),
                row.eq(0),
                row.valid.eq(1),
                row.domain.eq(part.domain),
                row.is_window.eq(1),
                row.window_queue_pair.eq(part.number),
                row.base.eq(Mux(zero_based, 0, part.address)),
                row.length.eq(part.length),
                row.page_row.eq(key.place.page_row),
                row.page_shift.eq(key.place.page_shift),
            ]
        first_row, offset = self._find_page(m, comes, linear, row)
        m.d.comb += [
            self.row.key.eq(self.key),
            self.row.row.eq(row),
            self.row.row.variant.eq(self.variant),
            self.row.row.rights.eq(rights),
            self.row.row.offset.eq(offset),
            self.row.row.page_row.eq(first_row),
        ]
        return m

    def _judge(self, m: Module, is_window: Signal, is_region: Signal, rights: Value) -> None:
        """Say whether the part is a window, or a region, of the kind that it has to be."""
        part, key = self.checked.request, self.checked.key
        is_mine = key.domain == part.domain
        is_known = ~part.key[8 + self.config.bits("regions") :].any()
        changes = rights[0] | rights[2]
        m.d.comb += [
            is_window.eq(
                key.is_window
                & is_mine
                & Mux(
                    part.is_bind,
                    is_known & ~key.found,
                    key.found & (key.window_queue_pair == part.number),
                )
            ),
            is_region.eq(
                part.has
                & key.found
                & key.inside
                & ~key.is_window
                & is_mine
                & key.bind
                & (key.local_write | ~changes)
            ),
        ]

    def _find_page(self, m: Module, comes: Value, linear: Value, row: Any) -> tuple[Value, Value]:
        """Find the row of the window's first page, and the place in it, in 4 steps."""
        page_bits = self.config.bits("pages")
        steps = Signal(4)
        amount = Signal(5, reset_less=True)
        index = Signal(len(linear) - _LEAST_SHIFT, reset_less=True)
        first_row = Signal(page_bits + 1, reset_less=True)
        offset = Signal(row.offset.shape(), reset_less=True)
        m.d.sync += steps.eq(Cat(comes, steps[:3]))

        def shifted(levels: tuple[int, ...], value: Value) -> Value:
            for level in levels:
                value = Mux(amount[level], value >> (1 << level), value)
            return value

        with m.If(steps[0]):
            m.d.sync += [
                amount.eq(row.page_shift - _LEAST_SHIFT),
                index.eq(linear[_LEAST_SHIFT:]),
            ]
        in_page = Cat(C(-1, _LEAST_SHIFT), *(amount > n for n in range(_CHOSEN_BITS)))
        with m.If(steps[1]):
            m.d.sync += [index.eq(shifted(_EARLY_LEVELS, index)), offset.eq(linear & in_page)]
        with m.If(steps[2]):
            m.d.sync += index.eq(shifted(_LATE_LEVELS, index))
        with m.If(steps[3]):
            m.d.sync += [
                first_row.eq(index[:page_bits] + row.page_row),
                self.fits.eq(~index[page_bits:].any()),
                self.is_made.eq(1),
            ]
        with m.If(comes):
            m.d.sync += self.is_made.eq(0)
        return first_row[:page_bits], offset
