"""What replies and time make of a queue pair: a reference in PSNs that do not wrap."""

from dataclasses import dataclass, field
from typing import Any

from sim.roce.answer import CREDITS

__all__ = ["FLUSHED", "Read", "Reference", "SentMessage"]

PSNS = 1 << 24
# Statuses, as numbers of the layout.
INVALID_REQUEST, ACCESS, FLUSHED, OPERATION, RETRY, RNR_RETRY = 2, 3, 4, 5, 9, 10
ACKNOWLEDGE, READ, ATOMIC = 0, 1, 2
RC = 0


@dataclass(frozen=True)
class SentMessage:
    """PSNs of a message: ``first``, and how many."""

    first: int
    count: int


@dataclass(frozen=True)
class Read(SentMessage):
    """A READ or atomic operation, and where its response goes."""

    is_atomic: bool
    length: int
    place: dict[str, int]


@dataclass
class Reference:
    """A queue pair. Each method returns whether others see a change, and notes what else it did."""

    index: int
    context: dict[str, int] = field(default_factory=dict)
    is_ready: bool = False
    failed: bool = False
    status: int = 0
    oldest: int = 0
    highest: int = 0
    responded: int = 0
    reads: list[Read] = field(default_factory=list)
    allowed: int = 0
    back: int = 0
    waits: bool = False
    recovers: bool = False
    locals: int = 0
    retries: int = 0
    rnr_retries: int = 0
    end: tuple[int, int] | None = None
    # What it did besides: responses stored, codes of RNR NAKs, errors.
    stored: dict[str, Any] | None = None
    rnr_code: int | None = None
    has_error: bool = False

    def published(self, read_bits: int) -> dict[str, int]:
        """Fields of the strobe."""
        return {
            "oldest": self.oldest % PSNS,
            "reads": self.responded % (2 << read_bits),
            "allowed": self.allowed % PSNS,
            "back": self.back % 16,
            "waits": int(self.waits),
            "failed": int(self.failed),
            "status": self.status,
            "locals": self.locals % 16,
        }

    @property
    def is_alive(self) -> bool:
        """It takes anything at all."""
        return self.is_ready and not self.failed

    @property
    def is_rc(self) -> bool:
        """It is a reliable connection."""
        return self.context.get("service") == RC

    @property
    def read(self) -> Read | None:
        """READ or atomic operation that is to be responded to next."""
        return self.reads[self.responded] if self.responded < len(self.reads) else None

    def set_up(self, context: dict[str, int]) -> None:
        """Begin anew."""
        self.__init__(self.index, context)  # pyright: ignore[reportGeneralTypeIssues]
        self.is_ready = context["state"] == 1
        self.oldest = self.highest = context["psn"]
        self.retries, self.rnr_retries = context["retries"], context["rnr_retries"]

    def fail(self, status: int, *, by_itself: bool) -> bool:
        """Go to error."""
        if not self.is_alive:
            return False
        self.failed, self.status = True, status
        self.has_error = by_itself and self.is_rc
        return True

    def sent(self, psn: int) -> bool:
        """Take note that a packet of an unreliable service has left."""
        if not self.is_alive or self.is_rc:
            return False
        self._move(self.oldest + (psn + 1 - self.oldest) % PSNS)
        self._ends(self.end)
        return True

    def local(self) -> bool:
        """Take note that a local operation is done."""
        self.locals += self.is_alive
        return self.is_alive

    def fails_at(self, psn: int, first: int, status: int, *, is_local: bool) -> bool:
        """Our side refuses a packet of the work request that begins at ``first``."""
        if not self.is_alive:
            return False
        if self._near(psn) < self.oldest and not is_local:
            # It has been there before; but what is behind it has not left.
            self._back()
            return True
        self.end = (self._near(first), status)
        return self._ends(self.end)

    def _near(self, psn: int) -> int:
        return self.oldest + (psn - self.oldest + PSNS // 2) % PSNS - PSNS // 2

    def _back(self) -> None:
        self.back += 1
        self.end = None

    def _ends(self, end: tuple[int, int] | None) -> bool:
        if end is None or self.oldest < end[0]:
            return False
        return self.fail(end[1], by_itself=True)

    def timeout(self) -> bool:
        """Time ran out."""
        if not self.is_alive or not self.is_rc or self.waits or self.oldest == self.highest:
            return False
        self._retry()
        self.recovers = False
        return True

    def rnr_end(self) -> bool:
        """Time of an RNR NAK is over."""
        ended = self.is_alive and self.waits
        self.waits = self.waits and not ended
        return ended

    def _retry(self) -> bool:
        if not self.retries:
            return self.fail(RETRY, by_itself=True)
        self.retries -= 1
        self._back()
        return True

    def _go_back(self) -> bool:
        if self.waits or self.recovers:
            return False
        self.recovers = True
        return self._retry()

    def _move(self, psn: int) -> bool:
        if psn == self.oldest:
            return False
        self.oldest = psn
        self.retries, self.rnr_retries = self.context["retries"], self.context["rnr_retries"]
        self.recovers = self.waits = False
        return True

    def _is_mine(self, reply: dict[str, int]) -> bool:
        mine, theirs = self.context.get("p_key", 0), reply["p_key"]
        return bool(
            reply["good"]
            and self.is_alive
            and self.is_rc
            and reply["queue_pair"] == self.context["number"]
            and mine % 0x8000 == theirs % 0x8000
            and (mine >= 0x8000 or theirs >= 0x8000)
            and reply["source"] == self.context["peer"]
        )

    def _credits(self, reply: dict[str, int]) -> bool:
        if not reply["has_syndrome"] or reply["syndrome"] >= len(CREDITS):
            return False
        ahead = (reply["msn"] + CREDITS[reply["syndrome"]] - self.allowed) % PSNS
        if not 0 < ahead < PSNS // 2:
            return False
        self.allowed += ahead
        return True

    def reply(self, reply: dict[str, int]) -> bool:
        """Take a reply."""
        # What ends by both ends with what the peer says, for it would be known first.
        end = self.end
        did = self._reply(reply)
        return self._ends(end) or did

    def _reply(self, reply: dict[str, int]) -> bool:
        if not self._is_mine(reply):
            return False
        psn = self.oldest + (reply["psn"] - self.oldest) % PSNS
        kind = reply["kind"]
        if psn >= self.highest:
            repeated = psn == self.oldest - 1 + PSNS and kind == ACKNOWLEDGE
            return repeated and self._credits(reply)
        syndrome = reply["syndrome"] if reply["has_syndrome"] else 0
        is_nak = syndrome >= 0x20
        if syndrome >= 0x40 and syndrome not in (0x60, 0x61, 0x62, 0x63):
            return False
        if kind != ACKNOWLEDGE and (is_nak or not self._fits(reply, psn)):
            return False
        is_ack = kind == ACKNOWLEDGE and not is_nak
        gains = self._credits(reply)
        # Everything up to here has been executed; but a response may be missing.
        last = psn if is_ack else psn - 1
        read = self.read
        missing = max(read.first, self.oldest) if read is not None else None
        if missing is not None and last >= missing:
            moved = self._move(missing)
            went = self._go_back()
            return moved or went or gains
        if kind != ACKNOWLEDGE:
            return self._store(reply, psn)
        moved = self._move(last + 1)
        did = self._refused(syndrome, psn) if is_nak else False
        return moved or did or gains

    def _refused(self, syndrome: int, psn: int) -> bool:
        if syndrome < 0x40:
            if self.waits:
                return False
            if not self.rnr_retries:
                return self.fail(RNR_RETRY, by_itself=True)
            if self.context["rnr_retries"] < 7:
                self.rnr_retries -= 1
            self.waits, self.recovers = True, False
            self._back()
            self.rnr_code = syndrome & 31
            return True
        if syndrome == 0x60:
            return self._go_back()
        statuses = {0x61: INVALID_REQUEST, 0x62: ACCESS, 0x63: OPERATION}
        return self.fail(statuses[syndrome], by_itself=True)

    def _fits(self, reply: dict[str, int], psn: int) -> bool:
        read = self.read
        if read is None or psn < max(read.first, self.oldest):
            return False
        if psn >= read.first + read.count:
            # Of another one: only that this one is missing is known.
            return self.responded + 1 < len(self.reads)
        if read.is_atomic:
            return reply["kind"] == ATOMIC and reply["payload_bytes"] == 8
        mtu = 1 << self.context["mtu_shift"]
        number = psn - read.first
        is_last = number == read.count - 1
        size = read.length - number * mtu if is_last else mtu
        return reply["kind"] == READ and reply["last"] == is_last and reply["payload_bytes"] == size

    def _store(self, reply: dict[str, int], psn: int) -> bool:
        read = self.read
        assert read is not None
        shift = self.context["mtu_shift"]
        linear = read.place["linear"] + (psn - read.first << shift)
        self.stored = {"place": {**read.place, "linear": linear}, "swapped": read.is_atomic}
        self._move(psn + 1)
        if self.oldest == read.first + read.count:
            self.responded += 1
        return True
