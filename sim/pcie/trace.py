"""Golden model of hdl.pcie.Tracer: the bytes of a record."""

import struct

from .router import Decision
from .tlp import Kind, Tlp

__all__ = ["trace_record"]


def _specific(tlp: Tlp) -> int:
    """72 bits that depend on the kind of TLP."""
    enables = tlp.first_be | tlp.last_be << 4
    if tlp.is_completion:
        status = tlp.status | tlp.bcm << 3 | tlp.byte_count << 4 | tlp.lower_address << 16
        return tlp.completer | status << 16
    if tlp.kind in (Kind.CONFIGURATION_0, Kind.CONFIGURATION_1):
        return enables | tlp.target << 8 | tlp.register << 24
    if tlp.is_message:
        return tlp.code | tlp.target << 8 | tlp.vendor << 24 | tlp.message_payload << 40
    return enables | tlp.address << 8


def trace_record(ingress: int, tlp: Tlp, decision: Decision, *, lost: int, time: int) -> bytes:
    """Record of ``tlp`` as it came in at port ``ingress``: 32 bytes.

    Parameters
    ----------
    lost : int
        TLPs before it without a record.
    time : int
        Cycle.
    """
    kind = Kind.CONFIGURATION_0 if decision.to_type_0 else tlp.kind
    egress = 0 if decision.egress is None else 1 << decision.egress
    route = (
        egress
        | ingress << 8
        | decision.function << 11
        | decision.local << 14
        | decision.to_type_0 << 15
        | decision.action << 16
        | decision.rule << 18
        | kind << 24
        | (tlp.data is not None) << 29
        | tlp.four_dwords << 30
        | tlp.poisoned << 31
    )
    attributes = tlp.no_snoop | tlp.relaxed_ordering << 1 | tlp.id_ordering << 2
    common = (
        (tlp.length & 0x3FF)
        | tlp.tc << 10
        | attributes << 13
        | tlp.at << 16
        | (tlp.prefix is not None) << 18
    )
    names = struct.pack("<IIHHI", route, common, tlp.tag, tlp.requester, tlp.prefix or 0)
    rest = struct.pack("<HI", min(lost, 0xFFFF), time & 0xFFFF_FFFF)
    return names + _specific(tlp).to_bytes(10, "little") + rest
