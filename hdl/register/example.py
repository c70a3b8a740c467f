"""Table with one of everything, which the tests and the documentation use."""

from .table import Access, Counter, Field, Register, RegisterTable, Window

__all__ = ["EXAMPLE"]

EXAMPLE = RegisterTable(
    name="example",
    description="One of everything that a register table can hold. No block of the card has it.",
    entries=(
        Register(
            "identity",
            "What this is.",
            (
                Field("revision", 8, Access.CONSTANT, "Counts changes of this table.", init=3),
                Field("kind", 16, Access.CONSTANT, "Number of the block.", offset=16, init=0x4852),
            ),
        ),
        Register(
            "control",
            "What the block does.",
            (
                Field("enable", 1, Access.RW, "Lets packets pass.", init=1),
                Field("mode", 3, Access.RW, "Way of working.", offset=4, init=5),
                Field("restart", 2, Access.PULSE, "Starts a part of the block anew.", offset=8),
                Field("limit", 16, Access.RW, "Longest packet in bytes.", offset=12, init=1518),
                Field("busy", 1, Access.RO, "The block works.", offset=31),
            ),
        ),
        Register(
            "status",
            "What the block says.",
            (
                Field("level", 12, Access.RO, "Bytes that wait."),
                Field("link", 1, Access.RO, "The link is up.", offset=31),
            ),
        ),
        Register(
            "events",
            "What happened since it was last cleared.",
            (
                Field("overflow", 1, Access.W1C, "A packet found no room."),
                Field("error", 3, Access.W1C, "A packet was damaged, by port.", offset=8),
            ),
        ),
        Register(
            "threshold",
            "Level at which a priority is paused.",
            (Field("value", 32, Access.RW, "Bytes.", init=0x1000),),
            count=4,
            address=0x20,
        ),
        Counter("octets", "Bytes by port.", (1 << 31) - 1, saturates=False, count=2),
        Counter("drops", "Packets that found no room.", (1 << 32) - 1, saturates=True),
        Window("rules", "Rules of the block's table, a word each.", 64),
    ),
)
