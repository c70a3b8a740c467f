"""Places in regions become places in memory."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In

from ..memory import SimpleDualPortRam
from .config import RoceConfig
from .layouts import TranslateRequestLayout, TranslateResponseLayout
from .translate_signature import TranslateSignature

__all__ = [
    "CLIENT_COUNT",
    "KeyStateLayout",
    "PageLayout",
    "Translator",
]

#: Mover, ReadEngine, AtomicUnit: what a responder has. A requester adds its Gather.
CLIENT_COUNT = 3

#: Pages have 4 KiB at least, so that no packet's payload (4096 bytes) touches three of them.
_LEAST_SHIFT = 12
#: Pages have 1 GiB at most, the largest that hosts map.
_MOST_SHIFT = 30
#: Most bytes of a request.
_MOST_BYTES = 1 << _LEAST_SHIFT
#: Bits of a page's size that are not the same for all.
_CHOSEN_BITS = _MOST_SHIFT - _LEAST_SHIFT
#: Levels of the shift that stand in front of the adder, not in the stage before it: most even.
_LATE_LEVELS = 3


class KeyStateLayout(data.StructLayout):
    """Row of the table of keys: ``key``, whether it is ``valid``, and its ``variant``."""

    def __init__(self, config: RoceConfig):
        super().__init__({"key": config.bits("regions"), "valid": 1, "variant": 8})


class PageLayout(data.StructLayout):
    """Row of the translation table: ``row``, and ``space`` and ``page`` (address >> 12) there."""

    def __init__(self, config: RoceConfig):
        super().__init__({"row": config.bits("pages"), "space": 2, "page": 64 - _LEAST_SHIFT})


class Translator(wiring.Component):
    """Say where in memory bytes of a region are, while its key is still what it was.

    ``ok`` is set if the key is valid with the variant that was named and all pages of the
    ``length`` bytes have rows below ``config.pages``. Then span 0 has the bytes of the first page,
    and span 1 the others, at the beginning of the next page: none in most cases. Whatever the
    tables hold, a span with bytes lies within the page that its row names, of which the bits below
    the page's size are ignored. Without ``ok``, or with ``length`` 0, neither span has bytes;
    with ``length`` 0 only the key counts. More than 4096 bytes are refused; a
    ``page_shift`` that is not 12 to 30 gives undefined places.

    With ``invalidate`` only the key counts, and if it is as named it is invalid for every request
    that is accepted later, until it is written again. With ``bind`` it is the other way round: if
    the key is invalid, whatever its variant, it is valid with the one that was named.

    Who is next: client 0, unless it was just served and another one waits; so it can be served
    every second cycle. The others take turns, and rows to be written with them: no row is
    written in the cycle in which it is read. The 2 cycles after an invalidation, or a bind, accept
    nothing. So of 3 clients a request is accepted within 6 cycles if there is none, and within 18
    whatever comes; of 4 within 8 and 24.

    A write of a key is seen by all requests that are accepted in its cycle or later. Pages of a
    valid key must not be written. Tables are not reset: an FPGA starts with no valid key.

    Latency is :attr:`latency` cycles, without exception. Throughput is a request per cycle.

    Specification: this docstring.

    Parameters
    ----------
    config : RoceConfig
        ``regions`` and ``pages`` count.
    client_count : int
        2 or more.

    Attributes
    ----------
    latency : int
        Cycles from a request that is accepted to its response: 4. With narrow beats 6: a register
        in front of the block RAM of the pages, and one behind it.

    Members
    -------
    clients : In(TranslateSignature(config)).array(client_count)
        Mover, ReadEngine, AtomicUnit, Gather. ``request.ready`` depends combinationally on every
        client's ``request.valid`` and on that of the rows to be written. Responses are registers.
    key_states : In(stream.Signature(KeyStateLayout(config)))
        Keys to be written.
    pages : In(stream.Signature(PageLayout(config)))
        Pages to be written.
    """

    clients: list[Any]
    key_states: stream.Interface
    pages: stream.Interface

    def __init__(self, *, config: RoceConfig, client_count: int = CLIENT_COUNT):
        self.config = config
        self.client_count = client_count
        self.latency = 6 if config.is_narrow else 4
        super().__init__(
            {
                "clients": In(TranslateSignature(config)).array(client_count),
                "key_states": In(stream.Signature(KeyStateLayout(config))),
                "pages": In(stream.Signature(PageLayout(config))),
            }
        )
        # What the proof looks at: the request and the pages of the response that leaves next.
        self.answered = Signal(TranslateRequestLayout(config), reset_less=True)
        self.first_page = Signal(PageLayout(config)["page"].shape)
        self.second_page = Signal(PageLayout(config)["page"].shape)

    def _later(self, m: Module, value: Any) -> Any:
        """``value``, a cycle later."""
        later = Signal(value.shape())
        m.d.sync += later.eq(value)
        return later

    def _shifted(self, m: Module, index: Value, amount: Value, level: int) -> tuple[Value, Value]:
        """Shift ``index`` right by 2 ** level if ``amount`` is set, with later levels to come.

        Returns what can still become a row's number, and whether anything is above that.
        """
        kept = self.config.bits("pages") + (1 << level) - 1
        shifted = Signal(len(index), name=f"index_{level}")
        m.d.comb += shifted.eq(Mux(amount, index >> (1 << level), index))
        return shifted[:kept], shifted[kept:].any()

    def elaborate(self, platform):
        m = Module()
        page_bits = self.config.bits("pages")
        state_layout = data.StructLayout({"valid": 1, "variant": 8})
        page_layout = data.StructLayout({"space": 2, "page": 64 - _LEAST_SHIFT})
        m.submodules.states = states = SimpleDualPortRam(
            shape=state_layout,
            depth=self.config.regions,
            lane_count=1,
            latency=2,
            bypass=False,
            block=True,
        )
        # Two rows that follow each other are in different banks, and are read at once.
        banks = [
            SimpleDualPortRam(
                shape=page_layout,
                depth=self.config.pages // 2,
                lane_count=1,
                latency=2 if self.config.is_narrow else 1,
                bypass=False,
                block=True,
            )
            for _ in range(2)
        ]
        m.submodules.even_pages, m.submodules.odd_pages = banks

        # Who is next.
        asks = [client.request.valid for client in self.clients]
        writes = Signal()
        # All clients but the first, and the rows that want a cycle without a request.
        count = self.client_count
        others = Signal(count)
        turn = Signal(count, init=1)  # one-hot: who of them goes first
        chosen = Signal(count)
        first_served = Signal()
        grants_first = Signal()
        can_accept = Signal()
        m.d.comb += [
            writes.eq(self.key_states.valid | self.pages.valid),
            others.eq(Cat(*asks[1:], writes)),
            grants_first.eq(asks[0] & ~(first_served & others.any())),
        ]
        for number in range(count):
            earlier = [
                turn[begin]
                & Cat(others[(begin + n) % count] for n in range((number - begin) % count)).any()
                for begin in range(count)
                if begin != number
            ]
            m.d.comb += chosen[number].eq(others[number] & ~grants_first & ~Cat(*earlier).any())
        grants = [grants_first, *chosen[:-1]]

        asked = Signal(TranslateRequestLayout(self.config), reset_less=True)
        asked_of = Signal(count)  # one-hot; 0 if there is no request
        # A key that may change now is not read before it has been written.
        alters = Signal(3)  # in this stage and the two behind it
        m.d.comb += [
            alters[0].eq(asked_of.any() & (asked.invalidate | asked.bind)),
            can_accept.eq(~alters[:2].any()),
        ]
        m.d.sync += alters[1:].eq(alters)
        m.d.sync += asked_of.eq(Mux(can_accept, Cat(*grants), 0))
        with m.If(can_accept):
            m.d.sync += first_served.eq(grants_first)
            with m.If(chosen.any()):
                m.d.sync += turn.eq(chosen.rotate_left(1))
        for client, grant in zip(self.clients, grants, strict=True):
            m.d.comb += client.request.ready.eq(can_accept & grant)
        with m.If(grants_first):
            m.d.sync += asked.eq(self.clients[0].request.p)
        for number, client in enumerate(self.clients[1:-1]):
            with m.Elif(chosen[number]):
                m.d.sync += asked.eq(client.request.p)
        with m.Else():
            m.d.sync += asked.eq(self.clients[-1].request.p)

        # The page, counted from the region's first, and what of the bytes is in the next one.
        place: Any = asked.place
        amount = Signal(5)  # bits of a page's size beyond the least
        in_page = Signal(_CHOSEN_BITS)  # which of the bits above the least size are in a page
        index = place.linear[_LEAST_SHIFT:]
        lost: list[Value] = []
        m.d.comb += [
            amount.eq(place.page_shift - _LEAST_SHIFT),
            in_page.eq(Cat(amount > n for n in range(_CHOSEN_BITS))),
        ]
        for level in reversed(range(_LATE_LEVELS, 5)):
            index, more = self._shifted(m, index, amount[level], level)
            lost.append(more)
        end = Signal(_LEAST_SHIFT + 2)
        at_end_of_page = Signal()
        m.d.comb += [
            end.eq(place.linear[:_LEAST_SHIFT] + asked.length),
            at_end_of_page.eq(
                (place.linear[_LEAST_SHIFT:_MOST_SHIFT] | ~in_page).all(),
            ),
        ]

        located_of = Signal(count)
        located = Signal(TranslateRequestLayout(self.config), reset_less=True)
        located_place: Any = located.place
        located_amount = Signal(_LATE_LEVELS, reset_less=True)
        located_index = Signal(len(index), reset_less=True)
        located_in_page = Signal(_CHOSEN_BITS, reset_less=True)
        beyond = Signal(reset_less=True)
        may_cross = Signal(reset_less=True)
        located_end = Signal(len(end), reset_less=True)
        crosses = Signal()
        second_length = Signal(_LEAST_SHIFT, reset_less=True)
        m.d.sync += [
            located_of.eq(asked_of),
            located.eq(asked),
            located_amount.eq(amount),
            located_index.eq(index),
            located_in_page.eq(in_page),
            beyond.eq(
                Cat(*lost).any() | (asked.length[_LEAST_SHIFT] & asked.length[:_LEAST_SHIFT].any())
            ),
            may_cross.eq(at_end_of_page),
            located_end.eq(end),
            second_length.eq(end),
        ]
        m.d.comb += [
            crosses.eq(
                may_cross & (located_end[_LEAST_SHIFT:] != 0) & (located_end != _MOST_BYTES)
            ),
            states.read_en.eq(1),
            states.read_address.eq(place.key),
        ]

        index = located_index
        late_lost: list[Value] = [beyond]
        for level in reversed(range(_LATE_LEVELS)):
            index, more = self._shifted(m, index, located_amount[level], level)
            late_lost.append(more)

        # Rows of the page and of the one behind it, and whether there is anything to be had there.
        row = Signal(page_bits + 1)
        next_row = Signal(page_bits + 1)
        in_range = Signal()
        has_bytes = Signal()
        is_lost = Signal()
        m.d.comb += [
            row.eq(located_place.page_row + index),
            # With a carry in: one adder, not two.
            next_row.eq((Cat(1, located_place.page_row) + Cat(1, index))[1:]),
            is_lost.eq(Cat(*late_lost).any()),
        ]
        # From here on with narrow beats the registers in front of the pages' memory; whose key's
        # row comes from its memory in the next cycle without them, and in this one with them.
        key_place, key_binds = located_place, located.bind
        if self.config.is_narrow:
            located_of, located, located_in_page, crosses, second_length, row, next_row, is_lost = (
                self._later(m, value)
                for value in (
                    located_of,
                    located,
                    located_in_page,
                    crosses,
                    second_length,
                    row,
                    next_row,
                    is_lost,
                )
            )
            located_place = located.place
        m.d.comb += [
            in_range.eq(~is_lost & ~row[-1] & ~(crosses & next_row[-1])),
            has_bytes.eq((located.length != 0) & ~located.invalidate & ~located.bind),
        ]
        for bank, address in zip(banks, [next_row, row], strict=True):
            m.d.comb += [bank.read_en.eq(1), bank.read_address.eq(address[1:page_bits])]

        found_of = Signal(count)
        found_linear = Signal(_MOST_SHIFT, reset_less=True)
        found_in_page = Signal(_CHOSEN_BITS, reset_less=True)
        found_key = Signal.like(located_place.key, reset_less=True)
        found_variant = Signal.like(located_place.variant, reset_less=True)
        found_binds = Signal(reset_less=True)
        answered = Signal(TranslateRequestLayout(self.config), reset_less=True)
        found_ok = Signal(reset_less=True)
        is_odd = Signal(reset_less=True)
        lengths = [Signal(_LEAST_SHIFT + 1, name=f"length_{n}", reset_less=True) for n in range(2)]
        m.d.sync += [
            found_of.eq(located_of),
            found_linear.eq(located_place.linear),
            found_in_page.eq(located_in_page),
            found_key.eq(key_place.key),
            found_variant.eq(key_place.variant),
            found_binds.eq(key_binds),
            found_ok.eq(in_range | ~has_bytes),
            is_odd.eq(row[0]),
            lengths[0].eq(0),
            lengths[1].eq(0),
            answered.eq(located),
        ]
        with m.If(in_range & has_bytes):
            m.d.sync += lengths[0].eq(located.length)
            with m.If(crosses):
                m.d.sync += [
                    lengths[0].eq((-located_place.linear[:_LEAST_SHIFT])[:_LEAST_SHIFT]),
                    lengths[1].eq(second_length),
                ]

        # The key's row and those of the pages are here.
        state: Any = states.read_data
        key_matches = Signal()
        m.d.comb += key_matches.eq(
            Mux(found_binds, ~state.valid, state.valid & (state.variant == found_variant))
        )
        is_match: Value = key_matches
        if self.config.is_narrow:
            is_match = self._later(m, self._later(m, key_matches))
            found_of, found_linear, found_in_page, answered, found_ok, is_odd, *lengths = (
                self._later(m, value)
                for value in (
                    found_of,
                    found_linear,
                    found_in_page,
                    answered,
                    found_ok,
                    is_odd,
                    *lengths,
                )
            )
        m.d.comb += self.answered.eq(answered)
        pages: list[Any] = [Signal(page_layout, name=f"page_{n}") for n in range(2)]
        with m.If(is_odd):
            m.d.comb += [pages[0].eq(banks[1].read_data), pages[1].eq(banks[0].read_data)]
        with m.Else():
            m.d.comb += [pages[0].eq(banks[0].read_data), pages[1].eq(banks[1].read_data)]
        m.d.comb += [self.first_page.eq(pages[0].page), self.second_page.eq(pages[1].page)]

        response: Any = Signal(TranslateResponseLayout(), reset_less=True)
        response_of = Signal(count)
        page_mask = Cat(found_in_page, C(0, 64 - _MOST_SHIFT))
        m.d.sync += [
            response_of.eq(found_of),
            response.ok.eq(is_match & found_ok),
            *(span.space.eq(page.space) for span, page in zip(response.spans, pages, strict=True)),
            *(span.length.eq(size) for span, size in zip(response.spans, lengths, strict=True)),
            response.spans[0].address.eq(
                Cat(
                    found_linear[:_LEAST_SHIFT],
                    (found_linear[_LEAST_SHIFT:] & found_in_page) | (pages[0].page & ~page_mask),
                )
            ),
            response.spans[1].address.eq(Cat(C(0, _LEAST_SHIFT), pages[1].page & ~page_mask)),
        ]
        with m.If(~is_match):
            m.d.sync += [span.length.eq(0) for span in response.spans]
        for number, client in enumerate(self.clients):
            m.d.comb += [
                client.response.valid.eq(response_of[number]),
                client.response.p.eq(response),
            ]

        # One write port: nobody writes between the read and the write of who alters a key.
        written_state: Any = states.write_data
        written_page: Any = self.pages.p
        m.d.comb += [
            self.key_states.ready.eq(~asked_of.any() & ~alters[1:].any()),
            states.write_lanes.eq(
                Mux(
                    alters[2],
                    key_matches,
                    self.key_states.valid & self.key_states.ready,
                )
            ),
            states.write_address.eq(Mux(alters[2], found_key, self.key_states.p.key)),
            written_state.valid.eq(Mux(alters[2], found_binds, self.key_states.p.valid)),
            written_state.variant.eq(Mux(alters[2], found_variant, self.key_states.p.variant)),
            self.pages.ready.eq(~located_of.any()),
        ]
        for number, bank in enumerate(banks):
            m.d.comb += [
                bank.write_lanes.eq(
                    self.pages.valid & self.pages.ready & (written_page.row[0] == number)
                ),
                bank.write_address.eq(written_page.row[1:]),
                bank.write_data.eq(Cat(written_page.space, written_page.page)),
            ]
        return m
