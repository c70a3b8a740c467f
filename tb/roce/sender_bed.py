"""Sender in cocotb: rings in memory, and somebody who walks, acknowledges and retires."""

import json
import os
import random
from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hdl.dma.memory_port import MemoryRequestLayout
from hdl.roce.config import RoceConfig
from hdl.roce.peer_layouts import ReplyStateLayout, RetiredLayout
from hdl.roce.send_layouts import (
    GatheredLayout,
    OutstandingWriteLayout,
    SendPacketKind,
    SendPacketLayout,
)
from hdl.roce.send_protocol import DoorbellLayout
from hdl.roce.work_layouts import SendContextLayout
from sim.roce import Memory, SendRequest
from sim.roce.work_entry import SLOT_BYTES, encode_entry

from ..stream import StreamSink, StreamSource, chance, start
from .memory_ports import Beats
from .ports import Packer

__all__ = ["CONFIG", "Bed", "OwnQueuePair"]

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
_SPACE = 1
_RING = 1 << 32
_RING_BYTES = 1 << 24


class OwnQueuePair:
    """What the bed knows of a queue pair."""

    def __init__(self, row: int, ring_shift: int, psn: int):
        self.row = row
        self.ring_shift = ring_shift
        self.producer = 0
        self.psn = psn
        self.reply: dict[str, Any] = {}
        self.position: dict[str, int] = {}
        self.outstanding: dict[int, dict[str, Any]] = {}
        self.walked = 0
        self.is_set_up = False

    @property
    def ring(self) -> int:
        """Where its ring is."""
        return _RING + self.row * _RING_BYTES

    @property
    def free(self) -> int:
        """Slots of the ring that may be written."""
        return (1 << self.ring_shift) - (self.producer - self.position["slot"]) % (1 << 16)


class _Memory(StreamSink):
    """Serve reads in order, each after a random time."""

    def __init__(self, dut: Any, memory: Memory, latency: tuple[int, int], pause: float):
        self.memory, self.latency = memory, latency
        self.beats = Beats(CONFIG.data_bytes)
        self.layout = Packer(MemoryRequestLayout())
        self.data = StreamSource(dut, "reads__data", pause=chance(pause))
        self.responses = StreamSource(dut, "reads__response", pause=chance(pause))
        self.due: deque[tuple[int, dict[str, Any]]] = deque()
        self.refused: Any = None
        self.refuses: Any = lambda address: False
        super().__init__(dut, "reads__request", pause=chance(pause))
        cocotb.start_soon(self._serve())

    def accept(self, value: int) -> None:
        """Take a request."""
        when = self.cycle + random.randint(*self.latency)
        self.due.append((when, self.layout.read(value)))

    async def _serve(self) -> None:
        while True:
            await RisingEdge(self.clk)
            while self.due and self.due[0][0] <= self.cycle:
                _, request = self.due.popleft()
                is_bad = self.refuses(request["address"])
                data = self.memory.read(request["space"], request["address"], request["length"])
                for beat in self.beats.payloads(data, error=is_bad):
                    self.data.send_value(beat)
                self.responses.send_value(request["tag"])


class Bed:
    """The device, its memory, and all that is around it.

    Parameters
    ----------
    dut : handle
    pause : float
        How often ports stall.
    latency : (int, int)
        Of memory.
    """

    def __init__(self, dut: Any, *, pause: float = 0.0, latency: tuple[int, int] = (1, 40)):
        self.dut = dut
        self.memory = Memory()
        self.reads = _Memory(dut, self.memory, latency, pause)
        self.contexts = StreamSource(dut, "contexts")
        self.doorbells = StreamSource(dut, "doorbells", pause=chance(pause))
        self.kicks = [StreamSource(dut, f"kicks__{n}") for n in range(2)]
        self.flushed = StreamSink(dut, "flushed")
        self.packets = StreamSink(dut, "packets", pause=chance(pause))
        self.queue_pairs: dict[int, OwnQueuePair] = {}
        self.sent: dict[int, list[dict[str, Any]]] = {}
        self.kept: deque[tuple[int, dict[str, Any]]] = deque()
        self.walk_latency = (0, 30) if pause else (0, 0)
        self._context = Packer(SendContextLayout(CONFIG))
        self._packers = {
            "gathered": Packer(GatheredLayout(CONFIG)),
            "replies": Packer(ReplyStateLayout(CONFIG)),
            "retired": Packer(RetiredLayout(CONFIG)),
        }
        self._strobes: dict[str, deque[tuple[int, Any]]] = {n: deque() for n in self._packers}
        self._packet = Packer(SendPacketLayout(CONFIG))
        self._outstanding = Packer(OutstandingWriteLayout(CONFIG))
        self._row_bits = CONFIG.bits("queue_pairs")
        self._doorbell = Packer(DoorbellLayout(CONFIG))
        self.cycle = 0
        for name in (*self._packers, "done", "unit_en", "unit_address", "now"):
            dut[name].value = 0

    async def begin(self) -> None:
        """Release reset."""
        cocotb.start_soon(self._run())
        await start(self.dut)
        await self.wait(CONFIG.queue_pairs + 4)

    async def wait(self, cycles: int) -> None:
        """Let cycles pass."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)

    async def set_up(self, row: int, *, ring_shift: int = 5, psn: int = 0, **context: int):
        """Set a queue pair up; give what is known of it."""
        pair = OwnQueuePair(row, ring_shift, psn)
        self.queue_pairs[row] = pair
        self.sent[row] = []
        pair.reply = {"queue_pair": row, "valid": 1, "oldest": psn}
        pair.position = {"sequence": 0, "slot": 0, "psn": psn, "reads": 0, "msn": 0}
        fields = {
            "state": 1,
            "number": 0x100 + row,
            "mtu_shift": 10,
            "psn": psn,
            "reads": CONFIG.resources,
            "window": 1 << 22,
            "ring_space": _SPACE,
            "ring_address": pair.ring,
            "ring_shift": ring_shift,
            **context,
        }
        value = self._context.pack(**fields)
        self.contexts.send_value(value << self._row_bits | row)
        while not pair.is_set_up or not self.contexts.idle:
            await RisingEdge(self.dut.clk)
        return pair

    def post(self, pair: OwnQueuePair, request: SendRequest, *, ring: bool = True) -> None:
        """Put a work request into the ring, and ring its doorbell."""
        self.write(pair, encode_entry(request), ring=ring)

    def write(self, pair: OwnQueuePair, entry: bytes, *, ring: bool = True) -> None:
        """Put an entry into the ring, and ring its doorbell."""
        size = 1 << pair.ring_shift
        for n in range(0, len(entry), SLOT_BYTES):
            place = pair.producer % size
            self.memory.write(_SPACE, pair.ring + place * SLOT_BYTES, entry[n : n + SLOT_BYTES])
            pair.producer = (pair.producer + 1) % (1 << 16)
        if ring:
            self.doorbells.send_value(self._doorbell.pack(queue_pair=pair.row, slot=pair.producer))

    def reply(self, pair: OwnQueuePair, **fields: int) -> None:
        """Publish what replies have made of the queue pair, and retire what has ended."""
        pair.reply |= fields
        self._strobe("replies", pair.reply)
        moved = False
        while (row := pair.outstanding.get(pair.position["sequence"])) is not None:
            ended = (pair.reply["oldest"] - row["end"]["psn"]) % (1 << 24) < 1 << 23
            if row["is_local"] or not ended:
                break
            self.retire(pair)
            moved = True
        for source in self.kicks if moved else self.kicks[:1]:
            source.send_value(pair.row)

    def retire(self, pair: OwnQueuePair) -> None:
        """Take the oldest work request out."""
        row = pair.outstanding.pop(pair.position["sequence"])
        pair.position = row["end"]
        self._strobe("retired", {"queue_pair": pair.row, "valid": 1, "position": pair.position})

    def kick(self, pair: OwnQueuePair) -> None:
        """Give a queue pair a turn."""
        self.kicks[1].send_value(pair.row)

    def _strobe(self, name: str, fields: dict[str, Any]) -> None:
        self._strobes[name].append((self.cycle, self._packers[name].pack(**fields)))

    def _walk(self, packet: dict[str, Any]) -> None:
        """Walk a packet's pieces."""
        pair = self.queue_pairs[packet["queue_pair"]]
        pair.walked = (pair.walked + 1) % 16
        slot = (packet["slot"] + packet["slots"] * packet["last"]) % (1 << 16)
        fields = {"epoch": packet["epoch"], "slot": slot, "count": self.counts(pair.row)}
        self._strobe("gathered", {"valid": 1, "queue_pair": pair.row, **fields})
        if packet["kind"] == SendPacketKind.SET_UP:
            self.reply(pair)
            self._strobe("retired", {"queue_pair": pair.row, "valid": 1, "position": pair.position})
            pair.is_set_up = True
            self._done = pair.row
        else:
            self.sent[pair.row].append(packet)

    _done: int | None = None

    def counts(self, row: int) -> int:
        """Packets of a row that were walked, since reset."""
        self._counts = getattr(self, "_counts", {})
        self._counts[row] = (self._counts.get(row, 0) + 1) % 16
        return self._counts[row]

    async def _run(self) -> None:
        edge = RisingEdge(self.dut.clk)
        done_after = 0
        while True:
            await edge
            self.cycle += 1
            self.dut.now.value = self.cycle * 256 % (1 << 40)
            if self.dut.outstanding.value.to_unsigned() & 1:
                fields = self._outstanding.read(self.dut.outstanding.value.to_unsigned())
                pair = self.queue_pairs[fields["queue_pair"]]
                sequence = fields["row"]["end"]["sequence"]
                rows = 2 * CONFIG.send_requests
                sequence = (sequence - 1) % rows
                assert fields["sequence"] == sequence % CONFIG.send_requests
                assert sequence not in pair.outstanding, "begins twice"
                pair.outstanding[sequence] = fields["row"]
            while not self.packets.received.empty():
                packet = self._packet.read(self.packets.received.get_nowait())
                when = self.cycle + random.randint(*self.walk_latency)
                self.kept.append((when, packet))
            while self.kept and self.kept[0][0] <= self.cycle:
                self._walk(self.kept.popleft()[1])
            for name, values in self._strobes.items():
                ready = values and values[0][0] < self.cycle
                self.dut[name].value = values.popleft()[1] if ready else 0
            done_after = done_after + 1 if self._done is not None else 0
            if done_after == 6 and self._done is not None:
                self.dut.done.value = self._done << 1 | 1
                self._done = None
            else:
                self.dut.done.value = 0
