"""Packets that nobody should send, among those of good peers; on any engine."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sim.headers.infiniband import OPCODES, extensions
from sim.headers.table import widths
from sim.roce import (
    QueuePairState,
    ReceiveQueue,
    ReceiveRequest,
    Rights,
    RocePacket,
    Service,
    build,
)

from .engine import Engine
from .oracle import Action, Oracle, Touched
from .player import Player, differing_memory
from .requester import CODES, Campaign
from .spoil import SPOILS, corrupt
from .world import Line

__all__ = ["Assault", "Attack"]

#: Hostile packets from one time that queue pairs in error are set up anew to the next.
_ROUND = 500
#: Hostile packets for each batch of good ones.
_SHARE = 8
_LONGEST_FRAME = 9000
#: Domain of the hostile peers.
_THEIRS = 2
_BLOCK = 4096


class Attack:
    """Good lines and hostile ones, that share nothing but the engine."""

    def __init__(self, seed: int, oracle: Oracle, scatter_entries: int):
        self.rng = random.Random(seed)
        self.oracle = oracle
        # The peers of the campaign make good packets; here nothing is lost on the way.
        self.campaign = Campaign(
            seed, oracle, queue_pairs=0, scatter_entries=scatter_entries, longest=1 << 14
        )
        self.world = self.campaign.world
        self.good: list[Line] = []
        self.bad: list[Line] = []
        self.allowed: list[Touched] = []

    def set_up(self) -> Iterator[Action]:
        """Make regions and queue pairs known."""
        yield from self.world.make_regions()
        # Completion queue 0 is that of the good ones: numbers are multiples of 4.
        services = {0: Service.RC, 4: Service.RC, 8: Service.UC}
        for number in range(16):
            is_good = number in services
            service = services.get(
                number, [Service.RC, Service.RC, Service.UC, Service.UD][number % 4]
            )
            if number % 4 == 0 and not is_good:
                continue
            domain = 1 if is_good else _THEIRS
            yield from self.world.add_line(number, service, domain=domain, receives=ReceiveQueue())
            (self.good if is_good else self.bad).append(self.world.lines[-1])
        for region in self.world.regions[_THEIRS].values():
            if region.rights & (Rights.WRITE | Rights.ATOMIC):
                self._allow(region.spans(region.base, region.length))
        for line in self.bad:
            if line.window is not None:
                self._allow(line.window.spans(line.window.base, line.window.length))

    def _allow(self, spans) -> None:
        self.allowed += [(space, begin, begin + size) for space, begin, size in spans]

    def allow_posted(self) -> None:
        """Hostile peers may write where their receive requests say."""
        for line in self.bad:
            for request in self._requests(line):
                self._allow(request.buffers)

    @staticmethod
    def _requests(line: Line) -> list[ReceiveRequest]:
        kept = line.qp.receive
        return ([kept] if kept else []) + list(line.qp.receives.requests)

    def good_batch(self, line: Line) -> list[RocePacket]:
        """Packets of a message."""
        kinds = ["SEND", "SEND_IMMEDIATE", "WRITE", "WRITE_IMMEDIATE"]
        if line.qp.service is Service.RC:
            kinds += ["READ", "FETCH_ADD", "COMPARE_SWAP"]
        if line.qp.service is Service.UD:
            kinds = ["SEND", "SEND_IMMEDIATE"]
        kind = self.rng.choice(kinds)
        requests = self._requests(line)
        if kind not in ("WRITE", "READ", "FETCH_ADD", "COMPARE_SWAP") and not requests:
            kind = "WRITE" if line.qp.service is not Service.UD else kind
        return self.campaign.message(line, kind, requests[0].length if requests else 0)

    def hostile(self) -> bytes:
        """Any frame that is not as it should be."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.05:
            return rng.randbytes(rng.choice([1, 13, 14, 60, 128, rng.randint(1, 300)]))
        line = rng.choice(self.bad)
        if kind < 0.30:
            packet = self._any_packet(line)
        else:
            packets = self.good_batch(line)
            packet = rng.choice(packets)
            # Mostly the number that comes next: what else is wrong then counts.
            if rng.random() < 0.7:
                bth = {**packet.bth, "psn": line.qp.expected}
                packet = RocePacket(
                    packet.source,
                    packet.destination,
                    {**packet.headers, "bth": bth},
                    packet.payload,
                )
        if kind < 0.45:
            # Somebody else's queue pair, from whom it does not listen to.
            packet = self._to(packet, rng.choice(self.good).qp.number)
        frame = None
        for _ in range(rng.choice([0, 1, 1, 2])):
            name = rng.choice(sorted(SPOILS))
            spoiled = rng.choice(SPOILS[name](rng, self.world, line, packet))
            if isinstance(spoiled, bytes):
                frame = spoiled
                break
            packet = spoiled
        if packet.source in (good.address for good in self.good):
            # Who can send from a good peer's address can do what that peer can.
            packet = replace(packet, source=line.address)
        frame = build(packet) if frame is None else frame
        if rng.random() < 0.05:
            frame = corrupt(rng, frame)
        if rng.random() < 0.05:
            frame = frame[: rng.randint(1, len(frame))]
        return frame

    @staticmethod
    def _to(packet: RocePacket, number: int) -> RocePacket:
        headers = {**packet.headers, "bth": {**packet.bth, "dest_qp": number}}
        return RocePacket(packet.source, packet.destination, headers, packet.payload)

    def _any_packet(self, line: Line) -> RocePacket:
        """Numbers drawn at random under a good ICRC."""
        rng = self.rng
        code = rng.choice([*OPCODES, rng.randrange(256)])
        psn = (line.qp.expected + rng.choice([0, 0, 0, 1, -1, -5, 1 << 23])) % (1 << 24)
        packet = line.packet(code, psn, rng.randbytes(rng.choice([0, 1, 4, 64, 256, 1024, 4096])))
        if rng.random() < 0.02:
            packet = line.packet(code, psn, rng.randbytes(rng.randint(4097, _LONGEST_FRAME)))
        headers = {name: dict(fields) for name, fields in packet.headers.items()}
        for name in extensions(code) if code in OPCODES else ():
            headers[name] = {
                field: rng.choice([0, rng.getrandbits(width), (1 << width) - 1])
                for field, width in widths(name).items()
            }
            if name in ("reth", "atomic_eth"):
                region = rng.choice(list(self.world.regions[rng.choice([1, 2])].values()))
                headers[name]["r_key"] = region.key
                headers[name]["virtual_address"] = region.base + rng.randint(-9, region.length)
                headers[name]["virtual_address"] %= 1 << 64
        if rng.random() < 0.2:
            headers["bth"] = {**headers["bth"], "dest_qp": rng.getrandbits(24)}
        return RocePacket(packet.source, packet.destination, headers, packet.payload)

    def flood(self) -> list[bytes]:
        """One READ of much, again and again: more than anybody remembers."""
        line = next(line for line in self.bad if line.qp.service is Service.RC)
        region = self.world.regions[_THEIRS]["middle"]
        reth = {"virtual_address": region.base, "r_key": region.key, "dma_length": 3000}
        packet = line.packet(CODES["RC_RDMA_READ_REQUEST"], line.qp.expected, reth=reth)
        return [build(packet)] * 100


@dataclass
class Assault:
    """An attack on an engine, and what was seen.

    Parameters
    ----------
    engine : Engine
    attack : Attack
    cycles_offered : callable
        Cycles in which a beat was offered so far.
    beat_bytes : int

    Attributes
    ----------
    sent, messages : int
        Hostile packets; good messages.
    cycles, needed : int
        Cycles in which beats were offered, without rounds with a flood of READs, and those that
        they need at one beat a cycle and two cycles a packet.
    """

    engine: Engine
    attack: Attack
    cycles_offered: Callable[[], int]
    beat_bytes: int
    sent: int = 0
    messages: int = 0
    cycles: int = 0
    needed: int = 0

    async def run(self, packets: int) -> None:
        """Send ``packets`` hostile ones, in rounds; compare after each."""
        attack, engine = self.attack, self.engine
        player = Player(engine, attack.oracle)
        await player.play(attack.set_up())
        while self.sent < packets:
            for line in attack.world.lines:
                missing = 24 - len(line.qp.receives.requests)
                await player.play(attack.world.post(line, missing))
                if line.qp.state is QueuePairState.ERROR:
                    await player.play(attack.world.connect(line))
            attack.allow_posted()
            await engine.settle()
            await self._round(player)
            await self._check(player)
        for line in attack.good:
            assert line.qp.expected == line.psn, "a message of a good queue pair was not taken"

    async def _round(self, player: Player) -> None:
        attack = self.attack
        begin, beats = self.cycles_offered(), 0
        is_flood = self.sent % (4 * _ROUND) == 0
        for number in range(_ROUND):
            frames = attack.flood() if is_flood and number == _ROUND // 2 else [attack.hostile()]
            for frame in frames:
                attack.oracle.frame(frame)
                await self.engine.send(frame)
                beats += self._cycles(frame)
            if number % _SHARE == 0:
                line = attack.rng.choice(attack.good)
                self.messages += 1
                for packet in attack.good_batch(line):
                    step = attack.oracle.frame(build(packet))
                    await player.play([step])
                    beats += self._cycles(step.frame)
        self.sent += _ROUND
        await self.engine.settle()
        if not is_flood:
            self.cycles += self.cycles_offered() - begin
            self.needed += beats

    def _cycles(self, frame: bytes) -> int:
        return max(2, -(-len(frame) // self.beat_bytes))

    async def _check(self, player: Player) -> None:
        """Compare what the good queue pairs got, and memory, with the model."""
        attack, engine = self.attack, self.engine
        model = attack.oracle.model
        good = {line.qp.number for line in attack.good}
        peers = {line.qp.peer_queue_pair for line in attack.good}
        engine.poll()
        engine.answers[:] = [answer for answer in engine.answers if answer.bth["dest_qp"] in peers]
        model.completions[:] = [c for c in model.completions if c.queue_pair in good]
        for queue in list(engine.completions):
            if queue:
                assert not good & {c.queue_pair for c in engine.completions[queue]}
                del engine.completions[queue]
        for events in (engine.events, model.events):
            events[:] = [event for event in events if event[1] in good]
        for congested in (engine.congested, model.congested):
            congested[:] = [number for number in congested if number in good]
        await player.check(memory=False)
        for space, address in differing_memory(attack.oracle.memory, engine):
            ours = engine.memory.read(space, address, _BLOCK)
            models = attack.oracle.memory.read(space, address, _BLOCK)
            for n in range(_BLOCK):
                place = address + n
                if ours[n] != models[n]:
                    allowed = any(s == space and b <= place < e for s, b, e in attack.allowed)
                    assert allowed, f"byte {place:#x} of space {space} was written"
