"""First-in first-out queue of packet beats between clock domains."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..clocking import CommonClear, after_gray, to_gray
from .packet import PacketLayout, PacketSignature

__all__ = ["AsyncQueue"]


class AsyncQueue(wiring.Component):
    """Hold up to ``capacity`` beats of a packet stream and give them out in another clock domain.

    The clocks may have any frequencies and phases. Addresses cross as Gray code, through two
    flip-flops; the memory's data goes straight into the output register.

    A reset of either side, for one cycle or longer, empties the queue: beats that it had taken
    are lost, a packet may lose its beginning or its end, and on the side that was not reset
    ``i.ready`` falls or an offer on ``o`` is taken back. For at most 12 cycles of the slower
    clock nothing is taken, then all that is taken arrives. What is offered meanwhile
    is not lost.

    Latency through an empty queue is 5 to 6 cycles of the output's clock. Throughput is 1 beat per
    cycle of the slower clock, from a ``depth`` of 16 on.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    depth : int
        Beats that the queue holds at least, 2 or more; ``capacity`` is what it holds exactly: a
        power of two plus 1.
    i_domain, o_domain : str
        Clock domains of the two streams.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Input, in ``i_domain``. ``i.ready`` is a register.
    o : Out(PacketSignature(data_bytes))
        Output, in ``o_domain``, registered.

    Raises
    ------
    ValueError
        If ``depth`` is less than 2, or the domains are the same.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, data_bytes: int, depth: int, i_domain: str, o_domain: str):
        if depth < 2:
            raise ValueError(f"depth must be 2 or more, not {depth!r}")
        if i_domain == o_domain:
            raise ValueError(f"i_domain and o_domain must differ, not both be {i_domain!r}")
        self.data_bytes = data_bytes
        self.depth = depth
        self.i_domain = i_domain
        self.o_domain = o_domain
        # One row stays free; one beat waits on the read port and one on the output.
        self.address_bits = max(2, (depth - 2).bit_length())
        self.capacity = (1 << self.address_bits) + 1
        super().__init__(
            {"i": In(PacketSignature(data_bytes)), "o": Out(PacketSignature(data_bytes))}
        )

    def elaborate(self, platform):
        m = Module()
        bits = self.address_bits
        width = Shape.cast(PacketLayout(self.data_bytes)).width
        i_sync = m.d[self.i_domain]
        o_sync = m.d[self.o_domain]

        m.submodules.common_clear = clear = CommonClear(
            i_domain=self.i_domain, o_domain=self.o_domain
        )
        # As in Queue: no row is read while it is written, and Yosys makes the synchronous port.
        m.submodules.memory = memory = Memory(
            shape=unsigned(width), depth=1 << bits, init=[], attrs={"no_rw_check": "1"}
        )
        write = memory.write_port(domain=self.i_domain)
        read = memory.read_port(domain="comb")

        # Cleared, not reset: a reset is followed by a clear.
        def gray(name: str, number: int) -> Signal:
            return Signal(bits, name=name, init=to_gray(number), reset_less=True)

        write_address = gray("write_address", 0)
        read_address = gray("read_address", 0)
        written = Signal(bits)  # write address, as the output's side knows it
        freed = Signal(bits)  # read address, as the input's side knows it
        m.submodules.written = FFSynchronizer(write_address, written, o_domain=self.o_domain)
        m.submodules.freed = FFSynchronizer(read_address, freed, o_domain=self.i_domain)

        # The next two addresses are at hand, so that `full` is known a cycle ahead.
        write_next = gray("write_next", 1)
        write_after_next = gray("write_after_next", 2)
        write_odd = Signal(reset_less=True)
        full = Signal(init=1)
        push = Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            push.eq(self.i.valid & ~full),
            write.addr.eq(write_address),
            write.data.eq(Value.cast(self.i.payload)),
            write.en.eq(push),
        ]
        i_sync += full.eq(Mux(push, write_after_next == freed, write_next == freed))
        with m.If(push):
            i_sync += [
                write_address.eq(write_next),
                write_next.eq(write_after_next),
                write_after_next.eq(after_gray(write_after_next, write_odd)),
                write_odd.eq(~write_odd),
            ]
        with m.If(clear.i_clear):
            i_sync += [
                register.eq(register.init)
                for register in (write_address, write_next, write_after_next, write_odd, full)
            ]

        read_next = gray("read_next", 1)
        read_odd = Signal(init=1, reset_less=True)
        empty = Signal(init=1)
        fetched = Signal()  # `fetched_beat` holds one
        can_move = Signal()  # from there to the output
        fetch = Signal()
        m.d.comb += [
            can_move.eq(self.o.ready | ~self.o.valid),
            fetch.eq(~empty & (can_move | ~fetched)),
            read.addr.eq(read_address),
        ]
        o_sync += empty.eq(Mux(fetch, read_next == written, read_address == written))
        with m.If(fetch):
            o_sync += [
                read_address.eq(read_next),
                read_next.eq(after_gray(read_next, read_odd)),
                read_odd.eq(~read_odd),
            ]

        # Beats need no reset: `fetched` and `o.valid` say when they mean something.
        fetched_beat = Signal(width, reset_less=True)
        beat = Signal(width, reset_less=True)
        m.d.comb += Value.cast(self.o.payload).eq(beat)
        with m.If(fetch):
            o_sync += fetched_beat.eq(read.data)
        with m.If(can_move):
            o_sync += [self.o.valid.eq(fetched), beat.eq(fetched_beat)]
        with m.If(can_move | ~fetched):
            o_sync += fetched.eq(~empty)
        with m.If(clear.o_clear):
            o_sync += [
                register.eq(register.init)
                for register in (read_address, read_next, read_odd, empty, fetched)
            ]
            o_sync += self.o.valid.eq(0)

        return m
