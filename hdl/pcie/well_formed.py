"""Rules that a header keeps by itself, whatever comes behind it."""

from amaranth import *
from amaranth.lib import data

from .tlp import TlpType, payload_dwords

__all__ = ["well_formed"]


def well_formed(header: data.View, max_payload_bytes: int) -> Value:
    """Whether ``header`` breaks none of the rules whose violation makes a TLP malformed.

    - Fmt and Type are a pair of the table of encodings (2.2.1); message routing may be any.
    - The payload is ``max_payload_bytes``, a power of two, at most.
    - I/O and configuration requests: one DW, TC 0, no last byte enables (2.2.7).
    - Memory requests do not cross a 4 KB boundary (2.2.7).
    - Memory requests of one DW have no last byte enables, longer ones have some in both DW
      (2.2.5); but those of reads with processing hints carry a steering tag (2.2.7.1).

    Byte enables with holes, attributes of I/O and configuration requests, alignment of atomics
    and traffic classes of messages are for the completer to check, if anyone does.
    """
    has_data, four = header.has_data, header.four_dwords
    kind = Value.cast(header.type)
    is_memory = (kind == TlpType.MEMORY) | (kind == TlpType.MEMORY_LOCKED)
    is_io = kind == TlpType.IO
    is_config = kind[1:] == TlpType.CONFIGURATION_0 >> 1
    is_completion = kind[1:] == TlpType.COMPLETION >> 1
    is_atomic = (
        (kind == TlpType.FETCH_ADD) | (kind == TlpType.SWAP) | (kind == TlpType.COMPARE_AND_SWAP)
    )
    is_message = kind[3:] == TlpType.MESSAGE_TO_ROOT >> 3
    known = (
        (is_memory & ~((kind == TlpType.MEMORY_LOCKED) & has_data))
        | ((is_io | is_config | is_completion) & ~four)
        | (is_atomic & has_data)
        | (is_message & four)
    )

    specific = header.specific.memory  # its byte enables are where a configuration request's are
    one_dword = header.length == 1
    last_dword = (header.length - 1)[:10]
    crosses = (specific.address[2:12] + last_dword)[10]
    enables = Mux(
        one_dword, ~specific.last_be.any(), specific.first_be.any() & specific.last_be.any()
    )
    enables |= header.th & ~has_data
    short = payload_dwords(header) <= max_payload_bytes // 4
    return (
        known
        & short
        & (~is_memory | (~crosses & enables))
        & (~(is_io | is_config) | (one_dword & (header.tc == 0) & ~specific.last_be.any()))
    )
