"""What the blocks of the RoCEv2 engine tell each other."""

from amaranth.lib import data, enum

from .config import RoceConfig

__all__ = [
    "OFFSET_BITS",
    "PAYLOAD_BITS",
    "PLACE_BITS",
    "ActionKind",
    "ActionLayout",
    "CompletionLayout",
    "CompletionStatus",
    "EventKind",
    "EventLayout",
    "FailureLayout",
    "PlaceLayout",
    "RequestLayout",
    "SpanLayout",
    "StrobeLayout",
    "TranslateRequestLayout",
    "TranslateResponseLayout",
    "WriteOrderKind",
    "WriteOrderLayout",
]

#: Bits of a length that one packet may have: 4096 at most.
PAYLOAD_BITS = 13
#: Bits of an offset into a packet's headers.
OFFSET_BITS = 9
#: Bits of a byte's place in a region.
PLACE_BITS = 48


class RequestLayout(data.StructLayout):
    """A packet as the protocol sees it.

    Fields
    ------
    good : 1 bit
        Everything in row 1 of the order of checks (docs/roce.md) is right. Without it, no other
        field means anything: the packet is dropped.
    opcode, queue_pair, psn, p_key, solicited, ack_request :
        Fields of the BTH; ``queue_pair`` is the destination.
    marked : 1 bit
        The packet met congestion (ECN is 3).
    v6 : 1 bit
        IPv6, or IPv4.
    source : 128 bits
        IP address it came from, last byte on the wire in the low bits; of IPv4 the low 32 bits,
        and 0xFFFF above them (an IPv4-mapped address).
    ip_offset, payload_offset : 9 bits
        Bytes from the packet's beginning to its IP header and to its payload.
    payload_bytes : 13 bits
        Without padding; 0 to 4096.
    address, key, length : 64, 32, 32 bits
        RETH; AtomicETH, whose length is 8. ``key`` is also that of an IETH. 0 if there is none.
    operand, compare : 64 bits
        AtomicETH: what is to be swapped in or added; what it is compared with. Undefined if there
        is none.
    immediate : 32 bits
        ImmDt; of what replies, AETH.
    q_key, source_queue_pair : 32, 24 bits
        DETH. Without one, the first is undefined, the second 0.
    """

    def __init__(self):
        super().__init__(
            {
                "good": 1,
                "opcode": 8,
                "queue_pair": 24,
                "psn": 24,
                "p_key": 16,
                "solicited": 1,
                "ack_request": 1,
                "marked": 1,
                "v6": 1,
                "source": 128,
                "ip_offset": OFFSET_BITS,
                "payload_offset": OFFSET_BITS,
                "payload_bytes": PAYLOAD_BITS,
                "address": 64,
                "key": 32,
                "length": 32,
                "operand": 64,
                "compare": 64,
                "immediate": 32,
                "q_key": 32,
                "source_queue_pair": 24,
            }
        )


class PlaceLayout(data.StructLayout):
    """Bytes of a region that a request may reach: the check allowed it.

    Fields
    ------
    key : config.bits("regions") bits
        Row of the key table.
    variant : 8 bits
        Low byte of the key: if the row has another one by now, the place is no more.
    linear : 48 bits
        First byte, counted from the beginning of the region's first page.
    page_row : config.bits("pages") bits
        Row of the translation table that has the region's first page.
    page_shift : 5 bits
        Pages of 2 ** page_shift bytes, 12 to 30.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "key": config.bits("regions"),
                "variant": 8,
                "linear": PLACE_BITS,
                "page_row": config.bits("pages"),
                "page_shift": 5,
            }
        )


class SpanLayout(data.StructLayout):
    """Bytes of memory: ``length`` from ``address`` of ``space`` on; none if ``length`` is 0."""

    def __init__(self):
        super().__init__({"space": 2, "address": 64, "length": PAYLOAD_BITS})


class CompletionStatus(enum.IntEnum, shape=4):
    """How a receive request, or a work request, ended (IBTA volume 1, 11.6.2)."""

    SUCCESS = 0
    LOCAL_LENGTH = 1
    REMOTE_INVALID_REQUEST = 2
    REMOTE_ACCESS = 3
    FLUSHED = 4
    #: Memory refused what was to be written.
    REMOTE_OPERATION = 5
    # From here on, of work requests only.
    #: Not one of this service, or none at all.
    LOCAL_OPERATION = 6
    #: A local key, its bounds or rights.
    LOCAL_PROTECTION = 7
    #: A window that may not be bound so.
    BIND = 8
    RETRY_EXCEEDED = 9
    RNR_RETRY_EXCEEDED = 10


class CompletionLayout(data.StructLayout):
    """Completion of a receive request, or of a work request.

    Fields
    ------
    valid : 1 bit
        There is one; without it no other field means anything.
    is_send : 1 bit
        Of a work request: ``value`` is its first slot, ``source_queue_pair`` its SendKind;
        ``handle`` and the flags are 0.
    queue : config.bits("completion_queues") bits
        Completion queue.
    queue_pair : 24 bits
        Queue pair that received it.
    handle : config.bits("receive_requests") bits
        Receive request.
    status : CompletionStatus
    byte_length : 32 bits
        Bytes received; with the 40 bytes before a datagram.
    is_write : 1 bit
        RDMA WRITE with immediate, or SEND.
    has_immediate, has_invalidated : 1 bit each
        What ``value`` is.
    value : 32 bits
        Immediate data, or the key that was invalidated.
    source_queue_pair : 24 bits
    solicited : 1 bit
        The peer asked for an event.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "is_send": 1,
                "queue": config.bits("completion_queues"),
                "queue_pair": 24,
                "handle": config.bits("receive_requests"),
                "status": CompletionStatus,
                "byte_length": 32,
                "is_write": 1,
                "has_immediate": 1,
                "has_invalidated": 1,
                "value": 32,
                "source_queue_pair": 24,
                "solicited": 1,
            }
        )


class EventKind(enum.IntEnum, shape=3):
    """What a packet asks of a queue pair's answers."""

    NOTHING = 0
    #: Acknowledge everything up to ``psn``.
    ACK = 1
    #: Ask for ``psn`` again: what came is ahead of it.
    SEQUENCE_NAK = 2
    #: There is no receive request for ``psn`` yet.
    RNR_NAK = 3
    #: Refuse ``psn``; the queue pair is in error.
    FATAL_NAK = 4
    #: The next row of the queue pair's job ring is there.
    JOB = 5
    #: The queue pair is set up anew: forget what it was to answer.
    RESET = 6


class EventLayout(data.StructLayout):
    """What a packet asks of a queue pair's answers; given on when its writes have been done.

    Fields
    ------
    kind : EventKind
    queue_pair : config.bits("queue_pairs") bits
        Context.
    psn, msn, syndrome : 24, 24, 8 bits
        Of the acknowledgement.
    again : 1 bit
        ACK, JOB: the packet came before. Its answer stands for nothing that is to be acknowledged
        or was refused since.
    notify : 1 bit
        Send a CNP too.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": EventKind,
                "queue_pair": config.bits("queue_pairs"),
                "psn": 24,
                "msn": 24,
                "syndrome": 8,
                "again": 1,
                "notify": 1,
            }
        )


class ActionKind(enum.IntEnum, shape=2):
    """What becomes of a packet's payload."""

    DROP = 0
    #: Into a region.
    WRITE = 1
    #: Into the buffers of a receive request.
    SCATTER = 2


class ActionLayout(data.StructLayout):
    """What is to be done about a packet; there is one for each packet, in order.

    Fields
    ------
    kind : ActionKind
        With no payload bytes, WRITE and SCATTER write nothing but a datagram's IP header.
    has_packet : 1 bit
        There are beats; without it this comes from inside (a flush, a command).
    queue_pair : config.bits("queue_pairs") bits
    payload_offset, payload_bytes : 9, 13 bits
    place : PlaceLayout(config)
        WRITE: where to.
    handle : config.bits("receive_requests") bits
        SCATTER: receive request.
    begins : 1 bit
        SCATTER: at its first byte, or where the queue pair's last packet ended.
    is_datagram, v6, ip_offset : 1, 1, 9 bits
        SCATTER: before the payload come 40 bytes, the IP header at their end.
    invalidate : 1 bit
        Take ``place.key`` out of the key table first.
    revive : 1 bit
        The queue pair is set up anew: forget that it failed.
    swapped : 1 bit
        WRITE: its bytes, 8 of them, go in reverse order.
    completion : CompletionLayout(config)
    event : EventLayout(config)
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": ActionKind,
                "has_packet": 1,
                "queue_pair": config.bits("queue_pairs"),
                "payload_offset": OFFSET_BITS,
                "payload_bytes": PAYLOAD_BITS,
                "place": PlaceLayout(config),
                "handle": config.bits("receive_requests"),
                "begins": 1,
                "is_datagram": 1,
                "v6": 1,
                "ip_offset": OFFSET_BITS,
                "invalidate": 1,
                "revive": 1,
                "swapped": 1,
                "completion": CompletionLayout(config),
                "event": EventLayout(config),
            }
        )


class WriteOrderKind(enum.IntEnum, shape=2):
    """What is to be written next."""

    NOTHING = 0
    #: The next packet of data.
    DATA = 1
    #: A completion queue entry.
    COMPLETION = 2


class WriteOrderLayout(data.StructLayout):
    """A write, or the end of an action without one.

    Fields
    ------
    kind : WriteOrderKind
    span : SpanLayout()
        DATA: where to; 1 byte at least.
    swapped : 1 bit
        DATA: the 8 bytes come in reverse order.
    completion : CompletionLayout(config)
        COMPLETION.
    last : 1 bit
        The action ends here: ``event`` follows when all writes so far have been done.
    event : EventLayout(config)
        With ``last``.
    queue_pair : config.bits("queue_pairs") bits
        Who fails if the write does.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": WriteOrderKind,
                "span": SpanLayout(),
                "swapped": 1,
                "completion": CompletionLayout(config),
                "last": 1,
                "event": EventLayout(config),
                "queue_pair": config.bits("queue_pairs"),
            }
        )


class StrobeLayout(data.StructLayout):
    """Strobe about ``queue_pair``: it means something in each cycle in which it is ``valid``."""

    def __init__(self, config: RoceConfig):
        super().__init__({"valid": 1, "queue_pair": config.bits("queue_pairs")})


class FailureLayout(data.StructLayout):
    """A queue pair that goes to error: ``queue_pair``, and the ``status`` of what it received."""

    def __init__(self, config: RoceConfig):
        super().__init__({"queue_pair": config.bits("queue_pairs"), "status": CompletionStatus})


class TranslateRequestLayout(data.StructLayout):
    """A place to translate.

    Fields
    ------
    place : PlaceLayout(config)
    length : 13 bits
        Bytes from ``place.linear`` on, 0 to 4096.
    invalidate, bind : 1 bit each
        Take ``place.key`` out of the key table; put it in, if it is not there. Nothing is
        translated.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "place": PlaceLayout(config),
                "length": PAYLOAD_BITS,
                "invalidate": 1,
                "bind": 1,
            }
        )


class TranslateResponseLayout(data.StructLayout):
    """Where a place is: ``ok`` unless the key is no more, and up to two ``spans``, in order."""

    def __init__(self):
        super().__init__({"ok": 1, "spans": data.ArrayLayout(SpanLayout(), 2)})
