"""Exact cycles of the whole responder: WRITEs, READs, what is short, and how long one takes."""

import cocotb

from sim.roce import Memory, QueuePair, Region, Rights, RocePacket, Service, build
from tb.stream.rate_tb import Figure, write_rows

from .coalesced import is_job_answer
from .parsed_responder import ParsedResponder
from .responder_bed import Bed, config_from_environment

_CONFIG = config_from_environment()
_CARD, _PEER = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
_KEY, _BASE, _REGION_BYTES = 0x155, 1 << 40, 1 << 20
_PAIRS = 16
_MTU = 4096
_WRITE_ONLY, _READ_REQUEST = 0x0A, 0x0C
#: Ethernet, IPv4, UDP, BTH, and ICRC.
_FRAME_BYTES = 14 + 20 + 8 + 12 + 4
_RETH_BYTES = 16


class _Watch:
    """Cycles in which a port of the device took or gave something."""

    def __init__(self, bed: Bed, name: str):
        taker = bed.taker(name)
        self._bed, self._accept = bed, taker.accept
        self.cycles: list[int] = []
        taker.accept = self._seen

    def _seen(self, value: int) -> None:
        self.cycles.append(self._bed.later.cycle)
        self._accept(value)

    @property
    def span(self) -> int:
        """Cycles from the first to the last, both included."""
        return self.cycles[-1] - self.cycles[0] + 1


def _beats(size: int) -> int:
    return -(-size // _CONFIG.data_bytes)


async def _start(dut) -> tuple[Bed, dict[int, QueuePair]]:
    """Memory answers at once; there are sixteen queue pairs and a region."""
    bed = Bed(dut, _CONFIG, latency=(1, 1), card_v4=_CARD)
    await bed.start()
    rights = Rights.WRITE | Rights.READ
    pages = tuple((0, 4096 * n) for n in range(_REGION_BYTES // 4096))
    await bed.add(Region(_KEY, 0, _BASE, _REGION_BYTES, rights, pages, 4096))
    pairs = {
        n: QueuePair(n, Service.RC, _MTU, peer=_PEER, peer_queue_pair=n) for n in range(_PAIRS)
    }
    for pair in pairs.values():
        await bed.set_up(pair)
    await bed.settle()
    return bed, pairs


def _frame(pair: QueuePair, opcode: int, length: int, *, offset: int, acks: bool) -> bytes:
    payload = bytes(length) if opcode == _WRITE_ONLY else b""
    packets = 1 if opcode == _WRITE_ONLY else -(-length // _MTU)
    bth = {"opcode": opcode, "dest_qp": pair.number, "psn": pair.expected, "p_key": 0xFFFF}
    reth = {"virtual_address": _BASE + offset, "r_key": _KEY, "dma_length": length}
    pair.expected += packets
    headers = {"bth": {**bth, "ack_req": int(acks)}, "reth": reth}
    return build(RocePacket(_PEER, _CARD, headers, payload))


async def _writes(dut, count: int, length: int, pairs: int) -> _Watch:
    """Put WRITEs in, all at once; watch the data that goes to memory."""
    bed, contexts = await _start(dut)
    watch = _Watch(bed, "writes__data")
    for number in range(count):
        offset = number * _MTU % _REGION_BYTES
        pair = contexts[number % pairs]
        await bed.send(
            _frame(pair, _WRITE_ONLY, length, offset=offset, acks=number >= count - pairs)
        )
    await bed.settle()
    assert len(watch.cycles) == count * _beats(length), "not all was written"
    return watch


ROWS: list[Figure] = []


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(pairs=[1, _PAIRS])
async def writes_of_a_packet(dut, pairs):
    """Write whole path MTUs, in as many cycles as their packets have beats."""
    count = 64
    watch = await _writes(dut, count, _MTU, pairs)
    needed = (count - 1) * _beats(_FRAME_BYTES + _RETH_BYTES + _MTU) + _beats(_MTU)
    title = f"WRITEs of {_MTU} B, queue pairs: {pairs}"
    ROWS.append((title, "used/needed", round(watch.span / needed, 3), 1.0, "ratio"))
    write_rows(ROWS)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(pairs=[_PAIRS, 1])
async def writes_of_64_bytes(dut, pairs):
    """Write 64 bytes every 2 cycles, of one queue pair every 4; or as their beats come."""
    # Behind the first ones, which find everything empty; and an even number of steps: turns begin
    # in every second cycle, so 3 beats take 2 and 4 in turns.
    steps, first = 600, 8
    count = first + steps + 1
    watch = await _writes(dut, count, 64, pairs)
    per_beats = len(watch.cycles) // count
    cycles = (watch.cycles[-per_beats] - watch.cycles[first * per_beats]) / steps
    least = max(_beats(_FRAME_BYTES + _RETH_BYTES + 64), 2 if pairs > 1 else 4)
    title = f"WRITEs of 64 B, queue pairs: {pairs}"
    ROWS.append((title, "cycles/packet", round(cycles, 3), float(least), "cycles"))
    write_rows(ROWS)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(pairs=[1, _PAIRS])
async def reads(dut, pairs):
    """Read; responses leave at a beat a cycle."""
    bed, contexts = await _start(dut)
    bed.memory = Memory()
    watch = _Watch(bed, "o")
    count, length = 16, 16 * _MTU
    for number in range(count):
        offset = number * length % _REGION_BYTES
        pair = contexts[number % pairs]
        await bed.send(_frame(pair, _READ_REQUEST, length, offset=offset, acks=True))
    await bed.settle()
    others = [a for a in bed.answers if not is_job_answer(a)]
    assert not others, f"more was answered than READs: {others[:2]}"
    assert len(bed.answers) == count * length // _MTU
    # All beats of a frame but the last are full, so these are what is needed.
    needed = len(watch.cycles)
    title = f"READs of {length} B, path MTU {_MTU} B, queue pairs: {pairs}"
    ROWS.append((title, "used/needed", round(watch.span / needed, 3), 1.0, "ratio"))
    write_rows(ROWS)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def how_long_one_takes(dut):
    """Write 64 bytes: cycles from its last beat to memory, and to the acknowledgement."""
    bed, contexts = await _start(dut)
    parser = ParsedResponder(config=_CONFIG).parser.latency
    request, answer = _Watch(bed, "writes__request"), _Watch(bed, "o")
    await bed.send(_frame(contexts[0], _WRITE_ONLY, 64, offset=0, acks=True))
    await bed.settle()
    since = bed.i.last
    for title, cycle in (("to memory", request.cycles[0]), ("to its ACK", answer.cycles[0])):
        name = f"WRITE of 64 B, last beat in {title}"
        ROWS.append((f"{name}, with the parser", "latency", cycle - since, None, "cycles"))
        ROWS.append((name, "latency", cycle - since - parser, None, "cycles"))
    write_rows(ROWS)
