"""What the blocks of the requester tell each other."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .context import QueuePairState
from .layouts import PAYLOAD_BITS, CompletionStatus, PlaceLayout
from .opcode import Service

__all__ = [
    "EPOCH_BITS",
    "SLOT_BITS",
    "SLOT_BYTES",
    "FetchLayout",
    "FetchedLayout",
    "FrameLayout",
    "GatheredLayout",
    "OutstandingLayout",
    "OutstandingWriteLayout",
    "PieceLayout",
    "PositionLayout",
    "ReadPlaceLayout",
    "ReplyKind",
    "ReplyLayout",
    "ReplyStateLayout",
    "RetiredLayout",
    "SendContextLayout",
    "SendKind",
    "SendPacketKind",
    "SendPacketLayout",
    "SendStateStrobe",
    "SentKind",
    "SentLayout",
    "WorkHeadLayout",
]

#: Slots of a work queue: entries are one or more, at multiples of their size.
SLOT_BYTES = 64
#: Bits of a slot's index: a ring has 2**15 at most, so that full and empty differ.
SLOT_BITS = 16
#: Bits that tell fetches before going back from those behind.
EPOCH_BITS = 4


class SendKind(enum.IntEnum, shape=8):
    """Operations of a work request (IBTA volume 1, 11.4.1.1), as entries have them."""

    SEND = 0
    WRITE = 1
    READ = 2
    COMPARE_SWAP = 3
    FETCH_ADD = 4
    INVALIDATE = 5
    BIND = 6


class SendContextLayout(data.StructLayout):
    """What the driver says of a queue pair's active side.

    Fields
    ------
    state : QueuePairState
    service : Service
    number : 24 bits
        Queue pair number.
    mtu_shift : 4 bits
        Path MTU of 2 ** mtu_shift bytes: 8 to 12.
    p_key, q_key : 16, 32 bits
    domain : 16 bits
        Protection domain.
    peer : 128 bits
        IP address of the other side, an IPv4-mapped one for IPv4; of RC.
    psn : 24 bits
        Of the first packet.
    reads : config.bits("resources") + 1 bits
        READs and atomic operations that may be under way.
    window : 24 bits
        Packets that may be under way, 2**23 at most.
    timeout : 5 bits
        4.096 us * 2 ** timeout without progress; 0 for never.
    retries, rnr_retries : 3 bits each
        Of ``rnr_retries`` 7 is for ever.
    has_credits : 1 bit
        Acknowledgements say how many receive requests the peer has left.
    interval : 24 bits
        Time of 16 bytes on the wire, in 1/256 of a cycle; 0 if there is no rate.
    priority : 3 bits
        Class, 0 first.
    completion_queue : config.bits("completion_queues") bits
    ring_space, ring_address, ring_shift : 2, 64, 4 bits
        Where the work queue is, at a multiple of 64 bytes: a ring of 2 ** ring_shift slots.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "state": QueuePairState,
                "service": Service,
                "number": 24,
                "mtu_shift": 4,
                "p_key": 16,
                "q_key": 32,
                "domain": 16,
                "peer": 128,
                "psn": 24,
                "reads": config.bits("resources") + 1,
                "window": 24,
                "timeout": 5,
                "retries": 3,
                "rnr_retries": 3,
                "has_credits": 1,
                "interval": 24,
                "priority": 3,
                "completion_queue": config.bits("completion_queues"),
                "ring_space": 2,
                "ring_address": 64,
                "ring_shift": 4,
            }
        )


class WorkHeadLayout(data.StructLayout):
    """First 32 bytes of an entry of a work queue (docs/roce-requester.md), low byte first."""

    def __init__(self):
        super().__init__(
            {
                "kind": 8,
                "signalled": 1,
                "fence": 1,
                "solicited": 1,
                "inline": 1,
                "has_immediate": 1,
                "has_invalidate": 1,
                "zero_based": 1,
                "reserved_flag": 1,
                "count": 8,
                "slots": 8,
                "value": 32,
                "address": 64,
                "key": 32,
                "length": 32,
                "queue_pair": 32,
                "row": 16,
                "rights": 8,
                "reserved": 8,
            }
        )


class PieceLayout(data.StructLayout):
    """16 bytes of an entry: a piece of local memory, low byte first."""

    def __init__(self):
        super().__init__({"address": 64, "length": 32, "key": 32})


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


class FetchLayout(data.StructLayout):
    """Slots to fetch: ``count``, 1 to 4, from ``slot`` on, that do not pass the ring's end."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "queue_pair": config.bits("queue_pairs"),
                "epoch": EPOCH_BITS,
                "slot": SLOT_BITS,
                "count": 3,
            }
        )


class FetchedLayout(data.StructLayout):
    """Strobe: the slots before ``slot`` that were asked for in this ``epoch`` are on chip.

    With ``failed`` those behind it are not, and never will be: memory refused.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "epoch": EPOCH_BITS,
                "slot": SLOT_BITS,
                "failed": 1,
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
    domain : 16 bits
        Protection domain of the queue pair.
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
        Bytes of this packet's data, or of the whole READ; ATOMIC: 8.
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
                "domain": 16,
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

    ``status`` is that of FAILED; ``psn`` that of the packet.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": SentKind,
                "queue_pair": config.bits("queue_pairs"),
                "psn": 24,
                "is_local": 1,
                "status": CompletionStatus,
            }
        )


class ReplyKind(enum.IntEnum, shape=2):
    """What a peer replies."""

    ACKNOWLEDGE = 0
    #: Response to a READ.
    READ = 1
    ATOMIC = 2


class ReplyLayout(data.StructLayout):
    """A packet that replies to what we asked for.

    Fields
    ------
    good : 1 bit
        As in ``RequestLayout``.
    kind : ReplyKind
    last : 1 bit
        READ: it says that it is the last one of its READ.
    queue_pair : 24 bits
        Destination.
    psn, p_key, source : 24, 16, 128 bits
    has_syndrome, syndrome, msn : 1, 8, 24 bits
        AETH.
    payload_offset, payload_bytes : 9, 13 bits
        ATOMIC: of the 8 bytes of the result, highest first.
    """

    def __init__(self):
        super().__init__(
            {
                "good": 1,
                "kind": ReplyKind,
                "last": 1,
                "queue_pair": 24,
                "psn": 24,
                "p_key": 16,
                "source": 128,
                "has_syndrome": 1,
                "syndrome": 8,
                "msn": 24,
                "payload_offset": 9,
                "payload_bytes": PAYLOAD_BITS,
            }
        )


class ReplyStateLayout(data.StructLayout):
    """Strobe: what replies, and time, have made of a queue pair.

    Fields
    ------
    valid, queue_pair : 1, config.bits("queue_pairs") bits
    oldest : 24 bits
        PSN that is to be acknowledged, or responded to, next.
    reads : config.bits("resources") + 1 bits
        READs and atomic operations that have been responded to, modulo twice their ring.
    allowed : 24 bits
        Messages for which the peer has receive requests, modulo 2**24.
    back : 4 bits
        Counts how often to go back to ``oldest``.
    waits : 1 bit
        Nothing is sent before the time that an RNR NAK said.
    failed, status : 1 bit, CompletionStatus
        In error; the oldest work request that has not ended gets ``status``.
    locals : 4 bits
        Counts local operations that are done.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "oldest": 24,
                "reads": config.bits("resources") + 1,
                "allowed": 24,
                "back": 4,
                "waits": 1,
                "failed": 1,
                "status": CompletionStatus,
                "locals": 4,
            }
        )


class RetiredLayout(data.StructLayout):
    """Strobe: where the work requests that have not ended begin. Published before a completion."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "position": PositionLayout(config),
            }
        )
