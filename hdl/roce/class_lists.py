"""Who waits, in the order in which they came, in several classes."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam

__all__ = ["ClassLists", "MemberLayout"]


class MemberLayout(data.StructLayout):
    """Who waits: ``member``, of class ``priority``."""

    def __init__(self, *, members: int, classes: int):
        super().__init__({"member": range(members), "priority": range(classes)})


class ClassLists(wiring.Component):
    """Queues of ``classes`` classes over one memory; a member is in one of them, once, at most.

    Each is a list: for every member the memory has who comes next. What leaves is the first of the
    lowest class that has anybody; it is taken out when it is offered, and is not exchanged for
    another then.

    Latency is 1 cycle through empty lists. Throughput is 1 member per cycle in, and 1 every 2
    cycles out.

    Specification: this docstring.

    Parameters
    ----------
    members, classes : int
        2 or more each.

    Members
    -------
    push : In(1)
        Whether ``pushed`` is put in; there is always room.
    pushed : In(MemberLayout(members=members, classes=classes))
        Member that is in no list, and not on the output unless it leaves in this cycle.
    o : Out(stream.Signature(MemberLayout(members=members, classes=classes)))
        Who is next, registered.

    Raises
    ------
    ValueError
        If there are fewer than 2 members or classes.
    """

    push: Signal
    pushed: data.View
    o: stream.Interface

    def __init__(self, *, members: int, classes: int):
        for name, value in (("members", members), ("classes", classes)):
            if value < 2:
                raise ValueError(f"{name} must be 2 or more, not {value!r}")
        self.members = members
        self.classes = classes
        layout = MemberLayout(members=members, classes=classes)
        super().__init__(
            {"push": In(1), "pushed": In(layout), "o": Out(stream.Signature(layout))},
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.behind = behind = SimpleDualPortRam(
            shape=range(self.members), depth=self.members, lane_count=1, latency=1, bypass=False
        )
        heads = Array(
            Signal(range(self.members), name=f"head_{n}", reset_less=True)
            for n in range(self.classes)
        )
        tails = Array(
            Signal(range(self.members), name=f"tail_{n}", reset_less=True)
            for n in range(self.classes)
        )
        filled = Signal(self.classes)
        fetches = Signal()  # the new head of the list `fetched` comes from the memory
        fetched = Signal(range(self.classes))

        # Whom to take: of the lowest class, whose head is a register, not on its way.
        first = Signal(range(self.classes))
        for n in reversed(range(self.classes)):
            with m.If(filled[n]):
                m.d.comb += first.eq(n)
        takes = Signal()
        is_alone = Signal()
        pushes_same = Signal()
        m.d.comb += [
            takes.eq(filled.any() & (~self.o.valid | self.o.ready) & ~fetches),
            is_alone.eq(heads[first] == tails[first]),
            pushes_same.eq(self.push & (self.pushed.priority == first)),
            behind.read_en.eq(takes),
            behind.read_address.eq(heads[first]),
            behind.write_lanes.eq(self.push & filled.bit_select(self.pushed.priority, 1)),
            behind.write_address.eq(tails[self.pushed.priority]),
            behind.write_data.eq(self.pushed.member),
        ]
        m.d.sync += [fetches.eq(takes & ~is_alone), fetched.eq(first)]
        with m.If(fetches):
            m.d.sync += heads[fetched].eq(behind.read_data)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(takes):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.p.member.eq(heads[first]),
                self.o.p.priority.eq(first),
            ]
            with m.If(is_alone & ~pushes_same):
                m.d.sync += filled.bit_select(first, 1).eq(0)
        with m.If(self.push):
            m.d.sync += [
                tails[self.pushed.priority].eq(self.pushed.member),
                filled.bit_select(self.pushed.priority, 1).eq(1),
            ]
            # The only one of its list is its head, also if the one before leaves now.
            with m.If(
                ~filled.bit_select(self.pushed.priority, 1) | (takes & is_alone & pushes_same)
            ):
                m.d.sync += heads[self.pushed.priority].eq(self.pushed.member)
        return m
