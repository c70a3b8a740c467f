"""What the engine and Linux do with each other, each thing asked for from both sides."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..headers.infiniband import NAKS
from ..roce import Rights, RocePacket, SendKind, Service
from .end import ALL_RIGHTS, ENGINE, LINUX, Terms
from .pair import Pair

__all__ = ["SCENARIOS", "Scenario"]

_IMMEDIATE = 0xCAFE_0102
_MTUS = (256, 512, 1024, 2048, 4096)


@dataclass(frozen=True)
class Scenario:
    """Something that happens between the two ends, and is right or wrong.

    Parameters
    ----------
    name : str
        Words joined by hyphens; the last one says who asks.
    text : str
        What happens, for a person.
    terms : Terms
    asker : str
        Name of the end that asks.
    play : callable
    """

    name: str
    text: str
    terms: Terms
    asker: str
    play: Callable[[Pair], None]


def _sizes(mtu: int) -> tuple[int, ...]:
    """Nothing, a byte, a packet and its neighbours, three packets."""
    return (0, 1, mtu - 1, mtu, mtu + 1, 2 * mtu + 6)


def _operations(pair: Pair, kind: SendKind, *, immediate: bool) -> None:
    """One kind of request, at lengths around those of packets."""
    sizes = _sizes(pair.terms.mtu)
    if pair.terms.service is Service.UD:
        sizes = tuple(size for size in sizes if size <= pair.terms.mtu)
    for size in sizes:
        if kind is SendKind.SEND or immediate:
            # A WRITE needs a receive request only for its immediate data.
            pair.await_message(size if kind is SendKind.SEND else 0)
        pair.ask(kind, size, immediate=_IMMEDIATE + size if immediate else None)
    if pair.terms.service is Service.UC and not immediate:
        # Nobody says when a WRITE has arrived: what is behind it does.
        pair.await_message(1)
        pair.ask(SendKind.SEND, 1)


def _atomics(pair: Pair, kind: SendKind) -> None:
    """Counters that grow, wrap, and are swapped, or not."""
    place, value = pair.counter()
    if kind is SendKind.FETCH_ADD:
        for operand in (1, (1 << 64) - value, 1 << 63, 0):
            pair.ask(kind, 8, address=place, operand=operand)
        return
    for compare, operand in ((value, 0xDEAD_BEEF_CAFE_F00D), (value, 1), (1 << 63, 2)):
        pair.ask(kind, 8, address=place, operand=operand, compare=compare)


def _everything(pair: Pair) -> None:
    """All kinds, several under way at once, then the same from the other end."""
    for _ in range(2):
        _mixture(pair, with_answers=pair.terms.service is Service.RC)
        pair.turn()


def _mixture(pair: Pair, *, with_answers: bool) -> None:
    """All kinds that one end may ask for; without those that bring something back, if so."""
    mtu = pair.terms.mtu
    place, value = pair.counter()
    pair.await_message(2 * mtu + 1)
    pair.await_message(0)
    pair.await_message(mtu)
    pair.ask(SendKind.WRITE, 3 * mtu - 5)
    if with_answers:
        pair.ask(SendKind.READ, 2 * mtu + 3)
        pair.ask(SendKind.FETCH_ADD, 8, address=place, operand=value)
    pair.ask(SendKind.SEND, 2 * mtu + 1)
    if with_answers:
        pair.ask(SendKind.READ, 7)
    pair.ask(SendKind.WRITE, mtu + 1, immediate=_IMMEDIATE)
    if with_answers:
        pair.ask(SendKind.COMPARE_SWAP, 8, address=place, compare=1, operand=2)
    pair.ask(SendKind.SEND, mtu, immediate=_IMMEDIATE + 1)


def _storm(pair: Pair) -> None:
    """Play a mixture from both sides at once, thrice, while packets of both are lost.

    Which ones is drawn: what is sent again may be as many packets each time, so if exactly each
    11th were lost, that could be the same one until its sender gives up.
    """
    for asked in (True, False):
        draw = random.Random(asked)
        pair.watch(
            lambda _, draw=draw: draw.randrange(11) == 0,
            asked=asked,
            losses=1 << 30,
            what="packet to lose",
        )
    for _ in range(3):
        for _ in range(2):
            # Soft-RoCE takes an acknowledgement of a duplicate, which has the PSN of a READ if that
            # was last, for the READ's answer: what it reads while packets are lost may be missing.
            _mixture(pair, with_answers=pair.answerer == LINUX)
            pair.turn()


def _no_receive_request(pair: Pair) -> None:
    """Wait for a receive request: "receiver not ready", until there is one."""
    watch = _watch_answers(pair, _is_rnr, "receiver-not-ready NAK")
    pair.ask_before_receive(2 * pair.terms.mtu, until=lambda: watch.found > 0)


def _never_a_receive_request(pair: Pair) -> None:
    """Nobody ever gives a receive request: the sender gives up."""
    _watch_answers(pair, _is_rnr, "receiver-not-ready NAK")
    pair.ask(SendKind.SEND, 100, status="RNR_RETRY_EXCEEDED")


def _never_an_answer(pair: Pair) -> None:
    """Nothing passes: the sender gives up."""
    pair.watch(lambda _: True, asked=True, losses=1 << 30, what="request")
    pair.ask(SendKind.WRITE, 100, status="RETRY_EXCEEDED")
    pair.ask(SendKind.WRITE, 10, status="FLUSHED")


def _refused(kind: SendKind, **what: bool) -> Callable[[Pair], None]:
    """Play a request that must not be done; those behind it are flushed."""

    def play(pair: Pair) -> None:
        length = 8 if kind.is_atomic else 2 * pair.terms.mtu
        pair.await_message(10)
        address = pair.counter()[0] if kind.is_atomic else None
        _watch_answers(pair, _is_access_nak, "remote access error")
        pair.ask(kind, length, status="REMOTE_ACCESS", address=address, **what)
        pair.ask(SendKind.WRITE, 10, status="FLUSHED")
        pair.expect_receive_error("FLUSHED")

    return play


def _forbidden(kind: SendKind) -> Callable[[Pair], None]:
    """Play a request that the queue pair does not allow."""

    def play(pair: Pair) -> None:
        length = 8 if kind.is_atomic else 2 * pair.terms.mtu
        address = pair.counter()[0] if kind.is_atomic else None
        pair.ask(kind, length, status="REMOTE_INVALID_REQUEST", address=address)

    return play


def _too_long(pair: Pair) -> None:
    """Send a message that is longer than the receive request."""
    # An invalid request (9.7.5), and a length error at the responder; Soft-RoCE has its own.
    statuses = ("REMOTE_INVALID_REQUEST", "LOCAL_LENGTH")
    if pair.answerer == LINUX:
        statuses = ("REMOTE_OPERATION", "LOCAL_OPERATION")
    pair.await_message(64)
    pair.ask(SendKind.SEND, 3 * pair.terms.mtu, status=statuses[0])
    pair.expect_receive_error(statuses[1])


def _is(*endings: str) -> Callable[[RocePacket], bool]:
    return lambda packet: packet.name.endswith(endings)


def _is_rnr(packet: RocePacket) -> bool:
    return packet.headers.get("aeth", {}).get("syndrome", 0) >> 5 == 1


def _is_access_nak(packet: RocePacket) -> bool:
    return NAKS.get(packet.headers.get("aeth", {}).get("syndrome", 0)) == "REMOTE_ACCESS_ERROR"


def _watch_answers(pair: Pair, chosen: Callable[[RocePacket], bool], what: str):
    return pair.watch(chosen, asked=False, losses=0, what=what)


def _lost(
    kind: SendKind, ending: str, *, asked: bool, immediate: bool = False
) -> Callable[[Pair], None]:
    """Play a request of which one packet is lost, and the next request behind it."""

    def play(pair: Pair) -> None:
        mtu = pair.terms.mtu
        pair.watch(_is(ending), asked=asked, losses=1, what=f"packet to lose, {ending}")
        if kind is SendKind.SEND or immediate:
            pair.await_message(4 * mtu)
        if kind.is_atomic:
            place, value = pair.counter()
            pair.ask(kind, 8, address=place, operand=3, compare=value)
        else:
            pair.ask(kind, 4 * mtu - 1, immediate=_IMMEDIATE if immediate else None)
        pair.check_completions()
        pair.ask(SendKind.WRITE, 10)

    return play


def _lost_for_good(pair: Pair) -> None:
    """Lose a packet of a message that nobody sends again; a later message arrives."""
    mtu = pair.terms.mtu
    pair.watch(_is("MIDDLE"), asked=True, losses=1, what="packet to lose")
    pair.await_message(3 * mtu)
    pair.ask(SendKind.SEND, 3 * mtu, is_lost=True)
    if pair.answerer == LINUX:
        # Soft-RoCE drops what begins behind a message that did not end, and is ready then.
        pair.ask(SendKind.SEND, 1, is_lost=True)
    # It takes the receive request that the one before began to fill.
    pair.ask(SendKind.SEND, mtu)


_NAMES = {
    SendKind.WRITE: "write",
    SendKind.READ: "read",
    SendKind.SEND: "send",
    SendKind.FETCH_ADD: "fetch-add",
    SendKind.COMPARE_SWAP: "compare-swap",
}
_REFUSED = {
    "wrong-key-write": (SendKind.WRITE, {"wrong_key": True}),
    "wrong-key-read": (SendKind.READ, {"wrong_key": True}),
    "wrong-key-fetch-add": (SendKind.FETCH_ADD, {"wrong_key": True}),
    "past-end-write": (SendKind.WRITE, {"past_end": True}),
    "past-end-read": (SendKind.READ, {"past_end": True}),
}
_RIGHTS = {
    SendKind.WRITE: Rights.WRITE,
    SendKind.READ: Rights.READ,
    SendKind.COMPARE_SWAP: Rights.ATOMIC,
}
_LOST = {
    "lost-write-first": (SendKind.WRITE, "WRITE_FIRST", True),
    "lost-write-middle": (SendKind.WRITE, "WRITE_MIDDLE", True),
    "lost-write-last": (SendKind.WRITE, "WRITE_LAST", True),
    "lost-write-acknowledgement": (SendKind.WRITE, "RC_ACKNOWLEDGE", False),
    "lost-send-middle": (SendKind.SEND, "SEND_MIDDLE", True),
    "lost-send-acknowledgement": (SendKind.SEND, "RC_ACKNOWLEDGE", False),
    "lost-read-request": (SendKind.READ, "READ_REQUEST", True),
    "lost-read-response-first": (SendKind.READ, "RESPONSE_FIRST", False),
    "lost-read-response-middle": (SendKind.READ, "RESPONSE_MIDDLE", False),
    "lost-read-response-last": (SendKind.READ, "RESPONSE_LAST", False),
    "lost-fetch-add": (SendKind.FETCH_ADD, "FETCH_ADD", True),
    "lost-fetch-add-answer": (SendKind.FETCH_ADD, "ATOMIC_ACKNOWLEDGE", False),
    "lost-compare-swap-answer": (SendKind.COMPARE_SWAP, "ATOMIC_ACKNOWLEDGE", False),
}


def _plays() -> Iterator[tuple[str, str, Terms, Callable[[Pair], None]]]:
    """Name, text, terms and play of each scenario, whoever asks."""
    for service, version in ((Service.RC, 4), (Service.RC, 6), (Service.UC, 4), (Service.UC, 6)):
        yield from _kinds(service, version, 1024)
    for version in (4, 6):
        yield from _kinds(Service.UD, version, 4096 if version == 4 else 1024)
    for mtu in _MTUS:
        for version in (4, 6):
            terms = Terms(Service.RC, mtu, version, psns=(0xFFFFFE, 0xFFFFFD))
            text = f"all kinds at path MTU {mtu}, IPv{version}, both sides; PSNs wrap"
            yield f"rc-mtu-{mtu}-ip{version}", text, terms, _everything
    for mtu in _MTUS:
        terms = Terms(Service.UC, mtu, 4, psns=(0xFFFFFE, 0xFFFFFD))
        yield f"uc-mtu-{mtu}-ip4", f"UC at path MTU {mtu}, both sides", terms, _everything
    plain = Terms(Service.RC, 1024, 4)
    yield "rnr", "SEND before there is a receive request", plain, _no_receive_request
    terms = Terms(Service.RC, 1024, 4, rnr_retries=2)
    yield "rnr-exceeded", "SEND and never a receive request", terms, _never_a_receive_request
    terms = Terms(Service.RC, 1024, 4, timeout=12, retries=2)
    yield "no-answer", "WRITE, and every packet is lost", terms, _never_an_answer
    for name, (kind, what) in _REFUSED.items():
        yield name, f"{name.replace('-', ' ')} is refused", plain, _refused(kind, **what)
    for kind, right in _RIGHTS.items():
        terms = Terms(Service.RC, 1024, 4, rights=ALL_RIGHTS & ~right)
        text = f"{_NAMES[kind]} of a queue pair that does not allow it"
        yield f"no-right-{_NAMES[kind]}", text, terms, _forbidden(kind)
    yield "send-too-long", "SEND longer than the receive request", plain, _too_long
    for name, (kind, ending, asked) in _LOST.items():
        text = f"{name.replace('-', ' ')}, once"
        terms = Terms(Service.RC, 1024, 4, timeout=16)
        yield name, text, terms, _lost(kind, ending, asked=asked)
    for version in (4, 6):
        terms = Terms(Service.RC, 256, version, psns=(0xFFFFF0, 0xFFFFE1), timeout=14)
        text = f"a mixture, both sides, and one packet of 11 is lost, IPv{version}"
        yield f"storm-ip{version}", text, terms, _storm
    uc = Terms(Service.UC, 1024, 4)
    yield "lost-uc-middle", "UC SEND, one packet lost for good", uc, _lost_for_good


def _kinds(
    service: Service, version: int, mtu: int
) -> Iterator[tuple[str, str, Terms, Callable[[Pair], None]]]:
    terms = Terms(service, mtu, version)
    kinds = {
        Service.RC: (SendKind.WRITE, SendKind.READ, SendKind.SEND),
        Service.UC: (SendKind.WRITE, SendKind.SEND),
        Service.UD: (SendKind.SEND,),
    }
    start, where = service.name.lower(), f"{service.name}, IPv{version}"
    for kind in kinds[service]:
        for immediate in (False, True):
            if immediate and kind is SendKind.READ:
                continue
            tail = "-immediate" if immediate else ""
            text = f"{_NAMES[kind].upper()}{' with immediate' if immediate else ''}, {where}"

            def play(pair: Pair, kind: SendKind = kind, immediate: bool = immediate) -> None:
                _operations(pair, kind, immediate=immediate)

            yield f"{start}-{_NAMES[kind]}{tail}-ip{version}", text, terms, play
    if service is Service.RC:
        for kind in (SendKind.FETCH_ADD, SendKind.COMPARE_SWAP):

            def atomics(pair: Pair, kind: SendKind = kind) -> None:
                _atomics(pair, kind)

            name = _NAMES[kind]
            yield f"{start}-{name}-ip{version}", f"{name.upper()}, {where}", terms, atomics


#: Every scenario, by those of the engine first.
SCENARIOS = tuple(
    Scenario(f"{name}-{asker.lower()}", f"{asker} asks: {text}", terms, asker, play)
    for name, text, terms, play in _plays()
    for asker in (ENGINE, LINUX)
)
