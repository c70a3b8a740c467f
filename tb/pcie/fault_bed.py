"""A switch to which things happen: links that fail, resets, senders that break the rules."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cocotb.triggers import ClockCycles, FallingEdge

from sim.pcie import BridgeModel, OrderChecker, OrderViolation, SwitchModel, Tlp, TlpClass

from .switch_bed import FUNCTION, LOCAL, SwitchBed

__all__ = ["FaultBed"]

#: Requests that may be in an egress port at once, behind its queues: those are lost with the link.
_UNDER_WAY = 8
_PATIENCE = 400
#: Ingress, and those beyond it, of TLPs between which there is no order.
_ANYWHERE = 1000


class FaultBed(SwitchBed):
    """Bed whose model also loses links; links change at falling edges. One segment a beat.

    What waits for a port when its link fails is given up, as the model says: requests are answered
    with Unsupported Request, all else is dropped.
    """

    def __init__(self, dut: Any, port_count: int, **options: Any):
        self.last: list[Tlp | None] = [None] * port_count
        self.cheats: list[Tlp] = []
        self.maybe: Counter[tuple[int, Tlp]] = Counter()
        super().__init__(dut, port_count, 1, **options)
        self.keeps = True
        for function in self.model.functions:
            self._set_speed(function)

    @staticmethod
    def _set_speed(function: Any) -> None:
        function.link_speed, function.link_width = 5, 16

    def _sent(self, ingress: int, tlp: Tlp) -> None:
        self.last[ingress] = tlp
        if any(tlp is cheat for cheat in self.cheats):
            self._expect(self.model.accept(ingress, tlp, overflow=True))
        else:
            super()._sent(ingress, tlp)

    def _expect(self, sent: list[tuple[int, Tlp]]) -> None:
        for egress, made in sent:
            self.order.accept(LOCAL + made.tlp_class, egress, made)

    def cheat(self, number: int, tlp: Tlp) -> None:
        """Queue ``tlp``, for which there are no credits: it overflows."""
        self.cheats.append(tlp)
        self.ports[number].send(tlp, cheat=True)

    def send_broken(
        self, number: int, lanes: Sequence[int | None], header: Tlp, *, charged: bool = True
    ) -> None:
        """Queue lanes that are one malformed TLP, with the header of ``header``.

        Parameters
        ----------
        charged : bool
            There is a header, so it costs credits.
        """
        port = self.ports[number]
        if charged:
            port.consume(header.tlp_class, 1, header.data_credits)
        port.send_lanes(lanes)
        wrong_data = bytes(4 * header.length + 4)
        self._expect(self.model.accept(number, header.with_changes(data=wrong_data)))

    def set_link(self, number: int, is_up: bool, *, certain: bool = True) -> None:
        """Raise or drop a link; what is being received as it drops is lost.

        Parameters
        ----------
        certain : bool
            No request is between queues and link: all are answered.
        """
        cut = self.last[number] if self.ports[number].source.is_driving else None
        super().set_link(number, is_up)
        if is_up:
            return
        if cut is not None:
            self._lose(number, cut)
        self.give_up(number, certain=certain)

    def _lose(self, ingress: int, tlp: Tlp) -> None:
        """Expect nothing of a TLP that was not received whole."""
        for egress in range(self.port_count):
            try:
                self.order.discard(egress, tlp, ingress)
            except OrderViolation:
                continue

    def give_up(self, number: int, *, certain: bool = True) -> int:
        """Expect answers to all requests that wait for a port, and nothing there; count them."""
        answered = 0
        for ingress, tlp in self.order.discard_all(number):
            self.maybe.pop((number, tlp), None)
            if tlp.tlp_class != TlpClass.NON_POSTED:
                continue
            for egress, answer in self.model.give_up(ingress, tlp):
                answered += 1
                self._expect([(egress, answer)])
                if not certain:
                    self.maybe[egress, answer] += 1
        return answered

    async def drop(self, *numbers: int, certain: bool = True) -> None:
        """Drop links, at once."""
        await FallingEdge(self.dut.clk)
        for number in numbers:
            self.set_link(number, False, certain=certain)

    async def flap(self, number: int, cycles: int) -> list[Tlp]:
        """Drop and raise a link so fast that what waits may still come; tell what waits.

        What comes has no order, since others of its queue are dropped.
        """
        await FallingEdge(self.dut.clk)
        super().set_link(number, False)
        waiting = self.order.discard_all(number)
        for place, (ingress, tlp) in enumerate(waiting):
            self.order.accept(_ANYWHERE + place, number, tlp)
            self.maybe[number, tlp] += 1
            if tlp.tlp_class == TlpClass.NON_POSTED:
                for egress, answer in self.model.give_up(ingress, tlp):
                    self._expect([(egress, answer)])
                    self.maybe[egress, answer] += 1
        await ClockCycles(self.dut.clk, cycles)
        await self.lift(number)
        return [tlp for _, tlp in waiting]

    async def lift(self, *numbers: int) -> None:
        """Raise links again as soon as that is allowed."""
        await ClockCycles(self.dut.clk, 4)
        for number in numbers:
            await self.until(f"ports__{number}__rx_drained", 1)
        await FallingEdge(self.dut.clk)
        for number in numbers:
            assert not self.dut[f"ports__{number}__tx__valid"].value, "sends without a link"
            self.set_link(number, True)
        await ClockCycles(self.dut.clk, 16)

    async def until(self, name: str, value: int, *, cycles: int = 5000) -> None:
        """Wait until an output has a value."""
        for _ in range(cycles):
            if int(self.dut[name].value) == value:
                return
            await ClockCycles(self.dut.clk, 1)
        raise AssertionError(f"{name} did not become {value} in {cycles} cycles")

    async def read(self, port: int, address: int) -> int:
        """Read a register of a port's function; nothing else goes to the root meanwhile."""
        self.send(0, self._request(port, address, None, 15))
        await self.drain()
        answer = self.received[0][-1]
        assert answer.tag == self.tag and answer.status == 0, f"{address:#x}: {answer}"
        assert answer.data is not None
        return int.from_bytes(answer.data, "little")

    def waiting(self, number: int) -> list[Tlp]:
        """Give what the switch has yet to send to a port."""
        return [
            tlp
            for (port, tlp), entries in self.order.waiting.items()
            if port == number
            for _ in entries
        ]

    def taken(self, number: int) -> list[Tlp]:
        """Give what a port has received since it was asked last."""
        taken, self.received[number] = self.received[number], []
        return taken

    @property
    def is_quiet(self) -> bool:
        """All has been sent, all that must come has come, and all credits are back."""
        missing = Counter({key: len(entries) for key, entries in self.order.waiting.items()})
        return (
            all(port.idle and port.is_whole for port in self.ports if port.is_up)
            and not missing - self.maybe
        )

    async def calm(self, *, most_lost: int = _UNDER_WAY, cycles: int = 50_000) -> None:
        """Wait until all is quiet; of what may come, only so much may not come."""
        quiet = waited = 0
        while quiet < _PATIENCE:
            await ClockCycles(self.dut.clk, 20)
            quiet = quiet + 20 if self.is_quiet else 0
            waited += 20
            if waited > cycles:
                await self.settle(cycles=40)  # which tells what is missing
                raise AssertionError("not quiet")
        lost = 0
        for (egress, tlp), entries in list(self.order.waiting.items()):
            for _, ingress in list(entries):
                self.order.discard(egress, tlp, ingress)
                lost += 1
        assert lost <= most_lost, f"{lost} TLPs neither left nor were answered"
        self.maybe.clear()

    async def reset(self) -> None:
        """Reset the switch in the middle of whatever happens."""
        await FallingEdge(self.dut.clk)
        for port in self.ports:
            port.link(False)
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 3)
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        functions = [
            BridgeModel(port=port, port_count=self.port_count, **FUNCTION)
            for port in range(self.port_count)
        ]
        for function in functions:
            self._set_speed(function)
        self.model = SwitchModel(functions, max_payload_bytes=FUNCTION["max_payload_bytes"])
        self.order = OrderChecker(by_traffic_class=False)
        self.maybe.clear()
        await ClockCycles(self.dut.clk, 200)
        await self.lift(*range(self.port_count))
