"""Peers of a random campaign: messages, a faulty way, and what must not be asked."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sim.headers.infiniband import OPCODES
from sim.roce import (
    QueuePairState,
    Region,
    Rights,
    RocePacket,
    Service,
    build,
)

from .oracle import Oracle, Step
from .spoil import SPOILS, corrupt
from .world import Line, World

__all__ = ["CODES", "Campaign"]

CODES = {name: code for code, name in OPCODES.items()}
_PSNS = 1 << 24
_HALF = 1 << 23
_KINDS = {
    Service.RC: {
        "SEND": 18,
        "SEND_IMMEDIATE": 8,
        "SEND_INVALIDATE": 2,
        "WRITE": 30,
        "WRITE_IMMEDIATE": 8,
        "READ": 20,
        "COMPARE_SWAP": 7,
        "FETCH_ADD": 7,
    },
    Service.UC: {"SEND": 30, "SEND_IMMEDIATE": 20, "WRITE": 35, "WRITE_IMMEDIATE": 15},
    Service.UD: {"SEND": 60, "SEND_IMMEDIATE": 40},
}
_RIGHTS = {"READ": Rights.READ, "COMPARE_SWAP": Rights.ATOMIC, "FETCH_ADD": Rights.ATOMIC}
_SUFFIXES = {"IMMEDIATE": "_WITH_IMMEDIATE", "INVALIDATE": "_WITH_INVALIDATE"}
#: How often a batch is sent before its peer gives up; the way is good in the second half.
_ATTEMPTS = 8
#: Packets that a queue pair remembers to ask again; READs that are far back are forgotten.
_RECENT = 12


class Campaign:
    """Random traffic of all queue pairs of a world, with everything that may go wrong.

    Lengths: 6 % of no bytes, 44 % to 64 bytes, 25 % to one packet, 18 % to 4 packets, 6 % to
    16 KiB, 1 % to 64 KiB, 0.03 % to 1 MiB. Of the packets, 1 % are lost on the way, 1.5 % come
    twice, 1 % late, 0.5 % with a flipped bit; 3 % carry a VLAN tag and 2 % bytes behind their
    end. Of the batches, 5 % have one packet that is not what it must be (:mod:`tb.roce.spoil`),
    and 8 % of the batches are followed by a request that was answered before.

    Parameters
    ----------
    seed : int
    oracle : Oracle
    queue_pairs, scatter_entries : int
        Of the :class:`World`.
    longest : int
        Length of a message, at most.
    """

    def __init__(
        self,
        seed: int,
        oracle: Oracle,
        *,
        queue_pairs: int,
        scatter_entries: int,
        longest: int = 1 << 20,
    ):
        self.rng = random.Random(seed)
        self.oracle = oracle
        self.longest = longest
        self.world = World(
            self.rng, oracle, queue_pairs=queue_pairs, scatter_entries=scatter_entries
        )
        self._data = self.rng.randbytes(longest * 2)

    @property
    def messages(self) -> int:
        """Messages that were sent so far."""
        return sum(line.messages for line in self.world.lines)

    def traffic(self) -> Iterator[Step]:
        """Make steps without end; queue pairs take turns at random."""
        turns = [self._line(line) for line in self.world.lines]
        while True:
            turn = self.rng.choice(turns)
            # Several in a row: a queue pair's packets come in bursts too.
            for _ in range(self.rng.choice([1, 1, 1, 2, 4, 16])):
                yield from next(turn)

    # Messages.

    def _size(self, mtu: int) -> int:
        kind = self.rng.random()
        for share, least, most in (
            (0.06, 0, 0),
            (0.50, 1, 64),
            (0.75, 1, mtu),
            (0.93, 1, 4 * mtu),
            (0.99, 1, 1 << 14),
            (0.9997, 1, 1 << 16),
        ):
            if kind < share:
                return min(self.rng.randint(least, most), self.longest)
        return self.rng.randint(1 << 17, 1 << 20) if self.longest >= 1 << 20 else self.longest

    def _bytes(self, size: int) -> bytes:
        begin = self.rng.randrange(len(self._data) - size)
        return self._data[begin : begin + size]

    def _place(self, line: Line, size: int, names: list[str]) -> tuple[Region, int]:
        """Region and address in which ``size`` bytes have room."""
        regions = self.world.regions[line.qp.domain]
        choices = [regions[name] for name in names if regions[name].length >= size]
        if line.window is not None and line.window.length >= size and self.rng.random() < 0.3:
            choices = [line.window]
        region = self.rng.choice(choices)
        room = region.length - size
        place = self.rng.choice([0, room, self.rng.randint(0, room), self.rng.randint(0, room)])
        return region, region.base + place

    def _reth(self, line: Line, size: int, names: list[str]) -> dict[str, int]:
        region, address = self._place(line, size, names)
        return {"virtual_address": address, "r_key": region.key, "dma_length": size}

    def message(self, line: Line, kind: str, room: int) -> list[RocePacket]:
        """Packets of a message; a SEND has at most ``room`` bytes."""
        line.messages += 1
        service = line.qp.service.name
        if kind in ("COMPARE_SWAP", "FETCH_ADD"):
            region, address = self._place(line, 16, ["small", "middle", "huge"])
            address += -address % 8
            fields = {"virtual_address": address, "r_key": region.key}
            fields |= {"swap_or_add_data": self.rng.getrandbits(64)}
            fields |= {"compare_data": self._compare(region, address)}
            return self._finish(line, [line.packet(CODES[f"RC_{kind}"], 0, atomic_eth=fields)], [1])
        size = self._size(line.qp.mtu)
        if kind == "READ":
            reth = self._reth(line, size, ["small", "middle", "huge", "skewed", "read"])
            packet = line.packet(CODES["RC_RDMA_READ_REQUEST"], 0, reth=reth)
            return self._finish(line, [packet], [max(1, -(-size // line.qp.mtu))])
        operation, _, extra = kind.partition("_")
        name = f"{service}_{'RDMA_WRITE' if operation == 'WRITE' else 'SEND'}"
        if line.qp.service is Service.UD:
            size = min(size, line.qp.mtu)
        if operation == "SEND":
            size = min(size, room)
        data, mtu = self._bytes(size), line.qp.mtu
        parts = [data[n : n + mtu] for n in range(0, size, mtu)] or [b""]
        packets = []
        reth = self._reth(line, size, ["small", "middle", "huge", "skewed", "write"])
        for number, part in enumerate(parts):
            first, last = number == 0, number == len(parts) - 1
            where = "ONLY" if first and last else "FIRST" if first else "LAST" if last else "MIDDLE"
            headers: dict[str, dict[str, int]] = {}
            if line.qp.service is Service.UD:
                headers["deth"] = {"q_key": line.qp.q_key, "src_qp": self.rng.getrandbits(24)}
            if first and operation == "WRITE":
                headers["reth"] = reth
            if last and extra == "IMMEDIATE":
                headers["immdt"] = {"immediate_data": self.rng.getrandbits(32)}
            if last and extra == "INVALIDATE":
                key = line.window.key if line.window else 0
                headers["ieth"] = {"r_key": key}
            code = CODES[f"{name}_{where}{_SUFFIXES.get(extra, '') if last else ''}"]
            packets.append(line.packet(code, 0, part, **headers))
        return self._finish(line, packets, [1] * len(packets))

    def _compare(self, region: Region, address: int) -> int:
        """Half the time what memory holds now, so that the swap is done."""
        if self.rng.random() < 0.5:
            return self.rng.getrandbits(64)
        ((space, place, _),) = region.spans(address, 8)
        return int.from_bytes(self.oracle.memory.read(space, place, 8), "little")

    def _finish(self, line: Line, packets: list[RocePacket], counts: list[int]) -> list[RocePacket]:
        """Give packets their numbers, and ask for acknowledgements."""
        done = []
        for number, (packet, count) in enumerate(zip(packets, counts, strict=True)):
            last = number == len(packets) - 1
            bth = {**packet.bth, "psn": line.psn}
            bth["ack_req"] = int(self.rng.random() < (0.85 if last else 0.05))
            bth["solicited_event"] = int(last and self.rng.random() < 0.3)
            ecn = 3 if self.rng.random() < 0.01 else 2
            done.append(replace(packet, headers={**packet.headers, "bth": bth}, ecn=ecn))
            line.psn = (line.psn + count) % _PSNS
        return done

    # What a queue pair's peer does, in turns: each a few steps that follow each other.

    def _line(self, line: Line) -> Iterator[Iterator[Step]]:
        kinds = _KINDS[line.qp.service]
        while True:
            if line.window is not None and self._is_closed(line):
                yield iter([self.world.open_window(line)])
            if len(line.qp.receives.requests) < 4 and self.rng.random() < 0.8:
                yield self.world.post(line, self.rng.choice([1, 3, 8, 24]))
                # A queue of one reliable queue pair ends with it, and has no use for a limit.
                is_flushed = line.qp.service is Service.RC and not line.qp.receives.is_shared
                if self.rng.random() < 0.2 and not is_flushed:
                    yield iter([self.oracle.limit(line.qp.receives, self.rng.randint(0, 6))])
            batch: list[RocePacket] = []
            kept = line.qp.receive  # of a message that was given up
            waiting = ([kept] if kept else []) + list(line.qp.receives.requests)
            rooms = [request.length for request in waiting]
            if line.qp.receives.is_shared:
                rooms = [min(rooms[:8], default=0)] * len(rooms)
            for _ in range(self.rng.choice([1, 1, 2, 5])):
                kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
                needs = _RIGHTS.get(kind)
                if needs and needs not in line.qp.rights and self.rng.random() < 0.97:
                    kind = "WRITE"
                ends_request = kind.startswith("SEND") or kind == "WRITE_IMMEDIATE"
                room = (rooms.pop(0) if rooms else 1024) if ends_request else 0
                if line.qp.service is Service.UD:
                    room = max(0, room - 40)
                if ends_request and self.rng.random() < 0.02:
                    room = self.longest  # a SEND that may not fit
                batch += self.message(line, kind, room)
                if kind == "SEND_INVALIDATE":
                    break
            yield from self._transfer(line, batch)
            if line.recent and self.rng.random() < 0.08:
                yield self._frames(self._again(line, self.rng.choice(line.recent)))
            if self.rng.random() < 0.01:
                cnp = line.packet(CODES["CNP"], 0, cnp={})
                yield self._frames([cnp])

    def _is_closed(self, line: Line) -> bool:
        assert line.window is not None
        return line.window.key not in (r.key for r in self.oracle.keys._regions.values())

    def _transfer(self, line: Line, batch: list[RocePacket]) -> Iterator[Iterator[Step]]:
        """Send a batch; of a reliable queue pair, until all was taken."""
        for attempt in range(_ATTEMPTS):
            qp = line.qp
            if qp.state is not QueuePairState.READY:
                yield self.world.connect(line)
                return
            pending = batch
            if qp.service is Service.RC:
                pending = [p for p in batch if (p.psn - qp.expected) % _PSNS < _HALF]
                if qp.refused and not qp.receives.requests:
                    yield self.world.post(line, self.rng.randint(1, 8))
            if not pending:
                line.recent = (line.recent + batch)[-_RECENT:]
                # A packet that was not what it should be may have taken more numbers.
                if (qp.expected - line.psn) % _PSNS < _HALF:
                    line.psn = qp.expected
                return
            yield from self._send(line, pending, is_bad=attempt < _ATTEMPTS // 2)
            if qp.service is not Service.RC:
                return
        # One that took fewer numbers than it should have leaves a gap for ever.
        yield self.world.connect(line)

    def _send(
        self, line: Line, packets: list[RocePacket], *, is_bad: bool
    ) -> Iterator[Iterator[Step]]:
        """Send packets on a way that loses, repeats, delays and damages them."""
        spoiled = self.rng.randrange(len(packets)) if self.rng.random() < 0.05 and is_bad else -1
        late: list[RocePacket] = []
        for number, packet in enumerate(packets):
            burst: list[RocePacket | bytes] = []
            fate = self.rng.random() if is_bad else 1.0
            if number == spoiled:
                burst += self._spoil(line, packet)
            elif fate < 0.01:
                pass
            elif fate < 0.025:
                burst += [packet, packet]
            elif fate < 0.035:
                late.append(packet)
            elif fate < 0.04:
                burst.append(corrupt(self.rng, self.frame(packet)))
            else:
                burst.append(packet)
            if late and self.rng.random() < 0.5:
                burst.append(late.pop())
            yield self._frames(burst)
        yield self._frames(late)

    def _spoil(self, line: Line, packet: RocePacket) -> Sequence[RocePacket | bytes]:
        """Make a packet wrong, in a way that this one can be."""
        while True:
            spoiled = SPOILS[self.rng.choice(sorted(SPOILS))](self.rng, self.world, line, packet)
            if list(spoiled) != [packet]:
                return spoiled

    def _again(self, line: Line, packet: RocePacket) -> list[RocePacket]:
        """Ask again for what was taken: of a READ, often only the rest."""
        if packet.bth["opcode"] != CODES["RC_RDMA_READ_REQUEST"] or self.rng.random() < 0.4:
            return [packet]
        reth, mtu = packet.headers["reth"], line.qp.mtu
        skipped = self.rng.randint(0, max(0, -(-reth["dma_length"] // mtu) - 1))
        headers = {
            "bth": {**packet.bth, "psn": (packet.psn + skipped) % _PSNS},
            "reth": {
                **reth,
                "virtual_address": reth["virtual_address"] + skipped * mtu,
                "dma_length": reth["dma_length"] - skipped * mtu,
            },
        }
        return [replace(packet, headers=headers)]

    # Frames.

    def frame(self, packet: RocePacket) -> bytes:
        """Frame of a packet, with what a frame may have besides."""
        frame = build(
            packet,
            source_mac=0x0200_0000_0001,
            destination_mac=0x0200_0000_0002,
            identification=self.rng.getrandbits(16),
        )
        kind = self.rng.random()
        if kind < 0.03:
            tag = b"\x81\x00" + self.rng.randbytes(2)
            frame = frame[:12] + tag + frame[12:]
        elif kind < 0.05:
            frame += self.rng.randbytes(self.rng.randint(1, 20))
        return frame

    def _frames(self, packets: list) -> Iterator[Step]:
        for packet in packets:
            frame = packet if isinstance(packet, bytes) else self.frame(packet)
            yield self.oracle.frame(frame)
