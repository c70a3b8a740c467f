"""Both tables of headers against each other and against scapy."""

import random
from pathlib import Path

import pytest
from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data as layouts
from amaranth.sim import Simulator
from scapy.contrib.geneve import GENEVE as ScapyGeneve
from scapy.contrib.geneve import GeneveOptions
from scapy.contrib.mac_control import MACControlClassBasedFlowControl, MACControlPause
from scapy.contrib.roce import AETH as ScapyAeth
from scapy.contrib.roce import BTH as ScapyBth
from scapy.contrib.roce import GRH, CNPPadding
from scapy.layers.inet import ICMP as ScapyIcmp
from scapy.layers.inet import IP, IPOption
from scapy.layers.inet import TCP as ScapyTcp
from scapy.layers.inet import UDP as ScapyUdp
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP as ScapyArp
from scapy.layers.l2 import GRE as ScapyGre
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN as ScapyVxlan
from scapy.packet import Packet
from scapy.utils import RawPcapReader

from hdl.headers import HEADERS, Header, HeaderField, Length
from sim.headers import FORMATS, decode, encode, header_bytes, widths

CAPTURES = Path(__file__).parents[2] / "data" / "captures"


def mac(value: int) -> str:
    return ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))


def ipv4_address(value: int) -> str:
    return ".".join(str(byte) for byte in value.to_bytes(4, "big"))


def ipv6_address(value: int) -> str:
    return ":".join(f"{value >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))


def traffic_class(f: dict[str, int]) -> int:
    return f["dscp"] << 2 | f["ecn"]


def vlan_tag(layer: type[Packet], f: dict[str, int]) -> Packet:
    return layer(prio=f["pcp"], dei=f["dei"], vlan=f["vid"], type=f["ethertype"])


def ethernet(f: dict[str, int]) -> Packet:
    destination, source = mac(f["destination_address"]), mac(f["source_address"])
    return Ether(dst=destination, src=source, type=f["ethertype"])


def arp(f: dict[str, int]) -> Packet:
    # scapy writes MAC and IPv4 addresses where the type fields say so.
    f |= {"hardware_type": 1, "protocol_type": 0x800, "hardware_length": 6, "protocol_length": 4}
    return ScapyArp(
        hwtype=f["hardware_type"],
        ptype=f["protocol_type"],
        hwlen=f["hardware_length"],
        plen=f["protocol_length"],
        op=f["operation"],
        hwsrc=mac(f["sender_hardware_address"]),
        psrc=ipv4_address(f["sender_protocol_address"]),
        hwdst=mac(f["target_hardware_address"]),
        pdst=ipv4_address(f["target_protocol_address"]),
    )


def pfc(f: dict[str, int]) -> Packet:
    enabled = {f"c{n}_enabled": f["priority_enable_vector"] >> n & 1 for n in range(8)}
    times = {f"c{n}_pause_time": f[f"time_{n}"] for n in range(8)}
    return MACControlClassBasedFlowControl(_reserved=f["reserved"], **enabled, **times)


def ipv4(f: dict[str, int]) -> Packet:
    return IP(
        version=f["version"],
        ihl=f["ihl"],
        tos=traffic_class(f),
        len=f["total_length"],
        id=f["identification"],
        flags=f["reserved"] << 2 | f["dont_fragment"] << 1 | f["more_fragments"],
        frag=f["fragment_offset"],
        ttl=f["time_to_live"],
        proto=f["protocol"],
        chksum=f["header_checksum"],
        src=ipv4_address(f["source_address"]),
        dst=ipv4_address(f["destination_address"]),
    )


def ipv4_option(f: dict[str, int]) -> Packet:
    return IPOption(
        copy_flag=f["copied_flag"],
        optclass=f["option_class"],
        option=f["option_number"],
        length=f["option_length"],
    )


def ipv6(f: dict[str, int]) -> Packet:
    return IPv6(
        version=f["version"],
        tc=traffic_class(f),
        fl=f["flow_label"],
        plen=f["payload_length"],
        nh=f["next_header"],
        hlim=f["hop_limit"],
        src=ipv6_address(f["source_address"]),
        dst=ipv6_address(f["destination_address"]),
    )


def ipv6_routing(f: dict[str, int]) -> Packet:
    return IPv6ExtHdrRouting(
        nh=f["next_header"],
        len=f["hdr_ext_len"],
        type=f["routing_type"],
        segleft=f["segments_left"],
    )


def ipv6_fragment(f: dict[str, int]) -> Packet:
    return IPv6ExtHdrFragment(
        nh=f["next_header"],
        res1=f["reserved"],
        offset=f["fragment_offset"],
        res2=f["res"],
        m=f["m_flag"],
        id=f["identification"],
    )


def ipv6_authentication(f: dict[str, int]) -> Packet:
    return AH(
        nh=f["next_header"],
        payloadlen=f["payload_len"],
        reserved=f["reserved"],
        spi=f["spi"],
        seq=f["sequence_number"],
    )


def udp(f: dict[str, int]) -> Packet:
    return ScapyUdp(
        sport=f["source_port"], dport=f["destination_port"], len=f["length"], chksum=f["checksum"]
    )


def tcp(f: dict[str, int]) -> Packet:
    flags = f["reserved"] & 1  # scapy takes the last reserved bit for a ninth flag
    for flag in ("cwr", "ece", "urg", "ack", "psh", "rst", "syn", "fin"):
        flags = flags << 1 | f[flag]
    return ScapyTcp(
        sport=f["source_port"],
        dport=f["destination_port"],
        seq=f["sequence_number"],
        ack=f["acknowledgment_number"],
        dataofs=f["data_offset"],
        reserved=f["reserved"] >> 1,
        flags=flags,
        window=f["window"],
        chksum=f["checksum"],
        urgptr=f["urgent_pointer"],
    )


def icmp(f: dict[str, int]) -> Packet:
    f["type"] = 8
    return ScapyIcmp(
        type=8,
        code=f["code"],
        chksum=f["checksum"],
        id=f["identifier"],
        seq=f["sequence_number"],
    )


def icmpv6(f: dict[str, int]) -> Packet:
    return ICMPv6EchoRequest(
        type=f["type"],
        code=f["code"],
        cksum=f["checksum"],
        id=f["identifier"],
        seq=f["sequence_number"],
    )


def vxlan(f: dict[str, int]) -> Packet:
    # With the G or the next-protocol flag, scapy takes the reserved bytes for extensions'.
    f |= {"reserved_flags_high": f["reserved_flags_high"] & 7, "reserved_flags_low": 0}
    return ScapyVxlan(
        flags=f["reserved_flags_high"] << 4 | f["i_flag"] << 3,
        reserved1=f["reserved_1"],
        vni=f["vni"],
        reserved2=f["reserved_2"],
    )


def geneve(f: dict[str, int]) -> Packet:
    return ScapyGeneve(
        version=f["version"],
        optionlen=f["opt_len"],
        oam=f["control"],
        critical=f["critical"],
        reserved=f["reserved_1"],
        proto=f["protocol_type"],
        vni=f["vni"],
        reserved2=f["reserved_2"],
    )


def geneve_option(f: dict[str, int]) -> Packet:
    return GeneveOptions(
        classid=f["option_class"], type=f["type"], reserved=f["reserved"], length=f["length"]
    )


def gre(f: dict[str, int]) -> Packet:
    return ScapyGre(
        chksum_present=f["c_flag"],
        routing_present=f["r_flag"],
        key_present=f["k_flag"],
        seqnum_present=f["s_flag"],
        strict_route_source=f["reserved_0"] >> 8,
        recursion_control=f["reserved_0"] >> 5 & 7,
        flags=f["reserved_0"] & 31,
        version=f["version"],
        proto=f["protocol_type"],
        chksum=0,
    )


def after_gre(f: dict[str, int]) -> bytes:
    """Write the optional words of a GRE header that have their fields in ``f``."""
    whole = ScapyGre(
        chksum_present="checksum" in f,
        key_present="key" in f,
        seqnum_present="sequence_number" in f,
        chksum=f.get("checksum"),
        offset=f.get("reserved_1"),
        key=f.get("key"),
        sequence_number=f.get("sequence_number"),
    )
    return bytes(whole)[4:]


def bth(f: dict[str, int]) -> Packet:
    return ScapyBth(
        opcode=f["opcode"],
        solicited=f["solicited_event"],
        migreq=f["mig_req"],
        padcount=f["pad_count"],
        version=f["transport_header_version"],
        pkey=f["p_key"],
        fecn=f["fecn"],
        becn=f["becn"],
        resv6=f["reserved_6"],
        dqpn=f["dest_qp"],
        ackreq=f["ack_req"],
        resv7=f["reserved_7"],
        psn=f["psn"],
        icrc=0,
    )


def cnp(f: dict[str, int]) -> Packet:
    return CNPPadding(reserved1=f["reserved"] >> 64, reserved2=f["reserved"] & (1 << 64) - 1)


#: What scapy makes of the fields; it may change those that it cannot set freely.
SCAPY = {
    "ethernet": ethernet,
    "vlan_tag": lambda f: vlan_tag(Dot1Q, f),
    "vlan_tag (802.1ad)": lambda f: vlan_tag(Dot1AD, f),
    "arp": arp,
    "mac_control": lambda f: MACControlPause(_op_code=f["opcode"]),
    "pause": lambda f: bytes(MACControlPause(pause_time=f["pause_time"]))[2:],
    "pfc": lambda f: bytes(pfc(f))[2:],
    "ipv4": ipv4,
    "ipv4_option": ipv4_option,
    "ipv6": ipv6,
    "ipv6_hop_by_hop": lambda f: IPv6ExtHdrHopByHop(nh=f["next_header"], len=f["hdr_ext_len"]),
    "ipv6_destination_options": lambda f: IPv6ExtHdrDestOpt(
        nh=f["next_header"], len=f["hdr_ext_len"]
    ),
    "ipv6_routing": ipv6_routing,
    "ipv6_fragment": ipv6_fragment,
    "ipv6_authentication": ipv6_authentication,
    "udp": udp,
    "tcp": tcp,
    "icmp": icmp,
    "icmpv6": icmpv6,
    "vxlan": vxlan,
    "geneve": geneve,
    "geneve_option": geneve_option,
    "gre": gre,
    "gre_checksum": after_gre,
    "gre_key": after_gre,
    "gre_sequence": after_gre,
    "bth": bth,
    "aeth": lambda f: ScapyAeth(syndrome=f["syndrome"], msn=f["msn"]),
    "cnp": cnp,
}
#: Headers that scapy does not know; test_infiniband.py reads them in captures.
NOT_IN_SCAPY = {
    "rdeth",
    "deth",
    "xrceth",
    "reth",
    "atomic_eth",
    "atomic_ack_eth",
    "immdt",
    "ieth",
    "icrc",
}


def random_fields(name: str, seed: int) -> dict[str, int]:
    # Corners, too: all zero, all ones.
    if seed < 2:
        return {field: seed * ((1 << bits) - 1) for field, bits in widths(name).items()}
    generator = random.Random(f"{name} {seed}")
    return {field: generator.getrandbits(bits) for field, bits in widths(name).items()}


def test_scapy_knows_every_other_header():
    assert {name.split()[0] for name in SCAPY} | NOT_IN_SCAPY == set(FORMATS)


@pytest.mark.parametrize("name", SCAPY)
def test_scapy_writes_the_same_bytes(name):
    header = name.split()[0]
    for seed in range(40):
        fields = random_fields(header, seed)
        data = bytes(SCAPY[name](fields))[: header_bytes(header)]
        assert encode(header, fields) == data
        assert decode(header, data) == fields


@pytest.mark.parametrize("name", FORMATS)
def test_tables_agree(name):
    header = HEADERS[name]
    assert [(f.name, f.bits) for f in header.fields] == list(widths(name).items())
    assert header.bytes == header_bytes(name)
    offset = 0
    for field, bits in widths(name).items():
        assert header.offset(field) == offset
        offset += bits


def test_tables_have_the_same_headers():
    assert set(HEADERS) == set(FORMATS)
    assert all(header.name == name for name, header in HEADERS.items())


def test_every_field_cites_its_clause():
    assert all(field.clause for header in HEADERS.values() for field in header.fields)
    assert all(header.specification for header in HEADERS.values())


@pytest.mark.parametrize("name", FORMATS)
def test_layout_is_the_header_as_one_big_endian_number(name):
    layout = HEADERS[name].layout()
    for seed in range(10):
        fields = random_fields(name, seed)
        value = layouts.Const(layout, int.from_bytes(encode(name, fields), "big"))
        assert {field: int(value[field]) for field in fields} == fields


@pytest.mark.parametrize("name", FORMATS)
def test_hardware_reads_and_writes_every_field(name):
    """``extract``, ``view`` and ``pack`` in Amaranth's simulator."""
    header = HEADERS[name]
    vector = Signal(header.bits + 24)  # a beat is longer than its header
    extracted = {field.name: Signal(field.bits) for field in header.fields}
    viewed = Signal(header.layout())
    packed = Signal(header.bits)
    repacked = Signal(header.bits)
    m = Module()
    m.d.comb += [signal.eq(header.extract(vector, field)) for field, signal in extracted.items()]
    m.d.comb += [
        viewed.eq(header.view(vector)),
        packed.eq(header.pack(extracted)),
        repacked.eq(header.pack(viewed)),
    ]

    async def compare(context):
        for seed in range(10):
            fields = random_fields(name, seed)
            wire = encode(name, fields)
            context.set(vector, int.from_bytes(wire + b"\xa5\x5a\xc3", "little"))
            assert {field: context.get(signal) for field, signal in extracted.items()} == fields
            assert {field: context.get(viewed[field]) for field in fields} == fields
            assert context.get(packed).to_bytes(len(wire), "little") == wire
            assert context.get(repacked).to_bytes(len(wire), "little") == wire

    simulator = Simulator(m)
    simulator.add_testbench(compare)
    simulator.run()


def captured(count: int):
    """First frames of every capture."""
    for path in sorted(CAPTURES.glob("*.pcap")):
        for number, (frame, _) in enumerate(RawPcapReader(str(path))):
            if number == count:
                break
            yield frame


def test_lengths_lead_to_the_next_header():
    """Where the length of a variable header says, scapy's next layer begins."""
    seen = set()
    for frame in captured(20):
        outer = Ether(frame)
        for name, layer, rest in (
            ("ipv4", IP, lambda p: p.payload),
            ("tcp", ScapyTcp, lambda p: p.payload),
        ):
            if layer not in outer or (layer is ScapyTcp and IP not in outer):
                continue
            packet = outer[layer]
            length = HEADERS[name].length
            assert length is not None
            fields = decode(name, bytes(packet))
            size = length.base_bytes + length.unit_bytes * fields[length.field]
            assert bytes(packet)[size:] == bytes(rest(packet))
            seen.add(name)
    assert seen == {"ipv4", "tcp"}


@pytest.mark.parametrize(
    ("name", "packet"),
    [
        ("ipv6_hop_by_hop", IPv6ExtHdrHopByHop(options=[])),
        ("ipv6_routing", IPv6ExtHdrRouting(addresses=["::1", "::2"])),
        ("ipv4_option", IPOption(copy_flag=1, option=10, value=bytes(6))),
        ("geneve", ScapyGeneve(options=[GeneveOptions(data=bytes(8)), GeneveOptions(data=b"")])),
        ("geneve_option", GeneveOptions(data=bytes(12))),
        ("ipv4", IP(options=[IPOption(copy_flag=1, option=10, value=bytes(6))])),
        ("tcp", ScapyTcp(options=[("Timestamp", (1, 2))])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_length_is_what_scapy_writes(name, packet):
    data = bytes(packet)
    length = HEADERS[name].length
    assert length is not None
    assert length.base_bytes + length.unit_bytes * decode(name, data)[length.field] == len(data)


@pytest.mark.parametrize("words", [0, 1, 4, 7])
def test_length_of_authentication_is_what_scapy_reads(words):
    data = encode("ipv6_authentication", {"payload_len": 1 + words}) + bytes(4 * words + 100)
    packet = AH(data)
    length = HEADERS["ipv6_authentication"].length
    assert length is not None
    assert 12 + len(packet.icv) + len(packet.padding) == length.base_bytes + length.unit_bytes * (
        1 + words
    )


def test_global_route_header_is_ipv6():
    """RoCEv1's GRH, which UD receivers see in front of the payload, has the layout of IPv6."""
    fields = random_fields("ipv6", 3)
    packet = GRH(
        ipver=fields["version"],
        tclass=traffic_class(fields),
        flowlabel=fields["flow_label"],
        paylen=fields["payload_length"],
        nexthdr=fields["next_header"],
        hoplmt=fields["hop_limit"],
        sgid=fields["source_address"],
        dgid=fields["destination_address"],
    )
    assert bytes(packet) == encode("ipv6", fields)


@pytest.mark.parametrize(
    ("name", "fields", "length"),
    [
        ("half a byte", (HeaderField("x", 4, "1"),), None),
        ("no field", (), None),
        ("names", (HeaderField("x", 8, "1"), HeaderField("x", 8, "1")), None),
        ("empty field", (HeaderField("x", 8, "1"), HeaderField("y", 0, "1")), None),
        ("length", (HeaderField("x", 8, "1"),), Length("y", unit_bytes=1, base_bytes=0)),
    ],
)
def test_header_refuses(name, fields, length):
    with pytest.raises(ValueError, match=name if name == "names" else "must"):
        Header(name, fields, "a specification", length)


def test_header_refuses_unknown_fields_and_short_values():
    with pytest.raises(KeyError):
        HEADERS["udp"].offset("port")
    with pytest.raises(KeyError):
        HEADERS["udp"].pack({"port": 1})
    with pytest.raises(ValueError, match="64 bits"):
        HEADERS["udp"].extract(Const(0, 56), "length")
    with pytest.raises(ValueError, match="layout"):
        HEADERS["udp"].pack(HEADERS["icmp"].view(Const(0, 64)))


def test_model_refuses():
    with pytest.raises(ValueError, match="of which 7"):
        decode("udp", bytes(7))
    with pytest.raises(ValueError, match="no field"):
        encode("udp", {"port": 1})
    with pytest.raises(ValueError, match="too few"):
        encode("udp", {"length": 1 << 16})
