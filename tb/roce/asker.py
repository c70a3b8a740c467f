"""A queue pair of the requester's model, asked and answered by hand."""

from collections.abc import Mapping

from sim.roce import (
    KeyTable,
    Memory,
    Region,
    Requester,
    Rights,
    RocePacket,
    SendKind,
    SendQueuePair,
    SendRequest,
    Service,
    build,
)

__all__ = [
    "BASE",
    "FOREIGN",
    "KEY",
    "MTU",
    "PSN",
    "READ_ONLY",
    "UNBOUND",
    "WINDOW",
    "Asker",
    "read",
    "writes",
]

KEY, BASE, MTU, PSN = 0x1207, 0x10000, 256, 0xFFFFFE
#: Index of keys of a window that is not bound.
WINDOW = 0x34
#: Regions that may be read only, of another protection domain, and to which no window is bound.
READ_ONLY, FOREIGN, UNBOUND = 0x1300, 0x1400, 0x1500
_BYTES = 1 << 16
_ME, _PEER = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
_ACK, _ATOMIC_ACK = 0x11, 0x12
_RESPONSES = {"FIRST": 0x0D, "MIDDLE": 0x0E, "LAST": 0x0F, "ONLY": 0x10}


class Asker:
    """Post, look at what is sent, and answer it.

    Packets are given as the end of their name, their distance from the first PSN, and whether they
    ask for an acknowledgement: ``("WRITE_LAST", 3, 1)``.

    Parameters
    ----------
    service : Service
    fields : mapping
        Of the :class:`SendQueuePair`, besides.
    """

    def __init__(self, service: Service = Service.RC, **fields):
        self.requester = Requester(Memory(), KeyTable())
        self.qp = SendQueuePair(9, service, MTU, PSN, _PEER, 7, timeout=1000, **fields)
        self.requester.queue_pairs[9] = self.qp
        pages = tuple((0, (16 + n) << 12) for n in range(_BYTES >> 12))
        every = Rights.WRITE | Rights.READ | Rights.LOCAL_WRITE | Rights.BIND
        for key, domain, rights in (
            (KEY, 0, every),
            (READ_ONLY, 0, Rights.READ | Rights.BIND),
            (FOREIGN, 1, every),
            (UNBOUND, 0, every & ~Rights.BIND),
        ):
            region = Region(key, domain, BASE, _BYTES, rights, pages, 4096)
            self.requester.keys.add(region)
        self.requester.keys.add_window(WINDOW, 0)
        self.packets: list[RocePacket] = []
        self._count = 0

    def post(self, kind: SendKind, length: int = 0, *, place: int = BASE, **fields) -> SendRequest:
        """Ask for something about ``length`` bytes of memory."""
        self._count += 1
        fields = {"gather": ((KEY, place, length),) if length else (), **fields}
        request = SendRequest(self._count, kind, **fields)
        self.requester.post(9, request)
        return request

    def sent(self, now: int = 0) -> list[tuple[str, int, int]]:
        """Give what is sent now; the packets themselves are in ``packets``."""
        self.requester.expire(9, now)
        self.packets = list(self.requester.transmit(9, now))
        return [
            (p.name.split("_", 1)[1], (p.psn - PSN) % (1 << 24), p.bth["ack_req"])
            for p in self.packets
        ]

    def answer(
        self,
        opcode: int,
        number: int,
        *,
        syndrome: int | None = 31,
        msn: int = 0,
        payload: bytes = b"",
        headers: Mapping[str, Mapping[str, int]] | None = None,
        now: int = 0,
        **fields,
    ) -> None:
        """Answer PSN ``number``, counted from the first one."""
        bth = {"opcode": opcode, "p_key": 0xFFFF, "dest_qp": 9, "psn": (PSN + number) % (1 << 24)}
        more = {} if syndrome is None else {"aeth": {"syndrome": syndrome, "msn": msn}}
        packet = RocePacket(
            fields.pop("source", _PEER),
            _ME,
            {"bth": {**bth, **fields}, **more, **(headers or {})},
            payload,
        )
        self.requester.receive(build(packet), now)

    def ack(self, number: int, syndrome: int = 31, **fields) -> None:
        """Acknowledge up to PSN ``number``, or with a syndrome refuse it."""
        self.answer(_ACK, number, syndrome=syndrome, **fields)

    def respond(self, part: str, number: int, payload: bytes, **fields) -> None:
        """Answer a READ."""
        syndrome = None if part == "MIDDLE" else 31
        self.answer(_RESPONSES[part], number, syndrome=syndrome, payload=payload, **fields)

    def respond_atomic(self, number: int, original: int) -> None:
        """Answer an atomic operation."""
        fields = {"atomic_ack_eth": {"original_remote_data": original}}
        self.answer(_ATOMIC_ACK, number, headers=fields)

    def memory(self, length: int, place: int = BASE) -> bytes:
        """Bytes of the region, in which addresses are those of memory."""
        return self.requester.memory.read(0, place, length)

    @property
    def ended(self) -> list[tuple[int, str]]:
        """Identifier and status of each completion."""
        return [(c.identifier, c.status.name) for c in self.requester.completions]


def writes(first: int, count: int) -> list[tuple[str, int, int]]:
    """Give the packets of a WRITE, as :meth:`Asker.sent` does."""
    parts = ["FIRST", *["MIDDLE"] * (count - 2), "LAST"] if count > 1 else ["ONLY"]
    return [
        (f"RDMA_WRITE_{part}", first + n, int(part in ("LAST", "ONLY")))
        for n, part in enumerate(parts)
    ]


def read(number: int) -> tuple[str, int, int]:
    """Give the packet that asks for a READ."""
    return ("RDMA_READ_REQUEST", number, 1)
