"""PCI Express capability, as a table."""

from hdl.register import Access, Field, Register

from .config_fields import EXPRESS_ADDRESS, constant, event, link_to, switch

__all__ = ["express"]


def express(
    downstream: bool, port: int, max_payload_bytes: int, link_speed: int, link_width: int
) -> list[Register]:
    """PCI Express capability of version 2 (7.5.3); a switch's ports have no slot."""
    payload_code = (max_payload_bytes // 128).bit_length() - 1
    only_downstream = "Downstream ports only."
    return [
        Register(
            "express_capability",
            "PCI Express Capabilities.",
            (
                *link_to(0x10, 0),
                constant("version", 4, 2, "Version of the capability."),
                constant("port_type", 4, 6 if downstream else 5, "5 upstream, 6 downstream."),
            ),
            address=EXPRESS_ADDRESS,
        ),
        Register(
            "device_capabilities",
            "Device Capabilities.",
            (
                constant("max_payload", 3, payload_code, "Largest payload: 128 << this bytes."),
                constant("role_based_errors", 1, 1, "Role-Based Error Reporting.", 15),
            ),
            address=EXPRESS_ADDRESS + 0x04,
        ),
        Register(
            "device_control",
            "Device Control, Device Status.",
            (
                switch("correctable_enable", 0, "ERR_COR may be sent."),
                switch("nonfatal_enable", 1, "ERR_NONFATAL may be sent."),
                switch("fatal_enable", 2, "ERR_FATAL may be sent."),
                switch("unsupported_enable", 3, "Unsupported Request may be reported."),
                Field("max_payload", 3, Access.RW, "Payloads have at most 128 << this bytes.", 5),
                event("correctable_detected", 16, "A correctable or advisory error."),
                event("nonfatal_detected", 17, "A non-fatal error."),
                event("fatal_detected", 18, "A fatal error."),
                event("unsupported_detected", 19, "An Unsupported Request."),
            ),
            address=EXPRESS_ADDRESS + 0x08,
        ),
        Register(
            "link_capabilities",
            "Link Capabilities.",
            (
                constant("speed", 4, link_speed, "Fastest link: 1 is 2.5 GT/s, 5 is 32 GT/s."),
                constant("width", 6, link_width, "Widest link, in lanes."),
                constant("active_reporting", 1, int(downstream), only_downstream, 20),
                constant("aspm_optional", 1, 1, "ASPM Optionality Compliance.", 22),
                constant("port_number", 8, port, "Number of the port.", 24),
            ),
            address=EXPRESS_ADDRESS + 0x0C,
        ),
        Register(
            "link_control",
            "Link Control, Link Status.",
            (
                *(
                    [switch("link_disable", 4, f"Holds the link disabled. {only_downstream}")]
                    if downstream
                    else []
                ),
                switch("common_clock", 6, "Without effect."),
                switch("extended_synch", 7, "Without effect."),
                Field("speed", 4, Access.RO, "Speed of the link.", 16),
                Field("width", 6, Access.RO, "Lanes of the link."),
                *(
                    [Field("active", 1, Access.RO, f"The link is up. {only_downstream}", 29)]
                    if downstream
                    else []
                ),
            ),
            address=EXPRESS_ADDRESS + 0x10,
        ),
        Register(
            "device_capabilities_2",
            "Device Capabilities 2.",
            (
                constant("ari_forwarding", 1, int(downstream), only_downstream, 5),
                constant("atomic_routing", 1, 1, "AtomicOps are forwarded.", 6),
                constant("ten_bit_tag_completer", 1, 1, "10-bit tags are answered.", 16),
                constant("extended_fmt", 1, 1, "TLP prefixes are understood.", 20),
                constant("prefixes", 1, 1, "End-end prefixes are forwarded.", 21),
                constant("prefix_count", 2, 1, "At most one end-end prefix.", 22),
            ),
            address=EXPRESS_ADDRESS + 0x24,
        ),
        Register(
            "device_control_2",
            "Device Control 2.",
            (
                switch("ari_forwarding", 5, f"Type 0 may name any device. {only_downstream}")
                if downstream
                else constant("ari_forwarding", 1, 0, only_downstream, 5),
            ),
            address=EXPRESS_ADDRESS + 0x28,
        ),
        Register(
            "link_capabilities_2",
            "Link Capabilities 2.",
            (constant("speeds", 7, (1 << link_speed) - 1, "Bit n: speed n + 1 is supported.", 1),),
            address=EXPRESS_ADDRESS + 0x2C,
        ),
        Register(
            "link_control_2",
            "Link Control 2.",
            (constant("target_speed", 4, link_speed, "The fastest."),),
            address=EXPRESS_ADDRESS + 0x30,
        ),
    ]
