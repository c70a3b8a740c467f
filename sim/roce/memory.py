"""Memory that remote hosts may reach, and the keys that say what they may do there."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Flag, auto

__all__ = ["KeyTable", "Memory", "Region", "Rights", "WindowBinding", "pieces"]

_BLOCK = 4096


class Rights(Flag):
    """What a remote host may do with a region, or a queue pair's peer at all; what its owner may.

    Specification: IBTA Architecture Specification volume 1, 10.6.3.1.
    """

    WRITE = auto()
    READ = auto()
    ATOMIC = auto()
    #: READs and atomic operations of the owner may leave there what they bring.
    LOCAL_WRITE = auto()
    #: Windows may be bound to it.
    BIND = auto()


def pieces(
    spans: Iterable[tuple[int, int, int]], offset: int, length: int
) -> Iterator[tuple[int, int, int]]:
    """Space, address and length of what ``length`` bytes from ``offset`` on take of ``spans``."""
    for space, address, size in spans:
        if offset < size and length:
            part = min(length, size - offset)
            yield space, address + offset, part
            offset, length = 0, length - part
        else:
            offset -= min(offset, size)


class Memory:
    """Bytes of every address space, 0 where nothing was written."""

    def __init__(self):
        self._blocks: dict[tuple[int, int], bytearray] = defaultdict(lambda: bytearray(_BLOCK))

    def _pieces(self, space: int, address: int, length: int) -> Iterator[tuple[bytearray, slice]]:
        while length:
            offset = address % _BLOCK
            size = min(length, _BLOCK - offset)
            yield self._blocks[space, address // _BLOCK], slice(offset, offset + size)
            address, length = address + size, length - size

    def blocks(self) -> Iterator[tuple[tuple[int, int], bytes]]:
        """Give space and number of each block of 4096 bytes that was looked at, and its bytes."""
        return ((place, bytes(block)) for place, block in self._blocks.items())

    def read(self, space: int, address: int, length: int) -> bytes:
        """Bytes from ``address`` on."""
        return b"".join(bytes(b[part]) for b, part in self._pieces(space, address, length))

    def write(self, space: int, address: int, data: bytes) -> None:
        """Put ``data`` at ``address``."""
        for block, part in self._pieces(space, address, len(data)):
            size = part.stop - part.start
            block[part], data = data[:size], data[size:]


@dataclass(frozen=True)
class Region:
    """Memory region, or a type 2 memory window, which names a queue pair.

    Parameters
    ----------
    key : int
        Remote key: 24 bits of index, 8 bits that change each time the index is used anew.
    domain : int
        Protection domain.
    base, length : int
        Addresses that a remote host uses: from ``base`` on, which is 0 if it is zero-based.
    rights : Rights
        What is allowed; what a window may do is its own.
    pages : tuple of (int, int)
        Space and address of each page.
    page_bytes : int
        Size of a page: a power of two.
    offset : int
        Byte of the first page at which the region begins.
    queue_pair : int, optional
        The only queue pair that may use it: of a window of type 2B.
    """

    key: int
    domain: int
    base: int
    length: int
    rights: Rights
    pages: tuple[tuple[int, int], ...]
    page_bytes: int
    offset: int = 0
    queue_pair: int | None = None

    def spans(self, address: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Space, address and length of each piece of memory that the bytes lie in."""
        place = address - self.base + self.offset
        while length:
            inside = place % self.page_bytes
            size = min(length, self.page_bytes - inside)
            space, page = self.pages[place // self.page_bytes]
            yield space, page + inside, size
            place, length = place + size, length - size


@dataclass(frozen=True)
class WindowBinding:
    """A window of ``region``, by its local key, that is to be known as ``key``.

    Parameters
    ----------
    region, key : int
        Local key of the region; new key of the window, whose index it had before.
    address, length : int
        Bytes of the region, in its own addresses.
    rights : Rights
        What a remote host may do.
    is_zero_based : bool
        Remote hosts count from 0, not from ``address``.
    """

    region: int
    key: int
    address: int
    length: int
    rights: Rights
    is_zero_based: bool = False


class KeyTable:
    """Regions by the index of their key, and windows that may be bound."""

    def __init__(self):
        self._regions: dict[int, Region] = {}
        self._windows: dict[int, int] = {}
        self._last_keys: dict[int, int] = {}

    def add(self, region: Region) -> None:
        """Make a region known; one of the same index is no more."""
        self._regions[region.key >> 8] = region

    def remove(self, key: int) -> None:
        """Forget a region; its driver does, when no window is bound to it."""
        del self._regions[key >> 8]

    def invalidate(self, key: int, domain: int, queue_pair: int) -> bool:
        """Forget the window of ``key``; False if the queue pair has no such window.

        From afar, and by its owner. A region is not a queue pair's to invalidate: windows that are
        bound to it would outlive it.

        Specification: IBTA Architecture Specification volume 1, 9.4 (SEND with Invalidate), 10.6.5
        (local invalidate).
        """
        region = self._regions.get(key >> 8)
        if region is None or region.key != key or region.domain != domain:
            return False
        if region.queue_pair != queue_pair:
            return False
        del self._regions[key >> 8]
        return True

    def find(
        self, key: int, address: int, length: int, *, rights: Rights, domain: int, queue_pair: int
    ) -> Region | None:
        """Region of ``key`` if all of the access is allowed, else None."""
        region = self._regions.get(key >> 8)
        if region is None or region.key != key or region.domain != domain:
            return None
        if region.queue_pair not in (None, queue_pair) or rights not in region.rights:
            return None
        if not region.base <= address <= address + length <= region.base + region.length:
            return None
        return region

    def add_window(self, index: int, domain: int) -> None:
        """Let keys of this index be those of a window, which is not bound yet."""
        self._regions.pop(index, None)
        self._windows[index] = domain

    def local(
        self, key: int, address: int, length: int, *, domain: int, writes: bool
    ) -> Region | None:
        """Region of a local ``key`` if its owner may read, or write, all of it, else None."""
        rights = Rights.LOCAL_WRITE if writes else Rights(0)
        region = self.find(key, address, length, rights=rights, domain=domain, queue_pair=-1)
        return None if region is None or region.queue_pair is not None else region

    def bind(self, binding: WindowBinding, domain: int, queue_pair: int) -> bool:
        """Bind a window to a queue pair; False if it is bound, or may not be bound so.

        Its new key is another one than it had last: what came with that one, and is still on its
        way to memory, does not reach what is bound now.

        Specification: IBTA Architecture Specification volume 1, 10.6.7.2 (type 2 windows).
        """
        index = binding.key >> 8
        changes = binding.rights & (Rights.WRITE | Rights.ATOMIC)
        region = self.local(
            binding.region, binding.address, binding.length, domain=domain, writes=bool(changes)
        )
        if region is None or Rights.BIND not in region.rights or not binding.length:
            return False
        if index in self._regions or self._windows.get(index) != domain:
            return False
        if self._last_keys.get(index) == binding.key:
            return False
        if binding.rights & ~(Rights.WRITE | Rights.READ | Rights.ATOMIC):
            return False
        self._last_keys[index] = binding.key
        self._regions[index] = Region(
            key=binding.key,
            domain=domain,
            base=0 if binding.is_zero_based else binding.address,
            length=binding.length,
            rights=binding.rights,
            pages=region.pages,
            page_bytes=region.page_bytes,
            offset=region.offset + binding.address - region.base,
            queue_pair=queue_pair,
        )
        return True
