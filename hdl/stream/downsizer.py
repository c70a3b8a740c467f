"""Packets from wide beats to narrow ones."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketLayout, PacketSignature

__all__ = ["Downsizer"]


class Downsizer(wiring.Component):
    """Cut beats of ``i_bytes`` into beats of ``o_bytes``.

    Bytes and their order stay, as does the packet's ``error``. Of a partly filled beat only
    as many narrow beats leave as carry bytes.

    Latency is 1 cycle. Throughput is 1 narrow beat per cycle, also across packet boundaries:
    the next wide beat is taken in the cycle in which the last narrow one leaves.

    The parts of a wide beat leave up to the first whose successor's byte 0 is not kept, at
    least one, whatever ``keep`` is; so a malformed beat passes in part and nothing stops.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    i_bytes, o_bytes : int
        Bytes per beat at the input and the output, ``i_bytes`` the larger; see
        :class:`PacketLayout`.

    Members
    -------
    i : In(PacketSignature(i_bytes))
        Input. ``i.ready`` depends combinationally on ``o.ready``.
    o : Out(PacketSignature(o_bytes))
        Output; from registers, but for a gate at ``last`` and ``error``.

    Attributes
    ----------
    held : Signal
        State: the wide beat that is being cut, shifted so that the part at ``o`` is lowest.

    Raises
    ------
    ValueError
        If a width is not a power of two or ``i_bytes`` is not larger than ``o_bytes``.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, i_bytes: int, o_bytes: int):
        signature = {"i": In(PacketSignature(i_bytes)), "o": Out(PacketSignature(o_bytes))}
        if i_bytes <= o_bytes:
            raise ValueError(f"i_bytes must be more than o_bytes, not {i_bytes!r} and {o_bytes!r}")
        self.i_bytes = i_bytes
        self.o_bytes = o_bytes
        super().__init__(signature)
        self.held = Signal(PacketLayout(i_bytes), reset_less=True)

    def elaborate(self, platform):
        m = Module()
        held = self.held

        is_final = Signal()
        m.d.comb += [
            is_final.eq(~held.keep[self.o_bytes]),
            self.o.p.data.eq(held.data[: 8 * self.o_bytes]),
            self.o.p.keep.eq(held.keep[: self.o_bytes]),
            self.o.p.last.eq(held.last & is_final),
            self.o.p.error.eq(held.error & held.last & is_final),
            self.i.ready.eq(~self.o.valid | (self.o.ready & is_final)),
        ]

        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), held.eq(self.i.payload)]
        with m.Elif(self.o.ready):
            m.d.sync += [
                held.data.eq(held.data >> 8 * self.o_bytes),
                held.keep.eq(held.keep >> self.o_bytes),
            ]

        return m
