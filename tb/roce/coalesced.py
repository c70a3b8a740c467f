"""Compare the answers of hardware, which may leave acknowledgements out, with the model's."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from sim.roce import RocePacket

__all__ = ["compare_coalesced", "is_job_answer", "is_notification"]

_HALF = 1 << 23
_PSNS = 1 << 24
_ACKNOWLEDGE = 0x11
_CNP = 0x81
_SEQUENCE_NAK = 0x60
#: READ responses and acknowledgements of atomic operations.
_JOB_ANSWERS = frozenset({0x0D, 0x0E, 0x0F, 0x10, 0x12})
#: Of the BTH: made with the payload; and a bit that means nothing without path migration.
_NOT_COMPARED = ("pad_count", "mig_req")


_COVERED = "acknowledgement covered by a later answer"
_LATE = "sequence NAK came late, with a later PSN"
_OVERTAKEN = "NAK overtaken by the answer to what it asked for"
_PASSED = "acknowledgement behind a repeated answer"


def is_job_answer(packet: RocePacket) -> bool:
    """Whether it carries what was asked for: each such packet is sent exactly once."""
    return packet.bth["opcode"] in _JOB_ANSWERS


def is_notification(packet: RocePacket) -> bool:
    """Whether it is a CNP, which has no place in the order of answers."""
    return packet.bth["opcode"] == _CNP


def _is_positive(packet: RocePacket) -> bool:
    return "aeth" not in packet.headers or packet.headers["aeth"]["syndrome"] < 0x20


def _differs(model: RocePacket, sent: RocePacket) -> str | None:
    """Name the first thing that differs; credits of responses are not looked at."""
    for name, value in sent.bth.items():
        if name not in _NOT_COMPARED and value != model.bth.get(name, 0):
            return name
    if model.destination and model.destination != sent.destination:
        return "destination"
    if model.payload != sent.payload:
        return "payload"
    if set(model.headers) != set(sent.headers):
        return "headers"
    if "atomic_ack_eth" in sent.headers and (
        model.headers["atomic_ack_eth"] != sent.headers["atomic_ack_eth"]
    ):
        return "original data"
    if "aeth" in sent.headers:
        if model.headers["aeth"]["msn"] != sent.headers["aeth"]["msn"]:
            return "MSN"
        # A response says how many receive requests are left when it is sent, if at all.
        exact = model.bth["opcode"] == _ACKNOWLEDGE or not _is_positive(sent)
        if exact and model.headers["aeth"]["syndrome"] != sent.headers["aeth"]["syndrome"]:
            return "syndrome"
    return None


def _says(answer: RocePacket, acknowledge: RocePacket) -> bool:
    """Whether ``answer``, sent later, says what ``acknowledge`` would have said.

    Specification: IBTA Architecture Specification volume 1, 9.7.5 (coalesced acknowledgements): a
    positive answer acknowledges its PSN and all before it, a NAK all before its own.
    """
    ahead = (answer.psn - acknowledge.psn) % _PSNS
    return ahead < _HALF and (_is_positive(answer) or ahead > 0)


def _is_sequence_nak(answer: RocePacket) -> bool:
    return (
        answer.bth["opcode"] == _ACKNOWLEDGE and answer.headers["aeth"]["syndrome"] == _SEQUENCE_NAK
    )


def _came_late(nak: RocePacket, following: RocePacket) -> bool:
    """Whether ``following``, a sequence NAK, may be ``nak`` with the PSN behind what has come."""
    if not (_is_sequence_nak(nak) and _is_sequence_nak(following)):
        return False
    ahead = (following.psn - nak.psn) % _PSNS
    more = (following.headers["aeth"]["msn"] - nak.headers["aeth"]["msn"]) % _PSNS
    return 0 < ahead < _HALF and more <= ahead


def _overtakes(following: RocePacket, nak: RocePacket) -> bool:
    """Whether ``following`` says that what ``nak`` was about has come since.

    A sequence NAK stays when a mere acknowledgement comes: it then asks for what is behind.
    """
    ahead = (following.psn - nak.psn) % _PSNS < _HALF
    is_mere = not is_job_answer(following) and _is_positive(following)
    return ahead and not (is_mere and _is_sequence_nak(nak))


def _repeated(model: Sequence[RocePacket]) -> list[bool]:
    """Tell of each response whether it answers what was answered before."""
    newest = None
    found = []
    for answer in model:
        is_new = newest is None or 0 < (answer.psn - newest) % _PSNS < _HALF
        if is_job_answer(answer):
            found.append(not is_new)
        if is_new and _is_positive(answer):
            newest = answer.psn
    return found


def _without(answers: Sequence[RocePacket], repeated: Sequence[bool]) -> list[RocePacket]:
    """Leave out responses that are ``repeated``."""
    marks = iter(repeated)
    return [one for one in answers if not (is_job_answer(one) and next(marks))]


@dataclass(frozen=True)
class _Match:
    """What was sent from ``number`` on is the model's answers from ``left`` on.

    ``late`` is the number of a sequence NAK that is not the model's, of which the model's is not
    found yet; ``used`` are the freedoms that this match took, besides those of ``behind``.
    """

    number: int
    left: int
    late: int | None = None
    used: tuple[str, ...] = ()
    behind: "_Match | None" = None


class _Comparison:
    """Match what was sent with the model's answers, both from their ends.

    From the end, since what is sent is the newest answer that it can be, and whether an answer may
    be missing depends on what is sent later. Where equal answers follow each other, older ones are
    tried if the newest one leads nowhere.
    """

    def __init__(self, model: Sequence[RocePacket], sent: Sequence[RocePacket]):
        self.model, self.sent = model, sent
        self.used: Counter = Counter()
        # How far it came, and why not farther.
        self._least = len(sent) + 1
        self._why = ""

    def run(self) -> str | None:
        """Give the first difference from the end, or None."""
        start = _Match(len(self.sent), len(self.model))
        seen = set()
        choices = [self._choices(start)]
        while choices:
            match = next(choices[-1], None)
            if match is None:
                choices.pop()
            elif match.number < 0:
                while match is not None:
                    self.used.update(match.used)
                    match = match.behind
                return None
            elif (match.number, match.left, match.late) not in seen:
                seen.add((match.number, match.left, match.late))
                choices.append(self._choices(match))
        return self._why

    def _choices(self, match: _Match) -> Iterator[_Match]:
        """Give what the last of those that are not matched may be; the best one first."""
        number, late = match.number - 1, match.late
        answer = self.sent[number] if number >= 0 else None
        why = "nothing more was to be said"
        used: list[str] = []
        for left in reversed(range(match.left)):
            candidate = self.model[left]
            if answer is not None:
                different = _differs(candidate, answer)
                if different is None and late is None:
                    credits = {**answer.headers, "bth": candidate.headers["bth"]}
                    given = ("credits of a response",) if candidate.headers != credits else ()
                    yield _Match(number, left, None, (*used, *given), match)
                why = f"{different} is not that of the model's answer {left}, PSN {candidate.psn}"
            reason = self._why_missing(candidate, late, match.number)
            if not reason:
                if answer is None:
                    why = f"the model's answer {left}, PSN {candidate.psn}, was not sent"
                break
            used.append(reason)
            if reason is _LATE:
                late = None
        else:
            if answer is None and late is None:
                yield _Match(number, 0, None, tuple(used), match)
            elif answer is None and late is not None:
                why = f"a sequence NAK of PSN {self.sent[late].psn} that the model does not send"
        if answer is not None:
            why = f"answer {number} of {len(self.sent)}, PSN {answer.psn}: {why}"
            if _is_sequence_nak(answer) and match.late is None:
                yield _Match(number, match.left, number, (), match)
        if number < self._least:
            self._least, self._why = number, why

    def _why_missing(self, answer: RocePacket, late: int | None, following: int) -> str:
        """Why one of the model's answers may be missing in front of what follows, if it may."""
        if answer.bth["opcode"] != _ACKNOWLEDGE or following == len(self.sent):
            return ""
        if _is_positive(answer):
            return _COVERED if any(_says(other, answer) for other in self.sent[following:]) else ""
        # A NAK waits in the place of acknowledgements: only what is sent next can have taken it.
        after = self.sent[following]
        if late is not None and _came_late(answer, after):
            return _LATE
        may_be_taken = answer.headers["aeth"]["syndrome"] <= _SEQUENCE_NAK
        return _OVERTAKEN if may_be_taken and _overtakes(after, answer) else ""


def compare_coalesced(
    model: Sequence[RocePacket], sent: Sequence[RocePacket]
) -> tuple[str | None, Counter]:
    """First difference between one queue pair's answers and the model's, or None; freedoms used.

    What was sent must be the model's answers, in their order, each with the model's PSN, MSN,
    syndrome, data and addressee, but:

    - A positive acknowledgement (not a response, not a NAK) may be missing if one that is sent
      later says as much: a positive answer with its PSN or one ahead, or a NAK with one ahead.
    - A sequence NAK may be missing if what is sent next is another one with a PSN ahead, which the
      model does not send: it waited until what it asked for had come, and asks for what is behind.
    - A sequence NAK or an RNR NAK may be missing if what is sent next is the response to a READ or
      atomic operation, or another NAK, with its PSN or one ahead: what it asked for has come. An
      RNR NAK also if it is an acknowledgement.
    - Responses to READs and atomic operations may give other credits: any positive syndrome.
    - The response to what was answered before may leave in front of an acknowledgement or NAK, or
      behind it: it stands for none of them. Among responses it keeps its place.

    So the model's last answer, every fatal NAK and every response must be there, and nothing that
    the model did not say. CNPs are not to be among either.
    """
    responses = [[one for one in answers if is_job_answer(one)] for answers in (model, sent)]
    for number, (wanted, found) in enumerate(zip_longest(*responses)):
        if wanted is None or found is None:
            return (
                f"{len(responses[0])} responses, of which {len(responses[1])} were sent",
                Counter(),
            )
        different = _differs(wanted, found)
        if different is not None:
            return f"response {number}, PSN {found.psn}: {different} is another", Counter()
    repeated = _repeated(model)
    comparison = _Comparison(_without(model, repeated), _without(sent, repeated))
    difference = comparison.run()
    if difference is None and any(repeated):
        # If it is not the same with them, they have passed something.
        comparison.used[_PASSED] += _Comparison(model, sent).run() is not None
    return difference, +comparison.used
