"""Frames to try a parser with: real stacks of headers, and what an enemy makes of them."""

import random
from collections.abc import Iterator

from scapy.all import fuzz  # pyright: ignore[reportAttributeAccessIssue]
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mac_control import (
    MACControl,
    MACControlClassBasedFlowControl,
    MACControlPause,
)
from scapy.contrib.roce import BTH
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from sim.headers import OPCODES

__all__ = ["campaign", "roce", "stack"]


def address4() -> str:
    """Any IPv4 address."""
    return ".".join(str(random.randrange(256)) for _ in range(4))


def address6() -> str:
    """Any IPv6 address."""
    return ":".join(f"{random.randrange(65536):x}" for _ in range(8))


def ip() -> Packet:
    """IPv4 or IPv6 header, some with options or extension headers."""
    if random.random() < 0.5:
        options = [IPOption_NOP()] * random.choice([0, 0, 0, 4, 8])
        header = IP(src=address4(), dst=address4(), tos=random.randrange(256), options=options)
        if random.random() < 0.05:
            header.flags, header.frag = random.choice([("MF", 0), ("MF", 7), (0, 100)])
        return header
    header = IPv6(src=address6(), dst=address6(), tc=random.randrange(256), fl=random.randrange(99))
    while random.random() < 0.2:
        header /= random.choice(
            [
                IPv6ExtHdrHopByHop(),
                IPv6ExtHdrDestOpt(),
                IPv6ExtHdrRouting(addresses=[address6()] * random.randrange(3)),
                IPv6ExtHdrFragment(offset=random.choice([0, 0, 5]), m=random.randrange(2)),
                AH(icv=random.randbytes(12), payloadlen=4),
            ]
        )
    return header


def roce() -> Packet:
    """UDP with a BTH of any opcode, its extended headers as random bytes, and the ICRC."""
    opcode = random.choice([*OPCODES, random.randrange(256)])
    size = random.choice([0, 1, 4, 16, 28, 40, 64, random.randrange(300)])
    header = BTH(opcode=opcode, dqpn=random.randrange(1 << 24), psn=random.randrange(1 << 24))
    udp = UDP(sport=random.randrange(0x10000), dport=4791)
    return udp / header / Raw(random.randbytes(size + random.choice([0, 28])))


def transport() -> Packet:
    """Make what may follow an IP header, inside a tunnel or not."""
    return random.choice(
        [
            roce,
            roce,
            lambda: TCP(dport=random.randrange(65536), options=[("NOP", None)] * 4),
            lambda: UDP(dport=random.randrange(65536)) / Raw(random.randbytes(9)),
            ICMP,
            ICMPv6EchoRequest,
        ]
    )()


def tunnel() -> Packet:
    """Make a tunnel header and the packet inside it."""
    inner = Ether() / (Dot1Q(vlan=5) if random.random() < 0.3 else Raw(b"")) / ip() / transport()
    return random.choice(
        [
            lambda: UDP(dport=4789) / VXLAN(flags=random.choice([8, 8, 8, 0])) / inner,
            lambda: UDP(dport=6081) / GENEVE(optionlen=0, proto=0x6558) / inner,
            lambda: (
                GRE(
                    chksum_present=random.randrange(2),
                    key_present=random.randrange(2),
                    seqnum_present=random.randrange(2),
                )
                / ip()
                / transport()
            ),
            lambda: ip() / transport(),
        ]
    )()


def stack() -> Packet:
    """Make a whole frame."""
    frame = Ether(src=random.randbytes(6), dst=random.randbytes(6))
    if random.random() < 0.05:
        return frame / ARP()
    if random.random() < 0.05:
        opcode = random.choice([MACControlPause(), MACControlClassBasedFlowControl(), MACControl()])
        return frame / opcode
    while random.random() < 0.25:
        frame /= random.choice([Dot1Q, Dot1AD])(vlan=random.randrange(4096))
    return frame / ip() / (tunnel() if random.random() < 0.3 else transport())


def _mutated(frame: bytes) -> bytes:
    """``frame`` with some bits flipped, bytes set, cut, or lengthened."""
    data = bytearray(frame)
    for _ in range(random.choice([0, 1, 1, 2, 5])):
        # Most of what a parser decides on is near the start.
        place = min(random.randrange(len(data)), random.randrange(len(data)))
        if random.random() < 0.5:
            data[place] ^= 1 << random.randrange(8)
        else:
            data[place] = random.choice([0, 1, 0xFF, 0x45, 0x60, random.randrange(256)])
    choice = random.random()
    if choice < 0.2:
        del data[random.randrange(1, len(data) + 1) :]
    elif choice < 0.3:
        data += bytes(random.randrange(1, 300))
    return bytes(data)


def campaign(count: int, seeds: list[bytes]) -> Iterator[bytes]:
    """``count`` frames: real ones, cut at every byte, fuzzed by scapy, mutated and invented.

    Parameters
    ----------
    count : int
        Frames to make.
    seeds : list of bytes
        Real frames.
    """
    made = 0
    for frame in (*seeds[:2], bytes(stack())):
        for size in range(1, min(len(frame), 130)):
            yield frame[:size]
            made += 1
    # A pool, since scapy takes a millisecond to build a frame and mutation does not.
    pool = [bytes(stack()) for _ in range(max(50, count // 10))]
    pool += [bytes(fuzz(stack())) for _ in range(max(5, count // 100))]
    # Headers matter here, not payloads: of the real frames, the short ones.
    seeds = [frame for frame in seeds if len(frame) <= 400]
    while made < count:
        yield _mutated(random.choice(pool if random.random() < 0.7 else seeds))[:1600]
        made += 1
