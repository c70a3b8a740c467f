"""What the parts of the gatherer tell each other."""

from amaranth.lib import data

from .config import RoceConfig
from .layouts import PAYLOAD_BITS, CompletionStatus, SpanLayout
from .send_layouts import SendPacketLayout
from .work_layouts import EPOCH_BITS, SLOT_BITS

__all__ = [
    "FoundLayout",
    "GatherRecordLayout",
    "GatherSpanLayout",
    "PartLayout",
    "WalkEndLayout",
    "WalkJobLayout",
    "WalkUnitLayout",
]

#: Bits of a unit's number: 2 of the head and 16 pieces, or one behind them.
_UNIT_BITS = 5
_JOB = (
    "kind",
    "queue_pair",
    "domain",
    "number",
    "epoch",
    "slot",
    "slots",
    "last",
    "inline",
    "pieces",
)
_RECORD = ("kind", "queue_pair", "service", "frame", "is_new", "reads", "count", "length", "status")
_RECORD += ("first", "epoch")


class PartLayout(data.StructLayout):
    """What of a piece of local memory goes into a packet.

    Fields
    ------
    address, key, length : 64, 32, 32 bits
        The whole piece.
    skip, take : 32, 13 bits
        Bytes of it before those of this packet, and how many these are: 1 at least.
    domain, number : 16, 24 bits
        Protection domain of the queue pair, and its number.
    has : 1 bit
        There are such bytes; without it the fields before mean nothing.
    direct : 1 bit
        The spans are known: the next of those of inline data.
    is_operation, is_atomic : 1 bit each
        READ or ATOMIC, ATOMIC: nothing is read, what is brought back goes there.
    is_local, is_bind : 1 bit each
        INVALIDATE or BIND, BIND: nothing is read.
    is_window : 1 bit
        The window of a local operation, not a piece: ``key`` is its key, old or new. Of a BIND, the
        region's piece follows; ``rights`` and ``zero_based`` are those of the entry.
    misfits : 1 bit
        With ``last``: the list has ended before the packet, or goes on behind the message.
    closes : 1 bit
        No bytes of the packet behind these, if its list does not misfit.
    last : 1 bit
        Final one of the packet; each has one, if need be without bytes.
    """

    def __init__(self):
        super().__init__(
            {
                "address": 64,
                "key": 32,
                "length": 32,
                "skip": 32,
                "take": PAYLOAD_BITS,
                "domain": 16,
                "number": 24,
                "has": 1,
                "direct": 1,
                "is_operation": 1,
                "is_atomic": 1,
                "is_local": 1,
                "is_bind": 1,
                "is_window": 1,
                "zero_based": 1,
                "rights": 3,
                "misfits": 1,
                "closes": 1,
                "last": 1,
            }
        )


class FoundLayout(data.StructLayout):
    """Where bytes are, if that is ``ok``: in the first of the ``spans``, or in ``two``."""

    def __init__(self):
        super().__init__({"ok": 1, "two": 1, "spans": data.ArrayLayout(SpanLayout(), 2)})


class GatherSpanLayout(data.StructLayout):
    """What a packet waits for.

    Fields
    ------
    reads : 1 bit
        A span of its data, which is read. Without it the packet has none, or is not to be sent.
    offset : range(data_bytes)
        Place of the span's first byte in a beat of the packet.
    last : 1 bit
        Nothing more of this packet.
    status : CompletionStatus
        Without ``reads``: why the packet is not sent, or SUCCESS.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "reads": 1,
                "offset": range(config.data_bytes),
                "last": 1,
                "status": CompletionStatus,
            }
        )


class GatherRecordLayout(data.StructLayout):
    """Fields of a SendPacketLayout that count when its data are here."""

    def __init__(self, config: RoceConfig):
        packet = SendPacketLayout(config)
        super().__init__({name: packet[name].shape for name in _RECORD})


class WalkJobLayout(data.StructLayout):
    """Fields of a SendPacketLayout that count for its walk."""

    def __init__(self, config: RoceConfig):
        packet = SendPacketLayout(config)
        super().__init__({name: packet[name].shape for name in (*_JOB, "offset", "length")})


class WalkEndLayout(data.StructLayout):
    """Where the last packet of a queue pair ended.

    Fields
    ------
    slot, unit : 16, 5 bits
        Entry, and in it the unit of the piece at which the next packet begins.
    base : 32 bits
        Place of the piece's first byte in the message.
    """

    def __init__(self):
        super().__init__({"slot": SLOT_BITS, "unit": _UNIT_BITS, "base": 32})


class WalkUnitLayout(data.StructLayout):
    """A unit that a packet may need.

    Fields
    ------
    queue_pair, epoch, slot, slots, domain, number : as in SendPacketLayout
    is_final : 1 bit
        The packet is the last one of its entry.
    count : 4 bits
        Packets of the queue pair so far, it included.
    unit, end : 5 bits each
        The unit; that of the list's last piece.
    walks : 1 bit
        The packet has a list; without it, there is no unit.
    is_empty : 1 bit
        It has no bytes.
    direct : 1 bit
        It has inline data.
    is_data, is_operation, is_atomic, is_local, is_bind : 1 bit each
        DATA; READ or ATOMIC; ATOMIC; INVALIDATE or BIND; BIND.
    is_head : 1 bit
        The unit is not a piece but what comes first: an ATOMIC's operands, or the window of a local
        operation.
    first : 1 bit
        First unit of the packet.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "queue_pair": config.bits("queue_pairs"),
                "epoch": EPOCH_BITS,
                "slot": SLOT_BITS,
                "slots": 3,
                "is_final": 1,
                "count": 4,
                "domain": 16,
                "number": 24,
                "unit": _UNIT_BITS,
                "end": _UNIT_BITS,
                "walks": 1,
                "is_empty": 1,
                "direct": 1,
                "is_data": 1,
                "is_operation": 1,
                "is_atomic": 1,
                "is_local": 1,
                "is_bind": 1,
                "is_head": 1,
                "first": 1,
            }
        )
