"""Everything around an egress under test, and its model."""

import os
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.pcie import EgressModel
from sim.pcie.tlp import Kind, Tlp, TlpClass

from ..stream import chance, start
from ..stream.stream_port import never
from .fake_crosspoint import CreditAmounts, FakeQueue, FakeRow, Lane, fill_rows
from .segments import BeatReader
from .tlp_port import TlpSink

__all__ = ["QUEUES", "SEGMENT_COUNT", "SOURCE_COUNT", "Harness"]

SOURCE_COUNT = int(os.environ["SOURCE_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
QUEUES = [(source, c) for source in range(SOURCE_COUNT) for c in TlpClass]


def make_tlp(tlp_class: TlpClass, source: int, number: int, dwords: int) -> Tlp:
    """TLP that its requester and tag tell from all others."""
    common: dict[str, Any] = {"requester": source, "tag": number & 0x3FFF}
    if random.random() < 0.1:
        common["digest"] = random.randbytes(4)
    payload = random.randbytes(4 * dwords) if dwords else None
    if tlp_class == TlpClass.NON_POSTED:
        kind = Kind.MEMORY if payload is None else Kind.FETCH_ADD
        return Tlp(kind, data=payload, length=dwords or 16, **common)
    kind = Kind.MEMORY if tlp_class == TlpClass.POSTED else Kind.COMPLETION
    if tlp_class == TlpClass.POSTED and payload is None:
        kind = Kind.MESSAGE_TO_ROOT
    return Tlp(kind, data=payload, length=dwords, **common)


class _Sink(TlpSink):
    on_tlp: Callable[[Tlp], None]

    def accept(self, tlp: Tlp) -> None:
        self.on_tlp(tlp)


class Harness:
    """Everything around the egress, stepped at each clock edge.

    Attributes
    ----------
    feeds : list of deque
        Beats of each source that have not arrived yet: lists of rows by class, or None for a
        pause.
    takes : list
        Queue of each row taken, in order.
    received, buried : list of Tlp
        What came out on ``o`` and ``dead``.
    """

    def __init__(self, dut: Any, *, sink_stall: float = 0.0, dead_stall: float = 0.0):
        self.dut = dut
        self.model = EgressModel()
        self.credits = CreditAmounts(dut)
        self.queues = {
            (source, c): FakeQueue(dut, source, c, SEGMENT_COUNT, self._taken)
            for source, c in QUEUES
        }
        self.sink = _Sink(
            dut, "o", SEGMENT_COUNT, pause=chance(sink_stall), continuous=True, running=False
        )
        self.sink.on_tlp = self._sent
        self.dead_pause = chance(dead_stall)
        self.dead = BeatReader(SEGMENT_COUNT)
        self.feeds: list[deque[list[FakeRow | None] | None]] = [
            deque() for _ in range(SOURCE_COUNT)
        ]
        self.counts = dict.fromkeys(QUEUES, 0)
        self.entries: dict[Tlp, Any] = {}
        self.under_way: set[Tlp] = set()
        self.takes: list[tuple[int, TlpClass]] = []
        self.received: list[Tlp] = []
        self.to_bury: deque[Tlp] = deque()
        self.dead_tlps: set[Tlp] = set()
        self.buried: list[Tlp] = []
        self.cycle = 0
        self.first_valid: int | None = None
        self.up_for = self.down_for = 0
        self.settling = 0
        self.dead_ready = 0
        dut.port_up.value = 1
        dut.dead__ready.value = 0
        self.is_up = self.wanted_up = True
        self.in_reset = False
        self.on_step: Callable[[], None] = lambda: None

    async def begin(self) -> None:
        """Release reset; from then on everything is stepped."""
        await start(self.dut)
        cocotb.start_soon(self._run())
        await ClockCycles(self.dut.clk, 3)

    def feed(
        self,
        source: int,
        tlps: list[Tlp],
        *,
        gap: Callable[[], bool] = never,
        pause: Callable[[], bool] = never,
        hold: Callable[[], int] = lambda: 0,
    ) -> None:
        """Let ``tlps`` arrive from ``source``, a beat in each cycle, but for pauses between."""
        waiting = deque(tlps)
        while waiting:
            for beat in fill_rows(waiting, SEGMENT_COUNT, gap):
                for row in beat:
                    if row is None or not any(lane.sop for lane in row.lanes.values()):
                        continue
                    if next(iter(row.lanes.values())).tlp.tlp_class != TlpClass.POSTED:
                        row.hold = hold()
                        row.masked = random.random() < 0.5
                self.feeds[source].append(beat)
            while pause():
                self.feeds[source].append(None)

    def tlp(self, source: int, tlp_class: TlpClass, dwords: int) -> Tlp:
        """Next TLP of a queue."""
        self.counts[source, tlp_class] += 1
        return make_tlp(tlp_class, source, self.counts[source, tlp_class], dwords)

    def mixed(self, source: int, count: int, *, most_dwords: int = 64) -> list[Tlp]:
        """TLPs of all classes and sizes."""
        tlps = []
        for _ in range(count):
            c = random.choice(list(TlpClass))
            most = min(most_dwords, 8) if c == TlpClass.NON_POSTED else most_dwords
            tlps.append(self.tlp(source, c, random.choice([0, 1, random.randint(1, most)])))
        return tlps

    def grant(
        self, tlp_class: TlpClass, headers: int | None = None, data: int | None = None
    ) -> None:
        """Add credits, or let there be no limit."""
        for kind, amount in ((self.credits.headers, headers), (self.credits.data, data)):
            left = kind[tlp_class]
            kind[tlp_class] = None if amount is None or left is None else left + amount
        infinite = float("inf")
        self.model.grant(
            tlp_class,
            infinite if headers is None else headers,
            infinite if data is None else data,
        )

    def grant_all(self) -> None:
        """No class has a limit."""
        for c in TlpClass:
            self.grant(c)

    def set_link(self, up: bool) -> None:
        """Let ``port_up`` change with the next clock edge."""
        self.wanted_up = up

    def _drive_link(self) -> None:
        up = self.wanted_up
        if up == self.is_up:
            return
        if not up:
            self.model.cut()
            self.credits.cut()
            for tlp in self.under_way:
                self.entries[tlp].may_vanish = True
            self.down_for = 0
        self.is_up = up
        self.settling = 20 if up else 0
        self.dut.port_up.value = int(up)

    def reset(self, on: bool) -> None:
        """Begin or end a reset; queues and the model are emptied with the egress."""
        self.in_reset = on
        self.dut.rst.value = int(on)
        self.model = EgressModel()
        self.under_way.clear()
        self.credits.cut()
        for feed in self.feeds:
            feed.clear()
        for queue in self.queues.values():
            queue.flush()

    async def drain(self, cycles: int = 4000) -> None:
        """Wait until all that must leave has left, and nothing else is fed."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)
            if not any(self.feeds) and not self.model.left():
                break
        else:
            raise AssertionError(f"{len(self.model.left())} TLPs did not leave")
        await ClockCycles(self.dut.clk, 12)

    def _taken(self, queue: FakeQueue, lanes: list[Lane]) -> None:
        self.takes.append((queue.source, queue.tlp_class))
        if queue.tlp_class != TlpClass.NON_POSTED:
            return
        # A row that goes on with a request for `dead` goes there whole, though the link is up.
        is_dead = not self.is_up and self.down_for > 1
        is_dead |= not lanes[0].sop and lanes[0].tlp in self.dead_tlps
        for tlp in (lane.tlp for lane in lanes if lane.sop):
            if is_dead:
                self.model.bury(queue.source, tlp)
                self.to_bury.append(tlp)
                self.dead_tlps.add(tlp)
            else:
                self.under_way.add(tlp)
                self.entries[tlp].may_vanish |= not self.is_up

    def _sent(self, tlp: Tlp) -> None:
        self.model.send(tlp.requester, tlp.tlp_class, tlp)
        self.under_way.discard(tlp)
        self.received.append(tlp)

    def _read_dead(self) -> None:
        if self.dut.dead__valid.value and self.dead_ready:
            payload = int(self.dut.dead__payload.value)
            for _, tlp in self.dead.read(payload >> 3):
                assert tlp.requester == payload & 7, "wrong ingress"
                assert tlp == self.to_bury.popleft()
                self.buried.append(tlp)
        self.dead_ready = int(not self.dead_pause())
        self.dut.dead__ready.value = self.dead_ready

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            self.step()

    def step(self) -> None:
        """Do the work of one clock edge."""
        self.cycle += 1
        if self.first_valid is None and self.dut.o__valid.value:
            self.first_valid = self.cycle
        if self.in_reset:
            self.sink.flush()
            self.dead.flush()
        elif not self.is_up:
            self.down_for += 1
            self.sink.flush()
            self.model.vanish()
        else:
            self.sink.step()
            if self.settling:
                self.settling -= 1
                self.model.vanish()
        self._read_dead()
        for source, beats in enumerate(self.feeds):
            for row in (beats.popleft() if beats else None) or ():
                if row is not None:
                    first = next(iter(row.lanes.values()))
                    self.queues[source, first.tlp.tlp_class].rows.append(row)
                    for lane in row.lanes.values():
                        if lane.sop:
                            c = lane.tlp.tlp_class
                            entry = self.model.arrive(source, c, lane.tlp, lane.cost)
                            self.entries[lane.tlp] = entry
        for queue in self.queues.values():
            queue.step()
        self.credits.step()
        self._drive_link()
        self.on_step()
