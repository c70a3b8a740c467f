"""AnswerChoice and FrameBuilder behind each other: what a responder has, as tests use it."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout, View
from amaranth.lib.wiring import In, Out

from hdl.roce.answer_choice import AnswerChoice
from hdl.roce.answer_layouts import AnswerLayout
from hdl.roce.config import RoceConfig
from hdl.roce.frame_builder import FrameBuilder
from hdl.roce.frame_templates import AddressLayout, IdentityLayout
from hdl.stream import PacketSignature

__all__ = ["AnswerBuilder"]


class AnswerBuilder(wiring.Component):
    """Make Ethernet frames of a responder's answers, without FCS.

    ``prompt`` and ``reads`` take turns where both have an answer. One of ``reads`` with data has
    one when its first beat of data is here: memory that takes its time holds up no acknowledgement,
    but for a packet whose data has begun. It waits while ``prompt`` offers an answer of its queue
    pair: that was there before, or is a CNP, and goes first.

    Frames shorter than 60 bytes are not padded. If the last beat of data has ``error``, the frame
    has it too, with an inverted ICRC.

    Latency is :attr:`latency` cycles from an answer of ``prompt`` to its first beat.
    Throughput is 1 beat per cycle: a packet takes as many cycles as it has beats, and the next one
    follows. A packet with a damaged row of addresses, or none, leaves with wrong addresses; it does
    not hang.

    Specification: IBTA Architecture Specification volume 1, 9.2, 9.3, 9.7 and Annex A17 (RoCEv2).

    Parameters
    ----------
    config : RoceConfig

    Attributes
    ----------
    latency : int
        Cycles from ``prompt`` to ``o``: 10 at 8 bytes a beat, 17 at 128.

    Members
    -------
    prompt : In(stream.Signature(AnswerLayout(config))).array(2)
        Acknowledgements, CNPs, acknowledgements of atomic operations, of two who answer, in turns.
        ``prompt[*].ready`` depends combinationally on ``o.ready``, ``reads`` and
        ``prompt[*].valid``.
    reads : In(stream.Signature(AnswerLayout(config)))
        READ responses, and NAKs in place of them. ``reads.ready`` depends combinationally on
        ``o.ready``, ``prompt`` and ``reads`` itself.
    data : In(PacketSignature(data_bytes))
        For each answer of ``reads`` with bytes, a packet of as many; ``keep`` is not looked at.
        ``data.ready`` is a register.
    addresses : In(stream.Signature({queue_pair, row: AddressLayout()}))
        Where answers of a queue pair go; see :class:`FrameTemplates`.
    identity : In(IdentityLayout())
        Own addresses, taken while a row of ``addresses`` is written.
    o : Out(PacketSignature(data_bytes))
        Frames, registered.
    """

    prompt: list[stream.Interface]
    reads: stream.Interface
    data: stream.Interface
    addresses: stream.Interface
    identity: View
    o: stream.Interface

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.choice = AnswerChoice(config=config)
        self.frames = FrameBuilder(config=config, rows=config.queue_pairs)
        self.latency = self.choice.latency + self.frames.latency
        queue_pair = config.bits("queue_pairs")
        write = StructLayout({"queue_pair": queue_pair, "row": AddressLayout()})
        super().__init__(
            {
                "prompt": In(stream.Signature(AnswerLayout(config))).array(2),
                "reads": In(stream.Signature(AnswerLayout(config))),
                "data": In(PacketSignature(config.data_bytes)),
                "addresses": In(stream.Signature(write)),
                "identity": In(IdentityLayout()),
                "o": Out(PacketSignature(config.data_bytes)),
            }
        )

    def elaborate(self, platform):
        """Connect the two."""
        m = Module()
        m.submodules.choice = choice = self.choice
        m.submodules.frames = frames = self.frames
        for port, inner in zip(self.prompt, choice.prompt, strict=True):
            wiring.connect(m, wiring.flipped(port), inner)
        wiring.connect(m, wiring.flipped(self.reads), choice.reads)
        wiring.connect(m, wiring.flipped(self.data), choice.data)
        wiring.connect(m, choice.frames, frames.i)
        wiring.connect(m, choice.o_data, frames.data)
        wiring.connect(m, frames.o, wiring.flipped(self.o))
        m.d.comb += [
            frames.addresses.valid.eq(self.addresses.valid),
            frames.addresses.p.index.eq(self.addresses.p.queue_pair),
            frames.addresses.p.row.eq(self.addresses.p.row),
            self.addresses.ready.eq(frames.addresses.ready),
            frames.identity.eq(self.identity),
        ]
        return m
