"""Messages that end at a switch or begin there."""

from collections.abc import Sequence

from .bridge import Report, ReportKind
from .tlp import Kind, Tlp

__all__ = ["MessageModel"]

PME_TURN_OFF = 0x19
PME_TO_ACK = 0x1B
ASSERT_INTA = 0x20
DEASSERT_INTA = 0x24
_ERRORS = {ReportKind.CORRECTABLE: 0x30, ReportKind.NONFATAL: 0x31, ReportKind.FATAL: 0x33}


class MessageModel:
    """What a switch makes of messages.

    Each method gives what leaves because of it: pairs of egress port and TLP, in any order.

    Parameters
    ----------
    numbers : sequence of int
        ID of each port's function, the upstream port's first.
    """

    def __init__(self, numbers: Sequence[int]):
        self.numbers = list(numbers)
        self.is_up = [True] * len(numbers)
        #: Pins asserted, as pairs of downstream port and pin 0 to 3.
        self.pins: set[tuple[int, int]] = set()
        self.told: set[int] = set()
        self.missing: set[int] | None = None

    @property
    def wires(self) -> set[int]:
        """Upstream wires asserted: pin p of device d drives wire (d + p) mod 4."""
        return {(port - 1 + pin) % 4 for port, pin in self.pins}

    def _downstream(self) -> list[int]:
        return [port for port in range(1, len(self.numbers)) if self.is_up[port]]

    def _settle(self) -> list[tuple[int, Tlp]]:
        """Tell upstream what has changed, once nothing changes any more."""
        if not self.is_up[0]:
            self.told, self.missing = set(), None
            return []
        out = []
        wires = self.wires
        for wire in sorted(wires ^ self.told):
            code = (ASSERT_INTA if wire in wires else DEASSERT_INTA) + wire
            out.append((0, self._message(Kind.MESSAGE_LOCAL, code, self.numbers[0])))
        self.told = wires
        if self.missing is not None and not self.missing:
            out.append((0, self._message(Kind.MESSAGE_GATHER, PME_TO_ACK, self.numbers[0])))
            self.missing = None
        return out

    @staticmethod
    def _message(kind: Kind, code: int, requester: int) -> Tlp:
        return Tlp(kind=kind, four_dwords=True, code=code, requester=requester)

    def receive(self, ingress: int, tlp: Tlp) -> list[tuple[int, Tlp]]:
        """Take a message that the router called local."""
        out: list[tuple[int, Tlp]] = []
        if ingress == 0 and tlp.kind == Kind.MESSAGE_BROADCAST and self.is_up[0]:
            ports = self._downstream()
            out += [(port, tlp) for port in ports]
            if tlp.code == PME_TURN_OFF and self.missing is None:
                self.missing = set(ports)
        if ingress and tlp.kind == Kind.MESSAGE_LOCAL and self.is_up[ingress]:
            if ASSERT_INTA <= tlp.code < ASSERT_INTA + 4:
                self.pins.add((ingress, tlp.code - ASSERT_INTA))
            elif DEASSERT_INTA <= tlp.code < DEASSERT_INTA + 4:
                self.pins.discard((ingress, tlp.code - DEASSERT_INTA))
        if ingress and tlp.kind == Kind.MESSAGE_GATHER and tlp.code == PME_TO_ACK and self.missing:
            self.missing.discard(ingress)
        return out + self._settle()

    def set_link(self, port: int, is_up: bool) -> list[tuple[int, Tlp]]:
        """Take note of a port's link going up or down."""
        self.is_up[port] = is_up
        if not is_up:
            self.pins = {pin for pin in self.pins if pin[0] != port}
            if self.missing:
                self.missing.discard(port)
        return self._settle()

    def report(self, port: int, report: Report) -> list[tuple[int, Tlp]]:
        """Tell the root complex what a port's function reports."""
        if not self.is_up[0]:
            return []
        if report.kind in _ERRORS:
            code = _ERRORS[report.kind]
            message = self._message(Kind.MESSAGE_TO_ROOT, code, self.numbers[port])
            return [(0, message)]
        write = Tlp(
            kind=Kind.MEMORY,
            data=report.data.to_bytes(4, "little"),
            four_dwords=report.address >= 1 << 32,
            length=1,
            requester=self.numbers[port],
            first_be=0xF,
            address=report.address & ~3,
        )
        return [(0, write)]
