"""Everything around hdl.roce.Gather, compared with what its world expects."""

import json
import os
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotb.utils import get_sim_time

from hdl.dma import MemoryRequestLayout
from hdl.roce.config import RoceConfig
from hdl.roce.key_check import KeyRowLayout
from hdl.roce.send_layouts import (
    FrameLayout,
    GatheredLayout,
    ReadPlaceLayout,
    SendPacketKind,
    SendPacketLayout,
    SentLayout,
)
from hdl.roce.translator import KeyStateLayout, PageLayout
from hdl.roce.work_layouts import SendContextLayout
from sim.roce.work_entry import SLOT_BYTES
from sim.stream import Packet as Data

from ..stream import PacketSink, PacketSource, StreamSink, StreamSource, chance
from .gather_world import Expected, Packet, World
from .key_rows import key_row
from .ports import Packer

__all__ = ["CONFIG", "DATA_BYTES", "Bed"]

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
DATA_BYTES = CONFIG.data_bytes
_UNIT_BYTES = 16

_PACKET = Packer(SendPacketLayout(CONFIG))
_CONTEXT = Packer(SendContextLayout(CONFIG))
_FRAME = Packer(FrameLayout(CONFIG))
_GATHERED = Packer(GatheredLayout(CONFIG))
_READ_PLACE = Packer(ReadPlaceLayout(CONFIG))
_SENT = Packer(SentLayout(CONFIG))
_REQUEST = Packer(MemoryRequestLayout())
_KEY_STATE = Packer(KeyStateLayout(CONFIG))
_PAGE = Packer(PageLayout(CONFIG))
_KEY = Packer(KeyRowLayout(CONFIG))


class MemoryReads(StreamSink):
    """Memory to read: ``latency()`` cycles or more from a request to its data, in order."""

    def __init__(self, dut: Any, world: World, latency: Callable[[], int], stall: float):
        self.world = world
        self.latency = latency
        self.spans: list[tuple[int, int, int]] = []
        self.data = PacketSource(dut, "reads__data", DATA_BYTES, pause=chance(stall))
        self.due: deque[tuple[int, tuple[int, int, int]]] = deque()
        dut.reads__response__valid.value = 0
        super().__init__(dut, "reads__request", pause=chance(stall))
        cocotb.start_soon(self._serve())

    def accept(self, value: int) -> None:
        """Take a request."""
        request = _REQUEST.read(value)
        span = request["space"], request["address"], request["length"]
        assert 0 < span[2] <= 4096
        self.spans.append(span)
        self.due.append((self.cycle + self.latency(), span))

    @property
    def idle(self) -> bool:
        """Whether nothing is to be read."""
        return not self.due and self.data.idle

    def flush(self) -> None:
        """Forget all."""
        super().flush()
        self.spans.clear()
        self.due.clear()
        self.data.flush()

    async def _serve(self) -> None:
        edge = RisingEdge(self.clk)
        while True:
            await edge
            while self.due and self.due[0][0] <= self.cycle:
                _, span = self.due.popleft()
                self.data.send(Data(self.world.memory.read(*span), self.world.refuses(span)))


class Frames(StreamSink):
    """Take frames; if ``is_patient``, one with data only when its data have begun."""

    def __init__(self, dut: Any, bed: "Bed", pause: Callable[[], bool], *, is_patient: bool):
        self.bed = bed
        self.is_patient = is_patient
        self.with_data = 0
        self._stall = pause
        super().__init__(dut, "frames", pause=self._must_wait)

    def accept(self, value: int) -> None:
        """Take a frame; what is to be known of a READ is known by now."""
        super().accept(value)
        self.with_data += bool(_FRAME.read(value)["payload_bytes"])
        self.bed.frames_at.append(get_sim_time("step"))

    def _must_wait(self) -> bool:
        if not self.is_patient:
            return self._stall()
        if self.ready.value or not self.valid.value:
            return True
        has_data = _FRAME.read(int(self.payload.value))["payload_bytes"]
        return bool(has_data) and self.bed.data.begun <= self.with_data


class FrameData(PacketSink):
    """Take data; if ``waits``, of a packet only when its frame has been taken."""

    begun = 0

    def __init__(self, dut: Any, bed: "Bed", pause: Callable[[], bool], *, waits: bool):
        self.bed = bed
        self.waits = waits
        self._stall = pause
        super().__init__(dut, "data", DATA_BYTES, pause=self._must_wait)

    def accept(self, value: int) -> None:
        """Take a beat."""
        self.begun += not self._beats
        super().accept(value)

    def _must_wait(self) -> bool:
        if not self.waits:
            return self._stall()
        # One beat at a time, so that none of the next packet is taken with it.
        return bool(self.ready.value) or self.bed.frames.with_data < self.begun + (not self._beats)


class Bed:
    """The device, and who is around it."""

    def __init__(
        self,
        dut: Any,
        world: World,
        *,
        pause: float = 0.0,
        stall: float = 0.0,
        latency: tuple[int, int] = (5, 5),
        first: str = "",
    ):
        self.dut = dut
        self.world = world
        self.packets = StreamSource(dut, "i", pause=chance(pause))
        self.keys = StreamSource(dut, "keys")
        self.key_states = StreamSource(dut, "key_states")
        self.pages = StreamSource(dut, "pages")
        self.rival = StreamSource(dut, "rival")
        self.key_rows = StreamSink(dut, "key_rows", pause=chance(stall))
        self.memory = MemoryReads(dut, world, lambda: random.randint(*latency), stall)
        self.frames_at: list[float] = []
        self.places_seen: list[tuple[float, dict[str, Any]]] = []
        self.data = FrameData(dut, self, chance(stall), waits=first == "frame")
        self.frames = Frames(dut, self, chance(stall), is_patient=first == "data")
        self.sent = StreamSink(dut, "sent", pause=chance(stall))
        # Slots on chip; what is not there reads as anything.
        self.units: dict[tuple[int, int], bytes] = {}
        # Of each queue pair: the first slot in use, and that behind the last one.
        self.used: dict[int, list[int]] = {}
        self.walks: dict[int, deque[tuple[int, int, int]]] = {}
        self.walked = 0
        self.given = 0
        dut.context.value = 0
        dut.unit.value = 0
        cocotb.start_soon(self._watch())

    async def fill(self) -> None:
        """Write the tables."""
        for region in self.world.regions:
            index = region.key >> 8
            row = self.world.page_rows[index]
            self.keys.send_value(_KEY.pack(key=index, row=key_row(region, page_row=row)))
            known = index not in self.world.unknown
            state = _KEY_STATE.pack(key=index, valid=known, variant=region.key & 255)
            self.key_states.send_value(state)
            for number, (space, address) in enumerate(region.pages):
                self.pages.send_value(_PAGE.pack(row=row + number, space=space, page=address >> 12))
        while not (self.keys.idle and self.key_states.idle and self.pages.idle):
            await ClockCycles(self.dut.clk, 1)
        await ClockCycles(self.dut.clk, CONFIG.queue_pairs + 4)

    async def _watch(self) -> None:
        """Serve units; look at strobes."""
        dut = self.dut
        edge = RisingEdge(dut.clk)
        while True:
            await edge
            if dut.rst.value:
                continue
            if dut.unit_en.value:
                address = int(dut.unit_address.value)
                content = self.units.get((address >> 2, address & 3))
                dut.unit.value = (
                    random.getrandbits(128)
                    if content is None
                    else int.from_bytes(content, "little")
                )
            gathered = int(dut.gathered.value)
            if gathered & 1:
                self._walked(_GATHERED.read(gathered))
            place = int(dut.places.value)
            if place & 1:
                self.places_seen.append((get_sim_time("step"), _READ_PLACE.read(place)))

    def _walked(self, strobe: dict[str, Any]) -> None:
        pair = strobe["queue_pair"]
        expected = self.walks[pair].popleft()
        assert (strobe["epoch"], strobe["slot"], strobe["count"]) == expected
        first, _ = self.used[pair]
        while first != strobe["slot"]:
            for unit in range(SLOT_BYTES // _UNIT_BYTES):
                del self.units[self._slot(pair, first), unit]
            first = (first + 1) % (1 << 16)
        self.used[pair][0] = first
        self.walked += 1

    @staticmethod
    def _slot(pair: int, slot: int) -> int:
        """Place of a slot on chip: the address without its unit."""
        return pair << CONFIG.bits("send_slots") | slot % CONFIG.send_slots

    async def _give(self, packet: Packet) -> None:
        """Give a packet when its slots are on chip."""
        pair = packet.pair
        index = pair.index
        edge = RisingEdge(self.dut.clk)
        fields: dict[str, Any] = {
            "kind": packet.kind.value,
            "queue_pair": index,
            "service": packet.service.value,
            "epoch": packet.epoch,
            "is_new": packet.is_new,
            "reads": packet.reads,
            "count": packet.count,
            "first": packet.begin,
            "domain": packet.domain,
            "number": pair.number,
            "slot": packet.slot,
            "last": packet.last,
            "offset": packet.offset,
            "length": packet.length,
            "status": packet.status,
        }
        end = packet.slot
        if packet.kind is SendPacketKind.SET_UP:
            # The context is held until this one has passed.
            while self.walked < self.given:
                await edge
            space, address, slots = packet.ring
            shift = slots.bit_length() - 1
            self.dut.context.value = _CONTEXT.pack(
                ring_space=space, ring_address=address, ring_shift=shift
            )
            self.used[index] = [packet.slot, packet.slot]
        if packet.entry is not None:
            entry = packet.entry
            await self._load(packet)
            inline = entry.request.inline is not None
            fields.update(
                slots=entry.slots,
                inline=inline,
                pieces=0 if inline else entry.data[2],
            )
            if packet.last:
                end = (packet.slot + entry.slots) % (1 << 16)
        is_data = packet.kind is SendPacketKind.DATA
        frame = {
            "row": index,
            "opcode": packet.opcode,
            "psn": packet.psn,
            "words": sum(word << 32 * n for n, word in enumerate(packet.words)),
            "payload_bytes": packet.length if is_data else 0,
        }
        pair.count = (pair.count + 1) % 16
        self.walks.setdefault(index, deque()).append((packet.epoch, end, pair.count))
        self.given += 1
        self.packets.send_value(_PACKET.pack(frame=frame, **fields))

    async def _load(self, packet: Packet) -> None:
        """Bring the slots of a packet on chip, if they are not, when there is room."""
        entry, index = packet.entry, packet.pair.index
        assert entry is not None
        edge = RisingEdge(self.dut.clk)
        while True:
            first, end = self.used[index]
            if (packet.slot - first) % (1 << 16) < (end - first) % (1 << 16):
                return
            if (end - first) % (1 << 16) + entry.slots <= CONFIG.send_slots:
                break
            await edge
        assert packet.slot == end
        for number in range(4 * entry.slots):
            content = entry.data[_UNIT_BYTES * number : _UNIT_BYTES * (number + 1)]
            self.units[self._slot(index, packet.slot + number // 4), number % 4] = content
        self.used[index][1] = (end + entry.slots) % (1 << 16)

    @property
    def ports(self) -> tuple[StreamSource | StreamSink, ...]:
        """All that has to forget when the device does."""
        return (self.packets, self.rival, self.memory, self.data, self.frames, self.sent)

    def forget(self) -> None:
        """Forget what is under way; with a reset of the device and of ``ports``."""
        self.compared.cancel()
        self.units.clear()
        self.walks.clear()
        self.walked = self.given = 0
        self.frames.with_data = self.data.begun = 0
        for pair in self.world.pairs.values():
            pair.count = 0

    async def go_back(self, packet: Packet) -> None:
        """Forget what is on chip of a queue pair; its next packet is of this entry."""
        while self.walked < self.given:
            await ClockCycles(self.dut.clk, 1)
        index = packet.pair.index
        for place, unit in [*self.units]:
            if place >> CONFIG.bits("send_slots") == index:
                del self.units[place, unit]
        self.used[index] = [packet.slot, packet.slot]

    async def exchange(self, packets: Iterable[Packet]) -> None:
        """Give packets, and compare all that comes of them."""
        packets = list(packets)
        self.places_seen.clear()
        self.frames_at.clear()
        self.memory.spans.clear()
        expected = [self.world.expect(packet) for packet in packets]
        self.compared = cocotb.start_soon(self._compare(expected))
        for packet in packets:
            await self._give(packet)
        await self.compared
        # What leaves nothing goes its way, too.
        while self.walked < self.given:
            await ClockCycles(self.dut.clk, 1)
        await ClockCycles(self.dut.clk, 100)
        while not self.memory.idle:
            await ClockCycles(self.dut.clk, 100)
        assert not any(self.walks.values())
        for sink in (self.frames, self.data, self.sent):
            assert sink.received.empty()
        self._compare_places(expected)
        assert self.memory.spans == [span for each in expected for span in each.spans]

    async def _compare(self, expected: list[Expected]) -> None:
        for number, each in enumerate(expected):
            if each.frame is not None:
                frame = _FRAME.read(await self.frames.received.get())
                words = frame["words"]
                found = (
                    frame["psn"],
                    frame["opcode"],
                    frame["payload_bytes"],
                    *(words >> 32 * n & 0xFFFFFFFF for n in range(7)),
                )
                assert found == each.frame, number
            if each.payload is not None:
                packet = await self.data.received.get()
                assert packet.error == each.is_damaged, number
                assert len(packet.data) == len(each.payload), number
                assert each.is_damaged or packet.data == each.payload, number
            if each.event is not None:
                event = _SENT.read(await self.sent.received.get())
                assert tuple(event.values()) == each.event, (number, event, each.event)

    def _compare_places(self, expected: list[Expected]) -> None:
        number = frames = 0
        for each in expected:
            if each.place is not None:
                seen_at, place = self.places_seen[number]
                number += 1
                assert seen_at <= self.frames_at[frames], "a frame left before its place"
                names = ("queue_pair", "reads", "is_atomic", "psn", "count", "length")
                assert tuple(place[name] for name in names) == each.place
                if each.target is not None:
                    region, address = each.target
                    assert place["place"] == {
                        "key": region.key >> 8,
                        "variant": region.key & 255,
                        "linear": address - region.base + region.offset,
                        "page_row": self.world.page_rows[region.key >> 8],
                        "page_shift": region.page_bytes.bit_length() - 1,
                    }
            frames += each.frame is not None
        assert number == len(self.places_seen)
