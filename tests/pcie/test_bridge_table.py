"""Table of configuration space: every field is where Linux expects it.

The kernel's header for user space, which comes with the C library, has the offsets and masks; a
field is looked for where the header says, not where the table does.
"""

import re
from pathlib import Path

import pytest

from hdl.pcie.bridge_table import BRIDGE, STICKY, bridge_table
from hdl.register import Register
from tb.simulate import MissingToolError

HEADER = Path("/usr/include/linux/pci_regs.h")
EXPRESS, POWER, MSI, AER, ACS, DPC = 0x60, 0x40, 0x48, 0x100, 0x148, 0x158

# Field of the table: capability, register and mask in the kernel's header.
FIELDS = {
    "identification.vendor": (0, "PCI_VENDOR_ID", 0xFFFF),
    "identification.device": (0, "PCI_DEVICE_ID", 0xFFFF),
    "command.memory_enable": (0, "PCI_COMMAND", "PCI_COMMAND_MEMORY"),
    "command.bus_master_enable": (0, "PCI_COMMAND", "PCI_COMMAND_MASTER"),
    "command.parity_response": (0, "PCI_COMMAND", "PCI_COMMAND_PARITY"),
    "command.serr_enable": (0, "PCI_COMMAND", "PCI_COMMAND_SERR"),
    "command.intx_disable": (0, "PCI_COMMAND", "PCI_COMMAND_INTX_DISABLE"),
    "command.capabilities_list": (0, "PCI_STATUS", "PCI_STATUS_CAP_LIST"),
    "command.master_data_parity_error": (0, "PCI_STATUS", "PCI_STATUS_PARITY"),
    "command.signaled_target_abort": (0, "PCI_STATUS", "PCI_STATUS_SIG_TARGET_ABORT"),
    "command.signaled_system_error": (0, "PCI_STATUS", "PCI_STATUS_SIG_SYSTEM_ERROR"),
    "command.detected_parity_error": (0, "PCI_STATUS", "PCI_STATUS_DETECTED_PARITY"),
    "class_code.revision": (0, "PCI_CLASS_REVISION", 0xFF),
    "class_code.class": (0, "PCI_CLASS_REVISION", 0xFFFFFF00),
    "header_type.cache_line": (0, "PCI_CACHE_LINE_SIZE", 0xFF),
    "header_type.type": (0, "PCI_HEADER_TYPE", 0xFF),
    "bus_numbers.primary": (0, "PCI_PRIMARY_BUS", 0xFF),
    "bus_numbers.secondary": (0, "PCI_SECONDARY_BUS", 0xFF),
    "bus_numbers.subordinate": (0, "PCI_SUBORDINATE_BUS", 0xFF),
    "secondary_status.io_window": (0, "PCI_IO_BASE", 0xFFFF),
    "secondary_status.master_data_parity_error": (0, "PCI_SEC_STATUS", "PCI_STATUS_PARITY"),
    "secondary_status.signaled_target_abort": (
        0,
        "PCI_SEC_STATUS",
        "PCI_STATUS_SIG_TARGET_ABORT",
    ),
    "secondary_status.received_system_error": (
        0,
        "PCI_SEC_STATUS",
        "PCI_STATUS_SIG_SYSTEM_ERROR",
    ),
    "secondary_status.detected_parity_error": (
        0,
        "PCI_SEC_STATUS",
        "PCI_STATUS_DETECTED_PARITY",
    ),
    "memory_window.base": (0, "PCI_MEMORY_BASE", 0xFFF0),
    "memory_window.limit": (0, "PCI_MEMORY_LIMIT", 0xFFF0),
    "prefetchable_window.base_is_64_bit": (0, "PCI_PREF_MEMORY_BASE", 0xF),
    "prefetchable_window.base": (0, "PCI_PREF_MEMORY_BASE", 0xFFF0),
    "prefetchable_window.limit_is_64_bit": (0, "PCI_PREF_MEMORY_LIMIT", 0xF),
    "prefetchable_window.limit": (0, "PCI_PREF_MEMORY_LIMIT", 0xFFF0),
    "prefetchable_base_upper.value": (0, "PCI_PREF_BASE_UPPER32", 0xFFFFFFFF),
    "prefetchable_limit_upper.value": (0, "PCI_PREF_LIMIT_UPPER32", 0xFFFFFFFF),
    "capabilities_pointer.value": (0, "PCI_CAPABILITY_LIST", 0xFF),
    "bridge_control.interrupt_line": (0, "PCI_INTERRUPT_LINE", 0xFF),
    "bridge_control.interrupt_pin": (0, "PCI_INTERRUPT_PIN", 0xFF),
    "bridge_control.parity_response": (0, "PCI_BRIDGE_CONTROL", "PCI_BRIDGE_CTL_PARITY"),
    "bridge_control.serr_enable": (0, "PCI_BRIDGE_CONTROL", "PCI_BRIDGE_CTL_SERR"),
    "bridge_control.secondary_reset": (0, "PCI_BRIDGE_CONTROL", "PCI_BRIDGE_CTL_BUS_RESET"),
    "power_capability.version": (POWER, "PCI_PM_PMC", "PCI_PM_CAP_VER_MASK"),
    "power_control.state": (POWER, "PCI_PM_CTRL", "PCI_PM_CTRL_STATE_MASK"),
    "power_control.no_soft_reset": (POWER, "PCI_PM_CTRL", "PCI_PM_CTRL_NO_SOFT_RESET"),
    "msi_control.enable": (MSI, "PCI_MSI_FLAGS", "PCI_MSI_FLAGS_ENABLE"),
    "msi_control.has_64_bit_address": (MSI, "PCI_MSI_FLAGS", "PCI_MSI_FLAGS_64BIT"),
    "msi_control.has_mask": (MSI, "PCI_MSI_FLAGS", "PCI_MSI_FLAGS_MASKBIT"),
    "msi_address.value": (MSI, "PCI_MSI_ADDRESS_LO", 0xFFFFFFFC),
    "msi_address_upper.value": (MSI, "PCI_MSI_ADDRESS_HI", 0xFFFFFFFF),
    "msi_data.value": (MSI, "PCI_MSI_DATA_64", 0xFFFF),
    "msi_mask.vector": (MSI, "PCI_MSI_MASK_64", 1),
    "msi_pending.vector": (MSI, "PCI_MSI_PENDING_64", 1),
    "express_capability.version": (EXPRESS, "PCI_EXP_FLAGS", "PCI_EXP_FLAGS_VERS"),
    "express_capability.port_type": (EXPRESS, "PCI_EXP_FLAGS", "PCI_EXP_FLAGS_TYPE"),
    "device_capabilities.max_payload": (EXPRESS, "PCI_EXP_DEVCAP", "PCI_EXP_DEVCAP_PAYLOAD"),
    "device_capabilities.role_based_errors": (EXPRESS, "PCI_EXP_DEVCAP", "PCI_EXP_DEVCAP_RBER"),
    "device_control.correctable_enable": (EXPRESS, "PCI_EXP_DEVCTL", "PCI_EXP_DEVCTL_CERE"),
    "device_control.nonfatal_enable": (EXPRESS, "PCI_EXP_DEVCTL", "PCI_EXP_DEVCTL_NFERE"),
    "device_control.fatal_enable": (EXPRESS, "PCI_EXP_DEVCTL", "PCI_EXP_DEVCTL_FERE"),
    "device_control.unsupported_enable": (EXPRESS, "PCI_EXP_DEVCTL", "PCI_EXP_DEVCTL_URRE"),
    "device_control.max_payload": (EXPRESS, "PCI_EXP_DEVCTL", "PCI_EXP_DEVCTL_PAYLOAD"),
    "device_control.correctable_detected": (EXPRESS, "PCI_EXP_DEVSTA", "PCI_EXP_DEVSTA_CED"),
    "device_control.nonfatal_detected": (EXPRESS, "PCI_EXP_DEVSTA", "PCI_EXP_DEVSTA_NFED"),
    "device_control.fatal_detected": (EXPRESS, "PCI_EXP_DEVSTA", "PCI_EXP_DEVSTA_FED"),
    "device_control.unsupported_detected": (EXPRESS, "PCI_EXP_DEVSTA", "PCI_EXP_DEVSTA_URD"),
    "link_capabilities.speed": (EXPRESS, "PCI_EXP_LNKCAP", "PCI_EXP_LNKCAP_SLS"),
    "link_capabilities.width": (EXPRESS, "PCI_EXP_LNKCAP", "PCI_EXP_LNKCAP_MLW"),
    "link_capabilities.active_reporting": (EXPRESS, "PCI_EXP_LNKCAP", "PCI_EXP_LNKCAP_DLLLARC"),
    "link_capabilities.port_number": (EXPRESS, "PCI_EXP_LNKCAP", "PCI_EXP_LNKCAP_PN"),
    "link_control.link_disable": (EXPRESS, "PCI_EXP_LNKCTL", "PCI_EXP_LNKCTL_LD"),
    "link_control.common_clock": (EXPRESS, "PCI_EXP_LNKCTL", "PCI_EXP_LNKCTL_CCC"),
    "link_control.extended_synch": (EXPRESS, "PCI_EXP_LNKCTL", "PCI_EXP_LNKCTL_ES"),
    "link_control.speed": (EXPRESS, "PCI_EXP_LNKSTA", "PCI_EXP_LNKSTA_CLS"),
    "link_control.width": (EXPRESS, "PCI_EXP_LNKSTA", "PCI_EXP_LNKSTA_NLW"),
    "link_control.active": (EXPRESS, "PCI_EXP_LNKSTA", "PCI_EXP_LNKSTA_DLLLA"),
    "device_capabilities_2.ari_forwarding": (EXPRESS, "PCI_EXP_DEVCAP2", "PCI_EXP_DEVCAP2_ARI"),
    "device_capabilities_2.atomic_routing": (
        EXPRESS,
        "PCI_EXP_DEVCAP2",
        "PCI_EXP_DEVCAP2_ATOMIC_ROUTE",
    ),
    "device_capabilities_2.prefixes": (EXPRESS, "PCI_EXP_DEVCAP2", "PCI_EXP_DEVCAP2_EE_PREFIX"),
    "device_control_2.ari_forwarding": (EXPRESS, "PCI_EXP_DEVCTL2", "PCI_EXP_DEVCTL2_ARI"),
    "link_control_2.target_speed": (EXPRESS, "PCI_EXP_LNKCTL2", "PCI_EXP_LNKCTL2_TLS"),
    "correctable_status.advisory": (AER, "PCI_ERR_COR_STATUS", "PCI_ERR_COR_ADV_NFAT"),
    "correctable_mask.advisory": (AER, "PCI_ERR_COR_MASK", "PCI_ERR_COR_ADV_NFAT"),
    "aer_control.first_error": (AER, "PCI_ERR_CAP", 0x1F),
    "header_log.value": (AER, "PCI_ERR_HEADER_LOG", 0xFFFFFFFF),
    "acs_control.supported": (ACS, "PCI_ACS_CAP", 0x7F),
    "acs_control.egress_vector_bits": (ACS, "PCI_ACS_EGRESS_BITS", 0xFF),
    "acs_control.source_validation": (ACS, "PCI_ACS_CTRL", "PCI_ACS_SV"),
    "acs_control.translation_blocking": (ACS, "PCI_ACS_CTRL", "PCI_ACS_TB"),
    "acs_control.request_redirect": (ACS, "PCI_ACS_CTRL", "PCI_ACS_RR"),
    "acs_control.completion_redirect": (ACS, "PCI_ACS_CTRL", "PCI_ACS_CR"),
    "acs_control.upstream_forwarding": (ACS, "PCI_ACS_CTRL", "PCI_ACS_UF"),
    "acs_control.egress_control": (ACS, "PCI_ACS_CTRL", "PCI_ACS_EC"),
    "acs_control.direct_translated": (ACS, "PCI_ACS_CTRL", "PCI_ACS_DT"),
    "egress_vector.value": (ACS, "PCI_ACS_EGRESS_CTL_V", 0xFF),
    "dpc_control.software_triggering": (DPC, "PCI_EXP_DPC_CAP", "PCI_EXP_DPC_CAP_SW_TRIGGER"),
    "dpc_control.interrupt_enable": (DPC, "PCI_EXP_DPC_CTL", "PCI_EXP_DPC_CTL_INT_EN"),
    "dpc_status.triggered": (DPC, "PCI_EXP_DPC_STATUS", "PCI_EXP_DPC_STATUS_TRIGGER"),
    "dpc_status.reason": (DPC, "PCI_EXP_DPC_STATUS", "PCI_EXP_DPC_STATUS_TRIGGER_RSN"),
    "dpc_status.interrupt": (DPC, "PCI_EXP_DPC_STATUS", "PCI_EXP_DPC_STATUS_INTERRUPT"),
    "dpc_status.extension": (DPC, "PCI_EXP_DPC_STATUS", "PCI_EXP_DPC_STATUS_TRIGGER_RSN_EXT"),
    "dpc_status.source": (DPC, "PCI_EXP_DPC_SOURCE_ID", 0xFFFF),
}
ERRORS = {
    "poisoned": "PCI_ERR_UNC_POISON_TLP",
    "aborted": "PCI_ERR_UNC_COMP_ABORT",
    "unexpected_completion": "PCI_ERR_UNC_UNX_COMP",
    "overflow": "PCI_ERR_UNC_RX_OVER",
    "malformed": "PCI_ERR_UNC_MALF_TLP",
    "unsupported": "PCI_ERR_UNC_UNSUP",
    "acs_violation": "PCI_ERR_UNC_ACSV",
}
FIELDS |= {
    f"uncorrectable_{register}.{name}": (AER, offset, mask)
    for register, offset in (
        ("status", "PCI_ERR_UNCOR_STATUS"),
        ("mask", "PCI_ERR_UNCOR_MASK"),
        ("severity", "PCI_ERR_UNCOR_SEVER"),
    )
    for name, mask in ERRORS.items()
}
# What this version of the header does not have, and links between capabilities, which the
# testbench follows.
ELSEWHERE = {
    "aer_capability.version",
    "acs_capability.version",
    "dpc_capability.version",
    "link_capabilities.aspm_optional",
    "device_capabilities_2.ten_bit_tag_completer",
    "device_capabilities_2.extended_fmt",
    "device_capabilities_2.prefix_count",
    "link_capabilities_2.speeds",
    "aer_control.prefix_present",
    "prefix_log.value",
    "dpc_control.trigger_enable",
    "dpc_control.completion_control",
    "dpc_control.correctable_enable",
    "dpc_control.software_trigger",
}
LINKS = {"capability", "following"}
SIZES = {
    "port_count": 8,
    "vendor_id": 1,
    "device_id": 2,
    "revision_id": 3,
    "max_payload_bytes": 512,
    "max_link_speed": 5,
    "max_link_width": 16,
}


@pytest.fixture(scope="module", name="kernel")
def read_kernel():
    if not HEADER.exists():
        raise MissingToolError(f"{HEADER} is missing: on Debian, apt-get install linux-libc-dev")
    number = r"#define\s+(PCI_\w+)\s+(0[xX][0-9a-fA-F]+|\d+)\b"
    return {name: int(value, 0) for name, value in re.findall(number, HEADER.read_text())}


def fields(table):
    """Every field by name: address of its DW, and mask."""
    return {
        f"{place.entry.name}.{field.name}": (place.address, ((1 << field.bits) - 1) << offset)
        for place in table.places()
        if isinstance(place.entry, Register)
        for field, offset in place.entry.placed()
    }


@pytest.mark.parametrize("port", [0, 1])
def test_fields_are_where_linux_looks(port, kernel):
    table = fields(bridge_table(port=port, **SIZES))
    for name, (address, mask) in table.items():
        if name in ELSEWHERE or name.partition(".")[2] in LINKS:
            continue
        base, register, bits = FIELDS[name]
        offset = kernel[register]
        expected = (bits if isinstance(bits, int) else kernel[bits]) << 8 * (offset % 4)
        assert (address, mask) == (base + offset // 4 * 4, expected), name


@pytest.mark.parametrize("port", [0, 1])
def test_capabilities_have_linux_numbers(port, kernel):
    table = bridge_table(port=port, **SIZES)
    numbers = {
        "power_capability": "PCI_CAP_ID_PM",
        "msi_control": "PCI_CAP_ID_MSI",
        "express_capability": "PCI_CAP_ID_EXP",
        "aer_capability": "PCI_EXT_CAP_ID_ERR",
        "acs_capability": "PCI_EXT_CAP_ID_ACS",
        "dpc_capability": "PCI_EXT_CAP_ID_DPC",
    }
    found = {
        place.entry.name: field.init
        for place in table.places()
        if isinstance(place.entry, Register)
        for field in place.entry.fields
        if field.name == "capability"
    }
    assert found == {name: kernel[number] for name, number in numbers.items() if name in found}
    assert len(found) == (6 if port else 4)


def test_the_documentation_shows_everything():
    documented = fields(BRIDGE)
    only_upstream = {
        "command.master_data_parity_error",
        "command.signaled_target_abort",
        "command.detected_parity_error",
    }
    assert set(fields(bridge_table(port=0, **SIZES))) - set(documented) == only_upstream
    assert {place.entry.name for place in BRIDGE.places()} >= STICKY


def test_events_have_fields_of_their_names():
    status = {name.partition(".")[2] for name in fields(BRIDGE) if "uncorrectable_status" in name}
    assert status == set(ERRORS)
