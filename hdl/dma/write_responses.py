"""Responses of writes: each when the last TLP of its request has been taken."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .memory_port import MemoryResponseLayout, MemoryStatus
from .write_parts import WriteDoneLayout

__all__ = ["WriteResponses"]

#: As many as there can be TLPs between the register where they are made and the link, at S = 4: 1
#: in that register, 1 in the shift, 3 in the row before the skid, 4 in it and 8 behind; 1 may wait.
_PENDING = 16


class WriteResponses(wiring.Component):
    """Hold back what requests have ended with until their TLPs have left, then give it to clients.

    TLPs leave in the order in which they are made, so it is enough to count them. Each client has
    a queue of its own; who lets requests in sees to it that it does not overflow, so that a client
    that takes no response holds up nobody else.

    Latency is 8 cycles. Throughput is a response per cycle.

    Specification: this docstring, on streams that follow the rules of ``amaranth.lib.stream``.

    Parameters
    ----------
    client_count, segment_count : int
        As of :class:`PcieWrite`.
    response_count : int
        Responses that a client's queue holds at least; never are there more to come.

    Members
    -------
    i : In(stream.Signature(WriteDoneLayout(client_count)))
        Requests that have ended. ``ready`` is a register.
    left : In(range(segment_count + 1))
        TLPs whose last segment was taken in this cycle.
    link_up : In(1)
        Data link layer active; if it is not when the TLPs have left, the response says so.
    o : Out(stream.Signature(MemoryResponseLayout())).array(client_count)
        Responses, registered.
    """

    i: stream.Interface
    left: Signal
    link_up: Signal
    o: list[stream.Interface]

    def __init__(self, *, client_count: int, segment_count: int, response_count: int):
        self.client_count = client_count
        self.response_count = response_count
        self.done_layout = WriteDoneLayout(client_count)
        responses = stream.Signature(MemoryResponseLayout())
        super().__init__(
            {
                "i": In(stream.Signature(self.done_layout)),
                "left": In(range(segment_count + 1)),
                "link_up": In(1),
                "o": Out(responses).array(client_count),
            }
        )
        self.pending = Queue(shape=self.done_layout, depth=_PENDING)

    def elaborate(self, platform):
        m = Module()
        m.submodules.pending = pending = self.pending
        wiring.connect(m, wiring.flipped(self.i), pending.i)

        # The difference is small in either direction, so its sign is right.
        left = Signal(pending.o.p.number.shape())
        ahead = Signal.like(left)
        released = Signal()
        response = Signal(self.done_layout, reset_less=True)
        m.d.sync += left.eq(left + self.left)
        m.d.comb += [ahead.eq(left - pending.o.p.number), pending.o.ready.eq(~ahead[-1])]
        m.d.sync += [released.eq(pending.o.valid & ~ahead[-1]), response.eq(pending.o.payload)]
        with m.If(~self.link_up & (pending.o.p.status == MemoryStatus.OK)):
            m.d.sync += response.status.eq(MemoryStatus.LINK_DOWN)

        for number, port in enumerate(self.o):
            queue = Queue(shape=MemoryResponseLayout(), depth=self.response_count, counted=True)
            m.submodules[f"queue_{number}"] = queue
            m.d.comb += [
                queue.i.valid.eq(released & (response.client == number)),
                queue.i.p.tag.eq(response.tag),
                queue.i.p.status.eq(response.status),
            ]
            wiring.connect(m, queue.o, wiring.flipped(port))
        return m
