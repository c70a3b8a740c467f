"""A host that answers memory reads, spoils some of the answers, and knows what must come of it."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sim.dma import CompletionsModel, ReadEnd
from sim.pcie import defect
from sim.pcie.tlp import Kind, Tlp, TlpClass

from ..pcie.segments import to_segments
from ..pcie.switch_port import SwitchPort
from .completion_makers import REQUESTER, completions_of, random_boundaries, spoiled
from .host_reads import Bounds, HostMemory, SentRead, Times

__all__ = ["ErrorHost"]


@dataclass
class _Plan:
    """Completions that are left for a read, in groups that are sent without a pause."""

    read: SentRead
    groups: deque[list[Tlp]]
    is_late: bool = False
    under_way: int = 0


class ErrorHost:
    """Partner of an engine: completions in any order of tags, split anywhere, some spoiled.

    Parameters
    ----------
    times : Times
        The engine's.
    max_payload_bytes : int
        What the engine takes.
    spoil : float
        How many reads get something that is wrong.

    Attributes
    ----------
    port : SwitchPort
        To be set before :meth:`step`.
    unexpected, malformed, nullified : Bounds
        What the engine must count.
    spoilings : dict of str to int
        How often what was done.
    """

    port: SwitchPort

    def __init__(self, *, times: Times, max_payload_bytes: int, spoil: float):
        self.times = times
        self.max_payload_bytes = max_payload_bytes
        self.spoil = spoil
        self.memory = HostMemory()
        self.model = CompletionsModel(times.tag_count, REQUESTER)
        self.by_tag: dict[int, SentRead] = {}
        self.unexpected, self.malformed, self.nullified = Bounds(), Bounds(), Bounds()
        self.spoilings: dict[str, int] = {}
        self.cycle = 0
        self.is_silent = False
        self._stray_at = 0
        self._forget()

    def _forget(self) -> None:
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._ready: dict[int, _Plan] = {}
        self._queued: deque[_Plan] = deque()
        self._recent: deque[tuple[int, Bounds | None]] = deque()
        #: Reads of each client that it may still wait for, in their order.
        self._waited: dict[int, deque[SentRead]] = {}

    def _at(self, cycle: int, event: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (cycle, self._number, event))

    # What the engine sends.

    def read(self, read: SentRead, tag: int) -> None:
        """Note that ``read`` has come, with ``tag``."""
        before = self.by_tag.get(tag)
        if before is not None:
            age = self.cycle - before.seen
            assert (
                before.ended is not None
                or before.down_at is not None
                or age >= self.times.quarantine
            ), f"tag {tag} is used again after {age} cycles, of {before}"
        piece = read.piece
        read.seen, read.tag = self.cycle, tag
        read.data = self.memory.read(piece.address, piece.length) if piece.length else b""
        self.by_tag[tag] = read
        self.model.ask(tag, piece.address, piece.length)
        self._waited.setdefault(piece.client, deque()).append(read)
        self._at(self.cycle + self.times.latest, lambda: self._expire(read))
        if not self.is_silent:
            self._schedule(read)

    def _expire(self, read: SentRead) -> None:
        if read.ended is None:
            self.model.fail(read.tag, ReadEnd.TIMEOUT)

    def _good(self, read: SentRead) -> list[Tlp]:
        """Completions as they should be."""
        piece = read.piece
        rcb = random.choice([64, 128])
        tlps = completions_of(
            read.tag, piece.address, piece.length, rcb=rcb, choose=random_boundaries, digests=0.05
        )
        first = piece.address // 4 * 4
        data = self.memory.read(first, 4 * -(-(piece.address + (piece.length or 1) - first) // 4))
        place, good = piece.address, []
        end = piece.address + (piece.length or 1)
        for tlp, following in zip(tlps, [*tlps[1:], None], strict=True):
            begin = place // 4 * 4 - first
            good.append(tlp.with_changes(data=data[begin : begin + 4 * tlp.length]))
            place = end - (following.byte_count or 4096) if following else end
        return good

    def _schedule(self, read: SentRead) -> None:
        """Decide what is done to the completions of ``read``, and when they are sent."""
        good = self._good(read)
        groups = [[tlp] for tlp in good]
        due = self.cycle + random.choice([20, 60, 200, 500]) + random.randrange(50)
        is_late = False
        if random.random() < self.spoil:
            what = random.choice(
                [
                    *["silent", "partial", "late", "racing", "status", "status", "poisoned"],
                    *["spoiled", "spoiled", "duplicate", "foreign", "malformed", "nullified"],
                ]
            )
            self._note(what)
            place = random.randrange(len(groups))
            match what:
                case "silent":
                    return
                case "late":
                    low, high = self.cycle + self.times.latest, self.cycle + self.times.quarantine
                    due = random.randint(low + 10, high - 200)
                    is_late = True
                case "racing":
                    due = self.cycle + random.randint(self.times.earliest, self.times.latest)
                case "partial":
                    groups = groups[:place]
                case _:
                    groups[place] = self._spoil(what, groups[place][0])
        plan = _Plan(read, deque(groups), is_late)
        self._at(due, lambda: self._begin(plan))

    def _begin(self, plan: _Plan) -> None:
        self._ready[plan.read.tag] = plan

    def _spoil(self, what: str, tlp: Tlp) -> list[Tlp]:
        """Make of a completion what is sent instead."""
        foreign = {"requester": REQUESTER ^ 1 << random.randrange(16)}
        no_data = {"data": None, "length": 0, "digest": None}
        match what:
            case "status":
                bad = tlp.with_changes(**no_data, status=random.choice([1, 1, 2, 4, 4, 7]))
                return [bad, tlp] if random.random() < 0.2 else [bad]
            case "poisoned":
                return [tlp.with_changes(poisoned=True)]
            case "spoiled":
                bad = spoiled(tlp, self.times.tag_count)
                if bad.tag != tlp.tag:
                    # A tag that may be given to a read at this moment is of no use here.
                    bad = bad.with_changes(tag=bad.tag | random.choice([1, 3]) << 10)
                return [bad, tlp] if random.random() < 0.2 else [bad]
            case "duplicate":
                return [tlp, tlp]
            case "foreign":
                kind = {"kind": Kind.COMPLETION_LOCKED}
                other = {"tag": tlp.tag | random.choice([1, 2, 8]) << 10}
                return [tlp.with_changes(**random.choice([foreign, kind, other])), tlp]
            case "malformed":
                data = tlp.data or b""
                longer = data + random.randbytes(4 * random.choice([1, 8, 9]))
                huge = random.randbytes(self.max_payload_bytes + 4 * random.choice([1, 8, 64]))
                bad = random.choice(
                    [
                        tlp.with_changes(data=longer),
                        tlp.with_changes(data=data[:-4]),
                        tlp.with_changes(data=huge, length=len(huge) // 4),
                        tlp.with_changes(four_dwords=True),
                    ]
                )
                return [bad, tlp]
            case _:
                return [tlp.with_changes(nullified=True), tlp]

    # What the host sends.

    def step(self) -> None:
        """Send what is due, of one read after the other at random."""
        self.cycle += 1
        while self._events and self._events[0][0] <= self.cycle:
            heapq.heappop(self._events)[2]()
        while self._ready and self._has_room():
            tag = random.choice(list(self._ready))
            plan = self._ready[tag]
            if plan.under_way:
                break  # others may be free, in a later cycle
            if not plan.groups or not self._may_go_on(plan):
                del self._ready[tag]
                continue
            group = plan.groups.popleft()
            plan.under_way = len(group)
            for tlp in group:
                self._queued.append(plan)
                self.port.send(tlp)

    def _may_go_on(self, plan: _Plan) -> bool:
        read = plan.read
        if plan.is_late:
            return self.cycle < read.seen + self.times.quarantine - 150
        return read.ended is None and self.by_tag[read.tag] is read

    def _is_held(self, read: SentRead) -> bool:
        """Whether the tag cannot have been given back: the client waits for an older read."""
        waited = self._waited.get(read.piece.client, deque())
        while waited and (
            waited[0].ended is not None or self.cycle > waited[0].seen + self.times.earliest - 200
        ):
            waited.popleft()
        return bool(waited) and waited[0].seen < read.seen

    def _repeat(self, read: SentRead, tlp: Tlp) -> None:
        """Send a completion once more, long after the read has ended."""
        if self._is_held(read) and self._has_room():
            self._note("repeated")
            self._queued.append(_Plan(read, deque(), under_way=1))
            self.port.send(tlp)

    def stray(self) -> None:
        """Send segments that are no TLP: without a begin, or without an end."""
        if self.cycle < self._stray_at or not self._has_room():
            return
        self._stray_at = self.cycle + 100
        length = random.randint(17, 64)
        tlp = Tlp(Kind.COMPLETION, data=bytes(4 * length), length=length, requester=REQUESTER)
        lanes = to_segments(tlp.with_changes(tag=random.randrange(self.times.tag_count)))
        if random.random() < 0.5:
            self._note("no begin")
            lanes = lanes[1:]
        else:
            self._note("no end")
            lanes = lanes[: random.randrange(1, len(lanes))]
            self.port.consume(TlpClass.COMPLETION, 1, tlp.data_credits)
        self._count(self.malformed)
        self.port.send_lanes([*lanes, None])

    def _note(self, what: str) -> None:
        self.spoilings[what] = self.spoilings.get(what, 0) + 1

    def _has_room(self) -> bool:
        """Whether a group sent now goes at once, so that no tag in it is used again meanwhile."""
        if len(self._queued) > 4:
            return False
        self.port.source.read_credits()
        free = self.port.source.available(TlpClass.COMPLETION)
        return free.headers >= 8 and free.data >= 8 * self.max_payload_bytes // 16

    def sent(self, tlp: Tlp) -> None:
        """Note that ``tlp`` begins to go to the engine."""
        while self._recent and self._recent[0][0] < self.cycle - self.times.backlog:
            self._recent.popleft()
        if tlp.is_completion and self._queued:
            self._queued.popleft().under_way -= 1
        if tlp.nullified:
            self._count(self.nullified)
        elif defect(tlp, self.max_payload_bytes):
            self._count(self.malformed)
        elif tlp.is_completion:
            self._complete(tlp)

    def _count(self, bounds: Bounds) -> None:
        bounds.add(1, 1)
        self._recent.append((self.cycle, bounds))

    def _complete(self, tlp: Tlp) -> None:
        before = self.model.unexpected
        ended = self.model.complete(tlp)
        if self.model.unexpected > before:
            self._count(self.unexpected)
            return
        read = self.by_tag[tlp.tag]
        self._recent.append((self.cycle, None))
        if self.cycle >= read.seen + self.times.earliest:
            read.raced = True
            self.unexpected.add(0, 1)
        if ended is not None:
            read.ended, read.ended_at = ended.end, self.cycle
            if ended.end == ReadEnd.OK:
                read.data = ended.data
            if random.random() < self.spoil / 2:
                self._at(self.cycle + random.randint(30, 300), lambda: self._repeat(read, tlp))

    def lose(self) -> None:
        """Forget everything: the link goes down. What was sent just now may not have come."""
        for read in self.by_tag.values():
            if read.down_at is None:
                read.down_at = self.cycle
        for tag in self.model.out:
            self.model.fail(tag, ReadEnd.LINK_DOWN)
        for cycle, bounds in self._recent:
            if bounds is not None and cycle >= self.cycle - 60:
                bounds.add(-1, 0)
            elif bounds is None and cycle >= self.cycle - self.times.backlog:
                self.unexpected.add(0, 1)
        self.nullified.add(0, 1)
        self._forget()
