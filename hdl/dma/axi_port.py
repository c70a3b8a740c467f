"""AXI4: signatures of its channels, seen from the manager, and what its responses say."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .memory_port import MemoryStatus

__all__ = [
    "BURST_INCR",
    "CACHE",
    "MAX_BURST_BEATS",
    "Axi4ReadSignature",
    "Axi4Signature",
    "Axi4WriteSignature",
    "check_axi_sizes",
    "longest_burst_bytes",
    "status_of",
]

#: AxBURST: each beat follows the one before (A3.4.1).
BURST_INCR = 0b01
#: AxCACHE: Normal, Non-cacheable, Bufferable (A4.4): the answer may come from on the way.
CACHE = 0b0011
#: Beats of an INCR burst (A3.4.1).
MAX_BURST_BEATS = 256

#: Bytes that no burst crosses (A3.4.1).
_PAGE_BYTES = 4096


def check_axi_sizes(*, client_count: int, data_bytes: int) -> None:
    """Raise ValueError if there cannot be an engine of this size."""
    if not 2 <= client_count <= 16:
        raise ValueError(f"client_count must be 2 to 16, not {client_count!r}")
    if data_bytes not in (8, 32, 64, 128):
        raise ValueError(f"data_bytes must be 8, 32, 64 or 128, not {data_bytes!r}")


def longest_burst_bytes(data_bytes: int) -> int:
    """Bytes of the longest burst: 256 beats, and not more than 4 KB."""
    return min(_PAGE_BYTES, MAX_BURST_BEATS * data_bytes)


def status_of(resp: Value) -> Value:
    """Tell what RRESP or BRESP means (A3.4.4): OKAY, EXOKAY, SLVERR, DECERR."""
    failure = Mux(resp[0], MemoryStatus.UNSUPPORTED, MemoryStatus.ABORT)
    return Mux(resp[1], failure, MemoryStatus.OK)


def _address_members(prefix: str, address_bits: int, id_bits: int) -> dict[str, wiring.Member]:
    widths = {
        "id": id_bits,
        "addr": address_bits,
        "len": 8,
        "size": 3,
        "burst": 2,
        "lock": 1,
        "cache": 4,
        "prot": 3,
        "qos": 4,
        "region": 4,
        "valid": 1,
    }
    members = {f"{prefix}{name}": Out(width) for name, width in widths.items()}
    return {**members, f"{prefix}ready": In(1)}


class Axi4ReadSignature(wiring.Signature):
    """Read channels of AXI4, seen from the manager: names and meanings are the specification's.

    Specification: Arm IHI 0022, AMBA AXI and ACE, A2.5 and A2.6; without user signals.

    Parameters
    ----------
    address_bits, data_bytes, id_bits : int
        Bits of ARADDR, bytes of RDATA, bits of ARID and RID.

    Members
    -------
    arid, araddr, arlen, arsize, arburst, arlock, arcache, arprot, arqos, arregion, arvalid : Out
        What to read.
    arready : In(1)
        It is taken.
    rid, rdata, rresp, rlast, rvalid : In
        A beat.
    rready : Out(1)
        It is taken.
    """

    def __init__(self, *, address_bits: int, data_bytes: int, id_bits: int):
        super().__init__(
            {
                **_address_members("ar", address_bits, id_bits),
                "rid": In(id_bits),
                "rdata": In(8 * data_bytes),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class Axi4WriteSignature(wiring.Signature):
    """Write channels of AXI4, seen from the manager: names and meanings are the specification's.

    Specification: Arm IHI 0022, AMBA AXI and ACE, A2.2 to A2.4; without user signals.

    Parameters
    ----------
    address_bits, data_bytes, id_bits : int
        Bits of AWADDR, bytes of WDATA, bits of AWID and BID.

    Members
    -------
    awid, awaddr, awlen, awsize, awburst, awlock, awcache, awprot, awqos, awregion, awvalid : Out
        What to write.
    awready : In(1)
        It is taken.
    wdata, wstrb, wlast, wvalid : Out
        A beat.
    wready : In(1)
        It is taken.
    bid, bresp, bvalid : In
        What came of a burst.
    bready : Out(1)
        It is taken.
    """

    def __init__(self, *, address_bits: int, data_bytes: int, id_bits: int):
        super().__init__(
            {
                **_address_members("aw", address_bits, id_bits),
                "wdata": Out(8 * data_bytes),
                "wstrb": Out(data_bytes),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bid": In(id_bits),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
            }
        )


class Axi4Signature(wiring.Signature):
    """All channels of AXI4, seen from the manager: names and meanings are the specification's.

    Specification: Arm IHI 0022, AMBA AXI and ACE, A2; without user signals.

    Parameters
    ----------
    address_bits, data_bytes, id_bits : int
        Bits of the addresses, bytes of a beat, bits of the IDs.

    Members
    -------
    aw..., w..., b... : as of :class:`Axi4WriteSignature`
        Write channels.
    ar..., r... : as of :class:`Axi4ReadSignature`
        Read channels.
    """

    def __init__(self, *, address_bits: int, data_bytes: int, id_bits: int):
        sizes = {"address_bits": address_bits, "data_bytes": data_bytes, "id_bits": id_bits}
        super().__init__(
            {**Axi4WriteSignature(**sizes).members, **Axi4ReadSignature(**sizes).members}
        )
