"""cocotb testbench of hdl.pcie.FromTlpStream (DIRECTION=from) and ToTlpStream (DIRECTION=to).

The AXI side is cocotbext-axi's.
"""

import os
import random
from itertools import repeat
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from sim.pcie.raw import from_raw, to_raw
from sim.pcie.tlp import Kind, Tlp

from ..stream import chance, start
from . import TlpSink, TlpSource, random_tlp, to_segments
from .endpoint import quiet

DATA_BYTES = int(os.environ["DATA_BYTES"])
RECEIVES = os.environ["DIRECTION"] == "from"
SEGMENTS = max(1, DATA_BYTES // 32)
BEAT_DWORDS = DATA_BYTES // 4
#: Payloads up to four beats behind the longest header.
LENGTHS = range(0, max(4 * BEAT_DWORDS, 24) + 1)


class AxiSide:
    """cocotbext-axi: packets of bytes with their mark."""

    def __init__(self, dut, stall: float):
        kind, prefix = (AxiStreamSource, "s_axis") if RECEIVES else (AxiStreamSink, "m_axis")
        self.port: Any = kind(AxiStreamBus.from_prefix(dut, prefix), dut.clk, dut.rst)
        quiet(self.port)
        if stall:
            self.port.set_pause_generator(random.random() < stall for _ in repeat(None))

    def send(self, packet: bytes, error: bool = False, keep: list[int] | None = None) -> None:
        """Queue a packet."""
        user = [0] * (len(packet) - 1) + [int(error)]
        if error:
            # The library has a value for each byte, and joins those of a beat.
            user = [int(error)] * len(packet)
        self.port.send_nowait(AxiStreamFrame(packet, tkeep=keep, tuser=user))

    async def receive(self) -> tuple[bytes, bool]:
        """Next packet and its mark; beats that are not full fail the test."""
        frame = await self.port.recv(compact=False)
        kept = frame.tkeep.index(0) if 0 in frame.tkeep else len(frame.tkeep)
        assert kept > len(frame.tkeep) - DATA_BYTES, "partly filled before the last beat"
        assert not any(frame.tkeep[kept:]), "a hole in tkeep"
        return bytes(frame.tdata[:kept]), bool(frame.tuser[-1])


class BeatCounter:
    """Counts beats of AXI and the cycles from the first to the last."""

    def __init__(self, dut):
        prefix = "s_axis" if RECEIVES else "m_axis"
        self.valid, self.ready = (dut[f"{prefix}_{name}"] for name in ("tvalid", "tready"))
        self.cycle = self.beats = 0
        self.first = self.last = 0
        cocotb.start_soon(self._run(dut.clk))

    def restart(self) -> None:
        """Begin again."""
        self.beats = 0

    @property
    def span(self) -> int:
        """Cycles from the first to the last beat, both included."""
        return self.last - self.first + 1

    async def _run(self, clk) -> None:
        edge = RisingEdge(clk)
        while True:
            await edge
            self.cycle += 1
            if self.valid.value and self.ready.value:
                self.first = self.first if self.beats else self.cycle
                self.last = self.cycle
                self.beats += 1


class Sides:
    """Both ends, the same for either direction: TLPs in, TLPs or packets out."""

    def __init__(self, dut, stall: float, gap: float):
        self.axi = AxiSide(dut, stall)
        self.expected: list[Any] = []
        if RECEIVES:
            self.sink = TlpSink(dut, "o", SEGMENTS)
        else:
            self.source = TlpSource(dut, "i", SEGMENTS, pause=chance(stall), gap=chance(gap))

    def send(self, tlp: Tlp) -> None:
        """Queue ``tlp``."""
        if RECEIVES:
            self.axi.send(*to_raw(tlp))
        else:
            self.source.send(tlp)
        self.expected.append(tlp if RECEIVES else to_raw(tlp))

    async def check(self, dut) -> None:
        """See all arrive, and nothing more."""
        for expected in self.expected:
            if RECEIVES:
                arrived = await self.sink.received.get()
                if expected is None or expected.nullified:
                    assert arrived.nullified
                else:
                    assert arrived == expected
            else:
                assert await self.axi.receive() == expected
        self.expected.clear()
        await ClockCycles(dut.clk, 20)
        received: Queue[Any] | Any = self.sink.received if RECEIVES else self.axi.port
        assert received.empty()


async def attach(dut, stall: float = 0, gap: float = 0) -> Sides:
    """Attach drivers and release reset."""
    sides = Sides(dut, stall, gap)
    await start(dut)
    await ClockCycles(dut.clk, 2)  # in which cocotbext-axi notices that reset is over
    return sides


def write(dwords: int, *, header: int = 3) -> Tlp:
    """Memory write; of ``header`` 3, 4 or 5 DW in all, the fifth being a prefix."""
    return Tlp(
        kind=Kind.MEMORY,
        data=random.randbytes(4 * dwords) if dwords else None,
        length=dwords or 7,
        four_dwords=header > 3,
        first_be=15,
        last_be=15 if dwords > 1 else 0,
        address=random.getrandbits(40 if header > 3 else 20) << 12,
        tag=random.getrandbits(10),
        requester=random.getrandbits(16),
        prefix=random.getrandbits(24) << 8 | 0x91 if header == 5 else None,
    )


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(stall=[0.0, 0.5], gap=[0.0, 0.3])
async def every_length_behind_every_header(dut, stall, gap):
    """Payloads up to four beats, behind 3, 4 and 5 DW, with a digest and without.

    All of them while nothing stalls, some otherwise.
    """
    sides = await attach(dut, stall, gap)
    for header in (3, 4, 5):
        for length in random.sample(LENGTHS, 24) if stall or gap else LENGTHS:
            tlp = write(length, header=header)
            sides.send(tlp)
            sides.send(tlp.with_changes(digest=random.randbytes(4)))
    await sides.check(dut)


@cocotb.test(timeout_time=800, timeout_unit="us")
@cocotb.parametrize(stall=[0.0, 0.4])
async def every_kind(dut, stall):
    """Every field of every kind of TLP; some are nullified."""
    sides = await attach(dut, stall, stall)
    for _ in range(400):
        sides.send(random_tlp().with_changes(nullified=random.random() < 0.1))
    await sides.check(dut)


@cocotb.test(timeout_time=400, timeout_unit="us")
async def full_rate(dut):
    """See a beat of AXI in every cycle, whatever the lengths, in whatever lanes TLPs begin."""
    sides = await attach(dut)
    counter = BeatCounter(dut)
    lengths = [*LENGTHS, *(random.choice(LENGTHS) for _ in range(100)), *[0] * 20, *[1] * 20]
    for header in (3, 4, 5):
        for length in lengths:
            sides.send(write(length, header=header))
    await sides.check(dut)
    assert counter.span == counter.beats, f"{counter.span} cycles for {counter.beats} beats"


@cocotb.test(timeout_time=400, timeout_unit="us")
async def long_payloads(dut):
    """Send the longest payload there is, and others near it."""
    sides = await attach(dut)
    for length in (1024, 1023, 1017, 512, 1024):
        sides.send(write(length, header=4))
        sides.send(write(1))
    await sides.check(dut)


@cocotb.test(timeout_time=400, timeout_unit="us")
async def reset_in_mid_tlp(dut):
    """After a reset within a TLP, nothing of it is in the next ones."""
    sides = await attach(dut)
    for _ in range(4):
        for _ in range(5):
            sides.send(write(100))
        await ClockCycles(dut.clk, random.randint(5, 30))
        dut.rst.value = 1
        sides.axi.port.clear()
        if not RECEIVES:
            sides.source.flush()
        await ClockCycles(dut.clk, 4)
        sides.axi.port.clear()
        sides.expected.clear()
        dut.rst.value = 0
        await ClockCycles(dut.clk, 4)
        if RECEIVES:
            while not sides.sink.received.empty():
                sides.sink.received.get_nowait()
        for length in range(1, 20):
            sides.send(write(length))
        await sides.check(dut)


async def hostile_packets(dut) -> None:
    """Headers cut short, bytes left over, prefixes: nullified by the model, good ones unharmed."""
    sides = await attach(dut)
    good = to_raw(write(3, header=4))[0]
    local_prefix = bytes([0x80, 1, 2, 3])
    packets = [good[:size] for size in range(1, len(good))]
    packets += [local_prefix + good, local_prefix + local_prefix + good, local_prefix]
    packets += [bytes([fmt << 5]) + good[1:] for fmt in (5, 6, 7)]
    packets += [random.randbytes(random.randint(1, 80)) for _ in range(60)]
    for packet in packets:
        size = len(packet)
        header = packet[4:] if packet[0] >> 5 == 4 else packet
        # What a whole header says of what follows is for TlpCheck.
        fmt = header[0] >> 5 if header else 0
        is_whole = size % 4 == 0 and len(header) >= 12 + 4 * (fmt & 1)
        if is_whole and fmt < 4 and header != good:
            continue
        sides.axi.send(packet)
        sides.expected.append(from_raw(packet, False))
        sides.send(write(2))
    await sides.check(dut)


async def cut_off(dut) -> None:
    """Cut TLPs off: they become marked packets; the next ones are whole; orphans vanish."""
    sides = await attach(dut)
    for length in (20, 40, 100):
        segments = to_segments(write(length))
        for size in range(1, len(segments)):
            sides.source.send_lanes(segments[:size])
            sides.send(write(5))
            (packet, marked) = await sides.axi.receive()
            assert marked, packet.hex()
            sides.source.send_lanes([segments[-1]] if size % 2 else [None])
            sides.send(write(9))
            await sides.check(dut)


if RECEIVES:  # cocotb finds tests by the names of the module
    hostile_packets_test = cocotb.test(timeout_time=200, timeout_unit="us")(hostile_packets)
else:
    cut_off_test = cocotb.test(timeout_time=200, timeout_unit="us")(cut_off)
