"""Endpoints and root complexes of cocotbext-pcie, as the tests of the switch need them."""

import logging
from typing import Any

from cocotbext.pcie.core import Device, MemoryEndpoint, RootComplex
from cocotbext.pcie.core.caps import MsiCapability

from .library import advertise, install

# The library has no types: what it makes is Any.

__all__ = ["SmallEndpoint", "make_device", "make_root", "make_root_port", "quiet"]

install()

BAR_BYTES = 1 << 16
PREFETCHABLE_BYTES = 1 << 20


class SmallEndpoint(MemoryEndpoint):
    """Endpoint with a memory BAR, a prefetchable one of 64 bits, and MSI.

    Parameters
    ----------
    device_id : int
        To be told apart by.
    max_payload : int
        Largest payload that it supports, as Max_Payload_Size_Supported.
    """

    def __init__(self, device_id: int, *, max_payload: int = 2):
        super().__init__()
        self.vendor_id = 0x1234
        self.device_id = device_id
        self.msi = MsiCapability()
        self.msi.msi_multiple_message_capable = 5
        self.msi.msi_64bit_address_capable = 1
        self.register_capability(self.msi)
        self.pcie_cap.max_payload_size_supported = max_payload
        self.pcie_cap.extended_tag_supported = True
        self.add_mem_region(BAR_BYTES)
        self.add_prefetchable_mem_region(PREFETCHABLE_BYTES)


def quiet(*owners: Any) -> None:
    """Let these objects report errors only: enumeration asks for many that are not there."""
    for owner in owners:
        owner.log.setLevel(logging.ERROR)


def make_device(
    endpoint: Any, *, speed: int = 5, width: int = 16, credits: tuple[int, ...] = (32, 512, 32, 32)
) -> Any:
    """Put ``endpoint`` into a device whose link advertises ``credits``, PH, PD, NPH, NPD."""
    device: Any = Device(endpoint)
    advertise(device.upstream_port, (*credits, 0, 0))
    device.upstream_port.max_link_speed = speed
    device.upstream_port.max_link_width = width
    quiet(device, endpoint)
    return device


def make_root(*, max_payload: int = 1) -> Any:
    """Make a root complex; ``max_payload`` as Max_Payload_Size."""
    root = RootComplex()
    root.max_payload_size = max_payload
    root.tag_count = 256
    quiet(root)
    return root


def make_root_port(root: Any, credits: tuple[int, ...] = (64, 1024, 64, 64)) -> Any:
    """Give the root complex a port that advertises ``credits``, PH, PD, NPH, NPD."""
    root_port = root.make_port()
    # Completions are infinite, as endpoints and root complexes have them.
    advertise(root_port.downstream_port, (*credits, 0, 0))
    quiet(root_port)
    return root_port
