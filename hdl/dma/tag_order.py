"""Tags of each client in the order in which they were issued."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bits import select_one_hot
from ..memory import SimpleDualPortRam
from ..stream.queue import address_bits as queue_address_bits
from ..stream.queue import next_address
from .delivery_parts import in_turn

__all__ = ["TagOrder"]


class TagOrder(wiring.Component):
    """Queue of tags for each client, all in one RAM, with room for all tags in each queue.

    Tags leave, one a cycle, in turns among the clients that have one and, behind the queue, a free
    place for it. Nothing ever overflows: all tags are different, and the first ``place_count`` of a
    client's leave as fast as others come.

    Latency is 4 cycles; throughput is 1 tag a cycle in and out, also of one client.

    Parameters
    ----------
    client_count, tag_count : int
        Queues; places of each.
    place_count : int
        Places for tags that have left a queue.

    Members
    -------
    write : In(client_count), tag : In(range(tag_count)), mark : In(1)
        One-hot strobe: the client's tag goes into its queue, with a mark.
    freed : In(client_count)
        Strobes: a place behind the queue is free again.
    fetched : Out(client_count), fetched_tag : Out(range(tag_count)), fetched_mark : Out(1)
        One-hot strobe, registered: the client's first tag has left its queue.
    """

    write: Signal
    tag: Signal
    mark: Signal
    freed: Signal
    fetched: Signal
    fetched_tag: Signal
    fetched_mark: Signal

    def __init__(self, *, client_count: int, tag_count: int, place_count: int):
        self.client_count = client_count
        self.tag_count = tag_count
        self.place_count = place_count
        super().__init__(
            {
                "write": In(client_count),
                "tag": In(range(tag_count)),
                "mark": In(1),
                "freed": In(client_count),
                "fetched": Out(client_count),
                "fetched_tag": Out(range(tag_count)),
                "fetched_mark": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # A client's first tags are behind the queue soon, so less than all of them are in it.
        address_bits = queue_address_bits(max(6, self.tag_count - self.place_count + 4))
        m.submodules.tags = tags = SimpleDualPortRam(
            shape=len(self.tag) + 1,
            depth=self.client_count << address_bits,
            lane_count=1,
            latency=2,
            bypass=False,
            block=self.client_count << address_bits > 64,
        )

        eligible = Signal(self.client_count)
        fetch = Signal(self.client_count)
        m.d.comb += fetch.eq(in_turn(m, "picker", eligible))
        write_addresses = []
        read_addresses = []
        for client in range(self.client_count):
            written = Signal(address_bits, name=f"written_{client}")
            begin = Signal.like(written, name=f"begin_{client}")
            second = Signal.like(written, name=f"second_{client}")
            free = Signal(range(self.place_count + 1), name=f"free_{client}", init=self.place_count)
            m.d.comb += second.eq(next_address(begin))
            with m.If(self.write[client]):
                m.d.sync += written.eq(next_address(written))
            m.d.sync += free.eq(free - fetch[client] + self.freed[client])
            with m.If(fetch[client]):
                m.d.sync += [
                    begin.eq(second),
                    eligible[client].eq((written != second) & (free > 1)),
                ]
            with m.Else():
                m.d.sync += eligible[client].eq((written != begin) & (free != 0))
            number = C(client, (self.client_count - 1).bit_length())
            write_addresses.append(Cat(written, number))
            read_addresses.append(Cat(begin, number))

        m.d.comb += [
            tags.write_lanes.eq(self.write.any()),
            tags.write_address.eq(select_one_hot(self.write, write_addresses)),
            tags.write_data.eq(Cat(self.mark, self.tag)),
            tags.read_en.eq(fetch.any()),
            tags.read_address.eq(select_one_hot(fetch, read_addresses)),
            Cat(self.fetched_mark, self.fetched_tag).eq(tags.read_data),
        ]
        reading = Signal(self.client_count)
        m.d.sync += [reading.eq(fetch), self.fetched.eq(reading)]
        return m
