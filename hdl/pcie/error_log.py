"""Advanced Error Reporting: which errors are told, and the header of the first."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config_extended import UNCORRECTABLE_ERRORS
from .parts import ErrorEventsLayout
from .tlp import TlpType

__all__ = ["ErrorLog", "ErrorsLayout", "header_dwords"]


class ErrorsLayout(data.StructLayout):
    """A bit for each of the uncorrectable errors, by name, in the order of their precedence."""

    def __init__(self):
        super().__init__({error.name: 1 for error in UNCORRECTABLE_ERRORS})


def header_dwords(m: Module, header: data.View) -> list[Value]:
    """Header as on the wire, in 4 DW with the first byte in bits 31:24 each (2.2.1 to 2.2.9).

    What no header has, such as tag bits 13:10, is left out; DW 3 of a header with 3 DW is 0.
    """
    kind = header.type
    memory, configuration = header.specific.memory, header.specific.configuration
    completion, message = header.specific.completion, header.specific.message
    first = Cat(
        header.length,
        header.at,
        header.attributes.no_snoop,
        header.attributes.relaxed_ordering,
        header.poisoned,
        header.td,
        header.th,
        header.ln,
        header.attributes.id_ordering,
        header.tag[8],
        header.tc,
        header.tag[9],
        kind,
        header.four_dwords,
        header.has_data,
        C(0, 1),
    )
    requester = Cat(header.tag[:8], header.requester)
    dwords = [Signal(32, name=f"header_dword_{n}") for n in range(4)]
    m.d.comb += dwords[0].eq(first)
    with m.If(kind[1:] == TlpType.COMPLETION.value >> 1):
        m.d.comb += [
            dwords[1].eq(
                Cat(completion.byte_count, completion.bcm, completion.status, completion.completer)
            ),
            dwords[2].eq(Cat(completion.lower_address, C(0, 1), requester)),
        ]
    with m.Elif(kind[3:] == TlpType.MESSAGE_TO_ROOT.value >> 3):
        m.d.comb += [
            dwords[1].eq(Cat(message.code, requester)),
            dwords[2].eq(Cat(message.vendor, message.target)),
            dwords[3].eq(Mux(header.four_dwords, message.payload, 0)),
        ]
    with m.Elif(kind[1:] == TlpType.CONFIGURATION_0.value >> 1):
        m.d.comb += [
            dwords[1].eq(Cat(configuration.first_be, configuration.last_be, requester)),
            dwords[2].eq(Cat(C(0, 2), configuration.register, C(0, 4), configuration.target)),
        ]
    with m.Else():
        m.d.comb += dwords[1].eq(Cat(memory.first_be, memory.last_be, requester))
        with m.If(header.four_dwords):
            m.d.comb += [dwords[2].eq(memory.address[32:]), dwords[3].eq(memory.address[:32])]
        with m.Else():
            m.d.comb += dwords[2].eq(memory.address[:32])
    return list(dwords)


class ErrorLog(wiring.Component):
    """Decide what becomes of the errors of a cycle, and keep the header of the first.

    An uncorrectable error whose severity is non-fatal is advisory where somebody else will tell
    it: a request that was answered, a completion that nobody awaits, a poisoned TLP that was
    forwarded. It is then reported as correctable.

    The log takes the first error that is not masked, and is free again when software clears the
    status bit that First Error Pointer names. Of several errors in one cycle the log has the
    first in the order of :data:`UNCORRECTABLE_ERRORS` that is not masked.

    Outputs but the log are combinational; the log changes 1 cycle after ``events``.

    Specification: PCI Express Base Specification, 6.2.3.2.4 (advisory non-fatal errors), 6.2.4
    (error logging), 6.2.5 (sequence of signaling and logging).

    Members
    -------
    events : In(ErrorEventsLayout())
        Errors of the cycle.
    status, mask, severity : In(ErrorsLayout())
        AER's registers.
    advisory_masked : In(1)
        Correctable Error Mask.
    correctable_enable, nonfatal_enable, fatal_enable, unsupported_enable, serr_enable : In(1)
        What may be reported, by Device Control and Command.
    set_status : Out(ErrorsLayout())
        Status bits to set.
    advisory, nonfatal, fatal : Out(1)
        There is such an error, masked or not.
    unmasked : Out(1)
        There is a non-fatal or fatal error that is not masked.
    report_correctable, report_nonfatal, report_fatal : Out(1)
        Messages to send.
    first_error, header_log, prefix_log, prefix_present : Out(5), Out(128), Out(32), Out(1)
        The log, registered.
    """

    events: Any
    status: Any
    mask: Any
    severity: Any
    advisory_masked: Signal
    correctable_enable: Signal
    nonfatal_enable: Signal
    fatal_enable: Signal
    unsupported_enable: Signal
    serr_enable: Signal
    set_status: Any
    advisory: Signal
    nonfatal: Signal
    fatal: Signal
    unmasked: Signal
    report_correctable: Signal
    report_nonfatal: Signal
    report_fatal: Signal
    first_error: Signal
    header_log: Signal
    prefix_log: Signal
    prefix_present: Signal

    def __init__(self):
        errors = ErrorsLayout()
        super().__init__(
            {
                "events": In(ErrorEventsLayout()),
                "status": In(errors),
                "mask": In(errors),
                "severity": In(errors),
                "advisory_masked": In(1),
                "correctable_enable": In(1),
                "nonfatal_enable": In(1),
                "fatal_enable": In(1),
                "unsupported_enable": In(1),
                "serr_enable": In(1),
                "set_status": Out(errors),
                "advisory": Out(1),
                "nonfatal": Out(1),
                "fatal": Out(1),
                "unmasked": Out(1),
                "report_correctable": Out(1),
                "report_nonfatal": Out(1),
                "report_fatal": Out(1),
                "first_error": Out(5),
                "header_log": Out(128),
                "prefix_log": Out(32),
                "prefix_present": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        events = self.events

        advisory, nonfatal, fatal, unmasked, logged = [], [], [], [], []
        report_correctable, report_nonfatal, report_fatal = [], [], []
        for error in UNCORRECTABLE_ERRORS:
            name = error.name
            if name in ("unexpected_completion", "poisoned"):
                told_elsewhere = C(1)
            elif name in ("unsupported", "aborted", "acs_violation"):
                told_elsewhere = ~events.posted
            else:
                told_elsewhere = C(0)
            is_fatal = self.severity[name]
            is_advisory = told_elsewhere & ~is_fatal
            allowed = self.unsupported_enable if name == "unsupported" else C(1)
            counts = events[name] & ~(is_advisory & self.advisory_masked)
            told = counts & ~self.mask[name]
            m.d.comb += self.set_status[name].eq(counts)
            advisory.append(events[name] & is_advisory)
            nonfatal.append(events[name] & ~is_advisory & ~is_fatal)
            fatal.append(events[name] & is_fatal)
            unmasked.append(told & ~is_advisory)
            logged.append(told)
            report_correctable.append(told & is_advisory & self.correctable_enable & allowed)
            serr = self.serr_enable
            report_nonfatal.append(
                told & ~is_advisory & ~is_fatal & (serr | (self.nonfatal_enable & allowed))
            )
            report_fatal.append(told & is_fatal & (serr | (self.fatal_enable & allowed)))
        m.d.comb += [
            self.advisory.eq(Cat(advisory).any()),
            self.nonfatal.eq(Cat(nonfatal).any()),
            self.fatal.eq(Cat(fatal).any()),
            self.unmasked.eq(Cat(unmasked).any()),
            self.report_correctable.eq(Cat(report_correctable).any()),
            self.report_nonfatal.eq(Cat(report_nonfatal).any()),
            self.report_fatal.eq(Cat(report_fatal).any()),
        ]

        first_error = Signal(5)
        header_log = Signal(128)
        prefix_log = Signal(32)
        prefix_present = Signal()
        m.d.comb += [
            self.first_error.eq(first_error),
            self.header_log.eq(header_log),
            self.prefix_log.eq(prefix_log),
            self.prefix_present.eq(prefix_present),
        ]
        taken = Signal()
        m.d.comb += taken.eq(
            Cat(
                self.status[error.name] & (first_error == error.bit)
                for error in UNCORRECTABLE_ERRORS
            ).any()
        )
        dwords = header_dwords(m, events.header)
        prefix = Mux(events.header.has_prefix, events.header.prefix, 0)
        with m.If(Cat(logged).any() & ~taken):
            m.d.sync += [
                header_log.eq(Cat(dwords)),
                prefix_present.eq(events.header.has_prefix),
                prefix_log.eq(Cat(prefix[24:], prefix[16:24], prefix[8:16], prefix[:8])),
            ]
            with m.Switch(Cat(logged)):
                for number, error in enumerate(UNCORRECTABLE_ERRORS):
                    above = len(UNCORRECTABLE_ERRORS) - number - 1
                    with m.Case("-" * above + "1" + "0" * number):
                        m.d.sync += first_error.eq(error.bit)

        return m
