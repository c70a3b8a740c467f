"""Downstream Port Containment: when it begins, and why."""

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Containment", "TriggerReason"]


class TriggerReason(enum.Enum, shape=2):
    """DPC Trigger Reason (7.9.14.4)."""

    OWN_ERROR = 0
    RECEIVED_NONFATAL = 1
    RECEIVED_FATAL = 2
    EXTENSION = 3


class Containment(wiring.Component):
    """Begin to contain a port on the first uncorrectable error at it or below it.

    ``begins`` is combinational; what says why changes 1 cycle after it, and stays until the next
    time.

    Specification: PCI Express Base Specification, 6.2.10 (Downstream Port Containment).

    Members
    -------
    contained : In(1)
        DPC Trigger Status.
    trigger_enable : In(2)
        DPC Trigger Enable: 1 and 2 enable, 2 also on received ERR_NONFATAL.
    own_error, received_nonfatal, received_fatal, software : In(1)
        What may begin it; ``own_error`` is unmasked and not advisory.
    requester : In(16)
        Who sent the message received.
    begins : Out(1)
        The port is to be contained from the next cycle on.
    reason, extension, source : Out(2), Out(2), Out(16)
        Fields of DPC Status, registered.
    """

    contained: Signal
    trigger_enable: Signal
    own_error: Signal
    received_nonfatal: Signal
    received_fatal: Signal
    software: Signal
    requester: Signal
    begins: Signal
    reason: Signal
    extension: Signal
    source: Signal

    def __init__(self):
        super().__init__(
            {
                "contained": In(1),
                "trigger_enable": In(2),
                "own_error": In(1),
                "received_nonfatal": In(1),
                "received_fatal": In(1),
                "software": In(1),
                "requester": In(16),
                "begins": Out(1),
                "reason": Out(2),
                "extension": Out(2),
                "source": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        on_fatal, on_nonfatal = self.trigger_enable.xor(), self.trigger_enable == 2
        own_error = self.own_error & on_fatal
        fatal = self.received_fatal & on_fatal
        nonfatal = self.received_nonfatal & on_nonfatal
        software = self.software & on_fatal
        m.d.comb += self.begins.eq(~self.contained & (own_error | fatal | nonfatal | software))
        with m.If(self.begins):
            m.d.sync += self.extension.eq(0)
            with m.If(own_error):
                m.d.sync += self.reason.eq(TriggerReason.OWN_ERROR)
            with m.Elif(fatal | nonfatal):
                m.d.sync += [
                    self.reason.eq(
                        Mux(fatal, TriggerReason.RECEIVED_FATAL, TriggerReason.RECEIVED_NONFATAL)
                    ),
                    self.source.eq(self.requester),
                ]
            with m.Else():
                m.d.sync += [self.reason.eq(TriggerReason.EXTENSION), self.extension.eq(1)]
        return m
