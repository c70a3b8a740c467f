"""Where sending is, queue pair by queue pair; and what a turn finds of it."""

from amaranth.lib import data

from .config import RoceConfig
from .context import QueuePairState
from .send_layouts import PositionLayout
from .work_check import NUMBER_BITS, WorkLayout
from .work_layouts import EPOCH_BITS, SLOT_BITS

__all__ = ["FoundLayout", "SendStateLayout"]


class SendStateLayout(data.StructLayout):
    """What turns change of a queue pair.

    Fields
    ------
    state : QueuePairState
    cursor : PositionLayout(config)
        Of the work request that is next, or under way.
    begun : PositionLayout(config)
        Behind the last one that has begun. Between the two are those that are sent again, and the
        one that is under way.
    number, psn : 24 bits each
        Of the next packet: in its message, and its PSN.
    highest : 24 bits
        PSN behind the last one that was ever sent.
    fetched : 16 bits
        Slots that were asked for in this epoch.
    floor : 16 bits
        First slot of this epoch that is needed, until ``Gather`` knows better.
    epoch : 4 bits
    issued : 4 bits
        Packets that ``Gather`` was given, modulo 16.
    back : 4 bits
        Of the replies, when the queue pair last went back.
    is_local : 1 bit
        The last one that has begun is local: it has to end first.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "state": QueuePairState,
                "cursor": PositionLayout(config),
                "begun": PositionLayout(config),
                "number": NUMBER_BITS,
                "psn": 24,
                "highest": 24,
                "fetched": SLOT_BITS,
                "floor": SLOT_BITS,
                "epoch": EPOCH_BITS,
                "issued": 4,
                "back": 4,
                "is_local": 1,
            }
        )


class FoundLayout(data.StructLayout):
    """What a turn finds when all rows are there, compared.

    Fields
    ------
    work : WorkLayout()
        Of the entry at the cursor, if it is on chip.
    is_rc : 1 bit
    guessed : 1 bit
        The slot that was looked up is that of the cursor.
    is_new : 1 bit
        The entry at the cursor has not begun.
    quiet : 1 bit
        The gatherer has walked all that it was given.
    goes_back : 1 bit
        Replies want that; or the entry at the cursor has ended, and may be another one by now.
    posted, overrun : 1 bit each
        There is an entry; there are more slots than the ring has.
    here, lost : 1 bit each
        All slots of the entry are on chip, or it has none that could be; they were to be fetched,
        and memory refused.
    short : 1 bit
        The entry has more slots than were posted.
    is_empty, is_full : 1 bit each
        Nothing has begun and not ended; as much as may be.
    fence_holds, reads_full : 1 bit each
        READs or atomic operations are under way, as many as may be.
    under_way : 24 bits
        PSNs from the oldest one to the next packet's.
    is_behind : 1 bit
        It was acknowledged already.
    done : 24 bits
        PSNs of the entry that were acknowledged, if it is behind.
    lacks_credit : 1 bit
        The peer may have no receive request for it.
    waits_for_time : 1 bit
        Its rate does not allow it yet.
    fetch : 3 bits
        Slots to be fetched, 0 for none.
    """

    def __init__(self):
        super().__init__(
            {
                "work": WorkLayout(),
                "is_rc": 1,
                "guessed": 1,
                "is_new": 1,
                "quiet": 1,
                "goes_back": 1,
                "posted": 1,
                "overrun": 1,
                "here": 1,
                "lost": 1,
                "short": 1,
                "is_empty": 1,
                "is_full": 1,
                "fence_holds": 1,
                "reads_full": 1,
                "under_way": 24,
                "is_behind": 1,
                "done": 24,
                "lacks_credit": 1,
                "waits_for_time": 1,
                "fetch": 3,
            }
        )
