"""Random traffic of well-formed TLPs, whose headers fall on the boundaries of the bridges."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sim.pcie import Bridge, Kind, Tlp

from .route_cases import random_tlp

__all__ = ["random_traffic", "well_formed"]

_ATOMIC_DWORDS = {
    Kind.FETCH_ADD: (1, 2),
    Kind.SWAP: (1, 2),
    Kind.COMPARE_AND_SWAP: (2, 4, 8),
}
# Registers of a port's function that no error and no link changes.
_QUIET_REGISTERS = [0x0, 0x2, 0x3, 0x6, 0x8, 0x9, 0xA, 0xB, 0xD]
# Of these, what cannot be written: requests are routed while those in front of them are served.
_CONSTANTS = [0x0, 0x2]
# Messages that no port acts on: vendor-defined, and latency tolerance reporting.
_QUIET_CODES = [0x7E, 0x7F, 0x10]
# Lengths in DW: of reads and writes that are usual, and around segments and beats.
_LENGTHS = [1, 1, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128]

# Fields that mean something in TLPs of some kinds only.
_OF_SOME_KINDS = ["target", "register", "completer", "status", "byte_count", "lower_address"]
_OF_SOME_KINDS += ["code", "vendor", "message_payload"]
_NOTHING: dict[str, Any] = dict.fromkeys(_OF_SOME_KINDS, 0)


def _length(longest: int) -> int:
    return min(longest, random.choice([*_LENGTHS, random.randint(1, longest)]))


def _enables(dwords: int) -> dict[str, int]:
    """Byte enables that every receiver takes: contiguous over the request."""
    if dwords == 1:
        return {"first_be": random.choice([0x1, 0x3, 0x6, 0xF, 0xF, 0xF]), "last_be": 0}
    return {
        "first_be": random.choice([0xF, 0xF, 0xE, 0xC, 0x8]),
        "last_be": random.choice([0xF, 0xF, 0x7, 0x3, 0x1]),
    }


def _in_page(address: int, dwords: int) -> int:
    """Address of a whole DW near ``address`` from which ``dwords`` stay in their 4 KB."""
    return address & ~0xFFF | min(address & 0xFFC, 0x1000 - 4 * dwords)


def _fields(tlp: Tlp, longest: int) -> dict[str, Any]:
    """Fields that make ``tlp`` well formed, without its data."""
    kind = tlp.kind
    if kind in (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1):
        return {
            "length": 1,
            "four_dwords": False,
            "tc": 0,
            "at": 0,
            "no_snoop": False,
            "relaxed_ordering": False,
            "id_ordering": False,
            "register": random.choice(_QUIET_REGISTERS if tlp.data is None else _CONSTANTS),
            **_enables(1),
        }
    if tlp.is_completion:
        length = 0 if tlp.data is None else _length(longest)
        return {
            "length": length,
            "four_dwords": False,
            "at": 0,
            "byte_count": 4 * length & 0xFFF,
            "lower_address": random.choice([0, 0x20, 0x40, 0x7C]) if length else 0,
        }
    if tlp.is_message:
        length = 0 if tlp.data is None else _length(longest)
        code = random.choice(_QUIET_CODES)
        return {"length": length, "four_dwords": True, "tc": 0, "at": 0, "code": code}
    if kind in _ATOMIC_DWORDS:
        length = random.choice(_ATOMIC_DWORDS[Kind(kind)])
        aligned = tlp.address & ~(4 * length - 1)
        return {"length": length, "four_dwords": aligned >> 32 != 0, "address": aligned} | {
            "first_be": 0xF,
            "last_be": 0xF if length > 1 else 0,
        }
    if kind == Kind.IO:
        address = tlp.address & 0xFFFF_FFFC
        fields = {"length": 1, "four_dwords": False, "tc": 0, "at": 0, "address": address}
        orderless = {"no_snoop": False, "relaxed_ordering": False, "id_ordering": False}
        return {**fields, **orderless, **_enables(1)}
    length = _length(longest)
    address = _in_page(tlp.address, length)
    return {"length": length, "four_dwords": address >> 32 != 0, "address": address} | _enables(
        length
    )


def well_formed(tlp: Tlp, longest: int) -> Tlp:
    """Make a TLP of ``tlp``'s kind, near its address and numbers, that every receiver takes.

    Parameters
    ----------
    longest : int
        DW of the longest payload.
    """
    kind = tlp.kind
    if kind not in Kind.__members__.values():
        kind = Kind.MEMORY
        tlp = replace(tlp, kind=kind, **_NOTHING)
    if kind in (Kind.MEMORY_LOCKED, Kind.CONFIGURATION_0):
        # A write of Type 0 changes the number of the upstream port.
        tlp = replace(tlp, data=None)
    if kind in _ATOMIC_DWORDS:
        tlp = replace(tlp, data=b"")
    tlp = tlp.with_changes(**_fields(tlp, longest), ln=False, th=False)
    has_digest = random.random() < 0.1
    return replace(
        tlp,
        tag=tlp.tag & 0x3FF,  # what the log of a header can hold
        data=None if tlp.data is None else random.randbytes(4 * tlp.length),
        poisoned=tlp.poisoned and tlp.data is not None,
        digest=random.randbytes(4) if has_digest else None,
        prefix=random.getrandbits(24) << 8 | 0x91 if random.random() < 0.05 else None,
        nullified=random.random() < 0.02,
    )


def random_traffic(ingress: int, bridges: Sequence[Bridge], longest: int) -> Tlp:
    """Make one TLP that ``ingress`` may receive; a few are nullified.

    Of those from above a tenth are broadcasts, which pass beside all others to several ports.
    """
    tlp = random_tlp(ingress, bridges)
    if ingress == 0 and random.random() < 0.1:
        tlp = Tlp(
            Kind.MESSAGE_BROADCAST,
            requester=tlp.requester,
            relaxed_ordering=tlp.relaxed_ordering,
            id_ordering=tlp.id_ordering,
            message_payload=random.getrandbits(32),
        )
    return well_formed(tlp, longest)
