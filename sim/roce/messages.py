"""SENDs and RDMA WRITEs: what a responder does with their packets, whatever the service."""

from collections.abc import Mapping

from ..headers.infiniband import NAKS
from .memory import KeyTable, Memory, Region, Rights
from .packet import RocePacket
from .queue_pair import (
    Completion,
    CompletionStatus,
    QueuePair,
    QueuePairState,
    ReceiveRequest,
    WriteProgress,
)

__all__ = ["ACCESS_NAK", "INVALID_NAK", "MOST_BYTES", "SEQUENCE_NAK", "Messages", "Refusal"]

_PSNS = 1 << 24
SEQUENCE_NAK, INVALID_NAK, ACCESS_NAK = (
    next(code for code, name in NAKS.items() if name == wanted)
    for wanted in ("PSN_SEQUENCE_ERROR", "INVALID_REQUEST", "REMOTE_ACCESS_ERROR")
)
#: Space that the 40 bytes in front of a datagram's data have for the IP header.
_ROUTE_HEADER_BYTES = 40
MOST_BYTES = 1 << 31


class Refusal(Exception):
    """A packet that draws a NAK and moves its queue pair to error; ``code`` is the syndrome."""

    def __init__(self, code: int, status: CompletionStatus):
        super().__init__(NAKS[code])
        self.code = code
        self.status = status

    @classmethod
    def invalid(cls) -> "Refusal":
        """Of a request that is not what it has to be."""
        return cls(INVALID_NAK, CompletionStatus.REMOTE_INVALID_REQUEST)


class Messages:
    """Memory, keys, and what their use leaves behind.

    Parameters
    ----------
    memory : Memory
        What regions and receive buffers lie in.
    keys : KeyTable
        Regions and windows.

    Attributes
    ----------
    completions : list of Completion
        In order.
    events : list of (str, int)
        What happened to which queue pair: ``access`` and ``request`` (it is in error), ``limit``.
    dropped : list of str
        Why packets were dropped without an answer.
    """

    def __init__(self, memory: Memory, keys: KeyTable):
        self.memory = memory
        self.keys = keys
        self.completions: list[Completion] = []
        self.events: list[tuple[str, int]] = []
        self.dropped: list[str] = []

    def check_sequence(self, qp: QueuePair, name: str) -> None:
        """Whether this opcode may follow (9.7.4)."""
        begins = "_MIDDLE" not in name and "_LAST" not in name
        follows = qp.operation and name.startswith(qp.operation)
        if not name or begins == bool(qp.operation) or not (begins or follows):
            raise Refusal.invalid()

    def take(self, qp: QueuePair, packet: RocePacket, name: str) -> bool:
        """Take a packet of a SEND or WRITE; False if there is no receive request for it."""
        is_send = name.startswith("SEND")
        begins = "_FIRST" in name or "_ONLY" in name
        ends = "_LAST" in name or "_ONLY" in name
        size = len(packet.payload)
        if (size != qp.mtu) if not ends else size > qp.mtu:
            raise Refusal.invalid()
        if "_LAST" in name and not size:
            raise Refusal.invalid()
        if not is_send and begins:
            if Rights.WRITE not in qp.rights:
                raise Refusal.invalid()
            reth = packet.headers["reth"]
            progress = self._writes(qp, reth)
        else:
            progress = qp.write
        if progress is not None and not is_send:
            left = progress.length - progress.done
            if (size != left) if ends else size >= left:
                raise Refusal.invalid()
        wants_receive = (is_send and begins) or (not is_send and "_IMMEDIATE" in name)
        if wants_receive and qp.receive is None:
            if not qp.receives.requests:
                return False
            qp.receive = self._next_receive(qp)
        if is_send:
            self._store_send(qp, packet)
        else:
            assert progress is not None
            self._store_write(progress, packet.payload)
            qp.write = progress
        qp.operation = "" if ends else ("SEND" if is_send else "RDMA_WRITE")
        if ends:
            self._end(qp, packet, name)
        return True

    def _writes(self, qp: QueuePair, reth: Mapping[str, int]) -> WriteProgress:
        length, address = reth["dma_length"], reth["virtual_address"]
        if length > MOST_BYTES:
            raise Refusal.invalid()
        return WriteProgress(self.region(qp, reth, length, Rights.WRITE), address, length)

    def region(
        self, qp: QueuePair, where: Mapping[str, int], length: int, rights: Rights
    ) -> Region | None:
        """Region of a request; None for one of no bytes, whose key is not looked at (9.7.4)."""
        if not length:
            return None
        region = self.keys.find(
            where["r_key"],
            where["virtual_address"],
            length,
            rights=rights,
            domain=qp.domain,
            queue_pair=qp.number,
        )
        if region is None:
            raise Refusal(ACCESS_NAK, CompletionStatus.REMOTE_ACCESS)
        return region

    def _next_receive(self, qp: QueuePair) -> ReceiveRequest:
        queue = qp.receives
        request = queue.requests.popleft()
        if queue.limit and len(queue.requests) < queue.limit:
            queue.limit = 0
            self.events.append(("limit", qp.number))
        return request

    def _store_send(self, qp: QueuePair, packet: RocePacket) -> None:
        assert qp.receive is not None
        size = len(packet.payload)
        if qp.received + size > qp.receive.length:
            raise Refusal(INVALID_NAK, CompletionStatus.LOCAL_LENGTH)
        if "ieth" in packet.headers:
            key = packet.headers["ieth"]["r_key"]
            if not self.keys.invalidate(key, qp.domain, qp.number):
                raise Refusal(ACCESS_NAK, CompletionStatus.REMOTE_ACCESS)
        self._scatter(qp.receive, qp.received, packet.payload)
        qp.received += size

    def _scatter(self, request: ReceiveRequest, offset: int, data: bytes) -> None:
        for space, address, size in request.spans(offset, len(data)):
            self.memory.write(space, address, data[:size])
            data = data[size:]

    def _store_write(self, progress: WriteProgress, data: bytes) -> None:
        if progress.region is not None:
            address = progress.address + progress.done
            for space, place, size in progress.region.spans(address, len(data)):
                self.memory.write(space, place, data[:size])
                data = data[size:]
                progress.done += size

    def _end(self, qp: QueuePair, packet: RocePacket, name: str) -> None:
        """End a SEND or WRITE: count it, and complete its receive request."""
        invalidated = None
        if "ieth" in packet.headers:
            invalidated = packet.headers["ieth"]["r_key"]
        qp.msn = (qp.msn + 1) % _PSNS
        is_write = name.startswith("RDMA_WRITE")
        immediate = packet.headers.get("immdt", {}).get("immediate_data")
        # A WRITE leaves alone what an unreliable SEND before it gave back.
        if qp.receive is not None and (not is_write or immediate is not None):
            written = qp.write.length if is_write and qp.write else 0
            self.completions.append(
                Completion(
                    queue_pair=qp.number,
                    identifier=qp.receive.identifier,
                    status=CompletionStatus.SUCCESS,
                    byte_length=written if is_write else qp.received,
                    is_write=is_write,
                    immediate=immediate,
                    invalidated=invalidated,
                    solicited=bool(packet.bth["solicited_event"]),
                    has_route_header=True,
                )
            )
            qp.receive = None
        qp.received, qp.write = 0, None

    def fail(self, qp: QueuePair, status: CompletionStatus) -> None:
        """Move a queue pair to error: the message under way fails, other requests are flushed."""
        qp.state = QueuePairState.ERROR
        requests = list(qp.receives.requests) if not qp.receives.is_shared else []
        failed = [(qp.receive, status)] if qp.receive is not None else []
        for request, how in [*failed, *((r, CompletionStatus.FLUSHED) for r in requests)]:
            self.completions.append(Completion(qp.number, request.identifier, how))
        qp.receive, qp.received, qp.write, qp.operation = None, 0, None, ""
        if not qp.receives.is_shared:
            qp.receives.requests.clear()

    def abandon(self, qp: QueuePair, why: str) -> None:
        """Drop the message under way; the queue pair keeps its receive request for the next one."""
        self.dropped.append(why)
        qp.received, qp.write, qp.operation = 0, None, ""

    def datagram(self, qp: QueuePair, packet: RocePacket) -> None:
        """Take a datagram with the IP header in front of it (9.8, Annex A17), or drop it."""
        size = _ROUTE_HEADER_BYTES + len(packet.payload)
        if len(packet.payload) > qp.mtu:
            self.dropped.append("length")
            return
        if qp.receive is None and not qp.receives.requests:
            self.dropped.append("no receive request")
            return
        request = qp.receive = qp.receive or self._next_receive(qp)
        if size > request.length:
            self.dropped.append("buffer")
            return
        qp.receive = None
        # An IPv4 header stands at the end of the 40 bytes (Annex A17).
        self._scatter(request, _ROUTE_HEADER_BYTES - len(packet.ip_header), packet.ip_header)
        self._scatter(request, _ROUTE_HEADER_BYTES, packet.payload)
        self.completions.append(
            Completion(
                queue_pair=qp.number,
                identifier=request.identifier,
                status=CompletionStatus.SUCCESS,
                byte_length=size,
                immediate=packet.headers.get("immdt", {}).get("immediate_data"),
                source_queue_pair=packet.headers["deth"]["src_qp"],
                solicited=bool(packet.bth["solicited_event"]),
                has_route_header=True,
            )
        )
