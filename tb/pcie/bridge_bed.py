"""A BridgeFunction and its model in lockstep."""

import os
import random
from functools import cache
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.pcie.bridge_function import CapturedLayout
from hdl.pcie.parts import ConfigAccessSignature, ErrorEventsLayout, ReportLayout
from sim.pcie import Bridge, BridgeEvents, BridgeModel, Report, ReportKind, Tlp

from .random_tlps import random_tlp
from .route_cases import bridge_to_int
from .segments import header_to_int

__all__ = ["PARAMETERS", "BridgeBench", "random_events"]

_NAMES = ("port", "port_count", "vendor_id", "device_id", "revision_id")
_NAMES += ("max_payload_bytes", "max_link_speed", "max_link_width")
#: Of the function and the model.
PARAMETERS: dict[str, Any] = {name: int(os.environ[name.upper()]) for name in _NAMES}

_REQUEST: Any = ConfigAccessSignature().members["request"].shape
_CAPTURED, _EVENTS, _REPORT = CapturedLayout(), ErrorEventsLayout(), ReportLayout()
NO_EVENTS = BridgeEvents()
_STROBES = [name for name in BridgeEvents.__annotations__ if name != "header"]


def _pack(layout: Any, values: dict[str, int]) -> int:
    """Value of a layout, of plain integers."""
    return sum(value << layout[name].offset for name, value in values.items())


@cache
def _state_to_int(state: Bridge) -> int:
    return bridge_to_int(state, PARAMETERS["port_count"])


def _events_to_int(events: BridgeEvents | None) -> int:
    if events is None:
        return 0
    values = {name: int(getattr(events, name)) for name in _STROBES}
    return _pack(_EVENTS, {**values, "header": header_to_int(events.header)})


def random_events(chance: float) -> BridgeEvents:
    """Events of a cycle, each with probability ``chance``, about any TLP."""
    strobes = {name: random.random() < chance for name in _STROBES}
    strobes["posted"] = random.random() < 0.5
    header = random_tlp(prefixes=0.3).with_changes(poisoned=strobes["poisoned"])
    return BridgeEvents(**strobes, header=header)


class BridgeBench:
    """Drives one cycle after the other, and compares every output in every cycle.

    Attributes
    ----------
    model : BridgeModel
        Where it stands after the cycles so far.
    reports : list of ReportKind
        What was taken.
    """

    def __init__(self, dut: Any):
        self.dut = dut
        self.edge = RisingEdge(dut.clk)
        self.model = BridgeModel(**PARAMETERS)
        self.reports: list[ReportKind] = []
        self._begin()

    def _begin(self) -> None:
        self.model = BridgeModel(**PARAMETERS)
        self._decoded: tuple[bool, int, tuple[int, int, int] | None] = (False, 0, None)
        self._answer = 0
        self.levels()

    def levels(
        self,
        *,
        link_up: bool = False,
        link_speed: int = 0,
        link_width: int = 0,
        internal_bus: int = 0,
    ) -> None:
        """Set the inputs that are no strobes."""
        dut, model = self.dut, self.model
        model.link_up, model.link_speed, model.link_width = link_up, link_speed, link_width
        model.internal_bus = internal_bus
        dut.link_up.value = int(link_up)
        dut.link_speed.value = link_speed
        dut.link_width.value = link_width
        dut.internal_bus.value = internal_bus

    async def start(self) -> None:
        """Start the clock and reset."""
        Clock(self.dut.clk, 2, unit="ns").start()
        await self.reset()

    async def reset(self) -> None:
        """Reset for two cycles, with whatever is under way."""
        dut = self.dut
        dut.rst.value = 1
        dut.clear.value = 0
        dut.access__request.value = dut.events.value = dut.captured.value = 0
        dut.reports__ready.value = 1
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 0
        self._begin()

    async def cycle(
        self,
        *,
        read: int | None = None,
        write: tuple[int, int, int] | None = None,
        function: int = PARAMETERS["port"],
        events: BridgeEvents | None = None,
        captured: tuple[int, int] | None = None,
        clear: bool = False,
        ready: bool = True,
    ) -> int:
        """One cycle with these inputs; gives the read data that are there in it.

        ``read`` is a DW address, ``write`` one with data and byte enables: at most one of them.
        """
        dut, model = self.dut, self.model
        register, data, enables = write or (read or 0, 0, 0)
        asks = read is not None or write is not None
        dut.access__request.value = _pack(
            _REQUEST,
            {
                "valid": int(asks),
                "function": function,
                "register": register,
                "write": int(write is not None),
                "byte_enables": enables,
                "data": data,
            },
        )
        dut.events.value = _events_to_int(events)
        bus, device = captured or (0, 0)
        dut.captured.value = _pack(
            _CAPTURED, {"valid": int(captured is not None), "bus": bus, "device": device}
        )
        dut.clear.value = int(clear)
        dut.reports__ready.value = int(ready)

        await self.edge

        self._compare(ready)
        given = self._answer
        mine, asked, written = self._decoded
        self._answer = model.read(asked) if mine else 0
        model.step(
            write=written if mine else None,
            events=events or NO_EVENTS,
            captured=captured,
            clear=clear,
            ready=ready,
        )
        self._decoded = (asks and function == PARAMETERS["port"], register, write)
        return given

    def _compare(self, ready: bool) -> None:
        dut, model = self.dut, self.model
        data = int(dut.access__read_data.value)
        assert data == self._answer, f"read {data:#010x}, not {self._answer:#010x}"
        state = model.state()
        assert int(dut.state.value) == _state_to_int(state), f"state is not {state}"
        assert bool(dut.hot_reset.value) == model.hot_reset
        assert bool(dut.link_disable.value) == model.link_disable
        assert bool(dut.reports__valid.value) == (model.report is not None)
        if model.report is not None:
            value = int(dut.reports__payload.value)
            offered = {
                name: value >> _REPORT[name].offset & (1 << _REPORT[name].width) - 1
                for name in ("kind", "address", "data")
            }
            found = Report(ReportKind(offered["kind"]), offered["address"], offered["data"])
            assert found == model.report
            if ready:
                self.reports.append(found.kind)

    async def idle(self, cycles: int = 4) -> None:
        """Let cycles pass."""
        for _ in range(cycles):
            await self.cycle()

    async def read(self, address: int) -> int:
        """Read the DW at byte ``address``."""
        await self.cycle(read=address // 4)
        await self.cycle()
        return await self.cycle()

    async def write(self, address: int, data: int, enables: int = 15) -> None:
        """Write the DW at byte ``address``, and wait for the effect."""
        await self.cycle(write=(address // 4, data, enables))
        await self.idle(2)

    async def happen(self, header: Tlp | None = None, **strobes: bool) -> None:
        """Let events happen, and wait for all that follows."""
        events: dict[str, Any] = dict(strobes)
        await self.cycle(events=BridgeEvents(**events, header=header or Tlp(0)))
        await self.idle(6)
