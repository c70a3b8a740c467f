"""Golden model of hdl.pcie.BridgeFunction."""

from dataclasses import dataclass
from enum import IntEnum

from .bridge_registers import (
    ACS,
    ADVISORY,
    BRIDGE_CONTROL,
    BUSES,
    COMMAND,
    CORRECTABLE,
    CORRECTABLE_MASK,
    DETECTED_PARITY,
    DEVICE,
    DEVICE_2,
    DPC,
    DPC_STATUS,
    FIRST,
    LINK,
    LOG,
    MASK,
    MASTER_PARITY,
    MEMORY,
    MSI,
    MSI_DATA,
    MSI_MASK,
    MSI_PENDING,
    POWER,
    PRECEDENCE,
    PREFIX,
    SECONDARY,
    SEVERITY,
    STATUS,
    SYSTEM_ERROR,
    TARGET_ABORT,
    VECTOR,
    WIDE,
    WIDE_BASE,
    WIDE_LIMIT,
    bridge_rows,
)
from .codec import encode_tlp
from .router import Acs, Bridge
from .tlp import Tlp

__all__ = ["BridgeEvents", "BridgeModel", "Report", "ReportKind"]


class ReportKind(IntEnum):
    """What a function tells the host; in the order of precedence, from the last."""

    CORRECTABLE = 0
    NONFATAL = 1
    FATAL = 2
    INTERRUPT = 3


@dataclass(frozen=True)
class Report:
    """An error message, or an interrupt with where it is written and what."""

    kind: ReportKind
    address: int
    data: int


_NO_HEADER = Tlp(0)


@dataclass(frozen=True)
class BridgeEvents:
    """What a port found in a cycle; ``header`` is of the TLP, or of the ERR message received."""

    malformed: bool = False
    overflow: bool = False
    unexpected_completion: bool = False
    unsupported: bool = False
    aborted: bool = False
    acs_violation: bool = False
    poisoned: bool = False
    posted: bool = False
    received_correctable: bool = False
    received_nonfatal: bool = False
    received_fatal: bool = False
    header: Tlp = _NO_HEADER


_NOTHING = BridgeEvents()


class BridgeModel:
    """Configuration space of port ``port``, and what errors do to it.

    A step is a cycle: all that comes in it finds the registers as the steps before left them.
    Inputs that are levels are attributes: ``link_up``, ``link_speed``, ``link_width``,
    ``internal_bus``; what hangs on them follows with the next step.
    """

    def __init__(
        self,
        *,
        port: int,
        port_count: int,
        vendor_id: int,
        device_id: int,
        revision_id: int,
        max_payload_bytes: int,
        max_link_speed: int,
        max_link_width: int,
    ):
        self.port = port
        self.link_up = False
        self.link_speed = self.link_width = self.internal_bus = 0
        self.report: Report | None = None
        self.hot_reset = False
        self._rows = bridge_rows(
            port=port,
            port_count=port_count,
            vendor_id=vendor_id,
            device_id=device_id,
            revision_id=revision_id,
            max_payload_bytes=max_payload_bytes,
            max_link_speed=max_link_speed,
            max_link_width=max_link_width,
        )
        self._words = {address: reset for address, (reset, _, _) in self._rows.items()}
        # What stays read-only: the log, and why the port is contained.
        self._log = {FIRST: 0, PREFIX: 0} | {LOG + 4 * n: 0 for n in range(4)}
        self._reason = 0
        self._bus = self._device = 0
        self._latched = (False, 0)
        self._cleared = self._software = self._condition = False
        self._waiting: set[ReportKind] = set()

    def _bit(self, address: int, bit: int) -> bool:
        return bool(self._words.get(address, 0) >> bit & 1)

    @property
    def contained(self) -> bool:
        """DPC has triggered."""
        return self._bit(DPC_STATUS, 0)

    @property
    def link_disable(self) -> bool:
        """The link shall be disabled."""
        return self.port > 0 and (self._bit(LINK, 4) or self.contained)

    @property
    def _awake(self) -> bool:
        return self._words[POWER] & 3 != 3

    @property
    def _master(self) -> bool:
        return self._awake and self._bit(COMMAND, 2)

    def state(self) -> Bridge:
        """Give what the router knows of the port."""
        words = self._words
        link_up, internal_bus = self._latched
        acs = Acs()
        if self.port:
            link_up = link_up and not self.hot_reset and not self.link_disable
            enabled = (bool(words[ACS] >> 16 + n & 1) for n in range(7))
            acs = Acs(*enabled, egress_vector=words[VECTOR])
        return Bridge(
            bus=internal_bus if self.port else self._bus,
            device=self.port - 1 if self.port else self._device,
            secondary=words[BUSES] >> 8 & 0xFF,
            subordinate=words[BUSES] >> 16,
            memory_base=words[MEMORY] >> 4 & 0xFFF,
            memory_limit=words[MEMORY] >> 20,
            prefetchable_base=words[WIDE_BASE] << 12 | words[WIDE] >> 4 & 0xFFF,
            prefetchable_limit=words[WIDE_LIMIT] << 12 | words[WIDE] >> 20,
            memory_enable=self._awake and self._bit(COMMAND, 1),
            bus_master_enable=self._master,
            ari_forwarding=self._bit(DEVICE_2, 5),
            max_payload=words[DEVICE] >> 5 & 7,
            link_up=link_up,
            acs=acs,
        )

    def read(self, register: int) -> int:
        """Read DW ``register``."""
        address = 4 * register
        value = self._words.get(address, 0) | self._log.get(address, 0)
        if address == LINK:
            value |= self.link_speed << 16 | self.link_width << 20
            if self.port and self._latched[0]:
                value |= 1 << 29
        if address == MSI_PENDING and self._bit(MSI_MASK, 0):
            value |= ReportKind.INTERRUPT in self._waiting
        if address == DPC_STATUS:
            value |= self._reason
        return value

    def write(self, register: int, data: int, byte_enables: int = 15) -> None:
        """Write DW ``register``, in a step of its own."""
        self.step(write=(register, data, byte_enables))

    def events(self, **events: bool | Tlp) -> None:
        """Take events, in a step of their own; see :class:`BridgeEvents`."""
        self.step(events=BridgeEvents(**events))  # pyright: ignore[reportArgumentType]

    def step(
        self,
        *,
        write: tuple[int, int, int] | None = None,
        events: BridgeEvents = _NOTHING,
        captured: tuple[int, int] | None = None,
        clear: bool = False,
        ready: bool = True,
    ) -> None:
        """One cycle.

        Parameters
        ----------
        write : tuple of register, data and byte enables, optional
            Configuration write.
        events : BridgeEvents
            Errors.
        captured : tuple of bus and device, optional
            What a Type 0 configuration write gave the upstream port.
        clear : bool
            Hot reset from above.
        ready : bool
            Whether ``report``, if there is one, is taken.
        """
        sets, raised = self._found(events)
        condition = (
            self._bit(DPC_STATUS, 3) and self._bit(DPC, 19) and self._bit(MSI, 16)  # interrupt
        )
        if condition and not self._condition:
            raised.add(ReportKind.INTERRUPT)
        self._tell(raised, ready=ready, clear=clear)

        self._condition, self._software = condition, False
        if write is not None:
            self._write(*write)
        for address, bits in sets.items():
            self._words[address] |= bits
        if captured is not None:
            self._bus, self._device = captured
        if clear:
            self._software = False
            self._bus = self._device = 0
            for address, (reset, _, _) in self._rows.items():
                if not STATUS <= address <= CORRECTABLE_MASK and address != DPC_STATUS:
                    self._words[address] = reset
        self._latched = (self.link_up, self.internal_bus)
        self._cleared = clear
        self.hot_reset = clear or self._bit(BRIDGE_CONTROL, 22)

    def _write(self, register: int, data: int, byte_enables: int) -> None:
        address = 4 * register
        enabled = sum(0xFF << 8 * byte for byte in range(4) if byte_enables >> byte & 1)
        if address not in self._rows:
            return
        _, writable, clearable = self._rows[address]
        word = self._words[address]
        word = word & ~(writable & enabled) | data & writable & enabled
        self._words[address] = word & ~(data & clearable & enabled)
        if address == DPC:
            self._software = bool(data & enabled >> 22 << 22 & 1 << 22)

    def _found(self, events: BridgeEvents) -> tuple[dict[int, int], set[ReportKind]]:
        """Bits that ``events`` set, by address, and the messages that they want."""
        sets: dict[int, int] = {}
        raised: set[ReportKind] = set()

        def put(address: int, bits: int, when: bool = True) -> None:
            if when:
                sets[address] = sets.get(address, 0) | bits

        serr = self._bit(COMMAND, 8)
        logged, unmasked = [], False
        for name, bit in PRECEDENCE:
            if not getattr(events, name) or (name == "acs_violation" and not self.port):
                continue
            answered = name in ("unsupported", "aborted", "acs_violation") and not events.posted
            mild = answered or name in ("poisoned", "unexpected_completion")
            masked = self._bit(MASK, bit)
            allowed = name != "unsupported" or self._bit(DEVICE, 3)
            put(DEVICE, 1 << 19, name == "unsupported")
            if self._bit(SEVERITY, bit):
                put(DEVICE, 1 << 18)
                kind, enabled = ReportKind.FATAL, serr or (self._bit(DEVICE, 2) and allowed)
            elif not mild:
                put(DEVICE, 1 << 17)
                kind, enabled = ReportKind.NONFATAL, serr or (self._bit(DEVICE, 1) and allowed)
            else:
                put(DEVICE, 1 << 16)
                put(CORRECTABLE, ADVISORY)
                if self._bit(CORRECTABLE_MASK, 13):
                    continue
                kind, enabled = ReportKind.CORRECTABLE, self._bit(DEVICE, 0) and allowed
            put(STATUS, 1 << bit)
            if masked:
                continue
            logged.append(bit)
            unmasked |= kind != ReportKind.CORRECTABLE
            if enabled:
                raised.add(kind)
        if logged:
            self._keep(logged[0], events.header)

        begins = self._contain(events, unmasked)
        if begins:
            raised -= {ReportKind.NONFATAL, ReportKind.FATAL}
            put(DPC_STATUS, 1)
            put(DPC_STATUS, 1 << 3, self._bit(DPC, 19))
            if self._bit(DPC, 20) and self._bit(DEVICE, 0):
                raised.add(ReportKind.CORRECTABLE)

        side = SECONDARY if self.port else COMMAND
        responds = self._bit(BRIDGE_CONTROL, 16) if self.port else self._bit(COMMAND, 6)
        refused = events.aborted or (self.port > 0 and events.acs_violation and not events.posted)
        put(side, TARGET_ABORT, refused)
        put(side, DETECTED_PARITY, events.poisoned)
        put(side, MASTER_PARITY, events.poisoned and events.header.is_completion and responds)
        put(COMMAND, SYSTEM_ERROR, serr and bool(raised & {ReportKind.NONFATAL, ReportKind.FATAL}))
        if self.port and (events.received_nonfatal or events.received_fatal):
            put(SECONDARY, SYSTEM_ERROR)
            put(COMMAND, SYSTEM_ERROR, serr and self._bit(BRIDGE_CONTROL, 17) and not begins)
        return sets, raised

    def _keep(self, bit: int, header: Tlp) -> None:
        """Log a header, unless there is one: its status bit is still set."""
        if self._words[STATUS] >> self._log[FIRST] % 32 & 1:
            return
        wire = encode_tlp(header.with_changes(prefix=None))
        wire = wire[: 16 if header.four_dwords else 12].ljust(16, b"\0")
        for n in range(4):
            self._log[LOG + 4 * n] = int.from_bytes(wire[4 * n : 4 * n + 4], "big")
        self._log[FIRST] = bit | (header.prefix is not None) << 11
        self._log[PREFIX] = int.from_bytes((header.prefix or 0).to_bytes(4, "little"), "big")

    def _contain(self, events: BridgeEvents, own_error: bool) -> bool:
        """Whether the port is contained from now on; keep why."""
        mode = self._words.get(DPC, 0) >> 16 & 3
        if mode not in (1, 2) or self.contained:
            return False
        source = self._reason >> 16 << 16
        if own_error:
            self._reason = source
        elif events.received_fatal or (events.received_nonfatal and mode == 2):
            code = 2 if events.received_fatal else 1
            self._reason = events.header.requester << 16 | code << 1
        elif self._software:
            self._reason = source | 1 << 5 | 3 << 1
        else:
            return False
        return True

    def _tell(self, raised: set[ReportKind], *, ready: bool, clear: bool) -> None:
        """Offer the next report; of each kind one waits."""
        enabled = self._bit(MSI, 16)
        sendable = set(self._waiting)
        if not enabled or not self._master or self._bit(MSI_MASK, 0):
            sendable.discard(ReportKind.INTERRUPT)
        if ready or self.report is None:
            self.report = None
            for kind in (
                ReportKind.FATAL,
                ReportKind.NONFATAL,
                ReportKind.CORRECTABLE,
                ReportKind.INTERRUPT,
            ):
                if kind in sendable:
                    address = self._words[0x50] << 32 | self._words[0x4C]
                    self.report = Report(kind, address, self._words[MSI_DATA])
                    self._waiting.discard(kind)
                    break
        if not enabled:
            self._waiting.discard(ReportKind.INTERRUPT)
        self._waiting |= raised
        if clear:
            self._waiting.clear()
            self.report = None
