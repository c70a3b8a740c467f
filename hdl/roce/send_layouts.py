"""What the blocks that send tell each other, and the others."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .layouts import PAYLOAD_BITS, CompletionStatus, PlaceLayout
from .opcode import Service
from .work_layouts import EPOCH_BITS, SLOT_BITS

__all__ = [
    "FrameLayout",
    "GatheredLayout",
    "OutstandingLayout",
    "OutstandingWriteLayout",
    "PositionLayout",
    "ReadPlaceLayout",
    "SendPacketKind",
    "SendPacketLayout",
    "SendStateStrobe",
    "SentKind",
    "SentLayout",
]


class PositionLayout(data.StructLayout):
    """Where one work request ends and the next one begins.

    Fields
    ------
    sequence : config.bits("send_requests") + 1 bits
        Work requests before, modulo twice the ring of those that have begun and not ended.
    slot : 16 bits
        Slots before, modulo 2**16: the low bits of it are the place in the ring.
    psn : 24 bits
        Of the next packet.
    reads : config.bits("resources") + 1 bits
        READs and atomic operations before, modulo twice their ring.
    msn : 24 bits
        Messages before.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "sequence": config.bits("send_requests") + 1,
                "slot": SLOT_BITS,
                "psn": 24,
                "reads": config.bits("resources") + 1,
                "msn": 24,
            }
        )


class SendStateStrobe(data.StructLayout):
    """Strobe: how far a queue pair has been sent.

    Fields
    ------
    valid, queue_pair : 1, config.bits("queue_pairs") bits
    highest : 24 bits
        PSN behind the last one that was ever sent, those of responses included.
    tail : config.bits("send_requests") + 1 bits
        ``sequence`` behind the last work request that has begun.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "highest": 24,
                "tail": config.bits("send_requests") + 1,
            }
        )


class OutstandingLayout(data.StructLayout):
    """A work request that has begun and not ended.

    Fields
    ------
    end : PositionLayout(config)
        Behind it.
    slot : 16 bits
        Its first slot.
    kind : 3 bits
        SendKind.
    is_local : 1 bit
        It sends nothing: INVALIDATE, BIND, and what is no work request. Ends by an event LOCAL.
    signalled : 1 bit
    length : 32 bits
        Bytes of all its pieces.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "end": PositionLayout(config),
                "slot": SLOT_BITS,
                "kind": 3,
                "is_local": 1,
                "signalled": 1,
                "length": 32,
            }
        )


class OutstandingWriteLayout(data.StructLayout):
    """Strobe: ``row`` is to be written to row ``sequence`` of the queue pair's ring."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "sequence": config.bits("send_requests"),
                "row": OutstandingLayout(config),
            }
        )


class SendPacketKind(enum.IntEnum, shape=3):
    """What the gatherer is to do."""

    #: SEND or WRITE: a packet with data.
    DATA = 0
    #: A READ request: the place of its response is to be found.
    READ = 1
    ATOMIC = 2
    INVALIDATE = 3
    BIND = 4
    #: No work request: end with ``status``.
    BAD = 5
    #: The queue pair is set up anew, and everything before has passed.
    SET_UP = 6


class FrameLayout(data.StructLayout):
    """A packet to send, but for its data.

    Fields
    ------
    row : config.bits("queue_pairs") + 1 bits
        Row of addresses: those of queue pairs, then those of datagrams.
    opcode, psn : 8, 24 bits
    solicited, ack_request, migrated, becn : 1 bit each
        Of the BTH; ``migrated`` is MigReq.
    has_peer, peer : 1, 24 bits
        Destination queue pair, if it is not the row's.
    words : array of 7 of 32 bits
        What follows the BTH; of each word the byte that is first on the wire is the low one.
    word_count : 3 bits
        How many of them there are; the others are 0.
    payload_bytes : 13 bits
        Data that follow, 4096 at most.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "row": config.bits("queue_pairs") + 1,
                "opcode": 8,
                "psn": 24,
                "solicited": 1,
                "ack_request": 1,
                "migrated": 1,
                "becn": 1,
                "has_peer": 1,
                "peer": 24,
                "words": data.ArrayLayout(32, 7),
                "word_count": 3,
                "payload_bytes": PAYLOAD_BITS,
            }
        )


class SendPacketLayout(data.StructLayout):
    """One packet, or an operation without one, with what its data are made of.

    Fields
    ------
    kind : SendPacketKind
    queue_pair : config.bits("queue_pairs") bits
    service : Service
    frame : FrameLayout(config)
        ATOMIC: words 3 to 6, the operands, are still 0.
    is_new : 1 bit
        READ, ATOMIC: the first time: its place is to be remembered.
    reads : config.bits("resources") bits
        READ, ATOMIC: row of its place.
    count : 24 bits
        READ: PSNs of the whole READ.
    first : 24 bits
        PSN at which its entry begins.
    domain, number : 16, 24 bits
        Protection domain of the queue pair, and its number.
    epoch : 4 bits
    slot, slots : 16, 3 bits
        Where the entry is on chip (``slot`` modulo ``send_slots``), and how many slots it has.
    last : 1 bit
        Its final packet: the slots are no longer needed.
    inline : 1 bit
        The data are in the entry itself, from its byte 32 on.
    pieces : 5 bits
        Pieces of the list, 0 to 16.
    offset : 32 bits
        First byte of this packet in the message; READ: of the whole, 0.
    length : 32 bits
        Bytes of this packet's data, or of the whole READ, or BIND; ATOMIC: 8.
    status : CompletionStatus
        BAD.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": SendPacketKind,
                "queue_pair": config.bits("queue_pairs"),
                "service": Service,
                "frame": FrameLayout(config),
                "is_new": 1,
                "reads": config.bits("resources"),
                "count": 24,
                "first": 24,
                "domain": 16,
                "number": 24,
                "epoch": EPOCH_BITS,
                "slot": SLOT_BITS,
                "slots": 3,
                "last": 1,
                "inline": 1,
                "pieces": 5,
                "offset": 32,
                "length": 32,
                "status": CompletionStatus,
            }
        )


class GatheredLayout(data.StructLayout):
    """Strobe: a packet's pieces have been walked.

    Fields
    ------
    valid, queue_pair : 1, config.bits("queue_pairs") bits
    epoch : 4 bits
        Of that packet.
    slot : 16 bits
        The first slot that is still needed, as far as this packet goes.
    count : 4 bits
        Packets of the queue pair that have been walked, modulo 16.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "epoch": EPOCH_BITS,
                "slot": SLOT_BITS,
                "count": 4,
            }
        )


class ReadPlaceLayout(data.StructLayout):
    """Strobe: where the response to a READ or an atomic operation goes.

    Fields
    ------
    valid, queue_pair : 1, config.bits("queue_pairs") bits
    reads : config.bits("resources") bits
        Row.
    is_atomic : 1 bit
    psn, count : 24 bits
        First PSN of the response, and how many it has.
    place : PlaceLayout(config)
    length : 32 bits
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "reads": config.bits("resources"),
                "is_atomic": 1,
                "psn": 24,
                "count": 24,
                "place": PlaceLayout(config),
                "length": 32,
            }
        )


class SentKind(enum.IntEnum, shape=2):
    """What the gatherer tells of what it was given."""

    #: A packet of an unreliable service has left.
    SENT = 0
    #: A local operation is done.
    LOCAL = 1
    #: The work request ends here, with ``status``.
    FAILED = 2
    #: The queue pair is set up anew.
    SET_UP = 3


class SentLayout(data.StructLayout):
    """An event of the gatherer, in order of what it was given.

    Fields
    ------
    kind : SentKind
    queue_pair : config.bits("queue_pairs") bits
    psn, first : 24 bits each
        Of the packet, and that at which its entry begins.
    is_local : 1 bit
        FAILED: it was no packet, or can be none any more.
    status : CompletionStatus
        FAILED.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": SentKind,
                "queue_pair": config.bits("queue_pairs"),
                "psn": 24,
                "first": 24,
                "is_local": 1,
                "status": CompletionStatus,
            }
        )
