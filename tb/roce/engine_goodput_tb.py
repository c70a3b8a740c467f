"""What losses cost the whole engine, beside the golden model on the same wire.

A stream of WRITEs of the engine to itself, over a wire with a delay, of which some packets are
lost; answers are not. The golden model sends the same over the same wire, and loses the same, but
takes no time for anything: what it needs is what going back needs, whoever does it. Beside that an
engine takes some cycles to find out, and has data on their way from memory, which leave first.

A loss costs cycles of the wire, the same wherever it is, as long as others do not come before it is
mended; and those that come before that cost nothing, for the packets behind a loss are of no use.
So the goodput is 1 / (1 + p * cost / beats), if a part p of packets of so many beats is lost. The
cost is measured, one loss at a time, and a run with losses at random besides.
"""

from typing import Any

import cocotb

from sim.roce import SendKind
from tb.stream.rate_tb import write_rows

from .engine_rate import CONFIG, ROWS, Rate, beats
from .go_back import MTU, PAIRS, Losses, Tally, go_back

#: Cycles from a frame's last beat out to its last beat in.
_DELAY = 500
_PACKETS = 16
#: As many cycles at 64 bytes as at 128. At 8 a packet takes half of the round trip.
_MESSAGES = max(32, CONFIG.data_bytes)
#: One packet of so many is lost where the cost of a single loss is measured: more than are sent
#: until it is sent again, and each place in a message has its turn.
_EVERY = 51 if CONFIG.data_bytes <= 64 else 101
#: Cycles in which all has ended.
_LIMIT = 600_000
#: Parts of the packets that are lost.
_PARTS = (0.0001, 0.001, 0.01)
#: Of a packet in the middle of a message.
_PACKET_BEATS = beats(14 + 20 + 8 + 12 + MTU + 4)
#: Cycles of the blocks that a packet and its NAK pass, and what is asked of memory at most.
_PASSED, _ASKED_BEATS = 250, max(128, 5 * CONFIG.data_bytes)
#: Packets that are ahead of who counts those, or whose turns have begun.
_AHEAD = 4


def _beside(pairs: int) -> float:
    """Cycles that a loss may cost the engine beside what it costs the model.

    While one queue pair waits, others go on; but of its own packets there may be one more.
    """
    return (_PASSED + _ASKED_BEATS + _AHEAD * _PACKET_BEATS) / pairs + _PACKET_BEATS


async def _writes(dut, pairs: int, **losses: Any) -> tuple[Tally, Tally, int]:
    """Send WRITEs to itself, and let the golden model do so; and how many packets were lost."""
    messages = _MESSAGES // pairs
    end = (messages - 1) * _PACKETS
    mine, theirs = (Losses(end=end, **losses) for _ in range(2))
    rate = Rate(dut, to_itself=True, delay=_DELAY, is_lost=mine)
    await rate.begin(pairs)
    for n in range(pairs):
        rate.ask(n, SendKind.WRITE, _PACKETS * MTU, messages)
    await rate.until(pairs, limit=_LIMIT)
    model = go_back(
        data_bytes=CONFIG.data_bytes,
        pairs=pairs,
        messages=messages,
        length=_PACKETS * MTU,
        delay=_DELAY,
        losses=theirs,
    )
    assert mine.count, "nothing was lost"
    return rate.tally, model, mine.count


def _title(pairs: int) -> str:
    return f"WRITEs of 64 KiB, path MTU {MTU} B, queue pairs: {pairs}, round trip {2 * _DELAY}"


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(pairs=[1, PAIRS])
async def losses_one_by_one(dut, pairs):
    """Lose packets that are far from each other."""
    tally, model, count = await _writes(dut, pairs, every=_EVERY)
    mine, theirs = ((one.used - one.needed) / count for one in (tally, model))
    most = theirs + _beside(pairs)
    title = f"{_title(pairs)}: a packet lost"
    ROWS.append((title, "cost", round(mine, 1), round(most, 1), "cycles"))
    ROWS.append((f"{title}, model", "cost", round(theirs, 1), None, "cycles"))
    for part in _PARTS:
        title = f"{_title(pairs)}: {100 * part:g} % lost"
        reached, limit, least = (
            round(1 / (1 + part * cost / _PACKET_BEATS), 4) for cost in (mine, theirs, most)
        )
        ROWS.append((title, "goodput", reached, least, "ratio", True))
        ROWS.append((f"{title}, model", "goodput", limit, None, "ratio"))
    write_rows(ROWS)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(pairs=[1, PAIRS])
async def losses_at_random(dut, pairs):
    """Lose 1 % of the packets, those that are sent again too."""
    tally, model, count = await _writes(dut, pairs, rate=0.01, seed=1)
    title = f"{_title(pairs)}: {count} packets of {_MESSAGES * _PACKETS} lost at random"
    least = model.needed / (model.used + count * _beside(pairs))
    reached, limit = (one.needed / one.used for one in (tally, model))
    ROWS.append((title, "goodput", round(reached, 4), round(least, 4), "ratio", True))
    ROWS.append((f"{title}, model", "goodput", round(limit, 4), None, "ratio"))
    write_rows(ROWS)
