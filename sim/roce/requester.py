"""Golden model of the active side of RoCEv2: work requests in, packets and completions out."""

from ..headers.infiniband import NAKS
from .answer import CREDITS
from .memory import pieces
from .packet import BadPacketError, RocePacket, parse
from .queue_pair import Service
from .send_queue import SendKind, SendQueuePair, SendState, SendStatus, Started
from .sender import Sender

__all__ = ["RNR_TIMES", "Requester"]

_PSNS = 1 << 24
_FATAL = {
    "INVALID_REQUEST": SendStatus.REMOTE_INVALID_REQUEST,
    "REMOTE_ACCESS_ERROR": SendStatus.REMOTE_ACCESS,
    "REMOTE_OPERATIONAL_ERROR": SendStatus.REMOTE_OPERATION,
}
_KNOWN = {"PSN_SEQUENCE_ERROR", *_FATAL}

#: Nanoseconds that an RNR NAK asks to wait, by the code in its syndrome (IBTA volume 1, 9.7.5.2.8).
RNR_TIMES = [655_360_000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000, 120_000]
RNR_TIMES += [160_000 * n // 2 for n in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)]
RNR_TIMES += [160_000 * n // 2 for n in (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072)]
RNR_TIMES += [160_000 * n // 2 for n in (4096, 6144)]


class Requester(Sender):
    """Queue pairs of any services that send what they are asked for.

    Time is in nanoseconds, whatever it counts from.

    Specification: IBTA Architecture Specification volume 1, 9.7 (reliable connected), 9.8
    (unconnected, datagram), 10.8 (work requests), Annex A17 (RoCEv2).

    Parameters
    ----------
    memory : Memory
    keys : KeyTable
        Regions and windows; that of a :class:`Responder` where there is one.

    Attributes
    ----------
    queue_pairs : dict of SendQueuePair
        By number.
    completions : list of SendCompletion
        In order.
    dropped : list of str
        Why answers were dropped.
    """

    def receive(self, frame: bytes, now: int = 0) -> None:
        """Take an answer."""
        try:
            packet = parse(frame)
        except BadPacketError as error:
            self.dropped.append(str(error))
            return
        qp = self.queue_pairs.get(packet.bth["dest_qp"])
        why = self._refuses(qp, packet)
        if why or qp is None:
            self.dropped.append(why)
            return
        # Of all PSNs that end in these bits, that from the oldest one on.
        psn = qp.oldest + (packet.psn - qp.oldest) % _PSNS
        if psn >= qp.highest:
            # Stale, repeated, or of a request that was never sent. A repeated ACK may give credits.
            if psn == qp.oldest - 1 + _PSNS and packet.name == "RC_ACKNOWLEDGE":
                self._take_credits(qp, packet)
            self.dropped.append("PSN")
            return
        self._answer(qp, packet, psn, now)
        self.retire(qp, now)

    def _refuses(self, qp: SendQueuePair | None, packet: RocePacket) -> str:
        """Why an answer is none, if it is none."""
        if qp is None:
            return "no such queue pair"
        if qp.state is not SendState.READY or qp.service is not Service.RC:
            return "state"
        if not 0x0D <= packet.bth["opcode"] <= 0x12:
            return "opcode"
        mine, theirs = qp.p_key, packet.bth["p_key"]
        if (mine ^ theirs) & 0x7FFF or not (mine | theirs) & 0x8000:
            return "P_Key"
        return "source" if packet.source != qp.peer else ""

    def _answer(self, qp: SendQueuePair, packet: RocePacket, psn: int, now: int) -> None:
        syndrome = packet.headers.get("aeth", {}).get("syndrome", 0)
        is_nak = bool(syndrome >> 5)
        name = packet.name.removeprefix("RC_")
        is_known = syndrome < 0x40 or NAKS.get(syndrome) in _KNOWN
        if not is_known or (is_nak and name != "ACKNOWLEDGE"):
            self.dropped.append("syndrome")
            return
        entry = next(e for e in qp.started if e.first <= psn < e.end)
        if name != "ACKNOWLEDGE" and not self._fits(qp, entry, psn - entry.first, packet):
            self.dropped.append("response")
            return
        # All that is before it has been executed; it is what that was answered with.
        missing = self._acknowledge(qp, psn if not is_nak and name == "ACKNOWLEDGE" else psn - 1)
        if missing is not None:
            self._go_back(qp, missing, now)
        elif is_nak:
            self._refused(qp, syndrome, psn, now)
        elif name != "ACKNOWLEDGE":
            self._store(qp, entry, packet)
        self._take_credits(qp, packet)

    def _take_credits(self, qp: SendQueuePair, packet: RocePacket) -> None:
        """Take what an acknowledgement says of the peer's receive requests (9.7.7.2)."""
        fields = packet.headers.get("aeth", {"syndrome": 31})
        if fields["syndrome"] < len(CREDITS):
            ended = qp.sequence - (qp.sequence - fields["msn"]) % _PSNS
            qp.allowed = max(qp.allowed, ended + CREDITS[fields["syndrome"]])

    def _fits(self, qp: SendQueuePair, entry: Started, number: int, packet: RocePacket) -> bool:
        """Whether a response is one of ``entry``, of its kind and length."""
        request = entry.request
        name = packet.name
        if request.kind.is_atomic:
            return name == "RC_ATOMIC_ACKNOWLEDGE" and not packet.payload
        if request.kind is not SendKind.READ or "READ_RESPONSE" not in name:
            return False
        last = number == entry.count - 1
        # A READ that goes on behind a loss may begin with FIRST or ONLY, or not.
        size = request.length - number * qp.mtu if last else qp.mtu
        return name.endswith(("LAST", "ONLY")) == last and len(packet.payload) == size

    def _acknowledge(self, qp: SendQueuePair, psn: int) -> int | None:
        """Take ``psn`` and all before it as executed; PSN whose answer is missing, if one is."""
        before = qp.oldest
        missing = None
        for entry in qp.started:
            if entry.has_ended:
                continue
            if psn < entry.first:
                break
            if entry.request.kind.has_response:
                if psn >= entry.first + entry.done:
                    missing = entry.first + entry.done
                break
            entry.done = min(entry.count, psn + 1 - entry.first)
            if not entry.has_ended:
                break
        if qp.oldest > before:
            self._progress(qp)
        return missing

    def _progress(self, qp: SendQueuePair) -> None:
        qp.pointer = max(qp.pointer, qp.oldest)
        qp.retries_left, qp.rnr_retries_left = qp.retries, qp.rnr_retries
        qp.is_recovering = False
        qp.deadline = None
        # What was refused for want of a receive request has been taken since.
        qp.resumes = 0

    def _store(self, qp: SendQueuePair, entry: Started, packet: RocePacket) -> None:
        """Put what a response brings where it was asked for."""
        spans = self.spans(qp, entry.request)
        if spans is None:
            entry.status = SendStatus.LOCAL_PROTECTION
            return
        data, start = packet.payload, entry.done * qp.mtu
        if entry.request.kind.is_atomic:
            value = packet.headers["atomic_ack_eth"]["original_remote_data"]
            data, start = value.to_bytes(8, "little"), 0
        for space, address, size in pieces(spans, start, len(data)):
            self.memory.write(space, address, data[:size])
            data = data[size:]
        entry.done += 1
        self._progress(qp)

    def _refused(self, qp: SendQueuePair, syndrome: int, psn: int, now: int) -> None:
        """Do what a NAK of ``psn`` asks for."""
        entry = next(e for e in qp.started if e.first <= psn < e.end)
        if syndrome >> 5 == 1:
            if now < qp.resumes:
                self.dropped.append("waits already")
                return
            if qp.rnr_retries_left == 0:
                entry.status = SendStatus.RNR_RETRY_EXCEEDED
                return
            if qp.rnr_retries < 7:
                qp.rnr_retries_left -= 1
            qp.pointer, qp.deadline, qp.is_recovering = psn, None, False
            qp.resumes = now + RNR_TIMES[syndrome & 31]
        elif NAKS.get(syndrome) == "PSN_SEQUENCE_ERROR":
            self._go_back(qp, psn, now)
        else:
            entry.status = _FATAL[NAKS[syndrome]]

    def _go_back(self, qp: SendQueuePair, psn: int, now: int) -> None:
        """Send again from ``psn`` on; once, until there is progress or a timeout."""
        if qp.is_recovering or now < qp.resumes:
            return
        self._retry(qp, psn)
        qp.is_recovering = True

    def _retry(self, qp: SendQueuePair, psn: int) -> None:
        if qp.retries_left == 0:
            entry = next(e for e in qp.started if e.first <= psn < e.end)
            entry.status = SendStatus.RETRY_EXCEEDED
            return
        qp.retries_left -= 1
        qp.pointer, qp.deadline = psn, None

    # Time.

    def deadline(self, number: int) -> int | None:
        """When :meth:`expire`, or :meth:`transmit` behind an RNR NAK, has something to do."""
        qp = self.queue_pairs[number]
        times = [qp.deadline, qp.resumes if qp.pointer < qp.end else None]
        return min((time for time in times if time), default=None)

    def expire(self, number: int, now: int) -> None:
        """Send again what has not been answered for too long."""
        qp = self.queue_pairs[number]
        if qp.deadline is not None and now >= qp.deadline and qp.state is SendState.READY:
            self._retry(qp, qp.oldest)
            qp.is_recovering = False
            self.retire(qp, now)
