"""Proofs of hdl.stream.PacketMux."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.stream import PacketMux, PacketSignature
from tb.prove import Proof

from .rules import assert_stream, assume_stream

__all__ = ["PROOFS"]


class _StreamRules(wiring.Component):
    """A mux whose inputs obey the stream rules; its output then does, too."""

    i: list[stream.Interface]
    o: stream.Interface

    def __init__(self, port_count: int):
        self.port_count = port_count
        super().__init__(
            {"i": In(PacketSignature(1)).array(port_count), "o": Out(PacketSignature(1))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.mux = mux = PacketMux(port_count=self.port_count, data_bytes=1)
        for number, port in enumerate(self.i):
            wiring.connect(m, wiring.flipped(port), mux.i[number])
            assume_stream(m, f"i{number}", port)
        wiring.connect(m, mux.o, wiring.flipped(self.o))
        assert_stream(m, "o", self.o)
        return m


PROOFS = [Proof("stream.PacketMux/stream rules", lambda: _StreamRules(3), depth=4)]
