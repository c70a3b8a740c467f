"""Golden model of hdl.pcie.Switch: TLPs in, TLPs out, without time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .bridge import BridgeEvents, Report
from .completer import CompleterModel, ConfigSpaceModel
from .defects import defect
from .messages import MessageModel
from .refusals import refusals
from .router import UPSTREAM, Bridge, Decision, RouterModel
from .rules import Action, Rule
from .tlp import Kind, Tlp

__all__ = ["ConfigFunction", "FixedFunction", "SwitchModel", "TraceEntry"]

#: What leaves because of a TLP: egress ports and TLPs, in the order in which they are due.
Sent = list[tuple[int, Tlp]]


class ConfigFunction(Protocol):
    """Type 1 function of a port; sim.pcie.BridgeModel, or what behaves like it."""

    link_up: bool
    internal_bus: int
    hot_reset: bool
    report: Report | None

    def state(self) -> Bridge:
        """Give what the router knows of the port."""
        ...

    def read(self, register: int) -> int:
        """Read DW ``register``."""
        ...

    def step(
        self,
        *,
        write: tuple[int, int, int] | None = None,
        events: BridgeEvents = ...,
        captured: tuple[int, int] | None = None,
        clear: bool = False,
        ready: bool = True,
    ) -> None:
        """Take what came in a cycle."""
        ...


class FixedFunction:
    """Function without registers: all of them are read as 0 and cannot be written.

    Parameters
    ----------
    bridge : Bridge
        Its state, for good; but ``link_up`` also takes the link.
    """

    def __init__(self, bridge: Bridge):
        self.bridge = bridge
        self.link_up = bridge.link_up
        self.internal_bus = 0
        self.hot_reset = False
        self.report: Report | None = None

    def state(self) -> Bridge:
        """Give what the router knows of the port."""
        return replace(self.bridge, link_up=self.bridge.link_up and self.link_up)

    def read(self, register: int) -> int:
        """Read 0."""
        return 0

    def step(self, **_: object) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """Where a TLP went, and why: ``egress`` is None if it did not leave as it came."""

    ingress: int
    egress: int | None
    rule: Rule


class _Space(ConfigSpaceModel):
    """Configuration space of all ports, as the completer accesses it."""

    def __init__(self, functions: Sequence[ConfigFunction]):
        self.functions = functions

    def read(self, function: int, register: int) -> bytes:
        return self.functions[function].read(register).to_bytes(4, "little")

    def write(self, function: int, register: int, enables: int, new: bytes) -> None:
        write = (register, int.from_bytes(new, "little"), enables)
        self.functions[function].step(write=write, ready=False)


class SwitchModel:
    """Takes TLPs one at a time, each with all its consequences.

    ``trace`` has an entry for each TLP but the nullified ones. Links are down at first.

    Parameters
    ----------
    functions : sequence of ConfigFunction
        Of the upstream port, then of the downstream ports.
    max_payload_bytes : int
        Longest payload that the ports can be set to.
    """

    def __init__(self, functions: Sequence[ConfigFunction], *, max_payload_bytes: int = 4096):
        self.functions = list(functions)
        self.max_payload_bytes = max_payload_bytes
        self.router = RouterModel(len(self.functions))
        self.completer = CompleterModel([0] * len(self.functions), _Space(self.functions))
        self.messages = MessageModel([0] * len(self.functions))
        self.trace: list[TraceEntry] = []
        #: What decides about TLPs now.
        self.bridges: list[Bridge] = []
        for port in range(len(self.functions)):
            self.messages.set_link(port, False)
            self.functions[port].link_up = False
        self._settle()

    def set_link(self, port: int, is_up: bool) -> Sent:
        """Raise or drop a link; with the upstream link goes all configuration."""
        self.functions[port].link_up = is_up
        if port == UPSTREAM and not is_up:
            for function in self.functions:
                function.step(clear=True)
        return self._settle()

    def accept(self, ingress: int, tlp: Tlp, *, overflow: bool = False) -> Sent:
        """Receive ``tlp``, which has overflown if there were no credits for it.

        Without link, or while it is being reset or disabled, nothing is received.
        """
        if tlp.nullified or not self.bridges[ingress].link_up:
            return []
        if overflow:
            return self._reject(ingress, tlp, Rule.OVERFLOW, BridgeEvents(overflow=True))
        if defect(tlp, self.max_payload_bytes) is not None:
            return self._reject(ingress, tlp, Rule.MALFORMED, BridgeEvents(malformed=True))
        decision = self.router.route(ingress, tlp, self.bridges)
        self.trace.append(TraceEntry(ingress, decision.egress, decision.rule))
        if decision.egress is not None and not tlp.poisoned and not tlp.is_message:
            return self._act(ingress, tlp, decision)
        found = refusals([(tlp, decision)]).events
        if found:
            refused = decision.action in (Action.UNSUPPORTED, Action.ABORT)
            events = BridgeEvents(
                **dict.fromkeys(found, True), posted=refused and not decision.local, header=tlp
            )
            self.functions[ingress].step(events=events, ready=False)
        return self._act(ingress, tlp, decision) + self._settle()

    def give_up(self, ingress: int, tlp: Tlp) -> Sent:
        """Answer a request that was accepted, but whose egress port lost its link since."""
        answer = self.completer.answer(ingress, tlp, Action.UNSUPPORTED, Rule.LINK_DOWN)
        return self._send(ingress, answer)

    def _act(self, ingress: int, tlp: Tlp, decision: Decision) -> Sent:
        if decision.egress is not None:
            if decision.to_type_0:
                tlp = tlp.with_changes(kind=Kind.CONFIGURATION_0)
            return [(decision.egress, tlp)]
        if not decision.local:
            return []
        if decision.action == Action.LOCAL and decision.rule != Rule.CONFIGURATION:
            return self.messages.receive(ingress, tlp)
        answer = self.completer.answer(
            ingress, tlp, decision.action, decision.rule, decision.function
        )
        if tlp.kind == Kind.CONFIGURATION_0 and tlp.data is not None and answer.status == 0:
            captured = (tlp.target >> 8, tlp.target >> 3 & 31)
            self.functions[UPSTREAM].step(captured=captured, ready=False)
        return self._send(ingress, answer)

    def _reject(self, ingress: int, tlp: Tlp, rule: Rule, events: BridgeEvents) -> Sent:
        self.trace.append(TraceEntry(ingress, None, rule))
        self.functions[ingress].step(events=replace(events, header=tlp), ready=False)
        return self._settle()

    def _send(self, egress: int, tlp: Tlp) -> Sent:
        return [(egress, tlp)] if self.bridges[egress].link_up else []

    def _settle(self) -> Sent:
        """Let all consequences happen: links that are held, numbers, wires, reports."""
        sent: Sent = []
        upper = self.functions[UPSTREAM]
        # What a port shows follows a step behind its registers, and others a step behind that.
        for _ in range(3):
            internal_bus = upper.state().secondary
            for port, function in enumerate(self.functions):
                below = port != UPSTREAM
                function.internal_bus = internal_bus if below else 0
                function.step(clear=below and upper.hot_reset, ready=False)
        self.bridges = [function.state() for function in self.functions]
        numbers = [bridge.identifier for bridge in self.bridges]
        self.completer.numbers = list(numbers)
        self.messages.numbers = list(numbers)
        for port, bridge in enumerate(self.bridges):
            if bridge.link_up != self.messages.is_up[port]:
                sent += self.messages.set_link(port, bridge.link_up)
        for port, function in enumerate(self.functions):
            while function.report is not None:
                sent += self.messages.report(port, function.report)
                function.step(ready=True)
        return sent
