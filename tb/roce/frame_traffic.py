"""Frames to build, and what the golden model makes of them."""

import json
import os
import random
from dataclasses import dataclass, field, replace
from typing import Any

from cocotb.triggers import ClockCycles

from hdl.roce.config import RoceConfig
from hdl.roce.frame_templates import AddressLayout, IdentityLayout
from hdl.roce.send_layouts import FrameLayout
from sim.headers.infiniband import OPCODES, extensions
from sim.headers.table import header_bytes
from sim.stream import Packet, to_beats
from tb.roce.addressed import IDENTITY, on_wire, random_row
from tb.stream import PacketSink, PacketSource, StreamSource, chance, start
from tb.stream.packet_port import pack

__all__ = [
    "CODES",
    "CONFIG",
    "DATA_BYTES",
    "ROWS",
    "Bench",
    "Frame",
    "random_frame",
    "random_row",
    "send_data",
]

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
ROWS = int(os.environ["ROWS"])
DATA_BYTES = CONFIG.data_bytes
FRAME = FrameLayout(CONFIG)
#: Everything that RC, UC and UD send, and CNPs.
CODES = [code for code, name in OPCODES.items() if name.split("_")[0] in ("RC", "UC", "UD", "CNP")]


@dataclass(frozen=True)
class Frame:
    """A frame to build, and its data; ``words`` are the bytes behind the BTH."""

    opcode: int
    row: int
    psn: int
    solicited: int
    ack_request: int
    migrated: int
    becn: int
    has_peer: int
    peer: int
    words: bytes
    payload: bytes = b""
    error: bool = False

    @property
    def value(self) -> int:
        """Payload of the stream of frames."""
        names = ("opcode", "row", "psn", "solicited", "ack_request", "migrated", "becn")
        fields = {name: getattr(self, name) for name in (*names, "has_peer", "peer")}
        words = [self.words[n : n + 4] for n in range(0, len(self.words), 4)]
        values = [int.from_bytes(word, "little") for word in words]
        fields["words"] = values + [0] * (7 - len(words))
        fields["word_count"] = len(words)
        return FRAME.const({**fields, "payload_bytes": len(self.payload)}).as_bits()


def random_frame(
    size: int = 0, *, code: int | None = None, count: int | None = None, **fields
) -> Frame:
    """Frame with random fields and the headers of its opcode, or any ``count`` words."""
    opcode = random.choice(CODES) if code is None else code
    if count is None:
        count = sum(header_bytes(name) for name in extensions(opcode)) // 4
    values = {
        "row": random.randrange(ROWS),
        "psn": random.getrandbits(24),
        "peer": random.getrandbits(24),
        "words": random.randbytes(4 * count),
        "payload": random.randbytes(size),
    }
    for flag in ("solicited", "ack_request", "migrated", "becn", "has_peer"):
        values[flag] = random.getrandbits(1)
    return Frame(opcode, **{**values, **fields})


def golden(frame: Frame, row: Any) -> bytes:
    """Bytes that the model builds of a frame."""
    bth = {
        "opcode": frame.opcode,
        "solicited_event": frame.solicited,
        "mig_req": frame.migrated,
        "p_key": row["p_key"],
        "becn": frame.becn,
        "dest_qp": frame.peer if frame.has_peer else row["queue_pair"],
        "ack_req": frame.ack_request,
        "psn": frame.psn,
    }
    # Whole words in front of the data change neither their padding nor the ICRC.
    return on_wire(row, {"bth": bth}, frame.words + frame.payload, error=frame.error)


def send_data(source: PacketSource, frame: Frame) -> None:
    """Queue a frame's data, with noise where a beat has none, and as ``keep``."""
    for beat in to_beats(Packet(frame.payload, frame.error), DATA_BYTES):
        noise = random.getrandbits(8 * DATA_BYTES)
        kept = sum(0xFF << 8 * n for n in range(DATA_BYTES) if beat.keep >> n & 1)
        noisy = replace(beat, data=beat.data | noise & ~kept, keep=random.getrandbits(DATA_BYTES))
        source.send_value(pack(noisy, DATA_BYTES))


@dataclass
class Bench:
    """A builder with its drivers, one for frames and one for data of each of ``inputs``."""

    dut: Any
    frames: list[StreamSource]
    data: list[PacketSource]
    addresses: StreamSource
    sink: PacketSink
    rows: dict[int, Any] = field(default_factory=dict)

    @classmethod
    async def attach(
        cls, dut, *, inputs: tuple[str, ...] = ("",), frames=0.0, data=0.0, sink=0.0
    ) -> "Bench":
        """Attach drivers with such stalls, and write all rows of addresses."""
        dut.identity.value = IdentityLayout().const(IDENTITY).as_bits()
        bench = cls(
            dut,
            [StreamSource(dut, f"i{name}", pause=chance(frames)) for name in inputs],
            [PacketSource(dut, f"data{name}", DATA_BYTES, pause=chance(data)) for name in inputs],
            StreamSource(dut, "addresses"),
            PacketSink(dut, "o", DATA_BYTES, pause=chance(sink)),
        )
        await start(dut)
        for row in range(ROWS):
            await bench.write(row, random_row(row & 1, row >> 1 & 1))
        return bench

    async def write(self, index: int, row: Any) -> None:
        """Write a row of addresses and wait until it is there."""
        self.rows[index] = row
        value = index | AddressLayout().const(row).as_bits() << (ROWS - 1).bit_length()
        self.addresses.send_value(value)
        while not self.addresses.idle:
            await ClockCycles(self.dut.clk, 1)
        await ClockCycles(self.dut.clk, 2)

    def send(self, *frames: Frame, number: int = 0) -> None:
        """Queue frames, with their data, on an input."""
        for frame in frames:
            self.frames[number].send_value(frame.value)
            if frame.payload:
                send_data(self.data[number], frame)

    def expected(self, frame: Frame) -> Packet:
        """Packet that must leave for ``frame``."""
        return Packet(golden(frame, self.rows[frame.row]), frame.error)

    def beats(self, *frames: Frame) -> int:
        """Beats of so many frames."""
        return sum(-(-len(self.expected(frame).data) // DATA_BYTES) for frame in frames)

    async def in_order(self, *frames: Frame) -> None:
        """Exactly these frames leave, in this order."""
        for number, frame in enumerate(frames):
            found = await self.sink.received.get()
            assert found == self.expected(frame), f"frame {number}: {frame}"
        await ClockCycles(self.dut.clk, 40)
        assert self.sink.received.empty()
