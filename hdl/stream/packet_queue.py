"""Store-and-forward queue that drops packets whole."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .packet import PacketLayout, PacketSignature
from .queue import address_bits, next_address

__all__ = ["PacketQueue"]


class PacketQueue(wiring.Component):
    """Hold packets until they are whole; drop those that are damaged or do not fit.

    The input is never refused. A packet leaves after its last beat was taken, if that beat bears
    no ``error`` and if the memory had a free row for each of its beats when the beat came;
    otherwise none of it leaves. In particular, a packet of more than ``rows`` beats is dropped.
    A packet without a last beat holds back nothing that came before it.

    The memory has ``rows`` rows for the beats that have not left it, those of a packet still
    coming in and to be dropped included. An output that is never refused leaves at most the
    beats of the longest packet and one more in it: with ``depth`` at least that, and no
    packet damaged, nothing is dropped.

    Latency is 3 cycles from the last beat taken to the first beat offered. Throughput is 1 beat
    per cycle in and out, also across packet boundaries.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    depth : int
        Beats that the memory holds at least, 2 or more; ``rows`` is what it holds exactly: a
        power of two less 2.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Input. ``i.ready`` is always 1.
    o : Out(PacketSignature(data_bytes))
        Output, registered; ``error`` is always 0.
    dropped_error : Out(1)
        High for the cycle after the last beat of a packet that is dropped because it bears
        ``error``, whether or not it would have fitted. Registered.
    dropped_full : Out(1)
        High for the cycle after the last beat of a packet that is dropped because it alone did
        not fit. Registered.

    Raises
    ------
    ValueError
        If ``depth`` is less than 2, or so large that the memory would exceed 65535 rows.
    """

    i: stream.Interface
    o: stream.Interface
    dropped_error: Signal
    dropped_full: Signal

    def __init__(self, *, data_bytes: int, depth: int):
        if depth < 2:
            raise ValueError(f"depth must be 2 or more, not {depth!r}")
        self.data_bytes = data_bytes
        self.depth = depth
        # One row stays free, so that equal addresses always mean an empty memory.
        self.address_bits = address_bits(depth + 1)
        self.rows = (1 << self.address_bits) - 2
        super().__init__(
            {
                "i": In(PacketSignature(data_bytes)),
                "o": Out(PacketSignature(data_bytes)),
                "dropped_error": Out(1),
                "dropped_full": Out(1),
            }
        )

        # The whole state but the memory; proofs state its invariants. The rows from
        # `read_address` up to `whole_address` hold whole packets, from there up to
        # `write_address` the packet that is coming in. A row holds data, keep and last.
        self._width = Shape.cast(PacketLayout(data_bytes)).width - 1
        self._write_address = Signal(self.address_bits)
        self._whole_address = Signal(self.address_bits)
        self._read_address = Signal(self.address_bits)
        self._overflowed = Signal()
        self._empty = Signal(init=1)
        self._fetched = Signal()
        self._fetched_row = Signal(self._width, reset_less=True)
        self._row = Signal(self._width, reset_less=True)

    def elaborate(self, platform):
        m = Module()

        # As in Queue: no row is read while it is written, and Yosys makes the synchronous port.
        m.submodules.memory = memory = Memory(
            shape=unsigned(self._width),
            depth=1 << self.address_bits,
            init=[],
            attrs={"no_rw_check": "1"},
        )
        write = memory.write_port()
        read = memory.read_port(domain="comb")

        can_move = Signal()  # from the fetched row to the output
        fetch = Signal()
        fits = Signal()
        completed = Signal()  # a packet became whole and stays
        after_write = Signal(self.address_bits)
        after_read = Signal(self.address_bits)
        m.d.comb += [
            after_write.eq(next_address(self._write_address)),
            after_read.eq(next_address(self._read_address)),
            fits.eq((after_write != self._read_address) & ~self._overflowed),
            completed.eq(self.i.valid & self.i.p.last & ~self.i.p.error & fits),
            can_move.eq(self.o.ready | ~self.o.valid),
            fetch.eq(~self._empty & (can_move | ~self._fetched)),
            write.addr.eq(self._write_address),
            write.data.eq(Cat(self.i.p.data, self.i.p.keep, self.i.p.last)),
            write.en.eq(self.i.valid & fits),
            read.addr.eq(self._read_address),
            self.i.ready.eq(1),
            Cat(self.o.p.data, self.o.p.keep, self.o.p.last).eq(self._row),
        ]

        m.d.sync += [self.dropped_error.eq(0), self.dropped_full.eq(0)]
        with m.If(self.i.valid):
            with m.If(~self.i.p.last):
                m.d.sync += self._overflowed.eq(~fits)
                with m.If(fits):
                    m.d.sync += self._write_address.eq(after_write)
            with m.Else():
                m.d.sync += self._overflowed.eq(0)
                with m.If(completed):
                    m.d.sync += [
                        self._write_address.eq(after_write),
                        self._whole_address.eq(after_write),
                    ]
                with m.Else():
                    m.d.sync += [
                        self._write_address.eq(self._whole_address),
                        self.dropped_error.eq(self.i.p.error),
                        self.dropped_full.eq(~self.i.p.error),
                    ]

        with m.If(fetch):
            m.d.sync += [
                self._read_address.eq(after_read),
                self._fetched_row.eq(read.data),
                self._empty.eq(after_read == self._whole_address),
            ]
        with m.If(completed):
            m.d.sync += self._empty.eq(0)

        with m.If(can_move):
            m.d.sync += [self.o.valid.eq(self._fetched), self._row.eq(self._fetched_row)]
        with m.If(can_move | ~self._fetched):
            m.d.sync += self._fetched.eq(~self._empty)

        return m
