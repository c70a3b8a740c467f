"""Bytes to and from an asynchronous serial line."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]

_BITS = 10  # start, eight data, stop


def _check(clocks_per_bit: int) -> None:
    if clocks_per_bit < 4:
        raise ValueError(f"clocks_per_bit must be 4 or more, not {clocks_per_bit!r}")


class UartReceiver(wiring.Component):
    """Receive bytes: a start bit, eight data bits with the lowest first, a stop bit; no parity.

    The line is looked at in the middle of each bit. A start bit that is over by its middle was
    noise. A byte whose stop bit is not high is dropped, and nothing is received until the line is
    high again, so that a break is no stream of zeroes.

    Latency is 4 cycles from the middle of the stop bit. Throughput is a byte in ``10 *
    clocks_per_bit`` cycles, less half a bit for a sender whose clock is faster.

    Specification: this docstring; the frame is the usual 8N1.

    Parameters
    ----------
    clocks_per_bit : int
        Cycles per bit, 4 or more.

    Members
    -------
    rx : In(1)
        Line, high when idle; may change at any time.
    o : Out(stream.Signature(8))
        Bytes, registered.
    overrun : Out(1)
        Pulse: a byte was lost, since the one before it still waited on ``o``.

    Raises
    ------
    ValueError
        If ``clocks_per_bit`` is less than 4.
    """

    rx: Signal
    o: stream.Interface
    overrun: Signal

    def __init__(self, *, clocks_per_bit: int):
        _check(clocks_per_bit)
        self.clocks_per_bit = clocks_per_bit
        super().__init__({"rx": In(1), "o": Out(stream.Signature(8)), "overrun": Out(1)})

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)

        byte = Signal(8, reset_less=True)
        m.d.comb += self.o.payload.eq(byte)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += self.overrun.eq(0)

        clocks = Signal(range(self.clocks_per_bit))
        bits = Signal(range(_BITS))
        shifted = Signal(8, reset_less=True)
        with m.FSM():
            # Reset may come in the middle of a byte.
            with m.State("wait"), m.If(line):
                m.next = "idle"
            with m.State("idle"):
                m.d.sync += [clocks.eq(self.clocks_per_bit // 2 - 1), bits.eq(0)]
                with m.If(~line):
                    m.next = "byte"
            with m.State("byte"):
                m.d.sync += clocks.eq(clocks - 1)
                with m.If(clocks == 0):
                    m.d.sync += [clocks.eq(self.clocks_per_bit - 1), bits.eq(bits + 1)]
                    with m.If((bits == 0) & line):
                        m.next = "idle"
                    with m.Elif(bits < _BITS - 1):
                        m.d.sync += shifted.eq(Cat(shifted[1:], line))
                    with m.Else():
                        m.next = "wait"
                        with m.If(line):
                            with m.If(self.o.valid & ~self.o.ready):
                                m.d.sync += self.overrun.eq(1)
                            with m.Else():
                                m.d.sync += [byte.eq(shifted), self.o.valid.eq(1)]
        return m


class UartTransmitter(wiring.Component):
    """Send bytes: a start bit, eight data bits with the lowest first, a stop bit; no parity.

    Latency is 1 cycle to the start bit. Throughput is a byte in ``10 * clocks_per_bit`` cycles.

    Specification: this docstring; the frame is the usual 8N1.

    Parameters
    ----------
    clocks_per_bit : int
        Cycles per bit, 4 or more.

    Members
    -------
    i : In(stream.Signature(8))
        Bytes. ``i.ready`` depends on registers alone.
    tx : Out(1)
        Line, high when idle, registered.

    Raises
    ------
    ValueError
        If ``clocks_per_bit`` is less than 4.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, *, clocks_per_bit: int):
        _check(clocks_per_bit)
        self.clocks_per_bit = clocks_per_bit
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        clocks = Signal(range(self.clocks_per_bit))
        bits = Signal(range(_BITS))  # still to be sent after the one on the line
        shifted = Signal(_BITS - 1, reset_less=True)

        line = Signal(init=1)
        tick = Signal()
        m.d.comb += [self.tx.eq(line), tick.eq(clocks == 0), self.i.ready.eq(tick & (bits == 0))]
        with m.If(~tick):
            m.d.sync += clocks.eq(clocks - 1)
        with m.Elif(bits != 0):
            m.d.sync += [
                line.eq(shifted[0]),
                shifted.eq(shifted >> 1),
                bits.eq(bits - 1),
                clocks.eq(self.clocks_per_bit - 1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += [
                line.eq(0),
                shifted.eq(Cat(self.i.payload, C(1, 1))),
                bits.eq(_BITS - 1),
                clocks.eq(self.clocks_per_bit - 1),
            ]
        return m
