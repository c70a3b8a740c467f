"""Headers as one line each, and what their bytes mean."""

from collections.abc import Mapping

__all__ = ["FORMATS", "decode", "encode", "header_bytes", "widths"]

#: For each header, its fields as ``name:bits`` in wire order.
FORMATS = {
    "ethernet": "destination_address:48 source_address:48 ethertype:16",
    "vlan_tag": "pcp:3 dei:1 vid:12 ethertype:16",
    "arp": "hardware_type:16 protocol_type:16 hardware_length:8 protocol_length:8 operation:16 "
    "sender_hardware_address:48 sender_protocol_address:32 "
    "target_hardware_address:48 target_protocol_address:32",
    "mac_control": "opcode:16",
    "pause": "pause_time:16",
    "pfc": "reserved:8 priority_enable_vector:8 "
    "time_0:16 time_1:16 time_2:16 time_3:16 time_4:16 time_5:16 time_6:16 time_7:16",
    "ipv4": "version:4 ihl:4 dscp:6 ecn:2 total_length:16 identification:16 reserved:1 "
    "dont_fragment:1 more_fragments:1 fragment_offset:13 time_to_live:8 protocol:8 "
    "header_checksum:16 source_address:32 destination_address:32",
    "ipv4_option": "copied_flag:1 option_class:2 option_number:5 option_length:8",
    "ipv6": "version:4 dscp:6 ecn:2 flow_label:20 payload_length:16 next_header:8 hop_limit:8 "
    "source_address:128 destination_address:128",
    "ipv6_hop_by_hop": "next_header:8 hdr_ext_len:8",
    "ipv6_destination_options": "next_header:8 hdr_ext_len:8",
    "ipv6_routing": "next_header:8 hdr_ext_len:8 routing_type:8 segments_left:8",
    "ipv6_fragment": "next_header:8 reserved:8 fragment_offset:13 res:2 m_flag:1 identification:32",
    "ipv6_authentication": "next_header:8 payload_len:8 reserved:16 spi:32 sequence_number:32",
    "udp": "source_port:16 destination_port:16 length:16 checksum:16",
    "tcp": "source_port:16 destination_port:16 sequence_number:32 acknowledgment_number:32 "
    "data_offset:4 reserved:4 cwr:1 ece:1 urg:1 ack:1 psh:1 rst:1 syn:1 fin:1 window:16 "
    "checksum:16 urgent_pointer:16",
    "icmp": "type:8 code:8 checksum:16 identifier:16 sequence_number:16",
    "icmpv6": "type:8 code:8 checksum:16 identifier:16 sequence_number:16",
    "vxlan": "reserved_flags_high:4 i_flag:1 reserved_flags_low:3 reserved_1:24 vni:24 "
    "reserved_2:8",
    "geneve": "version:2 opt_len:6 control:1 critical:1 reserved_1:6 protocol_type:16 vni:24 "
    "reserved_2:8",
    "geneve_option": "option_class:16 type:8 reserved:3 length:5",
    "gre": "c_flag:1 r_flag:1 k_flag:1 s_flag:1 reserved_0:9 version:3 protocol_type:16",
    "gre_checksum": "checksum:16 reserved_1:16",
    "gre_key": "key:32",
    "gre_sequence": "sequence_number:32",
    "bth": "opcode:8 solicited_event:1 mig_req:1 pad_count:2 transport_header_version:4 p_key:16 "
    "fecn:1 becn:1 reserved_6:6 dest_qp:24 ack_req:1 reserved_7:7 psn:24",
    "rdeth": "reserved:8 ee_context:24",
    "deth": "q_key:32 reserved:8 src_qp:24",
    "xrceth": "reserved:8 xrc_srq:24",
    "reth": "virtual_address:64 r_key:32 dma_length:32",
    "atomic_eth": "virtual_address:64 r_key:32 swap_or_add_data:64 compare_data:64",
    "aeth": "syndrome:8 msn:24",
    "atomic_ack_eth": "original_remote_data:64",
    "immdt": "immediate_data:32",
    "ieth": "r_key:32",
    "cnp": "reserved:128",
    "icrc": "icrc:32",
}


def widths(name: str) -> dict[str, int]:
    """Bits of each field of header ``name``, in wire order."""
    pairs = (word.split(":") for word in FORMATS[name].split())
    return {field: int(bits) for field, bits in pairs}


def header_bytes(name: str) -> int:
    """Bytes of header ``name``, without options."""
    return sum(widths(name).values()) // 8


def decode(name: str, data: bytes) -> dict[str, int]:
    """Fields of the header at the start of ``data``; ValueError if it is cut off."""
    size = header_bytes(name)
    if len(data) < size:
        raise ValueError(f"{name} has {size} bytes, of which {len(data)} are there")
    bits = "".join(f"{byte:08b}" for byte in data[:size])
    fields = {}
    for field, width in widths(name).items():
        fields[field], bits = int(bits[:width], 2), bits[width:]
    return fields


def encode(name: str, fields: Mapping[str, int]) -> bytes:
    """Bytes of a header; a field left out is 0, ValueError for one unknown or too large."""
    known = widths(name)
    if unknown := set(fields) - set(known):
        raise ValueError(f"{name} has no field {sorted(unknown)}")
    value = 0
    for field, width in known.items():
        number = fields.get(field, 0)
        if not 0 <= number < 1 << width:
            raise ValueError(f"{name}.{field} has {width} bits, too few for {number:#x}")
        value = value << width | number
    return value.to_bytes(header_bytes(name), "big")
