"""What passes the protocol, and what of it the driver is told."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .layouts import OFFSET_BITS, PAYLOAD_BITS, CompletionStatus
from .opcode import Service
from .verdict_layouts import VerdictLayout

__all__ = ["AsyncEventKind", "AsyncEventLayout", "CarriedLayout", "TaskKind"]


class AsyncEventKind(enum.IntEnum, shape=3):
    """What the driver is told without a completion."""

    #: The peer of a queue pair asked for memory that is not its own; in error.
    ACCESS = 0
    #: The peer of a queue pair sent what is no request; in error.
    REQUEST = 1
    #: Fewer requests than its limit are in a receive queue.
    LIMIT = 2
    #: Memory, or a completion queue, failed a queue pair; in error.
    OPERATION = 3


class AsyncEventLayout(data.StructLayout):
    """Event: ``kind``, and the ``number`` of the queue pair, or with LIMIT of the receive queue."""

    def __init__(self):
        super().__init__({"kind": AsyncEventKind, "number": 24})


class CarriedLayout(data.StructLayout):
    """What is known when the receive queue is looked at.

    Fields
    ------
    valid, kind, queue_pair : 1 bit, TaskKind, config.bits("queue_pairs") bits
    works : 1 bit
        Not a packet: it finds the queue pair in the state that it is for.
    failure : CompletionStatus
        FAIL: status of the receive request in use.
    verdict : VerdictLayout(config)
    payload_bytes ... source_queue_pair :
        Of the request.
    number ... receive_queue :
        Of the context.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "kind": TaskKind,
                "queue_pair": config.bits("queue_pairs"),
                "works": 1,
                "failure": CompletionStatus,
                "verdict": VerdictLayout(config),
                "payload_bytes": PAYLOAD_BITS,
                "payload_offset": OFFSET_BITS,
                "ip_offset": OFFSET_BITS,
                "v6": 1,
                "ack_request": 1,
                "solicited": 1,
                "key": 32,
                "immediate": 32,
                "source_queue_pair": 24,
                "number": 24,
                "service": Service,
                "completion_queue": config.bits("completion_queues"),
                "is_shared": 1,
                "rnr_timer": 5,
                "receive_queue": config.bits("receive_queues"),
            }
        )


class TaskKind(enum.IntEnum, shape=2):
    """What passes the protocol."""

    PACKET = 0
    SET_UP = 1
    #: The queue pair must go to error.
    FAIL = 2
    #: A receive request of a queue pair in error is given back.
    FLUSH = 3
