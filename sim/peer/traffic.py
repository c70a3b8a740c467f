"""What our side does with a stock tool once both have met: each by its own rules."""

from collections.abc import Callable

from ..roce import SendKind, Service
from .card_end import CardEnd
from .end import Arrived, Ended, Work
from .pair import WrongError

__all__ = ["COMING", "TRAFFIC", "Talk"]

#: Places in our buffer: of what comes, of what goes, and of what is read.
COMING, GOING, READ = 0, 1 << 14, 1 << 15
_ROUTE_HEADER_BYTES = 40
#: Where perftest counts, it may take another cell for each operation.
_CELL_BYTES = 64
_SECONDS = 8
#: What the pingpongs of ibverbs-utils send.
_FIRST_BYTE = 0x7B


class Talk:
    """Messages with a tool, and our memory.

    Parameters
    ----------
    end : CardEnd
    service : Service
    length, count : int
        Of messages.
    filling : bytes
        What our buffer holds before.
    swaps : bool
        Atomic operations compare and swap.
    """

    def __init__(
        self,
        end: CardEnd,
        *,
        service: Service,
        length: int,
        count: int,
        filling: bytes,
        swaps: bool,
    ):
        self.end = end
        self.length = length
        self.count = count
        self.swaps = swaps
        self.peer_address = self.peer_key = 0
        self._image = bytearray(filling)
        self._header = _ROUTE_HEADER_BYTES if service is Service.UD else 0
        self._identifier = 0
        self._places: list[int] = []
        self._counted: tuple[int, int] | None = None

    def prepare(self, traffic: str, *, asks: bool) -> None:
        """Have ready what the tool's first message needs."""
        comes = traffic in ("pingpong", "send_lat") or (traffic == "send_bw" and not asks)
        for _ in range(self.count if comes else 0):
            self.end.await_message(0, COMING, self.length + self._header)
        if traffic == "write_lat":
            self.put(COMING, bytes(self.length))
        if traffic == "atomic":
            self.put(COMING, bytes(_CELL_BYTES * self.count))

    def put(self, offset: int, data: bytes) -> None:
        """Put ``data`` into our buffer."""
        self.end.write(offset, data)
        self._image[offset : offset + len(data)] = data

    def pattern(self, number: int) -> bytes:
        """Make message ``number`` of ours."""
        return bytes((number * 37 + n * 11 + (n >> 8)) & 0xFF for n in range(self.length))

    def ask(self, kind: SendKind, offset: int, **fields: int) -> None:
        """Post a work request of a message's length."""
        self._identifier += 1
        self.end.ask(
            Work(
                self._identifier,
                kind,
                offset,
                self.length,
                address=self.peer_address,
                key=self.peer_key,
                **fields,
            )
        )

    def expect(self, *, ended: int = 0, arrived: int = 0) -> None:
        """Wait for as many completions of each kind; all are good, and of a message's length."""
        found = self.end.poll(ended + arrived, seconds=_SECONDS)
        for one in found:
            right = one.status == "SUCCESS"
            if isinstance(one, Arrived):
                right = right and one.length == self.length + self._header
            if not right:
                raise WrongError(f"engine: {one}")
        counts = [sum(isinstance(one, kind) for one in found) for kind in (Ended, Arrived)]
        if counts != [ended, arrived]:
            raise WrongError(
                f"engine: {counts} completions (sent, received), not {[ended, arrived]}"
            )

    def coming(self) -> bytes:
        """Give the message that came, of which nothing was known, or all."""
        data = self.end.read(COMING, self._header + self.length)
        self._image[COMING : COMING + len(data)] = data
        return data[self._header :]

    def compare(self, what: str, found: bytes, wanted: bytes) -> None:
        """Compare a message."""
        if found != wanted:
            raise WrongError(f"engine: {what} is {found[:16].hex()}..., not {wanted[:16].hex()}...")

    def expect_change(self, offset: int) -> None:
        """Let there be another message, of unknown bytes, when all is over."""
        self._places.append(offset)

    def expect_counted(self, offset: int, total: int) -> None:
        """Let cells at ``offset``, one for each message, hold ``total`` together at the end."""
        self._counted = (offset, total)

    def _check_counted(self, offset: int, total: int) -> None:
        size = _CELL_BYTES * self.count
        found = self.end.read(offset, size)
        cells = [found[n : n + _CELL_BYTES] for n in range(0, size, _CELL_BYTES)]
        values = [int.from_bytes(cell[:8], "little") for cell in cells]
        if sum(values) != total or any(any(cell[8:]) for cell in cells):
            raise WrongError(f"engine: counted {values}, not {total} together")
        self._image[offset : offset + size] = found

    def has_changed(self, offset: int) -> None:
        """Check that a message of unknown bytes has come to where others were."""
        before = bytes(self._image[offset : offset + self.length])
        found = self.end.read(offset, self.length)
        same = sum(one == other for one, other in zip(before, found, strict=True))
        # Of random bytes, one of 256 is the same.
        if same > self.length // 16:
            raise WrongError(f"engine: {same} of {self.length} bytes have not changed")
        self._image[offset : offset + self.length] = found

    def check(self) -> None:
        """Check that nothing else of our buffer has changed."""
        for offset in self._places:
            self.has_changed(offset)
        if self._counted is not None:
            self._check_counted(*self._counted)
        found = self.end.read(0, len(self._image))
        places = [n for n, byte in enumerate(self._image) if found[n] != byte]
        if places:
            raise WrongError(
                f"memory of engine: {len(places)} bytes differ, the first at {places[0]}"
            )


def _nothing(_: Talk) -> None:
    """Only the tool does something."""


def _ask_pingpong(talk: Talk) -> None:
    """Send messages that come back."""
    for number in range(talk.count):
        message = talk.pattern(number)
        talk.put(GOING, message)
        talk.ask(SendKind.SEND, GOING)
        talk.expect(ended=1, arrived=1)
        talk.compare(f"message {number}", talk.coming(), message)


def _answer_pingpong(talk: Talk) -> None:
    """Answer messages with others, which the tool sends back."""
    wanted = bytes([_FIRST_BYTE]) * talk.length
    for number in range(talk.count):
        talk.expect(arrived=1, ended=int(number > 0))
        talk.compare(f"message {number}", talk.coming(), wanted)
        wanted = talk.pattern(number)
        talk.put(GOING, wanted)
        talk.ask(SendKind.SEND, GOING)
    talk.expect(ended=1)


def _ask_write_bw(talk: Talk) -> None:
    for _ in range(talk.count):
        talk.ask(SendKind.WRITE, GOING)
    talk.expect(ended=talk.count)


def _answer_write_bw(talk: Talk) -> None:
    talk.expect_change(COMING)


def _ask_read(talk: Talk) -> None:
    """Read what the tool holds, again and again: it is always the same."""
    first = b""
    for number in range(talk.count):
        talk.ask(SendKind.READ, READ)
        talk.expect(ended=1)
        found = talk.end.read(READ, talk.length)
        talk.compare(f"READ {number}", found, first or found)
        first = found
        if not number:
            talk.has_changed(READ)


def _ask_send_bw(talk: Talk) -> None:
    for _ in range(talk.count):
        talk.ask(SendKind.SEND, GOING)
    talk.expect(ended=talk.count)


def _answer_send_bw(talk: Talk) -> None:
    talk.expect(arrived=talk.count)
    talk.coming()


def _ask_atomic(talk: Talk) -> None:
    """Count what the tool holds up, or swap it, by what the operation before found."""
    value = None
    for number in range(talk.count):
        if talk.swaps:
            talk.ask(SendKind.COMPARE_SWAP, READ, compare=value or 0, operand=number + 5)
        else:
            talk.ask(SendKind.FETCH_ADD, READ, operand=1)
        talk.expect(ended=1)
        found = talk.end.read(READ, 8)
        if value is not None:
            talk.compare(f"number {number}", found, value.to_bytes(8, "little"))
        elif talk.swaps:
            # What was there is known now, and has not been swapped, but for one chance in 2^64.
            value = int.from_bytes(found, "little")
            talk.put(READ, found)
            continue
        was = int.from_bytes(found, "little")
        value = number + 5 if talk.swaps else (was + 1) % (1 << 64)
        talk.put(READ, found)


def _answer_atomic(talk: Talk) -> None:
    """Be counted up by the tool, or swapped from 0 to 0, in one cell or in one after the other."""
    total = 0 if talk.swaps else talk.count
    talk.expect_counted(COMING, total)


def _write(talk: Talk, number: int) -> None:
    """Send message ``number``, which ends in it."""
    message = talk.pattern(number)[:-1] + bytes([number & 0xFF])
    talk.put(GOING, message)
    talk.ask(SendKind.WRITE, GOING)
    talk.expect(ended=1)


def _wait_for(talk: Talk, number: int) -> None:
    """Wait until memory says that message ``number`` has come."""
    place = COMING + talk.length - 1
    talk.end.wait(lambda: talk.end.read(place, 1)[0] == number & 0xFF, what=f"message {number}")
    talk.coming()


def _ask_write_lat(talk: Talk) -> None:
    """Write in turns; the one that was asked for a connection begins."""
    for number in range(1, talk.count + 1):
        _wait_for(talk, number)
        _write(talk, number)


def _answer_write_lat(talk: Talk) -> None:
    for number in range(1, talk.count + 1):
        _write(talk, number)
        _wait_for(talk, number)


def _ask_send_lat(talk: Talk) -> None:
    for _ in range(talk.count):
        talk.ask(SendKind.SEND, GOING)
        talk.expect(ended=1, arrived=1)
        talk.coming()


def _answer_send_lat(talk: Talk) -> None:
    for number in range(talk.count):
        talk.expect(arrived=1, ended=int(number > 0))
        talk.coming()
        talk.ask(SendKind.SEND, GOING)
    talk.expect(ended=1)


#: By what a tool does: our side if the engine asks, and if the tool does.
TRAFFIC: dict[str, tuple[Callable[[Talk], None], Callable[[Talk], None]]] = {
    "pingpong": (_ask_pingpong, _answer_pingpong),
    "write_bw": (_ask_write_bw, _answer_write_bw),
    "write_lat": (_ask_write_lat, _answer_write_lat),
    "read": (_ask_read, _nothing),
    "send_bw": (_ask_send_bw, _answer_send_bw),
    "send_lat": (_ask_send_lat, _answer_send_lat),
    "atomic": (_ask_atomic, _answer_atomic),
}
