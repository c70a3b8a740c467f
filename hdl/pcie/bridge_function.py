"""Type 1 function of a port of the switch."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bridge_table import STICKY, bridge_table
from .config_extended import UNCORRECTABLE_ERRORS
from .config_registers import ConfigRegisters
from .containment import Containment
from .error_log import ErrorLog
from .parts import ConfigAccessSignature, ErrorEventsLayout, ReportLayout
from .reporter import Reporter
from .route import BridgeLayout, check_ports
from .tlp import TlpType

__all__ = ["BridgeFunction", "CapturedLayout"]

D3HOT = 3
PAYLOAD_BYTES = (128, 256, 512, 1024, 2048, 4096)


class CapturedLayout(data.StructLayout):
    """Number that a Type 0 configuration write gave the upstream port: strobe, device, bus."""

    def __init__(self):
        super().__init__({"valid": 1, "device": 5, "bus": 8})


class BridgeFunction(wiring.Component):
    """Configuration space of a port: a PCI-to-PCI bridge of PCI Express, and its error handling.

    Which registers there are is in docs/registers/pcie_bridge.md. Configuration requests that
    mean another function are ignored. Errors set their bits in Status or Secondary Status, Device
    Status and AER, and are reported as those registers permit; one that is advisory is reported
    as correctable. A downstream port can contain itself on an uncorrectable error (DPC): then its
    link is disabled until software clears the trigger.

    Latency is 2 cycles from request to read data and to the effect of a write, 1 from events to
    registers, 2 from events to ``reports``. Throughput is one request, and any events, per cycle.

    Specification: PCI Express Base Specification, chapter 7 (configuration space), 6.2 (errors),
    6.2.10 (containment), 6.12 (ACS); docs/pcie-switch.md, "Configuration space".

    Parameters
    ----------
    port : int
        Number of the port and of its function; 0 is the upstream port.
    port_count : int
        Ports of the switch, 2 to 8.
    vendor_id, device_id, revision_id : int
        Identification, 16, 16 and 8 bits.
    max_payload_bytes : int
        Largest payload that the switch takes, a power of two from 128 to 4096.
    max_link_speed, max_link_width : int
        What the link can do: 1 (2.5 GT/s) to 6 (64 GT/s), and 1, 2, 4, 8 or 16 lanes.

    Members
    -------
    access : In(ConfigAccessSignature())
        Requests; ``read_data`` is 0 for those that mean another function, so that the functions'
        can be ORed. Registered.
    captured : In(CapturedLayout())
        Number of the upstream port; downstream ports ignore it.
    internal_bus : In(8)
        Bus that the downstream ports are on: the upstream port's ``state.secondary``.
    link_up, link_speed, link_width : In(1), In(4), In(6)
        The port's link.
    events : In(ErrorEventsLayout())
        Errors at the port.
    clear : In(1)
        Hot reset from above, or the upstream link is down: everything is as after reset but AER's
        registers and DPC Status. What ``reports`` offers is withdrawn.
    state : Out(BridgeLayout(port_count))
        What the router has to know, from registers. ``link_up`` of a downstream port is 0 while it
        is in hot reset, disabled or contained.
    hot_reset : Out(1)
        What is below shall be in hot reset: Secondary Bus Reset, or ``clear``, a cycle later. Of
        the upstream port it is the downstream ports' ``clear``.
    link_disable : Out(1)
        The link shall be disabled: Link Disable, or contained. Of the upstream port 0.
    reports : Out(stream.Signature(ReportLayout()))
        Error messages and interrupts to send; registered. One that repeats another that still
        waits is the same.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    access: Any
    captured: Any
    internal_bus: Signal
    link_up: Signal
    link_speed: Signal
    link_width: Signal
    events: Any
    clear: Signal
    state: Any
    hot_reset: Signal
    link_disable: Signal
    reports: stream.Interface

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
        check_ports(port_count)
        if not 0 <= port < port_count:
            raise ValueError(f"port must be 0 to {port_count - 1}, not {port!r}")
        for name, value, bits in (
            ("vendor_id", vendor_id, 16),
            ("device_id", device_id, 16),
            ("revision_id", revision_id, 8),
        ):
            if not 0 <= value < 1 << bits:
                raise ValueError(f"{name} must be 0 to {(1 << bits) - 1}, not {value!r}")
        if max_payload_bytes not in PAYLOAD_BYTES:
            raise ValueError(f"max_payload_bytes must be 128 to 4096, not {max_payload_bytes!r}")
        if not 1 <= max_link_speed <= 6:
            raise ValueError(f"max_link_speed must be 1 to 6, not {max_link_speed!r}")
        if max_link_width not in (1, 2, 4, 8, 16):
            raise ValueError(f"max_link_width must be 1, 2, 4, 8 or 16, not {max_link_width!r}")
        self.port = port
        self.port_count = port_count
        self.table = bridge_table(
            port=port,
            port_count=port_count,
            vendor_id=vendor_id,
            device_id=device_id,
            revision_id=revision_id,
            max_payload_bytes=max_payload_bytes,
            max_link_speed=max_link_speed,
            max_link_width=max_link_width,
        )
        # An attribute, so that proofs can name registers.
        self.config = ConfigRegisters(table=self.table, function=port, sticky=STICKY)
        super().__init__(
            {
                "access": In(ConfigAccessSignature()),
                "captured": In(CapturedLayout()),
                "internal_bus": In(8),
                "link_up": In(1),
                "link_speed": In(4),
                "link_width": In(6),
                "events": In(ErrorEventsLayout()),
                "clear": In(1),
                "state": Out(BridgeLayout(port_count)),
                "hot_reset": Out(1),
                "link_disable": Out(1),
                "reports": Out(stream.Signature(ReportLayout())),
            }
        )

    @property
    def is_downstream(self) -> bool:
        """Whether the port is a downstream one."""
        return self.port > 0

    def elaborate(self, platform):
        m = Module()
        m.submodules.config = config = self.config
        m.submodules.log = log = ErrorLog()
        m.submodules.reporter = reporter = Reporter()
        wiring.connect(m, wiring.flipped(self.access), config.access)
        wiring.connect(m, reporter.reports, wiring.flipped(self.reports))
        m.d.comb += [config.clear.eq(self.clear), reporter.clear.eq(self.clear)]
        registers = config.registers

        self._state(m, registers)
        self._errors(m, registers, log)
        self._reports(m, registers, log, reporter)
        return m

    def _state(self, m: Module, registers: Any) -> None:
        """Drive what the router knows, and what the link is told."""
        state = self.state
        window, wide = registers.memory_window, registers.prefetchable_window
        link_up = Signal()
        cleared = Signal()
        awake = registers.power_control.state != D3HOT
        m.d.sync += [link_up.eq(self.link_up), cleared.eq(self.clear)]
        m.d.comb += [
            state.secondary.eq(registers.bus_numbers.secondary),
            state.subordinate.eq(registers.bus_numbers.subordinate),
            state.memory_base.eq(window.base),
            state.memory_limit.eq(window.limit),
            state.prefetchable_base.eq(Cat(wide.base, registers.prefetchable_base_upper.value)),
            state.prefetchable_limit.eq(Cat(wide.limit, registers.prefetchable_limit_upper.value)),
            state.memory_enable.eq(registers.command.memory_enable & awake),
            state.bus_master_enable.eq(registers.command.bus_master_enable & awake),
            state.max_payload.eq(registers.device_control.max_payload),
            self.hot_reset.eq(registers.bridge_control.secondary_reset | cleared),
            registers.link_control.speed.eq(self.link_speed),
            registers.link_control.width.eq(self.link_width),
        ]
        bus, device = Signal(8), Signal(5)
        m.d.comb += [state.bus.eq(bus), state.device.eq(device)]
        if self.is_downstream:
            disabled = registers.link_control.link_disable | registers.dpc_status.triggered_pending
            acs = registers.acs_control
            m.d.comb += [
                device.eq(self.port - 1),
                self.link_disable.eq(disabled),
                state.link_up.eq(link_up & ~self.hot_reset & ~self.link_disable),
                state.ari_forwarding.eq(registers.device_control_2.ari_forwarding),
                state.acs.egress_vector.eq(registers.egress_vector.value),
                registers.link_control.active.eq(link_up),
            ]
            m.d.sync += bus.eq(self.internal_bus)
            for name in (
                "source_validation",
                "translation_blocking",
                "request_redirect",
                "completion_redirect",
                "upstream_forwarding",
                "egress_control",
                "direct_translated",
            ):
                m.d.comb += state.acs[name].eq(getattr(acs, name))
        else:
            m.d.comb += state.link_up.eq(link_up)
            with m.If(self.captured.valid):
                m.d.sync += [bus.eq(self.captured.bus), device.eq(self.captured.device)]
            with m.If(self.clear):
                m.d.sync += [bus.eq(0), device.eq(0)]

    def _errors(self, m: Module, registers: Any, log: ErrorLog) -> None:
        """Set status registers by events."""
        events, control = self.events, registers.device_control
        m.d.comb += [
            log.events.eq(events),
            log.advisory_masked.eq(registers.correctable_mask.advisory),
            log.correctable_enable.eq(control.correctable_enable),
            log.nonfatal_enable.eq(control.nonfatal_enable),
            log.fatal_enable.eq(control.fatal_enable),
            log.unsupported_enable.eq(control.unsupported_enable),
            log.serr_enable.eq(registers.command.serr_enable),
            control.correctable_detected.eq(log.advisory),
            control.nonfatal_detected.eq(log.nonfatal),
            control.fatal_detected.eq(log.fatal),
            control.unsupported_detected.eq(events.unsupported),
            registers.correctable_status.advisory.eq(log.advisory),
            registers.aer_control.first_error.eq(log.first_error),
            registers.aer_control.prefix_present.eq(log.prefix_present),
            registers.prefix_log.value.eq(log.prefix_log),
        ]
        for error in UNCORRECTABLE_ERRORS:
            name = error.name
            if name == "acs_violation" and not self.is_downstream:
                m.d.comb += log.events[name].eq(0)
                continue
            m.d.comb += [
                log.status[name].eq(getattr(registers.uncorrectable_status, f"{name}_pending")),
                log.mask[name].eq(getattr(registers.uncorrectable_mask, name)),
                log.severity[name].eq(getattr(registers.uncorrectable_severity, name)),
                getattr(registers.uncorrectable_status, name).eq(log.set_status[name]),
            ]
        for n in range(4):
            m.d.comb += registers.header_log[n].value.eq(log.header_log.word_select(n, 32))

        # The link is on the primary side of the upstream port, on the secondary of the others.
        if self.is_downstream:
            status, parity_response = (
                registers.secondary_status,
                registers.bridge_control.parity_response,
            )
        else:
            status, parity_response = registers.command, registers.command.parity_response
        is_completion = events.header.type[1:] == TlpType.COMPLETION.value >> 1
        m.d.comb += [
            status.detected_parity_error.eq(events.poisoned),
            status.master_data_parity_error.eq(events.poisoned & is_completion & parity_response),
            status.signaled_target_abort.eq(
                events.aborted | (log.events.acs_violation & ~events.posted)
            ),
        ]

    def _reports(self, m: Module, registers: Any, log: ErrorLog, reporter: Reporter) -> None:
        """Send messages and the interrupt, and contain the port."""
        events, command, msi = self.events, registers.command, registers.msi_control
        address = Cat(C(0, 2), registers.msi_address.value, registers.msi_address_upper.value)
        m.d.comb += [
            reporter.enable.eq(msi.enable),
            reporter.masked.eq(registers.msi_mask.vector),
            reporter.bus_master_enable.eq(self.state.bus_master_enable),
            reporter.address.eq(address),
            reporter.data.eq(registers.msi_data.value),
            registers.msi_pending.vector.eq(reporter.pending & registers.msi_mask.vector),
        ]
        if not self.is_downstream:
            m.d.comb += [
                reporter.correctable.eq(log.report_correctable),
                reporter.nonfatal.eq(log.report_nonfatal),
                reporter.fatal.eq(log.report_fatal),
                command.signaled_system_error.eq(
                    (log.report_nonfatal | log.report_fatal) & command.serr_enable
                ),
            ]
            return

        m.submodules.containment = containment = Containment()
        control, status = registers.dpc_control, registers.dpc_status
        m.d.comb += [
            containment.contained.eq(status.triggered_pending),
            containment.trigger_enable.eq(control.trigger_enable),
            containment.own_error.eq(log.unmasked),
            containment.received_nonfatal.eq(events.received_nonfatal),
            containment.received_fatal.eq(events.received_fatal),
            containment.software.eq(control.software_trigger),
            containment.requester.eq(events.header.requester),
            status.triggered.eq(containment.begins),
            status.interrupt.eq(containment.begins & control.interrupt_enable),
            status.reason.eq(containment.reason),
            status.extension.eq(containment.extension),
            status.source.eq(containment.source),
        ]

        # An error that begins containment is told by that alone.
        nonfatal = log.report_nonfatal & ~containment.begins
        fatal = log.report_fatal & ~containment.begins
        received = events.received_nonfatal | events.received_fatal
        forwarded = received & registers.bridge_control.serr_enable & ~containment.begins
        m.d.comb += [
            reporter.correctable.eq(
                log.report_correctable
                | (
                    containment.begins
                    & control.correctable_enable
                    & registers.device_control.correctable_enable
                )
            ),
            reporter.nonfatal.eq(nonfatal),
            reporter.fatal.eq(fatal),
            command.signaled_system_error.eq((nonfatal | fatal | forwarded) & command.serr_enable),
            registers.secondary_status.received_system_error.eq(received),
        ]

        # One interrupt each time its condition becomes true.
        condition, was_true = Signal(), Signal()
        m.d.comb += [
            condition.eq(status.interrupt_pending & control.interrupt_enable & msi.enable),
            reporter.interrupt.eq(condition & ~was_true),
        ]
        m.d.sync += was_true.eq(condition)
