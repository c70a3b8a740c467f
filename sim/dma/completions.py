"""What completions do to the reads that they answer."""

from dataclasses import dataclass, field
from enum import IntEnum

from ..pcie.tlp import Kind, Tlp

__all__ = ["CompletionsModel", "EndedRead", "ReadEnd"]

_SUCCESS, _UNSUPPORTED = 0, 1


class ReadEnd(IntEnum):
    """How a read ended."""

    OK = 0
    UNSUPPORTED = 1
    ABORT = 2
    POISONED = 3
    TIMEOUT = 4
    LINK_DOWN = 5


@dataclass(frozen=True)
class EndedRead:
    """A read that has ended.

    Parameters
    ----------
    tag : int
        Its tag.
    end : ReadEnd
        How.
    address : int
        Of its first byte.
    data : bytes
        What came, if that is all of it, otherwise nothing.
    """

    tag: int
    end: ReadEnd
    address: int
    data: bytes


@dataclass
class _Read:
    address: int
    length: int
    data: bytearray = field(default_factory=bytearray)
    poisoned: bool = False

    @property
    def wanted(self) -> int:
        """Bytes that completions have to bring; a flush is answered as a read of one byte."""
        return self.length or 1


class CompletionsModel:
    """Reads that are out, by tag.

    Parameters
    ----------
    tag_count : int
        Tags.
    requester : int
        Our ID.

    Attributes
    ----------
    unexpected : int
        Completions that belonged to no read.
    """

    def __init__(self, tag_count: int, requester: int):
        self.tag_count = tag_count
        self.requester = requester
        self.unexpected = 0
        self._out: dict[int, _Read] = {}

    @property
    def out(self) -> set[int]:
        """Tags of reads that have not ended."""
        return set(self._out)

    def ask(self, tag: int, address: int, length: int) -> None:
        """Send a read out."""
        if tag in self._out or not 0 <= tag < self.tag_count:
            raise ValueError(f"tag {tag} is out, or none")
        self._out[tag] = _Read(address, length)

    def fail(self, tag: int, end: ReadEnd) -> EndedRead | None:
        """End a read for a reason of its own; None if it had ended."""
        read = self._out.pop(tag, None)
        return None if read is None else EndedRead(tag, end, read.address, b"")

    def complete(self, tlp: Tlp) -> EndedRead | None:
        """Receive ``tlp`` whole; the read that it ended, if it did."""
        if tlp.nullified:
            return None
        is_ours = tlp.kind == Kind.COMPLETION and tlp.requester == self.requester
        read = self._out.get(tlp.tag)
        if not is_ours or read is None:
            self.unexpected += 1
            return None
        if tlp.status != _SUCCESS:
            end = ReadEnd.UNSUPPORTED if tlp.status == _UNSUPPORTED else ReadEnd.ABORT
            return self.fail(tlp.tag, end)
        if not self._takes(read, tlp):
            return self.fail(tlp.tag, ReadEnd.ABORT)
        if len(read.data) < read.wanted:
            return None
        del self._out[tlp.tag]
        end = ReadEnd.POISONED if read.poisoned else ReadEnd.OK
        return EndedRead(tlp.tag, end, read.address, bytes(read.data[: read.length]))

    @staticmethod
    def _takes(read: _Read, tlp: Tlp) -> bool:
        """Whether ``tlp`` is the next part of ``read``; then its bytes are added."""
        missing = read.wanted - len(read.data)
        place = read.address + len(read.data)
        skipped = tlp.lower_address % 4
        if tlp.data is None or len(tlp.data) != 4 * tlp.length:
            return False
        if tlp.byte_count % 4096 != missing % 4096:
            return False
        low_bits = 0x7F if read.length else 0x7C  # a flush has no first byte
        if (tlp.lower_address ^ place) & low_bits:
            return False
        brought = tlp.data[skipped : skipped + missing]
        if len(tlp.data) - skipped - missing > 3:
            return False
        read.data += brought
        read.poisoned |= tlp.poisoned
        return True
