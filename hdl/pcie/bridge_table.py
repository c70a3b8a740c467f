"""Configuration space of a port's function, as a table."""

from hdl.register import RegisterTable

from .config_express import express
from .config_extended import acs, aer, dpc
from .config_header import msi, power_management, type_1_header

__all__ = ["BRIDGE", "STICKY", "bridge_table"]

#: Registers that a hot reset leaves as they are (7.4, sticky bits).
STICKY = frozenset(
    {
        "uncorrectable_status",
        "uncorrectable_mask",
        "uncorrectable_severity",
        "correctable_status",
        "correctable_mask",
        "dpc_status",
    }
)


def bridge_table(
    *,
    port: int,
    port_count: int,
    vendor_id: int,
    device_id: int,
    revision_id: int,
    max_payload_bytes: int,
    max_link_speed: int,
    max_link_width: int,
) -> RegisterTable:
    """Table of the configuration space of ``port``; the parameters are BridgeFunction's."""
    downstream = port > 0
    return RegisterTable(
        "pcie_bridge",
        "Configuration space of a port of the PCIe switch, by byte address; this one is of a "
        "downstream port of a switch with eight. What is not here reads 0 and ignores writes.",
        (
            *type_1_header(downstream, vendor_id, device_id, revision_id),
            *power_management(),
            *msi(),
            *express(downstream, port, max_payload_bytes, max_link_speed, max_link_width),
            *aer(downstream),
            *(acs(port_count) if downstream else []),
            *(dpc() if downstream else []),
        ),
    )


#: What the documentation shows: a downstream port, which has everything.
BRIDGE = bridge_table(
    port=1,
    port_count=8,
    vendor_id=0,
    device_id=0,
    revision_id=0,
    max_payload_bytes=512,
    max_link_speed=5,
    max_link_width=16,
)
