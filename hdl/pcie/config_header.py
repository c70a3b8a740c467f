"""Type 1 header, Power Management and MSI, as tables."""

from hdl.register import Access, Field, Register

from .config_fields import (
    EXPRESS_ADDRESS,
    MSI_ADDRESS,
    POWER_ADDRESS,
    constant,
    event,
    link_to,
    switch,
)

__all__ = ["msi", "power_management", "type_1_header"]


def type_1_header(downstream: bool, vendor: int, device: int, revision: int) -> list[Register]:
    """Type 1 header (7.5.1)."""
    # The link is on the secondary side of a downstream port, on the primary of the upstream one.
    received = [
        event("master_data_parity_error", 24, "A poisoned completion came, to be told."),
        event("signaled_target_abort", 27, "A request was answered with Completer Abort."),
        event("detected_parity_error", 31, "A poisoned TLP came in."),
    ]
    system_error = event("received_system_error", 30, "ERR_NONFATAL or ERR_FATAL came in.")
    return [
        Register(
            "identification",
            "Vendor ID, Device ID.",
            (
                constant("vendor", 16, vendor, "Vendor ID."),
                constant("device", 16, device, "Device ID."),
            ),
            address=0x00,
        ),
        Register(
            "command",
            "Command, Status. Downstream ports have most errors in Secondary Status.",
            (
                switch("memory_enable", 1, "Memory requests go down through this function."),
                switch("bus_master_enable", 2, "Memory requests go up through this function."),
                switch("parity_response", 6, "Lets Master Data Parity Error be set."),
                switch("serr_enable", 8, "ERR_NONFATAL and ERR_FATAL may be sent."),
                switch("intx_disable", 10, "The function itself has no INTx: without effect."),
                constant("capabilities_list", 1, 1, "There are capabilities.", 20),
                event("signaled_system_error", 30, "Sent ERR_NONFATAL or ERR_FATAL under SERR#."),
                *([] if downstream else received),
            ),
            address=0x04,
        ),
        Register(
            "class_code",
            "Revision ID, Class Code.",
            (
                constant("revision", 8, revision, "Revision ID."),
                constant("class", 24, 0x060400, "PCI-to-PCI bridge.", 8),
            ),
            address=0x08,
        ),
        Register(
            "header_type",
            "Cache Line Size, Header Type.",
            (
                Field("cache_line", 8, Access.RW, "Without effect."),
                constant("type", 8, 1, "Type 1; one function.", 16),
            ),
            address=0x0C,
        ),
        Register(
            "bus_numbers",
            "Bus numbers. None is behind the port while secondary is 0 or above subordinate.",
            (
                Field("primary", 8, Access.RW, "Without effect: the number is captured."),
                Field("secondary", 8, Access.RW, "First bus behind the port."),
                Field("subordinate", 8, Access.RW, "Last bus behind the port."),
            ),
            address=0x18,
        ),
        Register(
            "secondary_status",
            "I/O Base, I/O Limit, Secondary Status. The upstream port has its errors in Status.",
            (
                constant("io_window", 16, 0, "There is no I/O window."),
                *(received if downstream else []),
                *([system_error] if downstream else []),
            ),
            address=0x1C,
        ),
        Register(
            "memory_window",
            "Memory Base and Limit: address bits 31:20. Closed while base is above limit.",
            (
                Field("base", 12, Access.RW, "First megabyte.", 4, 0xFFF),
                Field("limit", 12, Access.RW, "Last megabyte.", 20),
            ),
            address=0x20,
        ),
        Register(
            "prefetchable_window",
            "Prefetchable Memory Base and Limit, low parts: address bits 31:20.",
            (
                constant("base_is_64_bit", 4, 1, "Addresses have 64 bits.", 0),
                Field("base", 12, Access.RW, "First megabyte.", 4, 0xFFF),
                constant("limit_is_64_bit", 4, 1, "Addresses have 64 bits.", 16),
                Field("limit", 12, Access.RW, "Last megabyte.", 20),
            ),
            address=0x24,
        ),
        Register(
            "prefetchable_base_upper",
            "Prefetchable Base Upper 32 Bits.",
            (Field("value", 32, Access.RW, "Address bits 63:32.", init=0xFFFFFFFF),),
            address=0x28,
        ),
        Register(
            "prefetchable_limit_upper",
            "Prefetchable Limit Upper 32 Bits.",
            (Field("value", 32, Access.RW, "Address bits 63:32."),),
            address=0x2C,
        ),
        Register(
            "capabilities_pointer",
            "Where the first capability is.",
            (constant("value", 8, POWER_ADDRESS, "Address of Power Management."),),
            address=0x34,
        ),
        Register(
            "bridge_control",
            "Interrupt Line, Interrupt Pin, Bridge Control. The function itself uses no INTx.",
            (
                Field("interrupt_line", 8, Access.RW, "For software."),
                constant("interrupt_pin", 8, 0, "None.", 8),
                switch("parity_response", 16, "Lets Master Data Parity Error be set."),
                switch("serr_enable", 17, "ERR messages from below count in Status."),
                switch("secondary_reset", 22, "Holds what is below in hot reset."),
            ),
            address=0x3C,
        ),
    ]


def power_management() -> list[Register]:
    """Power Management capability (7.5.2)."""
    return [
        Register(
            "power_capability",
            "Power Management.",
            (
                *link_to(0x01, MSI_ADDRESS),
                constant("version", 3, 3, "Version of the capability.", 16),
            ),
            address=POWER_ADDRESS,
        ),
        Register(
            "power_control",
            "PMCSR. There are D0 and D3hot.",
            (
                Field("state", 2, Access.RW, "0 D0; 3 D3hot, in which no memory request passes."),
                constant("no_soft_reset", 1, 1, "D3hot to D0 resets nothing.", 3),
            ),
            address=POWER_ADDRESS + 4,
        ),
    ]


def msi() -> list[Register]:
    """MSI capability (7.7.1)."""
    return [
        Register(
            "msi_control",
            "MSI, one vector, 64-bit address, maskable.",
            (
                *link_to(0x05, EXPRESS_ADDRESS),
                switch("enable", 16, "Interrupts may be sent."),
                constant("has_64_bit_address", 1, 1, "64-bit address.", 23),
                constant("has_mask", 1, 1, "Per-vector masking.", 24),
            ),
            address=MSI_ADDRESS,
        ),
        Register(
            "msi_address",
            "Message Address.",
            (Field("value", 30, Access.RW, "Address bits 31:2.", 2),),
            address=MSI_ADDRESS + 4,
        ),
        Register(
            "msi_address_upper",
            "Message Upper Address.",
            (Field("value", 32, Access.RW, "Address bits 63:32."),),
            address=MSI_ADDRESS + 8,
        ),
        Register(
            "msi_data",
            "Message Data.",
            (Field("value", 16, Access.RW, "What is written."),),
            address=MSI_ADDRESS + 12,
        ),
        Register(
            "msi_mask",
            "Mask Bits.",
            (switch("vector", 0, "The interrupt waits."),),
            address=MSI_ADDRESS + 16,
        ),
        Register(
            "msi_pending",
            "Pending Bits.",
            (Field("vector", 1, Access.RO, "A masked interrupt waits."),),
            address=MSI_ADDRESS + 20,
        ),
    ]
