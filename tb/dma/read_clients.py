"""Requests of clients, and the pieces that they become."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from hdl.dma.memory_port import MemoryRequestLayout
from sim.dma import ReadPiece, ReadRequest, split_read
from tb.stream.stream_port import StreamSource, never

from .fields import pack_fields

__all__ = ["ReadClient", "boundary_requests", "piece_values", "random_request"]

_REQUEST = MemoryRequestLayout()


class ReadClient(StreamSource):
    """Offer requests on ``requests__n``."""

    def __init__(self, dut: Any, number: int, *, pause: Callable[[], bool] = never):
        super().__init__(dut, f"requests__{number}", pause=pause)
        self.number = number
        #: Requests that have not left completely, in order.
        self.requests: deque[ReadRequest] = deque()

    def send(self, request: ReadRequest) -> None:
        """Queue ``request``."""
        self.requests.append(request)
        self.send_value(
            pack_fields(
                _REQUEST,
                space=random.randrange(4),
                **{name: getattr(request, name) for name in request.__annotations__},
            )
        )

    def pieces(self, block_bytes: int) -> list[ReadPiece]:
        """List what all that was queued becomes."""
        return [p for r in self.requests for p in split_read(self.number, r, block_bytes)]


def piece_values(piece: ReadPiece, row_bytes: int) -> dict[str, int]:
    """Give the fields of the ``ReadPieceLayout`` that carries ``piece``."""
    request = piece.request
    return {
        "client": piece.client,
        "address": piece.address,
        "length": piece.length,
        "begin": piece.is_first,
        "end": piece.is_last,
        "tag": request.tag,
        "shift": request.address % row_bytes,
        "no_snoop": request.no_snoop,
        "relaxed_ordering": request.relaxed_ordering,
        "id_ordering": request.id_ordering,
    }


def random_request(lengths: Sequence[int] | None = None) -> ReadRequest:
    """Make any request; its length is one of ``lengths``, or of those that matter."""
    length = random.choice(
        lengths or [0, 1, 2, 3, 4, 5, 64, 128, 129, 512, 4096, random.randint(0, 20000)]
    )
    near = random.choice([0, 1 << 32, 1 << 40, 1 << 63]) + 4096 * random.randrange(4)
    address = random.choice([near + random.randint(-6, 6), random.getrandbits(64)])
    return ReadRequest(
        address=min(max(0, address), (1 << 64) - length),
        length=length,
        tag=random.getrandbits(8),
        no_snoop=random.random() < 0.5,
        relaxed_ordering=random.random() < 0.5,
        id_ordering=random.random() < 0.5,
    )


def boundary_requests(block_bytes: int) -> list[ReadRequest]:
    """Make requests that begin and end near a boundary of a block, or of a 4 KB page."""
    page = 0x1_0000_0000 - 4096
    begins = [page + block_bytes + d for d in range(-4, 5)]
    begins += [page + 4096 + d for d in range(-4, 5)]
    return [
        ReadRequest(begin, length, random.getrandbits(8))
        for begin in begins
        for span in (0, block_bytes, 2 * block_bytes, 4096)
        for length in range(max(0, span - 4), span + 5)
    ]
