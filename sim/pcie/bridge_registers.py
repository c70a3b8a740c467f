"""Registers of a bridge for its golden model, as words and masks."""

__all__ = ["PRECEDENCE", "bridge_rows"]

# AER's status bits in the order in which one of several is the first (6.2.3.2.3).
PRECEDENCE = (
    ("overflow", 17),
    ("malformed", 18),
    ("acs_violation", 21),
    ("aborted", 15),
    ("unsupported", 20),
    ("unexpected_completion", 16),
    ("poisoned", 12),
)

COMMAND, BUSES, SECONDARY, MEMORY, BRIDGE_CONTROL = 0x04, 0x18, 0x1C, 0x20, 0x3C
WIDE, WIDE_BASE, WIDE_LIMIT = 0x24, 0x28, 0x2C
POWER, MSI, MSI_DATA, MSI_MASK, MSI_PENDING = 0x44, 0x48, 0x54, 0x58, 0x5C
DEVICE, LINK, DEVICE_2 = 0x68, 0x70, 0x88
STATUS, MASK, SEVERITY, CORRECTABLE, CORRECTABLE_MASK = 0x104, 0x108, 0x10C, 0x110, 0x114
FIRST, LOG, PREFIX = 0x118, 0x11C, 0x138
ACS, VECTOR, DPC, DPC_STATUS = 0x14C, 0x150, 0x15C, 0x160

DETECTED_PARITY, SYSTEM_ERROR, TARGET_ABORT, MASTER_PARITY = 1 << 31, 1 << 30, 1 << 27, 1 << 24
ADVISORY = 1 << 13


def bridge_rows(
    *,
    port: int,
    port_count: int,
    vendor_id: int,
    device_id: int,
    revision_id: int,
    max_payload_bytes: int,
    max_link_speed: int,
    max_link_width: int,
) -> dict[int, tuple[int, int, int]]:
    """By address: value after reset, bits that software writes, bits that it clears."""
    below = port > 0
    received = MASTER_PARITY | TARGET_ABORT | DETECTED_PARITY
    errors = sum(1 << bit for name, bit in PRECEDENCE if below or name != "acs_violation")
    payload = {128: 0, 256: 1, 512: 2, 1024: 3, 2048: 4, 4096: 5}[max_payload_bytes]
    rows = {
        0x00: (device_id << 16 | vendor_id, 0, 0),
        COMMAND: (0x0010_0000, 0x0546, SYSTEM_ERROR | (0 if below else received)),
        0x08: (0x0604_0000 | revision_id, 0, 0),
        0x0C: (0x0001_0000, 0xFF, 0),
        BUSES: (0, 0x00FF_FFFF, 0),
        SECONDARY: (0, 0, SYSTEM_ERROR | received if below else 0),
        MEMORY: (0x0000_FFF0, 0xFFF0_FFF0, 0),
        WIDE: (0x0001_FFF1, 0xFFF0_FFF0, 0),
        WIDE_BASE: (0xFFFF_FFFF, 0xFFFF_FFFF, 0),
        WIDE_LIMIT: (0, 0xFFFF_FFFF, 0),
        0x34: (0x40, 0, 0),
        BRIDGE_CONTROL: (0, 0x0043_00FF, 0),
        0x40: (0x0003_4801, 0, 0),
        POWER: (0x8, 0x3, 0),
        MSI: (0x0180_6005, 0x0001_0000, 0),
        0x4C: (0, 0xFFFF_FFFC, 0),
        0x50: (0, 0xFFFF_FFFF, 0),
        MSI_DATA: (0, 0xFFFF, 0),
        MSI_MASK: (0, 1, 0),
        0x60: ((0x62 if below else 0x52) << 16 | 0x0010, 0, 0),
        0x64: (0x8000 | payload, 0, 0),
        DEVICE: (0, 0xEF, 0x000F_0000),
        0x6C: (port << 24 | 1 << 22 | below << 20 | max_link_width << 4 | max_link_speed, 0, 0),
        LINK: (0, 0xD0 if below else 0xC0, 0),
        0x84: (0x0071_0040 | below << 5, 0, 0),
        DEVICE_2: (0, 0x20 if below else 0, 0),
        0x8C: ((1 << max_link_speed + 1) - 2, 0, 0),
        0x90: (max_link_speed, 0, 0),
        0x100: (0x1482_0001 if below else 0x0002_0001, 0, 0),
        STATUS: (0, 0, errors),
        MASK: (0, errors, 0),
        SEVERITY: (1 << 17 | 1 << 18, errors, 0),
        CORRECTABLE: (0, 0, ADVISORY),
        CORRECTABLE_MASK: (ADVISORY, ADVISORY, 0),
    }
    if below:
        rows |= {
            0x148: (0x1581_000D, 0, 0),
            ACS: (port_count << 8 | 0x7F, 0x007F_0000, 0),
            VECTOR: (0, (1 << port_count) - 1, 0),
            0x158: (0x0001_001D, 0, 0),
            DPC: (0x0004_0080, 0x001B_0000, 0),
            DPC_STATUS: (0, 0, 0b1001),
        }
    return rows
