"""First-in first-out queue of any payload."""

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
    goes straight into the output register. A ``shallow`` queue reads LUTs into that register.

    Latency is 3 cycles through an empty queue, 2 if it is ``shallow``. Throughput is 1 payload per
    cycle in and out, at any fill; a full queue takes the next payload in the cycle after one has
    left the memory. Out of a ``half_rate`` queue it is 1 payload per 2 cycles.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    shape : ShapeLike
        Shape of a payload.
    depth : int
        Payloads that the queue holds at least, 2 or more; ``capacity`` is what it holds exactly:
        a power of two plus 1, or a power of two if the queue is ``shallow``.
    block : bool, optional
        Whether an FPGA is asked for block RAM where it would take LUTs.
    shallow : bool, optional
        Whether an FPGA is asked for LUTs, which can be read at once: a register of a payload less,
        and a shorter way from ``o.ready``. Worth it to 16 or 32 payloads.
    counted : bool, optional
        Whether who puts in counts, and does so only while there are fewer than ``capacity``, one
        that leaves in that cycle included. ``i.ready`` is then 1; one more would overwrite.
    half_rate : bool, optional
        Whether ``o.ready`` goes no further than to ``o.valid``: the output register is loaded when
        it is empty. What it has is then not counted by ``capacity``.

    Members
    -------
    i : In(stream.Signature(shape))
        Input. ``i.ready`` is a register.
    o : Out(stream.Signature(shape))
        Output, registered.

    Raises
    ------
    ValueError
        If ``depth`` is less than 2, or so large that the memory would exceed 65535 rows, or the
        queue shall be in both kinds of memory.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        shape: ShapeLike,
        depth: int,
        block: bool = False,
        shallow: bool = False,
        counted: bool = False,
        half_rate: bool = False,
    ):
        if depth < 2:
            raise ValueError(f"depth must be 2 or more, not {depth!r}")
        if block and shallow:
            raise ValueError("a shallow queue is not in block RAM")
        self.shape = shape
        self.depth = depth
        self.block = block
        self.shallow = shallow
        self.counted = counted
        self.half_rate = half_rate
        # Payloads wait outside the memory: one on its read port, if that has a clock, and one on
        # the output, which is empty in every second cycle at half the rate.
        self.outside = (1 if shallow else 2) - half_rate
        self.address_bits = address_bits(max(1, depth - self.outside))
        self.capacity = (1 << self.address_bits) - 1 + self.outside
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

        # The whole state but the memory; proofs state its invariants. Payloads need no reset:
        # `fetched` and `o.valid` say when they mean something.
        self._width = Shape.cast(shape).width
        self._write_address = Signal(self.address_bits)
        self._read_address = Signal(self.address_bits)
        self._empty = Signal(init=1)
        self._full = Signal()
        self._fetched = Signal()
        self._fetched_payload = Signal(self._width, reset_less=True)
        self._payload = Signal(self._width, reset_less=True)

    def elaborate(self, platform):
        m = Module()

        # A row is never read while it is written, which `no_rw_check` tells Yosys. Yosys heeds it
        # only where it makes the block RAM's synchronous port itself, of `fetched_payload`.
        style = "block" if self.block else "distributed" if self.shallow else None
        m.submodules.memory = memory = Memory(
            shape=unsigned(self._width),
            depth=1 << self.address_bits,
            init=[],
            attrs={"no_rw_check": "1", **({"ram_style": style} if style else {})},
        )
        write = memory.write_port()
        read = memory.read_port(domain="comb")

        can_move = Signal()  # to the output
        push = Signal()
        fetch = Signal()
        m.d.comb += [
            self.i.ready.eq(~self._full),
            push.eq(self.i.valid & ~self._full),
            can_move.eq((C(0) if self.half_rate else self.o.ready) | ~self.o.valid),
            fetch.eq(~self._empty & (can_move if self.shallow else can_move | ~self._fetched)),
            write.addr.eq(self._write_address),
            write.data.eq(Value.cast(self.i.payload)),
            write.en.eq(push),
            read.addr.eq(self._read_address),
            Value.cast(self.o.payload).eq(self._payload),
        ]

        after_write = Signal(self.address_bits)
        after_read = Signal(self.address_bits)
        m.d.comb += [
            after_write.eq(next_address(self._write_address)),
            after_read.eq(next_address(self._read_address)),
        ]
        with m.If(push):
            m.d.sync += [self._write_address.eq(after_write), self._empty.eq(0)]
            if not self.counted:
                with m.If(~fetch):
                    m.d.sync += self._full.eq(after_write == self._read_address)
        with m.If(fetch):
            m.d.sync += [self._read_address.eq(after_read), self._full.eq(0)]
            if not self.shallow:
                m.d.sync += self._fetched_payload.eq(read.data)
            with m.If(~push):
                m.d.sync += self._empty.eq(after_read == self._write_address)

        if self.half_rate:
            with m.If(self.o.ready):
                m.d.sync += self.o.valid.eq(0)
        if self.shallow:
            with m.If(can_move):
                m.d.sync += [self.o.valid.eq(~self._empty), self._payload.eq(read.data)]
            return m
        with m.If(can_move):
            m.d.sync += [self.o.valid.eq(self._fetched), self._payload.eq(self._fetched_payload)]
        with m.If(can_move | ~self._fetched):
            m.d.sync += self._fetched.eq(~self._empty)

        return m
