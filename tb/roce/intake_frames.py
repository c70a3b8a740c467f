"""Frames for hdl.roce.Intake: requests of every opcode, and what an enemy makes of them."""

import random
from dataclasses import dataclass, replace

from sim.headers import OPCODES, encode, extensions, widths
from sim.pipeline import icrc
from sim.roce import RocePacket, build

__all__ = ["Place", "mutated", "random_frame", "sealed", "small_frame", "tunnelled"]

_VLANS = (0x8100, 0x88A8)


@dataclass(frozen=True)
class Place:
    """A frame and where its headers begin; they need not be right.

    Parameters
    ----------
    frame : bytes
    version : int
        4 or 6.
    ip, udp : int
    """

    frame: bytes
    version: int
    ip: int
    udp: int

    @property
    def bth(self) -> int:
        """Where the BTH begins."""
        return self.udp + 8

    @property
    def end(self) -> int:
        """Where the packet ends as its UDP length says."""
        return self.udp + int.from_bytes(self.frame[self.udp + 4 : self.udp + 6], "big")

    @property
    def length(self) -> int:
        """Where IP states its length."""
        return self.ip + (2 if self.version == 4 else 4)

    def with_bytes(self, place: int, value: bytes) -> "Place":
        """Other bytes at ``place``."""
        return replace(self, frame=self.frame[:place] + value + self.frame[place + len(value) :])

    def flipped(self, place: int, mask: int) -> "Place":
        """One byte with other bits."""
        return self.with_bytes(place, bytes([self.frame[place] ^ mask]))


def sealed(what: Place) -> Place:
    """Give ``what`` a right ICRC, if there is room for one."""
    if not what.bth + 16 <= what.end <= len(what.frame):
        return what
    right = icrc(
        what.frame[: what.end - 4], ip=what.ip, version=what.version, udp=what.udp, bth=what.bth
    )
    return what.with_bytes(what.end - 4, right)


def random_fields(name: str) -> dict[str, int]:
    """Any values for all fields of a header."""
    return {field: random.getrandbits(bits) for field, bits in widths(name).items()}


def random_frame(opcode: int, *, payload_bytes: int, version: int = 0, tags: int = 0) -> Place:
    """Frame with that opcode, and any values in its fields; right but for what may come after.

    An opcode that does not exist has no extended header.
    """
    version = version or random.choice([4, 6])
    names = extensions(opcode) if opcode in OPCODES else []
    bth = {**random_fields("bth"), "opcode": opcode, "transport_header_version": 0}
    packet = RocePacket(
        source=random.randbytes(4 if version == 4 else 16),
        destination=random.randbytes(4 if version == 4 else 16),
        headers={"bth": bth} | {name: random_fields(name) for name in names},
        payload=random.randbytes(payload_bytes),
        dscp=random.getrandbits(6),
        ecn=random.getrandbits(2),
    )
    frame = build(packet, source_port=random.getrandbits(16))
    tag = b"".join(
        random.choice(_VLANS).to_bytes(2, "big") + random.randbytes(2) for _ in range(tags)
    )
    ip = 14 + 4 * tags
    return Place(frame[:12] + tag + frame[12:], version, ip, ip + (20 if version == 4 else 40))


def small_frame() -> Place:
    """Make a packet of any existing opcode with little payload."""
    opcode = random.choice(sorted(OPCODES))
    return random_frame(
        opcode,
        payload_bytes=random.choice([0, 1, 2, 3, 4, 17, 64, 100]),
        tags=random.choice([0, 0, 1, 2]),
    )


def _add(what: Place, place: int, difference: int) -> Place:
    value = int.from_bytes(what.frame[place : place + 2], "big") + difference
    return what.with_bytes(place, (value & 0xFFFF).to_bytes(2, "big"))


def tunnelled(what: Place) -> bytes:
    """Put the packet of ``what`` in an outer IPv4 header, or in VXLAN."""
    inner = what.frame[what.ip :]
    outer = {"version": 4, "ihl": 5, "time_to_live": 64, "source_address": 1}
    if random.random() < 0.5:
        fields = {"total_length": 20 + len(inner), "protocol": 4 if what.version == 4 else 41}
        return bytes(12) + b"\x08\0" + encode("ipv4", outer | fields) + inner
    # So the outer lengths are whole words, too.
    inner = what.frame + bytes(2)
    fields = {"total_length": 36 + len(inner), "protocol": 17}
    udp = {"destination_port": 4789, "length": 16 + len(inner)}
    vxlan = encode("vxlan", {"i_flag": 1})
    outer_headers = encode("ipv4", outer | fields) + encode("udp", udp)
    return bytes(12) + b"\x08\0" + outer_headers + vxlan + inner


def mutated(what: Place) -> bytes:
    """Change one thing, in most cases with an ICRC that is right again."""
    kind = random.randrange(12)
    ip, udp, bth = what.ip, what.udp, what.bth
    step = random.choice([-8, -4, -2, -1, 1, 2, 4, 8, 0x2000, 0x4000, 0x8000])
    if kind == 0:
        # Any bit from the type on.
        place = random.randrange(12, len(what.frame))
        what = what.flipped(place, 1 << random.randrange(8))
    elif kind == 1:
        what = what.flipped(random.randrange(bth), random.randrange(1, 256))
    elif kind == 2:
        return what.frame[: random.randrange(1, len(what.frame))]
    elif kind == 3:
        what = _add(replace(what, frame=what.frame + bytes(8)), udp + 4, step)
    elif kind == 4:
        what = _add(what, what.length, step)
    elif kind == 5:
        # Both lengths, which agree then; perhaps more bytes behind.
        what = _add(_add(what, udp + 4, step), what.length, step)
        what = replace(what, frame=what.frame + bytes(random.choice([0, 0, 16])))
    elif kind == 6:
        # As short as it gets: into the extended headers.
        difference = bth + random.randrange(12, 48) - what.end
        if difference < 0:
            what = _add(_add(what, udp + 4, difference), what.length, difference)
    elif kind == 7:
        what = what.flipped(bth + 1, random.randrange(1, 4) << 4)
    elif kind == 8:
        what = what.flipped(bth + 1, 1 << random.randrange(4))
    elif kind == 9:
        # Options, fragments, other protocols.
        if what.version == 4:
            place, mask = random.choice([(0, 1), (0, 0x0A), (6, 0x20), (6, 0x10), (7, 1), (9, 4)])
        else:
            place, mask = random.choice([(6, 17), (6, 23), (6, 43), (0, 0x20), (1, 0x30)])
        what = what.flipped(ip + place, mask)
    elif kind == 10:
        if what.version == 6:
            # A hop-by-hop header between IP and UDP.
            extra = bytes([17, 0, 1, 4, 0, 0, 0, 0])
            what = _add(what.with_bytes(ip + 6, b"\0"), what.length, random.choice([0, 8]))
        else:
            # Options of one word.
            extra = bytes(4)
            what = _add(what.with_bytes(ip, b"\x46"), what.length, random.choice([0, 4]))
        frame = what.frame[:udp] + extra + what.frame[udp:]
        what = replace(what, frame=frame, udp=udp + len(extra))
    else:
        what = what.with_bytes(bth, bytes([random.randrange(256)]))
    return (sealed(what) if random.random() < 0.7 else what).frame
