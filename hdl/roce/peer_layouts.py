"""What a peer replies, and what has become of a queue pair by that."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .layouts import PAYLOAD_BITS, CompletionStatus
from .send_layouts import PositionLayout

__all__ = [
    "ReplyKind",
    "ReplyLayout",
    "ReplyStateLayout",
    "RetiredLayout",
]


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
