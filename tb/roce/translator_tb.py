"""cocotb testbench of hdl.roce.Translator."""

import json
import os
import random
from collections import deque

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import SpanLayout, TranslateResponseLayout
from hdl.roce.translator import CLIENT_COUNT
from sim.roce.translator import Place, Span, Translation
from tb.stream import StreamSource, chance, reset, start

from .translate_port import TranslatePayloads, read_span

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
PAGE_BITS = 52
LATENCY = int(os.environ["LATENCY"])
#: Rows that requests of these tests reach; those above are there to be written meanwhile.
REACHED = CONFIG.pages // 2

_PAYLOADS = TranslatePayloads(CONFIG)
_RESPONSE = TranslateResponseLayout()
_SPAN_BITS = SpanLayout().size


class Bench:
    """Drivers of every stream, and a monitor that holds each response against the model."""

    def __init__(self, dut, stall: float = 0.0):
        self.dut = dut
        self.model = Translation(CONFIG.pages)
        self.clients = [
            StreamSource(dut, f"clients__{n}__request", pause=chance(stall))
            for n in range(CLIENT_COUNT)
        ]
        self.key_states = StreamSource(dut, "key_states", pause=chance(stall))
        self.pages = StreamSource(dut, "pages", pause=chance(stall))
        self.answers: list[list[tuple[bool, list[Span]]]] = [[] for _ in range(CLIENT_COUNT)]
        self.accepted: list[int] = []
        self.due: deque[tuple[int, int, bool, list[Span]]] = deque()
        cocotb.start_soon(self._watch())

    def set_key(self, key: int, *, valid: bool, variant: int) -> None:
        """Queue a row of the key table."""
        self.key_states.send_value(_PAYLOADS.key(key, valid=valid, variant=variant))

    def set_page(self, row: int, space: int, page: int) -> None:
        """Queue a row of the translation table."""
        self.pages.send_value(_PAYLOADS.page(row, space, page))

    def fill(self) -> None:
        """Queue random rows for all that requests reach; every second key is valid."""
        for row in range(CONFIG.pages):
            self.set_page(row, random.getrandbits(2), random.getrandbits(PAGE_BITS))
        for key in range(CONFIG.regions):
            self.set_key(key, valid=bool(key & 1), variant=random.getrandbits(8))

    async def settle(self) -> None:
        """Wait until all that was queued has been answered."""
        ports = [*self.clients, self.key_states, self.pages]
        while not all(port.idle for port in ports):
            await ClockCycles(self.dut.clk, 1)
        await ClockCycles(self.dut.clk, LATENCY + 2)
        assert not self.due

    async def _watch(self) -> None:
        edge = RisingEdge(self.dut.clk)
        responses = [self.dut[f"clients__{n}__response"] for n in range(CLIENT_COUNT)]
        cycle = 0
        while True:
            await edge
            cycle += 1
            if self.dut.rst.value:
                self.due.clear()
                continue
            self._write()
            asking = [n for n, port in enumerate(self.clients) if port.valid.value]
            taken = [n for n in asking if self.clients[n].ready.value]
            assert len(taken) <= 1
            for number in taken:
                self.accepted.append(number)
                self.due.append((cycle + LATENCY, number, *self._expect(number)))
            answered = [n for n, value in enumerate(responses) if int(value.value) & 1]
            if self.due and self.due[0][0] == cycle:
                _, number, ok, spans = self.due.popleft()
                assert answered == [number]
                self._compare(number, int(responses[number].value) >> 1, ok, spans)
            else:
                assert not answered

    def _write(self) -> None:
        if self.key_states.valid.value and self.key_states.ready.value:
            row = _PAYLOADS.key_reader.read(int(self.key_states.payload.value))
            self.model.keys.pop(row.key, None)
            if row.valid:
                self.model.keys[row.key] = row.variant
        if self.pages.valid.value and self.pages.ready.value:
            row = _PAYLOADS.page_reader.read(int(self.pages.payload.value))
            self.model.pages[row.row] = (row.space, row.page)

    def _expect(self, number: int) -> tuple[bool, list[Span]]:
        payload = int(self.clients[number].payload.value)
        place, length, invalidate = _PAYLOADS.read_request(payload)
        if invalidate:
            return self.model.invalidate(place), []
        if _PAYLOADS.binds(payload):
            return self.model.bind(place), []
        spans = self.model.translate(place, length)
        return spans is not None, spans or []

    def _compare(self, number: int, value: int, ok: bool, spans: list[Span]) -> None:
        offset = _RESPONSE["spans"].offset
        found = [read_span(value >> offset + n * _SPAN_BITS) for n in range(2)]
        assert bool(value & 1) == ok
        assert [span for span in found if span.length] == spans
        assert all(span.length == 0 for span in found[len(spans) :])
        self.answers[number].append((ok, spans))


def random_place(model_keys: dict[int, int], length: int, *, shift: int | None = None) -> Place:
    """Place that is mostly right: near the end of a page, of a valid key, within the table."""
    shift = random.choice([12, 12, 13, 16, 21, 30]) if shift is None else shift
    key = random.choice([random.randrange(CONFIG.regions), *(list(model_keys) * 2)])
    variant = model_keys.get(key, random.getrandbits(8)) ^ (random.random() < 0.1)
    page_row = random.randrange(REACHED)
    index = random.randrange(max(1, REACHED - page_row))
    linear = index << shift
    where = random.random()
    if where < 0.4:
        linear += random.randrange(1 << shift)
    elif where < 0.8:
        linear += max(0, (1 << shift) - length + random.randint(-2, 2))
    elif where < 0.95:
        linear += (1 << shift) - 1
    else:
        linear = random.getrandbits(random.randint(1, 48))
        page_row = CONFIG.pages - 1 - random.randrange(2)
    return Place(key, variant, linear % (1 << 48), page_row, shift)


def random_length() -> int:
    """Bytes to translate: few, many, none, and some that no packet has."""
    return random.choice([0, 1, random.randint(0, 64), random.randint(0, 4096), 4096, 8191, 4097])


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(stall=[0.0, 0.6])
async def every_request_is_answered_as_the_model_does(dut, stall):
    """Three clients, invalidations, and keys and pages that are written meanwhile."""
    bench = Bench(dut, stall)
    await start(dut)
    bench.fill()
    await bench.settle()
    for _ in range(8):
        for port in bench.clients:
            for _ in range(60):
                length = random_length()
                place = random_place(bench.model.keys, length)
                alters = random.choices([{}, {"invalidate": True}, {"bind": True}], [8, 1, 1])[0]
                port.send_value(_PAYLOADS.request(place, length, **alters))
        for _ in range(25):
            key = random.randrange(CONFIG.regions)
            variant = bench.model.keys.get(key, random.getrandbits(8))
            bench.set_key(key, valid=random.random() < 0.8, variant=variant)
            row = random.randrange(REACHED + 1, CONFIG.pages - 2)
            bench.set_page(row, random.getrandbits(2), random.getrandbits(PAGE_BITS))
        await bench.settle()
    answers = [answer for client in bench.answers for answer in client]
    assert len(answers) == 8 * 60 * CLIENT_COUNT
    assert sum(ok for ok, _ in answers) > 200
    assert sum(not ok for ok, _ in answers) > 200
    assert sum(len(spans) == 2 for _, spans in answers) > 50


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def pages_of_every_size_end_where_they_end(dut):
    """Around the end of pages of every size: one byte before to one behind, the last row."""
    bench = Bench(dut)
    await start(dut)
    bench.fill()
    await bench.settle()
    (key, variant) = next(iter(bench.model.keys.items()))
    rows = [0, 1, CONFIG.pages - 2, CONFIG.pages - 1]
    for shift in range(12, 31):
        for row in rows:
            for length in (1, 4096):
                for index in (0, 1, CONFIG.pages - 1, CONFIG.pages):
                    end = (index + 1) << shift
                    for begin in (end - length - 1, end - length, end - length + 1, end - 1):
                        place = Place(key, variant, begin % (1 << 48), row, shift)
                        bench.clients[1].send_value(_PAYLOADS.request(place, length))
    await bench.settle()
    assert sum(len(spans) == 2 for _, spans in bench.answers[1]) > 19 * 4
    assert sum(not ok for ok, _ in bench.answers[1]) > 19 * 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def who_waits_is_served(dut):
    """Client 0 every second cycle, the others in turns, and rows are written; alone, each cycle."""
    bench = Bench(dut)
    await start(dut)
    bench.fill()
    await bench.settle()
    (key, variant) = next(iter(bench.model.keys.items()))
    for number in range(CLIENT_COUNT):
        bench.clients[number].restart()
        for place in range(64):
            bench.clients[number].send_value(
                _PAYLOADS.request(Place(key, variant, place, 0, 12), 64)
            )
        await bench.settle()
        assert bench.clients[number].span == bench.clients[number].accepted == 64
    for number in range(CLIENT_COUNT):
        bench.clients[number].restart()
        for place in range(600 if number == 0 else 150):
            bench.clients[number].send_value(
                _PAYLOADS.request(Place(key, variant, place, 0, 12), 64)
            )
    bench.key_states.restart()
    for number in range(100):
        bench.set_key(key, valid=True, variant=variant)
        bench.set_page(CONFIG.pages - 1, 0, number)
    bench.accepted.clear()
    while bench.clients[0].accepted < 300:
        await ClockCycles(dut.clk, 1)
    assert bench.clients[0].span <= 2 * bench.clients[0].accepted
    for other in bench.clients[1:]:
        assert other.accepted >= 95
    assert bench.key_states.accepted >= 95
    await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_invalidation_counts_for_whoever_comes_next(dut):
    """Others ask for the key in every cycle around the one in which it is invalidated."""
    bench = Bench(dut)
    await start(dut)
    bench.fill()
    await bench.settle()
    (key, variant) = next(iter(bench.model.keys.items()))
    place = Place(key, variant, 5, 0, 12)
    for distance in range(12):
        bench.set_key(key, valid=True, variant=variant)
        await bench.settle()
        before = len(bench.answers[1])
        for _ in range(12):
            bench.clients[1].send_value(_PAYLOADS.request(place, 64))
        await ClockCycles(dut.clk, distance)
        bench.clients[0].send_value(_PAYLOADS.request(place, 64, invalidate=True))
        bench.clients[2].send_value(_PAYLOADS.request(place, 64, invalidate=True))
        await bench.settle()
        answers = [ok for ok, _ in bench.answers[1][before:]]
        assert answers == sorted(answers, reverse=True)
        # Only one of two finds it.
        assert bench.answers[0][-1][0] != bench.answers[2][-1][0]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_bind_counts_for_whoever_comes_next(dut):
    """Others ask for the key in every cycle around the one in which it is bound, by one of two."""
    bench = Bench(dut)
    await start(dut)
    bench.fill()
    await bench.settle()
    key = next(iter(bench.model.keys))
    for distance in range(12):
        bench.set_key(key, valid=False, variant=distance)
        await bench.settle()
        before = len(bench.answers[1])
        places = [Place(key, distance + n, 5, 0, 12) for n in range(2)]
        for _ in range(12):
            bench.clients[1].send_value(_PAYLOADS.request(places[0], 64))
        await ClockCycles(dut.clk, distance)
        bench.clients[0].send_value(_PAYLOADS.request(places[0], 64, bind=True))
        bench.clients[2].send_value(_PAYLOADS.request(places[1], 64, bind=True))
        await bench.settle()
        answers = [ok for ok, _ in bench.answers[1][before:]]
        bound = bench.answers[0][-1][0]
        assert answers == sorted(answers)
        assert bound != bench.answers[2][-1][0]
        assert bound or not any(answers)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reset_forgets_requests_and_keeps_tables(dut):
    """Behind a reset, nothing that was asked before is answered; tables are as they were."""
    bench = Bench(dut)
    await start(dut)
    bench.fill()
    await bench.settle()
    for cycles in range(1, 7):
        place = random_place(bench.model.keys, 64)
        for port in bench.clients:
            for _ in range(4):
                port.send_value(_PAYLOADS.request(place, 64))
        await ClockCycles(dut.clk, cycles)
        await reset(dut, *bench.clients)
        bench.clients[0].send_value(_PAYLOADS.request(place, 64))
        await bench.settle()
