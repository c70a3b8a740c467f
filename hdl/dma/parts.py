"""Interfaces between the parts of the PCI Express back end."""

from typing import Any

from amaranth import *
from amaranth.lib import data

from ..pcie.tlp import SEGMENT_DWORDS
from .memory_port import MemoryRequestLayout, MemoryStatus

__all__ = [
    "MAX_REQUEST_BYTES",
    "DeliveredLayout",
    "IssuedLayout",
    "ReadPieceLayout",
    "TagDoneLayout",
    "TagEndedLayout",
    "TagGivenLayout",
    "client_shape",
    "row_bytes_of",
]

#: Greatest Max_Read_Request_Size and Max_Payload_Size; no request crosses such a boundary (2.2.7).
MAX_REQUEST_BYTES = 4096


def client_shape(client_count: int) -> range:
    """Shape of a client's number; one client alone has a bit, too, since none would be no port."""
    return range(max(2, client_count))


def row_bytes_of(segment_count: int) -> int:
    """Bytes of a row of the completion store: as many as a beat of TLPs carries."""
    return 4 * SEGMENT_DWORDS * segment_count


class ReadPieceLayout(data.StructLayout):
    """Part of a read that becomes one TLP.

    Fields
    ------
    client : range(client_count), at least 1 bit
        Whose request it is part of.
    address, length : 64, 13 bits
        Bytes to read, 0 to 4096: within one aligned block of min(MRRS, slot) bytes. 0 is a flush.
    begin, end : 1 bit each
        First, last piece of its request.
    tag : 8 bits
        The client's, of the request.
    shift : log2(row_bytes) bits
        The request's address modulo the row: how far its bytes are turned on the way out.
    no_snoop, relaxed_ordering, id_ordering : 1 bit each
        Of the request.
    """

    def __init__(self, client_count: int, row_bytes: int):
        request = MemoryRequestLayout()
        names = ("tag", "no_snoop", "relaxed_ordering", "id_ordering")
        super().__init__(
            {
                "client": client_shape(client_count),
                "address": 64,
                "length": 13,
                "begin": 1,
                "end": 1,
                "shift": range(row_bytes),
                **{name: request[name].shape for name in names},
            }
        )

    def format(self, value: Any, format_spec: Any) -> Any:
        """Show a piece as one number: Verilog would have a wire for each field of each."""
        return Format("{:x}", value.as_value())


class IssuedLayout(data.StructLayout):
    """A read that is on its way out: strobe to all who have to know of its tag.

    Fields
    ------
    valid : 1 bit
        Strobe, at least 4 cycles before a completion can come.
    tag : range(tag_count)
        Its tag.
    piece : ReadPieceLayout
        What it reads.
    """

    def __init__(self, client_count: int, row_bytes: int, tag_count: int):
        super().__init__(
            {
                "valid": 1,
                "tag": range(tag_count),
                "piece": ReadPieceLayout(client_count, row_bytes),
            }
        )


class TagDoneLayout(data.StructLayout):
    """A read that has ended: its tag and how."""

    def __init__(self, tag_count: int):
        super().__init__({"tag": range(tag_count), "status": MemoryStatus})


class TagEndedLayout(data.StructLayout):
    """A read that has ended, as a strobe: ``valid``, its ``tag`` and how (``status``)."""

    def __init__(self, tag_count: int):
        super().__init__({"valid": 1, "tag": range(tag_count), "status": MemoryStatus})


class DeliveredLayout(data.StructLayout):
    """A tag whose slot has been read, and whose it was; ``status`` tells if it was lost."""

    def __init__(self, client_count: int, tag_count: int):
        super().__init__(
            {"client": client_shape(client_count), "tag": range(tag_count), "status": MemoryStatus}
        )


class TagGivenLayout(data.StructLayout):
    """Strobe: a client gives a tag back."""

    def __init__(self, client_count: int, tag_count: int):
        super().__init__(
            {"valid": 1, "client": client_shape(client_count), "tag": range(tag_count)}
        )
