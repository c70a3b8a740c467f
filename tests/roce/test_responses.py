"""The responder's model by hand: READs, atomic operations, duplicates, credits, CNPs."""

import dataclasses

from scapy.contrib.roce import BTH, CNPPadding
from scapy.layers.l2 import Ether

from sim.roce import CREDITS, Rights, build
from tb.roce.host import BASE, CARD, PEER, Host, atomic, reth


def test_reads_and_their_repetition():
    host = Host()
    data = bytes(range(251)) * 4
    host.responder.memory.write(0, 0x40800, data[:1000])
    first = host.qp.expected
    codes = [0x0D, 0x0E, 0x0E, 0x0F]
    assert [a[0] for a in host.put("READ", headers=reth(1000))] == codes
    assert b"".join(a.payload for a in host.answers) == data[:1000]
    assert [a.psn for a in host.answers] == [(first + n) % (1 << 24) for n in range(4)]
    assert host.put("READ", psn=first + 2, headers=reth(488, BASE + 512))[0][0] == 0x0D
    assert b"".join(a.payload for a in host.answers) == data[512:1000]
    assert host.put("READ", psn=first + 2, headers=reth(1000, BASE + 512)) == [], (
        "beyond what is expected"
    )
    assert host.qp.msn == 1
    host.responder.keys.add(dataclasses.replace(host.region, rights=Rights.WRITE))
    assert host.put("READ", psn=first, headers=reth(1000)) == [], "no longer allowed"


def test_an_atomic_operation_is_not_done_again():
    host = Host()
    first = host.qp.expected
    host.put("FETCH_ADD", headers=atomic(swap=5))
    host.put("COMPARE_SWAP", headers=atomic(swap=9, compare=5))
    assert host.answers[0].headers["atomic_ack_eth"]["original_remote_data"] == 5
    host.put("COMPARE_SWAP", headers=atomic(swap=1, compare=5))
    assert host.answers[0].headers["atomic_ack_eth"]["original_remote_data"] == 9
    assert host.responder.memory.read(0, 0x40800, 8) == (9).to_bytes(8, "little")
    host.put("COMPARE_SWAP", psn=first + 1, headers=atomic(swap=7, compare=9))
    assert host.answers[0].headers["atomic_ack_eth"]["original_remote_data"] == 5
    assert host.put("FETCH_ADD", psn=first, headers=atomic(swap=5)) == [], "two resources"
    assert host.responder.memory.read(0, 0x40800, 8) == (9).to_bytes(8, "little")


def test_a_duplicate_is_acknowledged_and_not_executed():
    host = Host()
    host.put("SEND_ONLY", b"one")
    host.put("SEND_ONLY", b"two")
    assert host.put("SEND_ONLY", b"one", psn=host.psn) == [(0x11, host.psn + 1, 2)]
    assert host.put("SEND_ONLY", b"one", psn=host.psn, ack=0) == []
    assert (len(host.responder.completions), host.qp.msn) == (2, 2)


def test_credits():
    assert CREDITS[:12] == [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]
    assert (len(CREDITS), CREDITS[-1]) == (31, 32768)
    assert all(CREDITS[n] == 2 * CREDITS[n - 2] for n in range(5, 31))
    host = Host(receives=16)
    assert host.put("SEND_ONLY") == [(0x11, host.last, CREDITS.index(12))]
    host.qp.receives.is_shared = True
    assert host.put("SEND_ONLY") == [(0x11, host.last, 31)]


def test_marked_packets_draw_a_cnp_an_interval():
    host = Host()
    host.responder.cnp_interval = 50
    for now, marks in ((10, 3), (11, 3), (59, 3), (60, 3), (61, 2), (200, 1), (201, 3)):
        cnps = [a for a in host.put("WRITE_ONLY", headers=reth(0), ecn=marks, now=now)[:-1]]
        assert cnps == ([(0x81, 0, -1)] if now in (10, 60, 201) else [])
    cnp = host.answers[0]
    assert (cnp.bth["dest_qp"], cnp.bth["becn"], cnp.destination) == (9, 1, PEER)
    dissected = Ether(build(dataclasses.replace(cnp, source=CARD)))
    assert (dissected[BTH].opcode, dissected[BTH].becn, dissected[CNPPadding].fields) == (
        0x81,
        1,
        {"reserved1": 0, "reserved2": 0},
    )


def test_a_cnp_that_comes_is_told():
    host = Host()
    assert host.put("SEND_ONLY", bth={"opcode": 0x81}, headers={"cnp": {}}) == []
    assert host.put("SEND_ONLY", bth={"opcode": 0x81}, headers={"cnp": {}}, source=CARD) == []
    assert host.responder.congested == [7]
    assert host.qp.expected == host.psn
