"""One step of the parser: reads one header of each packet."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import DelayLine, SimpleDualPortRam

from .graph import (
    _ROTATIONS,
    STATE_COUNT,
    TAP_COUNT,
    TRANSITION_COUNT,
    GraphTables,
    Role,
    Scale,
    StateEntry,
    TransitionEntry,
)
from .parser_bus import DEPTH_BYTES, OFFSET_BITS, BusLayout, ParseError, Table, TableWriteLayout

__all__ = ["ParserStage"]


class ParserStage(wiring.Component):
    """Read the header that the cursor points to, and move the cursor past it.

    Every stage of the parser is the same and holds the same tables; stage n reads the n-th header
    of a packet. Beats pass through it unchanged, one each cycle, and never wait. In the
    beat that completes the fixed part of its header, a stage knows which header follows, and where;
    since that one begins no earlier than in this beat, the next stage meets its header's first byte
    with a cursor that is known. So no stage stores more of a packet than its taps.

    Cycle by cycle: 0 address of the state table; 1 its row; 2 where the taps are; 3 the beat's
    bytes there, and whether the fixed part is complete; 4 key, and what must not be; 5 the key's
    hash as address of the transition table, length; 6 its row, the following offset; 7 match, and
    the next cursor.

    Latency is 8 cycles. Throughput is 1 beat per cycle.

    Specification: docs/parser.md. A pipeline of header stages follows M. Attig and G. Brebner,
    "400 Gb/s Programmable Packet Parsing on a Single FPGA", ANCS 2011.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    number : int
        Stages before this one.
    slot_count : int
        Windows.
    tables : GraphTables
        What bank 0 of the tables holds from the start.

    Members
    -------
    i : In(BusLayout(data_bytes, number, slot_count))
        Beat and what is known of its packet.
    o : Out(BusLayout(data_bytes, number + 1, slot_count))
        The same, 8 cycles later and a header further.
    write : In({valid: 1, row: TableWriteLayout})
        Row for a table, taken in every cycle that ``valid`` is set.
    """

    #: Cycles from ``i`` to ``o``.
    LATENCY = 8

    i: data.View
    o: data.View
    write: data.View

    def __init__(self, *, data_bytes: int, number: int, slot_count: int, tables: GraphTables):
        self.data_bytes = data_bytes
        self.number = number
        self.slot_count = slot_count
        self.tables = tables
        super().__init__(
            {
                "i": In(BusLayout(data_bytes, number, slot_count)),
                "o": Out(BusLayout(data_bytes, number + 1, slot_count)),
                "write": In(data.StructLayout({"valid": 1, "row": TableWriteLayout()})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lane_bits = (self.data_bytes - 1).bit_length()

        # Everything that no cycle in between needs waits in one delay line.
        m.submodules.passing = passing = DelayLine(
            shape=unsigned(self.i.shape().size), cycles=self.LATENCY - 1
        )
        m.d.comb += passing.i.eq(self.i)
        late: Any = Signal(self.i.shape())
        m.d.comb += late.eq(passing.o)

        def after(value, name, cycles):
            """``value`` as it was so many cycles ago."""
            for cycle in range(cycles):
                held = Signal.like(value, name=f"{name}_{cycle + 1}", reset_less=True)
                m.d.sync += held.eq(value)
                value = held
            return value

        # 0 and 1: what to do in this state.
        write = self.write.row
        m.submodules.states = states = SimpleDualPortRam(
            shape=unsigned(StateEntry().size),
            depth=2 * STATE_COUNT,
            lane_count=1,
            latency=1,
            bypass=False,
            init=self.tables.states,
        )
        m.d.comb += [
            states.write_lanes.eq(self.write.valid & (write.table == Table.STATES)),
            states.write_address.eq(Cat(write.row[: (STATE_COUNT - 1).bit_length()], write.bank)),
            states.write_data.eq(write.entry),
            states.read_en.eq(1),
            states.read_address.eq(Cat(self.i.cursor.state, self.i.bank)),
        ]
        rule: Any = Signal(StateEntry(), reset_less=True)
        m.d.sync += rule.eq(states.read_data)

        # 2: where the taps are, and where the fixed part ends.
        cursor_2 = after(self.i.cursor, "cursor", 2)
        index_2 = after(self.i.index, "index", 2)
        lanes, hits = [], []
        for number in range(TAP_COUNT):
            place = Signal(OFFSET_BITS + 1, name=f"place_{number}")
            m.d.comb += place.eq(cursor_2.offset + rule.taps[number].offset)
            lane = Signal(max(1, lane_bits), name=f"lane_{number}", reset_less=True)
            hit = Signal(name=f"hit_{number}", reset_less=True)
            m.d.sync += [
                lane.eq(place[:lane_bits]),
                hit.eq(cursor_2.known & (place[lane_bits:] == index_2)),
            ]
            lanes.append(lane)
            hits.append(hit)
        fixed_end = Signal(OFFSET_BITS + 1, reset_less=True)
        m.d.sync += fixed_end.eq(cursor_2.offset + rule.minimum)
        rule_3 = after(rule, "rule", 1)
        cursor_3 = after(cursor_2, "cursor_2", 1)

        # 3: the beat's bytes at the taps; a tap keeps its byte while later beats pass.
        beat_3 = after(self.i.beat.data, "data", 3)
        valid_3 = after(self.i.valid, "valid", 3)
        end_3 = after(self.i.end, "end", 3)
        taps = []
        for number in range(TAP_COUNT):
            byte = Signal(8, name=f"byte_{number}", reset_less=True)
            fresh = Signal(name=f"fresh_{number}", reset_less=True)
            kept = Signal(8, name=f"kept_{number}", reset_less=True)
            tap = Signal(8, name=f"tap_{number}")
            chosen = beat_3.word_select(lanes[number][:lane_bits], 8) if lane_bits else beat_3
            m.d.sync += [byte.eq(chosen), fresh.eq(valid_3 & hits[number]), kept.eq(tap)]
            m.d.comb += tap.eq(Mux(fresh, byte, kept))
            taps.append(tap)
        decided = Signal(reset_less=True)
        m.d.sync += decided.eq(cursor_3.known & (fixed_end <= end_3))
        rule_4 = after(rule_3, "rule_3", 1)

        # 4: what the taps say under their masks.
        key = Signal(8 * (TAP_COUNT - 1), reset_less=True)
        said = Signal(8, reset_less=True)
        contradicts = Signal(reset_less=True)
        m.d.sync += [
            key.eq(Cat(taps[number] & rule_4.taps[number].mask for number in range(len(key) // 8))),
            said.eq(taps[-1] & rule_4.taps[TAP_COUNT - 1].mask),
            contradicts.eq((taps[-1] & rule_4.check_mask) != rule_4.check_value),
        ]
        rule_5 = after(rule_4, "rule_4", 1)
        bank_5 = after(self.i.bank, "bank", 5)

        # 5: the key's row in the transition table, and the header's length.
        rows = []
        for rotations in _ROTATIONS:
            turned = [
                key[8 * (n + 1) : 8 * (n + 2)].rotate_left(r) for n, r in enumerate(rotations)
            ]
            rows.append(key[:8] ^ turned[0] ^ turned[1])
        row = Signal(8)
        with m.Switch(rule_5.hash_select):
            for select, folded in enumerate(rows):
                with m.Case(select):
                    m.d.comb += row.eq(folded ^ rule_5.displacement)
        m.submodules.transitions = transitions = SimpleDualPortRam(
            shape=unsigned(TransitionEntry().size),
            depth=2 * TRANSITION_COUNT,
            lane_count=1,
            latency=1,
            bypass=False,
            init=self.tables.transitions,
        )
        m.d.comb += [
            transitions.write_lanes.eq(self.write.valid & (write.table == Table.TRANSITIONS)),
            transitions.write_address.eq(Cat(write.row, write.bank)),
            transitions.write_data.eq(write.entry),
            transitions.read_en.eq(1),
            transitions.read_address.eq(Cat(row, bank_5)),
        ]
        scaled = Signal(11)
        with m.Switch(rule_5.scale):
            with m.Case(Scale.TIMES_4):
                m.d.comb += scaled.eq(said << 2)
            with m.Case(Scale.TIMES_8):
                m.d.comb += scaled.eq(said << 3)
            with m.Case(Scale.HIGH_NIBBLE_TIMES_4):
                m.d.comb += scaled.eq(said >> 2)
            with m.Case(Scale.FLAGS_TIMES_4):
                pairs = [said[bit] + said[bit + 1] for bit in range(0, 8, 2)]
                m.d.comb += scaled.eq(((pairs[0] + pairs[1]) + (pairs[2] + pairs[3])) << 2)
        length = Signal(12, reset_less=True)
        m.d.sync += length.eq(scaled + rule_5.add)
        rule_6 = after(rule_5, "rule_5", 1)
        offset_6 = after(cursor_3.offset, "offset_3", 3)
        contradicts_6 = after(contradicts, "contradicts", 1)

        # 6: the row, and where the next header would begin.
        transition: Any = Signal(TransitionEntry(), reset_less=True)
        following = Signal(12, reset_less=True)
        bad = Signal(reset_less=True)
        m.d.sync += [
            transition.eq(transitions.read_data),
            following.eq(offset_6 + length),
            bad.eq(contradicts_6 | (length < rule_6.minimum)),
        ]
        rule_7 = after(rule_6, "rule_6", 1)
        key_7 = after(key, "key", 2)
        decided_7 = after(decided, "decided", 3)

        # 7: the next cursor.
        state = late.cursor.state
        matched = (transition.state == state) & (transition.key == key_7)
        active = late.cursor.known & (state != 0)
        read = Signal()
        error = Signal(ParseError)
        m.d.comb += [
            read.eq(active & decided_7),
            error.eq(
                Mux(
                    bad,
                    ParseError.BAD_HEADER,
                    Mux(following > DEPTH_BYTES, ParseError.TOO_DEEP, ParseError.NONE),
                )
            ),
        ]
        o: Any = Signal(self.o.shape(), reset_less=True)
        # What is in the delay line outlives a reset; that it means something must not.
        valids = Signal(self.LATENCY)
        m.d.comb += [self.o.eq(o), self.o.valid.eq(valids[-1])]
        m.d.sync += [
            valids.eq(Cat(self.i.valid, valids)),
            *(
                o[name].eq(late[name])
                for name in ("beat", "first", "bank", "index", "end", "cursor", "error")
            ),
            *(o[name].eq(late[name]) for name in ("slots", "ip", "udp", "bth")),
            *(o.headers[number].eq(late.headers[number]) for number in range(self.number)),
            o.headers[self.number].state.eq(Mux(read, state, 0)),
            o.headers[self.number].offset.eq(late.cursor.offset),
        ]
        with m.If(active):
            m.d.sync += o.cursor.known.eq(decided_7)
        with m.If(read):
            m.d.sync += [
                o.cursor.state.eq(
                    Mux(error == ParseError.NONE, Mux(matched, transition.next, rule_7.default), 0)
                ),
                o.cursor.offset.eq(following),
                o.error.eq(error),
            ]
        with m.If(active):
            for number in range(self.slot_count):
                with m.If((rule_7.slot == number) & ~late.slots[number].known):
                    m.d.sync += [
                        o.slots[number].known.eq(1),
                        o.slots[number].offset.eq(late.cursor.offset),
                    ]
            with m.Switch(rule_7.role):
                for roles, place in (
                    ((Role.IPV4, Role.IPV6), o.ip),
                    ((Role.UDP,), o.udp),
                    ((Role.BTH,), o.bth),
                ):
                    with m.Case(*roles):
                        m.d.sync += [place.known.eq(1), place.offset.eq(late.cursor.offset)]
            m.d.sync += o.ip.v6.eq(
                Mux(rule_7.role == Role.IPV6, 1, Mux(rule_7.role == Role.IPV4, 0, late.ip.v6))
            )
        return m
