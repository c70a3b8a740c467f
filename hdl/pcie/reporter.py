"""What a port's function tells the host: error messages and its interrupt."""

from amaranth import *
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from .parts import ReportLayout

__all__ = ["ReportKind", "Reporter"]


class ReportKind(enum.Enum, shape=2):
    """Kinds of :class:`ReportLayout`."""

    CORRECTABLE = 0
    NONFATAL = 1
    FATAL = 2
    INTERRUPT = 3


class Reporter(wiring.Component):
    """Turn strobes into reports, of each kind one that waits: more of it are the same report.

    Fatal errors go first, then non-fatal, then correctable ones, then the interrupt. The
    interrupt waits while it is masked or must not be sent, and is forgotten when MSI is disabled.

    Latency is 2 cycles from strobe to ``reports``; throughput is one report per cycle.

    Specification: PCI Express Base Specification, 6.1.4 (message signaled interrupts), 6.2.5.

    Members
    -------
    correctable, nonfatal, fatal, interrupt : In(1)
        Strobes.
    enable, masked, bus_master_enable : In(1)
        MSI Enable, Mask bit, and Bus Master Enable, without which no interrupt is sent.
    address, data : In(64), In(16)
        Of the interrupt.
    clear : In(1)
        Forgets what waits, also what is offered.
    pending : Out(1)
        An interrupt waits, registered.
    reports : Out(stream.Signature(ReportLayout()))
        Reports, registered.
    """

    correctable: Signal
    nonfatal: Signal
    fatal: Signal
    interrupt: Signal
    enable: Signal
    masked: Signal
    bus_master_enable: Signal
    address: Signal
    data: Signal
    clear: Signal
    pending: Signal
    reports: stream.Interface

    def __init__(self):
        super().__init__(
            {
                "correctable": In(1),
                "nonfatal": In(1),
                "fatal": In(1),
                "interrupt": In(1),
                "enable": In(1),
                "masked": In(1),
                "bus_master_enable": In(1),
                "address": In(64),
                "data": In(16),
                "clear": In(1),
                "pending": Out(1),
                "reports": Out(stream.Signature(ReportLayout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        reports = self.reports

        report = Signal(ReportLayout(), reset_less=True)
        m.d.comb += reports.payload.eq(report)

        raised = Cat(self.correctable, self.nonfatal, self.fatal, self.interrupt)
        waiting = Signal(len(ReportKind))
        sendable = Signal(len(ReportKind))
        taken = Signal(len(ReportKind))
        may_interrupt = self.enable & self.bus_master_enable & ~self.masked
        m.d.comb += [
            sendable.eq(waiting & Cat(C(0b111, 3), may_interrupt)),
            self.pending.eq(waiting[ReportKind.INTERRUPT.value]),
        ]
        m.d.sync += waiting.eq((waiting & ~taken & Cat(C(0b111, 3), self.enable)) | raised)

        with m.If(reports.ready | ~reports.valid):
            m.d.sync += [
                reports.valid.eq(sendable.any()),
                report.address.eq(self.address),
                report.data.eq(self.data),
            ]
            with m.Switch(sendable):
                for pattern, kind in (
                    ("-1--", ReportKind.FATAL),
                    ("--1-", ReportKind.NONFATAL),
                    ("---1", ReportKind.CORRECTABLE),
                    ("1---", ReportKind.INTERRUPT),
                ):
                    with m.Case(pattern):
                        m.d.sync += report.kind.eq(kind)
                        m.d.comb += taken.eq(1 << kind.value)

        with m.If(self.clear):
            m.d.sync += [waiting.eq(0), reports.valid.eq(0)]

        return m
