"""What the parts of MSI-X have in common: sizes, strobes, the register table."""

from amaranth import *
from amaranth.lib import data

from ..register import Counter, RegisterTable, Window

__all__ = [
    "INTERVAL_FIELD_BITS",
    "LIMIT_BITS",
    "ROW_VECTORS",
    "VECTOR_BITS",
    "MsixAccessLayout",
    "MsixArrivalLayout",
    "MsixSentLayout",
    "check_vectors",
    "msix_table",
    "row_bits",
    "row_count",
    "row_shape",
    "vector_shape",
]

#: Vectors of a row: the bits of a word of the pending bit array that is read at once.
ROW_VECTORS = 32
VECTORS_MAX = 2048
#: Of the numbers that events bear, whatever the function has.
VECTOR_BITS = 11
#: Of the number of events that ends a hold.
LIMIT_BITS = 8
#: Of the interval's field; a function may keep fewer.
INTERVAL_FIELD_BITS = 16
#: Table and pending bits have such pages for themselves, so that software can map them alone.
PAGE_BYTES = 4096


def check_vectors(vector_count: int, interval_bits: int) -> None:
    """Refuse sizes that MSI-X, or the registers here, do not have."""
    if not 1 <= vector_count <= VECTORS_MAX:
        raise ValueError(f"vector_count must be 1 to {VECTORS_MAX}, not {vector_count!r}")
    if not 1 <= interval_bits <= INTERVAL_FIELD_BITS:
        raise ValueError(f"interval_bits must be 1 to {INTERVAL_FIELD_BITS}, not {interval_bits!r}")


def vector_shape(vector_count: int) -> Shape:
    """Shape of a vector's number: place in its row, and above it at least one bit of row."""
    return unsigned(max(6, (vector_count - 1).bit_length()))


def row_shape(vector_count: int) -> Shape:
    """Shape of a row's number."""
    return unsigned(vector_shape(vector_count).width - 5)


def row_count(vector_count: int) -> int:
    """Rows; the second may be empty."""
    return max(2, -(-vector_count // ROW_VECTORS))


def row_bits(vector_count: int) -> int:
    """Bits of a row that have a vector; the second may have none."""
    return min(ROW_VECTORS, max(2, vector_count))


class MsixArrivalLayout(data.StructLayout):
    """Strobe: an event of a vector, and whether it ends a hold.

    Fields
    ------
    valid, vector
        Strobe, and whose.
    bit : row_bits
        Only the vector's bit of its row is set.
    first, again : 1 bit each
        Whether a hold ends now, if the vector was not pending; if it was.
    """

    def __init__(self, vector_count: int):
        shape, bits = vector_shape(vector_count), row_bits(vector_count)
        super().__init__({"valid": 1, "vector": shape, "bit": bits, "first": 1, "again": 1})


class MsixSentLayout(data.StructLayout):
    """Strobe: a message of ``vector`` has begun; the next is held for ``interval`` ticks."""

    def __init__(self, vector_count: int, interval_bits: int):
        shape = vector_shape(vector_count)
        super().__init__({"valid": 1, "vector": shape, "interval": interval_bits})


class MsixAccessLayout(data.StructLayout):
    """What an access to registers wants of the engine.

    Fields
    ------
    hold : 1 bit
        No more rows are looked at.
    flush : 1 bit
        What is on its way to a message goes back to being pending.
    read : 1 bit
        ``vector``'s row is looked at in the next cycle, and its entry is there, too.
    vector
        Whose.
    write : 4 bits
        Words of the entry that are written: address (2), data, moderation.
    word : 32 bits
        What is written.
    """

    def __init__(self, vector_count: int):
        shape = vector_shape(vector_count)
        super().__init__(
            {"hold": 1, "flush": 1, "read": 1, "vector": shape, "write": 4, "word": 32}
        )


def _window_bytes(count: int, each: int) -> int:
    return max(8, each << (count - 1).bit_length())


def msix_table(vector_count: int) -> RegisterTable:
    """Make the registers of MSI-X with ``vector_count`` vectors.

    Table and pending bits are those of the specification, each in pages of its own; what stands
    behind them belongs to this implementation. Windows are powers of two: what is beyond the
    last vector reads 0.
    """
    table_bytes = max(PAGE_BYTES, _window_bytes(vector_count, 16))
    moderation_bytes = _window_bytes(vector_count, 4)
    moderation = -(-(table_bytes + PAGE_BYTES) // moderation_bytes) * moderation_bytes
    return RegisterTable(
        name="msix",
        description="MSI-X of a function: table, pending bits, moderation and counters.",
        entries=(
            Window("table", "MSI-X table (7.7.2.5 to 7.7.2.8).", _window_bytes(vector_count, 16)),
            Window(
                "pending",
                "Pending bit array (7.7.2.9).",
                _window_bytes(-(-vector_count // ROW_VECTORS), 4),
                address=table_bytes,
            ),
            Window(
                "moderation",
                "By vector: in bits 15:0 the ticks from one message to the next, 0 for no hold; in "
                "bits 23:16 how many events end a hold, 0 for no limit.",
                moderation_bytes,
                address=moderation,
            ),
            Counter("messages", "Messages sent.", 1, saturates=False),
            Counter("unknown", "Events of vectors that there are not.", 1, saturates=False),
            Counter("failed", "Messages that did not reach the link.", 1, saturates=False),
        ),
    )
