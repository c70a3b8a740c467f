"""Plain TLPs between ports of a switch whose bridges are those of ``SwitchBed.tree``."""

import random

from sim.pcie import Kind, Tlp

__all__ = ["address", "completion", "message", "read", "requester", "write"]


def requester(port: int) -> int:
    """ID of a function behind a port; above the upstream one, of another than that port's own."""
    return port + 1 << 8 if port else 0x0010


def address(target: int) -> int:
    """Somewhere behind ``target``; behind the upstream port is what nobody else has."""
    page = random.randrange(1 << 8) << 12
    return page if target == 0 else (0x800 + 16 * target << 20) + page


def write(source: int, target: int, dwords: int) -> Tlp:
    """Memory write of whole DW from a function behind ``source``."""
    return Tlp(
        Kind.MEMORY,
        data=random.randbytes(4 * dwords),
        length=dwords,
        requester=requester(source),
        first_be=0xF,
        last_be=0xF if dwords > 1 else 0,
        address=address(target),
    )


def read(source: int, target: int, dwords: int) -> Tlp:
    """Memory read: a header only."""
    return write(source, target, dwords).with_changes(data=None, tag=random.getrandbits(8))


def completion(source: int, target: int, dwords: int) -> Tlp:
    """Completion with data for a function behind ``target``."""
    return Tlp(
        Kind.COMPLETION,
        data=random.randbytes(4 * dwords),
        length=dwords,
        requester=requester(target),
        completer=requester(source),
        tag=random.getrandbits(8),
        byte_count=4 * dwords,
    )


def message(kind: Kind, code: int, requester: int = 0) -> Tlp:
    """Message without data."""
    return Tlp(kind, four_dwords=True, code=code, requester=requester)
