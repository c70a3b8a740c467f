"""What the stages of Retire hand on."""

from amaranth.lib import data

from .config import RoceConfig
from .layouts import CompletionLayout, CompletionStatus
from .send_layouts import OutstandingLayout, PositionLayout
from .work_layouts import SLOT_BITS

__all__ = [
    "RetireEndLayout",
    "RetireRowLayout",
    "RetireStepLayout",
    "RetireToldLayout",
    "RetireTurnLayout",
    "RetireVerdictLayout",
]


class RetireRowLayout(data.StructLayout):
    """State of a queue pair.

    Fields
    ------
    position : PositionLayout(config)
        Where the oldest work request begins that has not ended.
    locals : 4 bits
        Local operations that have ended.
    flushes : 1 bit
        A work request has got the status of the failure: all behind it are flushed.
    number, completion_queue : 24, config.bits("completion_queues") bits
        Of the context.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "position": PositionLayout(config),
                "locals": 4,
                "flushes": 1,
                "number": 24,
                "completion_queue": config.bits("completion_queues"),
            }
        )


class RetireEndLayout(data.StructLayout):
    """What of completions differs; ``owner`` is the row of ``queue_pair``."""

    def __init__(self, config: RoceConfig):
        completion = CompletionLayout(config)
        names = ("queue", "queue_pair", "status", "byte_length")
        super().__init__(
            {
                "owner": config.bits("queue_pairs"),
                "slot": SLOT_BITS,
                "kind": 3,
                **{name: completion[name].shape for name in names},
            }
        )


class RetireTurnLayout(data.StructLayout):
    """A turn: whose; whether it is a set-up; which server has it; the work request looked up."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "valid": 1,
                "queue_pair": config.bits("queue_pairs"),
                "sets_up": 1,
                "server": 1,
                "sequence": config.bits("send_requests") + 1,
            }
        )


class RetireVerdictLayout(data.StructLayout):
    """What a turn finds: rows, compared."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "row": RetireRowLayout(config),
                "entry": OutstandingLayout(config),
                "is_there": 1,
                "is_past": 1,
                "is_done": 1,
                "is_last": 1,
                "is_exact": 1,
                "guessed": 1,
                "failed": 1,
                "status": CompletionStatus,
            }
        )


class RetireStepLayout(data.StructLayout):
    """What a turn decides, beside what that is about."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "turn": RetireTurnLayout(config),
                "row": RetireRowLayout(config),
                "entry": OutstandingLayout(config),
                "ends": 1,
                "goes_on": 1,
                "completes": 1,
                "counts": 1,
                "fails": 1,
                "status": CompletionStatus,
            }
        )


class RetireToldLayout(data.StructLayout):
    """What others are told of a turn."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "turn": 1,
                "ends": 1,
                "completes": 1,
                "sets_up": 1,
                "server": 1,
                "goes_on": 1,
                "sequence": config.bits("send_requests") + 1,
            }
        )
