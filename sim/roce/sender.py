"""The half of a requester that sends: work requests become packets, and end in order."""

from collections.abc import Iterator

from .memory import KeyTable, Memory, Region
from .packet import RocePacket
from .queue_pair import Service
from .request_packet import packet_count, request_packet
from .send_queue import (
    ReadPart,
    SendCompletion,
    SendKind,
    SendQueuePair,
    SendRequest,
    SendState,
    SendStatus,
    Started,
)

__all__ = ["Sender"]

_MOST_BYTES = 1 << 31
_MOST_PIECES = 16
#: PSNs that may be under way: more could not be told from those behind.
_MOST_PSNS = 1 << 23
_OPERATIONS = {
    Service.RC: set(SendKind),
    Service.UC: {SendKind.SEND, SendKind.WRITE, SendKind.INVALIDATE, SendKind.BIND},
    Service.UD: {SendKind.SEND},
}


def _parts(request: SendRequest) -> Iterator[ReadPart]:
    """Make a READ for each piece of a READ."""
    done = 0
    for key, address, size in request.gather:
        if size:
            yield ReadPart(
                request.identifier,
                SendKind.READ,
                gather=((key, address, size),),
                remote_address=request.remote_address + done,
                remote_key=request.remote_key,
                fence=request.fence and not done,
                whole=request,
                is_first=not done,
                is_last=done + size == request.length,
            )
            done += size


class Sender:
    """Send what queue pairs are asked for, as far as they may; tell what has ended.

    :class:`Requester` says what the parameters and attributes are.
    """

    def __init__(self, memory: Memory, keys: KeyTable):
        self.memory = memory
        self.keys = keys
        self.queue_pairs: dict[int, SendQueuePair] = {}
        self.completions: list[SendCompletion] = []
        self.dropped: list[str] = []

    def post(self, number: int, request: SendRequest) -> None:
        """Append a work request; one to a queue pair in error is flushed."""
        qp = self.queue_pairs[number]
        qp.waiting.append(request)
        if qp.state is SendState.ERROR:
            self._flush(qp)

    # What is sent.

    def transmit(self, number: int, now: int = 0) -> Iterator[RocePacket]:
        """Packets that a queue pair may send at ``now``, one after the other."""
        qp = self.queue_pairs[number]
        while qp.state is SendState.READY and now >= qp.resumes:
            qp.resumes = 0
            if qp.pointer == qp.end and not self._begin(qp):
                return
            packet = self._packet(qp, now) if qp.pointer < qp.end else None
            self.retire(qp, now)
            if packet is not None:
                yield packet
            elif qp.pointer < qp.end:
                return

    def _begin(self, qp: SendQueuePair) -> bool:
        """Begin the next work request, if it may; it ends at once if it may never."""
        fails = any(entry.status is not SendStatus.SUCCESS for entry in qp.started)
        if fails or not qp.waiting:
            return False
        request = qp.waiting[0]
        answered = [e for e in qp.started if e.request.kind.has_response and not e.has_ended]
        if request.fence and answered:
            return False
        status = self._check(qp, request)
        if status is not SendStatus.SUCCESS or request.kind.is_local:
            # In order: what is before has ended.
            if qp.started:
                return False
            qp.waiting.popleft()
            status = self._execute(qp, request) if status is SendStatus.SUCCESS else status
            qp.started.append(Started(request, qp.end, 0, qp.sequence, status=status))
            return True
        count = 1 if request.kind.is_atomic else packet_count(request.length, qp.mtu)
        if request.kind.has_response and len(answered) >= qp.reads:
            return False
        if request.kind is SendKind.READ and sum(size > 0 for _, _, size in request.gather) > 1:
            qp.waiting.popleft()
            qp.waiting.extendleft(reversed(list(_parts(request))))
            return self._begin(qp)
        if qp.end + count - qp.oldest > _MOST_PSNS:
            return False
        qp.waiting.popleft()
        qp.sequence += 1
        qp.started.append(Started(request, qp.end, count, qp.sequence))
        qp.end += count
        return True

    def _check(self, qp: SendQueuePair, request: SendRequest) -> SendStatus:
        """Whether a work request is one of this queue pair (10.8.3, 11.4.1)."""
        kind, length = request.kind, request.length
        sends = kind in (SendKind.SEND, SendKind.WRITE)
        if kind not in _OPERATIONS[qp.service] or len(request.gather) > _MOST_PIECES:
            return SendStatus.LOCAL_OPERATION
        if (request.invalidate is not None and not kind.is_local) and (
            qp.service is not Service.RC or kind is not SendKind.SEND
        ):
            return SendStatus.LOCAL_OPERATION
        if (request.datagram is not None) != (qp.service is Service.UD):
            return SendStatus.LOCAL_OPERATION
        if request.inline is not None and not sends:
            return SendStatus.LOCAL_OPERATION
        if length > (qp.mtu if qp.service is Service.UD else _MOST_BYTES):
            return SendStatus.LOCAL_LENGTH
        if kind.has_response and not qp.reads:
            return SendStatus.LOCAL_OPERATION
        if request.remote_address + length > 1 << 64:
            return SendStatus.LOCAL_LENGTH
        if kind.is_atomic and length != 8:
            return SendStatus.LOCAL_LENGTH
        for piece in request.gather if request.inline is None else ():
            if self._region(qp, piece, writes=not sends) is None and piece[2]:
                return SendStatus.LOCAL_PROTECTION
        return SendStatus.SUCCESS

    def _region(
        self, qp: SendQueuePair, piece: tuple[int, int, int], *, writes: bool
    ) -> Region | None:
        key, address, length = piece
        return self.keys.local(key, address, length, domain=qp.domain, writes=writes)

    def spans(self, qp: SendQueuePair, request: SendRequest) -> list[tuple[int, int, int]] | None:
        """Space, address and length of the memory that a work request's pieces lie in.

        None if one of them is no more.
        """
        spans = []
        writes = request.kind.has_response
        for piece in request.gather:
            region = self._region(qp, piece, writes=writes)
            if piece[2] and region is None:
                return None
            if region is not None:
                spans += region.spans(piece[1], piece[2])
        return spans

    def _execute(self, qp: SendQueuePair, request: SendRequest) -> SendStatus:
        """Do what needs no packet."""
        if request.kind is SendKind.BIND:
            window = request.window
            bound = window is not None and self.keys.bind(window, qp.domain, qp.number)
            return SendStatus.SUCCESS if bound else SendStatus.BIND
        key = request.invalidate
        found = key is not None and self.keys.invalidate(key, qp.domain, qp.number)
        return SendStatus.SUCCESS if found else SendStatus.LOCAL_OPERATION

    def _packet(self, qp: SendQueuePair, now: int) -> RocePacket | None:
        """Give the packet at the pointer, if it may be sent, and move on."""
        (entry,) = (e for e in qp.started if e.first <= qp.pointer < e.end)
        number = qp.pointer - entry.first
        kind = entry.request.kind
        is_reliable = qp.service is Service.RC
        under_way = qp.pointer - qp.oldest
        is_limited = is_reliable and self._lacks_credit(qp, entry)
        if is_limited and qp.oldest < entry.first + min(number, 1):
            return None
        if is_reliable and under_way >= qp.window:
            return None
        spans = self.spans(qp, entry.request)
        if spans is None:
            entry.status = SendStatus.LOCAL_PROTECTION
            qp.pointer = qp.end
            return None
        # Whoever waits for an acknowledgement has asked for it.
        asks = is_reliable and (is_limited or under_way + 1 == qp.window)
        packet = request_packet(qp, entry, number, self.memory, spans, asks=asks)
        qp.pointer = entry.end if kind is SendKind.READ else qp.pointer + 1
        qp.highest = max(qp.highest, qp.pointer)
        if not is_reliable:
            entry.done += 1
        elif qp.deadline is None and qp.timeout:
            qp.deadline = now + qp.timeout
        return packet

    def _lacks_credit(self, qp: SendQueuePair, entry: Started) -> bool:
        """Whether the peer may have no receive request for a message (9.7.7.2.5).

        Its first packet may then be sent when all before it has been acknowledged, and the next
        one when that has been.
        """
        request = entry.request
        takes = request.kind is SendKind.SEND or request.immediate is not None
        return qp.has_credits and takes and entry.sequence > qp.allowed

    # Ends.

    def retire(self, qp: SendQueuePair, now: int) -> None:
        """Complete, in order, what has ended; the first one that failed ends the queue pair."""
        while qp.started and qp.state is SendState.READY:
            entry = qp.started[0]
            if entry.status is not SendStatus.SUCCESS:
                self.fail(qp, entry.status)
            elif entry.has_ended:
                request = entry.request
                if isinstance(request, ReadPart):
                    request = request.whole if request.is_last else None
                if request is not None and request.signalled:
                    self._complete(qp, request, SendStatus.SUCCESS)
                qp.started.popleft()
            else:
                break
        waits = qp.state is SendState.READY and qp.oldest < qp.highest and now >= qp.resumes
        if qp.deadline is None and waits and qp.timeout and qp.oldest < qp.pointer:
            qp.deadline = now + qp.timeout

    def fail(self, qp: SendQueuePair, status: SendStatus = SendStatus.FLUSHED) -> None:
        """Move a queue pair to error: the oldest request ends with ``status``, others flushed."""
        qp.state = SendState.ERROR
        self._flush(qp, status)

    def _flush(self, qp: SendQueuePair, status: SendStatus = SendStatus.FLUSHED) -> None:
        whole = None
        for request in [*(entry.request for entry in qp.started), *qp.waiting]:
            # Parts of a READ follow each other, and end as one.
            if isinstance(request, ReadPart) and request.whole is whole and not request.is_first:
                continue
            whole = request.whole if isinstance(request, ReadPart) else request
            assert whole is not None
            self._complete(qp, whole, status)
            status = SendStatus.FLUSHED
        qp.started.clear()
        qp.waiting.clear()
        qp.pointer = qp.highest = qp.end
        qp.deadline = None

    def _complete(self, qp: SendQueuePair, request: SendRequest, status: SendStatus) -> None:
        length = request.length if status is SendStatus.SUCCESS else 0
        self.completions.append(
            SendCompletion(qp.number, request.identifier, request.kind, status, length)
        )
