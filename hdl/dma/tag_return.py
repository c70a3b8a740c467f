"""Tags that come back: at once, or after a while if an answer may still come."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import Queue
from .limits import check_client_count, check_tag_count
from .memory_port import MemoryStatus
from .parts import DeliveredLayout, TagGivenLayout, client_shape
from .tag_timer import TagFailingLayout

__all__ = ["TagReturn"]

#: Quarters that begin while a tag is in quarantine: so it has had four whole ones.
_QUARTERS = 5


class TagReturn(wiring.Component):
    """Give back the tags of reads that have been delivered.

    A tag whose read was lost by TIMEOUT stays in quarantine until four whole quarters of the
    timeout have gone by since it was delivered: an answer that comes late finds no read of its
    tag. Until then it counts as its client's. Other tags are given back at once; one that is
    ``failing`` waits until it is not.

    Latency is 2 cycles. Throughput is 1 tag per cycle, of those out of quarantine and the others
    together; those out of quarantine go first.

    Specification: this docstring.

    Parameters
    ----------
    client_count : int
        Clients, 1 to 16.
    tag_count : int
        Tags; even, 4 to 1024. As many may be in quarantine.

    Members
    -------
    delivered : In(stream.Signature(DeliveredLayout(client_count, tag_count)))
        Tags whose slots have been read. ``ready`` is a function of registers, and falls only
        for ``failing`` and for a tag that leaves quarantine. A tag comes 1 cycle after it was
        not out any more, or later.
    failing : In(TagFailingLayout(tag_count))
        Tag that is not given back yet, from a register.
    time : In(4)
        Quarters of the timeout, modulo 16; a quarter has ``tag_count`` cycles or more.
    given : Out(TagGivenLayout(client_count, tag_count))
        Strobe: a tag that is given back. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    delivered: stream.Interface
    failing: data.View
    time: Signal
    given: data.View

    def __init__(self, *, client_count: int, tag_count: int):
        check_client_count(client_count)
        check_tag_count(tag_count)
        self.client_count = client_count
        self.tag_count = tag_count
        self._delivered = DeliveredLayout(client_count, tag_count)
        super().__init__(
            {
                "delivered": In(stream.Signature(self._delivered)),
                "failing": In(TagFailingLayout(tag_count)),
                "time": In(4),
                "given": Out(TagGivenLayout(client_count, tag_count)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        kept = data.StructLayout(
            {"client": client_shape(self.client_count), "tag": range(self.tag_count), "since": 4}
        )
        m.submodules.quarantine = quarantine = Queue(shape=kept, depth=self.tag_count)
        oldest = quarantine.o.p
        age = Signal(4)
        is_over = Signal()
        m.d.comb += [
            age.eq(self.time - oldest.since),
            is_over.eq(quarantine.o.valid & (age >= _QUARTERS)),
            quarantine.o.ready.eq(is_over),
        ]

        valid = Signal()
        back = Signal(self._delivered, reset_less=True)
        may_leave = Signal()
        is_lost = Signal()
        leaves = Signal()
        m.d.comb += [
            may_leave.eq(valid & ~(self.failing.valid & (self.failing.tag == back.tag))),
            is_lost.eq(back.status == MemoryStatus.TIMEOUT),
            leaves.eq(may_leave & Mux(is_lost, quarantine.i.ready, ~is_over)),
            quarantine.i.valid.eq(may_leave & is_lost),
            quarantine.i.p.client.eq(back.client),
            quarantine.i.p.tag.eq(back.tag),
            quarantine.i.p.since.eq(self.time),
            self.delivered.ready.eq(~valid | leaves),
        ]
        with m.If(self.delivered.ready):
            m.d.sync += [valid.eq(self.delivered.valid), back.eq(self.delivered.payload)]

        given = Signal()
        client = Signal(client_shape(self.client_count), reset_less=True)
        tag = Signal(range(self.tag_count), reset_less=True)
        m.d.sync += [
            given.eq(is_over | (may_leave & ~is_lost)),
            client.eq(Mux(is_over, oldest.client, back.client)),
            tag.eq(Mux(is_over, oldest.tag, back.tag)),
        ]
        m.d.comb += [
            self.given.valid.eq(given),
            self.given.client.eq(client),
            self.given.tag.eq(tag),
        ]
        return m
