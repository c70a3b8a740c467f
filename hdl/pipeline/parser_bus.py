"""What travels from one stage of the parser to the next."""

from amaranth import *
from amaranth.lib import data, enum

from hdl.stream import PacketLayout

from .graph import StateEntry, TransitionEntry

__all__ = [
    "DEPTH_BYTES",
    "OFFSET_BITS",
    "BusLayout",
    "ParseError",
    "Table",
    "TableWriteLayout",
    "index_limit",
]

#: Headers end within so many bytes, or the packet is too deep.
DEPTH_BYTES = 256
#: A window may reach this far beyond the deepest header's start.
WINDOW_BYTES = 64
#: Offsets from the packet's start: 0 to ``DEPTH_BYTES``, and the bytes so far, which saturate.
OFFSET_BITS = 9


class ParseError(enum.Enum, shape=3):
    """Why a packet could not be parsed to the end of the graph."""

    NONE = 0
    #: The packet ends within a header.
    TRUNCATED = 1
    #: A header contradicts itself: a check failed, or it says that it is shorter than it is.
    BAD_HEADER = 2
    #: A header ends beyond ``DEPTH_BYTES``.
    TOO_DEEP = 3
    #: The graph goes on after as many headers as there are stages.
    TOO_MANY_HEADERS = 4


class Table(enum.Enum, shape=1):
    """Tables of a parse graph."""

    STATES = 0
    TRANSITIONS = 1


def index_limit(data_bytes: int) -> int:
    """Return the number of the first beat that no stage looks at; counting stops there."""
    return -(-(DEPTH_BYTES + WINDOW_BYTES) // data_bytes)


class TableWriteLayout(data.StructLayout):
    """One row for the parser's tables.

    Fields
    ------
    table : Table
        Which table.
    bank : 1 bit
        Which of its two copies.
    row : 8 bits
        State number, or row of the hash table.
    entry : bits of ``StateEntry``
        What to put there; a ``TransitionEntry`` in the low bits.
    """

    def __init__(self):
        size = max(StateEntry().size, TransitionEntry().size)
        super().__init__({"table": Table, "bank": 1, "row": 8, "entry": size})


class BusLayout(data.StructLayout):
    """One beat of a packet and what is known of the packet so far.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    header_count : int
        Headers that stages so far may have found.
    slot_count : int
        Windows.

    Fields
    ------
    valid : 1 bit
        There is a beat.
    beat : PacketLayout(data_bytes)
        The beat, bytes that are not kept zeroed.
    first : 1 bit
        First beat of its packet.
    bank : 1 bit
        Copy of the tables that the packet began under.
    index : integer
        Number of the beat in its packet, saturating at ``index_limit(data_bytes)``.
    end : 9 bits
        Bytes of the packet up to the end of this beat, saturating at 511.
    cursor : {known: 1, state: 6, offset: 9 bits}
        Header to read next. It is known from the beat on that decided the one before; state 0
        says that there is none, and ``offset`` where the payload begins.
    error : ParseError
        What a stage found, in the beats from there on.
    headers : array of {state: 6, offset: 9 bits}
        Headers found; state 0 where there is none yet.
    slots : array of {known: 1, offset: 9 bits}
        Where the header of each window begins; it may be in a later beat.
    ip, udp, bth : {known: 1, (v6: 1,) offset: 9 bits}
        Where the header with this role begins that the graph came to last.
    """

    def __init__(self, data_bytes: int, header_count: int, slot_count: int):
        place = data.StructLayout({"known": 1, "offset": OFFSET_BITS})
        header = data.StructLayout({"state": 6, "offset": OFFSET_BITS})
        super().__init__(
            {
                "valid": 1,
                "beat": PacketLayout(data_bytes),
                "first": 1,
                "bank": 1,
                "index": range(index_limit(data_bytes) + 1),
                "end": OFFSET_BITS,
                "cursor": data.StructLayout({"known": 1, "state": 6, "offset": OFFSET_BITS}),
                "error": ParseError,
                "headers": data.ArrayLayout(header, header_count),
                "slots": data.ArrayLayout(place, slot_count),
                "ip": data.StructLayout({"known": 1, "v6": 1, "offset": OFFSET_BITS}),
                "udp": place,
                "bth": place,
            }
        )
