"""Drive a MoverBed: actions and tables in, orders and data out, each held against the model."""

from collections import deque
from dataclasses import asdict, fields
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import (
    ActionKind,
    ActionLayout,
    CompletionLayout,
    FailureLayout,
    StrobeLayout,
    WriteOrderKind,
    WriteOrderLayout,
)
from hdl.roce.scatter import ScatterRowLayout
from sim.roce.mover import Action, Completion, Done, Event, MoverModel
from sim.roce.translator import Span, Translation
from sim.stream import Packet
from tb.dma.fields import FieldReader, pack_fields
from tb.stream import PacketSink, PacketSource, StreamSink, StreamSource, chance, reset

from .translate_port import TranslatePayloads, pack_nested

__all__ = ["MoverBench"]

_KINDS = {"drop": ActionKind.DROP, "write": ActionKind.WRITE, "scatter": ActionKind.SCATTER}


def _struct(reader: Any, kind: type) -> Any:
    """Dataclass ``kind`` of the fields that were read."""
    return kind(**{field.name: getattr(reader, field.name) for field in fields(kind)})


class MoverBench:
    """Drivers of every stream of a MoverBed, and the model beside it.

    Attributes
    ----------
    expected : deque of Done
        What becomes of the actions that are not done yet.
    finished : int
        Actions that are done.
    """

    def __init__(self, dut: Any, config: RoceConfig, *, stalls: dict[str, float] | None = None):
        pauses = {name: chance(value) for name, value in (stalls or {}).items()}

        def source(name: str) -> StreamSource:
            return StreamSource(dut, name, pause=pauses.get(name, chance(0)))

        self.dut = dut
        self.config = config
        self.payloads = TranslatePayloads(config)
        self.table = Translation(config.pages)
        self.lists: dict[int, list[Span]] = {}
        self.model = MoverModel(self.table, self.lists)
        self.actions = source("actions")
        self.packets = PacketSource(
            dut, "packets", config.data_bytes, pause=pauses.get("packets", chance(0))
        )
        self.key_states, self.pages = source("key_states"), source("pages")
        self.scatter_rows = source("scatter_rows")
        self.others = [source(f"others__{n}__request") for n in range(2)]
        self.orders = StreamSink(dut, "orders", pause=pauses.get("orders", chance(0)))
        self.data = PacketSink(dut, "data", config.data_bytes, pause=pauses.get("data", chance(0)))
        self.failures = StreamSink(dut, "failures", pause=pauses.get("failures", chance(0)))
        self.expected: deque[Done] = deque()
        self.expected_failures: deque[tuple[int, int]] = deque()
        self.finished = 0
        self._action = ActionLayout(config)
        self._order = FieldReader(WriteOrderLayout(config))
        self._completion: data.Layout = CompletionLayout(config)
        self._failure = FieldReader(FailureLayout(config))
        self._row = ScatterRowLayout(config)
        dut.failed.value = 0
        self._checks: list[Task] = []
        self.start_checks()

    def start_checks(self) -> None:
        """Begin to hold what comes against the model."""
        checks = [self._check_orders(), self._check_failures()]
        self._checks = [cocotb.start_soon(check) for check in checks]

    async def forget(self) -> None:
        """Reset the device in mid-traffic; nothing more comes of what was asked."""
        for check in self._checks:
            check.cancel()
        self.expected.clear()
        self.expected_failures.clear()
        ports = (self.actions, self.packets, *self.others, self.orders, self.data, self.failures)
        await reset(self.dut, *ports)
        self.start_checks()

    def set_key(self, key: int, variant: int | None) -> None:
        """Write a row of the key table: its variant, or None if it is not valid."""
        self.table.keys.pop(key, None)
        if variant is not None:
            self.table.keys[key] = variant
        payload = self.payloads.key(key, valid=variant is not None, variant=variant or 0)
        self.key_states.send_value(payload)

    def set_page(self, row: int, space: int, page: int) -> None:
        """Write a row of the translation table."""
        self.table.pages[row] = (space, page)
        self.pages.send_value(self.payloads.page(row, space, page))

    def set_list(self, handle: int, spans: list[Span]) -> None:
        """Write a scatter list; entries that are not named have no bytes."""
        entries = self.config.scatter_entries
        self.lists[handle] = spans
        for number in range(entries):
            span = spans[number] if number < len(spans) else Span(0, 0, 0)
            row = {"row": handle * entries + number, "span": asdict(span)}
            self.scatter_rows.send_value(pack_nested(self._row, row))

    def act(self, action: Action) -> Done:
        """Queue an action and its packet; return what is to become of it."""
        done = self.model.act(action)
        self.expected.append(done)
        if done.failure is not None:
            self.expected_failures.append((action.queue_pair, done.failure))
        if action.packet is not None:
            self.packets.send(Packet(action.packet))
        plain = asdict(action)
        completion = {"valid": 0}
        if action.completion is not None:
            completion = {"valid": 1, **asdict(action.completion)}
        plain |= {
            "kind": _KINDS[action.kind],
            "has_packet": action.packet is not None,
            "completion": completion,
        }
        del plain["packet"]
        self.actions.send_value(pack_nested(self._action, plain))
        return done

    async def fail(self, queue_pair: int) -> None:
        """Say that a memory write of ``queue_pair`` has failed; only while all is quiet."""
        layout = StrobeLayout(self.config)
        self.dut.failed.value = pack_fields(layout, valid=1, queue_pair=queue_pair)
        await ClockCycles(self.dut.clk, 1)
        self.dut.failed.value = 0
        self.model.dead.add(queue_pair)

    async def settle(self) -> None:
        """Wait until every action is done, and then for a while if more comes."""
        edge = RisingEdge(self.dut.clk)
        ports = [self.actions, self.packets, self.key_states, self.pages, self.scatter_rows]
        while self.expected or self.expected_failures or not all(port.idle for port in ports):
            await edge
        await ClockCycles(self.dut.clk, 20)
        assert self.data.received.empty()

    async def _check_orders(self) -> None:
        """Hold what each action ends with against the model."""
        written: dict[tuple[int, int], int] = {}
        completion: Completion | None = None
        while True:
            order = self._order.read(await self.orders.received.get())
            assert self.expected, "an order that nothing asked for"
            done = self.expected[0]
            assert done.event is not None
            assert order.queue_pair == done.event.queue_pair
            assert completion is None, "an order behind the completion"
            if order.kind == WriteOrderKind.DATA:
                span = _struct(order.span, Span)
                assert 1 <= span.length <= 4096
                packet = await self.data.received.get()
                assert (len(packet.data), packet.error) == (span.length, False)
                for number, byte in enumerate(packet.data):
                    written[span.space, (span.address + number) % (1 << 64)] = byte
            elif order.kind == WriteOrderKind.COMPLETION:
                assert order.completion.valid
                completion = _struct(order.completion, Completion)
            else:
                assert order.kind == WriteOrderKind.NOTHING and order.last
            if not order.last:
                continue
            assert completion == done.completion
            event = _struct(order.event, Event)
            if done.event.kind:
                assert event == done.event
            assert (event.kind, event.notify) == (done.event.kind, done.event.notify)
            assert written == done.written
            written, completion = {}, None
            self.expected.popleft()
            self.finished += 1

    async def _check_failures(self) -> None:
        while True:
            failure = self._failure.read(await self.failures.received.get())
            assert self.expected_failures, "a failure that there is not"
            assert (failure.queue_pair, failure.status) == self.expected_failures.popleft()
