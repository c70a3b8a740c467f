"""Proofs of hdl.stream.Realign, and of the slots that its users give it."""

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketSignature, Realign, SlotLayout
from tb.prove import Proof

from .rules import assert_stream, assume_stream, is_well_formed

__all__ = ["PROOFS", "SlotState", "is_full_or_end"]


def is_full_or_end(keep: Value, last: Value) -> Value:
    """Whether ``keep`` is that of a well-formed beat."""
    return keep.all() | (last & keep[0] & ~(keep & (keep + 1)).any())


def byte_count(keep: Value) -> Value:
    """Bytes that ``keep`` marks."""
    return sum((bit for bit in keep), start=Const(0, 1))


class SlotState:
    """Where in a packet a sequence of slots is, and which slots may come next.

    ``inside`` a packet: some of its bytes came, at ``offset``, and its last slot did not.
    """

    def __init__(self, inside: Value, offset: Value):
        self.inside = inside
        self.offset = offset

    def allows(self, slot: data.View) -> Value:
        """Whether :class:`SlotLayout` allows ``slot`` here."""
        keep = Value.cast(slot.keep)
        filled = is_full_or_end(keep, slot.last)
        data_bytes = len(keep)
        whole_base = slot.restart & slot.emit & ~slot.last & ~keep.any()
        behind_base = slot.restart & slot.emit & filled & (slot.offset < data_bytes)
        dropped = ~slot.restart & ~slot.emit & ~keep.any()
        cut = ~slot.restart & ~slot.emit & filled & (slot.offset > 0)
        follows = ~slot.restart & slot.emit & filled & (slot.offset == self.offset)
        bare = ~slot.restart & slot.emit & filled & (slot.offset == 0)
        first = bare | behind_base | (whole_base & (slot.offset == data_bytes)) | dropped | cut
        return (slot.offset <= data_bytes) & Mux(self.inside, follows, first)

    def after(self, slot: data.View) -> tuple[Value, Value]:
        """State after ``slot``, which :meth:`allows` allows."""
        return ~slot.last & Value.cast(slot.keep).any(), slot.offset


def bytes_in(slot: data.View) -> Value:
    """Bytes that ``slot`` brings and that are to leave."""
    keep = Value.cast(slot.keep)
    room = len(keep) - slot.offset
    count = byte_count(keep)
    stays = Mux(count > room, (count - room)[: len(keep).bit_length()], 0)
    return Mux(slot.emit, count, stays) + Mux(slot.restart, slot.offset, 0)


class _Conservation(wiring.Component):
    """Every byte and every packet's end that a legal slot brings is inside, or has left.

    What leaves is well-formed. The invariants follow the slot through the pipeline: the state
    in front of the output, then the slot in the rotator, the slot in the slot register, and the
    state at the input, each of which must continue the one before.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, data_bytes: int):
        self.data_bytes = data_bytes
        self.layout = SlotLayout(data_bytes, has_base=True)
        super().__init__(
            {"i": In(stream.Signature(self.layout)), "o": Out(PacketSignature(data_bytes))}
        )

    def _slot(self, m: Module, name: str, lanes: Value, tag: Value, layout, turned: bool):
        """Slot as it lies in the rotator's input or output."""
        view = data.View(layout, tag)
        slot = Signal(self.layout, name=name)
        offset = Signal(range(self.data_bytes + 1), name=f"{name}_offset")
        keep = Cat(lanes[9 * n + 8] for n in range(self.data_bytes))
        m.d.comb += [
            offset.eq(byte_count(view.below)),
            slot.offset.eq(offset),
            slot.emit.eq(view.emit),
            slot.last.eq(view.last),
            slot.restart.eq(view.restart),
            slot.keep.eq(keep),
        ]
        if turned:
            with m.Switch(offset):
                for distance in range(self.data_bytes):
                    with m.Case(distance):
                        m.d.comb += slot.keep.eq(keep.rotate_right(distance))
        m.d.comb += Assert(~(view.below & (view.below + 1)).any(), f"{name}: mask has a gap")
        return slot

    def elaborate(self, platform):
        m = Module()
        m.submodules.realign = dut = Realign(data_bytes=self.data_bytes, has_base=True)
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        wiring.connect(m, dut.o, wiring.flipped(self.o))
        assume_stream(m, "i", self.i)
        assert_stream(m, "o", self.o)

        rotate = dut.rotate
        waiting = self._slot(m, "waiting", rotate.i.p.data, rotate.i.p.tag, dut.tag_layout, False)
        turned = self._slot(m, "turned", rotate.o.p.data, rotate.o.p.tag, dut.tag_layout, True)

        # The states at the output and at the input, as registers of the harness.
        states = []
        for name, port, slot in (("out", rotate.o, turned), ("in", self.i, self.i.payload)):
            inside = Signal(name=f"{name}_inside")
            offset = Signal(range(self.data_bytes + 1), name=f"{name}_offset")
            with m.If(port.valid & port.ready):
                m.d.sync += [
                    inside.eq(SlotState(inside, offset).after(slot)[0]),
                    offset.eq(SlotState(inside, offset).after(slot)[1]),
                ]
            states.append(SlotState(inside, offset))
        at_output, at_input = states

        def step(state: SlotState, valid: Value, slot: data.View) -> SlotState:
            inside, offset = state.after(slot)
            return SlotState(Mux(valid, inside, state.inside), Mux(valid, offset, state.offset))

        between = step(at_output, rotate.o.valid, turned)
        accepted = step(between, rotate.i.valid, waiting)

        counted = Signal(6)
        ends = Signal(6)
        inside_bytes = Signal(6)
        inside_ends = Signal(6)
        taken = self.i.valid & self.i.ready
        left = self.o.valid & self.o.ready
        m.d.sync += [
            counted.eq(
                counted
                + Mux(taken, bytes_in(self.i.payload), 0)
                - Mux(left, byte_count(self.o.p.keep), 0)
            ),
            ends.eq(ends + (taken & self.i.p.last) - (left & self.o.p.last) - dut.empty),
        ]
        m.d.comb += [
            inside_bytes.eq(
                Mux(rotate.i.valid, bytes_in(waiting), 0)
                + Mux(rotate.o.valid, bytes_in(turned), 0)
                + Mux(at_output.inside, at_output.offset, 0)
                + Mux(dut.pending, byte_count(dut.kept.keep), 0)
                + Mux(self.o.valid, byte_count(self.o.p.keep), 0)
            ),
            inside_ends.eq(
                (rotate.i.valid & waiting.last)
                + (rotate.o.valid & turned.last)
                + dut.pending
                + (self.o.valid & self.o.p.last)
                + dut.empty
            ),
        ]
        kept = Value.cast(dut.kept.keep)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.i.valid | at_input.allows(self.i.payload), "illegal slot"),
                Assert(~rotate.o.valid | at_output.allows(turned), "slot before the output"),
                Assert(~rotate.i.valid | between.allows(waiting), "slot before the rotator"),
                Assert(
                    ~rotate.i.valid | (rotate.i.p.amount == waiting.offset[: rotate.levels]),
                    "amount is not the offset",
                ),
                Assert(accepted.inside == at_input.inside, "states differ"),
                Assert(~accepted.inside | (accepted.offset == at_input.offset), "offsets differ"),
                Assert(~dut.pending | (is_full_or_end(kept, Const(1)) & ~at_output.inside), "kept"),
                Assert(is_well_formed(self.o), "malformed beat"),
                Assert(counted == inside_bytes, "a byte was lost or made"),
                Assert(ends == inside_ends, "a packet's end was lost or made"),
                Cover(left & self.o.p.last & self.o.p.error, "a damaged packet leaves"),
                Cover(dut.empty, "a packet is empty"),
                Cover(
                    dut.pending & rotate.o.valid & ~rotate.o.ready & self.o.ready,
                    "a slot waits for a kept beat",
                ),
            ]
        return m


PROOFS = [
    Proof("stream.Realign/no byte lost, beats well-formed", lambda: _Conservation(2), depth=3),
    Proof("stream.Realign/assumptions not vacuous", lambda: _Conservation(2), 10, "cover"),
]
