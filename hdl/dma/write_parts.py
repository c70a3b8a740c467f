"""Interfaces between the parts of :class:`PcieWrite`.

:class:`WriteIntake`, :class:`WriteArbiter` and the store behind them know nothing of PCI Express:
they tell of pieces of requests, cut at 4 KB, that are whole in the store. Whoever takes a piece

- reads the client's rows from what the piece before had as ``free_to`` (0 after reset); how many,
  ``first`` and ``last`` tell. A row with a page's end inside is read with both of its pieces;
- counts the client's ``freed`` up as rows are read, and sets it to ``free_to`` at the end, also
  of a piece without ``send``, which has to be taken all the same.

The arbiter chooses a client in the cycle before it takes its row: its ``ready`` depends on
no ``valid``, and a client that was not the last one chosen waits a cycle.
"""

from amaranth.lib import data

from .memory_port import MemoryRequestLayout, MemoryStatus
from .parts import client_shape

__all__ = [
    "ATTRIBUTES",
    "PAGE_BITS",
    "PAGE_NUMBER_BITS",
    "WriteDoneLayout",
    "WritePieceLayout",
    "WriteRowLayout",
    "WriteStepLayout",
    "store_rows_of",
]

#: Address bits within 4 KB, which no request crosses (2.2.7).
PAGE_BITS = 12
#: A request touches 17 pages at most.
PAGE_NUMBER_BITS = 5
ATTRIBUTES = ("no_snoop", "relaxed_ordering", "id_ordering")


def store_rows_of(row_bytes: int) -> int:
    """Rows of the store that are each client's own: two pages, so that one comes as one goes."""
    return (2 << PAGE_BITS) // row_bytes


class WritePieceLayout(data.StructLayout):
    """Part of a write that lies in one page of 4 KB; its bytes are whole in the store.

    Parameters
    ----------
    client_count, row_bytes : int
        As of :class:`PcieWrite`.

    Fields
    ------
    client : range(client_count)
        Whose it is.
    page, page_number : 52, 5 bits
        Page of the request, and how many pages behind it: added later, once for all clients.
    first, last : 12 bits each
        The first and the last byte in the page.
    shift : range(row_bytes)
        How far the rows are turned towards higher places, so that the first byte comes to its
        address modulo 4.
    prime : 1 bit
        The piece begins in the upper part of a row, whose turned bytes are in two rows.
    send : 1 bit
        Without it nothing is sent: there are no bytes, or they are not those asked for.
    end : 1 bit
        The request ends with this piece.
    status, tag : MemoryStatus, 8 bits
        With ``end``: for the response.
    no_snoop, relaxed_ordering, id_ordering : 1 bit each
        Of the request.
    free_to : range(2 * store_rows)
        The client's rows before this one are free when this piece has been read.
    """

    def __init__(self, client_count: int, row_bytes: int):
        request = MemoryRequestLayout()
        super().__init__(
            {
                "client": client_shape(client_count),
                "page": 64 - PAGE_BITS,
                "page_number": PAGE_NUMBER_BITS,
                "first": PAGE_BITS,
                "last": PAGE_BITS,
                "shift": range(row_bytes),
                "prime": 1,
                "send": 1,
                "end": 1,
                "status": MemoryStatus,
                "tag": request["tag"].shape,
                **{name: request[name].shape for name in ATTRIBUTES},
                "free_to": range(2 * store_rows_of(row_bytes)),
            }
        )


class WriteRowLayout(data.StructLayout):
    """A row that a client wants to store, or a request of 0 bytes, and what is whole with it.

    Fields
    ------
    data, keep, last, error : 8 * row_bytes, row_bytes, 1, 1 bits
        Beat of the packet.
    has_row : 1 bit
        The former mean something: the request has more than 0 bytes.
    row : range(store_rows)
        Where the client stores it.
    final : 1 bit
        By its length, the request ends in this row.
    most : range(row_bytes)
        With ``final``: its last byte in this row.
    is_piece : 1 bit
        A piece is whole with this row.
    piece : WritePieceLayout
        The piece; ``client``, ``send`` and ``status`` are still 0.
    """

    def __init__(self, client_count: int, row_bytes: int):
        super().__init__(
            {
                "data": 8 * row_bytes,
                "keep": row_bytes,
                "last": 1,
                "error": 1,
                "has_row": 1,
                "row": range(store_rows_of(row_bytes)),
                "final": 1,
                "most": range(row_bytes),
                "is_piece": 1,
                "piece": WritePieceLayout(client_count, row_bytes),
            }
        )


class WriteToldLayout(data.StructLayout):
    """A piece that is whole with a row, and what tells how it ended.

    Fields
    ------
    piece : WritePieceLayout
        The piece; ``send`` and ``status`` are still 0.
    has_row, final, last, error : 1 bit each
        As of :class:`WriteRowLayout`.
    kept : 2 bits
        With ``final``: whether the row has the request's last byte, and the one behind it.
    """

    def __init__(self, client_count: int, row_bytes: int):
        super().__init__(
            {
                "piece": WritePieceLayout(client_count, row_bytes),
                "has_row": 1,
                "final": 1,
                "last": 1,
                "error": 1,
                "kept": 2,
            }
        )


class WriteStepLayout(data.StructLayout):
    """What happens in a cycle: a row is read and turned, and a beat of a TLP made, or not.

    Fields
    ------
    client, row : range(client_count), range(store_rows)
        Row to read.
    shift : range(row_bytes)
        How far it is turned.
    emit : 1 bit
        A beat leaves: below ``shift`` it has bytes of the row before. The rest is about it.
    sop, eop, nullified : 1 bit each
        First, last beat of its TLP; the link went down meanwhile.
    dwords_1 : range(8 * S)
        With ``eop``: DW in the beat less 1.
    length_1 : 10 bits
        DW in the TLP less 1.
    page, dword, four_dwords : 52, 10 bits, 1 bit
        Address; whether it is 4 GiB or more.
    first_be, last_be : 4 bits each
        Byte enables.
    no_snoop, relaxed_ordering, id_ordering : 1 bit each
        Attributes.
    end, tag, status : 1 bit, 8 bits, MemoryStatus
        The request ends with this step, with or without a beat: for the response.
    """

    def __init__(self, client_count: int, row_bytes: int):
        request = MemoryRequestLayout()
        super().__init__(
            {
                "client": client_shape(client_count),
                "row": range(store_rows_of(row_bytes)),
                "shift": range(row_bytes),
                "emit": 1,
                "sop": 1,
                "eop": 1,
                "nullified": 1,
                "dwords_1": range(row_bytes // 4),
                "length_1": PAGE_BITS - 2,
                "page": 64 - PAGE_BITS,
                "dword": PAGE_BITS - 2,
                "four_dwords": 1,
                "first_be": 4,
                "last_be": 4,
                **{name: request[name].shape for name in ATTRIBUTES},
                "end": 1,
                "tag": request["tag"].shape,
                "status": MemoryStatus,
            }
        )


class WriteDoneLayout(data.StructLayout):
    """A request that has ended but for its TLPs' way to the link.

    Fields
    ------
    client, tag, status : range(client_count), 8 bits, MemoryStatus
        Whose response, and what it says.
    number : 7 bits
        How many TLPs have to have left before it, modulo 128, of all that were made.
    """

    def __init__(self, client_count: int):
        request = MemoryRequestLayout()
        super().__init__(
            {
                "client": client_shape(client_count),
                "tag": request["tag"].shape,
                "status": MemoryStatus,
                "number": 7,
            }
        )
