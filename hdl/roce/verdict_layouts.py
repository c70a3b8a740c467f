"""What the rules look at, and what they decide."""

from amaranth.lib import data, enum

from .answer_layouts import JobKind
from .config import RoceConfig
from .context import ContextLayout, StateLayout
from .key_check import CheckedLayout
from .layouts import PlaceLayout
from .opcode import OpcodeLayout

__all__ = ["Outcome", "VerdictInputLayout", "VerdictLayout"]


class Outcome(enum.IntEnum, shape=4):
    """What becomes of a packet."""

    #: Nothing: not for a queue pair here, or not to be answered.
    DROP = 0
    #: SEND or WRITE that goes to memory, and is acknowledged if that was asked.
    ACCEPT = 1
    #: READ or atomic operation: a job.
    JOB = 2
    #: SEND or WRITE of before: acknowledge what has come.
    DUPLICATE = 3
    #: Ahead of what is expected.
    SEQUENCE_NAK = 4
    #: Not a request, or not one that is allowed to this queue pair: it goes to error.
    INVALID = 5
    #: Memory that is not the peer's to reach: it goes to error.
    ACCESS = 6
    #: The message of an unreliable service ends here, without effect.
    ABANDON = 7
    #: Congestion notification for the requester.
    CONGESTED = 8


class VerdictInputLayout(data.StructLayout):
    """Packet, its key, its queue pair, and what time it is.

    Fields
    ------
    checked : CheckedLayout(config)
    context, state : ContextLayout(config), StateLayout(config)
    head : config.bits("resources") + 1 bits
        Rows of the job ring that were ever freed, modulo twice the ring.
    now, cnp_interval : 16 bits
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "checked": CheckedLayout(config),
                "context": ContextLayout(config),
                "state": StateLayout(config),
                "head": config.bits("resources") + 1,
                "now": 16,
                "cnp_interval": 16,
            }
        )


class VerdictLayout(data.StructLayout):
    """What a packet means.

    Fields
    ------
    outcome : Outcome
    opcode : OpcodeLayout()
    state : StateLayout(config)
        The queue pair's state behind it, if it ``takes_receive`` not. If it does: the state if it
        gets its receive request, but for ``has_receive``, ``handle``, ``receive_length``, and of a
        SEND ``left``, which are as they were before.
    takes_receive : 1 bit
        ACCEPT that needs a receive request: the one that the queue pair has, or the next one.
    place : PlaceLayout(config)
        WRITE: where its payload goes. JOB: the bytes it asks for. Of a key to invalidate, the key.
    had_receive : 1 bit
        The queue pair had a receive request before.
    answer_psn : 24 bits
        PSN of its ACK or NAK.
    notify : 1 bit
        A CNP is due.
    again : 1 bit
        JOB, DUPLICATE: behind what is expected.
    job_kind : JobKind
        JOB: what is to be done.
    bad_invalidate : 1 bit
        ACCEPT of a key to invalidate that is no window of this queue pair's.
    too_long : 1 bit
        ACCEPT of a SEND that goes on, but has no room left.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "outcome": Outcome,
                "opcode": OpcodeLayout(),
                "state": StateLayout(config),
                "takes_receive": 1,
                "place": PlaceLayout(config),
                "had_receive": 1,
                "answer_psn": 24,
                "notify": 1,
                "again": 1,
                "job_kind": JobKind,
                "bad_invalidate": 1,
                "too_long": 1,
            }
        )
