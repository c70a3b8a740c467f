"""Memory with a row for each tag, for as many completions as begin in a cycle."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam

__all__ = ["TagTable", "TagWriteLayout"]


class TagWriteLayout(data.StructLayout):
    """Strobe: row of a tag."""

    def __init__(self, shape: data.StructLayout, tag_count: int):
        super().__init__({"valid": 1, "tag": range(tag_count), "row": shape})


class TagTable(wiring.Component):
    """Write and look up the rows of ``port_count`` tags in each cycle.

    Two tags of a cycle are the same, or one is even and one is odd: each half of the table is a RAM
    with one write and one read port. Of two writes to one tag the later in the list counts.

    A row that is written in the cycle of its look-up, and one that was never written, is undefined.

    Parameters
    ----------
    shape : data.StructLayout
        Of a row.
    tag_count : int
        Tags; even if ``port_count`` is 2.
    port_count : int
        1 or 2.
    latency : int
        Cycles of a look-up: 2 from block RAM, the second one for its slow output; or 0.

    Members
    -------
    write : In(TagWriteLayout(shape, tag_count)).array(port_count)
        Rows to write.
    tags : In(range(tag_count)).array(port_count)
        Tags to look up.
    rows : Out(shape).array(port_count)
        Their rows, ``latency`` cycles later.
    """

    write: list[Any]
    tags: list[Signal]
    rows: list[Any]

    def __init__(self, *, shape: data.StructLayout, tag_count: int, port_count: int, latency: int):
        self.shape = shape
        self.depth = max(2, tag_count // port_count)
        self.port_count = port_count
        self.latency = latency
        super().__init__(
            {
                "write": In(TagWriteLayout(shape, tag_count)).array(port_count),
                "tags": In(range(tag_count)).array(port_count),
                "rows": Out(shape).array(port_count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        halves = self.port_count - 1  # bits of a tag that tell its half
        found = []
        for half in range(self.port_count):

            def is_here(tag: Value, half: int = half) -> Value:
                return (tag[0] == half) if halves else C(1)

            writes = Signal(name=f"writes_{half}")
            write_address = Signal(range(self.depth), name=f"write_address_{half}")
            write_row = Signal(self.shape.size, name=f"write_row_{half}")
            address = Signal(range(self.depth), name=f"address_{half}")
            for write in self.write:
                with m.If(write.valid & is_here(write.tag)):
                    m.d.comb += [
                        writes.eq(1),
                        write_address.eq(write.tag[halves:]),
                        write_row.eq(Value.cast(write.row)),
                    ]
            first, other = self.tags[0], self.tags[-1]
            m.d.comb += address.eq(Mux(is_here(first), first[halves:], other[halves:]))
            if self.latency:
                ram = SimpleDualPortRam(
                    shape=self.shape.size,
                    depth=self.depth,
                    lane_count=1,
                    latency=self.latency,
                    bypass=False,
                )
                m.submodules[f"half_{half}"] = ram
                m.d.comb += [
                    ram.write_lanes.eq(writes),
                    ram.write_address.eq(write_address),
                    ram.write_data.eq(write_row),
                    ram.read_en.eq(1),
                    ram.read_address.eq(address),
                ]
                found.append(ram.read_data)
            else:
                memory = Memory(shape=unsigned(self.shape.size), depth=self.depth, init=[])
                m.submodules[f"half_{half}"] = memory
                write_port = memory.write_port()
                read_port = memory.read_port(domain="comb")
                m.d.comb += [
                    write_port.en.eq(writes),
                    write_port.addr.eq(write_address),
                    write_port.data.eq(write_row),
                    read_port.addr.eq(address),
                ]
                found.append(read_port.data)

        for number, (tag, row) in enumerate(zip(self.tags, self.rows, strict=True)):
            odd = tag[0]
            for stage in range(self.latency):
                kept = Signal(name=f"odd_{number}_{stage}", reset_less=True)
                m.d.sync += kept.eq(odd)
                odd = kept
            m.d.comb += Value.cast(row).eq(Mux(odd, found[-1], found[0]) if halves else found[0])
        return m
