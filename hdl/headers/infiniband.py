"""InfiniBand transport headers, as RoCEv2 carries them in UDP."""

from amaranth.lib import enum

from .table import Header, HeaderField

__all__ = [
    "AETH",
    "ATOMIC_ACK_ETH",
    "ATOMIC_ETH",
    "BTH",
    "CNP",
    "DETH",
    "EXTENSIONS",
    "ICRC",
    "IETH",
    "IMMDT",
    "RDETH",
    "RETH",
    "XRCETH",
    "NakCode",
    "Opcode",
    "SyndromeClass",
]

_VOLUME = "IBTA Architecture Specification volume 1 release 1.5"


class Opcode(enum.IntEnum, shape=8):
    """Values of ``BTH.opcode`` (IBTA vol 1 9.2.1; CNP: Annex A17.9.3)."""

    RC_SEND_FIRST = 0x00
    RC_SEND_MIDDLE = 0x01
    RC_SEND_LAST = 0x02
    RC_SEND_LAST_WITH_IMMEDIATE = 0x03
    RC_SEND_ONLY = 0x04
    RC_SEND_ONLY_WITH_IMMEDIATE = 0x05
    RC_RDMA_WRITE_FIRST = 0x06
    RC_RDMA_WRITE_MIDDLE = 0x07
    RC_RDMA_WRITE_LAST = 0x08
    RC_RDMA_WRITE_LAST_WITH_IMMEDIATE = 0x09
    RC_RDMA_WRITE_ONLY = 0x0A
    RC_RDMA_WRITE_ONLY_WITH_IMMEDIATE = 0x0B
    RC_RDMA_READ_REQUEST = 0x0C
    RC_RDMA_READ_RESPONSE_FIRST = 0x0D
    RC_RDMA_READ_RESPONSE_MIDDLE = 0x0E
    RC_RDMA_READ_RESPONSE_LAST = 0x0F
    RC_RDMA_READ_RESPONSE_ONLY = 0x10
    RC_ACKNOWLEDGE = 0x11
    RC_ATOMIC_ACKNOWLEDGE = 0x12
    RC_COMPARE_SWAP = 0x13
    RC_FETCH_ADD = 0x14
    RC_SEND_LAST_WITH_INVALIDATE = 0x16
    RC_SEND_ONLY_WITH_INVALIDATE = 0x17

    UC_SEND_FIRST = 0x20
    UC_SEND_MIDDLE = 0x21
    UC_SEND_LAST = 0x22
    UC_SEND_LAST_WITH_IMMEDIATE = 0x23
    UC_SEND_ONLY = 0x24
    UC_SEND_ONLY_WITH_IMMEDIATE = 0x25
    UC_RDMA_WRITE_FIRST = 0x26
    UC_RDMA_WRITE_MIDDLE = 0x27
    UC_RDMA_WRITE_LAST = 0x28
    UC_RDMA_WRITE_LAST_WITH_IMMEDIATE = 0x29
    UC_RDMA_WRITE_ONLY = 0x2A
    UC_RDMA_WRITE_ONLY_WITH_IMMEDIATE = 0x2B

    RD_SEND_FIRST = 0x40
    RD_SEND_MIDDLE = 0x41
    RD_SEND_LAST = 0x42
    RD_SEND_LAST_WITH_IMMEDIATE = 0x43
    RD_SEND_ONLY = 0x44
    RD_SEND_ONLY_WITH_IMMEDIATE = 0x45
    RD_RDMA_WRITE_FIRST = 0x46
    RD_RDMA_WRITE_MIDDLE = 0x47
    RD_RDMA_WRITE_LAST = 0x48
    RD_RDMA_WRITE_LAST_WITH_IMMEDIATE = 0x49
    RD_RDMA_WRITE_ONLY = 0x4A
    RD_RDMA_WRITE_ONLY_WITH_IMMEDIATE = 0x4B
    RD_RDMA_READ_REQUEST = 0x4C
    RD_RDMA_READ_RESPONSE_FIRST = 0x4D
    RD_RDMA_READ_RESPONSE_MIDDLE = 0x4E
    RD_RDMA_READ_RESPONSE_LAST = 0x4F
    RD_RDMA_READ_RESPONSE_ONLY = 0x50
    RD_ACKNOWLEDGE = 0x51
    RD_ATOMIC_ACKNOWLEDGE = 0x52
    RD_COMPARE_SWAP = 0x53
    RD_FETCH_ADD = 0x54
    RD_RESYNC = 0x55

    UD_SEND_ONLY = 0x64
    UD_SEND_ONLY_WITH_IMMEDIATE = 0x65

    CNP = 0x81

    XRC_SEND_FIRST = 0xA0
    XRC_SEND_MIDDLE = 0xA1
    XRC_SEND_LAST = 0xA2
    XRC_SEND_LAST_WITH_IMMEDIATE = 0xA3
    XRC_SEND_ONLY = 0xA4
    XRC_SEND_ONLY_WITH_IMMEDIATE = 0xA5
    XRC_RDMA_WRITE_FIRST = 0xA6
    XRC_RDMA_WRITE_MIDDLE = 0xA7
    XRC_RDMA_WRITE_LAST = 0xA8
    XRC_RDMA_WRITE_LAST_WITH_IMMEDIATE = 0xA9
    XRC_RDMA_WRITE_ONLY = 0xAA
    XRC_RDMA_WRITE_ONLY_WITH_IMMEDIATE = 0xAB
    XRC_RDMA_READ_REQUEST = 0xAC
    XRC_RDMA_READ_RESPONSE_FIRST = 0xAD
    XRC_RDMA_READ_RESPONSE_MIDDLE = 0xAE
    XRC_RDMA_READ_RESPONSE_LAST = 0xAF
    XRC_RDMA_READ_RESPONSE_ONLY = 0xB0
    XRC_ACKNOWLEDGE = 0xB1
    XRC_ATOMIC_ACKNOWLEDGE = 0xB2
    XRC_COMPARE_SWAP = 0xB3
    XRC_FETCH_ADD = 0xB4
    XRC_SEND_LAST_WITH_INVALIDATE = 0xB6
    XRC_SEND_ONLY_WITH_INVALIDATE = 0xB7


class SyndromeClass(enum.IntEnum, shape=2):
    """Bits 6:5 of ``AETH.syndrome`` (IBTA vol 1 9.7.5.2); bit 7 is reserved.

    Bits 4:0 are a credit count, an RNR timer or a :class:`NakCode`.
    """

    ACK = 0
    RNR_NAK = 1
    RESERVED = 2
    NAK = 3


class NakCode(enum.IntEnum, shape=5):
    """Bits 4:0 of ``AETH.syndrome`` in a NAK (IBTA vol 1 9.7.5.2)."""

    PSN_SEQUENCE_ERROR = 0
    INVALID_REQUEST = 1
    REMOTE_ACCESS_ERROR = 2
    REMOTE_OPERATIONAL_ERROR = 3
    INVALID_RD_REQUEST = 4


BTH = Header(
    name="bth",
    specification=f"{_VOLUME} 9.2",
    fields=(
        HeaderField("opcode", 8, "9.2.1"),
        HeaderField("solicited_event", 1, "9.2, SE"),
        HeaderField("mig_req", 1, "9.2, M"),
        HeaderField("pad_count", 2, "9.2, PadCnt"),
        HeaderField("transport_header_version", 4, "9.2, TVer"),
        HeaderField("p_key", 16, "9.2"),
        HeaderField("fecn", 1, "9.2, F; Annex A17.9.3 of RoCEv2"),
        HeaderField("becn", 1, "9.2, B; Annex A17.9.3 of RoCEv2"),
        HeaderField("reserved_6", 6, "9.2, resv6"),
        HeaderField("dest_qp", 24, "9.2"),
        HeaderField("ack_req", 1, "9.2, A"),
        HeaderField("reserved_7", 7, "9.2, resv7"),
        HeaderField("psn", 24, "9.2"),
    ),
)

RDETH = Header(
    name="rdeth",
    specification=f"{_VOLUME} 9.3.1",
    fields=(
        HeaderField("reserved", 8, "9.3.1"),
        HeaderField("ee_context", 24, "9.3.1"),
    ),
)

DETH = Header(
    name="deth",
    specification=f"{_VOLUME} 9.3.2",
    fields=(
        HeaderField("q_key", 32, "9.3.2"),
        HeaderField("reserved", 8, "9.3.2"),
        HeaderField("src_qp", 24, "9.3.2"),
    ),
)

XRCETH = Header(
    name="xrceth",
    specification=f"{_VOLUME} Annex A14",
    fields=(
        HeaderField("reserved", 8, "A14"),
        HeaderField("xrc_srq", 24, "A14"),
    ),
)

RETH = Header(
    name="reth",
    specification=f"{_VOLUME} 9.3.3",
    fields=(
        HeaderField("virtual_address", 64, "9.3.3.1"),
        HeaderField("r_key", 32, "9.3.3.2"),
        HeaderField("dma_length", 32, "9.3.3.3"),
    ),
)

ATOMIC_ETH = Header(
    name="atomic_eth",
    specification=f"{_VOLUME} 9.3.4",
    fields=(
        HeaderField("virtual_address", 64, "9.3.4"),
        HeaderField("r_key", 32, "9.3.4"),
        HeaderField("swap_or_add_data", 64, "9.3.4, SwapDt"),
        HeaderField("compare_data", 64, "9.3.4, CmpDt"),
    ),
)

AETH = Header(
    name="aeth",
    specification=f"{_VOLUME} 9.3.5",
    fields=(
        HeaderField("syndrome", 8, "9.3.5"),
        HeaderField("msn", 24, "9.3.5"),
    ),
)

ATOMIC_ACK_ETH = Header(
    name="atomic_ack_eth",
    specification=f"{_VOLUME} 9.3",
    fields=(HeaderField("original_remote_data", 64, "9.3, OrigRemDt"),),
)

IMMDT = Header(
    name="immdt",
    specification=f"{_VOLUME} 9.3",
    fields=(HeaderField("immediate_data", 32, "9.3, ImmDt"),),
)

IETH = Header(
    name="ieth",
    specification=f"{_VOLUME} 9.3",
    fields=(HeaderField("r_key", 32, "9.3, IETH"),),
)

#: Follows the BTH of a congestion notification packet.
CNP = Header(
    name="cnp",
    specification=f"{_VOLUME} Annex A17.9.3",
    fields=(HeaderField("reserved", 128, "A17.9.3"),),
)

#: Last on the wire. It is no header, but a CRC sent least significant byte first (7.8.1), so
#: that ``extract`` gives its bytes in reverse.
ICRC = Header(
    name="icrc",
    specification=f"{_VOLUME} 7.8.1",
    fields=(HeaderField("icrc", 32, "7.8.1"),),
)


def _extensions() -> dict[Opcode, tuple[Header, ...]]:
    """Find the headers that follow the BTH of each opcode (IBTA vol 1 9.2.1)."""
    own = {
        "RDMA_WRITE_FIRST": (RETH,),
        "RDMA_WRITE_ONLY": (RETH,),
        "RDMA_WRITE_ONLY_WITH_IMMEDIATE": (RETH, IMMDT),
        "RDMA_WRITE_LAST_WITH_IMMEDIATE": (IMMDT,),
        "SEND_LAST_WITH_IMMEDIATE": (IMMDT,),
        "SEND_ONLY_WITH_IMMEDIATE": (IMMDT,),
        "SEND_LAST_WITH_INVALIDATE": (IETH,),
        "SEND_ONLY_WITH_INVALIDATE": (IETH,),
        "RDMA_READ_REQUEST": (RETH,),
        "RDMA_READ_RESPONSE_FIRST": (AETH,),
        "RDMA_READ_RESPONSE_LAST": (AETH,),
        "RDMA_READ_RESPONSE_ONLY": (AETH,),
        "ACKNOWLEDGE": (AETH,),
        "ATOMIC_ACKNOWLEDGE": (AETH, ATOMIC_ACK_ETH),
        "COMPARE_SWAP": (ATOMIC_ETH,),
        "FETCH_ADD": (ATOMIC_ETH,),
    }
    requests = {"RC": (), "UC": (), "RD": (RDETH, DETH), "UD": (DETH,), "XRC": (XRCETH,)}
    responses = {"RC": (), "RD": (RDETH,), "XRC": ()}
    extensions = {}
    for opcode in Opcode:
        transport, _, operation = opcode.name.partition("_")
        if opcode is Opcode.CNP:
            extensions[opcode] = (CNP,)
        elif "RESPONSE" in operation or "ACKNOWLEDGE" in operation:
            extensions[opcode] = (*responses[transport], *own.get(operation, ()))
        else:
            extensions[opcode] = (*requests[transport], *own.get(operation, ()))
    return extensions


#: For each opcode, the headers between BTH and payload, in order.
EXTENSIONS = _extensions()
