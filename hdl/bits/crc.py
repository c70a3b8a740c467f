"""CRC of packets, any polynomial, one beat a cycle."""

from dataclasses import dataclass
from itertools import pairwise

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from . import gf2
from .beat import BeatLayout, StrobeInterface, StrobeSignature
from .crc_parameters import CrcParameters

__all__ = ["Crc", "CrcPlan", "CrcStep"]

# Message bits that one row of the first XOR stage chooses from: about half of them are in it, so
# this many keep it at two levels of four-input tables.
GROUP_BITS = 24
# Heaviest row of a loop that is left as it is.
LOOP_BITS = 8


@dataclass(frozen=True)
class CrcStep:
    """Register of the tail: its matrix when bit ``bit`` of the last byte's number is clear, or set.

    ``bit`` is None where there is one matrix.
    """

    bit: int | None
    clear: gf2.Matrix
    set: gf2.Matrix


@dataclass(frozen=True)
class CrcPlan:
    """Matrices of a :class:`Crc`.

    With ``value`` the bytes of a beat, zero where not kept, the sum is ``start`` for a packet's
    first beat, else ``loop`` of the sum; XOR ``message`` of ``value``, its matrices applied in
    order. From the sum at the last beat, ``steps`` in order make the register of the
    :class:`CrcParameters`.

    Parameters
    ----------
    start : int
        Sum before the first beat, moved past that beat.
    loop : gf2.Matrix
        What moves the sum past a beat.
    message : tuple of gf2.Matrix
        Registered XOR stages from the beat's bits to what it adds.
    steps : tuple of CrcStep
        Registered stages from the sum to the CRC.
    """

    start: int
    loop: gf2.Matrix
    message: tuple[gf2.Matrix, ...]
    steps: tuple[CrcStep, ...]

    @classmethod
    def of(cls, algorithm: CrcParameters, data_bytes: int) -> "CrcPlan":
        """Plan for beats of ``data_bytes``."""
        advance = algorithm.advance(data_bytes)
        basis = _loop_basis(advance)
        into_basis = gf2.inverse(basis)
        past_beat = gf2.multiply(into_basis, advance)
        message = gf2.multiply(into_basis, algorithm.message(data_bytes))

        # The sum has passed the last beat as if it were full. Go back by as many bytes as could be
        # missing, all but one, and forth again by the number of the last byte kept.
        steps = []
        clear = gf2.multiply(algorithm.advance(1 - data_bytes), basis)
        for bit in reversed(range((data_bytes - 1).bit_length())):
            steps.append(CrcStep(bit, clear, gf2.multiply(algorithm.advance(1 << bit), clear)))
            clear = gf2.identity(algorithm.width)
        return cls(
            start=gf2.apply(past_beat, algorithm.init),
            loop=gf2.multiply(past_beat, basis),
            message=_cut(message, 8 * data_bytes),
            steps=tuple(steps) or (CrcStep(None, basis, basis),),
        )


def _loop_basis(advance: gf2.Matrix) -> gf2.Matrix:
    """Matrix from the sum to the register, such that the loop is cheap.

    In the basis v, Av, AAv, ... of the register, the matrix A is a shift with feedback: two bits
    and the message make a bit. Squaring x is an automorphism of the polynomials modulo one
    without square factors, so the basis exists there for every power of two of bytes.
    """
    size = len(advance)
    if max(row.bit_count() for row in advance) <= LOOP_BITS:
        return gf2.identity(size)
    vectors = [1]
    while len(vectors) < size:
        vectors.append(gf2.apply(advance, vectors[-1]))
    basis = gf2.transpose(vectors, size)
    try:
        gf2.inverse(basis)
    except ValueError:
        return gf2.identity(size)
    return basis


def _cut(matrix: gf2.Matrix, width: int) -> tuple[gf2.Matrix, ...]:
    """Matrices that do in one or two stages what ``matrix`` does to ``width`` bits."""
    if width <= GROUP_BITS:
        return (matrix,)
    partial: list[int] = []
    total = [0] * len(matrix)
    for low in range(0, width, GROUP_BITS):
        group = ((1 << GROUP_BITS) - 1) << low
        for number, row in enumerate(matrix):
            if row & group:
                total[number] |= 1 << len(partial)
                partial.append(row & group)
    return tuple(partial), tuple(total)


class Crc(wiring.Component):
    """CRC of each packet, for any polynomial and any beat width.

    Beats enter in any cycles, packets back to back or with gaps anywhere. The CRC of a packet
    leaves a fixed number of cycles after its last beat. There is no backpressure: who taps a
    stream gives a beat in the cycle of its transfer, and keeps the result where it may have to
    wait. A packet that reset cuts short leaves no trace.

    Latency is ``latency`` cycles from the last beat to its CRC: 3 and the binary digits of
    ``data_bytes - 1`` (at least 1), and one more where ``data_bytes`` is greater than 3. Throughput
    is 1 beat per cycle, also across packet boundaries and for packets of one beat.

    Specification: :class:`CrcParameters`. The CRC of a packet whose ``keep`` breaks the rules of
    :class:`BeatLayout` is undefined; that of the next packet is not.

    Parameters
    ----------
    algorithm : CrcParameters or str
        Algorithm, or what :meth:`CrcParameters.named` takes.
    data_bytes : int
        Bytes per beat, 1 or more.

    Attributes
    ----------
    latency : int
        Cycles from last beat to CRC.
    in_packet, total : Signal
        State: whether the next beat continues a packet, and the loop's register. For proofs.

    Members
    -------
    i : In(StrobeSignature(BeatLayout(data_bytes)))
        Beats.
    restart : In(1)
        With a beat: it is the first of a packet even if the one before it was not the last, which
        then has no CRC.
    o : Out(StrobeSignature(algorithm.width))
        CRC of each packet, registered.

    Raises
    ------
    ValueError
        If ``algorithm`` names none or ``data_bytes`` is less than 1.
    """

    i: StrobeInterface
    restart: Signal
    o: StrobeInterface

    def __init__(self, *, algorithm: CrcParameters | str, data_bytes: int):
        if isinstance(algorithm, str):
            algorithm = CrcParameters.named(algorithm)
        self.algorithm = algorithm
        self.data_bytes = data_bytes
        super().__init__(
            {
                "i": In(StrobeSignature(BeatLayout(data_bytes))),
                "restart": In(1),
                "o": Out(StrobeSignature(algorithm.width)),
            }
        )
        self.plan = CrcPlan.of(algorithm, data_bytes)
        self.in_packet = Signal()
        self.total = Signal(algorithm.width, reset_less=True)
        self.latency = 2 + len(self.plan.message) + len(self.plan.steps)

    def elaborate(self, platform):
        m = Module()
        plan, width = self.plan, self.algorithm.width
        beat = self.i.payload
        # At a byte per beat the number has no digit, but a signal without bits is no Verilog.
        index_bits = max(1, (self.data_bytes - 1).bit_length())

        in_packet = self.in_packet
        with m.If(self.i.valid):
            m.d.sync += in_packet.eq(~beat.last)

        # `keep` counts in unary: a digit of the last kept byte's number has changed as often as
        # there are multiples of the digit's weight below.
        last_index = Cat(
            Cat(beat.keep[n] for n in range(1 << bit, self.data_bytes, 1 << bit)).xor()
            for bit in range(index_bits)
        )

        # What belongs to a beat travels beside it; the mask is a reset of each byte's register.
        about = data.StructLayout({"first": 1, "last": 1, "index": index_bits})
        stage_count = 1 + len(plan.message)
        valid = Signal(stage_count)
        beside = [Signal(about, name=f"beside_{n}", reset_less=True) for n in range(stage_count)]
        m.d.sync += [
            valid.eq(Cat(self.i.valid, valid)),
            beside[0].first.eq(~in_packet | self.restart),
            beside[0].last.eq(beat.last),
            beside[0].index.eq(last_index),
        ]
        m.d.sync += [later.eq(sooner) for sooner, later in pairwise(beside)]
        value = Signal(8 * self.data_bytes, name="kept", reset_less=True)
        for number in range(self.data_bytes):
            byte = beat.data.word_select(number, 8)
            m.d.sync += value.word_select(number, 8).eq(Mux(beat.keep[number], byte, 0))

        for number, matrix in enumerate(plan.message):
            added = Signal(len(matrix), name=f"message_{number}", reset_less=True)
            m.d.sync += added.eq(gf2.parities(matrix, value))
            value = added

        total = self.total
        with m.If(valid[-1]):
            before = Mux(beside[-1].first, C(plan.start, width), gf2.parities(plan.loop, total))
            m.d.sync += total.eq(before ^ value)

        done = Signal(1 + len(plan.steps))
        m.d.sync += done.eq(Cat(valid[-1] & beside[-1].last, done))
        index = Signal(index_bits, name="total_index", reset_less=True)
        m.d.sync += index.eq(beside[-1].index)
        value = total
        for number, step in enumerate(plan.steps):
            register = gf2.parities(step.clear, value)
            if step.bit is not None:
                register = Mux(index[step.bit], gf2.parities(step.set, value), register)
            if step is plan.steps[-1]:
                register = self.algorithm.finish(register)
            value = Signal(width, name=f"step_{number}", reset_less=True)
            m.d.sync += value.eq(register)
            if step.bit:
                sooner = index
                index = Signal(step.bit, name=f"step_{number}_index", reset_less=True)
                m.d.sync += index.eq(sooner)

        m.d.comb += [self.o.payload.eq(value), self.o.valid.eq(done[-1])]
        return m
