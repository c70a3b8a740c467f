"""What the stock tools tell each other by TCP before, and after, they use RDMA."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .packages import PeerError

__all__ = ["Keys", "Perftest", "PingPong", "Place", "Tcp"]

_DONE = b"done\0"
_GID_BYTES = 16


class Tcp(Protocol):
    """What is needed of a connection."""

    def peek(self, length: int) -> bytes:
        """First bytes that are not read yet."""
        ...

    def read(self, length: int) -> bytes:
        """Next bytes."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...


def _numbers(text: bytes, count: int) -> list[int]:
    """Numbers in hexadecimal, with colons between them and nothing else but an end."""
    words = text.rstrip(b"\0").decode("ascii", "replace").rstrip(":").split(":")
    try:
        numbers = [int(word, 16) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise PeerError(f"an address by TCP that is none: {text!r}")
    return numbers


@dataclass(frozen=True)
class Place:
    """Where a pingpong of ibverbs-utils is.

    Specification: libibverbs/examples of rdma-core.
    """

    queue_pair: int
    psn: int
    gid: bytes

    def text(self) -> bytes:
        """Write it as the tools do; there is no LID on Ethernet."""
        return f"{0:04x}:{self.queue_pair:06x}:{self.psn:06x}:{self.gid.hex()}\0".encode()

    @classmethod
    def parse(cls, text: bytes) -> "Place":
        """Read it."""
        _, queue_pair, psn, gid = _numbers(text, 4)
        return cls(queue_pair, psn, gid.to_bytes(_GID_BYTES, "big"))


_PLACE_BYTES = len(Place(0, 0, bytes(_GID_BYTES)).text())


class PingPong:
    """Set-up of ibv_rc_pingpong, ibv_uc_pingpong and ibv_ud_pingpong."""

    def __init__(self, tcp: Tcp):
        self._tcp = tcp

    def ask(self, mine: Place) -> Place:
        """Begin; give the place of whoever was waiting."""
        self._tcp.write(mine.text())
        return Place.parse(self._tcp.read(_PLACE_BYTES))

    def begin(self) -> None:
        """Say that the one that waited may begin."""
        self._tcp.write(_DONE)

    def listen(self) -> Place:
        """Wait for one who begins."""
        return Place.parse(self._tcp.read(_PLACE_BYTES))

    def answer(self, mine: Place) -> None:
        """Tell one who began, and wait until it has understood."""
        self._tcp.write(mine.text())
        self._tcp.read(len(_DONE))


@dataclass(frozen=True)
class Keys:
    """Where a program of perftest is, and its memory.

    Specification: src/perftest_communication.c of perftest, version 4.5 (exchange 6.06).
    """

    queue_pair: int
    psn: int
    key: int
    address: int
    gid: bytes
    reads: int = 0

    def text(self) -> bytes:
        """Write it as the programs do; there is no LID on Ethernet, and no shared queue."""
        head = f"{0:04x}:{self.reads:04x}:{self.queue_pair:06x}:{self.psn:06x}"
        return f"{head}:{self.key:08x}:{self.address:016x}:{self.gid.hex(':')}:{0:08x}:\0".encode()

    @classmethod
    def parse(cls, text: bytes) -> "Keys":
        """Read it."""
        numbers = _numbers(text, 6 + _GID_BYTES + 1)
        _, reads, queue_pair, psn, key, address = numbers[:6]
        return cls(queue_pair, psn, key, address, bytes(numbers[6:-1]), reads)


_KEYS_BYTES = len(Keys(0, 0, 0, 0, bytes(_GID_BYTES)).text())
_VERSION_BYTES = 16
#: Page, cache line, and the path MTU's code in verbs.
_PAGE, _LINE = (4096).to_bytes(4, "big"), (64).to_bytes(4, "big")
_MTU_CODES = {256: b"1\0", 512: b"2\0", 1024: b"3\0", 2048: b"4\0", 4096: b"5\0"}
_REPORT_WORDS = 5
_WORD_BYTES = 8


class Perftest:
    """Exchanges of perftest's programs: each asks, and is answered by as many bytes.

    Parameters
    ----------
    tcp : Tcp
    mine : Keys
    mtu : int
        Path MTU.
    """

    def __init__(self, tcp: Tcp, mine: Keys, *, mtu: int):
        self._tcp = tcp
        self._mine = mine
        self._mtu = _MTU_CODES[mtu]

    def _ask(self, data: bytes) -> bytes:
        self._tcp.write(data)
        return self._tcp.read(len(data))

    def ask(self, version: str) -> None:
        """Begin, as a program of this version."""
        self._ask(version.encode().ljust(_VERSION_BYTES, b"\0"))
        for word in (_PAGE, _LINE, self._mtu):
            self._ask(word)

    def ask_keys(self) -> Keys:
        """Tell where we are, and be told; or only meet."""
        return Keys.parse(self._ask(self._mine.text()))

    def report(self, length: int, count: int) -> None:
        """Tell what was measured, which is nothing: sizes, counts, and no rates."""
        rates = [0] * (_REPORT_WORDS - 2)
        for word in (length, count, *rates):
            self._ask(word.to_bytes(_WORD_BYTES, "big"))

    def done(self) -> None:
        """Say the last word; the other says it, too, and does not wait."""
        with contextlib.suppress(PeerError):
            self._tcp.write(_DONE)

    def listen(self) -> None:
        """Answer one who begins, whatever its version."""
        for mine in (None, _PAGE, _LINE, self._mtu):
            length = _VERSION_BYTES if mine is None else len(mine)
            asked = self._tcp.read(length)
            self._tcp.write(asked if mine is None else mine)

    def answer_keys(self, then: Callable[[Keys], None] | None = None) -> Keys:
        """Be told where the other is, do ``then``, tell where we are."""
        keys = Keys.parse(self._tcp.read(_KEYS_BYTES))
        if then is not None:
            then(keys)
        self._tcp.write(self._mine.text())
        return keys

    def answer_all(self) -> None:
        """Answer everything to the last word."""
        while (start := self._tcp.peek(len(_DONE))) != _DONE:
            # Addresses begin with a LID that is 0; a report is numbers.
            if start == b"0000:":
                self.answer_keys()
            else:
                self._tcp.write(self._tcp.read(_WORD_BYTES))
        self._tcp.read(len(_DONE))
        self.done()
