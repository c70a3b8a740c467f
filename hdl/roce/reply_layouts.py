"""What the blocks that take replies tell each other."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .layouts import CompletionStatus, PlaceLayout
from .opcode import Service
from .peer_layouts import ReplyLayout

__all__ = [
    "ReplyContextLayout",
    "ReplyPlaceLayout",
    "ReplyRowLayout",
    "ReplyTaskKind",
    "ReplyTaskLayout",
    "ReplyVerdictInputLayout",
    "ReplyVerdictLayout",
    "RnrStrobe",
    "TimeLayout",
]


class TimeLayout(data.StructLayout):
    """A time that is over: that of an RNR NAK, or one without progress."""

    def __init__(self, config: RoceConfig):
        super().__init__({"queue_pair": config.bits("queue_pairs"), "is_rnr_end": 1})


class RnrStrobe(data.StructLayout):
    """Strobe: ``queue_pair`` is to wait for the time that ``code`` of an RNR NAK stands for."""

    def __init__(self, config: RoceConfig):
        super().__init__({"valid": 1, "queue_pair": config.bits("queue_pairs"), "code": 5})


class ReplyTaskKind(enum.IntEnum, shape=3):
    """What a turn of :class:`ReplyProtocol` is for."""

    REPLY = 0
    #: A packet of an unreliable service has left.
    SENT = 1
    #: A local operation is done.
    LOCAL = 2
    #: A work request ends by an error of this side.
    FAILED = 3
    SET_UP = 4
    #: No progress for too long.
    TIMEOUT = 5
    #: The time of an RNR NAK is over.
    RNR_END = 6
    #: The passive half failed.
    FAIL = 7


class ReplyTaskLayout(data.StructLayout):
    """A task of :class:`ReplyProtocol`.

    Fields
    ------
    kind : ReplyTaskKind
    queue_pair : config.bits("queue_pairs") bits
    reply : ReplyLayout()
        REPLY; of SENT and FAILED its ``psn``.
    first, is_local : 24 bits, 1 bit
        FAILED: as in ``SentLayout``.
    status : CompletionStatus
        FAILED, FAIL.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": ReplyTaskKind,
                "queue_pair": config.bits("queue_pairs"),
                "reply": ReplyLayout(),
                "first": 24,
                "is_local": 1,
                "status": CompletionStatus,
            }
        )


class ReplyContextLayout(data.StructLayout):
    """What is kept of ``SendContextLayout``: what tells who may reply, and what replies change."""

    def __init__(self):
        super().__init__(
            {
                "service": Service,
                "number": 24,
                "mtu_shift": 4,
                "p_key": 16,
                "peer": 128,
                "retries": 3,
                "rnr_retries": 3,
            }
        )


class ReplyPlaceLayout(data.StructLayout):
    """What is kept of ``ReadPlaceLayout``."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "is_atomic": 1,
                "psn": 24,
                "count": 24,
                "place": PlaceLayout(config),
                "length": 32,
            }
        )


class ReplyRowLayout(data.StructLayout):
    """State of a queue pair: what ``ReplyStateLayout`` tells, and what is behind it.

    Fields
    ------
    ready : 1 bit
        It was set up, and READY.
    oldest, reads, allowed, back, waits, failed, status, locals :
        As in ``ReplyStateLayout``.
    places : config.bits("resources") + 1 bits
        ``reads``, but counted from reset on, as places are.
    retries, rnr_retries : 3 bits each
        Left.
    recovers : 1 bit
        Went back for a NAK or a missing response, without progress so far.
    ends, end_psn, end_status : 1, 24 bits, CompletionStatus
        When ``oldest`` reaches ``end_psn``, the work request that begins there ends with
        ``end_status``; unless the queue pair goes back before, and so tries it again.
    """

    def __init__(self, config: RoceConfig):
        counter = config.bits("resources") + 1
        super().__init__(
            {
                "ready": 1,
                "oldest": 24,
                "reads": counter,
                "allowed": 24,
                "back": 4,
                "waits": 1,
                "failed": 1,
                "status": CompletionStatus,
                "locals": 4,
                "places": counter,
                "retries": 3,
                "rnr_retries": 3,
                "recovers": 1,
                "ends": 1,
                "end_psn": 24,
                "end_status": CompletionStatus,
            }
        )


class ReplyVerdictInputLayout(data.StructLayout):
    """A task with what is known of its queue pair.

    Fields
    ------
    task : ReplyTaskLayout(config)
    row : ReplyRowLayout(config)
    context : ReplyContextLayout()
    highest : 24 bits
        PSN behind the last one that was sent.
    places : config.bits("resources") + 1 bits
        Places of responses that came since reset, modulo twice their ring.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "task": ReplyTaskLayout(config),
                "row": ReplyRowLayout(config),
                "context": ReplyContextLayout(),
                "highest": 24,
                "places": config.bits("resources") + 1,
            }
        )


class ReplyVerdictLayout(data.StructLayout):
    """What is to be done.

    Fields
    ------
    row : ReplyRowLayout(config)
        State behind the task; of SET_UP only ``places`` means something.
    changes : 1 bit
        What others see of the row is another one now.
    has_action : 1 bit
        The task is a response, which has a payload.
    stores, swaps : 1 bit each
        Its payload goes to ``place``; its bytes in reverse order.
    place : PlaceLayout(config)
    begins_wait : 1 bit
        The queue pair waits for the time of an RNR NAK.
    breaks : 1 bit
        The queue pair, a reliable one, went to error by itself.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "row": ReplyRowLayout(config),
                "changes": 1,
                "has_action": 1,
                "stores": 1,
                "swaps": 1,
                "place": PlaceLayout(config),
                "begins_wait": 1,
                "breaks": 1,
            }
        )
