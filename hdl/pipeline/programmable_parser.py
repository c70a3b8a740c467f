"""The parser behind a bus: its graph is written through registers."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.register import (
    Access,
    AxiLiteSignature,
    Counter,
    Field,
    Register,
    RegisterFile,
    RegisterTable,
)
from hdl.stream import PacketSignature

from .graph import GraphTables, StateEntry
from .parser import DEFAULT_GRAPH, Parser
from .parser_bus import Table

__all__ = ["PARSER", "ProgrammableParser", "register_writes"]

_WORDS = -(-StateEntry().size // 32)

PARSER = RegisterTable(
    name="parser",
    description=(
        "The parser's graph, in two banks. To replace it: wait until the bank that is not active is"
        " not busy, write each row's words to `entry` and then `commit`, and make the bank active."
        " `headrace graph` prints the writes."
    ),
    entries=(
        Register(
            "control",
            "Which graph parses.",
            (
                Field("bank", 1, Access.RW, "Bank for the packets that begin from now on."),
                Field("busy", 2, Access.RO, "Bit n: a packet is parsed under bank n.", offset=8),
            ),
        ),
        Register(
            "commit",
            "Puts `entry` into a table. It is refused while the bank is active or busy.",
            (
                Field("row", 8, Access.RW, "State number, or row of the transition table."),
                Field("table", 1, Access.RW, "0 states, 1 transitions.", offset=8),
                Field("bank", 1, Access.RW, "Bank to write.", offset=9),
                Field("write", 1, Access.PULSE, "Write it now.", offset=16),
            ),
        ),
        Counter("refused", "Rows refused since reset.", 1, saturates=True),
        Register(
            "entry",
            "Words of the row, the lowest bits in the first.",
            (Field("bits", 32, Access.RW, "The bits."),),
            count=_WORDS,
            address=0x10,
        ),
    ),
)


def register_writes(tables: GraphTables, bank: int) -> Iterator[tuple[int, int]]:
    """Addresses and words that put a graph into ``bank``; the bank must be free throughout."""
    places = {place.entry.name: place.address for place in PARSER.places()}
    for table, rows in ((Table.STATES, tables.states), (Table.TRANSITIONS, tables.transitions)):
        for row, entry in enumerate(rows):
            for word in range(_WORDS):
                yield places["entry"] + 4 * word, entry >> 32 * word & 0xFFFF_FFFF
            yield places["commit"], row | table.value << 8 | bank << 9 | 1 << 16


class ProgrammableParser(wiring.Component):
    """:class:`Parser` whose graph is replaced through registers, while packets pass.

    Latency and throughput are those of :class:`Parser` and, on the bus, of
    :class:`hdl.register.RegisterFile`.

    Specification: docs/parser.md; docs/registers/parser.md for the registers.

    Parameters
    ----------
    data_bytes, header_count, slots, graph
        See :class:`Parser`.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Packets without FCS.
    o : Out(stream.Signature(DescribedLayout(data_bytes, header_count, slots)))
        The same packets with their descriptors.
    bus : In(AxiLiteSignature(6))
        Registers of the table ``PARSER``.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    i: stream.Interface
    o: stream.Interface
    bus: Any

    def __init__(
        self,
        *,
        data_bytes: int,
        header_count: int,
        slots: Mapping[str, int],
        graph: Path | str = DEFAULT_GRAPH,
    ):
        self.parser = Parser(
            data_bytes=data_bytes, header_count=header_count, slots=slots, graph=graph
        )
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "o": Out(stream.Signature(self.parser.described)),
                "bus": In(AxiLiteSignature(6)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.parser = parser = self.parser
        m.submodules.file = file = RegisterFile(table=PARSER, address_bits=6)
        wiring.connect(m, wiring.flipped(self.i), parser.i)
        wiring.connect(m, parser.o, wiring.flipped(self.o))
        wiring.connect(m, wiring.flipped(self.bus), file.bus)
        registers = file.registers
        row = parser.write.row
        m.d.comb += [
            parser.bank.eq(registers.control.bank),
            registers.control.busy.eq(parser.busy),
            registers.refused.eq(parser.refused),
            parser.write.valid.eq(registers.commit.write),
            row.table.eq(registers.commit.table),
            row.bank.eq(registers.commit.bank),
            row.row.eq(registers.commit.row),
            row.entry.eq(Cat(word.bits for word in registers.entry)),
        ]
        return m
