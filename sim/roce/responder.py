"""Golden model of the passive side of RoCEv2: packets in, answers, memory and completions out."""

from collections.abc import Iterator

from .answer import (
    CNP,
    acknowledge,
    answer,
    atomic_answer,
    congestion_notification,
    credit_syndrome,
)
from .memory import KeyTable, Memory, Rights
from .messages import ACCESS_NAK, MOST_BYTES, SEQUENCE_NAK, Messages, Refusal
from .packet import BadPacketError, RocePacket, parse
from .queue_pair import (
    AtomicResult,
    CompletionStatus,
    QueuePair,
    QueuePairState,
    ReadResource,
    Service,
)

__all__ = ["Responder"]

_PSNS = 1 << 24
_RNR = 0x20
_CONGESTION_EXPERIENCED = 3

_RESPONSES = {"FIRST": 0x0D, "MIDDLE": 0x0E, "LAST": 0x0F, "ONLY": 0x10}


class Responder(Messages):
    """Queue pairs of any services that answer what their peers send.

    Specification: IBTA Architecture Specification volume 1, 9.6 and 9.7 (reliable connected), 9.8
    (unconnected, datagram), Annex A17 (RoCEv2).

    Parameters
    ----------
    memory, keys
        As of :class:`Messages`, whose attributes it has too.
    cnp_interval : int
        Time from a CNP of a queue pair to its next one, at least; in the units of ``receive``.

    Attributes
    ----------
    queue_pairs : dict
        By number.
    congested : list of int
        Queue pairs to which a CNP came, in order.
    """

    def __init__(self, memory: Memory, keys: KeyTable, *, cnp_interval: int = 0):
        super().__init__(memory, keys)
        self.cnp_interval = cnp_interval
        self.queue_pairs: dict[int, QueuePair] = {}
        self.congested: list[int] = []

    def receive(self, frame: bytes, *, now: int = 0) -> list[RocePacket]:
        """Answers to a frame that comes at ``now``, in order; a CNP before all."""
        try:
            packet = parse(frame)
            qp = self._queue_pair(packet)
        except BadPacketError as error:
            self.dropped.append(str(error))
            return []
        if packet.bth["opcode"] == CNP:
            self.congested.append(qp.number)
            return []
        answers = []
        # Whoever sent a datagram, no context has its address.
        is_marked = packet.ecn == _CONGESTION_EXPERIENCED and qp.service is not Service.UD
        if is_marked and now >= qp.next_cnp:
            qp.next_cnp = now + self.cnp_interval
            answers.append(congestion_notification(qp, packet.source))
        if qp.service is Service.RC:
            answers += self._reliable(qp, packet)
        elif qp.service is Service.UC:
            self._unreliable(qp, packet)
        else:
            self.datagram(qp, packet)
        return answers

    def _queue_pair(self, packet: RocePacket) -> QueuePair:
        """Queue pair that the packet is for; the checks of 9.6."""
        bth = packet.bth
        qp = self.queue_pairs.get(bth["dest_qp"])
        if qp is None:
            raise BadPacketError("no such queue pair")
        if qp.state is not QueuePairState.READY:
            raise BadPacketError("state")
        is_cnp = bth["opcode"] == CNP
        if not is_cnp and bth["opcode"] >> 5 != qp.service.value:
            raise BadPacketError("service")
        mine, theirs = qp.p_key, bth["p_key"]
        if (mine ^ theirs) & 0x7FFF or not (mine | theirs) & 0x8000:
            raise BadPacketError("P_Key")
        if qp.service is Service.UD:
            if is_cnp:
                return qp
            if not packet.name:
                raise BadPacketError("opcode")
            if packet.headers["deth"]["q_key"] != qp.q_key:
                raise BadPacketError("Q_Key")
        elif packet.source != qp.peer:
            raise BadPacketError("source")
        return qp

    # Reliable connected: 9.7.4.

    def _reliable(self, qp: QueuePair, packet: RocePacket) -> Iterator[RocePacket]:
        if 0x0D <= packet.bth["opcode"] & 31 <= 0x12:
            self.dropped.append("response")  # of the requester, which is not here
            return
        distance = (packet.psn - qp.expected) % _PSNS
        if distance >= _PSNS // 2:
            yield from self._duplicate(qp, packet)
            return
        if distance:
            if not qp.refused:
                qp.refused = True
                yield acknowledge(qp, qp.expected, SEQUENCE_NAK)
            return
        try:
            answers = list(self._expected(qp, packet))
        except Refusal as refusal:
            yield acknowledge(qp, qp.expected, refusal.code)
            self.fail(qp, refusal.status)
            event = "access" if refusal.code == ACCESS_NAK else "request"
            self.events.append((event, qp.number))
            return
        yield from answers

    def _expected(self, qp: QueuePair, packet: RocePacket) -> Iterator[RocePacket]:
        """Execute the packet that comes next."""
        name = packet.name.removeprefix("RC_")
        self.check_sequence(qp, name)
        if name in ("COMPARE_SWAP", "FETCH_ADD"):
            yield self._atomic(qp, packet, name)
        elif name == "RDMA_READ_REQUEST":
            yield from self._read(qp, packet)
        else:
            if not self.take(qp, packet, name):
                qp.refused = True
                yield acknowledge(qp, packet.psn, _RNR | qp.rnr_timer)
                return
            qp.expected = (packet.psn + 1) % _PSNS
            qp.refused = False
            if packet.bth["ack_req"]:
                yield acknowledge(qp, packet.psn, credit_syndrome(qp))

    # READ and atomic operations.

    def _read(self, qp: QueuePair, packet: RocePacket) -> Iterator[RocePacket]:
        reth = packet.headers["reth"]
        length = reth["dma_length"]
        if packet.payload or Rights.READ not in qp.rights or not qp.resources:
            raise Refusal.invalid()
        if length > MOST_BYTES:
            raise Refusal.invalid()
        region = self.region(qp, reth, length, Rights.READ)
        count = max(1, -(-length // qp.mtu))
        resource = ReadResource(packet.psn, count, region, reth["virtual_address"], length)
        qp.expected = (packet.psn + count) % _PSNS
        qp.refused = False
        qp.msn = (qp.msn + 1) % _PSNS
        yield from self._responses(qp, resource)

    def _responses(self, qp: QueuePair, read: ReadResource) -> Iterator[RocePacket]:
        data = b""
        if read.region is not None:
            spans = read.region.spans(read.address, read.length)
            data = b"".join(self.memory.read(*span) for span in spans)
        for number in range(read.count):
            first, last = number == 0, number == read.count - 1
            part = "ONLY" if first and last else "FIRST" if first else "LAST" if last else "MIDDLE"
            payload = data[number * qp.mtu : (number + 1) * qp.mtu]
            psn = (read.psn + number) % _PSNS
            syndrome = None if part == "MIDDLE" else credit_syndrome(qp)
            yield answer(qp, _RESPONSES[part], psn, syndrome, payload)

    def _atomic(self, qp: QueuePair, packet: RocePacket, name: str) -> RocePacket:
        fields = packet.headers["atomic_eth"]
        address = fields["virtual_address"]
        invalid = packet.payload or Rights.ATOMIC not in qp.rights or not qp.resources
        if invalid or address % 8:
            raise Refusal.invalid()
        region = self.region(qp, fields, 8, Rights.ATOMIC)
        assert region is not None
        space, place, _ = next(region.spans(address, 8))
        if place % 8:  # a zero-based region may begin anywhere
            raise Refusal(ACCESS_NAK, CompletionStatus.REMOTE_ACCESS)
        original = int.from_bytes(self.memory.read(space, place, 8), "little")
        value = original
        if name == "FETCH_ADD":
            value = (original + fields["swap_or_add_data"]) % (1 << 64)
        elif original == fields["compare_data"]:
            value = fields["swap_or_add_data"]
        self.memory.write(space, place, value.to_bytes(8, "little"))
        self._remember(qp, AtomicResult(packet.psn, original))
        qp.expected = (packet.psn + 1) % _PSNS
        qp.refused = False
        qp.msn = (qp.msn + 1) % _PSNS
        return atomic_answer(qp, packet.psn, original)

    def _remember(self, qp: QueuePair, result: AtomicResult) -> None:
        qp.memory.append(result)
        while len(qp.memory) > qp.resources:
            qp.memory.popleft()

    # Duplicates: 9.7.5.

    def _duplicate(self, qp: QueuePair, packet: RocePacket) -> Iterator[RocePacket]:
        name = packet.name.removeprefix("RC_")
        if name == "RDMA_READ_REQUEST":
            yield from self._read_again(qp, packet)
        elif name in ("COMPARE_SWAP", "FETCH_ADD"):
            for result in qp.memory:
                if result.psn == packet.psn:
                    yield atomic_answer(qp, packet.psn, result.original)
        elif name and packet.bth["ack_req"]:
            # What is before is acknowledged with it.
            yield acknowledge(qp, (qp.expected - 1) % _PSNS, credit_syndrome(qp))

    def _read_again(self, qp: QueuePair, packet: RocePacket) -> Iterator[RocePacket]:
        """Execute a READ again, or the rest of it, if all of its PSNs are behind what is expected.

        What it asks for is checked anew, so nothing needs to be known of the one before.
        """
        reth = packet.headers["reth"]
        length = reth["dma_length"]
        count = max(1, -(-length // qp.mtu))
        behind = (qp.expected - packet.psn) % _PSNS
        if count > behind or length > MOST_BYTES:
            return
        try:
            region = self.region(qp, reth, length, Rights.READ)
        except Refusal:
            return
        resource = ReadResource(packet.psn, count, region, reth["virtual_address"], length)
        yield from self._responses(qp, resource)

    # Unreliable services: 9.8.

    def _unreliable(self, qp: QueuePair, packet: RocePacket) -> None:
        name = packet.name.removeprefix("UC_")
        begins = "_FIRST" in name or "_ONLY" in name
        if packet.psn != qp.expected and qp.operation:
            self.abandon(qp, "sequence")
        qp.expected = (packet.psn + 1) % _PSNS
        if begins and qp.operation:
            self.abandon(qp, "cut off")
        try:
            self.check_sequence(qp, name)
            if not self.take(qp, packet, name):
                self.abandon(qp, "no receive request")
        except Refusal as refusal:
            self.abandon(qp, str(refusal))
