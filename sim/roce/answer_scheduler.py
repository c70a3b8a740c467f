"""Model of what a queue pair's slot holds, and of the packets that answer a READ."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

__all__ = ["ANSWERS", "Text", "after_event", "packets"]

#: Kinds of events that leave an answer in the slot.
ANSWERS = ("ACK", "SEQUENCE_NAK", "RNR_NAK", "FATAL_NAK")
_PSNS = 1 << 24
_LINEAR = 1 << 48


@dataclass(frozen=True)
class Text:
    """Answer in a slot: its ``kind`` is one of ``ANSWERS``.

    As an event it may be of a packet that came before, and is answered ``again``.
    """

    kind: str
    psn: int
    msn: int
    syndrome: int
    again: bool = False


def after_event(slot: Text | None, event: Text) -> Text | None:
    """Return what is in ``slot`` after ``event``, whose kind may be any that events have."""
    if event.kind in ("RESET", "DROP"):
        return None
    if event.kind == "NOTHING" or (slot and slot.kind == "FATAL_NAK"):
        return slot
    if event.kind == "JOB":
        return slot if event.again else None
    if event.kind == "ACK" and event.again and slot and slot.kind == "RNR_NAK":
        return slot
    if event.kind == "ACK" and slot and slot.kind == "SEQUENCE_NAK":
        return replace(slot, psn=(event.psn + 1) % _PSNS, msn=event.msn, syndrome=0x60)
    return event


def packets(psn: int, linear: int, length: int, mtu: int) -> Iterator[tuple[int, int, int, int]]:
    """PSN, place, bytes, and 1 * is first + 2 * is last of each packet that answers a READ."""
    count = max(1, -(-length // mtu))
    for number in range(count):
        yield (
            (psn + number) % _PSNS,
            (linear + number * mtu) % _LINEAR,
            min(mtu, length - number * mtu),
            (number == 0) + 2 * (number == count - 1),
        )
