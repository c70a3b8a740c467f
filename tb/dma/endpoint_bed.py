"""Everything around an endpoint under test, and its model."""

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from sim.dma import EndpointModel
from sim.pcie import OrderChecker
from sim.pcie.tlp import Kind, Tlp, TlpClass

from ..pcie.random_tlps import random_tlp
from ..pcie.segments import BeatReader, header_from_int, header_to_int
from ..pcie.switch_port import Credits, SwitchPort
from ..pcie.tlp_port import TlpSink, TlpSource
from ..stream import StreamSource, chance, start
from ..stream.stream_port import never

__all__ = [
    "AMPLE",
    "ENOUGH",
    "MAX_PAYLOAD_DWORDS",
    "SEGMENT_COUNT",
    "EndpointBed",
    "anything",
    "completion",
    "message",
    "read",
    "some_dwords",
    "write",
]

SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
MAX_PAYLOAD_DWORDS = int(os.environ["MAX_PAYLOAD_BYTES"]) // 4
AMPLE = (Credits(120, 2000), Credits(120, 2000), Credits(120, 2000))
#: Headers or data are short, whichever is used up first: data are two of the longest payloads.
ENOUGH = tuple(Credits(6, MAX_PAYLOAD_DWORDS // 2) for _ in TlpClass)


def _common(options: dict[str, Any]) -> dict[str, Any]:
    return {"requester": 0x0100, "tag": random.getrandbits(10), **options}


def write(dwords: int, **options: Any) -> Tlp:
    """Memory write."""
    return Tlp(
        Kind.MEMORY,
        data=random.randbytes(4 * dwords),
        length=dwords,
        first_be=15,
        last_be=15 if dwords > 1 else 0,
        address=random.getrandbits(40) << 12,
        four_dwords=True,
        **_common(options),
    )


def read(dwords: int = 16, **options: Any) -> Tlp:
    """Memory read."""
    return Tlp(
        Kind.MEMORY,
        length=dwords,
        first_be=15,
        last_be=15 if dwords > 1 else 0,
        address=random.getrandbits(40) << 12,
        four_dwords=True,
        **_common(options),
    )


def completion(dwords: int, **options: Any) -> Tlp:
    """Successful completion."""
    return Tlp(
        Kind.COMPLETION,
        data=random.randbytes(4 * dwords) if dwords else None,
        length=dwords,
        completer=random.getrandbits(16),
        byte_count=4 * dwords & 0xFFF,
        **_common(options),
    )


def anything() -> Tlp:
    """Well-formed TLP of any kind."""
    tlp = random_tlp(most_dwords=MAX_PAYLOAD_DWORDS)
    has_tc = tlp.kind not in (Kind.IO, Kind.CONFIGURATION_0, Kind.CONFIGURATION_1)
    return tlp if has_tc else tlp.with_changes(tc=0)


def message(**options: Any) -> Tlp:
    """Message: posted, without data."""
    return Tlp(Kind.MESSAGE_LOCAL, four_dwords=True, **_common(options))


def some_dwords(most: int = MAX_PAYLOAD_DWORDS) -> int:
    """Length of a payload: short, of a few segments, or anything."""
    return random.choice([1, random.randint(1, min(most, 24)), random.randint(1, most)])


class _Sink(TlpSink):
    on_tlp: Callable[[Tlp], None]

    def accept(self, tlp: Tlp) -> None:
        self.on_tlp(tlp)


class _Tap:
    """TLPs that are taken from a client, seen at the handshake."""

    def __init__(self, source: TlpSource):
        self.source = source
        self.reader = BeatReader(SEGMENT_COUNT)
        self.is_cut = False  # the TLP that is open was not taken from its beginning

    def step(self, *, down: bool) -> list[Tlp]:
        """TLPs that end in this cycle and are going to be sent."""
        if not (self.source.valid.value and self.source.ready.value):
            self.is_cut |= down and self.reader.is_open
            return []
        was_cut = down or self.is_cut
        was_open = self.reader.is_open
        ended = [tlp for _, tlp in self.reader.read(int(self.source.beat.value))]
        begun_before = ended[:1] if was_open else []
        begun_here = ended[1:] if was_open else ended
        taken = [] if down else ([] if was_cut else begun_before) + begun_here
        if self.reader.is_open:
            self.is_cut = down or (was_cut and was_open and not ended)
        else:
            self.is_cut = False
        return taken


class EndpointBed:
    """Link partner, clients and model of an endpoint; every TLP is checked as it passes.

    Parameters
    ----------
    limits : sequence of Credits
        What the partner gives.
    client_stall, client_gap : float
        How often clients pause between beats; leave a lane idle between TLPs.
    link_stall : float
        How often the link refuses a beat.
    completion_stall, request_stall : callable
        Asked in each cycle: whoever takes them does not.
    """

    def __init__(
        self,
        dut: Any,
        *,
        limits: Sequence[Credits] = AMPLE,
        client_stall: float = 0.0,
        client_gap: float = 0.0,
        link_stall: float = 0.0,
        completion_stall: Callable[[], bool] = never,
        request_stall: Callable[[], bool] = never,
        **partner: Any,
    ):
        self.dut = dut
        self.model = EndpointModel()
        self.order = OrderChecker(by_traffic_class=False)
        self.sent: list[Tlp] = []
        self.handed_on: list[Tlp] = []
        pause, gap = chance(client_stall), chance(client_gap)
        self.writes = TlpSource(dut, "writes", SEGMENT_COUNT, pause=pause, gap=gap)
        self.answers = TlpSource(dut, "answers", SEGMENT_COUNT, pause=pause, gap=gap)
        self.reads = StreamSource(dut, "reads", pause=pause)
        self.taps = (_Tap(self.writes), _Tap(self.answers))
        self.link = SwitchPort(
            dut,
            "port",
            SEGMENT_COUNT,
            limits=limits,
            sink_pause=chance(link_stall),
            on_sent=self._received,
            on_received=self._sent,
            **partner,
        )
        self.link.sink.continuous = True
        self.completions = self._sink("completions", completion_stall)
        self.requests = self._sink("requests", request_stall)
        self._spoiled: list[Tlp] = []
        self.cheats = False  # what the partner sends has no credits
        self._was_up = False

    def _sink(self, name: str, pause: Callable[[], bool]) -> TlpSink:
        sink = _Sink(self.dut, name, SEGMENT_COUNT, pause=pause)

        def on_tlp(tlp: Tlp) -> None:
            self.handed_on.append(tlp)
            self.model.hand_on(tlp, completion=name == "completions")

        sink.on_tlp = on_tlp
        return sink

    async def begin(self) -> None:
        """Release reset and bring the link up."""
        await start(self.dut)
        cocotb.start_soon(self._watch())
        await ClockCycles(self.dut.clk, 6)
        self.link.link()
        await ClockCycles(self.dut.clk, 12)

    async def interrupt(self, cycles: int) -> None:
        """Let the link go down, for so long at least, and up again when the endpoint is drained."""
        self.model.lose()
        self.link.link(False)
        await ClockCycles(self.dut.clk, cycles)
        while not self.dut.port__rx_drained.value:
            await ClockCycles(self.dut.clk, 1)
        self.link.link()
        await ClockCycles(self.dut.clk, 12)

    def forget(self) -> None:
        """Forget everything: the endpoint is in reset."""
        for source in (self.writes, self.answers, self.reads):
            source.flush()
        self.taps = (_Tap(self.writes), _Tap(self.answers))
        self.link.link(False)
        self.model = EndpointModel()
        self.order = OrderChecker(by_traffic_class=False)

    def hand_over(self, tlp: Tlp) -> None:
        """Let a client send ``tlp``."""
        if tlp.tlp_class == TlpClass.NON_POSTED:
            self.reads.send_value(header_to_int(tlp))
        elif tlp.tlp_class == TlpClass.POSTED:
            self.writes.send(tlp)
        else:
            self.answers.send(tlp)

    def mixed(self, count: int, *, most: int = MAX_PAYLOAD_DWORDS) -> list[Tlp]:
        """TLPs of all classes and sizes, some with a digest, a prefix or attributes."""
        tlps = []
        for number in range(count):
            options: dict[str, Any] = {
                "tag": number & 0x3FF,
                "relaxed_ordering": random.random() < 0.2,
                "id_ordering": random.random() < 0.2,
            }
            if random.random() < 0.2:
                tlps.append(read(random.randint(1, 1024), **options))
                continue
            if random.random() < 0.1:
                options["digest"] = random.randbytes(4)
            dwords = some_dwords(most)
            if random.random() < 0.5:
                tlps.append(write(dwords, **options))
            else:
                tlps.append(completion(random.choice([0, dwords]), **options))
        return tlps

    def send_spoiled(self, tlp: Tlp, lanes: Sequence[int | None]) -> None:
        """Let the partner send ``lanes``, which are malformed, for the credits of ``tlp``."""
        self._spoiled.append(tlp)
        self.link.source.queue(tlp, lanes, cheat=False)

    def _received(self, tlp: Tlp) -> None:
        is_spoiled = any(tlp is each for each in self._spoiled)
        if not (tlp.nullified or is_spoiled or self.cheats):
            self.model.receive(tlp)

    def _sent(self, tlp: Tlp) -> None:
        self.sent.append(tlp)
        self.order.leave(0, tlp)
        self.model.send(tlp)

    def sent_of(self, tlp_class: TlpClass) -> int:
        """TLPs of a class that have gone to the link."""
        return sum(tlp.tlp_class == tlp_class for tlp in self.sent)

    async def _watch(self) -> None:
        """Note what is taken, cycle by cycle. What is taken in one cycle has no order."""
        edge = RisingEdge(self.dut.clk)
        while True:
            await edge
            if self.dut.rst.value:
                continue
            down = not self._was_up
            self._was_up = bool(self.dut.port__link_up.value)
            if down:
                self.model.cut()
                self.order.discard_all(0)
            taken = []
            if self.reads.valid.value and self.reads.ready.value and not down:
                taken.append(header_from_int(int(self.reads.payload.value)))
            for tap in reversed(self.taps):
                taken += tap.step(down=down)
            for tlp in taken:
                self.model.take(tlp)
                if not tlp.nullified:
                    self.order.accept(0, 0, tlp)

    @property
    def is_idle(self) -> bool:
        """Whether all clients have handed over what they had."""
        return self.writes.idle and self.answers.idle and self.reads.idle

    async def drain(self, cycles: int = 20000) -> None:
        """Wait until nothing is left anywhere."""
        for _ in range(cycles // 10):
            await ClockCycles(self.dut.clk, 10)
            if self.is_idle and self.link.idle and self.model.is_drained:
                break
        assert self.is_idle, "a client is stuck"
        assert self.model.is_drained, "something never came out"
        await ClockCycles(self.dut.clk, 20)
        assert self.link.is_whole, "credits were not given back"
