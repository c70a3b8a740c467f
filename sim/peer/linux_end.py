"""Linux's end of a conversation: the program ``verbs`` in the guest."""

import ipaddress

from ..roce import Rights, SendKind
from .end import BUFFER_BYTES, LINUX, Arrived, End, Ended, Terms, Work
from .guest import GUEST, Guest, Host
from .packages import PeerError

__all__ = ["LinuxEnd"]

_ANSWER_SECONDS = 20
_KINDS = {
    SendKind.SEND: "send",
    SendKind.WRITE: "write",
    SendKind.READ: "read",
    SendKind.FETCH_ADD: "add",
    SendKind.COMPARE_SWAP: "swap",
}
#: ibv_access_flags; the owner may write always.
_RIGHTS = {Rights.WRITE: 2, Rights.READ: 4, Rights.ATOMIC: 8}
_LOCAL_WRITE = 1
#: ibv_wc_status, by the names that our completions have.
_STATUSES = {
    0: "SUCCESS",
    1: "LOCAL_LENGTH",
    2: "LOCAL_OPERATION",
    4: "LOCAL_PROTECTION",
    5: "FLUSHED",
    6: "BIND",
    9: "REMOTE_INVALID_REQUEST",
    10: "REMOTE_ACCESS",
    11: "REMOTE_OPERATION",
    12: "RETRY_EXCEEDED",
    13: "RNR_RETRY_EXCEEDED",
}
#: Bytes of a line to the guest, in hexadecimal.
_PART_BYTES = 1 << 15


def _access(rights: Rights) -> int:
    return sum(flag for right, flag in _RIGHTS.items() if right in rights) | _LOCAL_WRITE


class LinuxEnd(End):
    """Verbs of the guest, which does nothing else between ``begin`` and ``end``.

    Parameters
    ----------
    guest : Guest
    peer : Host
        The other end of the wire.
    """

    name = LINUX

    def __init__(self, guest: Guest, *, peer: Host):
        self.address = self.key = self.number = 0
        self._guest = guest
        self._peer = peer

    def begin(self) -> None:
        """Start the program."""
        self._guest.send("verbs")
        self._answer("verbs")

    def end(self) -> None:
        """End the program."""
        self._guest.send("bye")
        self._guest.finish(seconds=_ANSWER_SECONDS)

    def _tell(
        self, *words: object, seconds: float = _ANSWER_SECONDS
    ) -> tuple[list[str], list[str]]:
        """Give a command; what it found, and the words of its last line."""
        self._guest.send(" ".join(str(word) for word in words))
        return self._answer(" ".join(str(word)[:20] for word in words), seconds=seconds)

    def _answer(
        self, command: str, *, seconds: float = _ANSWER_SECONDS
    ) -> tuple[list[str], list[str]]:
        lines, last = self._guest.read_until("done", "failed", "@exit", seconds=seconds)
        if not last.startswith("done"):
            raise PeerError(f"in the guest, {command!r}: {last}")
        return lines, last.split()[1:]

    def open(self, terms: Terms) -> None:
        """Make the buffer and a queue pair."""
        self._tell("open", ipaddress.IPv6Address(GUEST.gid(terms.version)))
        _, (address, key) = self._tell("region", BUFFER_BYTES, _access(terms.rights))
        self.address, self.key = int(address), int(key)
        _, (number,) = self._tell("create", terms.service.name.lower())
        self.number = int(number)

    def ready(self, terms: Terms, peer: End) -> None:
        """Join the queue pair to the one of ``peer``."""
        self._tell(
            *("ready", self.number, peer.number),
            *(ipaddress.IPv6Address(self._peer.gid(terms.version)), terms.mtu),
            *(
                terms.expected(self.name),
                terms.psn(self.name),
                terms.q_key,
                _access(terms.rights),
                terms.reads,
            ),
            *(terms.rnr_timer, terms.timeout, terms.retries, terms.rnr_retries),
        )

    def close(self) -> None:
        """Destroy the queue pair, and forget what nobody asked about."""
        self._tell("destroy", self.number)
        self._tell("poll", 1 << 20, 0)

    def ask(self, work: Work) -> None:
        """Post a work request."""
        immediate = "-" if work.immediate is None else work.immediate
        self._tell(
            *("post", self.number, _KINDS[work.kind], work.identifier, work.offset, work.length),
            *(work.address, work.key, immediate, work.operand, work.compare),
        )

    def await_message(self, identifier: int, offset: int, length: int) -> None:
        """Post a receive request."""
        self._tell("receive", self.number, identifier, offset, length)

    def poll(self, count: int, *, seconds: float) -> list[Ended | Arrived]:
        """Let the guest poll."""
        lines, _ = self._tell("poll", count, int(seconds * 1000), seconds=seconds + _ANSWER_SECONDS)
        return [self._completion(line) for line in lines]

    @staticmethod
    def _completion(line: str) -> Ended | Arrived:
        kind, identifier, status, *rest = line.split()
        name = _STATUSES.get(int(status), f"STATUS_{status}")
        if kind == "ended":
            return Ended(int(identifier), name)
        length, immediate = rest
        if name != "SUCCESS":
            return Arrived(int(identifier), name)
        has_immediate = immediate != "-"
        return Arrived(
            int(identifier), name, int(length), int(immediate) if has_immediate else None
        )

    def read(self, offset: int, length: int) -> bytes:
        """Give what the buffer holds."""
        _, words = self._tell("fetch", offset, length)
        return bytes.fromhex(words[0]) if words else b""

    def write(self, offset: int, data: bytes) -> None:
        """Put ``data`` into the buffer."""
        for place in range(0, len(data), _PART_BYTES):
            self._tell("store", offset + place, data[place : place + _PART_BYTES].hex())
