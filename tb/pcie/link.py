"""Join a port of the hardware to a port of cocotbext-pcie, TLPs and credits."""

from collections import deque
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge, Timer
from cocotbext.pcie.core.port import SimPort

from sim.pcie.codec import decode_tlp, encode_tlp
from sim.pcie.tlp import Tlp, TlpClass

from .library import FullTlp, install
from .segments import to_segments
from .switch_port import DATA_BITS, HEADER_BITS, CreditedSource, counts
from .tlp_port import TlpSink

__all__ = ["RtlLink"]

_HEADERS = ("ph", "nph", "cplh")
_DATA = ("pd", "npd", "cpld")
_NEXT = ("next_fc_p_tx", "next_fc_np_tx", "next_fc_cpl_tx")
#: TLPs that wait for the library's link before the hardware is told to stop.
_WAITING = 4


class _HeldPort(SimPort):
    """Port that neither sends nor hears until opened; till then its partner repeats InitFC."""

    is_open = False

    async def handle_tx(self, pkt: Any) -> None:
        if self.is_open:
            await super().handle_tx(pkt)
        else:
            await Timer(20, "ns")

    async def _transmit(self, pkt: Any) -> None:
        if self.is_open:
            await super()._transmit(pkt)

    async def ext_recv(self, pkt: Any) -> None:
        if self.is_open:
            await super().ext_recv(pkt)


class _LinkSink(TlpSink):
    """What the hardware sends, given to the link."""

    def __init__(self, link: "RtlLink", dut: Any, name: str, segment_count: int):
        super().__init__(
            dut,
            name,
            segment_count,
            pause=lambda: link.is_held or len(link.outgoing) >= _WAITING,
            running=False,
        )
        self.link = link

    def accept(self, tlp: Tlp) -> None:
        self.link.take(tlp)


def _begin_again(port: SimPort) -> None:
    """Put a port of the library in the state in which it was made."""
    port.next_transmit_seq = port.next_recv_seq = 0
    port.ackd_seq = 0xFFF
    for queue in (port.retry_buffer, port.tx_queue, port.rx_queue):
        while not queue.empty():
            queue.get_nowait()
    port.fc_state[0].reset()
    port.fc_state[0].active = True
    port.fc_initialized = False
    port.tx_queue_sync.set()


class RtlLink:
    """Link between a port with ``TlpPortSignature`` and a device or root port of cocotbext-pcie.

    The hardware's port is up as long as flow control of the library's link is initialized. The
    library sees the hardware's credits and the hardware the library's; a TLP that the hardware
    sends without credits fails the test. Each TLP passes the library's own packing and
    ``sim.pcie.codec``, so the two check each other.

    Parameters
    ----------
    dut : handle
        Top level with ``clk`` and ``rst``.
    name : str
        The port, as ``ports__0``.
    segment_count : int
        Segments of a beat.
    speed, width : int
        Generation and lanes of the link.
    scale : int
        As ``tx_scale``; the library's credits must be whole units of it.

    Attributes
    ----------
    sent, arrived : list of Tlp
        What went into, and came out of the hardware.
    is_held : bool
        The hardware has to keep what it wants to send.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        segment_count: int,
        *,
        speed: int = 5,
        width: int = 16,
        scale: int = 0,
    ):
        install()
        self.name = name
        self.scale = scale
        self.is_held = False
        self.sent: list[Tlp] = []
        self.arrived: list[Tlp] = []
        self.outgoing: deque[FullTlp] = deque()
        self._departures: Queue[FullTlp] = Queue()
        # InitFC takes its numbers from the hardware when the port is opened.
        self.port: Any = _HeldPort(fc_init=[[1] * 6 for _ in range(8)])
        self.port.rx_handler = self._receive
        self.port.max_link_speed = speed
        self.port.max_link_width = width
        self.source = CreditedSource(dut, name, segment_count)
        self.sink = _LinkSink(self, dut, f"{name}__tx", segment_count)
        self._rst = dut.rst
        self._rx_credits = dut[f"{name}__rx_credits"]
        self._link_up = dut[f"{name}__link_up"]
        self._tx_limits = dut[f"{name}__tx_limits"]
        self._tx_infinite = dut[f"{name}__tx_infinite"]
        self._tx_scale = dut[f"{name}__tx_scale"]
        self._tx_scale.value = scale
        self._tx_limits.value = 0
        self._tx_infinite.value = 0
        self._link_up.value = 0
        dut[f"{name}__link_speed"].value = speed
        dut[f"{name}__link_width"].value = width
        self._was_up = False
        self._last_credits = -1
        self._last_limits = -1
        self._owes = True
        self._wanted = True
        cocotb.start_soon(self._run())
        cocotb.start_soon(self._depart())

    def connect(self, other: Any) -> None:
        """Connect to a port of the library, or to what has one."""
        self.port.connect(other)

    def link(self, up: bool) -> None:
        """Let the link go down in the middle of whatever passes, or train again."""
        self._wanted = up
        if not up:
            self.port.is_open = False
            self._begin_again()

    def _begin_again(self) -> None:
        for end in (self.port, self.port.other):
            if end is not None:
                _begin_again(end)

    @property
    def is_whole(self) -> bool:
        """Whether the hardware has given back every credit that was spent."""
        return self.source.is_whole

    async def _receive(self, tlp: FullTlp) -> None:
        # The hardware says when there is room again, not the library.
        state = self.port.fc_state[0]
        tlp.release_fc_cb = None
        state.rx_release_fc_dict.clear()
        value = decode_tlp(bytes(tlp.pack()))
        self.sent.append(value)
        self._owes = True
        self.source.queue(value, to_segments(value), cheat=False)

    def take(self, tlp: Tlp) -> None:
        """Check a TLP of the hardware against the library's credits, and let it depart."""
        if tlp.nullified:
            return
        self.arrived.append(tlp)
        packed = FullTlp.unpack(encode_tlp(tlp))
        state = self.port.fc_state[0]
        assert state.tx_tlp_has_credit(packed), f"{self.name}: sent without credits: {tlp}"
        state.tx_consume_tlp_fc(packed)
        self.outgoing.append(packed)
        self._departures.put_nowait(packed)

    async def _depart(self) -> None:
        # As SimPort.send() does behind its own gate for credits.
        while True:
            tlp = await self._departures.get()
            await self.port.tx_queue.put(tlp)
            self.port.tx_queue_sync.set()
            self.outgoing.popleft()

    def _open(self) -> None:
        # Until now the partner may have sent what had passed its gate for credits: lost.
        self._begin_again()
        state = self.port.fc_state[0]
        for flow, credits in zip(TlpClass, counts(int(self._rx_credits.value)), strict=True):
            for name, count in ((_HEADERS[flow], credits.headers), (_DATA[flow], credits.data)):
                field = getattr(state, name)
                field.rx_initial_allocation = field.rx_credits_allocated = count
        self.port.is_open = True

    def _show_limits(self) -> None:
        state = self.port.fc_state[0]
        shift = 2 * self.scale
        value = infinite = 0
        for flow in TlpClass:
            for part, (name, bits) in enumerate(((_HEADERS[flow], 8), (_DATA[flow], 12))):
                field = getattr(state, name)
                limit = (field.tx_credit_limit >> shift) % (1 << bits) << shift
                value |= limit << (HEADER_BITS + DATA_BITS) * flow + HEADER_BITS * part
                infinite |= field.tx_is_infinite() << 2 * flow + part
        if value | infinite << 128 != self._last_limits:
            self._last_limits = value | infinite << 128
            self._tx_limits.value = value
            self._tx_infinite.value = infinite

    def _return_credits(self) -> None:
        # Reading takes time: only while credits are out.
        if not self._owes:
            return
        value = int(self._rx_credits.value)
        if value == self._last_credits:
            return
        state = self.port.fc_state[0]
        before = counts(self._last_credits)
        for flow, credits in zip(TlpClass, counts(value), strict=True):
            if self._last_credits < 0 or credits != before[flow]:
                getattr(state, _HEADERS[flow]).rx_credits_allocated = credits.headers
                getattr(state, _DATA[flow]).rx_credits_allocated = credits.data
                setattr(state, _NEXT[flow], 0)
        self._last_credits = value
        self._owes = self.source.has_work or not self.source.is_whole
        self.port.start_fc_update_timer()

    def _follow_link(self) -> None:
        up = self.port.is_open and self.port.fc_state[0].initialized.is_set()
        if up == self._was_up:
            return
        self._was_up = up
        self._link_up.value = int(up)
        self.source.start(up)
        self.sink.flush()
        self.sink.open()
        self._last_credits = -1
        self._owes = True
        if not up:
            self.outgoing.clear()
            while not self._departures.empty():
                self._departures.get_nowait()

    async def _run(self) -> None:
        edge = RisingEdge(self.source.clk)
        quiet = 0
        while True:
            await edge
            if self._rst.value:
                self.port.is_open = False
                continue
            self._follow_link()
            if self._was_up:
                self._show_limits()
                self.source.step()
                self.sink.step()
                self._return_credits()
                quiet = 0
            elif self._wanted and not self.port.is_open:
                # The hardware's own counts begin again a few cycles after the link went down.
                quiet += 1
                if quiet == 32:
                    self._open()
