"""Third part of the completions' path: where their data lie until they are delivered."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bits import select_one_hot
from ..memory import SimpleDualPortRam
from ..pcie.tlp import SEGMENT_DWORDS
from .completion_parts import (
    CompletionGroupLayout,
    VerdictLayout,
    begun_count,
    owners_of,
)
from .limits import check_slot_bytes, check_tag_count
from .parts import row_bytes_of

__all__ = ["CompletionStore"]


class CompletionStore(wiring.Component):
    """Put the DW of completions to their places in slots.

    The byte of address a of tag t lies at byte a % row_bytes of row t * slot_rows + (a %
    slot_bytes) // row_bytes. A row is spread over banks of 32 bytes, each written at an address
    of its own. A segment whose first DW does not begin a bank is turned; what goes beyond its bank
    is written to the next one, together with the segment behind it. What the last lane of a group
    has for the next bank waits for the segment behind it, or, at the end of a completion, is
    written in the next cycle.

    Latency is 5 cycles from ``i`` to the RAM, 6 where it is written late. ``verdict`` belongs to
    the ``i`` of 4 cycles before. Throughput is a group and a row read in each cycle.

    Specification: this docstring.

    Parameters
    ----------
    segment_count, tag_count, slot_bytes
        See :class:`CompletionCheck`.

    Members
    -------
    i : In(CompletionGroupLayout(segment_count, tag_count))
        Groups, as :class:`CompletionGather` makes them: no bank is written twice.
    verdict : In(VerdictLayout(segment_count, tag_count, slot_bytes))
        What may be written.
    read_en : In(1), read_row : In(range(tag_count * slot_rows))
        Row to read.
    read_data : Out(8 * row_bytes)
        Row, 1 cycle later, and until the next read. It has what was written in cycles before that
        of ``read_en``; what is written in that very cycle is undefined.

    Attributes
    ----------
    rams : list of SimpleDualPortRam
        The banks.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: Any
    verdict: Any
    read_en: Signal
    read_row: Signal
    read_data: Signal

    def __init__(self, *, segment_count: int, tag_count: int, slot_bytes: int):
        check_tag_count(tag_count)
        check_slot_bytes(slot_bytes)
        self.segment_count = segment_count
        self.tag_count = tag_count
        self.slot_bytes = slot_bytes
        self.owner_count = 1 + begun_count(segment_count)
        row_bytes = row_bytes_of(segment_count)
        self.slot_rows = slot_bytes // row_bytes
        super().__init__(
            {
                "i": In(CompletionGroupLayout(segment_count, tag_count)),
                "verdict": In(VerdictLayout(segment_count, tag_count, slot_bytes)),
                "read_en": In(1),
                "read_row": In(range(tag_count * self.slot_rows)),
                "read_data": Out(8 * row_bytes),
            }
        )
        self.rams = [
            SimpleDualPortRam(
                shape=32 * SEGMENT_DWORDS,
                depth=tag_count * self.slot_rows,
                lane_count=SEGMENT_DWORDS,
                latency=1,
                bypass=False,
                block=True,
            )
            for _ in range(segment_count)
        ]
        dwords = data.ArrayLayout(32, SEGMENT_DWORDS)
        # A segment after it was turned: DW below `turn` belong to the next bank.
        self.turned_layout = data.StructLayout(
            {
                "owner": self.owner_count,
                "dwords": dwords,
                "enables": SEGMENT_DWORDS,
                "below": SEGMENT_DWORDS,
                "bank": range(segment_count),
                "wrapped": 1,
                "spill": 1,
            }
        )
        # What a bank is to get.
        self.bank_layout = data.StructLayout(
            {
                "owner": self.owner_count,
                "dwords": dwords,
                "enables": SEGMENT_DWORDS,
                "next_row": 1,
            }
        )
        self.carry_layout = data.StructLayout(
            {"dwords": dwords, "enables": SEGMENT_DWORDS, "bank": range(segment_count), "final": 1}
        )

    def elaborate(self, platform):
        m = Module()
        turned, waits, final = self._turn(m)
        banks = self._arrange(m, turned, waits, final)
        self._write(m, banks)
        return m

    def _turn(self, m: Module) -> tuple[list[Any], Signal, Signal]:
        """First cycle: turn each segment."""
        group = self.i
        owners = owners_of(m, group, self.segment_count)
        turned = []
        for n in range(self.segment_count):
            lane = group.lanes[n]
            dwords = Value.cast(lane.data)
            enables = Cat(lane.count > dword for dword in range(SEGMENT_DWORDS))
            for level in range(3):
                distance = 1 << level
                name = f"{n}_by_{distance}"
                moved = Signal(len(dwords), name=f"dwords_{name}")
                moved_enables = Signal(SEGMENT_DWORDS, name=f"enables_{name}")
                m.d.comb += [
                    moved.eq(Mux(lane.turn[level], dwords.rotate_left(32 * distance), dwords)),
                    moved_enables.eq(Mux(lane.turn[level], enables.rotate_left(distance), enables)),
                ]
                dwords, enables = moved, moved_enables
            one = Signal(self.turned_layout, name=f"turned_{n}", reset_less=True)
            owner = Signal(self.owner_count, name=f"owner_of_{n}")
            m.d.comb += owner.eq(owners[n])
            m.d.sync += [
                one.owner.eq(owner),
                Value.cast(one.dwords).eq(dwords),
                one.enables.eq(enables),
                one.below.eq(Cat(lane.turn > dword for dword in range(SEGMENT_DWORDS))),
                one.bank.eq(lane.bank),
                one.wrapped.eq(lane.wrapped),
                one.spill.eq(lane.spill),
            ]
            turned.append(one)
        last = self.segment_count - 1
        waits = Signal()
        final = Signal()
        m.d.sync += [
            waits.eq(group.valid[last] & (~group.lanes[last].eop | group.final)),
            final.eq(group.final),
        ]
        return turned, waits, final

    def _arrange(self, m: Module, turned: list[Any], waits: Signal, final: Signal) -> list[Any]:
        """Second cycle: what each bank gets, of this group and of what waited."""
        count = self.segment_count
        carry = Signal(self.carry_layout, reset_less=True)
        carries = Signal()
        joins = Signal()
        any_lane = Cat(one.owner.any() for one in turned).any()
        m.d.comb += joins.eq(carries & (carry.final | turned[0].owner[0]))
        last = turned[-1]
        with m.If(any_lane | carry.final):
            m.d.sync += carries.eq(waits)
        m.d.sync += carry.final.eq(0)
        with m.If(waits):
            m.d.sync += [
                carry.dwords.eq(last.dwords),
                carry.enables.eq(last.enables & last.below),
                carry.bank.eq(last.bank + 1),
                carry.final.eq(final),
            ]

        banks = []
        for bank in range(count):
            upper = []
            lower = []
            for n, one in enumerate(turned):
                is_here = Signal(name=f"upper_of_{n}_in_{bank}")
                is_next = Signal(name=f"lower_of_{n}_in_{bank}")
                stays = waits if n == count - 1 else C(0, 1)
                valid = one.owner.any()
                m.d.comb += [
                    is_here.eq(valid & (one.bank == bank)),
                    is_next.eq(valid & one.spill & ~stays & (one.bank == (bank - 1) % count)),
                ]
                upper.append(is_here)
                lower.append(is_next)
            is_carry = Signal(name=f"carry_in_{bank}")
            m.d.comb += is_carry.eq(joins & (carry.bank == bank))
            gets = Signal(self.bank_layout, name=f"gets_{bank}", reset_less=True)
            owners = [one.owner for one in turned]
            m.d.sync += [
                gets.owner.eq(
                    select_one_hot(
                        Cat(*upper, *lower, is_carry), [*owners, *owners, C(1, self.owner_count)]
                    )
                ),
                gets.next_row.eq(
                    Cat(
                        *(upper[n] & one.wrapped for n, one in enumerate(turned)),
                        *(
                            lower[n] & (one.wrapped | (one.bank == count - 1))
                            for n, one in enumerate(turned)
                        ),
                    ).any()
                ),
            ]
            for dword in range(SEGMENT_DWORDS):
                chosen = Signal(count + 1, name=f"chosen_{bank}_{dword}")
                m.d.comb += chosen.eq(
                    Cat(
                        *(
                            one.enables[dword] & Mux(one.below[dword], lower[n], upper[n])
                            for n, one in enumerate(turned)
                        ),
                        is_carry & carry.enables[dword],
                    )
                )
                m.d.sync += [
                    gets.enables[dword].eq(chosen.any()),
                    gets.dwords[dword].eq(
                        select_one_hot(
                            chosen, [*(one.dwords[dword] for one in turned), carry.dwords[dword]]
                        )
                    ),
                ]
            banks.append(gets)
        return banks

    def _write(self, m: Module, banks: list[Any]) -> None:
        """Third to fifth cycle: wait for the verdict, and write."""
        rows = []
        for bank, (gets, ram) in enumerate(zip(banks, self.rams, strict=True)):
            kept = Signal(self.bank_layout, name=f"kept_{bank}", reset_less=True)
            put = Signal(self.bank_layout, name=f"put_{bank}", reset_less=True)
            m.d.sync += [kept.eq(gets), put.eq(kept)]
            m.submodules[f"bank_{bank}"] = ram
            writes = Signal(name=f"writes_{bank}")
            tag = Signal(range(self.tag_count), name=f"tag_{bank}")
            row = Signal(self.verdict.rows[0].shape(), name=f"row_{bank}")
            in_slot = [] if self.slot_rows == 1 else [(row + put.next_row)[: len(row)]]
            m.d.comb += [
                writes.eq((put.owner & self.verdict.writes).any()),
                tag.eq(select_one_hot(put.owner, self.verdict.tags)),
                row.eq(select_one_hot(put.owner, self.verdict.rows)),
                ram.write_lanes.eq(put.enables & writes.replicate(SEGMENT_DWORDS)),
                ram.write_address.eq(Cat(*in_slot, tag)),
                ram.write_data.eq(Value.cast(put.dwords)),
                ram.read_en.eq(self.read_en),
                ram.read_address.eq(self.read_row),
            ]
            rows.append(ram.read_data)
        m.d.comb += self.read_data.eq(Cat(rows))
