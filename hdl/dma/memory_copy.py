"""Copies from one memory to another, behind whatever engines they are."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .memory_port import (
    MemoryReadSignature,
    MemoryRequestLayout,
    MemoryResponseLayout,
    MemoryStatus,
    MemoryWriteSignature,
)

__all__ = ["CopyLayout", "MemoryCopy"]

_PLACE = ("space", "address")


class CopyLayout(data.StructLayout):
    """Descriptor of a copy: ``length`` bytes from ``source`` to ``target``.

    Fields
    ------
    source, target : {space : 2 bits, address : 64 bits}
        Of the first byte, each with any alignment.
    length, tag, no_snoop, relaxed_ordering, id_ordering
        As in :class:`MemoryRequestLayout`, for the read and the write.
    """

    def __init__(self):
        request = MemoryRequestLayout()
        place = data.StructLayout({name: request[name].shape for name in _PLACE})
        super().__init__(
            {
                "source": place,
                "target": place,
                **{str(name): field.shape for name, field in request if name not in _PLACE},
            }
        )


class MemoryCopy(wiring.Component):
    """Read what a descriptor names and write it where the descriptor says.

    The read's packet is the write's, beat by beat; so it may be realigned at both ends, and each
    end may be a :class:`Dma` or an :class:`AxiDma`. If the read fails, its status is the copy's,
    and the write is cancelled; else the write's is.

    Latency is 1 cycle from a descriptor to both requests, none for data, 1 from a write's response.
    Throughput is 1 descriptor and 1 beat per cycle, so long as reads are not ``depth`` copies
    ahead.

    Specification: this docstring, and the contract of the two signatures.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat, a power of two.
    depth : int
        Reads that may have ended before their writes, 2 or more.

    Members
    -------
    i : In(stream.Signature(CopyLayout()))
        What to copy.
    read : Out(MemoryReadSignature(data_bytes))
        Where it comes from.
    write : Out(MemoryWriteSignature(data_bytes))
        Where it goes.
    o : Out(stream.Signature(MemoryResponseLayout()))
        For each descriptor one, in their order. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: stream.Interface
    read: Any
    write: Any
    o: stream.Interface

    def __init__(self, *, data_bytes: int, depth: int = 32):
        self.ended = Queue(shape=MemoryResponseLayout(), depth=depth)
        super().__init__(
            {
                "i": In(stream.Signature(CopyLayout())),
                "read": Out(MemoryReadSignature(data_bytes)),
                "write": Out(MemoryWriteSignature(data_bytes)),
                "o": Out(stream.Signature(MemoryResponseLayout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ended = ended = self.ended
        read, write = self.read, self.write

        free = [~each.request.valid | each.request.ready for each in (read, write)]
        m.d.comb += self.i.ready.eq(free[0] & free[1])
        for each, place, is_free in zip(
            (read, write), (self.i.p.source, self.i.p.target), free, strict=True
        ):
            with m.If(is_free):
                m.d.sync += each.request.valid.eq(self.i.valid & self.i.ready)
            with m.If(self.i.ready):
                for name in MemoryRequestLayout().members:
                    value = place[name] if name in _PLACE else self.i.p[name]
                    m.d.sync += each.request.p[name].eq(value)

        wiring.connect(m, wiring.flipped(read.data), wiring.flipped(write.data))
        wiring.connect(m, wiring.flipped(read.response), ended.i)
        both = Signal()
        m.d.comb += [
            both.eq(ended.o.valid & write.response.valid & (~self.o.valid | self.o.ready)),
            ended.o.ready.eq(both),
            write.response.ready.eq(both),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(both):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.p.tag.eq(ended.o.p.tag),
                self.o.p.status.eq(
                    Mux(
                        ended.o.p.status == MemoryStatus.OK,
                        write.response.p.status,
                        ended.o.p.status,
                    )
                ),
            ]
        return m
