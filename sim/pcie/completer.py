"""Answers of a switch to the requests that it serves or refuses."""

from collections.abc import Sequence

from .rules import Action, Rule
from .tlp import Kind, Tlp

__all__ = ["CompleterModel", "ConfigSpaceModel", "byte_count", "lower_address"]

_READS = (Kind.MEMORY, Kind.MEMORY_LOCKED)
_ATOMICS = (Kind.FETCH_ADD, Kind.SWAP, Kind.COMPARE_AND_SWAP)

SUCCESS = 0
UNSUPPORTED_REQUEST = 1
COMPLETER_ABORT = 4


def _enabled_bytes(request: Tlp) -> list[int]:
    """Offsets, from the first DW on, of the enabled bytes in the first and last DW."""
    last = 4 * (request.length - 1)
    offsets = [byte for byte in range(4) if request.first_be >> byte & 1]
    if last:
        offsets += [last + byte for byte in range(4) if request.last_be >> byte & 1]
    return offsets


def byte_count(request: Tlp) -> int:
    """Byte Count of the first completion (PCI Express Base Specification, 2.3.1.1).

    Of memory reads the bytes from the first enabled one to the last, 1 of a read of none; of
    atomic operations the size of the operand; else 4. 4096 is 0.
    """
    if request.kind in _READS:
        offsets = _enabled_bytes(request)
        return (offsets[-1] - offsets[0] + 1 if offsets else 1) % 4096
    if request.kind in _ATOMICS:
        operands = 2 if request.kind == Kind.COMPARE_AND_SWAP else 1
        return 4 * request.length // operands % 4096
    return 4


def lower_address(request: Tlp) -> int:
    """Lower Address of the first completion (2.3.1.1): 0 but of memory reads."""
    if request.kind not in _READS:
        return 0
    first = _enabled_bytes(request)
    return (request.address & ~3) + (first[0] if first else 0) & 0x7F


class ConfigSpaceModel:
    """Configuration space of the ports' functions: plain memory, 0 at first."""

    def __init__(self):
        self.registers: dict[tuple[int, int], int] = {}

    def read(self, function: int, register: int) -> bytes:
        """One DW."""
        return self.registers.get((function, register), 0).to_bytes(4, "little")

    def write(self, function: int, register: int, enables: int, new: bytes) -> None:
        """Write the bytes that ``enables`` has bits for."""
        old = self.read(function, register)
        merged = bytes(new[n] if enables >> n & 1 else old[n] for n in range(4))
        self.registers[function, register] = int.from_bytes(merged, "little")


class CompleterModel:
    """Serve or refuse requests.

    Parameters
    ----------
    numbers : sequence of int
        ID of each port's function, the upstream port's first; it changes as numbers are captured.
    space : ConfigSpaceModel
        What configuration requests read and write.
    """

    def __init__(self, numbers: Sequence[int], space: ConfigSpaceModel):
        self.numbers = list(numbers)
        self.space = space

    def answer(
        self, ingress: int, request: Tlp, action: Action, rule: Rule, function: int = 0
    ) -> Tlp:
        """Completion that leaves from port ``ingress``."""
        served = action == Action.LOCAL and rule == Rule.CONFIGURATION
        if served and request.data is not None and request.poisoned:
            served = False
        read = None
        if served and request.data is None:
            read = self.space.read(function, request.register)
        elif served and request.data is not None:
            self.space.write(function, request.register, request.first_be, request.data)
            if request.kind == Kind.CONFIGURATION_0:
                self.numbers[0] = request.target & 0xFFF8
        status = UNSUPPORTED_REQUEST
        if served:
            status = SUCCESS
        elif action == Action.ABORT:
            status = COMPLETER_ABORT
        is_locked = request.kind == Kind.MEMORY_LOCKED
        return Tlp(
            kind=Kind.COMPLETION_LOCKED if is_locked else Kind.COMPLETION,
            data=read,
            length=0 if read is None else 1,
            tc=request.tc,
            no_snoop=request.no_snoop,
            relaxed_ordering=request.relaxed_ordering,
            id_ordering=request.id_ordering,
            tag=request.tag,
            requester=request.requester,
            completer=self.numbers[function if served else ingress],
            status=status,
            byte_count=byte_count(request),
            lower_address=lower_address(request),
        )
