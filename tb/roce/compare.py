"""Compare a responder's answers with another one's, up to what the specification leaves open."""

from collections import Counter
from collections.abc import Sequence

from sim.roce import RocePacket

__all__ = ["compare_answers"]

_PSNS = 1 << 24
_ACKNOWLEDGE = 0x11
_FIRST_TO_OTHER = {0x0D: 0x0E, 0x10: 0x0F}
_SEQUENCE_NAK, _INVALID_NAK, _OPERATIONAL_NAK = 0x60, 0x61, 0x63


def _syndrome(packet: RocePacket) -> int:
    return packet.headers["aeth"]["syndrome"] if "aeth" in packet.headers else 0x1F


def _is_positive(packet: RocePacket) -> bool:
    return _syndrome(packet) < 0x20


def _is_acknowledge(packet: RocePacket) -> bool:
    return packet.bth["opcode"] == _ACKNOWLEDGE and _is_positive(packet)


def _is_covered(answers: Sequence[RocePacket], number: int) -> bool:
    """Whether the next answer says what this ACK says (IBTA volume 1, 9.7.5)."""
    if number + 1 >= len(answers) or not _is_acknowledge(answers[number]):
        return False
    following = answers[number + 1]
    ahead = (following.psn - answers[number].psn) % _PSNS
    # A NAK acknowledges what is before its own PSN, another answer its own as well.
    return ahead < _PSNS // 2 and (_is_positive(following) or ahead > 0)


def _is_second_nak(answers: Sequence[RocePacket], number: int) -> bool:
    """Whether this is the sequence NAK of a packet that came behind one that drew an RNR NAK."""
    if not number or _syndrome(answers[number]) != _SEQUENCE_NAK:
        return False
    before = answers[number - 1]
    return 0x20 <= _syndrome(before) < 0x40 and before.psn == answers[number].psn


def _differs(ours: RocePacket, theirs: RocePacket, used: Counter) -> str | None:
    """Name what differs that must not."""
    for name in ("psn", "dest_qp", "p_key"):
        if ours.bth[name] != theirs.bth[name]:
            return name
    mine, other = ours.bth["opcode"], theirs.bth["opcode"]
    if mine != other:
        # Responses that go on with a READ may begin as if the first had been sent before.
        if _FIRST_TO_OTHER.get(mine) != other:
            return "opcode"
        used["repeated READ begins in the middle"] += 1
    if ours.payload != theirs.payload:
        return "payload"
    if "atomic_ack_eth" in ours.headers and (
        ours.headers["atomic_ack_eth"] != theirs.headers["atomic_ack_eth"]
    ):
        return "original data"
    if "aeth" in ours.headers and "aeth" in theirs.headers:
        if ours.headers["aeth"]["msn"] != theirs.headers["aeth"]["msn"]:
            return "MSN"
        pair = _syndrome(ours), _syndrome(theirs)
        if pair[0] != pair[1]:
            if _is_positive(ours) and _is_positive(theirs):
                used["credits"] += 1
            elif pair == (_INVALID_NAK, _OPERATIONAL_NAK):
                used["NAK of a SEND that is longer than its buffer"] += 1
            else:
                return "syndrome"
    return None


def compare_answers(
    ours: Sequence[RocePacket], theirs: Sequence[RocePacket]
) -> tuple[str | None, Counter]:
    """First difference between the answers of one queue pair, or None; and the freedoms used.

    Free are: which acknowledgements are sent if a later one says as much; credits; a sequence NAK
    behind an RNR NAK; as what the responses to a repeated READ begin; and, because Soft-RoCE does
    not do what 9.7.5 has, the NAK of a SEND that is too long.
    """
    used: Counter = Counter()
    mine, other = 0, 0
    while mine < len(ours) and other < len(theirs):
        freedoms: Counter = Counter()
        different = _differs(ours[mine], theirs[other], freedoms)
        if different is None:
            mine, other = mine + 1, other + 1
        elif _is_covered(ours, mine):
            freedoms, mine = Counter({"acknowledgement more than theirs": 1}), mine + 1
        elif _is_covered(theirs, other):
            freedoms, other = Counter({"acknowledgement less than theirs": 1}), other + 1
        elif _is_second_nak(theirs, other):
            freedoms, other = Counter({"no sequence NAK behind an RNR NAK": 1}), other + 1
        else:
            return f"answer {mine}, PSN {ours[mine].psn}: {different}", used
        used += freedoms
    # At the end, what was said may be said again: duplicates need not all be answered.
    while 0 < other < len(theirs) and theirs[other].headers == theirs[other - 1].headers:
        other += 1
        used["acknowledgement less than theirs"] += 1
    if mine < len(ours) or other < len(theirs):
        return f"{len(ours)} answers, not {len(theirs)}", used
    return None, used
