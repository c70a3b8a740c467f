"""FrameMerge and FrameBuilder: what two who send share."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring

from hdl.roce.config import RoceConfig
from hdl.roce.frame_builder import FrameBuilder
from hdl.roce.frame_merge import FrameMerge

__all__ = ["MergedBuilder"]


class MergedBuilder(wiring.Component):
    """Both, with the inputs of the one and the other ports of the other."""

    def __init__(self, *, config: RoceConfig, rows: int):
        self.merge = FrameMerge(config=config)
        self.builder = FrameBuilder(config=config, rows=rows)
        self.latency = 1 + self.builder.latency
        merge, builder = self.merge.signature.members, self.builder.signature.members
        super().__init__(
            {
                **{name: merge[name] for name in ("i", "data")},
                **{name: builder[name] for name in ("addresses", "identity", "o")},
            }
        )

    def elaborate(self, platform):
        """Connect the two."""
        m = Module()
        own: Any = self
        m.submodules.merge = merge = self.merge
        m.submodules.builder = builder = self.builder
        for ours, inner in zip((*own.i, *own.data), (*merge.i, *merge.data), strict=True):
            wiring.connect(m, wiring.flipped(ours), inner)
        wiring.connect(m, merge.o, builder.i)
        wiring.connect(m, merge.o_data, builder.data)
        wiring.connect(m, wiring.flipped(own.addresses), builder.addresses)
        wiring.connect(m, builder.o, wiring.flipped(own.o))
        m.d.comb += builder.identity.eq(own.identity)
        return m
