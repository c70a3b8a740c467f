"""Memory contract: how a client reads and writes, whatever the memory is."""

from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import PacketSignature

__all__ = [
    "MemoryReadSignature",
    "MemoryRequestLayout",
    "MemoryResponseLayout",
    "MemoryStatus",
    "MemoryWriteSignature",
]


class MemoryStatus(enum.IntEnum, shape=3):
    """How a request ended."""

    OK = 0
    #: The completer does not know the request (Unsupported Request; AXI DECERR).
    UNSUPPORTED = 1
    #: The completer gave up (Completer Abort, or a completion against the rules; AXI SLVERR).
    ABORT = 2
    #: The data came, marked as damaged.
    POISONED = 3
    TIMEOUT = 4
    LINK_DOWN = 5
    #: The packet to write was shorter or longer than the request said.
    LENGTH = 6
    #: The packet to write ended with ``error``.
    CANCELLED = 7


class MemoryRequestLayout(data.StructLayout):
    """What to read or write.

    Fields
    ------
    space : 2 bits
        Which memory, where a client reaches several; the engines carry it along.
    address : 64 bits
        Of the first byte; any alignment. ``address`` + ``length`` is at most 2**64.
    length : 16 bits
        Bytes. 0 reads or writes nothing: it ends when all writes before it on the same path have
        reached their memory.
    tag : 8 bits
        The client's own name for the request, given back with the response.
    no_snoop, relaxed_ordering, id_ordering : 1 bit each
        Attributes of the requests on PCI Express (2.2.6.3).
    """

    def __init__(self):
        super().__init__(
            {
                "space": 2,
                "address": 64,
                "length": 16,
                "tag": 8,
                "no_snoop": 1,
                "relaxed_ordering": 1,
                "id_ordering": 1,
            }
        )


class MemoryResponseLayout(data.StructLayout):
    """How a request ended: its ``tag`` and a :class:`MemoryStatus`."""

    def __init__(self):
        super().__init__({"tag": 8, "status": MemoryStatus})


def MemoryReadSignature(data_bytes: int) -> wiring.Signature:
    """Make the signature of reads, seen from the client.

    Members
    -------
    request : Out(stream.Signature(MemoryRequestLayout()))
        What to read.
    data : In(PacketSignature(data_bytes))
        For each request of n > 0 bytes, in their order, a packet of exactly n bytes: byte 0 of the
        first beat is the byte at ``address``. If the request failed, the last beat has ``error``
        and what did not come is 0.
    response : In(stream.Signature(MemoryResponseLayout()))
        For each request one, in their order.
    """
    return wiring.Signature(
        {
            "request": Out(stream.Signature(MemoryRequestLayout())),
            "data": In(PacketSignature(data_bytes)),
            "response": In(stream.Signature(MemoryResponseLayout())),
        }
    )


def MemoryWriteSignature(data_bytes: int) -> wiring.Signature:
    """Make the signature of writes, seen from the client.

    Members
    -------
    request : Out(stream.Signature(MemoryRequestLayout()))
        What to write.
    data : Out(PacketSignature(data_bytes))
        For each request of n > 0 bytes, in their order, a packet of n bytes. A shorter one, or one
        with ``error``, is not written to its end; what a longer one has beyond is dropped.
    response : In(stream.Signature(MemoryResponseLayout()))
        For each request one, in their order: over PCI Express, when its last TLP is on its way to
        the link, behind which a read or a later write of the same path finds it done.
    """
    return wiring.Signature(
        {
            "request": Out(stream.Signature(MemoryRequestLayout())),
            "data": Out(PacketSignature(data_bytes)),
            "response": In(stream.Signature(MemoryResponseLayout())),
        }
    )
