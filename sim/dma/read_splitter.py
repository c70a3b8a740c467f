"""Golden model of hdl.dma.ReadSplitter."""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ReadPiece", "ReadRequest", "read_block_bytes", "split_read"]


@dataclass(frozen=True)
class ReadRequest:
    """What a client wants to read."""

    address: int
    length: int
    tag: int = 0
    no_snoop: bool = False
    relaxed_ordering: bool = False
    id_ordering: bool = False


@dataclass(frozen=True)
class ReadPiece:
    """Part of a client's request that becomes one TLP."""

    client: int
    request: ReadRequest
    address: int
    length: int

    @property
    def is_first(self) -> bool:
        """Whether it begins where the request does."""
        return self.address == self.request.address

    @property
    def is_last(self) -> bool:
        """Whether it ends where the request does."""
        return self.address + self.length == self.request.address + self.request.length


def read_block_bytes(code: int, slot_bytes: int) -> int:
    """Size of the aligned blocks that a piece lies in, by the code of Max_Read_Request_Size."""
    sizes = {0: 128, 1: 256, 2: 512, 3: 1024, 4: 2048, 5: 4096}
    return min(sizes.get(code, 4096), slot_bytes)


def split_read(client: int, request: ReadRequest, block_bytes: int) -> Iterator[ReadPiece]:
    """Pieces of ``request``: one for each block that it touches, one if it has no bytes."""
    end = request.address + request.length
    if request.length == 0:
        yield ReadPiece(client, request, request.address, 0)
    first_block, last_block = request.address // block_bytes, (end - 1) // block_bytes
    for block in range(first_block, last_block + 1):
        begin = max(request.address, block * block_bytes)
        length = min(end, (block + 1) * block_bytes) - begin
        if length > 0:
            yield ReadPiece(client, request, begin, length)
