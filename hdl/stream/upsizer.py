"""Packets from narrow beats to wide ones."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .packet import PacketLayout, PacketSignature

__all__ = ["Upsizer"]


class Upsizer(wiring.Component):
    """Gather beats of ``i_bytes`` into beats of ``o_bytes``.

    Bytes and their order stay, as does the packet's ``error``. A wide beat leaves when it is
    full or with the packet's last byte; the next packet begins in a beat of its own.

    Latency is 1 cycle from the narrow beat that completes a wide one. Throughput is 1 narrow
    beat per cycle, also across packet boundaries; with packets of one narrow beat, that is 1
    wide beat per cycle. Gathering goes on while a wide beat waits at the output.

    A beat that is not ``last`` counts as full and ``error`` counts only with ``last``, so in
    front of a malformed packet nothing stops, and of its faults only the last beat's ``keep``
    passes.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    i_bytes, o_bytes : int
        Bytes per beat at the input and the output, ``o_bytes`` the larger; see
        :class:`PacketLayout`.

    Members
    -------
    i : In(PacketSignature(i_bytes))
        Input. ``i.ready`` depends combinationally on ``o.ready`` and ``i.p.last``.
    o : Out(PacketSignature(o_bytes))
        Output, registered. Bytes that are not kept are left from earlier packets.

    Attributes
    ----------
    position, gathered : Signal
        State: number of narrow beats gathered for the next wide beat, and their data.

    Raises
    ------
    ValueError
        If a width is not a power of two or ``o_bytes`` is not larger than ``i_bytes``.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, i_bytes: int, o_bytes: int):
        signature = {"i": In(PacketSignature(i_bytes)), "o": Out(PacketSignature(o_bytes))}
        if o_bytes <= i_bytes:
            raise ValueError(f"o_bytes must be more than i_bytes, not {o_bytes!r} and {i_bytes!r}")
        self.i_bytes = i_bytes
        self.o_bytes = o_bytes
        super().__init__(signature)
        ratio = o_bytes // i_bytes
        self.position = Signal(range(ratio))
        self.gathered = [
            Signal(8 * i_bytes, name=f"gathered_{n}", reset_less=True) for n in range(ratio - 1)
        ]

    def elaborate(self, platform):
        m = Module()
        ratio = len(self.gathered) + 1

        beat = Signal(PacketLayout(self.o_bytes), reset_less=True)
        free = Signal()
        completes = Signal()
        m.d.comb += [
            self.o.payload.eq(beat),
            free.eq(self.o.ready | ~self.o.valid),
            completes.eq(self.i.p.last | (self.position == ratio - 1)),
            self.i.ready.eq(free | ~completes),
        ]

        here = Signal(ratio)
        m.d.comb += here.eq(Cat(self.position == n for n in range(ratio)))
        with m.If(self.i.valid & ~completes):
            m.d.sync += self.position.eq(self.position + 1)
            for n, part in enumerate(self.gathered):
                with m.If(here[n]):
                    m.d.sync += part.eq(self.i.p.data)

        with m.If(free):
            m.d.sync += self.o.valid.eq(self.i.valid & completes)
            with m.If(self.i.valid & completes):
                m.d.sync += self.position.eq(0)
            parts = [Mux(here[n], self.i.p.data, part) for n, part in enumerate(self.gathered)]
            # Below the newest beat all is kept, above it nothing. Not a `Mux` with 0, of which
            # Yosys would make a reset that waits for `free`.
            newest = self.i.p.keep | (~self.i.p.last).replicate(self.i_bytes)
            keeps = [
                (newest & here[n].replicate(self.i_bytes))
                | (self.position > n).replicate(self.i_bytes)
                for n in range(ratio)
            ]
            m.d.sync += [
                beat.data.eq(Cat(*parts, self.i.p.data)),
                beat.keep.eq(Cat(keeps)),
                beat.last.eq(self.i.p.last),
                beat.error.eq(self.i.p.error & self.i.p.last),
            ]

        return m
