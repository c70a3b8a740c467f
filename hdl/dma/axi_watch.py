"""Watch over what the memory owes: one client's bursts, and when they are given up."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AxiTicks", "AxiWatch"]


class AxiTicks(wiring.Component):
    """Pulse ``tick`` every ``timeout`` + 1 cycles.

    Specification: this docstring.

    Members
    -------
    timeout : In(32)
        Cycles; a change counts from the next tick on.
    tick : Out(1)
        Pulse, registered.
    """

    timeout: Signal
    tick: Signal

    def __init__(self):
        super().__init__({"timeout": In(32), "tick": Out(1)})

    def elaborate(self, platform):
        m = Module()
        left = Signal(32)
        ends = Signal()
        m.d.comb += ends.eq(left == 0)
        m.d.sync += [self.tick.eq(ends), left.eq(Mux(ends, self.timeout, left - 1))]
        return m


class AxiWatch(wiring.Component):
    """Count the beats that the memory owes a client, and tell when it has stopped to give any.

    If two ticks go by without one, while some are owed or the client waits, the client is ``lost``:
    it stays so until all that is owed has come, and the client has got rid of all that it waited
    for.

    Latency is 2 cycles.

    Specification: this docstring.

    Parameters
    ----------
    most : int
        Beats that are owed at once, at most.
    step : int
        Beats that are added at once, at most.

    Members
    -------
    add : In(range(step + 1))
        Beats that are asked for. None while ``lost`` but in its first cycle.
    got : In(1)
        Strobe: a beat came. If none is owed it does not count.
    waits : In(1)
        The client waits for something that was asked for.
    tick : In(1)
        Pulse, as long as a beat may take.
    owes : Out(1)
        Beats are owed. Registered.
    lost : Out(1)
        Registered.

    Attributes
    ----------
    owed : Signal
        Beats, for proofs.
    """

    add: Signal
    got: Signal
    waits: Signal
    tick: Signal
    owes: Signal
    lost: Signal

    def __init__(self, *, most: int, step: int):
        super().__init__(
            {
                "add": In(range(step + 1)),
                "got": In(1),
                "waits": In(1),
                "tick": In(1),
                "owes": Out(1),
                "lost": Out(1),
            }
        )
        self.owed = Signal(range(most + 1))

    def elaborate(self, platform):
        m = Module()
        quiet = Signal()
        counts = Signal()
        lacks = Signal()
        m.d.comb += [
            self.owes.eq(self.owed != 0),
            counts.eq(self.got & self.owes),
            # Who waits though nothing is owed had an answer too many before.
            lacks.eq((self.owes | self.waits) & ~self.got),
        ]
        m.d.sync += self.owed.eq(self.owed + self.add - counts)

        with m.If(~lacks):
            m.d.sync += quiet.eq(0)
        with m.Elif(self.tick):
            m.d.sync += [quiet.eq(1), self.lost.eq(self.lost | quiet)]
        with m.If(self.lost & ~self.owes & ~self.waits & ~self.add.any()):
            m.d.sync += self.lost.eq(0)
        return m
