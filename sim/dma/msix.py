"""What a function with MSI-X may send, and what it must."""

from dataclasses import dataclass, field, replace

__all__ = ["MsixEntry", "MsixModel"]


@dataclass(frozen=True)
class MsixEntry:
    """An entry of the table (PCI Express Base Specification, 7.7.2); masked after reset."""

    lower: int = 0
    upper: int = 0
    data: int = 0
    masked: bool = True

    @property
    def address(self) -> int:
        """Where its message goes; a multiple of 4."""
        return self.upper << 32 | self.lower

    def words(self) -> tuple[int, int, int, int]:
        """List what software reads."""
        return self.lower, self.upper, self.data, int(self.masked)

    def written(self, number: int, word: int) -> "MsixEntry":
        """Entry after a write of one of its four words; reserved bits stay 0."""
        if number == 0:
            return replace(self, lower=word & 0xFFFFFFFC)
        if number == 1:
            return replace(self, upper=word)
        if number == 2:
            return replace(self, data=word)
        return replace(self, masked=bool(word & 1))


@dataclass
class _Vector:
    entries: list[MsixEntry] = field(default_factory=lambda: [MsixEntry()])
    #: Since when it is not masked, for sure.
    free_since: int = 0
    interval: int = 0
    limit: int = 0
    #: Times of events that need a message; and of those that the last one may have left over.
    events: list[int] = field(default_factory=list)
    leftover: list[int] = field(default_factory=list)
    sent: int | None = None
    hold: int = 0

    @property
    def entry(self) -> MsixEntry:
        return self.entries[-1]


class MsixModel:
    """Say of each message whether it may be, and of each vector since when one is due.

    Times are cycles as an observer counts them. A write is under way between :meth:`write` and
    :meth:`settle`; a message may then be of any entry that there was meanwhile.

    Parameters
    ----------
    vector_count : int
        Vectors.
    interval_bits : int
        Of moderation intervals.
    tick_cycles : int
        Cycles of a tick.
    slack : int
        Events that came so many cycles before a message, or less, may have been too late for it.
    """

    def __init__(self, *, vector_count: int, interval_bits: int, tick_cycles: int, slack: int = 3):
        self.vector_count = vector_count
        self.interval_mask = (1 << interval_bits) - 1
        self.tick_cycles = tick_cycles
        self.slack = slack
        self.vectors = [_Vector() for _ in range(vector_count)]
        self.waiting: set[int] = set()
        self.unknown = 0
        self.messages = 0
        self.open = False
        #: Since when the function may send; or may not.
        self.gate_since = 0

    def gate(
        self,
        time: int,
        *,
        enable: bool,
        function_mask: bool = False,
        bus_master: bool = True,
        link_up: bool = True,
    ) -> None:
        """Capability, command register and link say whether messages may be sent."""
        is_open = enable and not function_mask and bus_master and link_up
        if is_open != self.open:
            self.open, self.gate_since = is_open, time

    def write(self, vector: int, number: int, word: int) -> None:
        """Begin to write a word of an entry; what is beyond the table is ignored."""
        if vector < self.vector_count:
            one = self.vectors[vector]
            one.entries.append(one.entry.written(number, word))

    def moderate(self, vector: int, word: int) -> None:
        """Set interval and limit, when nothing is under way."""
        if vector < self.vector_count:
            self.vectors[vector].interval = word & self.interval_mask
            self.vectors[vector].limit = word >> 16 & 0xFF

    def settle(self, time: int) -> None:
        """All writes have been answered."""
        for one in self.vectors:
            if len(one.entries) > 1:
                if not one.entry.masked:
                    one.free_since = time
                one.entries = one.entries[-1:]

    def read(self, vector: int, number: int) -> int:
        """Word of an entry; 0 beyond the table."""
        if vector >= self.vector_count:
            return 0
        return self.vectors[vector].entry.words()[number]

    def read_moderation(self, vector: int) -> int:
        """Interval and limit; 0 beyond the last vector."""
        if vector >= self.vector_count:
            return 0
        return self.vectors[vector].interval | self.vectors[vector].limit << 16

    def pending(self, word: int) -> tuple[int, int]:
        """Bits of a word of the pending bit array that are 1 for sure, and that may be 1."""
        surely = possibly = 0
        for bit in range(32):
            number = 32 * word + bit
            if number < self.vector_count:
                one = self.vectors[number]
                surely |= bool(one.events) << bit
                possibly |= bool(one.events or one.leftover) << bit
        return surely, possibly

    def event(self, vector: int, time: int) -> None:
        """Take an event."""
        if vector >= self.vector_count:
            self.unknown += 1
        else:
            self.vectors[vector].events.append(time)
            self.waiting.add(vector)

    def message(self, vector: int, address: int, data: int, time: int) -> None:
        """See that a message of ``vector`` may begin now; AssertionError tells why not."""
        self.messages += 1
        one = self.vectors[vector]
        assert any(
            not entry.masked and (entry.address, entry.data) == (address, data)
            for entry in one.entries
        ), f"message {address:#x}, {data:#x} is of no entry that vector {vector} had, unmasked"
        assert self.open or time - self.gate_since < 2, f"vector {vector} sent while forbidden"
        answered = [event for event in one.leftover + one.events if event < time]
        assert answered, f"message of vector {vector} without an event"
        if one.sent is not None and time - one.sent < one.hold:
            assert one.limit and len(answered) >= one.limit, (
                f"vector {vector} sent {time - one.sent} cycles after its last message, "
                f"not {one.hold}, with {len(answered)} events"
            )
        one.leftover = [event for event in answered if event >= time - self.slack]
        one.events = [event for event in one.events if event >= time]
        if not one.events:
            self.waiting.discard(vector)
        one.sent, one.hold = time, one.interval * self.tick_cycles

    def due_since(self, vector: int) -> int | None:
        """Time since when a message of ``vector`` is due; None if none is, or may be forbidden."""
        one = self.vectors[vector]
        if not self.open or not one.events or any(entry.masked for entry in one.entries):
            return None
        since = max(one.events[0], self.gate_since, one.free_since)
        if one.sent is not None and one.hold:
            end = one.sent + one.hold + self.tick_cycles + 3 * self.vector_count
            # With a limit that changes, or events that may count, it may be earlier.
            if one.limit and len(one.events) >= one.limit:
                end = min(end, one.events[one.limit - 1])
            since = max(since, end)
        return since
