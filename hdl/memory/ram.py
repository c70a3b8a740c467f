"""Random access memories: one port, one write and one read port, two ports."""

from collections.abc import Iterable
from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["RamPortSignature", "SimpleDualPortRam", "SinglePortRam", "TrueDualPortRam"]


def _check(shape: ShapeLike, depth: int, lane_count: int, latency: int) -> int:
    """Refuse parameters that no RAM here takes; return the bits of a lane."""
    width = Shape.cast(shape).width
    if width < 1:
        raise ValueError(f"shape must be 1 bit or wider, not {shape!r}")
    if depth < 2:
        raise ValueError(f"depth must be 2 or more, not {depth!r}")
    if lane_count < 1 or width % lane_count:
        raise ValueError(f"lane_count must divide the {width} bits of a row, not {lane_count!r}")
    if latency not in (1, 2):
        raise ValueError(f"latency must be 1 or 2, not {latency!r}")
    return width // lane_count


def _memory(
    shape: ShapeLike, depth: int, init: Iterable[int] = (), *, block: bool = False
) -> Memory:
    """Rows as plain bits: lanes may cut through the fields of ``shape``."""
    attrs = {"ram_style": "block", "no_rw_check": "1"} if block else {}
    return Memory(shape=unsigned(Shape.cast(shape).width), depth=depth, init=init, attrs=attrs)


def _registered(m: Module, name: str, row: Value, en: Value, latency: int) -> Value:
    """Put the registers of a read behind ``row``, which comes from a RAM without a clock.

    The first of them becomes part of a block RAM. It stands here, not in the RAM's read port,
    because synthesis then sees from ``en`` that a row is never read while it is written, and
    adds no logic that would make it read the old row.
    """
    for number in range(latency):
        registered = Signal(len(row), name=f"{name}_{number}", reset_less=True)
        m.d.sync += registered.eq(row if number else Mux(en, row, registered))
        row = registered
    return row


class RamPortSignature(wiring.Signature):
    """Port that either reads or writes in a cycle, seen from its user.

    Parameters
    ----------
    shape : shape-like
        Shape of a row.
    depth : int
        Number of rows.
    lane_count : int
        Parts of a row that can be written alone.

    Members
    -------
    en : Out(1)
        Whether the port is used in this cycle.
    write_lanes : Out(lane_count)
        Lanes to write, the lowest bits of a row first; a use that writes no lane is a read.
    address : Out(range(depth))
        Row.
    write_data : Out(shape)
        New row, of which the lanes in ``write_lanes`` are written.
    read_data : In(shape)
        Row that the last read found; valid ``latency`` cycles after it, and kept while the port
        writes or is not used.
    """

    def __init__(self, shape: ShapeLike, depth: int, lane_count: int):
        super().__init__(
            {
                "en": Out(1),
                "write_lanes": Out(lane_count),
                "address": Out(range(depth)),
                "write_data": Out(shape),
                "read_data": In(shape),
            }
        )


class _ReadWritePorts(wiring.Component):
    """What SinglePortRam and TrueDualPortRam have in common: ports on one memory."""

    def __init__(
        self, members: dict, *, shape: ShapeLike, depth: int, lane_count: int, latency: int
    ):
        self.shape = shape
        self.depth = depth
        self.lane_count = lane_count
        self.latency = latency
        super().__init__(members)

    def _attach(self, m: Module, memory: Memory, name: str, port, blocked: Value) -> None:
        """Serve ``port`` with a read and a write port of ``memory``, never both in a cycle.

        A read that is ``blocked`` does not take place.
        """
        read = memory.read_port(domain="comb")
        write = memory.write_port(granularity=len(read.data) // self.lane_count)
        m.d.comb += [
            write.en.eq(Mux(port.en, port.write_lanes, 0)),
            write.addr.eq(port.address),
            write.data.eq(Value.cast(port.write_data)),
            read.addr.eq(port.address),
        ]
        reads = port.en & ~port.write_lanes.any() & ~blocked
        row = _registered(m, f"{name}_row", read.data, reads, self.latency)
        m.d.comb += Value.cast(port.read_data).eq(row)


class SinglePortRam(_ReadWritePorts):
    """Hold ``depth`` rows that one port reads or writes.

    Contents are not reset, and a row is undefined before it is written (an FPGA starts
    with zeros). A write leaves ``read_data`` as it is, so nothing is read while it is written.

    Latency of a read is ``latency``. Throughput is 1 read or write per cycle; a read sees every
    write of an earlier cycle.

    Specification: this docstring.

    Parameters
    ----------
    shape : shape-like
        Shape of a row, 1 bit or wider.
    depth : int
        Number of rows, 2 or more.
    lane_count : int
        Parts of a row that can be written alone; divides its bits. 1 for whole rows only.
    latency : int
        Cycles of a read: 1, or 2 with a register behind the RAM.

    Members
    -------
    port : In(RamPortSignature(shape, depth, lane_count))
        The port. An ``address`` of ``depth`` or more is not allowed.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    port: Any

    def __init__(self, *, shape: ShapeLike, depth: int, lane_count: int, latency: int):
        _check(shape, depth, lane_count, latency)
        super().__init__(
            {"port": In(RamPortSignature(shape, depth, lane_count))},
            shape=shape,
            depth=depth,
            lane_count=lane_count,
            latency=latency,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = _memory(self.shape, self.depth)
        self._attach(m, memory, "port", self.port, blocked=C(0))
        return m


class TrueDualPortRam(_ReadWritePorts):
    """Hold ``depth`` rows that two ports read or write.

    As :class:`SinglePortRam`, with two ports. Where one port reads a row in the cycle in which
    the other writes it, what is read is undefined; where both write one lane of a row, that lane
    is undefined until it is written again.

    Latency of a read is ``latency``. Throughput is 1 read or write per port per cycle.

    Specification: this docstring.

    Parameters
    ----------
    shape, depth, lane_count, latency
        See :class:`SinglePortRam`.

    Members
    -------
    port : In(RamPortSignature(shape, depth, lane_count)).array(2)
        The ports. An ``address`` of ``depth`` or more is not allowed.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    port: list[Any]

    def __init__(self, *, shape: ShapeLike, depth: int, lane_count: int, latency: int):
        _check(shape, depth, lane_count, latency)
        super().__init__(
            {"port": In(RamPortSignature(shape, depth, lane_count)).array(2)},
            shape=shape,
            depth=depth,
            lane_count=lane_count,
            latency=latency,
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = _memory(self.shape, self.depth)
        same_row = Signal()
        m.d.comb += same_row.eq(self.port[0].address == self.port[1].address)
        for number, (port, other) in enumerate(zip(self.port, reversed(self.port), strict=True)):
            other_writes = Signal(name=f"port_{1 - number}_writes")
            m.d.comb += other_writes.eq(other.en & other.write_lanes.any())
            self._attach(m, memory, f"port_{number}", port, blocked=same_row & other_writes)
        return m


class SimpleDualPortRam(wiring.Component):
    """Hold ``depth`` rows that one port writes and another reads.

    A read sees every write of an earlier cycle. What it returns of a row that is written in its
    own cycle is undefined, unless ``bypass`` is true: then it sees that write, too, lane by lane.
    The RAM itself is not asked to be transparent; registers and a multiplexer beside it are.

    Contents are not reset, and a row is undefined before it is written (an FPGA starts
    with zeros).

    Latency of a read is ``latency``. Throughput is 1 read and 1 write per cycle.

    Specification: this docstring.

    Parameters
    ----------
    shape : shape-like
        Shape of a row, 1 bit or wider.
    depth : int
        Number of rows, 2 or more.
    lane_count : int
        Parts of a row that can be written alone; divides its bits. 1 for whole rows only.
    latency : int
        Cycles of a read: 1, or 2 with a register behind the RAM.
    bypass : bool
        Whether a read sees the write of its own cycle.
    init : iterable of int, optional
        Bits of the first rows, where the technology can load them: FPGAs can.
    block : bool, optional
        Whether an FPGA is asked for block RAM where it would take LUTs; not with ``bypass``.
        Nothing then compares addresses, and a row that is read in the cycle in which it is written
        stays undefined until it is read again.

    Members
    -------
    write_lanes : In(lane_count)
        Lanes to write in this cycle, the lowest bits of a row first.
    write_address : In(range(depth))
        Row to write, less than ``depth``.
    write_data : In(shape)
        New row, of which the lanes in ``write_lanes`` are written.
    read_en : In(1)
        Whether to read in this cycle.
    read_address : In(range(depth))
        Row to read, less than ``depth``.
    read_data : Out(shape)
        Row that the last read found; valid ``latency`` cycles after it and kept until ``latency``
        cycles after the next. With ``bypass`` and a latency of 1 it comes from registers through
        a multiplexer, otherwise from a register.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    write_lanes: Signal
    write_address: Signal
    write_data: Signal
    read_en: Signal
    read_address: Signal
    read_data: Signal

    def __init__(
        self,
        *,
        shape: ShapeLike,
        depth: int,
        lane_count: int,
        latency: int,
        bypass: bool,
        init: Iterable[int] = (),
        block: bool = False,
    ):
        self._lane_bits = _check(shape, depth, lane_count, latency)
        if block and bypass:
            raise ValueError("block must not be asked for with bypass")
        self.shape = shape
        self.depth = depth
        self.lane_count = lane_count
        self.latency = latency
        self.bypass = bypass
        self.init = tuple(init)
        self.block = block
        super().__init__(
            {
                "write_lanes": In(lane_count),
                "write_address": In(range(depth)),
                "write_data": In(shape),
                "read_en": In(1),
                "read_address": In(range(depth)),
                "read_data": Out(shape),
            }
        )

    def elaborate(self, platform):
        m = Module()

        m.submodules.memory = memory = _memory(self.shape, self.depth, self.init, block=self.block)
        write = memory.write_port(granularity=self._lane_bits)
        read = memory.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.write_lanes),
            write.addr.eq(self.write_address),
            write.data.eq(Value.cast(self.write_data)),
            read.addr.eq(self.read_address),
        ]

        collides = Signal()
        m.d.comb += collides.eq((self.read_address == self.write_address) & self.write_lanes.any())
        # Only where lanes are bypassed one by one is the old row of use in a collision.
        keeps = not self.block and (self.lane_count == 1 or not self.bypass)
        reads = self.read_en & (~collides if keeps else 1)
        row = _registered(m, "row", read.data, reads, 1)
        if self.bypass:
            forwarded_lanes = Signal(self.lane_count, reset_less=True)
            forwarded = Signal(len(row), reset_less=True)
            with m.If(self.read_en):
                m.d.sync += [
                    forwarded_lanes.eq(Mux(collides, self.write_lanes, 0)),
                    forwarded.eq(Value.cast(self.write_data)),
                ]
            lanes = Cat(lane.replicate(self._lane_bits) for lane in forwarded_lanes)
            row = (forwarded & lanes) | (row & ~lanes)
        row = _registered(m, "output", row, C(1), self.latency - 1)
        m.d.comb += Value.cast(self.read_data).eq(row)
        return m
