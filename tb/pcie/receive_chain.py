"""The three blocks of the receive side as they are put together, for their tests."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.pcie import ReceiveCredits, TlpBuffer, TlpCheck
from hdl.pcie.parts import CreditAmountsLayout
from hdl.pcie.port import CreditCountsLayout
from hdl.pcie.tlp import TlpBeatLayout

__all__ = ["ReceiveChain"]


class ReceiveChain(wiring.Component):
    """TlpCheck, TlpBuffer and ReceiveCredits; whoever takes ``o`` returns its credits."""

    i: Any
    o: Any
    link_up: Signal
    returned: Any
    allocated: Any
    drained: Signal

    def __init__(self, *, segment_count: int, max_payload_bytes: int, advertised: Any):
        self.check = TlpCheck(segment_count=segment_count, max_payload_bytes=max_payload_bytes)
        self.buffer = TlpBuffer(segment_count=segment_count, max_payload_bytes=max_payload_bytes)
        self.credits = ReceiveCredits(advertised=advertised, source_count=2)
        super().__init__(
            {
                "i": In(TlpBeatLayout(segment_count)),
                "o": Out(TlpBeatLayout(segment_count)),
                "link_up": In(1),
                "returned": In(CreditAmountsLayout(3, 11)),
                "allocated": Out(CreditCountsLayout()),
                "drained": Out(1),
            }
        )

    def elaborate(self, platform):
        """Connect the blocks."""
        m = Module()
        m.submodules.check = check = self.check
        m.submodules.buffer = buffer = self.buffer
        m.submodules.credits = credits = self.credits
        m.d.comb += [
            check.i.eq(self.i),
            check.flush.eq(~self.link_up),
            check.room.eq(credits.room),
            check.returning.eq(credits.returning),
            credits.room_left.eq(check.room_left),
            credits.link_up.eq(self.link_up),
            credits.returned[0].eq(check.dropped),
            credits.returned[1].eq(self.returned),
            buffer.i.eq(check.o),
            self.o.eq(buffer.o),
            self.allocated.eq(credits.allocated),
            self.drained.eq(credits.drained),
        ]
        return m
