"""Exact cycles of the whole engine: what it sends, while as much comes in."""

from typing import Any

import cocotb

from sim.roce import SendKind, SendRequest
from tb.stream.rate_tb import write_rows

from .conversation import KEY, REGION
from .engine_rate import CONFIG, ROWS, Rate, beats
from .go_back import MTU, PAIRS

#: Bytes of a frame before and behind the payload of a WRITE.
_FRAME_BYTES = 14 + 20 + 8 + 12 + 16 + 4
#: Messages of each side; at 8 bytes a message takes longer than all blocks together.
_MESSAGES = 8 if CONFIG.is_narrow else 32


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(
    kind=[SendKind.WRITE, SendKind.SEND, SendKind.READ],
    pairs=[1, PAIRS],
)
async def streams_both_ways(dut, kind, pairs):
    """Send 64 KiB messages to itself, so that as much comes in as goes out."""
    rate = Rate(dut, to_itself=True)
    await rate.begin(pairs)
    messages = _MESSAGES // pairs
    for n in range(pairs):
        for side in range(2):
            rate.ask(n + side * PAIRS, kind, 16 * MTU, messages)
    await rate.until(2 * pairs)
    # From the first quarter to the third: everything is under way.
    middle = rate.cycles[len(rate.cycles) // 4 : 3 * len(rate.cycles) // 4]
    used = (middle[-1] - middle[0]) / (len(middle) - 1)
    title = f"{kind.name}s of 64 KiB both ways, path MTU {MTU} B, queue pairs: {pairs}"
    ROWS.append((title, "used/needed", round(used, 3), 1.0, "ratio"))
    write_rows(ROWS)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(pairs=[PAIRS, 1])
async def small_writes(dut, pairs):
    """Send WRITEs of 64 bytes every 2 cycles, of one queue pair every 4; or as beats leave."""
    rate = Rate(dut, to_itself=False)
    await rate.begin(pairs)
    count = 120
    for n in range(pairs):
        rate.ask(n, SendKind.WRITE, 64, count)
    await rate.until(pairs)
    ends = [cycle for cycle, _ in rate.frames]
    assert len(ends) == pairs * count
    first, last = len(ends) // 4, 3 * len(ends) // 4
    cycles = (ends[last] - ends[first]) / (last - first)
    least = max(beats(_FRAME_BYTES + 64), 2 if pairs > 1 else 4)
    title = f"WRITEs of 64 B sent, queue pairs: {pairs}"
    ROWS.append((title, "cycles/packet", round(cycles, 3), float(least), "cycles"))
    write_rows(ROWS)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(inline=[False, True])
async def from_doorbell_to_wire(dut, inline):
    """Send 64 bytes: cycles from the doorbell to the first beat on the wire."""
    rate = Rate(dut, to_itself=False)
    await rate.begin(1)
    bed = rate.bed
    base = REGION.base
    data: dict[str, Any] = {"inline": bytes(64)} if inline else {"gather": ((KEY, base, 64),)}
    request = SendRequest(0, SendKind.WRITE, remote_address=base, remote_key=KEY, **data)
    bed.post_send(0, request)
    offer = bed.offer("doorbells")
    while not rate.cycles:
        await bed.wait(1)
    title = f"WRITE of 64 B{', inline' if inline else ''}, doorbell to first beat"
    ROWS.append((title, "latency", rate.cycles[0] - offer.last, None, "cycles"))
    write_rows(ROWS)
