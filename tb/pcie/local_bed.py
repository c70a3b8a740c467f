"""Everything around hdl.pcie.LocalUnit: routers, queues, functions, and what is expected."""

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.pcie.parts import DeadRowLayout, ReportLayout, RoutedBeatLayout
from hdl.pcie.route import RouteLayout
from sim.pcie import Action, Bridge, Report, Rule, Tlp, TlpClass
from sim.pcie.completer import CompleterModel, ConfigSpaceModel
from tb.stream.stream_port import never

from .route_cases import bridge_to_int
from .segments import SEGMENT_WIDTH, field_of, from_segments, header_from_int, to_segments

__all__ = ["LocalBench", "report_to_int"]

#: Segment and the route of its TLP; None is an idle lane.
Lane = tuple[int, int] | None


def report_to_int(report: Report) -> int:
    """Value of a ``ReportLayout``."""
    fields: dict[Any, Any] = {name: getattr(report, name) for name in Report.__annotations__}
    return ReportLayout().const(fields).as_value().value


class LocalBench:
    """Drive and observe all ports of a LocalUnit, in one coroutine.

    Each answer is compared with the model's as it comes, and must be the next of its input; rows of
    the queues that TLPs enter are counted; so is what is freed.

    Parameters
    ----------
    dut : handle
        Top level.
    port_count, segment_count, row_count, answer_rows : int
        Parameters of the block; both queues of a column have ``row_count`` rows.

    Attributes
    ----------
    pause, dead_pause : callable
        Asked in each cycle and port: true for no beat, no row.
    stays : callable
        Asked in each cycle with a port's number: true keeps its queues from taking a TLP.
    up : list of bool
        Links of the ports.
    bridges : list of Bridge
        Of which the numbers count.
    messages : list of (int, Tlp)
        Posted TLPs that came, with the port that they left from.
    answered : Counter
        Answers by input: ``(False, port)``, or ``(True, port)`` of dead rows.
    cycles : list of int
        Cycle of each TLP that came.
    owed, freed : Counter
        Credits taken and given back, by port, class and kind of credit.
    """

    def __init__(
        self, dut: Any, port_count: int, segment_count: int, row_count: int, answer_rows: int
    ):
        self.dut = dut
        self.row_count = row_count
        self.port_count = port_count
        self.segment_count = segment_count
        self.answer_rows = answer_rows
        self.route = RouteLayout(port_count)
        self.dead_beat_at = DeadRowLayout(segment_count)["beat"].offset
        self.routes_at = RoutedBeatLayout(port_count, segment_count)["routes"].offset

        self.pause: Callable[[], bool] = never
        self.dead_pause: Callable[[], bool] = never
        self.stays: Callable[[int], bool] = lambda port: False
        self.up = [True] * port_count
        self.bridges = [Bridge(bus=1, device=0, link_up=True)] + [
            Bridge(bus=2, device=port - 1, link_up=True) for port in range(1, port_count)
        ]
        # What the device does, and what it shall do: accesses come later than expectations.
        self.functions = ConfigSpaceModel()
        self.model = CompleterModel([b.identifier for b in self.bridges], ConfigSpaceModel())

        self.beats: list[deque[list[Lane]]] = [deque() for _ in range(port_count)]
        self.dead: list[deque[tuple[int, list[int | None]]]] = [deque() for _ in range(port_count)]
        self.reports: list[deque[int]] = [deque() for _ in range(port_count)]
        self.expected: dict[tuple[bool, int], deque[tuple[int, Tlp]]] = {
            (is_dead, port): deque() for is_dead in (False, True) for port in range(port_count)
        }
        self.inputs: dict[tuple[int, int], tuple[bool, int]] = {}
        self.transaction = random.getrandbits(20)

        self.cycle = 0
        self.messages: list[tuple[int, Tlp]] = []
        self.answered: Counter = Counter()
        self.cycles: list[int] = []
        self.owed: Counter = Counter()
        self.freed: Counter = Counter()
        self.captures: list[int] = []
        self._rows = [[0, 0, 0] for _ in range(port_count)]
        self._read: deque[bytes] = deque([bytes(4)])
        self._captured: deque[int | None] = deque([None])
        self._shown: list[Any] = [None] * port_count
        self._offered_dead: list[Any] = [None] * port_count
        self._offered_reports: list[Any] = [None] * port_count

    async def start(self) -> None:
        """Start the clock, reset, and go."""
        self.dut.rst.value = 1
        for port in range(self.port_count):
            self.dut[f"i__{port}"].value = 0
            self.dut[f"left__{port}"].value = 0
            self.dut[f"posted__{port}"].value = 0
            self.dut[f"dead__{port}__valid"].value = 0
            self.dut[f"reports__{port}__valid"].value = 0
        self._show_bridges()
        Clock(self.dut.clk, 2, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 3)
        self._task = cocotb.start_soon(self._run())

    def stop(self) -> None:
        """Drive and observe nothing any more."""
        self._task.cancel()

    # What goes in.

    def named(self, tlp: Tlp) -> Tlp:
        """Give ``tlp`` a transaction ID that no other has."""
        self.transaction += 1
        return tlp.with_changes(
            tag=self.transaction & 0x3FFF, requester=self.transaction >> 14 & 0xFFFF
        )

    def lanes(
        self, tlp: Tlp, action: Action, rule: Rule, *, local: bool, function: int = 0
    ) -> list[Lane]:
        """Lanes of ``tlp``, each with its route."""
        fields: dict[Any, Any] = {"local": local, "function": function}
        route = self.route.const(fields).as_value().value
        route |= action << self.route["action"].offset | rule << self.route["rule"].offset
        return [(segment, route) for segment in to_segments(tlp)]

    def request(
        self, port: int, tlp: Tlp, action: Action, rule: Rule, *, function: int = 0
    ) -> list[Lane]:
        """Lanes of a local request from ``port``, whose answer is expected from now on."""
        self.expect(False, port, port, tlp, action, rule, function)
        return self.lanes(tlp, action, rule, local=True, function=function)

    def expect(
        self,
        is_dead: bool,
        source: int,
        port: int,
        tlp: Tlp,
        action: Action = Action.UNSUPPORTED,
        rule: Rule = Rule.LINK_DOWN,
        function: int = 0,
    ) -> None:
        """Expect the answer to a request of one input, at ``port``."""
        answer = self.model.answer(port, tlp, action, rule, function)
        self.expected[is_dead, source].append((port, answer))
        self.inputs[answer.requester, answer.tag] = (is_dead, source)

    def send(self, port: int, *lanes: Lane) -> None:
        """Queue lanes as beats, as few as they need."""
        for start in range(0, len(lanes), self.segment_count):
            self.beats[port].append(list(lanes[start : start + self.segment_count]))

    def dead_row(self, source: int, ingress: int, tlps: Sequence[Tlp | None]) -> None:
        """Queue a row of requests for port ``source`` that came from ``ingress``."""
        row: list[int | None] = []
        for tlp in tlps:
            row.append(None if tlp is None else to_segments(tlp)[0])
            if tlp is not None and ingress < self.port_count:
                self.expect(True, source, ingress, tlp)
        self.dead[source].append((ingress, row))

    @property
    def is_idle(self) -> bool:
        """Whether everything has gone in and every answer has come."""
        offered = any(self._offered_dead) or any(self._offered_reports)
        queued = any(self.beats) or any(self.dead) or any(self.reports)
        return not (offered or queued or any(self.expected.values()))

    async def drain(self, more: int = 40) -> None:
        """Wait until it is idle, and check that nothing else comes and all credits are back."""
        edge = RisingEdge(self.dut.clk)
        while not self.is_idle:
            await edge
        await ClockCycles(self.dut.clk, more)
        assert self.freed == self.owed, f"freed {self.freed}, not {self.owed}"

    # Each cycle.

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.cycle += 1
            self._watch_output()
            self._serve_config()
            for port in range(self.port_count):
                self._watch_freed(port)
                self._step_queue(port)
                self._step_input(port)
                self._step_dead(port)
                self._step_reports(port)
            self._show_bridges()

    def _watch_output(self) -> None:
        value = int(self.dut.o.value)
        egress = int(self.dut.o_egress.value)
        if not value & 1:
            assert not egress, "a port without a TLP"
            return
        assert egress.bit_count() == 1, f"egress {egress:b}"
        port = egress.bit_length() - 1
        tlp = from_segments([value >> 1])
        self.cycles.append(self.cycle)
        rows = self._rows[port]
        rows[tlp.tlp_class] += 1
        assert rows[tlp.tlp_class] <= self.answer_rows, f"queue {port} overflows"
        if tlp.tlp_class == TlpClass.POSTED:
            self.messages.append((port, tlp))
            return
        source = self.inputs.pop((tlp.requester, tlp.tag), None)
        assert source is not None, f"nobody asked for {tlp}"
        expected = self.expected[source].popleft()
        assert (port, tlp) == expected, f"port {port}: {tlp}, not {expected}"
        self.answered[source] += 1

    def _serve_config(self) -> None:
        request = self.dut.config__request.value
        bits = int(request)
        read = bytes(4)
        if bits & 1:
            function, register = bits >> 1 & 7, bits >> 4 & 0x3FF
            read = self.functions.read(function, register)
            if bits >> 14 & 1:
                new = (bits >> 19 & 0xFFFFFFFF).to_bytes(4, "little")
                self.functions.write(function, register, bits >> 15 & 0xF, new)
        self._read.append(read)
        self.dut.config__read_data.value = int.from_bytes(self._read.popleft(), "little")

        captured = int(self.dut.captured.value)
        self._captured.append(captured >> 1 if captured & 1 else None)
        number = self._captured.popleft()
        if number is not None:
            self.captures.append(number)
            self.bridges[0] = Bridge(bus=number >> 5, device=number & 31, link_up=True)

    def _watch_freed(self, port: int) -> None:
        freed = int(self.dut[f"freed__{port}"].value)
        if freed:
            for tlp_class in TlpClass:
                amounts = freed >> 10 * tlp_class
                self.freed[port, tlp_class, "headers"] += amounts & 1
                self.freed[port, tlp_class, "data"] += amounts >> 1 & 0x1FF
            self.freed = +self.freed

    def _step_queue(self, port: int) -> None:
        left = 0
        for tlp_class, rows in enumerate(self._rows[port]):
            if rows and not self.stays(port):
                self._rows[port][tlp_class] -= 1
                left |= 1 << 3 * tlp_class
        self.dut[f"left__{port}"].value = left

    def _step_input(self, port: int) -> None:
        member = self.dut[f"i__{port}"]
        if not self.beats[port] or not self._has_credits(port) or self.pause():
            member.value = 0
            return
        value = valid = 0
        for lane, content in enumerate(self.beats[port].popleft()):
            if content is None:
                continue
            segment, route = content
            valid |= 1 << lane
            value |= segment << self.segment_count + lane * SEGMENT_WIDTH
            value |= route << self.routes_at + lane * self.route.size
            self._owe(port, segment, route)
        member.value = value | valid

    def _is_taken(self, lane: Lane) -> bool:
        """Whether a TLP begins in ``lane`` that is local, and no broadcast."""
        if lane is None or not field_of(lane[0], "sop"):
            return False
        rule = lane[1] >> self.route["rule"].offset & (1 << self.route["rule"].width) - 1
        return bool(lane[1] >> self.route["local"].offset & 1) and rule != Rule.MESSAGE_BROADCAST

    def _has_credits(self, port: int) -> bool:
        """Whether the headers of the next beat may be sent, whatever their class."""
        more = sum(map(self._is_taken, self.beats[port][0]))
        return all(
            self.owed[port, c, "headers"] - self.freed[port, c, "headers"] + more <= self.row_count
            for c in TlpClass
        )

    def _owe(self, port: int, segment: int, route: int) -> None:
        """Count the credits that a local TLP takes."""
        if self._is_taken((segment, route)):
            tlp = header_from_int(field_of(segment, "header"))
            self.owed[port, tlp.tlp_class, "headers"] += 1
            self.owed[port, tlp.tlp_class, "data"] += tlp.data_credits
            self.owed = +self.owed

    def _step_dead(self, port: int) -> None:
        valid = self.dut[f"dead__{port}__valid"]
        if self._offered_dead[port] and not self.dut[f"dead__{port}__ready"].value:
            return
        self._offered_dead[port] = bool(self.dead[port]) and not self.dead_pause()
        valid.value = int(self._offered_dead[port])
        if self._offered_dead[port]:
            ingress, row = self.dead[port].popleft()
            beat = 0
            for lane, segment in enumerate(row):
                if segment is not None:
                    beat |= 1 << lane | segment << self.segment_count + lane * SEGMENT_WIDTH
            self.dut[f"dead__{port}__payload"].value = ingress | beat << self.dead_beat_at

    def _step_reports(self, port: int) -> None:
        valid = self.dut[f"reports__{port}__valid"]
        if self._offered_reports[port] and not self.dut[f"reports__{port}__ready"].value:
            return
        self._offered_reports[port] = bool(self.reports[port])
        valid.value = int(self._offered_reports[port])
        if self._offered_reports[port]:
            self.dut[f"reports__{port}__payload"].value = self.reports[port].popleft()

    def _show_bridges(self) -> None:
        for port, bridge in enumerate(self.bridges):
            shown = (bridge, self.up[port])
            if self._shown[port] != shown:
                self._shown[port] = shown
                value = bridge_to_int(
                    Bridge(bus=bridge.bus, device=bridge.device, link_up=self.up[port]),
                    self.port_count,
                )
                self.dut[f"bridges__{port}"].value = value
