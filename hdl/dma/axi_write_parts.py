"""Interfaces between the parts of :class:`AxiWrite`."""

from amaranth.lib import data

from .memory_port import MemoryRequestLayout, MemoryStatus
from .write_parts import PAGE_BITS, client_shape, store_rows_of

__all__ = ["AxiAddressLayout", "AxiEndLayout", "AxiStepLayout"]


class AxiAddressLayout(data.StructLayout):
    """A burst: whose it is, its address in rows, and its rows less 1."""

    def __init__(self, client_count: int, row_bytes: int):
        low = row_bytes.bit_length() - 1
        super().__init__(
            {
                "client": client_shape(client_count),
                "row": 64 - low,
                "rows_1": min(8, PAGE_BITS - low),
            }
        )


class AxiStepLayout(data.StructLayout):
    """What happens in a cycle: a row is read and turned, and a beat is made of it, or not.

    Fields
    ------
    client, row : range(client_count), range(store_rows)
        Row to read.
    shift : range(row_bytes)
        How far it is turned.
    emit : 1 bit
        A beat leaves: below ``shift`` it has bytes of the row before.
    first, last : range(row_bytes)
        Places of the first and the last byte to write.
    none : 1 bit
        There is none.
    ends : 1 bit
        The beat is its burst's last.
    """

    def __init__(self, client_count: int, row_bytes: int):
        super().__init__(
            {
                "client": client_shape(client_count),
                "row": range(store_rows_of(row_bytes)),
                "shift": range(row_bytes),
                "emit": 1,
                "first": range(row_bytes),
                "last": range(row_bytes),
                "none": 1,
                "ends": 1,
            }
        )


class AxiEndLayout(data.StructLayout):
    """A request of which there is no more to send: its ``tag``, and what is known of its status."""

    def __init__(self):
        super().__init__({"tag": MemoryRequestLayout()["tag"].shape, "status": MemoryStatus})
