"""What the opcodes of InfiniBand transport mean, and the codes of its acknowledgements."""

from .table import decode, header_bytes

__all__ = ["ETHERTYPES", "IP_PROTOCOLS", "NAKS", "OPCODES", "UDP_PORTS", "extensions", "transport"]

_OPERATIONS = [
    ("SEND_FIRST", ""),
    ("SEND_MIDDLE", ""),
    ("SEND_LAST", ""),
    ("SEND_LAST_WITH_IMMEDIATE", "immdt"),
    ("SEND_ONLY", ""),
    ("SEND_ONLY_WITH_IMMEDIATE", "immdt"),
    ("RDMA_WRITE_FIRST", "reth"),
    ("RDMA_WRITE_MIDDLE", ""),
    ("RDMA_WRITE_LAST", ""),
    ("RDMA_WRITE_LAST_WITH_IMMEDIATE", "immdt"),
    ("RDMA_WRITE_ONLY", "reth"),
    ("RDMA_WRITE_ONLY_WITH_IMMEDIATE", "reth immdt"),
    ("RDMA_READ_REQUEST", "reth"),
    ("RDMA_READ_RESPONSE_FIRST", "aeth"),
    ("RDMA_READ_RESPONSE_MIDDLE", ""),
    ("RDMA_READ_RESPONSE_LAST", "aeth"),
    ("RDMA_READ_RESPONSE_ONLY", "aeth"),
    ("ACKNOWLEDGE", "aeth"),
    ("ATOMIC_ACKNOWLEDGE", "aeth atomic_ack_eth"),
    ("COMPARE_SWAP", "atomic_eth"),
    ("FETCH_ADD", "atomic_eth"),
    ("RESYNC", ""),
    ("SEND_LAST_WITH_INVALIDATE", "ieth"),
    ("SEND_ONLY_WITH_INVALIDATE", "ieth"),
]
# Bits 7:5 of the opcode, the operations in bits 4:0, and what requests and responses begin with.
_TRANSPORTS = {
    "RC": (0, {*range(0x15), 0x16, 0x17}, "", ""),
    "UC": (1, {*range(0x0C)}, "", ""),
    "RD": (2, {*range(0x16)}, "rdeth deth", "rdeth"),
    "UD": (3, {4, 5}, "deth", ""),
    "XRC": (5, {*range(0x15), 0x16, 0x17}, "xrceth", ""),
}
_RESPONSES = range(0x0D, 0x13)

ETHERTYPES = {
    "IPV4": 0x0800,
    "ARP": 0x0806,
    "TRANSPARENT_ETHERNET_BRIDGING": 0x6558,
    "VLAN": 0x8100,
    "IPV6": 0x86DD,
    "MAC_CONTROL": 0x8808,
    "MPLS": 0x8847,
    "SERVICE_VLAN": 0x88A8,
    "LLDP": 0x88CC,
    "PTP": 0x88F7,
    "ROCE_V1": 0x8915,
}
IP_PROTOCOLS = {
    "HOP_BY_HOP": 0,
    "ICMP": 1,
    "IPV4": 4,
    "TCP": 6,
    "UDP": 17,
    "IPV6": 41,
    "ROUTING": 43,
    "FRAGMENT": 44,
    "GRE": 47,
    "ENCAPSULATING_SECURITY_PAYLOAD": 50,
    "AUTHENTICATION": 51,
    "ICMPV6": 58,
    "NO_NEXT_HEADER": 59,
    "DESTINATION_OPTIONS": 60,
}
UDP_PORTS = {"VXLAN": 4789, "ROCE_V2": 4791, "GENEVE": 6081}

#: AETH syndromes that refuse a request for good, by their names.
NAKS = {
    0x60: "PSN_SEQUENCE_ERROR",
    0x61: "INVALID_REQUEST",
    0x62: "REMOTE_ACCESS_ERROR",
    0x63: "REMOTE_OPERATIONAL_ERROR",
    0x64: "INVALID_RD_REQUEST",
}

#: Names of the opcodes that exist.
OPCODES = {0x81: "CNP"} | {
    group << 5 | code: f"{name}_{_OPERATIONS[code][0]}"
    for name, (group, codes, _, _) in _TRANSPORTS.items()
    for code in sorted(codes)
}


def extensions(opcode: int) -> list[str]:
    """Names of the headers between BTH and payload; KeyError for an opcode that does not exist."""
    if OPCODES[opcode] == "CNP":
        return ["cnp"]
    _, _, request, response = _TRANSPORTS[OPCODES[opcode].split("_")[0]]
    prefix = response if opcode & 31 in _RESPONSES else request
    return f"{prefix} {_OPERATIONS[opcode & 31][1]}".split()


def transport(data: bytes) -> tuple[dict[str, dict[str, int]], bytes]:
    """Fields of each header from the BTH on, and the bytes after the last (payload and ICRC)."""
    headers = {"bth": decode("bth", data)}
    data = data[header_bytes("bth") :]
    for name in extensions(headers["bth"]["opcode"]):
        headers[name] = decode(name, data)
        data = data[header_bytes(name) :]
    return headers, data
