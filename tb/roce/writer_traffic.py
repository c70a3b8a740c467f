"""What tests of hdl.roce.Writer send, and who takes completions."""

import os
import random

from cocotb.triggers import ClockCycles, RisingEdge

from hdl.roce.layouts import EventKind, WriteOrderKind
from sim.roce import Completion, CompletionStatus
from sim.roce.completion_queue import CompletionQueue

from ..stream import start
from .writer_bed import PAGE, Bed, Order

__all__ = [
    "ARM",
    "ARM_SOLICITED",
    "CLEARING",
    "CONSUMED",
    "DATA_BYTES",
    "IS_NARROW",
    "ROWS",
    "Driver",
    "ack",
    "attach",
    "completion_order",
    "data_order",
    "nothing_order",
    "random_action",
    "random_completion",
    "random_event",
    "ready_queues",
]

DATA_BYTES = int(os.environ["DATA_BYTES"])
IS_NARROW = DATA_BYTES == 8
#: Writes that may be without their response.
ROWS = 66 if IS_NARROW else 257
CONSUMED, ARM, ARM_SOLICITED = range(3)
#: Cycles after reset in which completion queues are put in error: one for each.
CLEARING = 20


def data_order(queue_pair: int, space: int, address: int, length: int, **event) -> Order:
    """Make an order that writes random data."""
    return Order(
        kind=WriteOrderKind.DATA,
        queue_pair=queue_pair,
        space=space,
        address=address,
        data=random.randbytes(length),
        event=event or None,
    )


def random_completion(queue_pair: int) -> Completion:
    """Make a completion of any kind."""
    has = random.choice(["immediate", "invalidated", ""])
    return Completion(
        queue_pair=0x5A0000 | queue_pair,
        identifier=random.randrange(64),
        status=random.choice([CompletionStatus.SUCCESS] * 3 + list(CompletionStatus)),
        byte_length=random.getrandbits(32),
        is_write=random.random() < 0.5,
        immediate=random.getrandbits(32) if has == "immediate" else None,
        invalidated=random.getrandbits(32) if has == "invalidated" else None,
        source_queue_pair=random.getrandbits(24),
        solicited=random.random() < 0.3,
    )


def completion_order(queue_pair: int, queue: int, **event) -> Order:
    """Make an order that writes a random completion."""
    return Order(
        kind=WriteOrderKind.COMPLETION,
        queue_pair=queue_pair,
        queue=queue,
        completion=random_completion(queue_pair),
        event=event or None,
    )


def nothing_order(queue_pair: int, **event) -> Order:
    """Make an order that writes nothing."""
    return Order(queue_pair=queue_pair, event=event)


def ack(psn: int = 0, **fields) -> dict[str, int]:
    """Make an event, ACK unless ``fields`` say otherwise."""
    return {"kind": EventKind.ACK, "psn": psn, "msn": psn ^ 0xABCDEF, "syndrome": 31, **fields}


def random_event(psn: int) -> dict[str, int]:
    """Make an event of any kind."""
    kind = random.choice([*EventKind, EventKind.ACK, EventKind.ACK, EventKind.NOTHING])
    again, notify = (int(random.random() < 0.2) for _ in range(2))
    return ack(psn, kind=kind, again=again, notify=notify)


async def attach(dut, **options) -> Bed:
    """Attach a bed and release reset."""
    bed = Bed(dut, DATA_BYTES, **options)
    await start(dut)
    await bed.reset_queue_pairs()
    return bed


async def ready_queues(bed: Bed, *, spaces=(0,), size_shift=10, count=4) -> None:
    """Set up ``count`` queues in turns in ``spaces``."""
    for number in range(count):
        bed.setup(
            number,
            CompletionQueue(
                space=spaces[number % len(spaces)],
                # Some entries come before and some behind a multiple of 2**29.
                address=((number + 1) << 33) - 32 * random.randrange(1, 8),
                size_shift=size_shift,
                vector=0x700 + number,
            ),
        )
    await ClockCycles(bed.dut.clk, CLEARING)
    while not bed.setups.idle:
        await RisingEdge(bed.dut.clk)


def random_action(bed: Bed, number: int, *, spaces, pages: int, longest: int) -> None:
    """Send some data, perhaps a completion, and an event with the last of these."""
    queue_pair = random.randrange(16)
    orders = []
    for _ in range(random.choice([0, 1, 1, 1, 2])):
        address = random.randrange(pages * PAGE)
        length = random.choice([1, random.randint(1, 64), random.randint(1, longest)])
        orders.append(data_order(queue_pair, random.choice(spaces), address, length))
    if random.random() < 0.4:
        orders.append(completion_order(queue_pair, random.randrange(4)))
    if not orders:
        orders.append(nothing_order(queue_pair))
    orders[-1].event = random_event(number)
    for order in orders:
        bed.send(order)


class Driver:
    """Software that sleeps until it is interrupted, for one queue."""

    def __init__(self, bed: Bed, queue: int, kind: int):
        self.bed = bed
        self.queue = queue
        self.kind = kind
        self.model = bed.queues[queue]
        self.found: list[int] = []
        self.arm()

    def arm(self) -> None:
        """Ask for the next interrupt."""
        self.bed.command(self.queue, self.kind, len(self.found))

    def poll(self) -> None:
        """Take all that is there, and arm; perhaps look again at what may have come meanwhile."""
        self.bed.slave.settle()
        model = self.model
        while True:
            count = len(self.found)
            place = model.address + 32 * (count % model.size)
            entry = self.bed.slave.memory.read(model.space, place, 32)
            if entry[19] >> 7 == count // model.size % 2:
                break
            assert int.from_bytes(entry[20:24], "little") == count
            self.found.append(int.from_bytes(entry[4:8], "little"))
        self.arm()
