"""cocotb testbench of hdl.roce.Mover with its Translator."""

import random
from dataclasses import replace

import cocotb
from cocotb.triggers import ClockCycles

from sim.roce.translator import Span
from tb.stream.header_port import beat_count

from .mover_traffic import ACK, CONFIG, HEADERS, NOWHERE, Traffic, random_completion, random_event


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(
    stalls=[
        {},
        {"orders": 0.5, "data": 0.2},
        {"orders": 0.1, "data": 0.7, "failures": 0.95},
        {"actions": 0.5, "packets": 0.5},
    ]
)
async def actions_do_what_the_model_does(dut, stalls):
    """Mix actions, keys that are no more, pages and lists that end, dead queue pairs."""
    bench = Traffic(dut, stalls=stalls)
    await bench.begin()
    counts = {"failures": 0, "flushed": 0, "long": 0}
    for _ in range(12):
        bench.free = list(range(CONFIG.receive_requests))
        bench.under_way.clear()
        # Lists are written in front of the actions that use them.
        held = bench.actions.pause
        bench.actions.pause = lambda: True
        for _ in range(min(40, CONFIG.receive_requests)):
            bench.anything()
        counts["failures"] += sum(done.failure is not None for done in bench.expected)
        counts["long"] += sum(len(done.spans) > 1 for done in bench.expected)
        counts["flushed"] += sum(
            done.completion is not None and done.completion.status == 4 for done in bench.expected
        )
        await bench.listed()
        bench.actions.pause = held
        await bench.settle()
        await bench.fail(random.randrange(min(4, CONFIG.queue_pairs)))
        for key in range(CONFIG.regions):
            bench.set_key(key, random.getrandbits(8) if random.random() < 0.9 else None)
        await bench.settle()
    assert counts["failures"] >= 10
    assert counts["flushed"] >= 10
    assert counts["long"] >= 20


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_revoked_place_kills_until_revived(dut):
    """Drop the rest, flush each completion, and write again for a revived queue pair."""
    bench = Traffic(dut)
    await bench.begin()
    good = bench.some_place()
    bad = replace(good, variant=good.variant ^ 1)
    for kind in (0, ACK):
        for place, revive in [(good, True), (bad, False), (good, False), (good, True)]:
            for completion in (None, random_completion()):
                event = random_event(1, kind=kind)
                bench.act(
                    bench.action(
                        "write",
                        1,
                        20,
                        place=place,
                        completion=completion,
                        event=event,
                        revive=revive,
                    )
                )
        # Another queue pair has nothing to do with it.
        assert bench.act(bench.action("write", 0, 20, place=good)).written
    await bench.settle()
    assert bench.finished == 18


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_packet_of_a_list_ends_where_the_next_begins(dut):
    """Cut SENDs into two packets anywhere: every byte around an entry's end is right."""
    bench = Traffic(dut)
    await bench.begin()
    lists = [
        [Span(0, 1 << 40, 40)],
        [Span(0, 0xFFFFFFF8, 20), Span(1, 0x7F00000001, 20)],
        [Span(0, (n + 1) << 33, n % 4) for n in range(CONFIG.scatter_entries - 1)]
        + [Span(2, 7, 1 << 31)],
        [Span(0, 0xFFFFFFFFFFFFFFF0, (1 << 32) - 1)],
    ]
    for handle, spans in enumerate(lists):
        bench.set_list(handle, spans)
    await bench.listed()
    for handle in range(len(lists)):
        for first in range(1, 40):
            bench.act(bench.action("scatter", 1, first, handle=handle))
            bench.act(bench.action("scatter", 1, 40 - first, handle=handle, begins=False))
    assert not bench.expected_failures
    await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_message_goes_far_into_an_entry(dut):
    """Fill entries around 64 KiB and beyond: both halves of what is left of them count."""
    bench = Traffic(dut)
    await bench.begin()
    sizes = [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, (1 << 16) + 4096, (1 << 17) + 77]
    for handle, size in enumerate(sizes):
        address = random.getrandbits(63)
        bench.set_list(handle, [Span(1, address, size), Span(2, address ^ (1 << 50), 5000)])
    await bench.listed()
    for handle, size in enumerate(sizes):
        left = size + 4000
        begins = True
        while left:
            taken = min(left, 4000)
            bench.act(bench.action("scatter", 1, taken, handle=handle, begins=begins))
            left -= taken
            begins = False
        await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_write_every_two_cycles(dut):
    """Take short WRITEs back to back, while the translator has other clients, too."""
    bench = Traffic(dut)
    await bench.begin()
    place = bench.some_place()
    for port in bench.others:
        for _ in range(400):
            port.send_value(bench.payloads.request(place, 64))
    # 130 bytes: Ethernet, IPv4, UDP, BTH, RETH, payload, ICRC.
    offset = HEADERS + 16
    count = 300
    for number in range(count):
        bench.act(
            bench.action(
                "write",
                number % CONFIG.queue_pairs,
                64,
                payload_offset=offset,
                packet=random.randbytes(offset + 64 + 4),
                place=place,
                completion=None,
            )
        )
    await bench.settle()
    beats = count * beat_count(offset + 64 + 4, CONFIG.data_bytes)
    assert bench.orders.accepted == count
    assert bench.packets.accepted == beats
    # 2 cycles at 128 bytes a beat; what goes beyond is the first packets' way in.
    assert bench.orders.span <= max(beats, 2 * count) + 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(completes=[False, True])
async def a_small_send_every_few_cycles(dut, completes):
    """Take SENDs of 64 bytes with a list of one entry: 3 cycles, and 1 for a completion."""
    bench = Traffic(dut)
    await bench.begin()
    for handle in range(40):
        bench.set_list(handle, [Span(0, handle << 20, 100)])
    await bench.listed()
    count = 40
    total = 0
    for number in range(count):
        packet = random.randbytes(HEADERS + 64 + 4)
        total += beat_count(len(packet), CONFIG.data_bytes)
        bench.act(
            bench.action(
                "scatter",
                number % CONFIG.queue_pairs,
                64,
                payload_offset=HEADERS,
                packet=packet,
                handle=number,
                completion=random_completion() if completes else None,
            )
        )
    await bench.settle()
    assert bench.orders.accepted == count * (1 + completes)
    assert bench.orders.span <= max(total, (3 + completes) * count) + 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_to_write_takes_two_cycles(dut):
    """Take a packet without data every 2 cycles, with narrow beats every 4."""
    bench = Traffic(dut)
    await bench.begin()
    for number in range(200):
        packet = random.randbytes(2 * CONFIG.data_bytes)
        bench.act(bench.action("drop", number % 2, 0, completion=None, packet=packet))
    await bench.settle()
    assert bench.orders.accepted == 200
    assert bench.orders.span <= (4 if CONFIG.is_narrow else 2) * 200


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(entries=[1, 2])
async def large_sends_flow_at_a_beat_per_cycle(dut, entries):
    """Take packets of 8 beats of data, each with a completion, without a cycle between them."""
    bench = Traffic(dut)
    await bench.begin()
    size = 8 * CONFIG.data_bytes
    total = 0
    for handle in range(20):
        spans = [Span(0, (handle << 20) + (n << 16), size // entries) for n in range(entries)]
        bench.set_list(handle, spans)
    await bench.listed()
    for handle in range(20):
        action = bench.action("scatter", 0, size, completion=random_completion(), handle=handle)
        assert action.packet is not None
        total += beat_count(len(action.packet), CONFIG.data_bytes)
        bench.act(action)
    await bench.settle()
    # A further entry is one more piece of the packet, which begins in the beat that ends the first.
    assert bench.packets.accepted == total
    # With narrow beats the first one's first beats wait in a register for where they go.
    waits = 12 if CONFIG.is_narrow else 0
    assert bench.packets.span <= total + (entries - 1) * 20 + waits


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def strobes_of_failure_meet_actions_at_any_time(dut):
    """While WRITEs pass, another queue pair fails in every other cycle; only that one is dead."""
    bench = Traffic(dut)
    await bench.begin()
    place = bench.some_place()
    for _ in range(60):
        assert bench.act(bench.action("write", 0, 10, place=place)).written
    for _ in range(100):
        await bench.fail(1)
        await ClockCycles(dut.clk, 1)
    await bench.settle()
    assert not bench.act(bench.action("write", 1, 10, place=place)).written
    await bench.settle()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(cycles=[3, 8, 11, 14, 17, 23, 30])
async def reset_forgets_what_is_under_way(dut, cycles):
    """After a reset at any time, actions meet their packets and translations again."""
    bench = Traffic(dut)
    await bench.begin()
    bench.set_list(0, [Span(0, 0, 5), Span(1, 1, 500)])
    await bench.listed()
    place = bench.some_place()
    for _ in range(4):
        bench.act(bench.action("write", 0, 20, place=place))
        bench.act(bench.action("scatter", 0, 20, handle=0))
        bench.act(bench.action("scatter", 1, 20, handle=0, invalidate=True, place=NOWHERE))
    await ClockCycles(dut.clk, cycles)
    await bench.forget()
    bench.set_key(place.key, place.variant)
    for queue_pair in range(2):
        bench.act(bench.action("drop", queue_pair, 5, revive=True))
    while not bench.key_states.idle:
        await ClockCycles(dut.clk, 1)
    for number in range(8):
        assert bench.act(bench.action("write", number % 2, 20, place=place)).written
    await bench.settle()
