"""Looks up the key of each request, and whether the bytes that it asks for are the key's."""

from itertools import pairwise
from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam

from .config import RoceConfig
from .layouts import PLACE_BITS, PlaceLayout, RequestLayout

__all__ = ["CheckedLayout", "KeyCheck", "KeyLayout", "KeyVerdictLayout"]

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
        Write, read, atomic operations.
    is_window, window_queue_pair : 1, 24 bits
        A window is of one queue pair alone, which may invalidate it from afar.
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
                "is_window": 1,
                "window_queue_pair": 24,
                "base": 64,
                "length": PLACE_BITS - 1,
                "offset": 30,
                "page_row": config.bits("pages"),
                "page_shift": 5,
            }
        )


class KeyVerdictLayout(data.StructLayout):
    """What a request's key says of it.

    Fields
    ------
    found : 1 bit
        There is such a key; without it the other fields mean nothing.
    inside : 1 bit
        The region has all the bytes from the request's address on.
    domain, rights, is_window, window_queue_pair :
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
                "is_window": 1,
                "window_queue_pair": 24,
                "place": PlaceLayout(config),
            }
        )


class CheckedLayout(data.StructLayout):
    """A request and what its key says of it."""

    def __init__(self, config: RoceConfig):
        super().__init__({"request": RequestLayout(), "key": KeyVerdictLayout(config)})


class KeyCheck(wiring.Component):
    """Look up each request's key, and compare its address and length with the key's bounds.

    Whether the queue pair may use the key is not asked here: nothing of its context is known yet.
    A row that the driver changes while a request is on its way may count as it was or as it is:
    the key's state is looked at again when memory is (:class:`Translator`).

    Latency is 4 cycles. Throughput is 1 request per cycle.

    Cycle by cycle: 0 the row's address; 1 the row, the key's low byte, address minus base; 2 place
    and end; 3 is the end inside; then the output. Sums are made in halves, the low one's carry goes
    into the high one a cycle later: no carry goes further than 32 bits in a cycle.

    Specification: IBTA Architecture Specification volume 1, 10.6 (memory management).

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    i : In(stream.Signature(RequestLayout()))
        ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(stream.Signature(CheckedLayout(config)))
        The same requests, registered.
    keys : In(stream.Signature({key: config.bits("regions"), row: KeyLayout(config)}))
        Rows from the driver, taken at any time.
    """

    i: stream.Interface
    o: stream.Interface
    keys: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        written = data.StructLayout({"key": config.bits("regions"), "row": KeyLayout(config)})
        super().__init__(
            {
                "i": In(stream.Signature(RequestLayout())),
                "o": Out(stream.Signature(CheckedLayout(config))),
                "keys": In(stream.Signature(written)),
            }
        )
        self.row = Signal(KeyLayout(config))

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
        m.d.comb += [
            rows.write_lanes.eq(self.keys.valid),
            rows.write_address.eq(self.keys.p.key),
            rows.write_data.eq(self.keys.p.row),
            self.keys.ready.eq(1),
        ]

        move = Signal()
        m.d.comb += [move.eq(self.o.ready | ~self.o.valid), self.i.ready.eq(move)]
        m.d.comb += [
            rows.read_en.eq(move),
            rows.read_address.eq(self.i.p.key[8 : 8 + key_bits]),
        ]
        valid = [Signal(name=f"valid_{n}") for n in (1, 2, 3, 4)]
        requests: list[Any] = [
            Signal(RequestLayout(), name=f"request_{n}", reset_less=True) for n in (1, 2, 3, 4)
        ]
        row: Any = self.row
        row_2: Any = Signal(KeyLayout(config), reset_less=True)
        m.d.comb += row.eq(rows.read_data)
        high = requests[0].key[8 + key_bits :]

        found_2 = Signal(reset_less=True)
        # Address minus base, whose top bit says less than base; the high half with and without a
        # borrow of the low one.
        low_2 = Signal(_HALF + 1, reset_less=True)
        high_2 = Signal(_HALF + 1, reset_less=True)
        borrowed_2 = Signal(_HALF + 1, reset_less=True)
        high_3 = Signal(_HALF + 1, reset_less=True)
        # Low halves of place and end, with their carries.
        place_3 = Signal(_HALF + 1, reset_less=True)
        end_3 = Signal(_HALF + 1, reset_less=True)
        end_high = Signal(_HIGH + 1)
        length_high = Signal(_HIGH)
        length_3 = Signal(len(row.length), reset_less=True)
        verdict_3: Any = Signal(KeyVerdictLayout(config), reset_less=True)
        verdict_4: Any = Signal(KeyVerdictLayout(config), reset_less=True)
        address = requests[0].address
        m.d.comb += [
            end_high.eq(high_3[:_HIGH] + end_3[_HALF]),
            length_high.eq(length_3[_HALF:]),
        ]
        with m.If(move):
            m.d.sync += [
                Cat(valid).eq(Cat(self.i.valid, *valid[:3])),
                requests[0].eq(self.i.payload),
                *(after.eq(before) for before, after in pairwise(requests)),
                # 1
                row_2.eq(row),
                found_2.eq(row.valid & (row.variant == requests[0].key[:8]) & ~high.any()),
                low_2.eq(address[:_HALF] - row.base[:_HALF]),
                high_2.eq(address[_HALF:] - row.base[_HALF:]),
                borrowed_2.eq(address[_HALF:] + Cat(~row.base[_HALF:], 1)),
                # 2
                high_3.eq(Mux(low_2[_HALF], borrowed_2, high_2)),
                place_3.eq(low_2[:_HALF] + row_2.offset),
                end_3.eq(low_2[:_HALF] + requests[1].length),
                length_3.eq(row_2.length),
                verdict_3.found.eq(found_2),
                verdict_3.domain.eq(row_2.domain),
                verdict_3.rights.eq(row_2.rights),
                verdict_3.is_window.eq(row_2.is_window),
                verdict_3.window_queue_pair.eq(row_2.window_queue_pair),
                verdict_3.place.key.eq(requests[1].key[8:]),
                verdict_3.place.variant.eq(requests[1].key[:8]),
                verdict_3.place.page_row.eq(row_2.page_row),
                verdict_3.place.page_shift.eq(row_2.page_shift),
                # 3
                verdict_4.eq(verdict_3),
                verdict_4.place.linear.eq(Cat(place_3[:_HALF], high_3[:_HIGH] + place_3[_HALF])),
                verdict_4.inside.eq(
                    ~high_3[_HIGH:].any()
                    & (
                        (end_high < length_high)
                        | ((end_high == length_high) & (end_3[:_HALF] <= length_3[:_HALF]))
                    )
                ),
            ]
        m.d.comb += [
            self.o.valid.eq(valid[-1]),
            self.o.p.request.eq(requests[-1]),
            self.o.p.key.eq(verdict_4),
        ]
        return m
