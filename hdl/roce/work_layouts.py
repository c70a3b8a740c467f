"""What a driver says of a work queue, and what of it is fetched."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .context import QueuePairState
from .opcode import Service

__all__ = [
    "EPOCH_BITS",
    "SLOT_BITS",
    "SLOT_BYTES",
    "FetchLayout",
    "FetchedLayout",
    "PieceLayout",
    "SendContextLayout",
    "SendKind",
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
                "reserved": 16,
            }
        )


class PieceLayout(data.StructLayout):
    """16 bytes of an entry: a piece of local memory, low byte first."""

    def __init__(self):
        super().__init__({"address": 64, "length": 32, "key": 32})


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
