"""First-in first-out queue of any payload, in block memory."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Queue", "address_bits", "next_address"]

# Exponents, without 0, of a primitive polynomial of each degree: every address but one is visited.
_TAPS = {
    2: (2, 1),
    3: (3, 2),
    4: (4, 3),
    5: (5, 3),
    6: (6, 5),
    7: (7, 6),
    8: (8, 6, 5, 4),
    9: (9, 5),
    10: (10, 7),
    11: (11, 9),
    12: (12, 6, 4, 1),
    13: (13, 4, 3, 1),
    14: (14, 5, 3, 1),
    15: (15, 14),
    16: (16, 15, 13, 4),
}


def address_bits(rows: int) -> int:
    """Width of addresses that step through at least ``rows`` rows; see :func:`next_address`.

    Raises
    ------
    ValueError
        If there is no sequence that long.
    """
    bits = max(2, rows.bit_length())
    if bits not in _TAPS:
        raise ValueError(f"a queue's memory has 65535 rows at most, not {rows!r}")
    return bits


def next_address(address: Value) -> Value:
    """Address after ``address`` in a cycle through all but the one whose bits are all set.

    The order of the rows means nothing to a queue, so this is a linear feedback shift register:
    one gate and no carry. It may start from any address that it visits, 0 included.
    """
    taps = Cat(address[exponent - 1] for exponent in _TAPS[len(address)])
    return Cat(~taps.xor(), address[:-1])


class Queue(wiring.Component):
    """Hold up to ``capacity`` payloads and give them out in order.

    The memory has a synchronous read port, so that a deep queue goes into block RAM, and its data
    goes straight into the output register.

    Latency is 3 cycles through an empty queue. Throughput is 1 payload per cycle in and out, at
    any fill; a full queue takes the next payload in the cycle after one has left the memory.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a payload.
    depth : int
        Payloads that the queue holds at least, 2 or more; ``capacity`` is what it holds exactly:
        a power of two plus 1.

    Members
    -------
    i : In(stream.Signature(shape))
        Input. ``i.ready`` is a register.
    o : Out(stream.Signature(shape))
        Output, registered.

    Raises
    ------
    ValueError
        If ``depth`` is less than 2, or so large that the memory would exceed 65535 rows.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, shape: ShapeLike, depth: int):
        if depth < 2:
            raise ValueError(f"depth must be 2 or more, not {depth!r}")
        self.shape = shape
        self.depth = depth
        # Two payloads wait outside the memory: one on its read port, one on the output.
        self.address_bits = address_bits(max(1, depth - 2))
        self.capacity = (1 << self.address_bits) + 1
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()

        # A row is never read while it is written, which `no_rw_check` tells Yosys. Yosys heeds it
        # only where it makes the block RAM's synchronous port itself, of `fetched_payload`.
        m.submodules.memory = memory = Memory(
            shape=self.shape,
            depth=1 << self.address_bits,
            init=[],
            attrs={"no_rw_check": 1},
        )
        write = memory.write_port()
        read = memory.read_port(domain="comb")

        empty = Signal(init=1)
        full = Signal()
        fetched = Signal()  # `fetched_payload` holds one
        can_move = Signal()  # from there to the output
        push = Signal()
        fetch = Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            push.eq(self.i.valid & ~full),
            can_move.eq(self.o.ready | ~self.o.valid),
            fetch.eq(~empty & (can_move | ~fetched)),
            write.data.eq(self.i.payload),
            write.en.eq(push),
        ]

        after_write = Signal.like(write.addr)
        after_read = Signal.like(read.addr)
        m.d.comb += [
            after_write.eq(next_address(write.addr)),
            after_read.eq(next_address(read.addr)),
        ]
        write_address = Signal.like(write.addr)
        read_address = Signal.like(read.addr)
        m.d.comb += [write.addr.eq(write_address), read.addr.eq(read_address)]
        with m.If(push):
            m.d.sync += [write_address.eq(after_write), empty.eq(0)]
            with m.If(~fetch):
                m.d.sync += full.eq(after_write == read_address)
        with m.If(fetch):
            m.d.sync += [read_address.eq(after_read), full.eq(0)]
            with m.If(~push):
                m.d.sync += empty.eq(after_read == write_address)

        # Payloads need no reset: `fetched` and `o.valid` say when they mean something.
        fetched_payload = Signal(self.shape, reset_less=True)
        payload = Signal(self.shape, reset_less=True)
        m.d.comb += self.o.payload.eq(payload)
        with m.If(fetch):
            m.d.sync += fetched_payload.eq(read.data)
        with m.If(can_move):
            m.d.sync += [self.o.valid.eq(fetched), payload.eq(fetched_payload)]
        with m.If(can_move | ~fetched):
            m.d.sync += fetched.eq(~empty)

        return m
