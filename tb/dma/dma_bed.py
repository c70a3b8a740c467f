"""Clients and a host around hdl.dma.Dma: what each request may come to, and what it came to."""

import os
import random
from collections import deque
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from hdl.dma import MemoryResponseLayout
from hdl.dma.dma import DmaEventsLayout
from sim.dma import ReadEnd, ReadRequest, Write, read_tlp, split_read, write_outcome
from sim.pcie.tlp import Tlp, TlpClass
from sim.stream import Packet

from ..pcie.hostile import good_tlp
from ..pcie.switch_port import Credits, SwitchPort
from ..pcie.tlp_port import TlpSource
from ..stream import PacketSink, PacketSource, StreamSink, chance, start
from .completion_makers import REQUESTER
from .dma_clients import ClientRead, ClientStreams, ClientWrite, RequestSource, Stalls, TlpTaker
from .error_host import ErrorHost
from .fields import FieldReader
from .host_reads import Bounds, SentRead, Times

__all__ = ["CLIENTS", "DmaBed"]

DATA_BYTES = int(os.environ["DATA_BYTES"])
TAG_COUNT = int(os.environ["TAG_COUNT"])
SLOT_BYTES = int(os.environ["SLOT_BYTES"])
SEGMENT_COUNT = max(1, DATA_BYTES // 32)
CLIENTS = range(4)
MAX_PAYLOAD_BYTES = 512
LIMITS = (Credits(16, 128), Credits(12, 12), Credits(16, 128))

_FAILURES = {
    "unsupported": ReadEnd.UNSUPPORTED,
    "aborted": ReadEnd.ABORT,
    "poisoned": ReadEnd.POISONED,
    "timed_out": ReadEnd.TIMEOUT,
    "lost": ReadEnd.LINK_DOWN,
}


class DmaBed:
    """Four clients that read and write through a Dma, a link that may fail, and a host.

    Parameters
    ----------
    timeout : int
        Cycles.
    spoil : float
        How many memory reads the host answers otherwise than it should.
    stall : float
        How often each stream pauses.
    read_code, payload_code : int
        Max_Read_Request_Size and Max_Payload_Size, as ``max_request`` and ``max_payload``.

    Attributes
    ----------
    answered : int
        Responses that were right.
    statuses : dict of str to int
        How many there were of each kind.
    """

    def __init__(
        self,
        dut: Any,
        *,
        timeout: int,
        spoil: float,
        stall: float,
        read_code: int,
        payload_code: int,
    ):
        self.dut = dut
        self.times = Times(timeout, TAG_COUNT)
        self.host = ErrorHost(times=self.times, max_payload_bytes=MAX_PAYLOAD_BYTES, spoil=spoil)
        self.block_bytes = min(SLOT_BYTES, 128 << read_code)
        self.payload_bytes = min(MAX_PAYLOAD_BYTES, 128 << payload_code)
        self.answered = 0
        self.statuses: dict[str, int] = {}
        self.events = dict.fromkeys((*_FAILURES, "unexpected", "malformed", "nullified"), 0)
        self.events["overflow"] = 0
        self.failed = {name: Bounds() for name in _FAILURES}
        self.failed_parts = 0
        self.is_down = True
        self._up_at = self._down_at = 0
        self._asked: deque[tuple[Tlp, int]] = deque()
        self._answers: deque[tuple[int, int]] = deque()
        self._response = FieldReader(MemoryResponseLayout())
        self._events = FieldReader(DmaEventsLayout())
        self.clients = [self._client(n, stall) for n in CLIENTS]
        self.port = SwitchPort(
            dut,
            "port",
            SEGMENT_COUNT,
            limits=LIMITS,
            return_delay=lambda: random.randrange(40),
            source_pause=chance(stall / 2),
            gap=chance(0.1),
            sink_pause=chance(stall),
            on_sent=self._sent,
            on_received=self._received,
        )
        self.port.sink.continuous = True
        self.host.port = self.port
        self.requests = TlpTaker(dut, "requests", SEGMENT_COUNT, pause=Stalls(stall))
        self.requests.on_tlp = self._requested
        self.answers = TlpSource(dut, "answers", SEGMENT_COUNT, pause=chance(stall))
        dut.max_request.value, dut.max_payload.value = read_code, payload_code
        dut.requester.value, dut.timeout.value = REQUESTER, timeout

    @property
    def cycle(self) -> int:
        """Cycles since the begin."""
        return self.host.cycle

    def _client(self, number: int, stall: float) -> ClientStreams:
        dut, read, write = self.dut, f"reads__{number}", f"writes__{number}"
        return ClientStreams(
            RequestSource(dut, f"{read}__request", lambda: self.cycle, pause=chance(stall)),
            PacketSink(dut, f"{read}__data", DATA_BYTES, pause=Stalls(stall)),
            StreamSink(dut, f"{read}__response", pause=Stalls(stall)),
            RequestSource(dut, f"{write}__request", lambda: self.cycle, pause=chance(stall)),
            PacketSource(dut, f"{write}__data", DATA_BYTES, pause=Stalls(stall)),
            StreamSink(dut, f"{write}__response", pause=Stalls(stall)),
        )

    async def begin(self) -> None:
        """Release reset and bring the link up."""
        await start(self.dut)
        cocotb.start_soon(self._run())
        await ClockCycles(self.dut.clk, 8)
        await self._link_up()

    async def _link_up(self) -> None:
        for _ in range(20000):
            if self.dut.port__rx_drained.value:
                break
            await RisingEdge(self.dut.clk)
        else:
            raise AssertionError("rx_drained never came")
        await FallingEdge(self.dut.clk)
        self.is_down, self._up_at = False, self.cycle
        self.dut._log.info("link down from cycle %d to %d", self._down_at, self._up_at)
        self.port.link()

    async def interrupt(self, cycles: int) -> None:
        """Let the link fail for so long at least; between edges, when no driver is at work."""
        await FallingEdge(self.dut.clk)
        self.is_down, self._down_at = True, self.cycle
        self.port.link(False)
        self.host.lose()
        for client in self.clients:
            for write in client.sent:
                write.was_down, write.is_cut = True, write.came > 0
        await ClockCycles(self.dut.clk, cycles)
        await self._link_up()

    def _was_down(self, what: ClientRead | ClientWrite) -> bool:
        """Whether the link was down, or not ready for reads again, since ``what`` was taken."""
        return self.is_down or what.accepted_at <= self._up_at + 4 * TAG_COUNT + 160

    # Requests.

    def read(self, client: int, request: ReadRequest, after: ClientWrite | None = None) -> None:
        """Let a client read; ``after`` is the write whose bytes it must find."""
        parts = [SentRead(p) for p in split_read(client, request, self.block_bytes)]
        read = ClientRead(request, parts, after)
        streams = self.clients[client]
        streams.reads.append(read)
        streams.parts.extend((read, part) for part in parts)
        streams.read_requests.ask(read, request)

    def write(self, client: int, write: Write) -> None:
        """Let a client write; its bytes should not be 0."""
        outcome = write_outcome(
            write,
            row_bytes=32 * SEGMENT_COUNT,
            max_payload_bytes=self.payload_bytes,
            requester=REQUESTER,
        )
        one = ClientWrite(write, outcome)
        streams = self.clients[client]
        streams.writes.append(one)
        streams.sent.append(one)
        streams.write_requests.ask(one, write)
        if write.length:
            streams.write_data.send(Packet(write.data, write.error))

    def intrude(self) -> None:
        """Let the host send a request to the card's own target."""
        tlp = good_tlp(32)
        if not tlp.is_completion and not self.is_down:
            self.port.send(tlp)

    # What the link brings.

    def _sent(self, tlp: Tlp) -> None:
        self.host.sent(tlp)
        if not tlp.is_completion:
            self._asked.append((tlp, self.cycle))

    def _requested(self, tlp: Tlp) -> None:
        while True:
            assert self._asked, f"nobody sent {tlp}"
            wanted, sent_at = self._asked.popleft()
            if tlp == wanted:
                break
            assert sent_at <= self._down_at, f"{wanted} did not come, but {tlp}"
        if tlp.tlp_class == TlpClass.NON_POSTED:
            self._answers.append((tlp.tag, self.cycle))
            self.answers.send(
                Tlp(10, length=0, tag=tlp.tag, requester=tlp.requester, status=1, byte_count=4)
            )

    def _received(self, tlp: Tlp) -> None:
        if tlp.nullified:
            return
        if tlp.is_completion:
            while True:
                assert self._answers, f"nobody answered {tlp}"
                tag, sent_at = self._answers.popleft()
                if tag == tlp.tag:
                    return
                assert sent_at <= self._up_at, f"the answer {tag:x} did not come, but {tlp.tag:x}"
        client = self.clients[tlp.address >> 30 & 3]
        if tlp.data is None:
            self._take_read(client, tlp)
        else:
            self._take_write(client, tlp)

    def _take_read(self, client: ClientStreams, tlp: Tlp) -> None:
        assert tlp.tag < TAG_COUNT, f"{tlp}"
        while True:
            assert client.parts, f"nobody asked for {tlp}"
            read, part = client.parts.popleft()
            wanted = read_tlp(part.piece, tag=tlp.tag, requester=REQUESTER)
            if wanted == tlp:
                return self.host.read(part, tlp.tag)
            assert self._was_down(read), f"{tlp}, not {wanted}"

    def _take_write(self, client: ClientStreams, tlp: Tlp) -> None:
        address, data = _enabled(tlp)
        while True:
            assert client.sent, f"nobody writes {replace(tlp, data=None)}"
            one = client.sent[0]
            one.was_down |= self._was_down(one)
            left = one.outcome.tlps[one.came :]
            if left and not one.is_cut and _enabled(left[0]) == (address, data):
                wanted = left[0].with_changes(data=tlp.data)
                assert wanted == tlp, f"{replace(tlp, data=None)}, not {wanted}"
                one.came += 1
                self.host.memory.write(address, data)
                return
            assert not left or one.was_down, f"{replace(tlp, data=None)}, not of {one.write}"
            client.sent.popleft()

    # Responses.

    def _answer_reads(self, number: int, client: ClientStreams) -> None:
        while not client.read_responses.received.empty() and client.reads:
            read = client.reads[0]
            if read.request.length and client.read_data.received.empty():
                return
            client.reads.popleft()
            response = self._response.read(client.read_responses.received.get_nowait())
            packet = Packet(b"")
            if read.request.length:
                packet = client.read_data.received.get_nowait()
            self._check_read(f"client {number}", read, response, packet)

    def _check_read(self, who: str, read: ClientRead, response: Any, packet: Packet) -> None:
        request = read.request
        was_down = self._was_down(read)
        assert response.tag == request.tag, f"{who}: response {response} to {request}"
        assert len(packet.data) == request.length, f"{who}: {len(packet.data)} bytes of {request}"
        assert packet.error == (response.status != 0 and request.length > 0), f"{who}: {request}"
        first: set[ReadEnd] = set()
        for part in read.parts:
            piece = part.piece
            begin = piece.address - request.address
            data = packet.data[begin : begin + piece.length]
            is_good = response.status == 0 if not piece.length else any(data)
            statuses = part.statuses(self.cycle, self.times, was_down=was_down)
            story = f"{who} at {self.cycle}: {response}, {sorted(statuses)} may be, of {part}"
            story += f"; the link was down from {self._down_at} to {self._up_at}"
            if is_good:
                assert ReadEnd.OK in statuses, story
                assert data == part.data[: piece.length], f"{story}: got {data.hex()}"
                continue
            failures = statuses - {ReadEnd.OK}
            assert failures, story
            first = first or failures
            self.failed_parts += 1
            for name, status in _FAILURES.items():
                self.failed[name].add(failures == {status}, status in failures)
        assert response.status in (first or {0}), f"{who}: {response}, not {first} of {read}"
        # What is on its way when the link fails is lost, though it had been answered.
        if read.after is not None and not first and not read.after.was_down:
            assert packet.data == read.after.write.data, f"{who}: {packet}, not {read.after}"
        self._answered(f"read {ReadEnd(response.status).name}")

    def _answer_writes(self, number: int, client: ClientStreams) -> None:
        while not client.write_responses.received.empty():
            response = self._response.read(client.write_responses.received.get_nowait())
            assert client.writes, f"client {number}: {response} without a write"
            one = client.writes.popleft()
            allowed = {one.outcome.status}
            if self._was_down(one):
                allowed.add(ReadEnd.LINK_DOWN)
                one.was_down = True
            assert response.tag == one.write.tag, f"client {number}: {response} to {one.write}"
            assert response.status in allowed, f"client {number}: {response}, not {allowed}"
            one.status = response.status
            self._answered(f"write {response.status}")
            if response.status == 0 and random.random() < 0.2 and one.write.length:
                self._read_back(number, one)

    def _read_back(self, number: int, one: ClientWrite) -> None:
        write = one.write
        request = ReadRequest(write.address, write.length, random.getrandbits(8))
        self.read(number, request, one)

    def _answered(self, status: str) -> None:
        self.answered += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.host.step()
            value = int(self.dut.events.value)
            if value:
                for name, count in vars(self._events.read(value)).items():
                    self.events[name] += count
            for number, client in enumerate(self.clients):
                self._answer_reads(number, client)
                self._answer_writes(number, client)

    # The end.

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return sum(len(client.reads) + len(client.writes) for client in self.clients)

    def check_end(self) -> None:
        """Nothing is left: all TLPs have come, all credits are back, all errors are counted."""
        for number, client in enumerate(self.clients):
            assert client.read_data.received.empty(), f"client {number}: a packet too much"
            assert client.read_responses.received.empty(), f"client {number}: a response too much"
            for one in client.sent:
                assert one.was_down or one.came == len(one.outcome.tlps), f"{one} did not come"
        assert all(at <= self._down_at for _, at in self._asked), f"never came: {self._asked}"
        assert self.port.is_whole, "credits were lost"
        bounds = {
            **self.failed,
            "unexpected": self.host.unexpected,
            "malformed": self.host.malformed,
            "nullified": self.host.nullified,
            "overflow": Bounds(),
        }
        for name, bound in bounds.items():
            count = self.events[name]
            assert bound.least <= count <= bound.most, f"{count} {name}, not {bound}"
        failed = sum(self.events[name] for name in _FAILURES)
        assert failed == self.failed_parts, f"{failed} reads failed, not {self.failed_parts}"


def _enabled(tlp: Tlp) -> tuple[int, bytes]:
    """Address of the first byte that a memory write changes, and the bytes."""
    last = tlp.last_be if tlp.length > 1 else tlp.first_be
    begin = (tlp.first_be & -tlp.first_be).bit_length() - 1
    end = 4 * (tlp.length - 1) + last.bit_length()
    return tlp.address + begin, (tlp.data or b"")[begin:end]
