"""What the protocol knows of a queue pair."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .layouts import PlaceLayout
from .opcode import Service

__all__ = ["ContextLayout", "Operation", "QueuePairState", "StateLayout"]


class QueuePairState(enum.IntEnum, shape=2):
    """States in which the passive side differs (IBTA volume 1, 10.3)."""

    RESET = 0
    READY = 1
    ERROR = 2


class Operation(enum.IntEnum, shape=2):
    """Message of which more packets are to come."""

    NONE = 0
    SEND = 1
    WRITE = 2


class ContextLayout(data.StructLayout):
    """What the driver says of a queue pair.

    Fields
    ------
    state : QueuePairState
    service : Service
    number : 24 bits
        Queue pair number; its low bits are those of the row.
    mtu_shift : 4 bits
        Path MTU of 2 ** mtu_shift bytes: 8 to 12.
    p_key, q_key : 16, 32 bits
    domain : 16 bits
        Protection domain.
    rights : 3 bits
        What the peer may do at all: write, read, atomic operations.
    peer : 128 bits
        IP address of the other side, an IPv4-mapped one for IPv4; not looked at for UD.
    receive_queue, completion_queue : config.bits bits
    is_shared : 1 bit
        The receive queue has other users: acknowledgements give no credits, and what waits in
        it is not flushed.
    rnr_timer : 5 bits
        Code of the time that a sender without a receive request is told to wait.
    expected : 24 bits
        PSN that comes first.
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
                "rights": 3,
                "peer": 128,
                "receive_queue": config.bits("receive_queues"),
                "completion_queue": config.bits("completion_queues"),
                "is_shared": 1,
                "rnr_timer": 5,
                "expected": 24,
            }
        )


class StateLayout(data.StructLayout):
    """What packets change of a queue pair.

    Fields
    ------
    state : QueuePairState
    expected, msn : 24 bits
    refused : 1 bit
        A NAK asked for the expected packet, which has not come since.
    operation : Operation
    place : PlaceLayout(config)
        WRITE: where its next byte goes.
    left : 32 bits
        WRITE: bytes still to come. SEND: room left in the receive request.
    length : 32 bits
        WRITE: of the whole message. SEND: bytes that came.
    has_receive, handle, receive_length : 1, config.bits("receive_requests"), 32 bits
        Receive request in use, or one that an unreliable message gave back.
    tail : config.bits("resources") + 1 bits
        Rows of the job ring that were ever filled, modulo twice the ring.
    notified, notified_at : 1, 16 bits
        Whether and when a CNP was sent.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "state": QueuePairState,
                "expected": 24,
                "msn": 24,
                "refused": 1,
                "operation": Operation,
                "place": PlaceLayout(config),
                "left": 32,
                "length": 32,
                "has_receive": 1,
                "handle": config.bits("receive_requests"),
                "receive_length": 32,
                "tail": config.bits("resources") + 1,
                "notified": 1,
                "notified_at": 16,
            }
        )
