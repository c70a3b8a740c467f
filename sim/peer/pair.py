"""Two ends that talk, and what that is to leave behind, worked out beside them."""

import random
from collections.abc import Callable
from typing import Protocol

from ..roce import RocePacket, SendKind, Service
from .end import BUFFER_BYTES, ENGINE, LINUX, Arrived, End, Ended, Terms, Work
from .guest import CARD, GUEST
from .loop import Loop
from .packages import PeerError
from .wire import Watch

__all__ = ["Pair", "WrongError"]

_ROUTE_HEADER_BYTES = 40
_WORD = 1 << 64
#: Both ends' completions are there within this time, or never.
_POLL_SECONDS = 8


class WrongError(PeerError):
    """Something is not as it has to be; the message says what."""


class Watched(Protocol):
    """A wire of which packets can be looked for, and lost."""

    watches: list[Watch]


class _Side:
    """An end, and what its memory and completions are to be."""

    def __init__(self, end: End):
        self.end = end
        self.image = bytearray()
        self.ended: list[Ended] = []
        self.arrived: list[Arrived] = []
        self.buffers: list[tuple[int, int, int]] = []  # identifier, offset, length
        self.free = 0

    def place(self, length: int) -> int:
        """Give a place in the buffer at which nothing else is, at any alignment."""
        offset = self.free
        # Odd, so that a word of any width begins everywhere; a gap shows what is written past.
        self.free += length + 13
        if self.free > BUFFER_BYTES:
            raise ValueError(f"a scenario needs more than {BUFFER_BYTES} bytes of buffer")
        return offset


class Pair:
    """The engine and Linux, joined by a queue pair; one asks and the other answers.

    All of both buffers is compared at the end with what the work requests were to make of them.

    Parameters
    ----------
    engine, linux : End
    terms : Terms
    loop : Loop
    wire : Watched
    asker : str
        Name of the end that asks.
    seed : str
        Of what memory holds first.
    """

    def __init__(
        self,
        engine: End,
        linux: End,
        *,
        terms: Terms,
        loop: Loop,
        wire: Watched,
        asker: str,
        seed: str,
    ):
        self.terms = terms
        self._loop = loop
        self._wire = wire
        self._identifier = 0
        self._watches: list[tuple[Watch, str]] = []
        self._header_places: list[tuple[_Side, int]] = []
        self._sides = [_Side(end) for end in (engine, linux)]
        self._random = random.Random(seed)
        (self._asker,) = (side for side in self._sides if side.end.name == asker)
        (self._answerer,) = (side for side in self._sides if side is not self._asker)

    def __enter__(self):
        for side in self._sides:
            side.end.open(self.terms)
            side.image = bytearray(self._random.randbytes(BUFFER_BYTES))
            side.end.write(0, bytes(side.image))
        for mine, peer in (self._sides, self._sides[::-1]):
            mine.end.ready(self.terms, peer.end)
        return self

    def __exit__(self, *_):
        self._wire.watches.clear()
        for side in self._sides:
            side.end.close()

    @property
    def answerer(self) -> str:
        """Name of the end that answers."""
        return self._answerer.end.name

    def turn(self) -> None:
        """Let the other end ask from now on."""
        self._asker, self._answerer = self._answerer, self._asker

    # What happens.

    def await_message(self, length: int) -> None:
        """Give the answerer a buffer for a message of ``length`` bytes."""
        side = self._answerer
        self._identifier += 1
        is_datagram = self.terms.service is Service.UD
        size = length + (_ROUTE_HEADER_BYTES if is_datagram else 0)
        offset = side.place(size)
        side.buffers.append((self._identifier, offset, size))
        side.end.await_message(self._identifier, offset, size)

    def ask(
        self,
        kind: SendKind,
        length: int,
        *,
        immediate: int | None = None,
        status: str = "SUCCESS",
        wrong_key: bool = False,
        past_end: bool = False,
        operand: int = 0,
        compare: int = 0,
        address: int | None = None,
        is_lost: bool = False,
    ) -> None:
        """Post a work request, and work out what it is to leave behind.

        One that does not end with ``SUCCESS``, or ``is_lost`` without anybody knowing, leaves
        nothing behind.
        """
        asker, answerer = self._asker, self._answerer
        self._identifier += 1
        if kind.is_atomic:
            # Some engines put what atomic operations find at multiples of its size only.
            asker.free += -asker.free % length
        offset = asker.place(length)
        sends = kind is SendKind.SEND
        remote = 0
        if not sends:
            remote = answerer.place(length) if address is None else address
        if past_end:
            remote = BUFFER_BYTES - length + 1
        work = Work(
            identifier=self._identifier,
            kind=kind,
            offset=offset,
            length=length,
            address=0 if sends else answerer.end.address + remote,
            key=0 if sends else answerer.end.key ^ (0x5500 if wrong_key else 0),
            immediate=immediate,
            operand=operand,
            compare=compare,
        )
        asker.end.ask(work)
        asker.ended.append(Ended(work.identifier, status))
        if status == "SUCCESS" and not is_lost:
            self._apply(work, remote)

    def _apply(self, work: Work, remote: int) -> None:
        """Do to the images what ``work`` is to do to memory."""
        mine, theirs = self._asker.image, self._answerer.image
        here = slice(work.offset, work.offset + work.length)
        there = slice(remote, remote + work.length)
        if work.kind.is_atomic:
            was = int.from_bytes(theirs[there], "little")
            mine[here] = theirs[there]
            becomes = (was + work.operand) % _WORD
            if work.kind is SendKind.COMPARE_SWAP:
                becomes = work.operand if was == work.compare else was
            theirs[there] = becomes.to_bytes(8, "little")
        elif work.kind is SendKind.READ:
            mine[here] = theirs[there]
        elif work.kind is SendKind.WRITE:
            theirs[there] = mine[here]
        if work.kind is SendKind.SEND or work.immediate is not None:
            identifier, offset, _ = self._answerer.buffers.pop(0)
            length = work.length
            if work.kind is SendKind.SEND:
                if self.terms.service is Service.UD:
                    self._header_places.append((self._answerer, offset))
                    offset += _ROUTE_HEADER_BYTES
                    length += _ROUTE_HEADER_BYTES
                theirs[offset : offset + work.length] = mine[here]
            self._answerer.arrived.append(Arrived(identifier, "SUCCESS", length, work.immediate))

    def counter(self) -> tuple[int, int]:
        """Give a place of the answerer for atomic operations, and the number there."""
        side = self._answerer
        side.free += -side.free % 8
        offset = side.place(8)
        return offset, int.from_bytes(side.image[offset : offset + 8], "little")

    def ask_before_receive(self, length: int, *, until: Callable[[], object]) -> None:
        """Post a SEND, and what it needs at the other end only when ``until`` holds."""
        asker, answerer = self._asker, self._answerer
        self._identifier += 1
        work = Work(self._identifier, SendKind.SEND, asker.place(length), length)
        asker.end.ask(work)
        self._loop.wait(until, seconds=_POLL_SECONDS, what="a sender without a receive request")
        self.await_message(length)
        asker.ended.append(Ended(work.identifier, "SUCCESS"))
        self._apply(work, 0)
        assert not answerer.buffers

    def expect_receive_error(self, status: str) -> None:
        """Let the oldest receive request of the answerer be one that ends so."""
        identifier, _, _ = self._answerer.buffers.pop(0)
        self._answerer.arrived.append(Arrived(identifier, status))

    def watch(
        self,
        chosen: Callable[[RocePacket], bool],
        *,
        asked: bool,
        losses: int,
        what: str,
    ) -> Watch:
        """Look for packets of the asker, if ``asked``, or of the answerer; lose the first ones.

        A watch that finds none is an error at the end.
        """
        sender = self._asker if asked else self._answerer
        watch = Watch(sender.end.name == LINUX, chosen, losses)
        self._wire.watches.append(watch)
        self._watches.append((watch, what))
        return watch

    # What is right.

    def check_completions(self) -> None:
        """Wait for what was asked since this was called last, and compare how it ended."""
        # Both are asked before either is judged: one may only have suffered what the other did.
        wrong = []
        for side in self._sides:
            expected = [*side.ended, *side.arrived]
            found = side.end.poll(len(expected), seconds=_POLL_SECONDS)
            for kind, wanted in ((Ended, side.ended), (Arrived, side.arrived)):
                try:
                    self._compare(side, wanted, [one for one in found if isinstance(one, kind)])
                except WrongError as error:
                    wrong.append(str(error))
            side.ended.clear()
            side.arrived.clear()
        if wrong:
            raise WrongError("; ".join(wrong))

    @staticmethod
    def _compare(side: _Side, wanted: list, told: list) -> None:
        for number, one in enumerate(wanted):
            if number >= len(told):
                raise WrongError(f"{side.end.name}: no completion; {one} is missing")
            if told[number] != one:
                raise WrongError(f"{side.end.name}: {told[number]}, not {one}")
        if len(told) > len(wanted):
            raise WrongError(f"{side.end.name}: {told[len(wanted)]} that nobody asked for")

    def check(self) -> None:
        """Compare completions, what was watched, and all memory of both ends."""
        self.check_completions()
        for watch, what in self._watches:
            if not watch.found:
                raise WrongError(f"the wire saw no {what}")
        for side, offset in self._header_places:
            self._check_route_header(side, offset)
        for side in self._sides:
            found = side.end.read(0, BUFFER_BYTES)
            if found != side.image:
                places = [n for n in range(BUFFER_BYTES) if found[n] != side.image[n]]
                n = places[0]
                raise WrongError(
                    f"memory of {side.end.name}: {len(places)} bytes differ, the first at offset"
                    f" {n}: 0x{found[n]:02x}, not 0x{side.image[n]:02x}"
                )
            more = side.end.poll(1, seconds=0)
            self._compare(side, [], more)

    def _check_route_header(self, side: _Side, offset: int) -> None:
        """Check who sent a datagram; the rest of the header in front of it is not compared."""
        found = side.end.read(offset, _ROUTE_HEADER_BYTES)
        hosts = {ENGINE: CARD, LINUX: GUEST}
        mine = hosts.pop(side.end.name).address(self.terms.version)
        (peer,) = (host.address(self.terms.version) for host in hosts.values())
        addresses = found[-2 * len(mine) :]
        if addresses != peer + mine:
            raise WrongError(f"{side.end.name}: datagram between {addresses.hex()}")
        side.image[offset : offset + _ROUTE_HEADER_BYTES] = found
