"""Transaction layer packets as the switch carries them: segments with a decoded header beside."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum

__all__ = [
    "CLASS_COUNT",
    "DATA_CREDIT_DWORDS",
    "SEGMENT_DWORDS",
    "CompletionStatus",
    "TlpBeatLayout",
    "TlpClass",
    "TlpHeaderLayout",
    "TlpSegmentLayout",
    "TlpType",
    "class_of",
    "data_credits",
    "payload_dwords",
]

SEGMENT_DWORDS = 8
SEGMENT_BITS = 32 * SEGMENT_DWORDS
#: One data credit is 4 DW, 16 bytes (PCI Express Base Specification, 2.6.1, flow control rules).
DATA_CREDIT_DWORDS = 4
CLASS_COUNT = 3


class TlpClass(enum.Enum, shape=2):
    """Flow control class; also the order in which arrays of the three are indexed."""

    POSTED = 0
    NON_POSTED = 1
    COMPLETION = 2


class TlpType(enum.IntEnum, shape=5):
    """Type field of the header (table of Fmt and Type encodings, 2.2.1).

    Whether there is a payload, and whether the header has 3 or 4 DW, is not part of it.
    """

    MEMORY = 0b00000
    MEMORY_LOCKED = 0b00001
    IO = 0b00010
    CONFIGURATION_0 = 0b00100
    CONFIGURATION_1 = 0b00101
    COMPLETION = 0b01010
    COMPLETION_LOCKED = 0b01011
    FETCH_ADD = 0b01100
    SWAP = 0b01101
    COMPARE_AND_SWAP = 0b01110
    MESSAGE_TO_ROOT = 0b10000
    MESSAGE_BY_ADDRESS = 0b10001
    MESSAGE_BY_ID = 0b10010
    MESSAGE_BROADCAST = 0b10011
    MESSAGE_LOCAL = 0b10100
    MESSAGE_GATHER = 0b10101


class CompletionStatus(enum.IntEnum, shape=3):
    """Completion status field (2.2.9)."""

    SUCCESS = 0b000
    UNSUPPORTED_REQUEST = 0b001
    REQUEST_RETRY = 0b010
    COMPLETER_ABORT = 0b100


class TlpHeaderLayout(data.StructLayout):
    """Decoded header, prefix included; the same for each header format, so that none is lost.

    Identifiers are bus (15:8), device (7:3), function (2:0), or bus and function with ARI.

    Fields
    ------
    has_data, four_dwords : 1 bit each
        Fmt bits 1 and 0: a payload follows; the header has 4 DW.
    type : TlpType
        Type field; unknown codes are carried unchanged.
    tc, attributes, at : 3, 3, 2 bits
        Traffic class; attributes as bit 2 ID-based ordering, bit 1 relaxed ordering, bit 0 no
        snoop; address type (0 untranslated, 1 translation request, 2 translated).
    th, ln, td, poisoned : 1 bit each
        Processing hints present; lightweight notification; a digest follows the payload; EP.
    length : 10 bits
        Payload, or what a read asks for, in DW; 0 is 1024.
    tag : 14 bits
        Together with ``requester`` the transaction's name. Non-flit links carry 10 bits.
    requester : 16 bits
        Requester ID; of a completion the ID it is routed to.
    specific : union
        ``memory`` (also I/O, atomics; ``address`` counts bytes, its bits 1:0 are the PH field),
        ``configuration``, ``completion``, ``message`` (``target``, ``vendor`` and ``payload`` are
        bytes 8 and 9, 10 and 11, and 12 to 15; the most significant bits came first).
    prefix, has_prefix : 32 bits, 1 bit
        One end-to-end prefix, byte 0 in the lowest bits.
    """

    def __init__(self):
        enables = {"first_be": 4, "last_be": 4}
        super().__init__(
            {
                "has_data": 1,
                "four_dwords": 1,
                "type": TlpType,
                "tc": 3,
                "attributes": data.StructLayout(
                    {"no_snoop": 1, "relaxed_ordering": 1, "id_ordering": 1}
                ),
                "at": 2,
                "th": 1,
                "ln": 1,
                "td": 1,
                "poisoned": 1,
                "length": 10,
                "tag": 14,
                "requester": 16,
                "specific": data.UnionLayout(
                    {
                        "memory": data.StructLayout({**enables, "address": 64}),
                        "configuration": data.StructLayout(
                            {**enables, "target": 16, "register": 10}
                        ),
                        "completion": data.StructLayout(
                            {
                                "completer": 16,
                                "status": CompletionStatus,
                                "bcm": 1,
                                "byte_count": 12,
                                "lower_address": 7,
                            }
                        ),
                        "message": data.StructLayout(
                            {"code": 8, "target": 16, "vendor": 16, "payload": 32}
                        ),
                    }
                ),
                "prefix": 32,
                "has_prefix": 1,
            }
        )

    def format(self, value: Any, format_spec: Any) -> Any:
        """Show a header as one number: Verilog would have a wire for each field of each."""
        return Format("{:x}", value.as_value())


class TlpSegmentLayout(data.StructLayout):
    """256 bits of a TLP, and its header.

    A TLP's payload fills its segments from byte 0 of the first; its digest, if ``td``, is one DW
    more behind the payload, as on the wire. A TLP without either has one segment.

    Fields
    ------
    data : 256 bits
        Payload and digest; byte 0 in the lowest bits is first on the wire.
    header : TlpHeaderLayout
        Of the TLP, meaningful with ``sop``.
    sop, eop : 1 bit each
        First, last segment of the TLP.
    empty : 4 bits
        With ``eop``: DW at the end of ``data`` that carry nothing, 0 to 8.
    nullified : 1 bit
        With ``eop``: the sender took the TLP back; it takes no credits and leaves no trace.
    """

    def __init__(self):
        super().__init__(
            {
                "data": SEGMENT_BITS,
                "header": TlpHeaderLayout(),
                "sop": 1,
                "eop": 1,
                "empty": 4,
                "nullified": 1,
            }
        )


class TlpBeatLayout(data.StructLayout):
    """What moves in a cycle: ``segment_count`` segments, lane 0 first.

    A TLP begins in any lane. From its first to its last segment there is no idle lane between,
    lane 0 of the next valid beat following the last lane. Between TLPs lanes may be idle.

    Parameters
    ----------
    segment_count : int
        1, 2 or 4.

    Fields
    ------
    valid : segment_count bits
        Bit n set: segment n means something.
    segments : array of TlpSegmentLayout
        The segments.

    Raises
    ------
    ValueError
        If ``segment_count`` is another.
    """

    def __init__(self, segment_count: int):
        if segment_count not in (1, 2, 4):
            raise ValueError(f"segments must be 1, 2 or 4, not {segment_count!r}")
        self.segment_count = segment_count
        super().__init__(
            {
                "valid": segment_count,
                "segments": data.ArrayLayout(TlpSegmentLayout(), segment_count),
            }
        )


def class_of(header: data.View) -> Value:
    """Tell the flow control class of a TLP as the bits of a :class:`TlpClass` (2.6.1).

    Memory writes and messages are posted; completions are completions; everything else is not
    posted, codes that nothing is known of included.
    """
    is_memory_write = (header.type == TlpType.MEMORY) & header.has_data
    is_message = header.type[3:5] == 0b10
    is_completion = header.type[1:5] == 0b0101
    return Mux(
        is_completion,
        C(TlpClass.COMPLETION.value, 2),
        Mux(
            is_memory_write | is_message,
            C(TlpClass.POSTED.value, 2),
            C(TlpClass.NON_POSTED.value, 2),
        ),
    )


def payload_dwords(header: data.View) -> Value:
    """Count the DW of payload behind ``header``: 0 to 1024, 11 bits; a digest not included."""
    return Mux(header.has_data, Cat(header.length, header.length == 0), C(0, 11))


def data_credits(header: data.View) -> Value:
    """Count the data credits of a TLP: 0 to 256, 9 bits; a digest takes none (2.6.1)."""
    return (payload_dwords(header) + (DATA_CREDIT_DWORDS - 1))[2:11]
