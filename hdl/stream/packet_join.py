"""Two packets become one."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketSignature
from .realign import Realign, kept_count

__all__ = ["PacketJoin"]


class PacketJoin(wiring.Component):
    """Join each packet of ``a`` and the packet of ``b`` with the same number to one.

    The packet of ``a`` comes first. If it ends within a beat, that beat and the first of ``b`` are
    taken in the same cycle and leave as one. The joined packet is damaged if either is.

    A packet that is malformed makes a malformed packet of its pair, and does not hang.

    Latency is that of :class:`Realign`, 3 or 4 cycles. Throughput is one output beat per cycle,
    across packets: each pair takes as many cycles as the joined packet has beats.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.

    Members
    -------
    a, b : In(PacketSignature(data_bytes))
        Packets. ``a.ready`` depends combinationally on ``o.ready`` and ``b.valid``; ``b.ready`` on
        ``o.ready`` and ``a.valid``.
    o : Out(PacketSignature(data_bytes))
        Joined packets, registered.

    Raises
    ------
    ValueError
        If ``data_bytes`` is not a power of two.
    """

    a: stream.Interface
    b: stream.Interface
    o: stream.Interface

    def __init__(self, *, data_bytes: int):
        self.data_bytes = data_bytes
        super().__init__(
            {
                "a": In(PacketSignature(data_bytes)),
                "b": In(PacketSignature(data_bytes)),
                "o": Out(PacketSignature(data_bytes)),
            }
        )
        self.realign = Realign(data_bytes=data_bytes, has_base=True)
        # The packet of `a` has been taken; where that of `b` begins in a beat.
        self.in_b = Signal()
        self.offset = Signal(range(data_bytes), reset_less=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.realign = realign = self.realign
        wiring.connect(m, realign.o, wiring.flipped(self.o))
        slot = realign.i.p

        a_ends = Signal()
        a_alone = Signal()
        a_with_b = Signal()
        a_error = Signal(reset_less=True)
        in_b, offset = self.in_b, self.offset
        m.d.comb += [
            # A full last beat needs no company; the packet of b then begins a beat of its own.
            a_ends.eq(self.a.p.last & ~self.a.p.keep[-1]),
            a_alone.eq(~in_b & self.a.valid & ~a_ends),
            a_with_b.eq(~in_b & self.a.valid & a_ends),
            self.a.ready.eq(realign.i.ready & (a_alone | (a_with_b & self.b.valid))),
            self.b.ready.eq(realign.i.ready & (a_with_b | in_b)),
            realign.i.valid.eq(a_alone | ((a_with_b | in_b) & self.b.valid)),
            slot.base.eq(self.a.p.data),
            slot.restart.eq(~in_b),
            slot.data.eq(self.b.p.data),
            slot.keep.eq(Mux(a_alone, 0, self.b.p.keep)),
            slot.offset.eq(
                Mux(a_alone, self.data_bytes, Mux(in_b, offset, kept_count(self.a.p.keep)))
            ),
            slot.emit.eq(1),
            slot.last.eq(~a_alone & self.b.p.last),
            slot.error.eq(self.b.p.error | Mux(in_b, a_error, self.a.p.error)),
        ]

        with m.If(self.a.valid & self.a.ready & self.a.p.last):
            m.d.sync += [
                in_b.eq(1),
                a_error.eq(self.a.p.error),
                offset.eq(Mux(a_alone, 0, kept_count(self.a.p.keep))),
            ]
        with m.If(self.b.valid & self.b.ready & self.b.p.last):
            m.d.sync += in_b.eq(0)
        return m
