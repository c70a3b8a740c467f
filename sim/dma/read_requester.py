"""Golden model of hdl.dma.ReadRequester."""

from collections import deque

from ..pcie import Tlp
from .read_issue import read_tlp
from .read_splitter import ReadPiece, ReadRequest, split_read
from .tag_pool import TagPoolModel

__all__ = ["ReadRequesterModel"]


class ReadRequesterModel:
    """What is issued for which request, who holds which tag, and when one may be used again."""

    def __init__(self, *, client_count: int, tag_count: int, reserve: int, requester: int):
        self.pool = TagPoolModel(client_count=client_count, tag_count=tag_count, reserve=reserve)
        self.requester = requester
        self.block_bytes = 4096
        self.timeout = 0
        self.pieces: list[deque[ReadPiece]] = [deque() for _ in range(client_count)]
        #: Tag, piece and cycle of what has been issued but not delivered, in order of each client.
        self.under_way: list[deque[int]] = [deque() for _ in range(client_count)]
        self.issued: dict[int, tuple[ReadPiece, int]] = {}
        self._usable_from: dict[int, int] = {}

    def request(self, client: int, request: ReadRequest) -> None:
        """Expect the pieces of ``request``."""
        self.pieces[client].extend(split_read(client, request, self.block_bytes))

    def issue(self, client: int, tag: int, cycle: int) -> ReadPiece:
        """Tell which piece is issued next for ``client``, and check that it may have ``tag``."""
        assert self.pieces[client], f"client {client} has asked for nothing more"
        piece = self.pieces[client].popleft()
        self.pool.take(client)
        self.pool.hand_out(tag)
        assert cycle >= self._usable_from.get(tag, 0), f"tag {tag} is still in quarantine"
        self.issued[tag] = (piece, cycle)
        self.under_way[client].append(tag)
        return piece

    def hold(self, tag: int, until: int) -> None:
        """Expect ``tag`` not to be issued before cycle ``until``."""
        self._usable_from[tag] = until

    def header(self, tag: int) -> Tlp:
        """Make the header of the read that ``tag`` was issued for."""
        return read_tlp(self.issued[tag][0], tag=tag, requester=self.requester)

    def deliver(self, client: int, *, is_late: bool, cycle: int) -> None:
        """Take back the tag of the oldest read of ``client``."""
        tag = self.under_way[client].popleft()
        del self.issued[tag]
        self.pool.give(client, tag)
        self._usable_from[tag] = cycle + (self.timeout if is_late else 0)
