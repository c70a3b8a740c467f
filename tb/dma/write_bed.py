"""Clients, link and checks around hdl.dma.PcieWrite."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cocotb.triggers import RisingEdge

from hdl.dma import MemoryRequestLayout, MemoryResponseLayout
from sim.dma import Write, write_outcome, written_bytes
from sim.pcie.tlp import Tlp
from sim.stream import Packet

from ..pcie.tlp_port import TlpSink
from ..stream import PacketSource, StreamSink, StreamSource
from ..stream.stream_port import never, start

__all__ = ["CANCELLED", "LENGTH", "LINK_DOWN", "OK", "WriteBed", "random_write"]

OK, LINK_DOWN, LENGTH, CANCELLED = 0, 5, 6, 7
REQUESTER = 0x1234
_REQUEST = dict(MemoryRequestLayout())
_RESPONSE = dict(MemoryResponseLayout())


def _request_value(write: Write) -> int:
    fields = {name: int(getattr(write, name)) for name in _REQUEST if name != "space"}
    fields["space"] = random.getrandbits(2)
    return sum(value << _REQUEST[name].offset for name, value in fields.items())


def _of_client(address: int) -> int:
    """Client whose region of memory it is: bits 31:30 tell."""
    return address >> 30 & 3


def random_write(
    client: int, *, most_bytes: int, bad: float = 0.0, near_page: bool = False
) -> Write:
    """Make a write of 0 to ``most_bytes`` bytes anywhere in the client's regions."""
    length = random.choice([random.randint(0, most_bytes), random.randint(0, min(most_bytes, 40))])
    region = random.choice([0, 0, random.getrandbits(32)]) << 32 | client << 30
    page = random.randrange(1, (1 << 18) - 17) << 12
    offset = random.randint(-40, 40) if near_page else random.randrange(4096)
    count = length
    error = False
    if length and random.random() < bad:
        count = max(1, length + random.choice([-1, 1, -40, 40, -random.randint(0, length)]))
        error = random.random() < 0.4
    return Write(
        address=region | page + offset,
        length=length,
        data=random.randbytes(count) if length else b"",
        tag=random.getrandbits(8),
        no_snoop=random.random() < 0.5,
        relaxed_ordering=random.random() < 0.5,
        id_ordering=random.random() < 0.5,
        error=error,
    )


def _enabled(tlp: Tlp) -> Tlp:
    """TLP with 0 for the bytes that its enables leave out."""
    kept = written_bytes(tlp)
    body = bytes(kept.get(tlp.address + n, 0) for n in range(4 * tlp.length))
    return tlp.with_changes(data=body)


class _Responses(StreamSink):
    def __init__(self, bed: "WriteBed", client: int, **options: Any):
        super().__init__(bed.dut, f"clients__{client}__response", **options)
        self.bed = bed
        self.client = client

    def accept(self, value: int) -> None:
        fields = {name: value >> f.offset & (1 << f.width) - 1 for name, f in _RESPONSE.items()}
        self.bed.respond(self.client, fields["tag"], fields["status"])


class _Link(TlpSink):
    def __init__(self, bed: "WriteBed", **options: Any):
        super().__init__(bed.dut, "o", bed.segment_count, continuous=True, **options)
        self.bed = bed

    def accept(self, tlp: Tlp) -> None:
        self.bed.take(tlp)


class WriteBed:
    """A PcieWrite with clients and a link; every TLP and response is compared with the model's.

    Attributes
    ----------
    tlps : list of Tlp
        All that came, nullified ones included.
    statuses : list of list of int
        Of each client, in order.
    strict : bool
        TLPs must be the model's. Without it (while the link goes up and down) they are only
        collected, and OK must mean that all of the request's TLPs came.
    """

    def __init__(
        self,
        dut: Any,
        *,
        client_count: int,
        segment_count: int,
        pause: Callable[[], bool] = never,
        request_pause: Callable[[], bool] = never,
        sink_pause: Callable[[], bool] = never,
        response_pause: Callable[[], bool] = never,
    ):
        self.dut = dut
        self.segment_count = segment_count
        self.row_bytes = 32 * segment_count
        self.max_payload_bytes = 4096
        self.strict = True
        clients = range(client_count)
        self.requests = [
            StreamSource(dut, f"clients__{n}__request", pause=request_pause) for n in clients
        ]
        self.packets = [
            PacketSource(dut, f"clients__{n}__data", self.row_bytes, pause=pause) for n in clients
        ]
        self.link = _Link(self, pause=sink_pause)
        self.responses = [_Responses(self, n, pause=response_pause) for n in clients]
        self.forget()

    def forget(self) -> None:
        """Forget what was asked and what came."""
        clients = range(len(self.requests))
        self.expected: list[deque[Tlp]] = [deque() for _ in clients]
        self.open: list[deque[tuple[int, int, int]]] = [deque() for _ in clients]
        self.sent = [0 for _ in clients]
        self.came = [0 for _ in clients]
        self.statuses: list[list[int]] = [[] for _ in clients]
        self.tlps: list[Tlp] = []
        self.memory: dict[int, int] = {}

    async def start(self, *, max_payload: int = 5, link_up: bool = True) -> None:
        """Release reset."""
        self.set_max_payload(max_payload)
        self.dut.requester.value = REQUESTER
        self.dut.link_up.value = int(link_up)
        await start(self.dut)

    def set_max_payload(self, code: int) -> None:
        """Set Max_Payload_Size; nothing must be under way."""
        self.dut.max_payload.value = code
        self.max_payload_bytes = min(4096, 128 << code)

    def request(self, client: int, write: Write) -> None:
        """Ask for ``write``, without its packet, and expect what comes of it."""
        outcome = write_outcome(
            write,
            row_bytes=self.row_bytes,
            max_payload_bytes=self.max_payload_bytes,
            requester=REQUESTER,
        )
        self.expected[client].extend(outcome.tlps)
        self.sent[client] += len(outcome.tlps)
        self.open[client].append((write.tag, outcome.status, self.sent[client]))
        self.requests[client].send_value(_request_value(write))

    def write(self, client: int, write: Write) -> None:
        """Ask for ``write`` and send its packet."""
        self.request(client, write)
        if write.length:
            self.packets[client].send(Packet(write.data, write.error))

    def take(self, tlp: Tlp) -> None:
        """Compare a TLP with the next one of its client."""
        self.tlps.append(tlp)
        if tlp.nullified:
            assert not self.strict, f"nullified: {tlp}"
            return
        client = _of_client(tlp.address)
        self.came[client] += 1
        self.memory |= written_bytes(tlp)
        if not self.strict:
            return
        assert self.expected[client], f"nothing is expected of client {client}: {tlp}"
        wanted = self.expected[client].popleft()
        assert _enabled(tlp) == wanted, (
            f"{replace(tlp, data=None)}, not {replace(wanted, data=None)}"
        )

    def respond(self, client: int, tag: int, status: int) -> None:
        """Compare a response with what was asked; all of its TLPs must have come before."""
        assert self.open[client], f"client {client} asked for nothing"
        wanted, outcome, needed = self.open[client].popleft()
        assert tag == wanted, f"tag {tag}, not {wanted}"
        self.statuses[client].append(status)
        if self.strict:
            assert status == outcome, f"status {status}, not {outcome}"
            assert self.came[client] >= needed, "a response before the last TLP"

    async def finish(self) -> None:
        """Wait until every request is answered; nothing may be left then."""
        edge = RisingEdge(self.dut.clk)
        while any(self.open) or not all(source.idle for source in (*self.requests, *self.packets)):
            await edge
        for _ in range(8):
            await edge
        assert not self.link.reader.is_open
        if self.strict:
            assert not any(self.expected)
