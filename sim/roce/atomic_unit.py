"""Atomic operations, and their results that are remembered."""

from collections import deque
from dataclasses import dataclass

__all__ = ["AtomicModel", "Operation"]

ACCESS_NAK = 0x62
OPERATION_NAK = 0x63
_ACKNOWLEDGE = 0x1F
_MODULUS = 1 << 64


@dataclass(frozen=True)
class Operation:
    """Job of an atomic unit.

    Parameters
    ----------
    kind : str
        ``swap``, ``add`` or ``replay``.
    queue_pair, psn, msn, operand, compare : int
        As in the request.
    place : int
        Which 8 bytes of memory.
    fault : str
        What goes wrong: nothing, or ``refused``, ``read`` or ``write``.
    """

    kind: str
    queue_pair: int
    psn: int
    msn: int = 0
    operand: int = 0
    compare: int = 0
    place: int = 0
    fault: str = ""


class AtomicModel:
    """Memory of 8-byte numbers that atomic operations change.

    Parameters
    ----------
    resources : int
        Results that are remembered of each queue pair.

    Attributes
    ----------
    memory : dict of int
        By place; 0 where nothing was written.
    read, written : bool
        Whether the last operation read and wrote memory, or tried to.
    """

    def __init__(self, resources: int):
        self.resources = resources
        self.memory: dict[int, int] = {}
        self.results: dict[int, deque[tuple[int, int]]] = {}
        self.read = self.written = False

    def forget(self, queue_pair: int) -> None:
        """Forget the results of a queue pair."""
        self.results.pop(queue_pair, None)

    def execute(
        self, operation: Operation, *, is_forgotten: bool = False
    ) -> tuple[int, int] | None:
        """Syndrome and original (0 with a NAK) of the answer, if there is one.

        With ``is_forgotten``, the queue pair is told to forget while the operation is executed.
        """
        self.read = self.written = False
        queue_pair = operation.queue_pair
        if operation.kind == "replay":
            for psn, original in self.results.get(queue_pair, ()):
                if psn == operation.psn:
                    return _ACKNOWLEDGE, original
            return None
        if operation.fault == "refused":
            self.forget(queue_pair)
            return ACCESS_NAK, 0
        self.read = True
        original = self.memory.get(operation.place, 0)
        if operation.fault == "read":
            self.forget(queue_pair)
            return OPERATION_NAK, 0
        if operation.kind == "add" or original == operation.compare:
            self.written = True
            if operation.fault == "write":
                self.forget(queue_pair)
                return OPERATION_NAK, 0
            addend = original if operation.kind == "add" else 0
            self.memory[operation.place] = (addend + operation.operand) % _MODULUS
        if is_forgotten:
            self.forget(queue_pair)
        else:
            kept = self.results.setdefault(queue_pair, deque(maxlen=self.resources))
            kept.appendleft((operation.psn, original))
        return _ACKNOWLEDGE, original
