"""Everything around hdl.roce.Protocol, compared with what the model does."""

from collections import deque
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.triggers import RisingEdge

from hdl.roce.answer_layouts import HeadLayout, JobKind, JobWriteLayout
from hdl.roce.context import ContextLayout
from hdl.roce.key_check import KeyLayout
from hdl.roce.layouts import ActionKind, ActionLayout, EventKind, RequestLayout
from hdl.roce.receive_queues import LimitLayout, PostLayout
from sim.roce import (
    CompletionStatus,
    QueuePair,
    Region,
    RocePacket,
    parse,
)

from ..stream import StreamSink, StreamSource, chance
from .key_rows import key_row
from .protocol_world import CONFIG, Expected, World, receive_queue, request_fields

__all__ = ["Bed"]


class Bed:
    """The hardware beside the model's world."""

    def __init__(self, dut, world: World, *, stall: float, pause: float):
        self.dut = dut
        self.world = world
        self.requests = StreamSource(dut, "requests", pause=chance(pause))
        self.contexts = StreamSource(dut, "contexts")
        self.keys = StreamSource(dut, "keys")
        self.receives = StreamSource(dut, "receives")
        self.limits = StreamSource(dut, "limits")
        self.failures = StreamSource(dut, "failures")
        self.actions = StreamSink(dut, "actions", pause=chance(stall))
        self.async_events = StreamSink(dut, "async_events")
        self.congested = StreamSink(dut, "congested")
        dut.head.value = 0
        dut.tick.value = 0
        dut.cnp_interval.value = 3
        self.jobs: dict[tuple[int, int], Any] = {}
        self.heads = [0] * CONFIG.queue_pairs
        self.freed: deque[int] = deque()
        # Where a queue pair's SEND goes on: receive request, bytes so far.
        self.places: dict[int, tuple[int, int]] = {}
        self.time = 0
        # Frame of the packet that is compared; jobs that each queue pair had so far.
        self.frame = b""
        self.order = [0] * CONFIG.queue_pairs
        cocotb.start_soon(self._watch_jobs())
        cocotb.start_soon(self._free_jobs())

    async def _watch_jobs(self) -> None:
        edge = RisingEdge(self.dut.clk)
        layout = JobWriteLayout(CONFIG)
        while True:
            await edge
            value = int(self.dut.job.value)
            if value & 1:
                row = layout.from_bits(value)
                self.jobs[row.queue_pair, row.slot] = row.job

    async def _free_jobs(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            if self.freed:
                index = self.freed.popleft()
                self.heads[index] = (self.heads[index] + 1) % (2 * CONFIG.resources)
                fields: dict[Any, int] = {
                    "valid": 1,
                    "queue_pair": index,
                    "head": self.heads[index],
                }
                self.dut.head.value = HeadLayout(CONFIG).const(fields).as_bits()
            else:
                self.dut.head.value = 0

    async def settle(self) -> None:
        """Wait until the driver's writes have been taken."""
        edge = RisingEdge(self.dut.clk)
        ports = (self.contexts, self.keys, self.receives, self.limits, self.failures)
        while not all(port.idle for port in ports):
            await edge
        for _ in range(40):
            await edge

    def set_queue_pair(self, index: int) -> None:
        """Write what the model has of a queue pair."""
        qp = self.world.model.queue_pairs[0x500 | index]
        peer = qp.peer if len(qp.peer) == 16 else bytes(10) + b"\xff\xff" + qp.peer
        row = {
            "state": 1,
            "service": qp.service.value,
            "number": qp.number,
            "mtu_shift": qp.mtu.bit_length() - 1,
            "p_key": qp.p_key,
            "q_key": qp.q_key,
            "domain": qp.domain,
            "rights": qp.rights.value,
            "peer": int.from_bytes(peer, "big"),
            "receive_queue": receive_queue(qp),
            "completion_queue": index % 4,
            "is_shared": qp.receives.is_shared,
            "rnr_timer": qp.rnr_timer,
            "expected": qp.expected,
        }
        port = self.contexts
        shape = data.StructLayout({"queue_pair": 4, "row": ContextLayout(CONFIG)})
        port.send_value(shape.const({"queue_pair": index, "row": row}).as_bits())

    def set_limit(self, qp: QueuePair) -> None:
        """Write the limit of a queue pair's receive requests."""
        fields: dict[Any, int] = {"queue": receive_queue(qp), "limit": qp.receives.limit}
        self.limits.send_value(LimitLayout(CONFIG).const(fields).as_bits())

    def set_key(self, region: Region) -> None:
        """Write a region; its pages are rows of a table of the testbench."""
        row = key_row(region, page_row=4 * (region.key >> 8))
        shape = data.StructLayout({"key": 4, "row": KeyLayout(CONFIG)})
        self.keys.send_value(shape.const({"key": region.key >> 8, "row": row}).as_bits())

    def post(self) -> None:
        """Give the hardware the receive requests that the model has got."""
        for queue, handle, length in self.world.posts:
            fields: dict[Any, int] = {"queue": queue, "handle": handle, "length": length}
            self.receives.send_value(PostLayout(CONFIG).const(fields).as_bits())
        self.world.posts.clear()

    def send(self, expected: Expected) -> None:
        """Give the hardware a packet."""
        fields = request_fields(expected.frame)
        self.requests.send_value(RequestLayout().const(fields).as_bits())

    async def tick(self, count: int) -> None:
        """Let time pass, while nothing is on its way."""
        for _ in range(count):
            self.dut.tick.value = 1
            await RisingEdge(self.dut.clk)
        self.dut.tick.value = 0
        self.time += count

    async def action(self) -> Any:
        """Next action."""
        return ActionLayout(CONFIG).from_bits(await self.actions.received.get())

    def check(self, action: Any, expected: Expected) -> None:
        """Compare an action with what the model did."""
        assert action.has_packet, expected.about
        answers = list(expected.answers)
        notify = bool(answers) and answers[0].bth["opcode"] == 0x81
        if notify:
            answers.pop(0)
        event = action.event
        assert event.notify == notify, expected.about
        self._check_event(event, answers, expected)
        self._check_written(action, expected)
        found = action.completion
        if not expected.completions:
            assert not found.valid, expected.about
            return
        self.check_completion(found, expected.completions[0], expected.about)

    def _check_event(self, event: Any, answers: list[RocePacket], expected: Expected) -> None:
        about = expected.about
        index = event.queue_pair
        if event.kind == EventKind.JOB.value:
            slot = self.heads_seen(index)
            job = self.jobs.pop((index, slot))
            self.freed.append(index)
            assert event.again == job.again == expected.is_again, about
            self._check_job(job, answers, about)
            return
        if not answers:
            assert event.kind == EventKind.NOTHING.value, about
            return
        (answer,) = answers
        aeth = answer.headers["aeth"]
        kinds = {0: EventKind.ACK, 1: EventKind.RNR_NAK, 3: EventKind.FATAL_NAK}
        kind = kinds[aeth["syndrome"] >> 5]
        if aeth["syndrome"] == 0x60:
            kind = EventKind.SEQUENCE_NAK
        assert EventKind(event.kind) is kind, (about, aeth)
        assert (event.psn, event.msn) == (answer.psn, aeth["msn"]), about
        assert event.syndrome == aeth["syndrome"], about
        assert event.again == expected.is_again or kind is not EventKind.ACK, about

    def heads_seen(self, index: int) -> int:
        """Slot of the job that is next for a queue pair, and count it."""
        slot = self.order[index] % CONFIG.resources
        self.order[index] += 1
        return slot

    def _check_job(self, job: Any, answers: list[RocePacket], about: str) -> None:
        kind = JobKind(job.kind)
        if kind is JobKind.REPLAY:
            assert all(a.psn == job.psn and a.bth["opcode"] == 0x12 for a in answers), about
            return
        assert job.psn == answers[0].psn, about
        assert job.msn == answers[0].headers["aeth"]["msn"], about
        headers = parse(self.frame).headers
        fields = headers.get("reth") or headers["atomic_eth"]
        if kind is JobKind.READ:
            assert job.operand == fields["dma_length"] == sum(len(a.payload) for a in answers), (
                about
            )
            assert 1 << job.mtu_shift >= max(len(a.payload) for a in answers), about
        else:
            assert answers[0].bth["opcode"] == 0x12, about
            assert job.operand == fields["swap_or_add_data"], about
            add = headers["bth"]["opcode"] == 0x14
            assert kind is (JobKind.FETCH_ADD if add else JobKind.COMPARE_SWAP), about
            assert add or job.compare == fields["compare_data"], about
        if kind is not JobKind.READ or fields["dma_length"]:
            place = job.place
            region = self.world.regions[place.key]
            assert place.key << 8 | place.variant == fields["r_key"] == region.key, about
            address = place.linear - region.offset + region.base
            assert address == fields["virtual_address"], about
            assert (place.page_row, place.page_shift) == (4 * place.key, 12), about

    def _spans(self, place: Any, length: int) -> list[tuple[int, int, int]]:
        region = self.world.regions[place.key]
        assert place.variant == region.key & 255
        assert place.page_row == 4 * place.key and place.page_shift == 12
        address = place.linear - region.offset + region.base
        return list(region.spans(address, length))

    def _check_written(self, action: Any, expected: Expected) -> None:
        about = expected.about
        index, size = action.queue_pair, action.payload_bytes
        payload = expected.payload
        written: list[tuple[int, int, bytes]] = []
        if action.kind == ActionKind.WRITE.value:
            assert size == len(payload), about
            for space, address, length in self._spans(action.place, size) if size else ():
                written.append((space, address, payload[:length]))
                payload = payload[length:]
        elif action.kind == ActionKind.SCATTER.value:
            assert size == len(payload), about
            handle, done = (action.handle, 0) if action.begins else self.places[index]
            assert handle == action.handle, about
            request = self.world.buffers[handle]
            if action.is_datagram:
                header = expected.ip_header
                for space, address, length in request.spans(40 - len(header), len(header)):
                    written.append((space, address, header[:length]))
                done = 40
            for space, address, length in request.spans(done, size):
                written.append((space, address, payload[:length]))
                payload = payload[length:]
            self.places[index] = (handle, done + size)
        wanted = expected.written
        if expected.answers and expected.answers[-1].bth["opcode"] == 0x12:
            wanted = []  # of an atomic operation: the atomic unit's
        assert written == [w for w in wanted if w[2]], about

    def check_completion(self, found: Any, wanted: Any, about: str) -> None:
        """Compare a completion."""
        assert found.valid, about
        statuses = {
            CompletionStatus.SUCCESS: 0,
            CompletionStatus.LOCAL_LENGTH: 1,
            CompletionStatus.REMOTE_INVALID_REQUEST: 2,
            CompletionStatus.REMOTE_ACCESS: 3,
            CompletionStatus.FLUSHED: 4,
        }
        assert found.status == statuses[wanted.status], about
        assert (found.queue_pair, found.handle) == (wanted.queue_pair, wanted.identifier), about
        assert found.queue == wanted.queue_pair % 4, about
        if wanted.status is CompletionStatus.SUCCESS:
            assert found.byte_length == wanted.byte_length, about
            assert found.is_write == wanted.is_write, about
            assert found.has_immediate == (wanted.immediate is not None), about
            assert found.has_invalidated == (wanted.invalidated is not None), about
            value = wanted.immediate if wanted.immediate is not None else wanted.invalidated
            assert value is None or found.value == value, about
            assert found.source_queue_pair == wanted.source_queue_pair, about
            assert found.solicited == wanted.solicited, about
