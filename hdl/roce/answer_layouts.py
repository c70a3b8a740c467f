"""What READs and atomic operations are asked for, and what is answered."""

from amaranth.lib import data, enum

from .config import RoceConfig
from .layouts import PAYLOAD_BITS, PlaceLayout

__all__ = [
    "AnswerKind",
    "AnswerLayout",
    "AtomicLayout",
    "HeadLayout",
    "JobKind",
    "JobLayout",
    "JobWriteLayout",
    "ReadSegmentLayout",
]


class JobKind(enum.IntEnum, shape=2):
    """Requests that are answered with data."""

    READ = 0
    COMPARE_SWAP = 1
    FETCH_ADD = 2
    #: An atomic operation that was executed before: its result is asked for again.
    REPLAY = 3


class JobLayout(data.StructLayout):
    """Row of a queue pair's job ring.

    Fields
    ------
    kind : JobKind
    again : 1 bit
        It was asked before: a READ whose key is no more is dropped then, not refused.
    psn : 24 bits
        Of the first response.
    msn : 24 bits
    mtu_shift : 4 bits
        Path MTU of 2 ** mtu_shift bytes, 8 to 12.
    place : PlaceLayout(config)
        READ of no bytes, REPLAY: undefined.
    operand : 64 bits
        READ: length in the low 32 bits, 2**31 at most. Atomic operations: what is swapped in or
        added.
    compare : 64 bits
        COMPARE_SWAP.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": JobKind,
                "again": 1,
                "psn": 24,
                "msn": 24,
                "mtu_shift": 4,
                "place": PlaceLayout(config),
                "operand": 64,
                "compare": 64,
            }
        )


class JobWriteLayout(data.StructLayout):
    """Strobe: ``job`` is what is to be written to ``slot`` of ``queue_pair``'s ring."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "slot": config.bits("resources"),
                "job": JobLayout(config),
            }
        )


class HeadLayout(data.StructLayout):
    """Strobe: ``head`` rows of ``queue_pair``'s ring were ever freed, modulo twice the ring."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "head": config.bits("resources") + 1,
            }
        )


class ReadSegmentLayout(data.StructLayout):
    """One packet's worth of a READ: its answer, and the place of the data.

    Fields
    ------
    place : PlaceLayout(config)
    again : 1 bit
        Its READ was asked before.
    answer : AnswerLayout(config)
        READ_RESPONSE; ``payload_bytes`` of the place are to be read, perhaps none.
    """

    def __init__(self, config: RoceConfig):
        super().__init__({"place": PlaceLayout(config), "again": 1, "answer": AnswerLayout(config)})


class AtomicLayout(data.StructLayout):
    """An atomic operation, or the replay of one, of a queue pair."""

    def __init__(self, config: RoceConfig):
        super().__init__({"queue_pair": config.bits("queue_pairs"), "job": JobLayout(config)})


class AnswerKind(enum.IntEnum, shape=2):
    """Packets that a responder sends."""

    ACKNOWLEDGE = 0
    READ_RESPONSE = 1
    ATOMIC_ACKNOWLEDGE = 2
    CONGESTION_NOTIFICATION = 3


class AnswerLayout(data.StructLayout):
    """A packet to send.

    Fields
    ------
    kind : AnswerKind
    queue_pair : config.bits("queue_pairs") bits
        Whose peer it goes to.
    psn, msn, syndrome : 24, 24, 8 bits
        BTH and AETH.
    first, last : 1 bit each
        READ_RESPONSE: whether it is the first and the last one of its READ.
    payload_bytes : 13 bits
        READ_RESPONSE: bytes of data that follow; else 0.
    original : 64 bits
        ATOMIC_ACKNOWLEDGE.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "kind": AnswerKind,
                "queue_pair": config.bits("queue_pairs"),
                "psn": 24,
                "msn": 24,
                "syndrome": 8,
                "first": 1,
                "last": 1,
                "payload_bytes": PAYLOAD_BITS,
                "original": 64,
            }
        )
