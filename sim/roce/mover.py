"""Golden model of hdl.roce.Mover."""

from dataclasses import dataclass, field, replace

from .translator import Place, Span, Translation

__all__ = ["Action", "Completion", "Done", "Event", "MoverModel"]

LOCAL_LENGTH, REMOTE_ACCESS, FLUSHED = 1, 3, 4
NOTHING, FATAL_NAK = 0, 4
_HEADER_BYTES = 40


@dataclass(frozen=True)
class Completion:
    """Receive completion; fields as in the hardware."""

    queue: int
    queue_pair: int
    handle: int
    status: int
    byte_length: int
    is_write: int
    has_immediate: int
    has_invalidated: int
    value: int
    source_queue_pair: int
    solicited: int


@dataclass(frozen=True)
class Event:
    """What a packet asks of a queue pair's answers."""

    kind: int
    queue_pair: int
    psn: int
    msn: int
    syndrome: int
    notify: int


@dataclass(frozen=True)
class Action:
    """What is to be done about ``packet``: ``kind`` is ``drop``, ``write`` or ``scatter``."""

    kind: str
    queue_pair: int
    packet: bytes | None
    payload_offset: int
    payload_bytes: int
    place: Place
    event: Event
    completion: Completion | None = None
    handle: int = 0
    begins: bool = True
    is_datagram: bool = False
    v6: bool = False
    ip_offset: int = 0
    invalidate: bool = False
    revive: bool = False


@dataclass
class Done:
    """What became of an action: bytes by (space, address), spans in order, and who hears of it."""

    written: dict[tuple[int, int], int] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    completion: Completion | None = None
    event: Event | None = None
    failure: int | None = None


class _ListEndedError(Exception):
    """There is no place in a scatter list for more."""


class MoverModel:
    """Carry out actions, one after the other.

    Attributes
    ----------
    table : Translation
    lists : dict of int to list of Span
        Scatter list of each receive request.
    dead : set of int
        Queue pairs that have failed.
    """

    def __init__(self, table: Translation, lists: dict[int, list[Span]]):
        self.table = table
        self.lists = lists
        self.dead: set[int] = set()
        self._positions: dict[int, int] = {}

    def act(self, action: Action) -> Done:
        """Carry out ``action``."""
        done = Done(completion=action.completion, event=action.event)
        if action.revive:
            self.dead.discard(action.queue_pair)
        elif action.queue_pair in self.dead:
            self._end(done, FLUSHED)
            return done
        if action.invalidate and not self.table.invalidate(action.place):
            self._fail(action, done, REMOTE_ACCESS)
            return done
        if action.packet is None or not (action.payload_bytes or action.is_datagram):
            return done
        payload = action.packet[action.payload_offset :][: action.payload_bytes]
        if action.kind == "write" and not action.invalidate:
            spans = self.table.translate(action.place, len(payload))
            if spans is None:
                self._fail(action, done, REMOTE_ACCESS)
            else:
                self._write(done, spans, payload)
        elif action.kind == "scatter":
            try:
                self._scatter(action, done, payload)
            except _ListEndedError:
                self._fail(action, done, LOCAL_LENGTH)
        return done

    def _scatter(self, action: Action, done: Done, payload: bytes) -> None:
        position = 0 if action.begins else self._positions.get(action.queue_pair, 0)
        assert action.packet is not None
        if action.is_datagram:
            size = 40 if action.v6 else 20
            header = action.packet[action.ip_offset :][:size]
            self._fill(action, done, position + _HEADER_BYTES - size, header)
            position += _HEADER_BYTES
        if payload:
            self._fill(action, done, position, payload)
        self._positions[action.queue_pair] = position + len(payload)

    def _fill(self, action: Action, done: Done, position: int, content: bytes) -> None:
        """Put ``content`` into the list from byte ``position`` on; what does not fit is lost."""
        for entry in self.lists[action.handle]:
            if position >= entry.length:
                position -= entry.length
                continue
            taken = min(len(content), entry.length - position)
            span = Span(entry.space, (entry.address + position) % (1 << 64), taken)
            self._write(done, [span], content[:taken])
            position, content = 0, content[taken:]
            if not content:
                return
        raise _ListEndedError

    def _write(self, done: Done, spans: list[Span], content: bytes) -> None:
        for span in spans:
            for number in range(span.length):
                address = (span.address + number) % (1 << 64)
                done.written[span.space, address] = content[number]
            done.spans.append(span)
            content = content[span.length :]

    def _fail(self, action: Action, done: Done, status: int) -> None:
        self.dead.add(action.queue_pair)
        done.failure = status
        self._end(done, status)

    def _end(self, done: Done, status: int) -> None:
        assert done.event is not None
        if done.completion is not None:
            done.completion = replace(done.completion, status=status)
        if status == FLUSHED:
            done.event = replace(done.event, kind=NOTHING, notify=0)
        elif done.event.kind != NOTHING:
            syndrome = 0x62 if status == REMOTE_ACCESS else 0x63
            done.event = replace(done.event, kind=FATAL_NAK, syndrome=syndrome)
