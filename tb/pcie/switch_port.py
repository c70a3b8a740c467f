"""Be the link partner of a port of the switch: send and receive TLPs, keep and give credits."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.pcie.tlp import Tlp, TlpClass

from ..stream.stream_port import never
from .segments import to_segments
from .tlp_port import TlpSink, TlpSource

__all__ = ["CreditedSource", "Credits", "SwitchPort", "counts"]

HEADER_BITS, DATA_BITS = 12, 16
CLASS_BITS = HEADER_BITS + DATA_BITS


@dataclass
class Credits:
    """Header and data credits of one class."""

    headers: int
    data: int


def counts(value: int) -> list[Credits]:
    """Fields of a ``CreditCountsLayout``."""
    classes = [value >> CLASS_BITS * number for number in range(3)]
    return [Credits(each & 0xFFF, each >> HEADER_BITS & 0xFFFF) for each in classes]


class CreditedSource(TlpSource):
    """Sender that begins a TLP when the switch has given credits for it.

    Of the TLPs that wait, it begins the oldest that may go: one without credits lets those pass
    that the ordering rules allow to (PCI Express Base Specification, 2.4.1): posted ones pass all
    others, completions pass requests that are not posted.
    """

    def __init__(self, dut: Any, name: str, segment_count: int, **options: Any):
        super().__init__(dut, f"{name}__rx", segment_count, running=False, **options)
        self._rx_credits = dut[f"{name}__rx_credits"]
        self._queues: list[deque[tuple[int, Tlp | None, Sequence[int | None], bool]]]
        self._queues = [deque() for _ in TlpClass]
        self._number = 0
        self.start(False)

    def start(self, up: bool) -> None:
        """Begin a life of the link, or end one: then what waits is forgotten."""
        if not up:
            for queue in self._queues:
                queue.clear()
            self.flush()
        self.consumed = [Credits(0, 0) for _ in TlpClass]
        self.allocated = [Credits(0, 0) for _ in TlpClass]
        self.advertised: list[Credits] | None = None

    def queue(self, tlp: Tlp | None, lanes: Sequence[int | None], *, cheat: bool) -> None:
        """Wait for credits, or with ``cheat`` for none. Raw lanes count as posted."""
        flow = TlpClass.POSTED if tlp is None else tlp.tlp_class
        self._queues[flow].append((self._number, tlp, lanes, cheat))
        self._number += 1

    @property
    def has_work(self) -> bool:
        """Whether there is a TLP to begin or to go on with."""
        return bool(self._open or any(self._queues))

    def read_credits(self) -> None:
        """Read CREDITS_ALLOCATED; credits that were never given away must not come back."""
        self.allocated = counts(int(self._rx_credits.value))
        if self.advertised is None:
            self.advertised = self.allocated
        for flow in TlpClass:
            free, most = self.available(flow), self.advertised[flow]
            assert free.headers <= most.headers and free.data <= most.data, (
                f"{flow.name}: {free} available of {most}: credits were invented"
            )

    def available(self, flow: TlpClass) -> Credits:
        """Credits that may be spent, as of the last look."""
        allocated, consumed = self.allocated[flow], self.consumed[flow]
        return Credits(
            allocated.headers - consumed.headers & (1 << HEADER_BITS) - 1,
            allocated.data - consumed.data & (1 << DATA_BITS) - 1,
        )

    @property
    def is_whole(self) -> bool:
        """Whether every credit that was spent has come back."""
        self.read_credits()
        return all(self.available(flow) == (self.advertised or [])[flow] for flow in TlpClass)

    def _has_credit(self, tlp: Tlp) -> bool:
        free = self.available(tlp.tlp_class)
        return free.headers >= 1 and free.data >= tlp.data_credits

    def take(self) -> tuple[Tlp | None, Sequence[int | None]] | None:
        """Oldest TLP that has credits and need not wait for an older one."""
        looked = False
        posted = self._queues[TlpClass.POSTED]
        for queue in sorted((q for q in self._queues if q), key=lambda each: each[0][0]):
            number, tlp, lanes, cheat = queue[0]
            if posted and queue is not posted and posted[0][0] < number:
                continue
            if tlp is not None and not cheat and not self._has_credit(tlp):
                if looked:
                    continue
                looked = True
                self.read_credits()
                if not self._has_credit(tlp):
                    continue
            queue.popleft()
            if tlp is not None and not tlp.nullified and (not cheat or self._has_credit(tlp)):
                self.consumed[tlp.tlp_class].headers += 1
                self.consumed[tlp.tlp_class].data += tlp.data_credits
            return tlp, lanes
        return None


class _CreditedSink(TlpSink):
    """Receiver that checks each TLP against the credits it has given, and gives them again."""

    def __init__(self, port: "SwitchPort", dut: Any, name: str, segment_count: int, **options: Any):
        super().__init__(dut, f"{name}__tx", segment_count, running=False, **options)
        self.port = port

    def accept(self, tlp: Tlp) -> None:
        """Take one TLP."""
        self.port.take_credits(tlp)
        self.port.on_received(tlp)


class SwitchPort:
    """Link partner of a port with ``TlpPortSignature``.

    Starts with the link down; see :meth:`link`.

    Parameters
    ----------
    dut : handle
        Top level.
    name : str
        The port, as ``ports__0``.
    segment_count : int
        Segments of a beat.
    limits : sequence of Credits
        What is advertised to the switch at first, in each class.
    infinite : int
        As ``tx_infinite``.
    scale : int
        As ``tx_scale``; the limits must be whole units of it.
    return_delay : callable
        Asked for each TLP received: cycles until its credits are given again.
    source_pause, gap, aligned
        As ``pause``, ``gap`` and ``aligned`` of :class:`TlpSource`.
    sink_pause : callable
        As ``pause`` of :class:`TlpSink`.
    on_sent, on_received : callable, optional
        Given each TLP as it begins to go into, and as it has come whole out of the switch; without
        the latter it is put in ``received``.
    speed, width : int
        As ``link_speed`` and ``link_width``.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        segment_count: int,
        *,
        limits: Sequence[Credits] = (Credits(64, 1024), Credits(64, 64), Credits(64, 1024)),
        infinite: int = 0,
        scale: int = 0,
        return_delay: Callable[[], int] = lambda: 0,
        source_pause: Callable[[], bool] = never,
        gap: Callable[[], bool] = never,
        aligned: bool = False,
        sink_pause: Callable[[], bool] = never,
        on_sent: Callable[[Tlp], None] | None = None,
        on_received: Callable[[Tlp], None] | None = None,
        speed: int = 5,
        width: int = 16,
    ):
        self.name = name
        self.limits = [Credits(each.headers, each.data) for each in limits]
        self.infinite = infinite
        self.scale = scale
        self.return_delay = return_delay
        self.starved: set[TlpClass] = set()
        self.source = CreditedSource(
            dut, name, segment_count, pause=source_pause, gap=gap, aligned=aligned, on_sent=on_sent
        )
        self.sink = _CreditedSink(self, dut, name, segment_count, pause=sink_pause)
        self.received = self.sink.received
        self.on_received = on_received or self.received.put_nowait
        self._link_up = dut[f"{name}__link_up"]
        self._tx_limits = dut[f"{name}__tx_limits"]
        self._tx_infinite = dut[f"{name}__tx_infinite"]
        self._tx_scale = dut[f"{name}__tx_scale"]
        self.hot_reset = dut[f"{name}__hot_reset"]
        self.link_disable = dut[f"{name}__link_disable"]
        dut[f"{name}__link_speed"].value = speed
        dut[f"{name}__link_width"].value = width
        self.is_up = False
        self._wait = 0
        self._set(False)
        cocotb.start_soon(self._run())

    def link(self, up: bool = True) -> None:
        """Let the link come up, or go down in the middle of whatever passes.

        Counts begin again; what was queued is forgotten, and so are credits not given again.
        """
        if up != self.is_up:
            self._set(up)

    def _set(self, up: bool) -> None:
        self.is_up = up
        self._link_up.value = int(up)
        # The switch's counts need some cycles to begin again; flow control's first packets would.
        self._wait = 8
        self.source.start(up)
        self.sink.flush()
        self.sink.open()  # what comes while the link is down is lost
        self.visible = [Credits(each.headers, each.data) for each in self.limits]
        self.allocated = [Credits(each.headers, each.data) for each in self.limits]
        self.spent = [Credits(0, 0) for _ in TlpClass]
        self._due: list[tuple[int, TlpClass, int]] = []
        self._tx_infinite.value = self.infinite
        self._tx_scale.value = self.scale
        self._show_limits()

    def send(self, tlp: Tlp, *, cheat: bool = False) -> None:
        """Queue ``tlp``; with ``cheat`` it does not wait for credits."""
        self.source.queue(tlp, to_segments(tlp), cheat=cheat)

    def send_lanes(self, lanes: Sequence[int | None]) -> None:
        """Queue lanes as they are, malformed, without regard to credits; None is an idle lane."""
        self.source.queue(None, lanes, cheat=True)

    def consume(self, flow: TlpClass, headers: int, data: int) -> None:
        """Count credits of malformed lanes that the switch is going to return."""
        self.source.consumed[flow].headers += headers
        self.source.consumed[flow].data += data

    def starve(self, *flows: TlpClass) -> None:
        """Give no more credits of these classes until :meth:`feed`."""
        self.starved.update(flows)

    def feed(self) -> None:
        """Give again all credits that were held back."""
        self.starved.clear()

    @property
    def idle(self) -> bool:
        """Whether all that was queued has been sent."""
        return self.source.idle

    @property
    def is_whole(self) -> bool:
        """Whether the switch has given back every credit that was spent."""
        return self.source.is_whole

    def take_credits(self, tlp: Tlp) -> None:
        """Count what ``tlp`` cost; to have sent it without credits fails the test."""
        if tlp.nullified:
            return
        flow = tlp.tlp_class
        spent, limit = self.spent[flow], self.visible[flow]
        spent.headers += 1
        spent.data += tlp.data_credits
        assert self.infinite >> 2 * flow & 1 or spent.headers <= limit.headers, (
            f"{self.name}: sent without a header credit: {tlp}"
        )
        assert self.infinite >> 2 * flow + 1 & 1 or spent.data <= limit.data, (
            f"{self.name}: sent without data credits: {tlp}"
        )
        self._due.append((self.sink.cycle + self.return_delay(), flow, tlp.data_credits))

    def _give_credits(self) -> None:
        kept = []
        for due in self._due:
            when, flow, units = due
            if when > self.sink.cycle or flow in self.starved:
                kept.append(due)
                continue
            self.allocated[flow].headers += 1
            self.allocated[flow].data += units
        if len(kept) < len(self._due):
            self._due = kept
            self._show_limits()

    def _show_limits(self) -> None:
        shift = 2 * self.scale
        value = 0
        for flow in TlpClass:
            allocated, visible = self.allocated[flow], self.visible[flow]
            visible.headers = allocated.headers >> shift << shift
            visible.data = allocated.data >> shift << shift
            for count, bits, width, offset in (
                (visible.headers, 8, HEADER_BITS, 0),
                (visible.data, 12, DATA_BITS, HEADER_BITS),
            ):
                # Above the field there may be anything.
                field = 1 << bits + shift
                noise = random.getrandbits(width) & ~(field - 1)
                value |= (count & field - 1 | noise) << CLASS_BITS * flow + offset
        self._tx_limits.value = value

    async def _run(self) -> None:
        edge = RisingEdge(self.source.clk)
        while True:
            await edge
            if not self.is_up:
                continue
            if self._wait:
                self._wait -= 1
                self.source.cycle += 1
            else:
                self.source.step()
            self.sink.step()
            if self._due:
                self._give_credits()
