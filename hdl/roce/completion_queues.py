"""Completion queues: where the next entry goes, and who is to be interrupted."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from .config import RoceConfig

__all__ = [
    "COUNT_BITS",
    "ENTRY_BYTES",
    "VECTOR_BITS",
    "CompletionQueues",
    "QueueCommandKind",
    "QueueCommandLayout",
    "QueueLookupLayout",
    "QueueResultLayout",
    "QueueSetupLayout",
]

#: Bytes of an entry: half a cache line, one beat or a few of any width.
ENTRY_BYTES = 32
_SLOT_SHIFT = 5  # log2 of them
#: A queue has up to 2**24 entries, and its counters a bit more, which tells full from empty.
COUNT_BITS = 25
_PLACE_BITS = COUNT_BITS - 1
#: MSI-X has up to 2048 vectors.
VECTOR_BITS = 11


class QueueSetupLayout(data.StructLayout):
    """A completion queue that is set up anew.

    Fields
    ------
    queue : config.bits("completion_queues") bits
    space, address : 2, 64 bits
        Where the ring begins; the low 5 bits of ``address`` are ignored.
    size_shift : 5 bits
        The ring has 2**size_shift entries; more than 24 is taken for 24.
    vector : 11 bits
        Whom to interrupt.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "queue": config.bits("completion_queues"),
                "space": 2,
                "address": 64,
                "size_shift": 5,
                "vector": VECTOR_BITS,
            }
        )


class QueueCommandKind(enum.IntEnum, shape=2):
    """What a driver tells a completion queue, besides what it has consumed: bits of arming."""

    CONSUMED = 0
    #: Interrupt with the next entry.
    ARM = 1
    #: Interrupt with the next entry that is solicited or no success.
    ARM_SOLICITED = 2


class QueueCommandLayout(data.StructLayout):
    """``kind`` for ``queue``; ``consumer`` counts, modulo 2**25, the entries that were consumed."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "queue": config.bits("completion_queues"),
                "kind": QueueCommandKind,
                "consumer": COUNT_BITS,
            }
        )


class QueueLookupLayout(data.StructLayout):
    """An entry for ``queue``; ``is_solicited`` if it interrupts who waits for such ones only."""

    def __init__(self, config: RoceConfig):
        super().__init__({"queue": config.bits("completion_queues"), "is_solicited": 1})


class QueueResultLayout(data.StructLayout):
    """What becomes of an entry, or an interrupt.

    Fields
    ------
    is_entry : 1 bit
        It is the answer to a look-up.
    fits : 1 bit
        The entry is to be written; otherwise its queue is in error.
    space, slot : 2, 59 bits
        Where; ``slot`` is the address without its low 5 bits, which are 0.
    count : 25 bits
        Entries before this one, modulo 2**25.
    owner : 1 bit
        1 in the first round of the ring, 0 in the second, and so on.
    interrupt, vector : 1, 11 bits
        Interrupt, after this entry or, without one, at once.
    """

    def __init__(self):
        super().__init__(
            {
                "is_entry": 1,
                "fits": 1,
                "space": 2,
                "slot": 64 - _SLOT_SHIFT,
                "count": COUNT_BITS,
                "owner": 1,
                "interrupt": 1,
                "vector": VECTOR_BITS,
            }
        )


class _RingLayout(data.StructLayout):
    """What set-up decides; ``mask`` is 2**(n + 1) - 1 for a ring of 2**n entries."""

    def __init__(self):
        super().__init__(
            {"space": 2, "slot": 64 - _SLOT_SHIFT, "mask": COUNT_BITS, "vector": VECTOR_BITS}
        )


class _StateLayout(data.StructLayout):
    """What changes.

    ``low`` are the low bits of the next entry's slot, with a carry into the others; ``armed`` has
    a bit for any entry and one for solicited ones.
    """

    def __init__(self):
        super().__init__(
            {
                "producer": COUNT_BITS,
                "consumer": COUNT_BITS,
                "low": _PLACE_BITS + 1,
                "armed": 2,
                "is_in_error": 1,
            }
        )


def _parts(bits: Value) -> Value:
    """Fold ``bits`` to a quarter of them, of which any is set if any was."""
    return Cat(bits[start : start + 4].any() for start in range(0, len(bits), 4))


class CompletionQueues(wiring.Component):
    """Keep rings of completion queue entries: places, counters, who is armed.

    Set-ups, commands and look-ups are done one after the other, so each sees what those before it
    left, of its own queue as well. Of all that waits, set-ups go before commands, and look-ups in
    turn with these two: nobody waits for more than one of another kind, unless a set-up does.

    **Look-up.** If the ring is full, that is if ``producer - consumer`` is its size, the queue goes
    to error, told once on ``queue_errors``. A queue in error, and one that was not set up since
    reset, takes no entry: ``fits`` is 0. Otherwise the entry has its place, and ``interrupt`` if
    the queue is armed for it, which disarms the queue. The two counters are compared in as many
    bits as the ring's size needs, so a driver that counts wrong spoils its own ring alone.

    **No interrupt is lost.** A command that arms carries what the driver has consumed. If the
    producer has gone on since, the driver may have looked at the ring before the entry came: then
    the interrupt is raised at once and the queue is not armed (nor if the newer entries would not
    have raised it: one too many does no harm). Otherwise no entry is on its way, and the next one
    will find the queue armed. Armed for any entry and for solicited ones means for any entry.
    Every command, arming ones too, moves the consumer.

    A row is read, then told and compared by parts, then written back. Latency is 2 cycles from a
    look-up to its result. Throughput is a set-up, a command or a look-up every 3 cycles: nothing
    begins while a result waits. After reset, everybody waits for as many cycles as there are
    queues.

    Specification: this docstring; arming as IBTA Architecture Specification volume 1, 11.4.2
    (Request Completion Notification) has it; written without its text.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    queue_setups : In(stream.Signature(QueueSetupLayout(config)))
        Queues to set up: counters to 0, not armed, no error. All ``ready`` here are registers.
    queue_commands : In(stream.Signature(QueueCommandLayout(config)))
        Commands of the driver.
    lookups : In(stream.Signature(QueueLookupLayout(config)))
        Entries to be written. It may hold the same one until ``results`` was taken: nothing is
        begun meanwhile.
    results : Out(stream.Signature(QueueResultLayout()))
        For each look-up one, and one for each interrupt at once, in the order in which they were
        done. From registers: ``slot`` through half an adder, ``fits`` and ``interrupt`` through
        the ends of comparisons.
    queue_errors : Out(stream.Signature(config.bits("completion_queues")))
        Queues that went to error, once each until they are set up. Registered. Look-ups wait for
        it: whoever takes these must not wait for anything here.
    """

    queue_setups: stream.Interface
    queue_commands: stream.Interface
    lookups: stream.Interface
    results: stream.Interface
    queue_errors: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.queue_bits = config.bits("completion_queues")
        super().__init__(
            {
                "queue_setups": In(stream.Signature(QueueSetupLayout(config))),
                "queue_commands": In(stream.Signature(QueueCommandLayout(config))),
                "lookups": In(stream.Signature(QueueLookupLayout(config))),
                "results": Out(stream.Signature(QueueResultLayout())),
                "queue_errors": Out(stream.Signature(self.queue_bits)),
            }
        )

    def _ram(self, shape) -> SimpleDualPortRam:
        return SimpleDualPortRam(
            shape=shape,
            depth=self.config.completion_queues,
            lane_count=1,
            latency=1,
            bypass=False,
            block=not self.config.is_narrow,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rings = rings = self._ram(_RingLayout())
        m.submodules.states = states = self._ram(_StateLayout())
        setup: Any = self.queue_setups.p
        command: Any = self.queue_commands.p
        lookup: Any = self.lookups.p

        # A cycle in which one is chosen and its row is read, then these two.
        reads = Signal()
        writes = Signal()
        does_lookup = Signal()
        does_setup = Signal()
        does_command = Signal()
        clearing = Signal(init=1)  # after reset, all queues are put in error, one a cycle
        queue = Signal(self.queue_bits)
        lookup_is_next = Signal()

        begins = Signal()
        picks_lookup = Signal()
        picks_setup = Signal()
        picks_command = Signal()
        chosen = Signal.like(queue)
        m.d.comb += [
            begins.eq(~clearing & ~reads & ~writes & ~self.results.valid),
            picks_lookup.eq(
                self.lookups.valid
                & ~self.queue_errors.valid
                & (lookup_is_next | ~(self.queue_setups.valid | self.queue_commands.valid))
            ),
            picks_setup.eq(self.queue_setups.valid & ~picks_lookup),
            picks_command.eq(self.queue_commands.valid & ~self.queue_setups.valid & ~picks_lookup),
            chosen.eq(
                Mux(picks_lookup, lookup.queue, Mux(picks_setup, setup.queue, command.queue))
            ),
            self.lookups.ready.eq(reads & does_lookup),
            self.queue_setups.ready.eq(writes & does_setup),
            self.queue_commands.ready.eq(writes & does_command),
        ]
        m.d.sync += [
            reads.eq(begins & (picks_lookup | picks_setup | picks_command)),
            writes.eq(reads),
        ]
        with m.If(clearing):
            m.d.sync += [queue.eq(queue + 1), clearing.eq(~queue.all())]
        with m.Elif(begins):
            m.d.sync += [
                queue.eq(chosen),
                does_lookup.eq(picks_lookup),
                does_setup.eq(picks_setup),
                does_command.eq(picks_command),
                lookup_is_next.eq(picks_setup | picks_command),
            ]

        ring: Any = Signal(_RingLayout())
        state: Any = Signal(_StateLayout())
        new_ring: Any = Signal(_RingLayout())
        new: Any = Signal(_StateLayout())
        for ram, row, new_row, lanes in (
            (rings, ring, new_ring, writes & does_setup),
            (states, state, new, writes | clearing),
        ):
            m.d.comb += [
                ram.read_en.eq(begins),
                ram.read_address.eq(chosen),
                row.eq(ram.read_data),
                ram.write_lanes.eq(lanes),
                ram.write_address.eq(queue),
                ram.write_data.eq(new_row),
            ]
        m.d.comb += [
            new_ring.space.eq(setup.space),
            new_ring.slot.eq(setup.address[_SLOT_SHIFT:]),
            new_ring.mask.eq(Cat(setup.size_shift >= n for n in range(COUNT_BITS))),
            new_ring.vector.eq(setup.vector),
        ]

        # What was read, and the bits in which it differs, folded: memories are slow.
        old: Any = Signal(_StateLayout(), reset_less=True)
        old_ring: Any = Signal(_RingLayout(), reset_less=True)
        is_solicited = Signal(reset_less=True)
        size = ring.mask & ~(ring.mask >> 1)  # a bit: in the counters, that above the place
        place = ring.mask >> 1
        folds = []
        for name, bits in (
            ("not_full", ((state.producer ^ state.consumer) & ring.mask) ^ size),
            ("odd_round", state.producer & size),
            ("not_last", ~state.producer & place),
            ("behind", state.producer ^ command.consumer),
        ):
            fold = Signal(_parts(bits[:COUNT_BITS]).shape(), name=name, reset_less=True)
            with m.If(reads):
                m.d.sync += fold.eq(_parts(bits[:COUNT_BITS]))
            folds.append(fold.any())
        not_full, odd_round, not_last, behind = folds
        with m.If(reads):
            m.d.sync += [old.eq(state), old_ring.eq(ring), is_solicited.eq(lookup.is_solicited)]

        fits = Signal()
        advances = Signal()
        interrupts = Signal()
        first = old_ring.slot[:_PLACE_BITS]
        m.d.comb += [
            fits.eq(not_full & ~old.is_in_error),
            advances.eq(does_lookup & fits),
            interrupts.eq(
                Mux(
                    does_lookup,
                    fits & (old.armed[0] | (old.armed[1] & is_solicited)),
                    command.kind.any() & behind,
                )
            ),
            new.is_in_error.eq(
                clearing | (~does_setup & (old.is_in_error | (does_lookup & ~not_full)))
            ),
        ]
        with m.If(does_setup):
            m.d.comb += new.low.eq(setup.address[_SLOT_SHIFT:][:_PLACE_BITS])
        with m.Else():
            m.d.comb += [
                new.producer.eq(old.producer + advances),
                new.consumer.eq(Mux(does_lookup, old.consumer, command.consumer)),
                new.low.eq(Mux(advances & ~not_last, first, old.low + advances)),
            ]
            with m.If(~interrupts):
                m.d.comb += new.armed.eq(old.armed | Mux(does_command, command.kind, 0))

        result: Any = self.results.p
        failed_queue = Signal.like(queue, reset_less=True)
        m.d.comb += [
            result.is_entry.eq(does_lookup),
            result.fits.eq(fits),
            result.space.eq(old_ring.space),
            result.slot.eq(
                Cat(old.low[:_PLACE_BITS], old_ring.slot[_PLACE_BITS:] + old.low[_PLACE_BITS])
            ),
            result.count.eq(old.producer),
            result.owner.eq(~odd_round),
            # A command has a result only if it interrupts.
            result.interrupt.eq(~does_lookup | interrupts),
            result.vector.eq(old_ring.vector),
            self.queue_errors.payload.eq(failed_queue),
        ]
        with m.If(self.results.ready):
            m.d.sync += self.results.valid.eq(0)
        with m.If((reads & does_lookup) | (writes & does_command & interrupts)):
            m.d.sync += self.results.valid.eq(1)
        with m.If(self.queue_errors.ready):
            m.d.sync += self.queue_errors.valid.eq(0)
        with m.If(writes & does_lookup & ~not_full & ~old.is_in_error):
            m.d.sync += [self.queue_errors.valid.eq(1), failed_queue.eq(queue)]
        return m
