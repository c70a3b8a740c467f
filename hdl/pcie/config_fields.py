"""Words in which the tables of configuration space are written."""

from hdl.register import Access, Field

__all__ = [
    "ACS_ADDRESS",
    "AER_ADDRESS",
    "DPC_ADDRESS",
    "EXPRESS_ADDRESS",
    "MSI_ADDRESS",
    "POWER_ADDRESS",
    "constant",
    "event",
    "extended_link_to",
    "link_to",
    "switch",
]

# Where the capabilities are; those from 0x100 on are extended ones.
POWER_ADDRESS, MSI_ADDRESS, EXPRESS_ADDRESS = 0x40, 0x48, 0x60
AER_ADDRESS, ACS_ADDRESS, DPC_ADDRESS = 0x100, 0x148, 0x158


def constant(name: str, bits: int, value: int, description: str, offset: int | None = None):
    """Field that always reads ``value``."""
    return Field(name, bits, Access.CONSTANT, description, offset, value)


def switch(name: str, offset: int, description: str, init: int = 0) -> Field:
    """One bit that software writes."""
    return Field(name, 1, Access.RW, description, offset, init)


def event(name: str, offset: int, description: str) -> Field:
    """One bit that an event sets and software clears."""
    return Field(name, 1, Access.W1C, description, offset)


def link_to(capability: int, following: int) -> tuple[Field, Field]:
    """ID of a capability, and where the next is."""
    return (
        constant("capability", 8, capability, "Number of the capability."),
        constant("following", 8, following, "Where the next capability is; 0: this is the last."),
    )


def extended_link_to(capability: int, version: int, following: int) -> tuple[Field, ...]:
    """ID of an extended capability, and where the next is."""
    return (
        constant("capability", 16, capability, "Number of the extended capability."),
        constant("version", 4, version, "Version of the capability."),
        constant("following", 12, following, "Where the next capability is; 0: this is the last."),
    )
