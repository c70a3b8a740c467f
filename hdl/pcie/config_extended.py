"""Extended capabilities as tables: AER, ACS and DPC."""

from dataclasses import dataclass

from hdl.register import Access, Field, Register

from .config_fields import (
    ACS_ADDRESS,
    AER_ADDRESS,
    DPC_ADDRESS,
    constant,
    event,
    extended_link_to,
    switch,
)

__all__ = ["UNCORRECTABLE_ERRORS", "UncorrectableError", "acs", "aer", "dpc"]


@dataclass(frozen=True)
class UncorrectableError:
    """An error that AER knows, by the name that it has in :class:`ErrorEventsLayout`.

    Parameters
    ----------
    name : str
        Of the event, and of its field in three registers.
    bit : int
        Position in the registers, and code in First Error Pointer.
    fatal : bool
        Severity after reset.
    description : str
        One line of documentation.
    """

    name: str
    bit: int
    fatal: bool
    description: str


#: By precedence: what is logged when several come at once (6.2.3.2.3, error pollution).
UNCORRECTABLE_ERRORS = (
    UncorrectableError("overflow", 17, True, "Receiver Overflow: a TLP came without credit."),
    UncorrectableError("malformed", 18, True, "Malformed TLP."),
    UncorrectableError("acs_violation", 21, False, "ACS Violation. Downstream ports only."),
    UncorrectableError("aborted", 15, False, "Completer Abort."),
    UncorrectableError("unsupported", 20, False, "Unsupported Request."),
    UncorrectableError("unexpected_completion", 16, False, "Unexpected Completion."),
    UncorrectableError("poisoned", 12, False, "Poisoned TLP received; it was forwarded."),
)


def aer(downstream: bool) -> list[Register]:
    """Advanced Error Reporting (7.8.4)."""
    errors = sorted(
        (e for e in UNCORRECTABLE_ERRORS if downstream or e.name != "acs_violation"),
        key=lambda error: error.bit,
    )
    return [
        Register(
            "aer_capability",
            "Advanced Error Reporting.",
            extended_link_to(0x0001, 2, ACS_ADDRESS if downstream else 0),
            address=AER_ADDRESS,
        ),
        Register(
            "uncorrectable_status",
            "Uncorrectable Error Status. A hot reset leaves it.",
            tuple(event(e.name, e.bit, e.description) for e in errors),
            address=AER_ADDRESS + 0x04,
        ),
        Register(
            "uncorrectable_mask",
            "Uncorrectable Error Mask: neither logged nor reported. A hot reset leaves it.",
            tuple(switch(e.name, e.bit, e.description) for e in errors),
            address=AER_ADDRESS + 0x08,
        ),
        Register(
            "uncorrectable_severity",
            "Uncorrectable Error Severity: 1 is fatal. A hot reset leaves it.",
            tuple(switch(e.name, e.bit, e.description, int(e.fatal)) for e in errors),
            address=AER_ADDRESS + 0x0C,
        ),
        Register(
            "correctable_status",
            "Correctable Error Status. A hot reset leaves it.",
            (event("advisory", 13, "Advisory Non-Fatal Error."),),
            address=AER_ADDRESS + 0x10,
        ),
        Register(
            "correctable_mask",
            "Correctable Error Mask. A hot reset leaves it.",
            (switch("advisory", 13, "Advisory Non-Fatal Error.", 1),),
            address=AER_ADDRESS + 0x14,
        ),
        Register(
            "aer_control",
            "Advanced Error Capabilities and Control. A hot reset leaves it.",
            (
                Field("first_error", 5, Access.RO, "First Error Pointer: a status bit."),
                Field("prefix_present", 1, Access.RO, "The TLP logged had a prefix.", 11),
            ),
            address=AER_ADDRESS + 0x18,
        ),
        Register(
            "header_log",
            "Header Log: the header of the first error. A hot reset leaves it.",
            (Field("value", 32, Access.RO, "DW of the header; its first byte is in bits 31:24."),),
            count=4,
            address=AER_ADDRESS + 0x1C,
        ),
        Register(
            "prefix_log",
            "TLP Prefix Log. A hot reset leaves it.",
            (Field("value", 32, Access.RO, "The prefix; its first byte is in bits 31:24."),),
            address=AER_ADDRESS + 0x38,
        ),
    ]


def acs(port_count: int) -> list[Register]:
    """Access Control Services (7.7.11)."""
    functions = (
        ("source_validation", "Source Validation."),
        ("translation_blocking", "Translation Blocking."),
        ("request_redirect", "P2P Request Redirect."),
        ("completion_redirect", "P2P Completion Redirect."),
        ("upstream_forwarding", "Upstream Forwarding."),
        ("egress_control", "P2P Egress Control."),
        ("direct_translated", "Direct Translated P2P."),
    )
    return [
        Register(
            "acs_capability",
            "Access Control Services. Downstream ports only.",
            extended_link_to(0x000D, 1, DPC_ADDRESS),
            address=ACS_ADDRESS,
        ),
        Register(
            "acs_control",
            "ACS Capability, ACS Control.",
            (
                constant("supported", 7, 0x7F, "Each of the functions enabled below."),
                constant("egress_vector_bits", 8, port_count, "Size of the vector.", 8),
                *(switch(name, 16 + n, text) for n, (name, text) in enumerate(functions)),
            ),
            address=ACS_ADDRESS + 4,
        ),
        Register(
            "egress_vector",
            "Egress Control Vector.",
            (Field("value", port_count, Access.RW, "Bit n: requests to port n are blocked."),),
            address=ACS_ADDRESS + 8,
        ),
    ]


def dpc() -> list[Register]:
    """Downstream Port Containment (7.9.14)."""
    return [
        Register(
            "dpc_capability",
            "Downstream Port Containment. Downstream ports only.",
            extended_link_to(0x001D, 1, 0),
            address=DPC_ADDRESS,
        ),
        Register(
            "dpc_control",
            "DPC Capability, DPC Control.",
            (
                constant("software_triggering", 1, 1, "It can be triggered by software.", 7),
                Field("trigger_enable", 2, Access.RW, "0 off; 1 on; 2 also ERR_NONFATAL.", 16),
                constant("completion_control", 1, 1, "Requests get Unsupported Request.", 18),
                switch("interrupt_enable", 19, "An interrupt tells of containment."),
                switch("correctable_enable", 20, "ERR_COR tells of containment."),
                Field("software_trigger", 1, Access.PULSE, "Triggers, if enabled.", 22),
            ),
            address=DPC_ADDRESS + 4,
        ),
        Register(
            "dpc_status",
            "DPC Status, DPC Error Source ID. A hot reset leaves it.",
            (
                event("triggered", 0, "The port is contained; clear it to release the port."),
                Field(
                    "reason",
                    2,
                    Access.RO,
                    "0 own, 1 ERR_NONFATAL, 2 ERR_FATAL, 3 other.",
                    1,
                ),
                event("interrupt", 3, "Contained while interrupts were enabled."),
                Field("extension", 2, Access.RO, "With reason 3: 1 is software.", 5),
                Field("source", 16, Access.RO, "Requester ID of the ERR message.", 16),
            ),
            address=DPC_ADDRESS + 8,
        ),
    ]
