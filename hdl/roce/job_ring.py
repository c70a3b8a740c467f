"""READs and atomic operations of each queue pair that have not been answered yet."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam, TrueDualPortRam
from .advance import advance
from .answer_layouts import JobKind, JobLayout, JobWriteLayout
from .config import RoceConfig
from .layouts import PAYLOAD_BITS, PLACE_BITS, PlaceLayout

__all__ = ["JobRing", "RingRowLayout"]

#: Path MTUs are 256 bytes or more, so these bits of a READ's place and length never change.
_FIXED_BITS = 8
#: Bits of a READ's length, in the low part of ``operand``.
_LENGTH_BITS = 32
#: ``mtu_shift`` of the smallest and the greatest path MTU.
_SHIFTS = range(8, 13)


class RingRowLayout(data.StructLayout):
    """Where a row is: ``slot`` (log2(resources) bits) of ``queue_pair``'s ring."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {"slot": config.bits("resources"), "queue_pair": config.bits("queue_pairs")}
        )


class _MovingLayout(data.StructLayout):
    """What of a READ changes with each packet; lengths and places in units of 256 bytes."""

    def __init__(self):
        super().__init__(
            {"psn": 24, "linear": PLACE_BITS - _FIXED_BITS, "left": _LENGTH_BITS - _FIXED_BITS}
        )


class JobRing(wiring.Component):
    """Hold the rows; give one of them at a time, and move its READ on by a packet.

    What of a row moves on is in a memory with two ports that both write: one for new rows, the
    other one for the row at work. A new row waits for nothing. With narrow beats, when new rows are
    rare, there is one port to write, and the row at work waits for it.

    Latency is 1 cycle from ``fetch`` to ``job`` and 2 to the rest, with narrow beats 2 and 3.
    Throughput is 1 fetch every 3 cycles if each is followed by ``advance``.

    Specification: IBTA Architecture Specification volume 1, 9.7.5 (READ responses).

    Parameters
    ----------
    config : RoceConfig
        Sizes of the engine.

    Members
    -------
    write : In(JobWriteLayout(config))
        Strobe; the row is neither fetched nor advanced in this cycle. With narrow beats not in two
        cycles that follow each other.
    fetch : In(1)
        Whether ``row`` is read.
    advance : In(1)
        Whether ``job`` is written back to ``row`` as its READ is behind one packet; 2 cycles or
        more after the fetch, and not in a cycle with one; with narrow beats 3 or more.
    busy : Out(1)
        What ``advance`` wrote back is not there yet: nothing may be fetched.
    row : In(RingRowLayout(config))
    job : Out(JobLayout(config))
        Row of the last fetch, from the memory's registers, or with narrow beats from those behind.
    is_read, is_last : Out(1)
        Whether ``job`` is a READ; whether the next packet is the last of it. Registered.
    payload_bytes : Out(13)
        Bytes of that packet, registered.
    """

    write: Any
    fetch: Signal
    advance: Signal
    busy: Signal
    row: Any
    job: Any
    is_read: Signal
    is_last: Signal
    payload_bytes: Signal

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "write": In(JobWriteLayout(config)),
                "fetch": In(1),
                "advance": In(1),
                "busy": Out(1),
                "row": In(RingRowLayout(config)),
                "job": Out(JobLayout(config)),
                "is_read": Out(1),
                "is_last": Out(1),
                "payload_bytes": Out(PAYLOAD_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        layout = JobLayout(config)
        moving_layout = _MovingLayout()
        depth = config.queue_pairs * config.resources
        # The rest of a row: its bits without those that are in the other memory.
        parts = [
            (layout["psn"].offset, 24),
            (
                layout["place"].offset + PlaceLayout(config)["linear"].offset + _FIXED_BITS,
                moving_layout["linear"].width,
            ),
            (layout["operand"].offset + _FIXED_BITS, moving_layout["left"].width),
        ]

        def split(bits: Value) -> tuple[Value, Value]:
            """Bits of a row that move on, and the others."""
            moving, fixed, end = [], [], 0
            for offset, width in sorted(parts):
                fixed.append(bits[end:offset])
                moving.append(bits[offset : offset + width])
                end = offset + width
            return Cat(moving), Cat(*fixed, bits[end:])

        m.submodules.fixed = fixed = SimpleDualPortRam(
            shape=unsigned(layout.size - moving_layout.size),
            depth=depth,
            lane_count=1,
            latency=1,
            bypass=False,
            block=True,
        )
        new_moving, new_fixed = split(Value.cast(self.write.job))
        old_moving, old_fixed = split(Value.cast(self.job))
        new_address = Cat(self.write.slot, self.write.queue_pair)
        job: Any = self.job
        step = Signal(5)  # path MTU in units of 256 bytes
        with m.Switch(job.mtu_shift):
            for shift in _SHIFTS:
                with m.Case(shift):
                    m.d.comb += step.eq(1 << (shift - _FIXED_BITS))
        left = job.operand[_FIXED_BITS:_LENGTH_BITS]
        rest = Signal(len(left))
        moved: Any = Signal(layout)
        m.d.comb += [
            rest.eq(left - step),
            moved.psn.eq(job.psn + 1),
            moved.place.linear.eq(
                Cat(C(0, _FIXED_BITS), advance(job.place.linear[_FIXED_BITS:], step))
            ),
            moved.operand.eq(Cat(C(0, _FIXED_BITS), rest)),
            fixed.write_lanes.eq(self.write.valid),
            fixed.write_address.eq(new_address),
            fixed.write_data.eq(new_fixed),
            fixed.read_en.eq(self.fetch),
            fixed.read_address.eq(Value.cast(self.row)),
        ]
        new_work = split(Value.cast(moved))[0]
        if config.is_narrow:
            work = self._share_port(m, depth, new_address, new_moving, new_work)
            # A block RAM is slow: what it gives is registered before it is added to.
            comes = Signal()
            m.d.sync += comes.eq(self.fetch)
            row = Signal(layout.size, reset_less=True)
            fetched: Any = Signal(layout)
            fetched_moving, fetched_fixed = split(Value.cast(fetched))
            m.d.comb += [
                fetched_moving.eq(work),
                fetched_fixed.eq(fixed.read_data),
                Value.cast(self.job).eq(row),
            ]
            with m.If(comes):
                m.d.sync += row.eq(Value.cast(fetched))
        else:
            work = self._two_ports(m, depth, new_address, new_moving, new_work)
            m.d.comb += [old_moving.eq(work), old_fixed.eq(fixed.read_data)]

        is_last = Signal()
        # Of the length, which is in the low part of the operand, at most a path MTU is left: of its
        # bits from the MTU's on none is set, or only the lowest of them and none below.
        rest_any = job.operand[:_FIXED_BITS].any()
        few = Cat(
            bit & (~left[n:].any() | ((left == 1 << n) & ~rest_any)) for n, bit in enumerate(step)
        )
        m.d.comb += is_last.eq(few.any())
        m.d.sync += [
            self.is_read.eq(job.kind == JobKind.READ),
            self.is_last.eq(is_last),
            self.payload_bytes.eq(
                Mux(is_last, job.operand[:PAYLOAD_BITS], Cat(C(0, _FIXED_BITS), step))
            ),
        ]
        return m

    def _two_ports(
        self, m: Module, depth: int, new_address: Value, new_row: Value, row: Value
    ) -> Value:
        """Memory of what moves on, with a port for new rows and one for the row at work."""
        m.submodules.moving = moving = TrueDualPortRam(
            shape=unsigned(len(row)), depth=depth, lane_count=1, latency=1
        )
        new, work = moving.port
        m.d.comb += [
            new.en.eq(self.write.valid),
            new.write_lanes.eq(1),
            new.address.eq(new_address),
            new.write_data.eq(new_row),
            work.en.eq(self.fetch | self.advance),
            work.write_lanes.eq(self.advance),
            work.address.eq(Value.cast(self.row)),
            work.write_data.eq(row),
        ]
        return work.read_data

    def _share_port(
        self, m: Module, depth: int, new_address: Value, new_row: Value, row: Value
    ) -> Value:
        """Memory of what moves on, where the row at work is written when there is no new one."""
        m.submodules.moving = moving = SimpleDualPortRam(
            shape=unsigned(len(row)),
            depth=depth,
            lane_count=1,
            latency=1,
            bypass=False,
            block=True,
        )
        address = Signal(len(new_address), reset_less=True)
        waiting = Signal(len(row), reset_less=True)
        m.d.sync += self.busy.eq(self.advance | (self.busy & self.write.valid))
        with m.If(self.advance):
            m.d.sync += [address.eq(Value.cast(self.row)), waiting.eq(row)]
        m.d.comb += [
            moving.write_lanes.eq(self.write.valid | self.busy),
            moving.write_address.eq(Mux(self.write.valid, new_address, address)),
            moving.write_data.eq(Mux(self.write.valid, new_row, waiting)),
            moving.read_en.eq(self.fetch),
            moving.read_address.eq(Value.cast(self.row)),
        ]
        return moving.read_data
