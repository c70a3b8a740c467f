"""Memories at AXI4 ports that do what the specification allows, and some that do not.

Every rule of the specification that binds a manager is checked for each transfer: VALID stays
until READY, and what is offered with it (A3.2.1); INCR bursts of whole, aligned beats that do not
cross 4 KB (A3.4.1); write data in the order of the addresses, WLAST with the last beat (A3.4.1).
"""

import random
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.dma import AxiBurst
from tb.stream.stream_port import never

__all__ = ["AxiReadSlave", "AxiWriteSlave", "okay"]

_ADDRESS_FIELDS = ("id", "addr", "len", "size", "burst", "lock", "cache", "prot", "qos", "region")
_INCR, _CACHE = 1, 3


def okay(address: int) -> int:
    """Response to everything: OKAY."""
    return 0


class _Channel:
    """A channel whose source is the device: checks that it keeps what was refused."""

    def __init__(self, dut: Any, prefix: str, name: str, fields: tuple[str, ...]):
        self.name = name
        self.signals = {field: dut[f"{prefix}__{name}{field}"] for field in fields}
        self.valid = dut[f"{prefix}__{name}valid"]
        self.ready = dut[f"{prefix}__{name}ready"]
        self.ready.value = 0
        self.refused: dict[str, int] | None = None

    def sample(self, in_reset: bool) -> dict[str, int] | None:
        """Transfer of this cycle, if there was one."""
        if in_reset:
            self.refused = None
            return None
        offered = None
        if self.valid.value:
            offered = {field: int(signal.value) for field, signal in self.signals.items()}
        assert self.refused is None or offered == self.refused, f"{self.name} took back an offer"
        if not self.ready.value:
            self.refused = offered
            return None
        self.refused = None
        return offered


def _burst_of(fields: dict[str, int], data_bytes: int) -> AxiBurst:
    """Burst of an address, which is as the manager may send it."""
    burst = AxiBurst(fields["addr"], fields["len"] + 1)
    size = burst.beats * data_bytes
    assert 1 << fields["size"] == data_bytes
    assert fields["burst"] == _INCR
    assert fields["cache"] == _CACHE
    assert not any(fields[name] for name in ("lock", "prot", "qos", "region"))
    assert burst.address % data_bytes == 0
    assert burst.address // 4096 == (burst.address + size - 1) // 4096, "crosses 4 KB"
    return burst


class AxiReadSlave:
    """Answer reads; beats of different IDs come in any order.

    Parameters
    ----------
    dut : handle
        Device, with the port ``axi``.
    data_bytes : int
        Bytes of a beat.
    memory : callable
        Bytes at an address, of a length.
    resp : callable
        RRESP of the beat at an address.
    ready_pause, beat_pause : callable
        When to refuse addresses, and to offer nothing.
    latency : int
        Cycles from an address to its first beat, at least.

    Attributes
    ----------
    silent : set of int
        IDs that get nothing.
    deaf : bool
        Addresses are not taken.
    bursts : dict of deque of AxiBurst
        What was asked for, by ID.
    beats, addresses, stalls : int
        Beats and addresses that were taken, cycles in which a beat was refused.
    strays : deque of int
        IDs of beats to offer that nobody asked for.
    """

    def __init__(
        self,
        dut: Any,
        *,
        data_bytes: int,
        memory: Callable[[int, int], bytes],
        resp: Callable[[int], int] = okay,
        ready_pause: Callable[[], bool] = never,
        beat_pause: Callable[[], bool] = never,
        latency: int = 1,
    ):
        self.dut = dut
        self.data_bytes = data_bytes
        self.memory, self.resp = memory, resp
        self.ready_pause, self.beat_pause = ready_pause, beat_pause
        self.latency = latency
        self.silent: set[int] = set()
        self.deaf = False
        self.strays: deque[int] = deque()
        self.bursts: dict[int, deque[AxiBurst]] = defaultdict(deque)
        self.due: dict[int, deque[tuple[int, int, bool]]] = defaultdict(deque)
        self.beats = self.addresses = self.stalls = self.cycle = 0
        self.first_beat = self.last_beat = -1
        self.channel = _Channel(dut, "axi", "ar", _ADDRESS_FIELDS)
        self.signals = {name: dut[f"axi__r{name}"] for name in ("id", "data", "resp", "last")}
        self.valid = dut["axi__rvalid"]
        self.ready = dut["axi__rready"]
        self.valid.value = 0
        cocotb.start_soon(self._run())

    @property
    def owed(self) -> int:
        """Beats that are still to come."""
        return sum(len(beats) for beats in self.due.values())

    def _take(self, fields: dict[str, int]) -> None:
        burst = _burst_of(fields, self.data_bytes)
        self.addresses += 1
        self.bursts[fields["id"]].append(burst)
        for number in range(burst.beats):
            beat = burst.address + number * self.data_bytes
            last = number == burst.beats - 1
            self.due[fields["id"]].append((self.cycle + self.latency, beat, last))

    def _choose(self) -> tuple[int, int, int, bool] | None:
        """ID, data, response and last of the beat to offer."""
        if self.beat_pause():
            return None
        if self.strays:
            return self.strays.popleft(), random.getrandbits(8 * self.data_bytes), 0, True
        ready = [
            number
            for number, beats in self.due.items()
            if beats and beats[0][0] <= self.cycle and number not in self.silent
        ]
        if not ready:
            return None
        number = random.choice(ready)
        _, beat, last = self.due[number].popleft()
        content = int.from_bytes(self.memory(beat, self.data_bytes), "little")
        return number, content, self.resp(beat), last

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        offered = False
        while True:
            await edge
            self.cycle += 1
            fields = self.channel.sample(bool(self.dut.rst.value))
            if fields is not None:
                self._take(fields)
            self.channel.ready.value = int(not self.deaf and not self.ready_pause())
            if offered and not self.ready.value:
                self.stalls += 1
                continue
            if offered:
                self.beats += 1
                self.last_beat = self.cycle
                self.first_beat = self.cycle if self.first_beat < 0 else self.first_beat
            chosen = self._choose()
            offered = chosen is not None
            self.valid.value = int(offered)
            if chosen is not None:
                for signal, value in zip(self.signals.values(), chosen, strict=True):
                    signal.value = value


class AxiWriteSlave:
    """Take writes into ``content``; responses of different IDs come in any order.

    Parameters
    ----------
    dut : handle
        Device, with the port ``axi``.
    data_bytes : int
        Bytes of a beat.
    resp : callable
        BRESP of the burst at an address.
    address_pause, data_pause, response_pause : callable
        When to refuse addresses, data, and to offer nothing.
    latency : int
        Cycles from a burst's last beat to its response, at least.

    Attributes
    ----------
    silent : set of int
        IDs that get no response.
    deaf : bool
        Nothing is taken.
    content : dict
        Bytes that were written, by address.
    bursts : dict of deque of AxiBurst
        What was written, by ID.
    beats : int
        Beats that were taken.
    strays : deque of int
        IDs of responses to offer that nobody asked for.
    """

    def __init__(
        self,
        dut: Any,
        *,
        data_bytes: int,
        resp: Callable[[int], int] = okay,
        address_pause: Callable[[], bool] = never,
        data_pause: Callable[[], bool] = never,
        response_pause: Callable[[], bool] = never,
        latency: int = 1,
    ):
        self.dut = dut
        self.data_bytes = data_bytes
        self.resp = resp
        self.pauses = (address_pause, data_pause, response_pause)
        self.latency = latency
        self.silent: set[int] = set()
        self.deaf = False
        self.strays: deque[int] = deque()
        self.content: dict[int, int] = {}
        self.bursts: dict[int, deque[AxiBurst]] = defaultdict(deque)
        self.addresses: deque[tuple[int, AxiBurst]] = deque()
        self.words: deque[dict[str, int]] = deque()
        self.due: dict[int, deque[tuple[int, int]]] = defaultdict(deque)
        self.done: dict[int, int] = defaultdict(int)
        self.beats = self.cycle = self.beat = 0
        self.first_beat = self.last_beat = -1
        self.address = _Channel(dut, "axi", "aw", _ADDRESS_FIELDS)
        self.data = _Channel(dut, "axi", "w", ("data", "strb", "last"))
        self.id, self.bresp = dut["axi__bid"], dut["axi__bresp"]
        self.valid, self.ready = dut["axi__bvalid"], dut["axi__bready"]
        self.valid.value = 0
        cocotb.start_soon(self._run())

    @property
    def owed(self) -> int:
        """Responses that are still to come."""
        return sum(len(due) for due in self.due.values())

    def _write(self) -> None:
        """Write the words whose address has come."""
        while self.words and self.addresses:
            number, burst = self.addresses[0]
            word = self.words.popleft()
            self.beat += 1
            is_last = self.beat == burst.beats
            assert word["last"] == is_last, "WLAST"
            base = burst.address + (self.beat - 1) * self.data_bytes
            for place, value in enumerate(word["data"].to_bytes(self.data_bytes, "little")):
                if word["strb"] >> place & 1:
                    self.content[base + place] = value
            if is_last:
                self.beat = 0
                self.addresses.popleft()
                self.bursts[number].append(burst)
                self.due[number].append((self.cycle + self.latency, self.resp(burst.address)))

    def _choose(self) -> tuple[int, int] | None:
        """ID and response to offer."""
        if self.pauses[2]():
            return None
        if self.strays:
            return self.strays.popleft(), 0
        ready = [
            number
            for number, due in self.due.items()
            if due and due[0][0] <= self.cycle and number not in self.silent
        ]
        if not ready:
            return None
        number = random.choice(ready)
        self.done[number] += 1
        return number, self.due[number].popleft()[1]

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        offered = False
        while True:
            await edge
            self.cycle += 1
            in_reset = bool(self.dut.rst.value)
            fields = self.address.sample(in_reset)
            if fields is not None:
                self.addresses.append((fields["id"], _burst_of(fields, self.data_bytes)))
            word = self.data.sample(in_reset)
            if word is not None:
                self.words.append(word)
                self.beats += 1
                self.last_beat = self.cycle
                self.first_beat = self.cycle if self.first_beat < 0 else self.first_beat
            self._write()
            self.address.ready.value = int(not self.deaf and not self.pauses[0]())
            self.data.ready.value = int(not self.deaf and not self.pauses[1]())
            if offered:
                assert self.ready.value, "BREADY is not always set"
            chosen = self._choose()
            offered = chosen is not None
            self.valid.value = int(offered)
            if chosen is not None:
                self.id.value, self.bresp.value = chosen
