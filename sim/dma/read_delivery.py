"""Golden model of read delivery: what each client gets for the reads that were sent for it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .read_splitter import ReadPiece

__all__ = ["Answer", "ReadDeliveryModel"]


@dataclass(frozen=True)
class Answer:
    """What a client gets for a request: its bytes, none for a request of 0 bytes, and how it ended.

    ``tag`` is the client's; ``status`` is 0 if all is well.
    """

    data: bytes
    tag: int
    status: int


class ReadDeliveryModel:
    """Requests are answered in each client's order, when all their pieces have ended.

    Parameters
    ----------
    client_count, slot_bytes : int
        Clients; bytes of a tag's slot, in which a byte lies at its address modulo that.
    """

    def __init__(self, client_count: int, slot_bytes: int):
        self.slot_bytes = slot_bytes
        self.pieces: list[deque[tuple[int, ReadPiece]]] = [deque() for _ in range(client_count)]
        self.ended: dict[int, tuple[int, bytes]] = {}
        self.partial = [(b"", 0)] * client_count
        #: Per client, tags in the order in which their slots are read, with their status.
        self.delivered: list[deque[tuple[int, int]]] = [deque() for _ in range(client_count)]

    def issue(self, tag: int, piece: ReadPiece) -> None:
        """Note that ``piece`` went out as ``tag``."""
        self.pieces[piece.client].append((tag, piece))

    def end(self, tag: int, status: int, slot: bytes) -> Iterator[tuple[int, Answer]]:
        """End a tag whose slot holds ``slot``; give the client and the answer of what is whole."""
        self.ended[tag] = (status, slot)
        for client, queue in enumerate(self.pieces):
            while queue and queue[0][0] in self.ended:
                answer = self._read(client, *queue.popleft())
                if answer:
                    yield client, answer

    def _read(self, client: int, tag: int, piece: ReadPiece) -> Answer | None:
        status, slot = self.ended.pop(tag)
        self.delivered[client].append((tag, status))
        start = piece.address % self.slot_bytes
        data = bytes(piece.length) if status else slot[start : start + piece.length]
        if not piece.is_first:
            before, failed = self.partial[client]
            data, status = before + data, failed or status
        self.partial[client] = (data, status)
        return Answer(data, piece.request.tag, status) if piece.is_last else None
