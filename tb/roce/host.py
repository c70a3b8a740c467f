"""A small responder and what a peer may send it, written by hand."""

from dataclasses import dataclass, field

from sim.roce import (
    KeyTable,
    Memory,
    QueuePair,
    ReceiveQueue,
    ReceiveRequest,
    Region,
    Responder,
    Rights,
    RocePacket,
    Service,
    build,
)

__all__ = [
    "ACCESS",
    "ALL",
    "BASE",
    "CARD",
    "CODES",
    "INVALID",
    "KEY",
    "LENGTH",
    "MTU",
    "PEER",
    "SEQUENCE",
    "Host",
    "atomic",
    "reth",
]

PEER, CARD = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"
ALL = Rights.WRITE | Rights.READ | Rights.ATOMIC
KEY, BASE, LENGTH, MTU = 0x123456, 0x7000_0000_0800, 0x3000, 256
CODES = {
    "SEND_FIRST": 0,
    "SEND_MIDDLE": 1,
    "SEND_LAST": 2,
    "SEND_LAST_IMMEDIATE": 3,
    "SEND_ONLY": 4,
    "WRITE_FIRST": 6,
    "WRITE_MIDDLE": 7,
    "WRITE_LAST": 8,
    "WRITE_ONLY": 10,
    "WRITE_ONLY_IMMEDIATE": 11,
    "READ": 12,
    "COMPARE_SWAP": 0x13,
    "FETCH_ADD": 0x14,
    "SEND_ONLY_INVALIDATE": 0x17,
}
SEQUENCE, INVALID, ACCESS = 0x60, 0x61, 0x62


@dataclass
class Host:
    """A responder with one queue pair, 7, and a region on scattered pages."""

    service: Service = Service.RC
    rights: Rights = ALL
    receives: int = 4
    psn: int = 0xFFFFFE
    responder: Responder = field(init=False)
    last: int = 0
    answers: list[RocePacket] = field(default_factory=list)

    def __post_init__(self):
        self.responder = Responder(Memory(), KeyTable())
        pages = tuple((n % 2, 0x10000 * (4 - n)) for n in range(4))
        self.region = Region(KEY, 5, BASE, LENGTH, ALL, pages, 4096, 0x800)
        self.responder.keys.add(self.region)
        requests = [
            ReceiveRequest(n, ((0, 0x900000 + 0x1000 * n, 300), (1, 0x900000 + 0x1000 * n, 400)))
            for n in range(self.receives)
        ]
        self.qp = QueuePair(
            7,
            self.service,
            MTU,
            self.psn,
            PEER,
            9,
            domain=5,
            rights=self.rights,
            receives=ReceiveQueue(),
            resources=2,
            rnr_timer=11,
            q_key=0x42,
        )
        self.qp.receives.requests.extend(requests)
        self.responder.queue_pairs[7] = self.qp

    def put(
        self,
        name,
        payload=b"",
        *,
        psn=None,
        ack=1,
        source=PEER,
        bth=None,
        headers=None,
        ecn=0,
        now=0,
    ):
        """Send a packet with the next PSN, or another; return (opcode, PSN, syndrome) answered."""
        self.last = psn = self.qp.expected if psn is None else psn % (1 << 24)
        group = self.service.value << 5
        fields = {"opcode": group | CODES[name], "dest_qp": 7, "p_key": 0xFFFF}
        fields |= {"psn": psn, "ack_req": ack} | (bth or {})
        packet = RocePacket(source, CARD, {"bth": fields, **(headers or {})}, payload, ecn=ecn)
        self.answers = self.responder.receive(build(packet), now=now)
        return [
            (a.bth["opcode"], a.psn, a.headers["aeth"]["syndrome"] if "aeth" in a.headers else -1)
            for a in self.answers
        ]

    def nak(self, code):
        """Answer that refuses the packet that was put last."""
        return [(0x11, self.last, code)]


def reth(length, address=BASE, key=KEY):
    """Header of a READ or WRITE."""
    return {"reth": {"virtual_address": address, "r_key": key, "dma_length": length}}


def atomic(address=BASE, key=KEY, swap=1, compare=0):
    """Header of an atomic operation."""
    fields = {"virtual_address": address, "r_key": key, "swap_or_add_data": swap}
    return {"atomic_eth": {**fields, "compare_data": compare}}
