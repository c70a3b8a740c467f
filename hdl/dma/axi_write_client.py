"""What an AXI4 write engine knows of one client: what the memory owes it, and its responses."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .axi_watch import AxiWatch
from .axi_write_parts import AxiEndLayout
from .memory_port import MemoryResponseLayout, MemoryStatus

__all__ = ["AxiWriteClient"]


class AxiWriteClient(wiring.Component):
    """Answer the requests of a client when the memory has answered all of their bursts.

    The memory's answers come in the order of the client's bursts, so it is enough to count them:
    each request takes as many as it had bursts. They wait in a queue with room for those of all
    the bursts that there can be. The first failure of a request is its status.

    If the client is lost, requests end with TIMEOUT and answers are dropped. A request that
    was begun before is ``cut``: nothing more of it is sent, even if the client is found again.

    Latency is 8 cycles from the answer to the response. Throughput is one of each per cycle.

    Specification: this docstring.

    Parameters
    ----------
    response_count : int
        Requests that may be under way, with the responses that wait.
    burst_count : int
        Bursts of a request at most.

    Members
    -------
    burst : In(1)
        Strobe: a burst has begun.
    ended : In(1), end : In(AxiEndLayout())
        Strobe: the request has no more bursts.
    answered : In(1), answer : In(MemoryStatus)
        Strobe: what the memory says of a burst.
    tick : In(1)
        See :class:`AxiWatch`.
    mute : Out(1)
        No burst is begun: the client is lost or the request is cut. Combinational from ``ended``.
    o : Out(stream.Signature(MemoryResponseLayout()))
        Responses, registered.
    """

    burst: Signal
    ended: Signal
    end: Any
    answered: Signal
    answer: Signal
    tick: Signal
    mute: Signal
    o: stream.Interface

    def __init__(self, *, response_count: int, burst_count: int):
        most = response_count * burst_count
        self.response_count = response_count
        super().__init__(
            {
                "burst": In(1),
                "ended": In(1),
                "end": In(AxiEndLayout()),
                "answered": In(1),
                "answer": In(MemoryStatus),
                "tick": In(1),
                "mute": Out(1),
                "o": Out(stream.Signature(MemoryResponseLayout())),
            }
        )
        self.request_layout = data.StructLayout(
            {
                **{str(name): field.shape for name, field in AxiEndLayout()},
                "bursts": range(burst_count + 1),
            }
        )
        self.requests = Queue(shape=self.request_layout, depth=response_count)
        self.answers = Queue(shape=MemoryStatus, depth=most)
        self.responses = Queue(shape=MemoryResponseLayout(), depth=response_count)
        self.watch = AxiWatch(most=most, step=1)
        # For proofs: requests that wait for answers; bursts of the one that is being sent.
        self.waiting = Signal(range(response_count + 1))
        self.bursts = Signal(range(burst_count + 1))

    def elaborate(self, platform):
        m = Module()
        m.submodules.requests = requests = self.requests
        m.submodules.answers = answers = self.answers
        m.submodules.responses = responses = self.responses
        m.submodules.watch = watch = self.watch
        wiring.connect(m, responses.o, wiring.flipped(self.o))

        # Requests that are sent.
        cut = Signal()
        gives_up = Signal()
        total = Signal.like(self.bursts)
        m.d.comb += [
            self.mute.eq(watch.lost | (cut & ~self.ended)),
            gives_up.eq(watch.lost | cut),
            total.eq(self.bursts + self.burst),
            requests.i.valid.eq(self.ended),
            requests.i.p.tag.eq(self.end.tag),
            requests.i.p.status.eq(Mux(gives_up, MemoryStatus.TIMEOUT, self.end.status)),
            requests.i.p.bursts.eq(Mux(gives_up, 0, total)),
        ]
        with m.If(self.ended):
            m.d.sync += [self.bursts.eq(0), cut.eq(0)]
        with m.Else():
            m.d.sync += [self.bursts.eq(total), cut.eq(cut | (watch.lost & (total != 0)))]

        # Answers that come, each for the first request that lacks some.
        request = requests.o.p
        taken = Signal.like(self.bursts)
        failed = Signal(MemoryStatus)
        status = Signal(MemoryStatus)
        has_answer = Signal()
        needs = Signal()
        is_full = Signal()
        ends = Signal()
        m.d.comb += [
            answers.i.valid.eq(self.answered),
            answers.i.payload.eq(self.answer),
            has_answer.eq(answers.o.valid & watch.owes),
            needs.eq(request.bursts != 0),
            is_full.eq(taken >= request.bursts),
            ends.eq(
                requests.o.valid
                & (watch.lost | is_full | (has_answer & (taken + 1 == request.bursts)))
            ),
            requests.o.ready.eq(ends),
            # Without a request that has ended, they are of the one that is being sent.
            answers.o.ready.eq(~requests.o.valid | ~is_full | watch.lost),
            status.eq(Mux((failed == MemoryStatus.OK) & ~is_full, answers.o.payload, failed)),
            watch.add.eq(self.burst),
            watch.got.eq(answers.o.valid & answers.o.ready),
            watch.waits.eq(self.waiting != 0),
            watch.tick.eq(self.tick),
        ]
        m.d.sync += self.waiting.eq(
            self.waiting + (self.ended & (requests.i.p.bursts != 0)) - (ends & needs)
        )
        with m.If(ends | watch.lost):
            m.d.sync += [taken.eq(0), failed.eq(MemoryStatus.OK)]
        with m.Elif(has_answer & answers.o.ready):
            m.d.sync += taken.eq(taken + 1)
            with m.If(failed == MemoryStatus.OK):
                m.d.sync += failed.eq(answers.o.payload)

        response = Signal(MemoryResponseLayout(), reset_less=True)
        responds = Signal()
        m.d.sync += [responds.eq(ends), response.tag.eq(request.tag)]
        with m.If(watch.lost):
            m.d.sync += response.status.eq(MemoryStatus.TIMEOUT)
        with m.Elif(request.status != MemoryStatus.OK):
            m.d.sync += response.status.eq(request.status)
        with m.Else():
            m.d.sync += response.status.eq(status)
        m.d.comb += [responses.i.valid.eq(responds), responses.i.payload.eq(response)]
        return m
