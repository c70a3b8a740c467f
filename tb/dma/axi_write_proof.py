"""Proof that hdl.dma.AxiWriteClient says OK of no write that the memory has not answered so."""

from itertools import pairwise

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.dma.axi_write_client import AxiWriteClient
from hdl.dma.memory_port import MemoryStatus
from tb.prove import Proof

__all__ = ["PROOFS"]

_BURSTS = 2
_REQUESTS = 2
_TRANSIT = 2  # cycles from the begin of a burst to its answer, at least: less than there are


class _Answers(wiring.Component):
    """Bursts begin, requests end, the memory answers in order, at any time, or not.

    The first request's bursts are counted, and the answers to them. A response OK comes
    only when all of them were OK.
    """

    burst: Signal
    ended: Signal
    answered: Signal
    failed: Signal
    tick: Signal

    def __init__(self):
        super().__init__(
            {"burst": In(1), "ended": In(1), "answered": In(1), "failed": In(1), "tick": In(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = AxiWriteClient(response_count=_REQUESTS, burst_count=_BURSTS)
        # `mute` is obeyed a cycle before the strobe.
        muted = Signal()
        came = Signal()
        answer = Mux(self.failed, MemoryStatus.ABORT, MemoryStatus.OK)
        m.d.sync += muted.eq(dut.mute)
        m.d.comb += [
            came.eq(dut.o.valid),
            dut.burst.eq(self.burst),
            dut.ended.eq(self.ended),
            dut.answered.eq(self.answered),
            dut.answer.eq(answer),
            dut.tick.eq(self.tick),
            dut.o.ready.eq(1),
        ]

        open_bursts = Signal(range(_BURSTS + 1))  # of the request that is being sent
        ended = Signal(range(_REQUESTS + 1))
        given = Signal(range(_REQUESTS + 1))
        begun = Signal(8)
        answers = Signal(8)
        good = Signal(8)  # answers before the first that is not OK
        all_good = Signal(init=1)
        needed = [Signal(8, name=f"needed_{n}") for n in range(_REQUESTS)]
        arrived = [Signal(8, name=f"arrived_{n}") for n in range(_TRANSIT)]
        m.d.sync += [
            begun.eq(begun + self.burst),
            arrived[0].eq(begun),
            *(late.eq(early) for early, late in pairwise(arrived)),
            answers.eq(answers + self.answered),
            open_bursts.eq(Mux(self.ended, 0, open_bursts + self.burst)),
            all_good.eq(all_good & ~(self.answered & self.failed)),
            good.eq(good + (self.answered & ~self.failed & all_good)),
            ended.eq(ended + self.ended),
            given.eq(given + came),
        ]
        for n, need in enumerate(needed):
            with m.If(self.ended & (ended == n)):
                m.d.sync += need.eq(begun + self.burst)
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assume(~self.burst | ~muted, "muted"),
                Assume(~self.burst | (ended < _REQUESTS), "no more requests"),
                Assume(~self.ended | (ended < _REQUESTS), "no more requests end"),
                Assume(open_bursts + self.burst <= _BURSTS, "no more bursts"),
                Assume(~self.answered | (answers < arrived[-1]), "answers are owed"),
                Assert(dut.answers.i.ready, "no room for an answer"),
                Assert(dut.requests.i.ready, "no room for a request"),
                Assert(dut.responses.i.ready, "no room for a response"),
                Assert(~came | (given < ended), "a response to nothing"),
            ]
            for n, need in enumerate(needed):
                is_ok = came & (given == n) & (dut.o.p.status == MemoryStatus.OK)
                # A failure of the first request does not count for the second.
                if n == 0:
                    m.d.comb += Assert(~is_ok | (good >= need), "OK before the memory's")
                m.d.comb += [
                    Assert(~is_ok | (answers >= need), f"OK too early, {n}"),
                    Cover(is_ok & (need == n + 1), f"OK, {n}"),
                ]
            m.d.comb += Cover(came & (dut.o.p.status == MemoryStatus.TIMEOUT), "TIMEOUT")
        return m


PROOFS = [
    Proof(
        "dma.AxiWrite/OK only when the memory has said so of each burst",
        _Answers,
        depth=12,
        mode="bmc",
    ),
    Proof("dma.AxiWrite/OK, and TIMEOUT, are said", _Answers, depth=16, mode="cover"),
]
