"""cocotb testbench of hdl.roce.FrameBuilder."""

import os
import random
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from scapy.contrib.roce import BTH
from scapy.layers.l2 import Ether

from sim.headers.infiniband import extensions
from sim.headers.table import encode, widths
from sim.roce import parse
from tb.roce.frame_traffic import (
    CODES,
    DATA_BYTES,
    ROWS,
    Bench,
    Frame,
    random_frame,
    random_row,
    send_data,
)
from tb.stream import chance, reset

LATENCY = int(os.environ["LATENCY"])
#: Bytes up to which each length is tried.
MANY = 3 * DATA_BYTES + 2 if DATA_BYTES <= 32 else 2 * DATA_BYTES + 2


def some_size() -> int:
    """Length of data that ends anywhere, not too long."""
    return random.choice([0, 1, random.randint(1, 2 * DATA_BYTES), random.randint(1, 300)])


@cocotb.test(timeout_time=400, timeout_unit="us")
async def every_opcode_goes_to_every_address(dut):
    """Each opcode of RC, UC and UD: the golden model's bytes, and it reads the same headers.

    Without a tag, and of IPv4, the ICRC and the BTH are scapy's, too.
    """
    bench = await Bench.attach(dut)
    for code in CODES:
        for row in range(min(ROWS, 4)):
            headers: dict[str, Any] = {
                name: {field: random.getrandbits(bits) for field, bits in widths(name).items()}
                for name in extensions(code)
            }
            words = b"".join(encode(name, fields) for name, fields in headers.items())
            payload = random.randbytes(random.choice([0, random.randint(1, 200)]))
            frame = random_frame(code=code, row=row, words=words, payload=payload)
            bench.send(frame)
            found = await bench.sink.received.get()
            assert found == bench.expected(frame), frame
            packet = parse(found.data)
            assert {name: packet.headers[name] for name in headers} == headers
            assert (packet.payload, packet.psn) == (payload, frame.psn)
            if not bench.rows[row]["v6"] and not bench.rows[row]["has_vlan"]:
                bth = Ether(found.data)[BTH]
                assert bth.compute_icrc(found.data[42:-4]) == found.data[-4:]
                number = frame.peer if frame.has_peer else bench.rows[row]["queue_pair"]
                assert (bth.dqpn, bth.migreq, bth.solicited, bth.ackreq, bth.becn) == (
                    number,
                    frame.migrated,
                    frame.solicited,
                    frame.ack_request,
                    frame.becn,
                )


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def every_length_follows_every_number_of_words(dut):
    """0 to 7 words, 0 bytes to three beats and more behind them, and the longest."""
    bench = await Bench.attach(dut)
    sizes = [*range(MANY), 4093, 4095, 4096]
    frames = [random_frame(size, count=count) for size in sizes for count in range(8)]
    bench.send(*frames)
    await bench.in_order(*frames)


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(frames=[0.0, 0.9], data=[0.0, 0.6], sink=[0.0, 0.5])
async def frames_pass_under_stalls(dut, frames, data, sink):
    """With random stalls anywhere, each frame leaves whole and in order, damaged ones damaged."""
    bench = await Bench.attach(dut, frames=frames, data=data, sink=sink)
    made = [random_frame(some_size(), error=random.random() < 0.2) for _ in range(80)]
    made = [replace(one, error=one.error and bool(one.payload)) for one in made]
    bench.send(*made)
    await bench.in_order(*made)


@cocotb.test(timeout_time=100, timeout_unit="us")
@cocotb.parametrize(size=[0, 1, 100])
async def latency_is_constant(dut, size):
    """Alone, a frame whose data are here begins after as many cycles as promised."""
    bench = await Bench.attach(dut)
    for row in range(min(ROWS, 4)):
        for count in range(8):
            bench.frames[0].restart()
            bench.sink.restart()
            frame = random_frame(size, row=row, count=count)
            bench.send(frame)
            await bench.in_order(frame)
            assert bench.sink.first - bench.frames[0].first == LATENCY


async def without_a_gap(bench: Bench, frames: list[Frame]) -> None:
    """Frames take as many cycles as they have beats."""
    bench.send(*frames)
    await bench.in_order(*frames)
    assert bench.sink.span == bench.sink.accepted == bench.beats(*frames)


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(size=[0, 1, 4, 8, 20, 64, 256, 1024, 4096])
async def frames_of_a_size_follow_each_other_without_a_gap(dut, size):
    """Back to back: as many cycles as beats."""
    bench = await Bench.attach(dut)
    frames = [random_frame(max(0, size - n % 5), code=code) for n, code in enumerate(CODES)]
    random.shuffle(frames)
    await without_a_gap(bench, frames[: 100 if size < 1000 else 12])


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def frames_of_any_size_follow_each_other_without_a_gap(dut):
    """Of any kind, with data and without, back to back: as many cycles as beats."""
    bench = await Bench.attach(dut)
    await without_a_gap(bench, [random_frame(some_size()) for _ in range(300)])


@cocotb.test(timeout_time=100, timeout_unit="us")
async def no_data_are_taken_before_their_frame(dut):
    """Make data wait for their frame, and a frame for its data."""
    bench = await Bench.attach(dut)
    first, second = (random_frame(DATA_BYTES + 1) for _ in range(2))
    send_data(bench.data[0], first)
    await ClockCycles(dut.clk, 50)
    assert bench.data[0].accepted == 0
    bench.frames[0].send_value(first.value)
    bench.frames[0].send_value(second.value)
    await bench.in_order(first)
    send_data(bench.data[0], second)
    await bench.in_order(second)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_new_row_takes_the_place_of_the_old(dut):
    """After a row has been written, nothing of the one before is left."""
    bench = await Bench.attach(dut)
    for flags in ((1, 1), (0, 0), (1, 0), (0, 1), (1, 1)):
        for row in (1, ROWS - 1):
            await bench.write(row, random_row(*flags))
            frames = [random_frame(some_size(), row=row, count=count) for count in range(8)]
            bench.send(*frames)
            await bench.in_order(*frames)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(cycles=[1, 3, 5, 8, 13, 20])
async def reset_in_mid_frame_forgets_it(dut, cycles):
    """After a reset at any time frames leave as ever; rows of addresses stay."""
    bench = await Bench.attach(dut, sink=0.3)
    bench.send(*(random_frame(3 * DATA_BYTES) for _ in range(6)))
    await ClockCycles(dut.clk, cycles)
    await reset(dut, *bench.frames, *bench.data, bench.addresses, bench.sink)
    bench.sink.pause = chance(0)
    frames = [random_frame(some_size()) for _ in range(20)]
    bench.send(*frames)
    await bench.in_order(*frames)
