"""Framing, losses, the recording; answers to ARP and neighbour solicitations as scapy has them."""

import socket

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.utils import rdpcap

from sim.peer import CARD, GUEST
from sim.peer.archive import archive
from sim.peer.loop import Loop, StalledError
from sim.peer.neighbours import Neighbour
from sim.peer.wire import Deframer, Watch, Wire, framed
from sim.roce import RocePacket, build

FRAMES = [bytes([n]) * length for n, length in enumerate((60, 1, 4200, 0, 64))]


def request(psn: int) -> bytes:
    bth = {"opcode": 0x04, "p_key": 0xFFFF, "dest_qp": 7, "psn": psn}
    return build(RocePacket(GUEST.address_4, CARD.address_4, {"bth": bth}, b"hello"))


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 61, 5000])
def test_frames_are_found_however_they_come(piece):
    data = b"".join(framed(frame) for frame in FRAMES)
    deframer = Deframer()
    found = []
    for place in range(0, len(data), piece):
        found += deframer.take(data[place : place + piece])
    assert found == FRAMES


def test_what_is_watched_is_counted_and_the_first_ones_are_lost(tmp_path):
    came = []
    loop = Loop(seconds=10)
    capture = tmp_path / "all.pcap"
    wire = Wire(tmp_path / "wire", loop=loop, capture=capture, receive=came.append)
    qemu = socket.socket(socket.AF_UNIX)
    qemu.connect(str(tmp_path / "wire"))
    wire.watches.append(Watch(True, lambda packet: packet.psn % 2 == 1, losses=2))
    sent = [request(psn) for psn in range(8)]
    for frame in (*sent, b"no packet at all"):
        qemu.sendall(framed(frame))
    loop.wait(lambda: len(came) == 7, seconds=5, what="frames")
    assert came == [sent[0], sent[2], *sent[4:], b"no packet at all"]
    assert wire.watches[0].found == 4
    # The other way, nothing is lost.
    wire.send(sent[1])
    assert Deframer().take(qemu.recv(4096)) == [sent[1]]
    wire.close()
    qemu.close()
    recorded = [bytes(packet) for packet in rdpcap(str(capture))]
    assert recorded == [*sent, b"no packet at all", sent[1]]
    assert wire.frame_counts == [1, 9]


def test_waiting_ends():
    loop = Loop(seconds=0.3)
    with pytest.raises(StalledError, match="a miracle: nothing within 60 s"):
        loop.wait(lambda: False, seconds=60, what="a miracle")


def neighbour() -> Neighbour:
    return Neighbour(mac=CARD.mac, address_4=CARD.address_4, address_6=CARD.address_6)


def mac(host) -> str:
    return host.mac.hex(":")


def test_arp_is_answered():
    asked = Ether(src=mac(GUEST), dst="ff:ff:ff:ff:ff:ff")
    asked /= ARP(op="who-has", hwsrc=mac(GUEST), psrc="192.0.2.1", pdst="192.0.2.2")
    answer = neighbour().answer(bytes(asked))
    assert answer is not None
    told = Ether(answer)
    assert (told.src, told.dst) == (mac(CARD), mac(GUEST))
    assert (told[ARP].op, told[ARP].hwsrc, told[ARP].psrc) == (2, mac(CARD), "192.0.2.2")
    assert (told[ARP].hwdst, told[ARP].pdst) == (mac(GUEST), "192.0.2.1")
    asked[ARP].pdst = "192.0.2.3"
    assert neighbour().answer(bytes(asked)) is None


def test_a_neighbour_solicitation_is_answered():
    asked = Ether(src=mac(GUEST), dst="33:33:ff:00:00:02")
    asked /= IPv6(src="fe80::1", dst="ff02::1:ff00:2", hlim=255) / ICMPv6ND_NS(tgt="2001:db8::2")
    answer = neighbour().answer(bytes(asked))
    assert answer is not None
    told = Ether(answer)
    assert (told[IPv6].src, told[IPv6].dst, told[IPv6].hlim) == ("2001:db8::2", "fe80::1", 255)
    assert told[ICMPv6ND_NA].tgt == "2001:db8::2"
    assert (told[ICMPv6ND_NA].S, told[ICMPv6ND_NA].O) == (1, 1)
    assert told[ICMPv6NDOptDstLLAddr].lladdr == mac(CARD)
    # scapy makes the checksum anew.
    right = told.copy()
    del right[ICMPv6ND_NA].cksum
    assert Ether(bytes(right))[ICMPv6ND_NA].cksum == told[ICMPv6ND_NA].cksum


@pytest.mark.parametrize(("source", "target"), [("::", "2001:db8::2"), ("fe80::1", "2001:db8::3")])
def test_whoever_asks_for_others_is_not_answered(source, target):
    asked = Ether() / IPv6(src=source, dst="ff02::1:ff00:2") / ICMPv6ND_NS(tgt=target)
    assert neighbour().answer(bytes(asked)) is None
    assert neighbour().answer(bytes(asked)[:20]) is None
    assert neighbour().answer(b"") is None


def test_an_archive_has_names_and_bytes(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("folder/file")
    data = archive(tmp_path)
    assert data.startswith(b"070701")
    found = {}
    while not (name := data[110 : 110 + int(data[94:102], 16) - 1]).startswith(b"TRAILER"):
        size = int(data[54:62], 16)
        head = -(-(110 + len(name) + 1) // 4) * 4
        found[name.decode()] = (int(data[14:22], 16) >> 12, data[head : head + size])
        data = data[head + -(-size // 4) * 4 :]
    assert found == {
        "folder": (4, b""),
        "folder/file": (8, b"12345"),
        "link": (10, b"folder/file"),
    }
