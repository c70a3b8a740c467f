"""cocotb testbench of hdl.stream.Limiter."""

import os
import random
from fractions import Fraction

import cocotb
from cocotb.triggers import ClockCycles

from sim.stream import LimiterModel, Packet

from . import PacketSink, PacketSource, chance, start
from .packet_port import unpack

DATA_BYTES = int(os.environ["DATA_BYTES"])
BUCKET_BYTES = int(os.environ["BUCKET_BYTES"])
FRACTION_BITS = int(os.environ["FRACTION_BITS"])


class TimingSource(PacketSource):
    """Source that notes the cycle and the bytes of each beat taken."""

    def __init__(self, dut, *, pause):
        self.transfers: list[tuple[int, int]] = []
        super().__init__(dut, "i", DATA_BYTES, pause=pause)

    def _count(self):
        super()._count()
        keep = unpack(int(self.payload.value), DATA_BYTES).keep
        self.transfers.append((self.cycle, keep.bit_count()))


async def attach(dut, rate: int, burst: int, source_stall: float = 0, sink_stall: float = 0):
    """Attach drivers and release reset."""
    dut.rate.value = rate
    dut.burst.value = burst
    source = TimingSource(dut, pause=chance(source_stall))
    sink = PacketSink(dut, "o", DATA_BYTES, pause=chance(sink_stall))
    await start(dut)
    return source, sink


def random_packets(count: int) -> list[Packet]:
    """Packets of 1 byte up to the longest."""
    return [Packet(random.randbytes(random.randint(1, BUCKET_BYTES))) for _ in range(count)]


async def exchange(source, sink, packets: list[Packet]) -> None:
    """Send ``packets`` and check that they arrive."""
    for packet in packets:
        source.send(packet)
    for packet in packets:
        assert await sink.received.get() == packet


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(share=[0.03, 0.1, 0.377, 0.6])
async def long_run_rate_is_exact(dut, share):
    """With a stream that always waits, the rate is exact to 0.1 %, for packets of all lengths.

    The time, about 12000 cycles, is from the first packet's beginning to the last one's, in which
    all but the last were paid; when a packet begins, the bucket holds 3 cycles' tokens at most.
    """
    rate = int(share * DATA_BYTES * 2**FRACTION_BITS)
    exact = Fraction(rate, 2**FRACTION_BITS)
    source, sink = await attach(dut, rate, min(BUCKET_BYTES, 3 * DATA_BYTES))
    packets = random_packets(int(24000 * share * DATA_BYTES / BUCKET_BYTES))
    await exchange(source, sink, packets)
    paid = sum(len(packet.data) for packet in packets[:-1])
    beats = -(-len(packets[-1].data) // DATA_BYTES)
    cycles = source.transfers[-beats][0] - source.transfers[0][0]
    assert abs(paid / cycles / exact - 1) < Fraction(1, 1000), f"{paid} bytes in {cycles} cycles"


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(
    share=[0.05, 0.4], burst=[0, BUCKET_BYTES], source_stall=[0.0, 0.5, 0.97], sink_stall=[0.0, 0.5]
)
async def no_interval_exceeds_the_bound(dut, share, burst, source_stall, sink_stall):
    """Under stalls, packets pass unchanged and no interval passes more than the model allows."""
    rate = int(share * DATA_BYTES * 2**FRACTION_BITS)
    source, sink = await attach(dut, rate, burst, source_stall, sink_stall)
    packets = random_packets(40)
    await exchange(source, sink, packets)
    model = LimiterModel(Fraction(rate, 2**FRACTION_BITS), burst, DATA_BYTES)
    longest = max(len(packet.data) for packet in packets)
    assert model.excess(source.transfers, longest) <= 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_rested_bucket_passes_its_burst(dut):
    """After a rest, a burst of one-byte packets passes at once, and not more than one beat more."""
    rate = 1 << (FRACTION_BITS - 1) >> 4
    source, sink = await attach(dut, rate, BUCKET_BYTES)
    await ClockCycles(dut.clk, 80 * BUCKET_BYTES)  # 32 fill it, and it must not go on
    await exchange(source, sink, [Packet(b"\1")] * (BUCKET_BYTES + BUCKET_BYTES // 16 + 8))
    start_cycle = source.transfers[0][0]
    passed = sum(cycle < start_cycle + BUCKET_BYTES for cycle, _ in source.transfers)
    assert passed == BUCKET_BYTES
    gaps = [b[0] - a[0] for a, b in zip(source.transfers[-6:], source.transfers[-5:], strict=False)]
    assert max(gaps) >= 32


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def at_full_rate_nothing_is_held(dut):
    """With a rate of a beat per cycle, packets of every length pass at a beat a cycle."""
    source, sink = await attach(dut, DATA_BYTES << FRACTION_BITS, 0)
    sizes = range(1, 4 * DATA_BYTES + 1)
    await exchange(source, sink, [Packet(random.randbytes(size)) for size in sizes])
    assert source.span == source.accepted
    assert sink.span == sink.accepted
    assert sink.first - source.first == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rate_zero_stops_between_packets(dut):
    """Without tokens one packet passes; with tokens again, the others do."""
    source, sink = await attach(dut, 0, 0)
    packets = [Packet(random.randbytes(3 * DATA_BYTES)) for _ in range(3)]
    for packet in packets:
        source.send(packet)
    await ClockCycles(dut.clk, 100)
    assert source.accepted == 3
    dut.rate.value = DATA_BYTES << FRACTION_BITS
    for packet in packets:
        assert await sink.received.get() == packet


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def too_long_a_packet_does_not_wrap_the_bucket(dut):
    """After a packet far longer than the bucket, the stream still stops and then goes on."""
    source, sink = await attach(dut, DATA_BYTES << FRACTION_BITS >> 3, 0)
    packets = [Packet(random.randbytes(20 * BUCKET_BYTES)), Packet(b"\1")]
    await exchange(source, sink, packets)
    assert source.transfers[-1][0] - source.transfers[-2][0] >= BUCKET_BYTES // DATA_BYTES


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_in_mid_packet(dut):
    """After a reset within a packet, the bucket is empty, not overdrawn, and packets pass."""
    source, sink = await attach(dut, 1, 0)
    source.send(Packet(random.randbytes(8 * DATA_BYTES)))
    await ClockCycles(dut.clk, 6)
    dut.rst.value = 1
    source.flush()
    for _ in range(2):
        await ClockCycles(dut.clk, 1)
        sink.flush()
    dut.rst.value = 0
    await exchange(source, sink, [Packet(b"\1")])
