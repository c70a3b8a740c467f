"""Queues of receive requests, of one queue pair or shared by several."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SimpleDualPortRam

from .config import RoceConfig

__all__ = ["LimitLayout", "PostLayout", "ReceiveQueues", "TakeLayout", "TakenLayout"]


class TakeLayout(data.StructLayout):
    """Look at a queue.

    Fields
    ------
    valid : 1 bit
        Look; without it nothing happens.
    queue : config.bits("receive_queues") bits
    take : 1 bit
        Take the oldest request, if there is one.
    tells : 1 bit
        The queue's limit counts.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {"valid": 1, "queue": config.bits("receive_queues"), "take": 1, "tells": 1}
        )


class TakenLayout(data.StructLayout):
    """What was found.

    Fields
    ------
    taken : 1 bit
        There was a request to take.
    handle, length : config.bits("receive_requests"), 32 bits
        The request, and what its buffers hold together.
    left : config.bits("receive_depth") + 1 bits
        Requests that are left.
    limit : 1 bit
        The queue's limit was reached now.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "taken": 1,
                "handle": config.bits("receive_requests"),
                "length": 32,
                "left": config.bits("receive_depth") + 1,
                "limit": 1,
            }
        )


class PostLayout(data.StructLayout):
    """Receive request for a ``queue``: its ``handle``, and the ``length`` of all its buffers."""

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "queue": config.bits("receive_queues"),
                "handle": config.bits("receive_requests"),
                "length": 32,
            }
        )


class LimitLayout(data.StructLayout):
    """Tell, once, when fewer than ``limit`` requests are left in ``queue``; 0 never."""

    def __init__(self, config: RoceConfig):
        super().__init__({"queue": config.bits("receive_queues"), "limit": 16})


class ReceiveQueues(wiring.Component):
    """Hold receive requests in order, as rings in one memory.

    Requests are taken in the ``phase`` in which ``take`` comes, every second cycle; the driver's
    turn is in the other. So no row is read while it is written, but the head of a queue that was
    taken from two cycles before: that one is forwarded.

    Latency is :attr:`latency` cycles from ``take`` to ``taken``. Throughput is a request every 2
    cycles out, from one queue or several, and one every 4 cycles in.

    Specification: IBTA Architecture Specification volume 1, 10.8.3 (shared receive queues),
    10.2.9.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    phase : In(1)
        High every second cycle; ``take`` comes with it.
    take : In(TakeLayout(config))
    taken : Out(TakenLayout(config))
        What the ``take`` of ``latency`` cycles before found.
    clear : In({valid: 1, queue})
        Empty this queue, without a limit; nothing else comes meanwhile.
    posts : In(stream.Signature(PostLayout(config)))
        Requests from the driver. One more than a queue holds is refused.
    refused : Out(1)
        Pulse: a request was refused.
    limits : In(stream.Signature(LimitLayout(config)))
    """

    phase: Signal
    take: data.View
    taken: data.View
    clear: Any
    posts: stream.Interface
    refused: Signal
    limits: stream.Interface

    #: Cycles from ``take`` to ``taken``.
    latency = 5

    def __init__(self, *, config: RoceConfig):
        self.config = config
        super().__init__(
            {
                "phase": In(1),
                "take": In(TakeLayout(config)),
                "taken": Out(TakenLayout(config)),
                "clear": In(
                    data.StructLayout({"valid": 1, "queue": config.bits("receive_queues")})
                ),
                "posts": In(stream.Signature(PostLayout(config))),
                "refused": Out(1),
                "limits": In(stream.Signature(LimitLayout(config))),
            }
        )

    def _counters(self, m: Module, name: str, shape) -> Any:
        ram = SimpleDualPortRam(
            shape=shape,
            depth=self.config.receive_queues,
            lane_count=1,
            latency=1,
            bypass=False,
        )
        m.submodules[name] = ram
        return ram

    def elaborate(self, platform):
        m = Module()
        config = self.config
        count_bits = config.bits("receive_depth") + 1
        heads = self._counters(m, "heads", unsigned(count_bits))
        tails = self._counters(m, "tails", unsigned(count_bits))
        limits = self._counters(m, "limits", unsigned(16))
        request = data.StructLayout({"handle": config.bits("receive_requests"), "length": 32})
        m.submodules.ring = ring = SimpleDualPortRam(
            shape=request,
            depth=config.receive_queues * config.receive_depth,
            lane_count=1,
            latency=1,
            bypass=False,
            block=True,
        )
        take: Any = self.take
        taken: Any = self.taken
        posts: Any = self.posts
        clear: Any = self.clear

        # 0: in one phase a queue is looked at for a packet, in the other one for the driver.
        for ram in (heads, tails, limits):
            m.d.comb += [
                ram.read_en.eq(1),
                ram.read_address.eq(Mux(self.phase, take.queue, posts.p.queue)),
            ]

        # 1: the rows; 2: in registers.
        take_1: Any = Signal(TakeLayout(config))
        take_2: Any = Signal(TakeLayout(config))
        m.d.sync += [
            take_1.eq(take),
            take_1.valid.eq(take.valid & self.phase),
            take_2.eq(take_1),
        ]
        head_row = Signal(count_bits, reset_less=True)
        tail = Signal(count_bits, reset_less=True)
        limit_row = Signal(16, reset_less=True)
        m.d.sync += [
            head_row.eq(heads.read_data),
            tail.eq(tails.read_data),
            limit_row.eq(limits.read_data),
        ]

        # 2: decide. The rows were read while the packet before wrote: what it wrote counts.
        last_valid = Signal()
        last_queue = Signal(config.bits("receive_queues"), reset_less=True)
        last_head = Signal(count_bits, reset_less=True)
        last_disarmed = Signal(reset_less=True)
        same = Signal(reset_less=True)
        head = Signal(count_bits)
        limit = Signal(16)
        left = Signal(count_bits)
        takes = Signal()
        disarms = Signal()
        # 3: whether the limit is reached is known a cycle later, in the driver's turn.
        limits_3 = Signal()
        limit_3 = Signal(16, reset_less=True)
        left_3 = Signal(count_bits, reset_less=True)
        same_3 = Signal(reset_less=True)
        # A limit that the driver sets behind the look at the old one stays.
        sets_limit = Signal()
        is_rearmed_2 = Signal()
        is_rearmed_3 = Signal()
        queue_3 = Signal(config.bits("receive_queues"), reset_less=True)
        m.d.sync += [
            limits_3.eq(takes & take_2.tells & self.phase),
            limit_3.eq(limit_row),
            left_3.eq(left),
            same_3.eq(same),
            queue_3.eq(take_2.queue),
            is_rearmed_2.eq(sets_limit & (self.limits.p.queue == take_1.queue)),
            is_rearmed_3.eq(is_rearmed_2),
        ]
        m.d.sync += same.eq(last_valid & (last_queue == take_1.queue))
        m.d.comb += [
            head.eq(Mux(same, last_head, head_row)),
            limit.eq(Mux(same_3 & last_disarmed, 0, limit_3)),
            takes.eq(take_2.valid & take_2.take & (head != tail)),
            left.eq(tail - head - takes),
            disarms.eq(limits_3 & (left_3 < limit)),
            heads.write_lanes.eq(takes),
            heads.write_address.eq(take_2.queue),
            heads.write_data.eq(head + 1),
        ]
        with m.If(self.phase):
            m.d.sync += [
                last_valid.eq(take_2.valid),
                last_queue.eq(take_2.queue),
                last_head.eq(head + takes),
            ]
        with m.Else():
            m.d.sync += last_disarmed.eq(disarms & ~is_rearmed_3)

        # 3: the ring's address; 4: its row; then the output.
        ring_read = Signal(range(ring.depth), reset_less=True)
        m.d.sync += ring_read.eq(Cat(head[:-1], take_2.queue))
        m.d.comb += [ring.read_en.eq(1), ring.read_address.eq(ring_read)]
        found = [(takes, "taken", (3, 4, 5)), (left, "left", (3, 4, 5)), (disarms, "limit", (4, 5))]
        for value, name, cycles in found:
            held = [Signal(len(value), name=f"{name}_{n}", reset_less=True) for n in cycles]
            m.d.sync += [after.eq(v) for after, v in zip(held, [value, *held], strict=False)]
            m.d.comb += taken[name].eq(held[-1])
        row: Any = Signal(request, reset_less=True)
        m.d.sync += row.eq(ring.read_data)
        m.d.comb += [taken.handle.eq(row.handle), taken.length.eq(row.length)]

        # The driver's: its rows come two cycles after they were asked for, in its own phase.
        asked = Signal(2)
        is_full = Signal()
        m.d.comb += is_full.eq((tail - head_row)[:count_bits] == config.receive_depth)
        m.d.sync += [
            asked.eq(Cat(posts.valid & ~self.phase & ~asked[1] & ~clear.valid, asked[0])),
            self.refused.eq(0),
        ]
        with m.If(asked[1]):
            m.d.comb += [
                posts.ready.eq(1),
                tails.write_lanes.eq(~is_full),
                ring.write_lanes.eq(~is_full),
            ]
            m.d.sync += self.refused.eq(is_full)
        m.d.comb += [
            tails.write_address.eq(posts.p.queue),
            tails.write_data.eq(tail + 1),
            ring.write_address.eq(Cat(tail[:-1], posts.p.queue)),
            ring.write_data.eq(Cat(posts.p.handle, posts.p.length)),
            self.limits.ready.eq(~self.phase & ~clear.valid & ~limits_3),
            sets_limit.eq(self.limits.valid & self.limits.ready),
            limits.write_lanes.eq((disarms & ~is_rearmed_3) | sets_limit),
            limits.write_address.eq(Mux(limits_3, queue_3, self.limits.p.queue)),
            limits.write_data.eq(Mux(limits_3, 0, self.limits.p.limit)),
        ]
        with m.If(clear.valid):
            for ram in (heads, tails, limits):
                m.d.comb += [
                    ram.write_lanes.eq(1),
                    ram.write_address.eq(clear.queue),
                    ram.write_data.eq(0),
                ]
        return m
