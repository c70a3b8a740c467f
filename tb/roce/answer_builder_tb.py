"""cocotb testbench of hdl.roce.AnswerBuilder."""

import json
import os
import random
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles
from scapy.contrib.roce import BTH
from scapy.layers.l2 import Ether

from hdl.roce.answer_layouts import AnswerKind, AnswerLayout
from hdl.roce.config import RoceConfig
from hdl.roce.frame_templates import AddressLayout, IdentityLayout
from sim.stream import Packet, to_beats
from tb.roce.addressed import IDENTITY, on_wire, random_row
from tb.stream import PacketSink, PacketSource, StreamSource, chance, reset, start
from tb.stream.packet_port import pack

DATA_BYTES = int(os.environ["DATA_BYTES"])
CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
LATENCY = int(os.environ["LATENCY"])
QUEUE_PAIRS = CONFIG.queue_pairs
ANSWER = AnswerLayout(CONFIG)
# Opcode of a READ response by (first, last).
OPCODES = {(1, 0): 0x0D, (0, 0): 0x0E, (0, 1): 0x0F, (1, 1): 0x10}


@dataclass(frozen=True)
class Answer:
    """An answer, and the data that go with it."""

    kind: AnswerKind
    queue_pair: int
    psn: int
    msn: int
    syndrome: int
    first: int = 0
    last: int = 0
    original: int = 0
    payload: bytes = b""
    error: bool = False

    @property
    def value(self) -> int:
        """Payload of the stream of answers."""
        names = ("kind", "queue_pair", "psn", "msn", "syndrome", "first", "last", "original")
        fields = {name: getattr(self, name) for name in names}
        return ANSWER.const({**fields, "payload_bytes": len(self.payload)}).as_bits()


def random_answer(kind: AnswerKind, size: int = 0, **fields) -> Answer:
    """Answer with random fields; what its kind does not have is noise."""
    values = {
        "queue_pair": random.randrange(QUEUE_PAIRS),
        "psn": random.getrandbits(24),
        "msn": random.getrandbits(24),
        "syndrome": random.getrandbits(8),
        "first": random.getrandbits(1),
        "last": random.getrandbits(1),
        "original": random.getrandbits(64),
        "payload": random.randbytes(size),
    }
    return Answer(kind, **{**values, **fields})


def frame(answer: Answer, row: Any) -> bytes:
    """Frame that the golden model builds."""
    if answer.kind == AnswerKind.READ_RESPONSE:
        opcode = OPCODES[answer.first, answer.last]
    else:
        opcode = {0: 0x11, 2: 0x12, 3: 0x81}[answer.kind]
    is_cnp = opcode == 0x81
    headers: dict = {
        "bth": {
            "opcode": opcode,
            "p_key": row["p_key"],
            "dest_qp": row["queue_pair"],
            "psn": 0 if is_cnp else answer.psn,
            "mig_req": 1,
            "becn": int(is_cnp),
        }
    }
    if is_cnp:
        headers["cnp"] = {}
    elif opcode != 0x0E:
        headers["aeth"] = {"syndrome": answer.syndrome, "msn": answer.msn}
    if opcode == 0x12:
        headers["atomic_ack_eth"] = {"original_remote_data": answer.original}
    return on_wire(row, headers, answer.payload, error=answer.error)


@dataclass
class Bench:
    """The block with its drivers, and what its driver has told it."""

    dut: Any
    prompt: StreamSource
    other: StreamSource
    reads: StreamSource
    data: PacketSource
    addresses: StreamSource
    sink: PacketSink
    rows: dict[int, Any] = field(default_factory=dict)

    def send(self, *answers: Answer) -> None:
        """Queue answers, with their data, where they belong."""
        for answer in answers:
            if answer.kind != AnswerKind.READ_RESPONSE:
                self.prompt.send_value(answer.value)
                continue
            self.reads.send_value(answer.value)
            if answer.payload:
                self.send_data(answer)

    def send_data(self, answer: Answer) -> None:
        """Queue an answer's data, with noise where a beat has none."""
        for beat in to_beats(Packet(answer.payload, answer.error), DATA_BYTES):
            noise = random.getrandbits(8 * DATA_BYTES)
            kept = sum(0xFF << 8 * n for n in range(DATA_BYTES) if beat.keep >> n & 1)
            self.data.send_value(pack(replace(beat, data=beat.data | noise & ~kept), DATA_BYTES))

    def expected(self, answer: Answer) -> Packet:
        """Packet that must leave for ``answer``."""
        return Packet(frame(answer, self.rows[answer.queue_pair]), answer.error)

    async def write(self, queue_pair: int, row: Any) -> None:
        """Write a row of addresses and wait until it is there."""
        self.rows[queue_pair] = row
        layout = AddressLayout()
        value = queue_pair | layout.const(row).as_bits() << CONFIG.bits("queue_pairs")
        self.addresses.send_value(value)
        while not self.addresses.idle:
            await ClockCycles(self.dut.clk, 1)
        await ClockCycles(self.dut.clk, 2)

    async def in_order(self, *answers: Answer) -> None:
        """Exactly these packets leave, in this order."""
        for number, answer in enumerate(answers):
            found = await self.sink.received.get()
            assert found == self.expected(answer), f"packet {number}: {answer}"
        await ClockCycles(self.dut.clk, 40)
        assert self.sink.received.empty()

    async def merged(
        self, prompt: list[Answer], reads: list[Answer], *others: list[Answer]
    ) -> list[int]:
        """Exactly these packets leave, each list in order; which of them each one is."""
        order = []
        waiting = [list(prompt), list(reads), *(list(some) for some in others)]
        for _ in range(sum(len(some) for some in waiting)):
            found = await self.sink.received.get()
            fits = [bool(some) and self.expected(some[0]) == found for some in waiting]
            assert any(fits), f"packet {len(order)} is neither {[some[:1] for some in waiting]}"
            order.append(fits.index(True))
            waiting[order[-1]].pop(0)
        await self.in_order()
        return order


async def attach(dut, *, prompt=0.0, reads=0.0, data=0.0, sink=0.0) -> Bench:
    """Attach drivers with such stalls, and write a row for each queue pair."""
    dut.identity.value = IdentityLayout().const(IDENTITY).as_bits()
    bench = Bench(
        dut,
        StreamSource(dut, "prompt__0", pause=chance(prompt)),
        StreamSource(dut, "prompt__1", pause=chance(prompt)),
        StreamSource(dut, "reads", pause=chance(reads)),
        PacketSource(dut, "data", DATA_BYTES, pause=chance(data)),
        StreamSource(dut, "addresses"),
        PacketSink(dut, "o", DATA_BYTES, pause=chance(sink)),
    )
    await start(dut)
    for queue_pair in range(QUEUE_PAIRS):
        await bench.write(queue_pair, random_row(queue_pair & 1, queue_pair >> 1 & 1))
    return bench


def beats(size: int) -> int:
    """Beats of so many bytes."""
    return -(-size // DATA_BYTES)


PROMPT = [
    AnswerKind.ACKNOWLEDGE,
    AnswerKind.ATOMIC_ACKNOWLEDGE,
    AnswerKind.CONGESTION_NOTIFICATION,
]


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_kind_goes_to_every_address(dut):
    """Each kind, IPv4 and IPv6, with and without a tag; IPv4's ICRC is scapy's."""
    bench = await attach(dut)
    for kind in PROMPT:
        for queue_pair in range(QUEUE_PAIRS):
            answer = random_answer(kind, queue_pair=queue_pair)
            row = bench.rows[queue_pair]
            if not row["v6"]:
                made = frame(answer, row)
                start_of_bth = 42 + 4 * row["has_vlan"]
                bth = Ether(made)[BTH]
                assert bth.compute_icrc(made[start_of_bth:-4]) == made[-4:]
            bench.prompt.restart()
            bench.sink.restart()
            bench.send(answer)
            await bench.in_order(answer)
            assert bench.sink.first - bench.prompt.first == LATENCY


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_length_is_framed(dut):
    """READ responses of 0 bytes to three beats and more, first, middle, last and only."""
    bench = await attach(dut)
    answers = [
        random_answer(AnswerKind.READ_RESPONSE, size, first=first, last=last, queue_pair=queue_pair)
        for size in range(3 * DATA_BYTES + 2 if DATA_BYTES <= 32 else 2 * DATA_BYTES + 2)
        for queue_pair in range(4)
        for first, last in ([*OPCODES] if DATA_BYTES == 8 else random.sample([*OPCODES], 1))
    ]
    answers += [random_answer(AnswerKind.READ_RESPONSE, size) for size in (4093, 4095, 4096)]
    bench.send(*answers)
    await bench.in_order(*answers)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(prompt=[0.0, 0.9], reads=[0.0, 0.9], data=[0.0, 0.6], sink=[0.0, 0.5])
async def answers_pass_under_stalls(dut, prompt, reads, data, sink):
    """With random stalls anywhere, each answer leaves, in its stream's order."""
    bench = await attach(dut, prompt=prompt, reads=reads, data=data, sink=sink)
    acknowledgements = [random_answer(random.choice(PROMPT)) for _ in range(40)]
    responses = [
        random_answer(
            AnswerKind.READ_RESPONSE,
            random.choice([0, 1, random.randint(1, 2 * DATA_BYTES), random.randint(1, 300)]),
            error=random.random() < 0.2,
        )
        for _ in range(40)
    ]
    responses = [replace(one, error=one.error and bool(one.payload)) for one in responses]
    bench.send(*acknowledgements, *responses)
    await bench.merged(acknowledgements, responses)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def both_streams_take_turns(dut):
    """With both streams backlogged, packets of different queue pairs alternate."""
    bench = await attach(dut)
    acknowledgements = [random_answer(AnswerKind.ACKNOWLEDGE, queue_pair=0) for _ in range(20)]
    responses = [random_answer(AnswerKind.READ_RESPONSE, 64, queue_pair=3) for _ in range(20)]
    bench.send(*acknowledgements, *responses)
    order = await bench.merged(acknowledgements, responses)
    # Before the first data are here, acknowledgements go on.
    begin = order.index(1)
    assert begin <= 6
    assert order[begin : begin + 26] == [1, 0] * 13


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(own=[0, 1, 2])
async def a_response_passes_no_answer_of_its_queue_pair(dut, own):
    """Of a queue pair whose answers wait on one input or both, a response leaves behind them."""
    bench = await attach(dut)
    bench.sink.pause = lambda: True
    lanes = [
        [random_answer(random.choice(PROMPT), queue_pair=3 if own in (lane, 2) else lane)] * 10
        for lane in range(2)
    ]
    lanes = [[replace(one, psn=n) for n, one in enumerate(lane)] for lane in lanes]
    for source, lane in zip((bench.prompt, bench.other), lanes, strict=True):
        for answer in lane:
            source.send_value(answer.value)
    await ClockCycles(dut.clk, 300)
    responses = [
        random_answer(AnswerKind.READ_RESPONSE, 5, queue_pair=queue_pair) for queue_pair in (2, 3)
    ]
    bench.send(*responses)
    await ClockCycles(dut.clk, 10)
    bench.sink.pause = chance(0)
    order = await bench.merged(lanes[0], responses, lanes[1])
    others, own_response = (n for n, stream in enumerate(order) if stream == 1)
    last = max(n for n, stream in enumerate(order) if stream != 1 and own in (stream // 2, 2))
    assert others < last < own_response, order
    # The two inputs take turns.
    lanes_alone = [stream for stream in order if stream != 1]
    assert all(a != b for a, b in pairwise(lanes_alone)), order


@cocotb.test(timeout_time=100, timeout_unit="us")
async def slow_memory_holds_up_no_acknowledgement(dut):
    """One response waits for its data; acknowledgements pass it."""
    bench = await attach(dut)
    first, second = (random_answer(AnswerKind.READ_RESPONSE, 3 * DATA_BYTES) for _ in range(2))
    acknowledgements = [random_answer(random.choice(PROMPT)) for _ in range(10)]
    bench.send(first)
    bench.reads.send_value(second.value)
    await ClockCycles(dut.clk, 200)
    bench.send(*acknowledgements)
    for answer in (first, *acknowledgements):
        assert await bench.sink.received.get() == bench.expected(answer)
    bench.send_data(second)
    await bench.in_order(second)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(size=[8, 256, 1024, 4096])
async def responses_follow_each_other_without_a_gap(dut, size):
    """READ responses back to back: as many cycles as beats."""
    bench = await attach(dut)
    lengths = [max(1, size - n % 5) for n in range(12)]
    responses = [random_answer(AnswerKind.READ_RESPONSE, length) for length in lengths]
    bench.send(*responses)
    await bench.in_order(*responses)
    total = sum(beats(len(bench.expected(one).data)) for one in responses)
    assert bench.sink.span == bench.sink.accepted == total


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def acknowledgements_follow_each_other_without_a_gap(dut):
    """ACKs and CNPs back to back: as many cycles as beats."""
    bench = await attach(dut)
    answers = [random_answer(random.choice(PROMPT)) for _ in range(50)]
    bench.send(*answers)
    await bench.in_order(*answers)
    total = sum(beats(len(bench.expected(one).data)) for one in answers)
    assert bench.sink.span == bench.sink.accepted == total


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_new_row_takes_the_place_of_the_old(dut):
    """After a row has been written, nothing of the one before is left."""
    bench = await attach(dut)
    for _ in range(3):
        for flags in ((1, 1), (0, 0), (1, 0), (0, 1)):
            await bench.write(1, random_row(*flags))
            answers = [random_answer(kind, queue_pair=1) for kind in PROMPT]
            bench.send(*answers)
            await bench.in_order(*answers)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(flags=[(0, 0), (1, 0)])
async def checksums_carry(dut, flags):
    """IPv4's checksum is right where the length carries out of the sum of all other fields."""
    bench = await attach(dut)
    ones = {str(name): (1 << field.width) - 1 for name, field in AddressLayout()}
    for fields in (random_row(*flags), ones):
        row: dict[Any, Any] = {**fields, "has_vlan": flags[0], "v6": 0}
        # The checksum of an ACK shall be 64, so that its sum is 0xFFFF - 64.
        ip = 14 + 4 * flags[0]
        made = frame(random_answer(AnswerKind.ACKNOWLEDGE, queue_pair=1), row)
        more = int.from_bytes(made[ip + 10 : ip + 12], "big") - 64
        address = row["destination_ip"] % (1 << 32)
        row["destination_ip"] = address & ~0xFFFF | (address + more) % 0xFFFF
        await bench.write(1, row)
        answers = [
            random_answer(AnswerKind.READ_RESPONSE, size, queue_pair=1) for size in range(100)
        ]
        bench.send(*answers)
        await bench.in_order(*answers)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(cycles=[1, 3, 5, 8, 13, 20])
async def reset_in_mid_packet_forgets_it(dut, cycles):
    """After a reset at any time answers leave as ever; rows of addresses stay."""
    bench = await attach(dut)
    answers = [random_answer(AnswerKind.READ_RESPONSE, 3 * DATA_BYTES) for _ in range(6)]
    answers += [random_answer(kind) for kind in PROMPT]
    bench.send(*answers)
    await ClockCycles(dut.clk, cycles)
    await reset(
        dut, bench.prompt, bench.other, bench.reads, bench.data, bench.addresses, bench.sink
    )
    answers = [random_answer(AnswerKind.READ_RESPONSE, size) for size in (5, 0, 70)]
    bench.send(*answers)
    await bench.in_order(*answers)
