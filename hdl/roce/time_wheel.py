"""Who waits for a time."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam

__all__ = ["TimeWheel", "WaitLayout"]


class WaitLayout(data.StructLayout):
    """A ``member`` that waits for ``time``."""

    def __init__(self, members: int, time_bits: int):
        super().__init__({"member": range(members), "time": time_bits})


class TimeWheel(wiring.Component):
    """Hold members until their time has come: who waits costs nothing until then.

    Time is cut into slots of ``2 ** grain_bits`` units. A member waits in a list of its slot, by a
    table that has the next one of each; when the slot is over, its list is walked. Who waits for
    longer than there are slots is in a list that is walked too soon, and is put back then. Who
    waits for a time that is past comes out with the slot that is over next.

    So nobody comes out before its time, and behind it by a slot, and by what is walked before it.
    Whoever counts rates from the time that was asked for, not from when it came out, makes no
    mistake by that.

    Latency from the end of a slot to its first member is 5 cycles. Throughput is a member every 2
    cycles in, or out, and one every 4 cycles each way; each slot takes 2 cycles more. A slot should
    last 8 cycles or more. After reset nobody is let in for as many cycles as there are slots.

    Specification: G. Varghese and T. Lauck, Hashed and Hierarchical Timing Wheels, SOSP 1987,
    scheme 6.

    Parameters
    ----------
    members : int
        Members that there are: 2 or more. Each waits for one time at most.
    slots : int
        A power of two, 2 or more.
    time_bits, grain_bits : int
        Bits of a time, which wraps: none may be half of that ahead of the oldest slot that has not
        been walked. So ``o`` must not stall for longer than what is left of that. Bits within a
        slot.

    Members
    -------
    now : In(time_bits)
        Time. It goes on by less than a slot a cycle.
    i : In(stream.Signature(WaitLayout(members, time_bits)))
        Members that are not here, or on ``o``, now.
    o : Out(stream.Signature(range(members)))
        Members whose time has come, registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    now: Signal
    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, members: int, slots: int, time_bits: int, grain_bits: int):
        if members < 2:
            raise ValueError(f"members must be 2 or more, not {members!r}")
        if slots < 2 or slots & (slots - 1):
            raise ValueError(f"slots must be a power of two, 2 or more, not {slots!r}")
        if grain_bits < 0 or (1 << max(0, time_bits - grain_bits)) < 4 * slots:
            raise ValueError(
                f"grain_bits must be 0 or more and leave room for {4 * slots} slots in"
                f" {time_bits!r} bits, not {grain_bits!r}"
            )
        self.members = members
        self.slots = slots
        self.time_bits = time_bits
        self.grain_bits = grain_bits
        super().__init__(
            {
                "now": In(time_bits),
                "i": In(stream.Signature(WaitLayout(members, time_bits))),
                "o": Out(stream.Signature(range(members))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        slot_bits = self.time_bits - self.grain_bits
        index_bits = (self.slots - 1).bit_length()
        entry = data.StructLayout({"valid": 1, "member": range(self.members)})
        link = data.StructLayout({"behind": entry, "slot": slot_bits})
        m.submodules.lists = lists = self._ram(entry, self.slots)
        m.submodules.links = links = self._ram(link, self.members)

        # The oldest slot whose list has not been taken, and whether it is over.
        cursor = Signal(slot_bits)
        is_over = Signal()
        passed = (self.now[self.grain_bits :] - cursor)[:slot_bits]
        m.d.sync += is_over.eq((passed != 0) & ~passed[-1])

        # Who is put into a list: back in, or new.
        back_valid = Signal()
        back: Any = Signal(data.StructLayout({"member": range(self.members), "slot": slot_bits}))
        wanted: Any = Signal(back.shape())
        waiting: Any = self.i.p
        with m.If(back_valid):
            m.d.comb += wanted.eq(back)
        with m.Else():
            m.d.comb += [
                wanted.member.eq(waiting.member),
                wanted.slot.eq(waiting.time[self.grain_bits :]),
            ]

        # An operation on a list takes 2 cycles: its first member is read, and another is written.
        walks = Signal()
        clearing = Signal(init=1)
        begins = Signal()
        takes = Signal()
        puts = Signal()
        works = Signal()
        does_take = Signal()
        does_put = Signal()
        did_put = Signal()  # not one that was put back
        row: Any = Signal(wanted.shape())
        can_put = back_valid | self.i.valid
        did_take = Signal()  # what is over is known a cycle later
        can_take = is_over & ~walks & ~did_take
        m.d.comb += [
            begins.eq(~clearing & ~works),
            takes.eq(begins & can_take),
            puts.eq(begins & can_put & ~can_take),
            self.i.ready.eq(works & did_put),
        ]
        is_past = (wanted.slot - cursor)[slot_bits - 1]
        place = Signal(index_bits)
        m.d.comb += place.eq(Mux(is_past, cursor, wanted.slot))
        at = Signal(index_bits)
        m.d.sync += [works.eq(puts | takes), did_take.eq(works & does_take)]
        with m.If(begins):
            m.d.sync += [
                does_put.eq(puts),
                did_put.eq(puts & ~back_valid),
                does_take.eq(takes),
                row.eq(wanted),
                at.eq(Mux(puts, place, cursor)),
            ]

        first: Any = lists.read_data
        new: Any = Signal(entry)
        new_link: Any = Signal(link)
        cleared = Signal(index_bits)
        m.d.sync += cleared.eq(cleared + clearing)
        with m.If(cleared.all()):
            m.d.sync += clearing.eq(0)
        with m.If(clearing):
            m.d.sync += cursor.eq(self.now[self.grain_bits :])
        m.d.comb += [
            lists.read_en.eq(begins),
            lists.read_address.eq(Mux(puts, place, cursor)),
            new.valid.eq(does_put & ~clearing),
            new.member.eq(row.member),
            lists.write_lanes.eq(works | clearing),
            lists.write_address.eq(Mux(clearing, cleared, at)),
            lists.write_data.eq(new),
            new_link.behind.eq(first),
            new_link.slot.eq(row.slot),
            links.write_lanes.eq(works & does_put),
            links.write_address.eq(row.member),
            links.write_data.eq(new_link),
        ]
        with m.If(works & does_put & ~did_put):
            m.d.sync += back_valid.eq(0)

        # A list is walked: who is first is asked for what is behind it, and leaves, or goes back.
        member = Signal(range(self.members))
        is_read = Signal()
        found: Any = links.read_data
        leaves = Signal()
        goes_back = Signal()
        is_early = Signal()
        m.d.comb += [
            links.read_en.eq(walks & ~is_read),
            links.read_address.eq(member),
        ]
        later = (found.slot - cursor)[:slot_bits]
        m.d.comb += [
            is_early.eq(~later[-1]),
            leaves.eq(is_read & ~is_early & (~self.o.valid | self.o.ready)),
            goes_back.eq(is_read & is_early & ~back_valid),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(leaves):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(member)]
        with m.If(goes_back):
            m.d.sync += [back_valid.eq(1), back.member.eq(member), back.slot.eq(found.slot)]
        with m.If(works & does_take):
            m.d.sync += [walks.eq(first.valid), member.eq(first.member), cursor.eq(cursor + 1)]
        with m.Elif(leaves | goes_back):
            m.d.sync += [walks.eq(found.behind.valid), member.eq(found.behind.member)]
        m.d.sync += is_read.eq(walks & ~(leaves | goes_back))
        return m

    def _ram(self, shape: data.StructLayout, depth: int) -> Any:
        return SimpleDualPortRam(shape=shape, depth=depth, lane_count=1, latency=1, bypass=False)
