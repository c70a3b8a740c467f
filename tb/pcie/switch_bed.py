"""A switch, link partners at all of its ports, and the model that says what each must get."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import ClockCycles

from sim.pcie import (
    Bridge,
    BridgeModel,
    Kind,
    OrderChecker,
    OrderViolation,
    SwitchModel,
    Tlp,
    TlpClass,
)

from ..stream.stream_port import chance
from .switch_port import Credits, SwitchPort

__all__ = ["FUNCTION", "LOCAL", "UNEVEN", "SwitchBed", "random_limits", "starve_at_random"]

#: What the functions of the switch under test are made with; the model is made with the same.
FUNCTION: dict[str, int] = {
    "vendor_id": 0x1D1D,
    "device_id": 0x0920,
    "revision_id": 0,
    "max_payload_bytes": 512,
    "max_link_speed": 5,
    "max_link_width": 16,
}

#: Link partners that pause now and then, and some of which give credits back late.
UNEVEN: dict[str, Any] = {
    "source_pause": chance(0.1),
    "sink_pause": chance(0.2),
    "return_delay": lambda: random.choice([0, 3, 40]),
}

#: What the switch makes itself has an ingress of its own, by class: answers and messages are made
#: by different blocks, between which there is no order. Nor is there one between interrupt wires.
LOCAL = 100
_WIRES = 110
_ROOT = 0x0000
_ALL = 0b1111


class SwitchBed:
    """Sends TLPs into the switch, and checks all that comes out.

    Each TLP that leaves must be one that the model says leaves there, in an order that is allowed,
    and paid for with credits. :meth:`drain` then demands that nothing is missing and that all
    credits are back.

    Parameters
    ----------
    dut : handle
        Switch.
    port_count, segment_count : int
        Its size.
    limits : callable, optional
        Given a port's number, what its partner advertises.
    options : dict
        Of each :class:`SwitchPort`.

    Attributes
    ----------
    rules : Counter of Rule
        How often each decided.
    """

    def __init__(self, dut, port_count: int, segment_count: int, limits=None, **options: Any):
        self.dut = dut
        self.port_count = port_count
        self.model = SwitchModel(
            [
                BridgeModel(port=port, port_count=port_count, **FUNCTION)
                for port in range(port_count)
            ],
            max_payload_bytes=FUNCTION["max_payload_bytes"],
        )
        self.order = OrderChecker(by_traffic_class=False)
        self.received: list[list[Tlp]] = [[] for _ in range(port_count)]
        self.keeps = False
        self.tag = 0
        self.ports = [
            SwitchPort(
                dut,
                f"ports__{number}",
                segment_count,
                **({} if limits is None else {"limits": limits(number)}),
                **options,
                on_sent=lambda tlp, number=number: self._sent(number, tlp),
                on_received=lambda tlp, number=number: self._came(number, tlp),
            )
            for number in range(port_count)
        ]
        for number in range(port_count):
            dut[f"trace__{number}__ready"].value = 1
        for channel in ("aw", "w", "ar"):
            dut[f"counters__{channel}valid"].value = 0

    def _sent(self, ingress: int, tlp: Tlp) -> None:
        for egress, sent in self.model.accept(ingress, tlp):
            # What passes, once or to many ports; the switch itself asks for no configuration.
            if sent is tlp or sent.kind == Kind.CONFIGURATION_0:
                origin = ingress
            elif sent.kind == Kind.MESSAGE_LOCAL:
                origin = _WIRES + sent.code % 4
            else:
                origin = LOCAL + sent.tlp_class
            self.order.accept(origin, egress, sent)

    def _came(self, egress: int, tlp: Tlp) -> None:
        try:
            self.order.leave(egress, tlp)
        except OrderViolation as violation:
            alike = [
                other
                for port, other in self.order.waiting
                if port == egress and (other.tag, other.tc) == (tlp.tag, tlp.tc)
            ]
            raise OrderViolation(f"{violation}; alike is {alike}") from None
        if self.keeps:
            self.received[egress].append(tlp)

    @property
    def rules(self) -> Counter:
        """How often each rule decided."""
        return Counter(entry.rule for entry in self.model.trace)

    async def start(self) -> None:
        """Reset the switch, and raise all links."""
        Clock(self.dut.clk, 2, unit="ns").start()
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 8)
        for number in range(self.port_count):
            self.set_link(number, True)
        await ClockCycles(self.dut.clk, 16)

    def set_link(self, number: int, is_up: bool) -> None:
        """Raise or drop a link."""
        self.ports[number].link(is_up)
        for egress, made in self.model.set_link(number, is_up):
            self.order.accept(LOCAL + made.tlp_class, egress, made)

    def send(self, number: int, tlp: Tlp) -> None:
        """Queue ``tlp`` at a port."""
        self.ports[number].send(tlp)

    async def settle(self, *, cycles: int = 200_000) -> None:
        """Wait until nothing waits to be sent or to come, and all credits are back."""
        for _ in range(cycles // 20):
            await ClockCycles(self.dut.clk, 20)
            if self.order.waiting or not all(port.idle for port in self.ports):
                continue
            if all(port.is_whole for port in self.ports if port.is_up):
                break
        else:
            self.order.check_drained()
            for number, port in enumerate(self.ports):
                assert port.idle, f"port {number} has TLPs that the switch has no credits for"
                assert port.is_whole or not port.is_up, f"port {number} lacks credits"
        # Nothing more may come.
        await ClockCycles(self.dut.clk, 60)

    async def drain(self) -> None:
        """Give all credits, and :meth:`settle`."""
        for port in self.ports:
            port.feed()
        await self.settle()
        self.order.check_drained()

    # Configuration, by requests as the root complex sends them.

    def write(self, port: int, address: int, value: int, enables: int = _ALL) -> None:
        """Queue a configuration write to the function of ``port``."""
        self.send(0, self._request(port, address, value, enables))

    def _request(self, port: int, address: int, value: int | None, enables: int) -> Tlp:
        # The upstream port has bus 0 as it was first written to; behind it is `_internal`.
        target = 0 if port == 0 else self._internal << 8 | port - 1 << 3
        self.tag = self.tag + 1 & 0xFF
        return Tlp(
            Kind.CONFIGURATION_0 if port == 0 else Kind.CONFIGURATION_1,
            data=None if value is None else value.to_bytes(4, "little"),
            length=1,
            tag=self.tag,
            requester=_ROOT,
            first_be=enables,
            target=target,
            register=address // 4,
        )

    async def configure(self, bridges: Sequence[Bridge]) -> None:
        """Write the registers that ``bridges`` stand for, and wait until all is done.

        Numbers of functions and the state of links are not configured. What has bus numbers behind
        the upstream port that do not fit is set all the same.
        """
        self._internal = 1
        self.write(0, 0x18, 0x00FF_0100)
        await self.drain()  # requests are routed before those in front of them are served
        self.write(0, 0x68, bridges[0].max_payload << 5, 0b0001)
        for number in (*range(1, self.port_count), 0):
            bridge = bridges[number]
            self.write(number, 0x20, bridge.memory_limit << 20 | bridge.memory_base << 4)
            low = bridge.prefetchable_limit & 0xFFF, bridge.prefetchable_base & 0xFFF
            self.write(number, 0x24, low[0] << 20 | low[1] << 4)
            self.write(number, 0x28, bridge.prefetchable_base >> 12)
            self.write(number, 0x2C, bridge.prefetchable_limit >> 12)
            self.write(number, 0x68, bridge.max_payload << 5, 0b0001)
            command = bridge.bus_master_enable << 2 | bridge.memory_enable << 1
            self.write(number, 0x04, command, 0b0011)
            if number:
                acs = bridge.acs
                self.write(number, 0x88, bridge.ari_forwarding << 5, 0b0001)
                self.write(
                    number,
                    0x14C,
                    sum(
                        bit << 16 + place
                        for place, bit in enumerate(
                            [
                                acs.source_validation,
                                acs.translation_blocking,
                                acs.request_redirect,
                                acs.completion_redirect,
                                acs.upstream_forwarding,
                                acs.egress_control,
                                acs.direct_translated,
                            ]
                        )
                    ),
                )
                self.write(number, 0x150, acs.egress_vector)
            self.write(number, 0x18, bridge.subordinate << 16 | bridge.secondary << 8)
        await self.drain()

    def tree(self, *, max_payload: int = 1) -> list[Bridge]:
        """Bridges as software would set them up: a bus and 16 MB of each kind behind each port."""
        top = self.port_count
        bridges = [
            Bridge(
                secondary=1,
                subordinate=1 + top,
                memory_base=0x800,
                memory_limit=0x800 + 16 * top - 1,
                prefetchable_base=0x10_0000,
                prefetchable_limit=0x10_0000 + 16 * top - 1,
                memory_enable=True,
                bus_master_enable=True,
                max_payload=max_payload,
            )
        ]
        for port in range(1, self.port_count):
            bridges.append(
                Bridge(
                    secondary=1 + port,
                    subordinate=1 + port,
                    memory_base=0x800 + 16 * port,
                    memory_limit=0x800 + 16 * port + 15,
                    prefetchable_base=0x10_0000 + 16 * port,
                    prefetchable_limit=0x10_0000 + 16 * port + 15,
                    memory_enable=True,
                    bus_master_enable=True,
                    max_payload=max_payload,
                )
            )
        return bridges


def random_limits(_: int) -> list[Credits]:
    """Credits of a partner: sometimes the least there is for 512 bytes, sometimes plenty."""
    return [
        Credits(random.choice([1, 2, 7, 64]), random.choice([32, 33, 40, 512])),
        Credits(random.choice([1, 2, 7, 64]), random.choice([2, 3, 64])),
        Credits(random.choice([1, 2, 7, 64]), random.choice([32, 33, 40, 512])),
    ]


def starve_at_random(ports: Sequence[SwitchPort], dut) -> Task:
    """Now and then let a port have no more credits of some classes for a while."""

    async def run() -> None:
        while True:
            await ClockCycles(dut.clk, random.randint(20, 400))
            port = random.choice(ports)
            port.starve(*random.sample(list(TlpClass), random.randint(1, 3)))
            await ClockCycles(dut.clk, random.randint(20, 400))
            if random.random() < 0.8:
                port.feed()
            if random.random() < 0.2:
                for each in ports:
                    each.feed()

    return cocotb.start_soon(run())
