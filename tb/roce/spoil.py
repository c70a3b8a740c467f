"""Packets that are not what they must be, made of good ones."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sim.headers.infiniband import OPCODES
from sim.pipeline.icrc import icrc
from sim.roce import RocePacket, build

if TYPE_CHECKING:
    from .world import Line, World

__all__ = ["FRAME_SPOILS", "SPOILS", "corrupt"]

Spoil = Callable[[random.Random, "World", "Line", RocePacket], Sequence[RocePacket | bytes]]
_PSNS = 1 << 24
_MOST_PAYLOAD = 4096


def corrupt(rng: random.Random, frame: bytes) -> bytes:
    """Flip one bit, anywhere."""
    bit = rng.randrange(8 * len(frame))
    return (int.from_bytes(frame, "little") ^ 1 << bit).to_bytes(len(frame), "little")


def _with(packet: RocePacket, header: str, **fields: int) -> RocePacket:
    changed = {**packet.headers[header], **fields}
    return replace(packet, headers={**packet.headers, header: changed})


def _bth(packet: RocePacket, **fields: int) -> RocePacket:
    return _with(packet, "bth", **fields)


def _remote(packet: RocePacket) -> str | None:
    """Name of the header that has an address, if there is one."""
    return next((name for name in ("reth", "atomic_eth") if name in packet.headers), None)


def _key(rng, world, line, packet):
    """Use another key: of another variant, index, domain, window or without the right."""
    header = _remote(packet)
    if header is None:
        return [packet]
    key = packet.headers[header]["r_key"]
    other = world.regions[3 - line.qp.domain]
    windows = [o.window.key for o in world.lines if o.window is not None and o is not line]
    keys = [
        key ^ 1 << rng.randrange(8),
        key ^ 1 << rng.randrange(8, 32),
        rng.getrandbits(32),
        rng.choice(list(other.values())).key,
        world.regions[line.qp.domain]["read"].key,
        world.regions[line.qp.domain]["write"].key,
        *windows[:2],
    ]
    return [_with(packet, header, r_key=rng.choice(keys))]


def _bounds(rng, world, line, packet):
    """Ask for an address before the region, behind it, across its end, or at the end of all."""
    header = _remote(packet)
    if header is None:
        return [packet]
    fields = packet.headers[header]
    regions = [*world.regions[line.qp.domain].values(), *([line.window] if line.window else [])]
    region = next((r for r in regions if r.key == fields["r_key"]), None)
    if region is None:
        return [packet]
    size = fields.get("dma_length", 8)
    end = region.base + region.length
    places = [region.base - 1, region.base - size, end - size + 1, end, end + 4096]
    places += [(1 << 64) - 1, (1 << 64) - size, (1 << 64) - 8, rng.getrandbits(64)]
    place = rng.choice(places) % (1 << 64)
    if header == "atomic_eth" and rng.random() < 0.5:
        place -= place % 8
    return [_with(packet, header, virtual_address=place)]


def _length(rng, world, line, packet):
    """Say a length that is not that of the data, or more than 2**31."""
    if "reth" not in packet.headers:
        return [packet]
    length = packet.headers["reth"]["dma_length"]
    lengths = [length - 1, length + 1, length + line.qp.mtu, 0, (1 << 31) + 1, (1 << 32) - 1]
    return [_with(packet, "reth", dma_length=rng.choice(lengths) % (1 << 32))]


def _payload(rng, world, line, packet):
    """Have too few or too many bytes."""
    size = len(packet.payload)
    sizes = [0, max(0, size - 1), max(0, size - 4), size + 1, size + 4, line.qp.mtu + 1]
    size = min(rng.choice(sizes), _MOST_PAYLOAD)
    return [replace(packet, payload=(packet.payload + rng.randbytes(line.qp.mtu + 4))[:size])]


def _opcode(rng, world, line, packet):
    """Name another operation of the service, or one that does not exist."""
    codes = [*OPCODES, *range(256)]
    code = packet.bth["opcode"] & 0xE0 | rng.randrange(32)
    if rng.random() < 0.2:
        code = rng.choice(codes)
    return [_bth(packet, opcode=code)]


def _missing(rng, world, line, packet):
    """Put a packet of another message in between: one that begins, goes on or ends."""
    base = packet.bth["opcode"] & 0xE0
    extra = line.packet(base | rng.choice([0, 1, 2, 4, 7, 8]), packet.psn, packet.payload)
    return [extra, packet]


def _unaligned(rng, world, line, packet):
    if "atomic_eth" not in packet.headers:
        return [packet]
    skewed = world.regions[line.qp.domain]["skewed"]
    if rng.random() < 0.5:  # where memory begins at an odd byte
        return [
            _with(packet, "atomic_eth", virtual_address=8 * rng.randrange(99), r_key=skewed.key)
        ]
    address = packet.headers["atomic_eth"]["virtual_address"] + rng.randint(1, 7)
    return [_with(packet, "atomic_eth", virtual_address=address)]


def _sequence(rng, world, line, packet):
    """Use a PSN ahead or behind, as far as can be."""
    far = rng.choice([1, 2, 5, -1, -2, (1 << 23) - 1, 1 << 23, (1 << 23) + 1])
    return [_bth(packet, psn=(packet.psn + far) % _PSNS)]


def _bad_bth(rng, world, line, packet):
    """Miss this queue pair: P_Key, number, transport header version."""
    fields = {
        "p_key": packet.bth["p_key"] ^ 1 << rng.randrange(16),
        "dest_qp": packet.bth["dest_qp"] ^ 1 << rng.randrange(4, 24),
        "transport_header_version": rng.randint(1, 15),
    }
    name = rng.choice(list(fields))
    return [_bth(packet, **{name: fields[name]})]


def _source(rng, world, line, packet):
    source = bytearray(packet.source)
    source[rng.randrange(len(source))] ^= 1 << rng.randrange(8)
    return [replace(packet, source=bytes(source))]


def _q_key(rng, world, line, packet):
    if "deth" not in packet.headers:
        return [packet]
    return [_with(packet, "deth", q_key=packet.headers["deth"]["q_key"] ^ 1 << rng.randrange(32))]


def _cut(rng, world, line, packet):
    """Make a frame that ends too early."""
    frame = build(packet)
    return [frame[: rng.randint(14, len(frame) - 1)]]


def _damaged(rng, world, line, packet):
    return [corrupt(rng, build(packet))]


def _padding(rng, world, line, packet):
    """Say a pad count that was not meant, with a good ICRC: other bytes are payload."""
    frame = build(_bth(packet))
    bad = bytearray(frame)
    version = 4 if len(packet.source) == 4 else 6
    ip = 14
    udp = ip + (20 if version == 4 else 40)
    bad[udp + 9] ^= rng.choice([0x10, 0x20, 0x30])
    body = bytes(bad[:-4])
    return [body + icrc(body, ip=ip, version=version, udp=udp, bth=udp + 8)]


def _lengths(rng, world, line, packet):
    """Say an IP or UDP length that contradicts the other, with a good ICRC for its end."""
    frame = build(packet)
    bad = bytearray(frame)
    version = 4 if len(packet.source) == 4 else 6
    udp = 14 + (20 if version == 4 else 40)
    place = rng.choice([udp + 4, 16 if version == 4 else 18])
    value = int.from_bytes(bad[place : place + 2], "big") + rng.choice([-8, -4, -1, 1, 4, 64])
    bad[place : place + 2] = (value % (1 << 16)).to_bytes(2, "big")
    body = bytes(bad[:-4])
    return [body + icrc(body, ip=14, version=version, udp=udp, bth=udp + 8)]


#: Spoils that never reach a queue pair.
FRAME_SPOILS: dict[str, Spoil] = {
    "cut": _cut,
    "damaged": _damaged,
    "lengths": _lengths,
    "bth": _bad_bth,
    "source": _source,
}
#: What a good packet becomes, by name.
SPOILS: dict[str, Spoil] = FRAME_SPOILS | {
    "bounds": _bounds,
    "key": _key,
    "length": _length,
    "missing": _missing,
    "opcode": _opcode,
    "padding": _padding,
    "payload": _payload,
    "q_key": _q_key,
    "sequence": _sequence,
    "unaligned": _unaligned,
}
