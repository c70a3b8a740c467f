"""Looks up the key of each request, and whether the bytes that it asks for are the key's."""

from itertools import pairwise
from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam

from .config import RoceConfig
from .layouts import PLACE_BITS, PlaceLayout, RequestLayout

__all__ = ["CheckedLayout", "KeyCheck", "KeyLayout", "KeyRowLayout", "KeyVerdictLayout"]

#: Bits of an address, or of a place, in the low half; bits of a place above it.
_HALF = 32
_HIGH = PLACE_BITS - _HALF


class KeyLayout(data.StructLayout):
    """Row of the key table: a region, or a window of type 2B.

    Fields
    ------
    valid : 1 bit
    variant : 8 bits
        Low byte of the key.
    domain : 16 bits
        Protection domain.
    rights : 3 bits
        Write, read, atomic operations, of remote hosts.
    local_write, bind : 1 bit each
        READs and atomic operations of the owner may leave there what they bring; windows may be
        bound to it.
    is_window, window_queue_pair : 1, 24 bits
        A window is of one queue pair alone, which may invalidate it from afar. If it is not
        ``valid``, it may be bound.
    base : 64 bits
        Address of the first byte, as remote hosts say it; 0 if zero-based.
    length : 47 bits
        So that a place, ``length`` and ``offset`` together, has 48.
    offset : 30 bits
        First byte's place in its page.
    page_row : config.bits("pages") bits
        Row of the translation table that has the first page.
    page_shift : 5 bits
        Pages of 2 ** page_shift bytes, 12 to 30.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "variant": 8,
                "domain": 16,
                "rights": 3,
                "local_write": 1,
                "bind": 1,
                "is_window": 1,
                "window_queue_pair": 24,
                "base": 64,
                "length": PLACE_BITS - 1,
                "offset": 30,
                "page_row": config.bits("pages"),
                "page_shift": 5,
            }
        )


class KeyRowLayout(data.StructLayout):
    """Row ``key`` of the key table, which is to be ``row``."""

    def __init__(self, config: RoceConfig):
        super().__init__({"key": config.bits("regions"), "row": KeyLayout(config)})


class KeyVerdictLayout(data.StructLayout):
    """What a request's key says of it.

    Fields
    ------
    found : 1 bit
        There is such a key; without it the other fields mean nothing.
    inside : 1 bit
        The region has all the bytes from the request's address on.
    domain, rights, local_write, bind, is_window, window_queue_pair :
        Of the key.
    place : PlaceLayout(config)
        If ``inside``: the address.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "found": 1,
                "inside": 1,
                "domain": 16,
                "rights": 3,
                "local_write": 1,
                "bind": 1,
                "is_window": 1,
                "window_queue_pair": 24,
                "place": PlaceLayout(config),
            }
        )


# Of the key, unchanged in what is said of it.
_OF_KEY = ("domain", "rights", "local_write", "bind", "is_window", "window_queue_pair")


class CheckedLayout(data.StructLayout):
    """A request, a RequestLayout if no other ``shape`` is given, and what its key says of it."""

    def __init__(self, config: RoceConfig, shape: ShapeLike | None = None):
        request = RequestLayout() if shape is None else shape
        super().__init__({"request": request, "key": KeyVerdictLayout(config)})


class KeyCheck(wiring.Component):
    """Look up each request's key, and compare its address and length with the key's bounds.

    Whether the queue pair may use the key is not asked here: nothing of its context is known yet.
    A row that the driver changes while a request is on its way may count as it was or as it is:
    the key's state is looked at again when memory is (:class:`Translator`).

    Latency is 4 cycles. Throughput is 1 request per cycle.

    With narrow beats a register is behind the table's block RAM, and requests, which are wide, come
    one by one: the next one when the one before leaves. Latency is then 5 cycles, throughput 1
    request per 5 cycles and the time that it waits at the output.

    Cycle by cycle: 0 the row's address; 1 the row, the key's low byte, address minus base; 2 place
    and end; 3 is the end inside; then the output. Sums are made in halves, the low one's carry goes
    into the high one a cycle later: no carry goes further than 32 bits in a cycle.

    What waits at the output lets the stages before it move while the last of them is empty: so
    requests that come every second cycle leave every second cycle, in whichever of the two
    who takes them looks.

    Specification: IBTA Architecture Specification volume 1, 10.6 (memory management).

    Parameters
    ----------
    config : RoceConfig
    shape : ShapeLike, optional
        Layout of requests: ``address``, ``key`` and ``length`` of 64, 32 and 32 bits, and what else
        shall travel with them. A RequestLayout if it is not given.

    Members
    -------
    i : In(stream.Signature(shape))
        ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(stream.Signature(CheckedLayout(config, shape)))
        The same requests, registered.
    keys : In(stream.Signature(KeyRowLayout(config)))
        Rows from the driver, taken at any time.
    """

    i: stream.Interface
    o: stream.Interface
    keys: stream.Interface

    def __init__(self, *, config: RoceConfig, shape: ShapeLike | None = None):
        self.config = config
        shape = RequestLayout() if shape is None else shape
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(CheckedLayout(config, shape))),
                "keys": In(stream.Signature(KeyRowLayout(config))),
            }
        )
        # What stages hold, and whether 1 to 3 move, and the output does; proofs look at it.
        row = KeyLayout(config)
        halves = {"high": _HALF + 1, "borrowed": _HALF + 1, "low": _HALF + 1}
        self.row = Signal(row)
        self.valid = [Signal(name=f"valid_{n}") for n in (1, 2, 3, 4)]
        # With narrow beats: in front of stage 1; in any stage.
        self.comes = Signal()
        self.is_busy = Signal()
        self.requests: list[Any] = [
            Signal(shape, name=f"request_{n}", reset_less=True) for n in (1, 2, 3, 4)
        ]
        if config.is_narrow:
            self.requests = [self.requests[0]] * 4
        # Address minus base, whose top bit says less than base; its high half also with what the
        # low one borrows.
        layout = data.StructLayout({"row": row, "found": 1, **halves})
        self.stage_2: Any = Signal(layout, reset_less=True)
        # The high half, and with their carries the low halves of place and end.
        verdict = KeyVerdictLayout(config)
        layout = data.StructLayout(
            {
                "verdict": verdict,
                "high": _HALF + 1,
                "place": _HALF + 1,
                "end": _HALF + 1,
                "length": row["length"].shape,
            }
        )
        self.stage_3: Any = Signal(layout, reset_less=True)
        self.verdict: Any = Signal(verdict, reset_less=True)
        self.moves = Signal()
        self.leaves = Signal()

    def elaborate(self, platform):
        m = Module()
        config = self.config
        key_bits = config.bits("regions")

        m.submodules.rows = rows = SimpleDualPortRam(
            shape=KeyLayout(config),
            depth=config.regions,
            lane_count=1,
            latency=1,
            bypass=False,
            block=True,
        )
        valid, requests = self.valid, self.requests
        m.d.comb += [
            rows.write_lanes.eq(self.keys.valid),
            rows.write_address.eq(self.keys.p.key),
            rows.write_data.eq(self.keys.p.row),
            self.keys.ready.eq(1),
            self.leaves.eq(self.o.ready | ~self.o.valid),
            self.moves.eq(1 if config.is_narrow else self.leaves | ~valid[2]),
            rows.read_en.eq(self.moves),
            rows.read_address.eq(self.i.p.key[8 : 8 + key_bits]),
            self.o.valid.eq(valid[3]),
            self.o.p.request.eq(requests[3]),
            self.o.p.key.eq(self.verdict),
        ]
        if config.is_narrow:
            row = Signal(KeyLayout(config), reset_less=True)
            m.d.comb += [
                self.i.ready.eq(~self.is_busy | (self.o.valid & self.o.ready)),
                self.row.eq(row),
            ]
            with m.If(self.i.ready):
                # Whether valid or not: the register of requests is wide, its enable shall be early.
                m.d.sync += [self.is_busy.eq(self.i.valid), requests[0].eq(self.i.payload)]
            m.d.sync += [
                self.comes.eq(self.i.valid & self.i.ready),
                row.eq(rows.read_data),
                valid[0].eq(self.comes),
                Cat(valid[1:3]).eq(Cat(valid[:2])),
            ]
        else:
            m.d.comb += [self.i.ready.eq(self.moves), self.row.eq(rows.read_data)]
            with m.If(self.moves):
                m.d.sync += [
                    Cat(valid[:3]).eq(Cat(self.i.valid, *valid[:2])),
                    requests[0].eq(self.i.payload),
                    *(after.eq(before) for before, after in pairwise(requests[:3])),
                ]
            with m.If(self.leaves):
                m.d.sync += requests[3].eq(requests[2])
        with m.If(self.moves):
            self._subtract(m)
            self._add(m)
        with m.If(self.leaves):
            m.d.sync += valid[3].eq(valid[2])
        # One by one, what comes leaves at once.
        with m.If(valid[2] if config.is_narrow else self.leaves):
            self._compare(m)
        return m

    def _subtract(self, m: Module) -> None:
        """Stage 1: the row meets the request."""
        request, row, o = self.requests[0], self.row, self.stage_2
        key_bits = self.config.bits("regions")
        known = ~request.key[8 + key_bits :].any() & (row.variant == request.key[:8])
        low, high = request.address[:_HALF], request.address[_HALF:]
        m.d.sync += [
            o.row.eq(row),
            o.found.eq(row.valid & known),
            o.low.eq(low - row.base[:_HALF]),
            o.high.eq(high - row.base[_HALF:]),
            o.borrowed.eq(high + Cat(~row.base[_HALF:], 1)),
        ]

    def _add(self, m: Module) -> None:
        """Stage 2: place and end."""
        request, i, o = self.requests[1], self.stage_2, self.stage_3
        verdict, row = o.verdict, i.row
        m.d.sync += [
            o.high.eq(Mux(i.low[_HALF], i.borrowed, i.high)),
            o.place.eq(i.low[:_HALF] + row.offset),
            o.end.eq(i.low[:_HALF] + request.length),
            o.length.eq(row.length),
            verdict.found.eq(i.found),
            *(verdict[name].eq(row[name]) for name in _OF_KEY),
            verdict.place.key.eq(request.key[8:]),
            verdict.place.variant.eq(request.key[:8]),
            verdict.place.page_row.eq(row.page_row),
            verdict.place.page_shift.eq(row.page_shift),
        ]

    def _compare(self, m: Module) -> None:
        """Stage 3: whether the end is inside."""
        i, o = self.stage_3, self.verdict
        end = Signal(_HIGH + 1)
        length = i.length[_HALF:]
        m.d.comb += end.eq(i.high[:_HIGH] + i.end[_HALF])
        is_low_inside = i.end[:_HALF] <= i.length[:_HALF]
        m.d.sync += [
            o.eq(i.verdict),
            o.place.linear.eq(Cat(i.place[:_HALF], i.high[:_HIGH] + i.place[_HALF])),
            o.inside.eq(
                ~i.high[_HIGH:].any() & ((end < length) | ((end == length) & is_low_inside))
            ),
        ]
