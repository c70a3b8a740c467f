"""Host of cocotbext-pcie with the card's engine at a port of it."""

import random
from collections import deque
from typing import Any

import cocotb
from cocotb.triggers import Event, Timer
from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.core.utils import PcieId

from sim.pcie.codec import decode_tlp, encode_tlp
from sim.pcie.tlp import Tlp as OurTlp

from ..pcie.endpoint import SmallEndpoint, quiet
from ..pcie.library import FullTlp
from ..pcie.tlp_port import TlpSink, TlpSource

__all__ = ["CardFunction", "shuffle_completions"]

_COMPLETIONS = (TlpType.CPL, TlpType.CPL_DATA)
_CONFIGURATION = (TlpType.CFG_READ_0, TlpType.CFG_WRITE_0)


class _Requests(TlpSink):
    """What the engine passes on to the card's own target."""

    def __init__(self, function: "CardFunction", dut: Any, name: str, segment_count: int):
        super().__init__(dut, name, segment_count)
        self.function = function

    def accept(self, tlp: OurTlp) -> None:
        self.function.arrived.append(FullTlp.unpack(encode_tlp(tlp)))
        self.function.woken.set()


class CardFunction:
    """The card's target: cocotbext-pcie's endpoint behind ``requests`` and ``answers``.

    Its configuration space is what drivers see; ``max_payload``, ``max_request`` and ``requester``
    of the engine follow it.

    Parameters
    ----------
    dut : handle
        Top level.
    prefix : str
        What the names of the engine's members begin with.
    device_id : int
        To be told apart by.

    Attributes
    ----------
    endpoint : SmallEndpoint
        With BARs and capabilities.
    """

    def __init__(self, dut: Any, segment_count: int, *, prefix: str = "", device_id: int = 0x400):
        self.arrived: deque[FullTlp] = deque()
        self.woken = Event()
        self.endpoint: Any = SmallEndpoint(device_id, max_payload=5)
        self.endpoint.pcie_id = PcieId(0, 0, 0)
        self.endpoint.upstream_tx_handler = self._send
        quiet(self.endpoint)
        _Requests(self, dut, f"{prefix}requests", segment_count)
        self.answers = TlpSource(dut, f"{prefix}answers", segment_count)
        self._inputs = [dut[f"{prefix}{n}"] for n in ("max_payload", "max_request", "requester")]
        self._shown: tuple[int, ...] = ()
        self.show()
        cocotb.start_soon(self._run())

    def show(self) -> None:
        """Let the engine see what was configured."""
        capability = self.endpoint.pcie_cap
        shown = (
            capability.max_payload_size,
            capability.max_read_request_size,
            int(self.endpoint.pcie_id),
        )
        if shown != self._shown:
            for signal, value in zip(self._inputs, shown, strict=True):
                signal.value = value
            self._shown = shown

    async def _send(self, tlp: Any) -> None:
        self.answers.send(decode_tlp(bytes(FullTlp(tlp).pack())))

    async def _run(self) -> None:
        endpoint = self.endpoint
        while True:
            if not self.arrived:
                self.woken.clear()
                await self.woken.wait()
            tlp = self.arrived.popleft()
            if tlp.fmt_type in _CONFIGURATION:
                endpoint.pcie_id = endpoint.pcie_id._replace(bus=tlp.completer_id.bus)
            if endpoint.match_tlp(tlp):
                await endpoint.upstream_recv(tlp)
            elif not tlp.is_posted():
                await self._send(Tlp.create_ur_completion_for_tlp(tlp, endpoint.pcie_id))
            self.show()


def shuffle_completions(root: Any, *, pause_ns: int = 0) -> None:
    """Let the root complex send completions of different reads in any order.

    Those of one read stay in order (2.4.1, completions with the same Transaction ID).
    """
    pools: dict[tuple[int, int], deque[Any]] = {}
    woken = Event()
    send = root.downstream_send

    async def keep(tlp: Any) -> None:
        if tlp.fmt_type not in _COMPLETIONS:
            await send(tlp)
            return
        pools.setdefault((int(tlp.requester_id), tlp.tag), deque()).append(tlp)
        woken.set()

    async def release() -> None:
        while True:
            if not pools:
                woken.clear()
                await woken.wait()
            if pause_ns and random.random() < 0.05:
                await Timer(random.randint(1, pause_ns), "ns")
            key = random.choice(list(pools))
            tlp = pools[key].popleft()
            if not pools[key]:
                del pools[key]
            await send(tlp)

    root.downstream_send = keep
    cocotb.start_soon(release())
