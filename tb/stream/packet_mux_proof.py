"""Proofs of hdl.stream.PacketMux."""

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketMux, PacketSignature
from tb.prove import Proof

from .rules import assert_stream, assume_stream

__all__ = ["PROOFS"]


class _WholePackets(wiring.Component):
    """A mux whose inputs obey the stream rules.

    Its output then does, too; each beat accepted leaves once, unchanged, before the next, with
    its port's number; and from a packet's first beat to its last no other port is served.
    """

    i: list[stream.Interface]
    o: stream.Interface

    def __init__(
        self, *, port_count: int, policy: str, weights: tuple[int, ...], cover: bool = False
    ):
        self.cover = cover
        self.port_count = port_count
        self.policy = policy
        self.weights = weights
        super().__init__(
            {
                "i": In(PacketSignature(1)).array(port_count),
                "o": Out(PacketSignature(1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.mux = mux = PacketMux(
            port_count=self.port_count, data_bytes=1, policy=self.policy, weights=self.weights
        )
        for number, port in enumerate(self.i):
            wiring.connect(m, wiring.flipped(port), mux.i[number])
            assume_stream(m, f"i{number}", port)
        wiring.connect(m, mux.o, wiring.flipped(self.o))

        inside = Signal()
        expected = Signal.like(Value.cast(self.o.payload))
        expected_port = Signal.like(mux.o_port)
        unfinished = Signal()
        crowded = Signal()
        strayed = Signal()
        with m.If(self.o.ready):
            m.d.sync += inside.eq(0)
        for number, port in enumerate(self.i):
            with m.If(port.valid & port.ready):
                m.d.sync += [
                    inside.eq(1),
                    expected.eq(Value.cast(port.payload)),
                    expected_port.eq(number),
                    unfinished.eq(~port.p.last),
                ]
                with m.If(unfinished & (expected_port != number)):
                    m.d.comb += strayed.eq(1)
                for other in self.i[number + 1 :]:
                    with m.If(other.valid & other.ready):
                        m.d.comb += crowded.eq(1)

        if self.cover:
            served = Signal(len(self.i))
            for number, port in enumerate(self.i):
                with m.If(port.valid & port.ready & port.p.last):
                    m.d.sync += served[number].eq(1)
            with m.If(~ResetSignal()):
                m.d.comb += Cover(served.all() & inside & unfinished, "all have been served")
            return m

        assert_stream(m, "o", self.o)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(self.o.valid == inside, "a beat is lost or repeated"),
                Assert(~inside | (Value.cast(self.o.payload) == expected), "a beat changed"),
                Assert(
                    ~(inside | unfinished) | (mux.o_port == expected_port), "a beat of another port"
                ),
                Assert(~crowded, "two ports served at once"),
                Assert(~strayed, "packets interleaved"),
                # What ties the state to what was seen, so that induction has a start.
                Assert(mux.in_packet == unfinished, "a packet began or ended unseen"),
                Assert(~unfinished | (mux.served == 1 << expected_port), "a wrong port is served"),
            ]
        return m


_WEIGHTS = {"round_robin": (), "strict": (), "weighted": (1, 2, 3)}

PROOFS = [
    Proof(
        f"stream.PacketMux/whole packets, {policy}",
        lambda policy=policy, weights=weights: _WholePackets(
            port_count=3, policy=policy, weights=weights
        ),
        depth=3,
    )
    for policy, weights in _WEIGHTS.items()
] + [
    Proof(
        "stream.PacketMux/all ports are served",
        lambda: _WholePackets(port_count=3, policy="weighted", weights=(1, 2, 3), cover=True),
        depth=8,
        mode="cover",
    )
]
