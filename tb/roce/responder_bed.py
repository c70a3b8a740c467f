"""The whole responder in cocotb: its driver, its memory, its network."""

import json
import os
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.config import RoceConfig
from sim.roce import Memory, RocePacket, parse

from .coalesced import is_job_answer
from .memory_ports import Beats, Later, ReadPort, WritePort
from .parsed_responder import Parsed, ParsedResponder
from .ports import Offer, Packer, Stalls, Taker
from .responder_driver import DRIVER_PORTS, PATIENCE, Driver

__all__ = ["Bed", "config_from_environment", "shape_of"]

_READS, _WRITES = ("reads", "atomic_reads"), ("writes", "atomic_writes")
_EVENTS = ("access", "request", "limit", "operation")
_MAC = 0x0200_0000_0002
#: Cycles without anything at any port after which nothing hides inside: what it takes to throw
#: away a few packets of 4 KiB, and some hundreds for the stages behind the parser.
_MARGIN_CYCLES = 300
_HIDDEN_BYTES = 3 * 4300
#: Beats that wait outside at most.
_WAITING_BEATS = 4096


@cache
def _component(kind: Callable[..., Parsed], config: RoceConfig) -> Any:
    """Make the device, whose signature tells of its ports: once for all tests."""
    return kind(config=config)


def config_from_environment() -> RoceConfig:
    """Read the configuration that ``ROCE_CONFIG`` (JSON) has."""
    return RoceConfig(**json.loads(os.environ["ROCE_CONFIG"]))


def shape_of(component: Any, name: str) -> Any:
    """Layout of a stream's payload, by the name of its port."""
    signature = component.signature
    for part in name.split("__"):
        signature = signature.members[part].signature
    return signature.members["payload"].shape


class Bed(Driver):
    """Engine of :class:`tb.roce.player.Engine` that is the hardware.

    One coroutine drives all ports: it looks at ``activity`` once in a cycle.

    Parameters
    ----------
    dut : handle
        A :class:`ParsedResponder`.
    config : RoceConfig
    stalls : Stalls
        Of all streams of the device.
    latency : (int, int)
        Cycles that memory takes, at least and at most.
    queue_shift : int
        Entries of each completion queue, as a power of two.
    card_v4, card_v6 : bytes
        Our addresses.

    Attributes
    ----------
    damaged : int
        Frames that the device itself marked as not to be sent.
    """

    #: What stands in front of the network.
    component: type[Parsed] = ParsedResponder
    driver_ports: tuple[str, ...] = DRIVER_PORTS
    read_ports: tuple[str, ...] = _READS

    def __init__(
        self,
        dut: Any,
        config: RoceConfig,
        *,
        stalls: Stalls | None = None,
        latency: tuple[int, int] = (4, 60),
        queue_shift: int = 6,
        card_v4: bytes = bytes(4),
        card_v6: bytes = bytes(16),
    ):
        self.dut = dut
        component = _component(self.component, config)
        self._bits = {name: 1 << n for n, name in enumerate(component.handshakes)}
        self._offers: dict[int, Offer] = {}
        self._live: dict[int, Offer] = {}
        self._takers: dict[int, Taker] = {}
        self._paused: dict[int, Taker] = {}
        ports = {
            name: (self._offer(name, Stalls()), Packer(shape_of(component, name)))
            for name in self.driver_ports
        }
        super().__init__(config, ports, Memory(), Later(), queue_shift)
        self.quiet_cycles = (
            component.parser.latency + _HIDDEN_BYTES // config.data_bytes + _MARGIN_CYCLES
        )
        self.beats = Beats(config.data_bytes)
        self.answers: list[RocePacket] = []
        self.job_answers: Counter[int] = Counter()
        self.events: list[tuple[str, int]] = []
        self.congested: list[int] = []
        self.interrupts: list[int] = []
        self.queue_errors: list[int] = []
        self._source: dict[int, bytes] = {}
        self._frame: list[int] = []
        self._last_busy = self._last_moved = 0
        self._answered = 0
        self.damaged = 0

        stalls = stalls or Stalls()
        self.i = self._offer("i", stalls)
        self._take("o", self._take_beat, stalls)
        self.reads = {name: self._serve_reads(name, stalls, latency) for name in self.read_ports}
        self.writes = {name: self._serve_writes(name, stalls, latency) for name in _WRITES}
        events = Packer(shape_of(component, "async_events"))
        self._take("interrupts", self.interrupts.append, stalls)
        self._take("async_events", lambda value: self._event(**events.read(value)), stalls)
        self._take("queue_errors", self.queue_errors.append, stalls)
        self._take("congested", self._take_congested, stalls)
        self._taker_mask = sum(self._takers)
        self._identity = Packer(component.signature.members["identity"].shape)
        self.set_cards(card_v4, card_v6)
        dut.cnp_interval.value = 0
        dut.tick.value = 0

    # Ports.

    def _offer(self, name: str, stalls: Stalls) -> Offer:
        bit = self._bits[name]
        self._offers[bit] = offer = Offer(self.dut, name, stalls, bit=bit, live=self._live)
        return offer

    def _take(self, name: str, accept: Callable[[int], None], stalls: Stalls) -> None:
        self._takers[self._bits[name]] = Taker(self.dut, name, accept, stalls)

    def taker(self, name: str) -> Taker:
        """Give who takes what a stream of the device gives."""
        return self._takers[self._bits[name]]

    def _serve_reads(self, name: str, stalls: Stalls, latency: tuple[int, int]) -> ReadPort:
        responses = self._offer(f"{name}__response", stalls)
        data = self._offer(f"{name}__data", stalls)
        port = ReadPort(self.later, self.memory, responses, latency, data, self.beats)
        self._take(f"{name}__request", port.request, stalls)
        return port

    def _serve_writes(self, name: str, stalls: Stalls, latency: tuple[int, int]) -> WritePort:
        responses = self._offer(f"{name}__response", stalls)
        port = WritePort(self.later, self.memory, responses, latency, self.beats)
        self._take(f"{name}__request", port.request, stalls)
        self._take(f"{name}__data", port.data, stalls)
        return port

    async def start(self) -> None:
        """Start the clock and reset the device."""
        self.dut.rst.value = 1
        Clock(self.dut.clk, 2, unit="ns").start()
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        cocotb.start_soon(self._run())
        await self.wait(10)

    async def _run(self) -> None:
        edge, activity = RisingEdge(self.dut.clk), self.dut.activity
        later, takers, paused, live = self.later, self._takers, self._paused, self._live
        while True:
            await edge
            later.cycle = cycle = later.cycle + 1
            active = int(activity.value)
            taken = active & self._taker_mask
            if taken:
                self._last_busy = self._last_moved = cycle
                while taken:
                    bit = taken & -taken
                    taken ^= bit
                    if takers[bit].step(cycle):
                        paused[bit] = takers[bit]
            if paused:
                for bit, taker in list(paused.items()):
                    if not taker.wake(cycle, bool(active & bit)):
                        del paused[bit]
            if live:
                self._last_busy = cycle
                for bit, offer in list(live.items()):
                    if offer.step(cycle, bool(active & bit)):
                        self._last_moved = cycle
                    if not offer.is_offered and not offer.values:
                        del live[bit]
            later.step()

    def set_cards(self, *addresses: bytes) -> None:
        """Give the device its IP addresses."""
        self._source |= {len(address): address for address in addresses}
        numbers = {len(a): int.from_bytes(a, "big") for a in self._source.values()}
        self.dut.identity.value = self._identity.pack(
            mac=_MAC, ipv4=numbers.get(4, 0), ipv6=numbers.get(16, 0)
        )

    def clear_memory(self) -> None:
        """Make all memory 0 but completion queues."""
        for (space, number), block in self.memory.blocks():
            if not self.is_own(space, number << 12) and any(block):
                self.memory.write(space, number << 12, bytes(len(block)))

    # What the device gives.

    def _take_beat(self, payload: int) -> None:
        self._frame.append(payload)
        if not self.beats.is_last(payload):
            return
        frame, error = self.beats.packet(self._frame)
        self._frame = []
        if error:  # who sends it drops it
            self.damaged += 1
            return
        packet = parse(frame)
        assert packet.source == self._source[len(packet.source)], f"answer from {packet.source}"
        assert int.from_bytes(frame[6:12], "big") == _MAC
        self._answered += 1
        if is_job_answer(packet):
            self.job_answers[packet.bth["dest_qp"]] += 1
        self.answers.append(packet)

    def _event(self, kind: int, number: int) -> None:
        self.events.append((_EVENTS[kind], number))

    def _take_congested(self, row: int) -> None:
        self.congested.append(self._numbers[row])

    # Frames in, and waiting.

    async def send(self, frame: bytes) -> None:
        """Put a frame in; wait while many beats wait."""
        if self.is_dirty:
            await self.told()
            await self.wait(20)
            self.is_dirty = False
        for beat in self.beats.payloads(frame):
            self.i.put(beat)
        since = self.later.cycle
        while len(self.i.values) >= _WAITING_BEATS:
            self._check_progress(since)
            await self.wait(16)

    def _why_busy(self) -> list[str]:
        return [
            *(offer.name for offer in self._offers.values() if not offer.is_idle),
            *(name for name, port in self.reads.items() if port.pending),
            *(name for name, port in self.writes.items() if not port.is_idle),
            *(["o: in a packet"] if self._frame else []),
        ]

    def _check_progress(self, since: int) -> None:
        idle = self.later.cycle - max(self._last_moved, since)
        assert idle < PATIENCE, f"nothing moves for {idle} cycles; busy: {self._why_busy()}"

    async def settle(self) -> None:
        """Wait until nothing happens any more."""
        since = self.later.cycle
        self._last_busy = max(self._last_busy, since - self.quiet_cycles // 2)
        while True:
            left = self._last_busy + self.quiet_cycles - self.later.cycle
            if left <= 0 and not self._why_busy() and self.later.is_idle:
                return
            self._check_progress(since)
            await self.wait(max(left, 16))

    async def progress(self) -> None:
        """Wait for an answer."""
        before, since = self._answered, self.later.cycle
        while self._answered == before:
            self._check_progress(since)
            await self.wait(8)
