"""cocotb test of the whole responder among packets that nobody should send.

Environment: ``ROCE_CONFIG``, the engine's sizes as JSON; ``PACKETS``, how many hostile ones.
"""

import os
import random

import cocotb

from .hostile import Assault, Attack
from .oracle import Oracle
from .ports import Stalls
from .responder_bed import Bed, config_from_environment
from .world import CARD_V4, CARD_V6

_PACKETS = int(os.environ["PACKETS"])
#: Cycles used for each one that the input needs while hostile packets come. Packets of one queue
#: pair that take receive requests follow each other in 12 cycles, and what a failed one has to be
#: flushed takes turns too: at 128 bytes a beat that is more than the input needs.
_MOST_CYCLES = 1.2


@cocotb.test(timeout_time=100, timeout_unit="sec")
@cocotb.parametrize(stall=[0.0, 0.1])
async def good_ones_are_served_and_nothing_else_happens(dut, stall):
    """Memory that the rules do not give stays as it is; good queue pairs do not notice."""
    config = config_from_environment()
    bed = Bed(
        dut,
        config,
        stalls=Stalls(stall),
        latency=(10, 20),
        queue_shift=10,
        card_v4=CARD_V4,
        card_v6=CARD_V6,
    )
    await bed.start()
    attack = Attack(random.getrandbits(32), Oracle(), config.scatter_entries)
    assault = Assault(bed, attack, lambda: bed.i.count + bed.i.waited, config.data_bytes)
    await assault.run(_PACKETS // 2)
    ratio = assault.cycles / max(1, assault.needed)
    dut._log.info(
        "%d hostile packets, %d good messages; %d cycles, %d needed (%.3f)",
        assault.sent,
        assault.messages,
        assault.cycles,
        assault.needed,
        ratio,
    )
    assert stall or ratio < _MOST_CYCLES
    assert not bed.damaged
    assert not bed.queue_errors
