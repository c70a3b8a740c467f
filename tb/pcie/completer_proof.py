"""Proofs of hdl.pcie.Completer."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hdl.pcie.completer import Completer
from hdl.pcie.local_column import DeadRequestLayout
from hdl.pcie.parts import LocalRequestLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

_PORTS = 2
_ROWS = 2
_LATENCY = 5


class _OneAnswer(wiring.Component):
    """Every request taken has one answer, at its port, and no port's queue ever overflows."""

    requests: list[Any]
    dead: list[Any]
    hold: Signal
    left: Signal

    def __init__(self, *, cover: bool = False):
        self.cover = cover
        super().__init__(
            {
                "requests": In(stream.Signature(LocalRequestLayout(_PORTS))).array(_PORTS),
                "dead": In(stream.Signature(DeadRequestLayout(_PORTS))).array(_PORTS),
                "hold": In(1),
                "left": In(_PORTS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.completer = completer = Completer(port_count=_PORTS, row_count=_ROWS)
        m.d.comb += [completer.hold.eq(self.hold), completer.left.eq(self.left)]
        taken_by = []
        for number in range(_PORTS):
            wiring.connect(m, wiring.flipped(self.requests[number]), completer.requests[number])
            wiring.connect(m, wiring.flipped(self.dead[number]), completer.dead[number])
            taken_by.append((self.requests[number], C(1 << number, _PORTS)))
            taken_by.append((self.dead[number], self.dead[number].p.port))

        # Port of the request taken, and of those taken in the cycles before.
        taken = Signal(_PORTS)
        count = Signal(3)
        takes = [request.valid & request.ready for request, _ in taken_by]
        m.d.comb += count.eq(sum(takes))
        for take, (_, port) in zip(takes, taken_by, strict=True):
            with m.If(take):
                m.d.comb += taken.eq(port)
        flying = [taken]
        for number in range(_LATENCY):
            later = Signal(_PORTS, name=f"flying_{number}")
            m.d.sync += later.eq(flying[-1])
            flying.append(later)

        answers = Mux(completer.o_valid, completer.o.port, 0)
        queued = []
        with m.If(~ResetSignal()):
            for number in range(_PORTS):
                queue = Signal(range(_ROWS + 2), name=f"queue_{number}")
                queued.append(queue)
                m.d.sync += queue.eq(queue + answers[number] - self.left[number])
                port = self.dead[number].p.port
                inside = sum((stage[number] for stage in flying[1:]), C(0, 1))
                m.d.comb += [
                    Assume(~self.left[number] | (queue != 0), "left without having come"),
                    Assume(port.any() & ~(port & (port - 1)).any(), "no port to answer"),
                ]
                if not self.cover:
                    free = completer._room.free[number]
                    has_room = completer._room.has_room[number]
                    m.d.comb += [
                        Assert(queue <= _ROWS, "more answers than rows"),
                        Assert(queue + inside + free == _ROWS, "a row is lost or found"),
                        Assert(has_room == (free != 0), "room not told"),
                    ]
            if self.cover:
                m.d.comb += Cover(
                    (queued[0] == _ROWS) & (queued[1] == 0) & answers[1], "one port is full"
                )
            else:
                m.d.comb += [
                    Assert(count <= 1, "two requests taken at once"),
                    Assert(answers == flying[-1], "an answer too many, too few or elsewhere"),
                    Assert(completer.o_valid == answers.any(), "an answer to no port"),
                ]
        return m


PROOFS = [
    Proof("pcie.Completer/one answer to each request", _OneAnswer, depth=_LATENCY + 2),
    Proof(
        "pcie.Completer/one port is full and another goes on",
        lambda: _OneAnswer(cover=True),
        depth=14,
        mode="cover",
    ),
]
