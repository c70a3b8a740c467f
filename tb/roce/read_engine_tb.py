"""cocotb testbench of hdl.roce.ReadEngine."""

import json
import os
import random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from hdl.roce.answer_layouts import AnswerKind, AnswerLayout, ReadSegmentLayout
from hdl.roce.config import RoceConfig
from hdl.roce.layouts import CompletionStatus, FailureLayout, PlaceLayout
from sim.roce.read_engine import Segment, read_segments
from sim.stream import Packet

from ..dma.fields import FieldReader, pack_fields
from ..stream import PacketSink, StreamSink, StreamSource, chance, reset, start
from .scripted_memory import ScriptedReads, ScriptedTranslator, Strobes, Translation

CONFIG = RoceConfig(**json.loads(os.environ["CONFIG"]))
DATA_BYTES = CONFIG.data_bytes
#: Cycles of the Translator in most tests: the most that it may take.
TRANSLATION = 16
STATUSES = {
    CompletionStatus.REMOTE_ACCESS: "access",
    CompletionStatus.REMOTE_OPERATION: "operation",
}

_SEGMENT = ReadSegmentLayout(CONFIG)
_PLACE = PlaceLayout(CONFIG)
_ANSWER = AnswerLayout(CONFIG)
_READ_ANSWER = FieldReader(_ANSWER)
_READ_FAILURE = FieldReader(FailureLayout(CONFIG))

#: A segment, and the lengths of its spans.
Job = tuple[Segment, tuple[int, ...]]


class PatientAnswers(StreamSink):
    """Take an answer with data when a beat of that data has been taken, not before."""

    def __init__(self, dut: Any, data: "CountingData"):
        self.data = data
        self.packets = 0
        super().__init__(dut, "answers", pause=self._must_wait)

    def accept(self, value: int) -> None:
        """Take an answer; count those with data."""
        super().accept(value)
        if _READ_ANSWER.read(value).payload_bytes:
            self.packets += 1
            assert self.data.begun >= self.packets, "the testbench took it too early"

    def _must_wait(self) -> bool:
        if self.ready.value or not self.valid.value:
            return True
        has_data = _READ_ANSWER.read(int(self.payload.value)).payload_bytes
        return bool(has_data) and self.data.begun <= self.packets


class CountingData(PacketSink):
    """Count packets whose first beat has been taken."""

    begun = 0

    def accept(self, value: int) -> None:
        """Take a beat."""
        self.begun += not self._beats
        super().accept(value)


class Bed:
    """All around a ReadEngine."""

    def __init__(
        self,
        dut: Any,
        *,
        stall: float = 0.0,
        sink_stall: float = 0.0,
        latency: tuple[int, int] = (5, 5),
        translation: int = TRANSLATION,
        is_patient: bool = False,
    ):
        self.dut = dut
        self.segments = StreamSource(dut, "segments", pause=chance(stall))
        self.translator = ScriptedTranslator(dut, CONFIG, latency=translation, stall=stall)
        self.reads = ScriptedReads(
            dut, DATA_BYTES, latency=lambda: random.randint(*latency), stall=stall
        )
        self.data = CountingData(dut, "data", DATA_BYTES, pause=chance(sink_stall))
        self.answers: StreamSink = (
            PatientAnswers(dut, self.data)
            if is_patient
            else StreamSink(dut, "answers", pause=chance(sink_stall))
        )
        self.failures = StreamSink(dut, "failures", pause=chance(sink_stall))
        self.sent = Strobes(dut, "sent")

    def send(self, jobs: list[Job]) -> None:
        """Queue segments, and write down what the Translator and memory are to answer."""
        for segment, lengths in jobs:
            key, linear = random.randrange(CONFIG.regions), random.getrandbits(48)
            spans = tuple((random.getrandbits(2), random.getrandbits(64), n) for n in lengths)
            length = len(segment.data)
            if length:
                self.translator.script.append(
                    Translation(key, linear, length, None if segment.refused else spans)
                )
            self.segments.send_value(pack_segment(segment, key, linear))
            if segment.refused or not length:
                continue
            assert sum(lengths) == length
            broken = random.randrange(len(spans)) if segment.failed else -1
            begin = 0
            for number, span in enumerate(spans):
                content = segment.data[begin : begin + span[2]]
                begin += span[2]
                self.reads.script.append((span, 2 * (number == broken), content))

    async def check(self, jobs: list[Job]) -> None:
        """Await and compare all that leaves of ``jobs``."""
        outcome = read_segments(segment for segment, _ in jobs)
        for number, expected in enumerate(outcome.answers):
            assert read_answer(await self.answers.received.get()) == expected, number
        for number, (content, is_damaged) in enumerate(outcome.data):
            assert await self.data.received.get() == Packet(content, is_damaged), number
        for expected in outcome.failures:
            failure = _READ_FAILURE.read(await self.failures.received.get())
            assert (failure.queue_pair, STATUSES[failure.status]) == expected
        while len(self.sent.seen) < len(jobs):
            await ClockCycles(self.dut.clk, 1)
        await ClockCycles(self.dut.clk, 10)
        assert self.segments.idle
        assert not self.translator.script
        assert not self.reads.script
        for sink in (self.answers, self.data, self.failures):
            assert sink.received.empty()
        assert self.sent.seen == [segment.queue_pair for segment, _ in jobs]

    async def exchange(self, jobs: list[Job]) -> None:
        """Send segments and check what becomes of them."""
        self.sent.seen.clear()
        self.send(jobs)
        await self.check(jobs)


def pack_segment(segment: Segment, key: int, linear: int) -> int:
    """Payload of ``segments``."""
    answer = pack_fields(
        _ANSWER,
        kind=AnswerKind.READ_RESPONSE.value,
        queue_pair=segment.queue_pair,
        psn=segment.psn,
        msn=segment.msn,
        syndrome=segment.syndrome,
        first=segment.first,
        last=segment.last,
        payload_bytes=len(segment.data),
        original=random.getrandbits(64),
    )
    place = pack_fields(_PLACE, key=key, linear=linear)
    return pack_fields(_SEGMENT, place=place, again=segment.again, answer=answer)


def read_answer(value: int) -> tuple[bool, int, int, int, int, bool, bool, int]:
    """Fields of an answer, as in the model's outcome."""
    answer = _READ_ANSWER.read(value)
    is_nak = answer.kind == AnswerKind.ACKNOWLEDGE.value
    assert is_nak or answer.kind == AnswerKind.READ_RESPONSE.value
    return (
        is_nak,
        answer.queue_pair,
        answer.psn,
        answer.msn,
        answer.syndrome,
        bool(answer.first),
        bool(answer.last),
        answer.payload_bytes,
    )


def job(*lengths: int, **fields: Any) -> Job:
    """Job of spans of ``lengths``; what is not given is random, of one of four queue pairs."""
    given = {
        "queue_pair": random.randrange(min(4, CONFIG.queue_pairs)),
        "psn": random.getrandbits(24),
        "msn": random.getrandbits(24),
        "syndrome": random.getrandbits(8),
        "first": random.random() < 0.3,
        "last": random.random() < 0.3,
        "data": random.randbytes(sum(lengths)),
    }
    return Segment(**{**given, **fields}), lengths


def random_job() -> Job:
    """Job of any kind: some have no bytes, some fail."""
    lengths = [
        random.choice([1, DATA_BYTES, random.randint(1, 3 * DATA_BYTES), random.randint(1, 300)])
        for _ in range(random.choice([0, 1, 1, 2]))
    ]
    fate = random.random()
    again = random.random() < 0.4
    return job(*lengths, refused=fate < 0.15, failed=0.15 <= fate < 0.25, again=again)


def beats(jobs: list[Job]) -> int:
    """Beats of the data of jobs that do not fail."""
    return sum(-(-len(segment.data) // DATA_BYTES) for segment, _ in jobs)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(length=[256, 1024, 4096], is_patient=[False, True])
async def a_beat_leaves_in_every_cycle(dut, length, is_patient):
    """Of segments of one span, back to back, there is no bubble, whatever the latency hides."""
    # 64 segments or more are under way, 16 with narrow beats: at 256 bytes, that hides less.
    most = min(600, (14 if CONFIG.is_narrow else 60) * length // DATA_BYTES)
    bed = Bed(dut, latency=(most, most), is_patient=is_patient)
    await start(dut)
    jobs = [job(length) for _ in range(max(20, 200 * 256 // length))]
    await bed.exchange(jobs)
    assert bed.data.span == beats(jobs), f"{bed.data.span} cycles, {beats(jobs)} beats"


@cocotb.test(timeout_time=200, timeout_unit="us")
async def spans_are_joined_at_every_offset(dut):
    """Whatever the lengths of two spans, they are one packet; back to back, at a cycle each."""
    bed = Bed(dut)
    await start(dut)
    pairs = [
        (first, second)
        for first in range(1, 2 * DATA_BYTES + 2)
        for second in (1, DATA_BYTES - 1, DATA_BYTES, random.randint(1, 3 * DATA_BYTES))
    ]
    jobs = [job(*pair) for pair in pairs]
    await bed.exchange(jobs)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_join_takes_a_cycle_more_at_most(dut):
    """4 KiB in two spans take as many cycles as beats come from memory."""
    bed = Bed(dut)
    await start(dut)
    pairs = [(first, 4096 - first) for first in random.sample(range(1, 4096), 20)]
    jobs = [job(*pair) for pair in pairs]
    await bed.exchange(jobs)
    assert bed.data.span <= sum(-(-length // DATA_BYTES) for pair in pairs for length in pair)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(stall=[0.0, 0.5], sink_stall=[0.0, 0.5], longest=[0, 60])
async def any_segments_keep_their_order(dut, stall, sink_stall, longest):
    """Segments with and without bytes, of one or two spans, refused and failed, under stalls."""
    translation = random.randint(1, TRANSLATION)
    bed = Bed(
        dut, stall=stall, sink_stall=sink_stall, latency=(0, longest), translation=translation
    )
    await start(dut)
    await bed.exchange([random_job() for _ in range(300)])


@cocotb.test(timeout_time=200, timeout_unit="us")
async def an_answer_may_wait_for_its_data(dut):
    """Whoever takes each answer behind the first beat of its data gets everything."""
    bed = Bed(dut, is_patient=True)
    await start(dut)
    await bed.exchange([random_job() for _ in range(200)])
    await bed.exchange([job(1 + n % 2) for n in range(100)])


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_failed_queue_pair_is_silent_to_its_next_read(dut):
    """Whatever failed, later segments of it leave nothing, others pass; then it is as new."""
    bed = Bed(dut)
    await start(dut)
    for fate in ({"refused": True}, {"failed": True}):
        for lengths in ((100,), (DATA_BYTES, 50), (33, 3 * DATA_BYTES)):
            jobs = [job(*lengths, queue_pair=1, first=True)]
            jobs.append(job(*lengths, queue_pair=1, first=False, **fate))
            for _ in range(20):
                again = {} if random.random() < 0.5 else fate
                jobs.append(job(*lengths, queue_pair=1, first=False, **again))
                jobs.append(job(queue_pair=1, first=False))
                jobs.append(job(*lengths, queue_pair=0, first=False))
            jobs.append(job(*lengths, queue_pair=1, first=True))
            jobs.append(job(*lengths, queue_pair=1, first=False))
            await bed.exchange(jobs)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(held=["answers", "data", "failures"])
async def only_segments_wait_for_who_takes_nothing(dut, held):
    """With an output held, translations and reads still get all their responses taken."""
    bed = Bed(dut)
    sink: Any = getattr(bed, held)
    sink.pause = lambda: True
    await start(dut)
    jobs = [random_job() for _ in range(150)]
    bed.send(jobs)
    await ClockCycles(dut.clk, 3000)
    assert not bed.segments.idle
    assert bed.reads.requests.received.empty()
    sink.pause = chance(0)
    await bed.check(jobs)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def latency_is_as_stated(dut):
    """Ask a cycle after a segment comes; read, answer and give data as the docstring has it."""
    bed = Bed(dut, latency=(5, 5), translation=4)
    await start(dut)
    for lengths in ((2 * DATA_BYTES,), ()):
        ports = [bed.segments, bed.translator, bed.reads.requests, bed.reads.data]
        ports += [bed.answers, bed.data]
        for port in ports:
            port.restart()
        await bed.exchange([job(*lengths)])
        if lengths:
            assert bed.translator.first - bed.segments.first == 1
            found = bed.translator.first + 4
            assert bed.reads.requests.first - found == (2 if DATA_BYTES == 8 else 3)
            assert bed.answers.first - bed.reads.requests.first == (2 if DATA_BYTES == 8 else 4)
            assert bed.data.first - bed.reads.data.first == 4
        else:
            assert bed.answers.first - bed.segments.first == (4 if DATA_BYTES == 8 else 7)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(cycles=[3, 20, 45, 90])
async def reset_forgets_all(dut, cycles):
    """After a reset at any time, segments find an empty engine."""
    bed = Bed(dut, latency=(0, 0))
    await start(dut)
    bed.send([job(300, 200, queue_pair=1, failed=True) for _ in range(30)])
    await ClockCycles(dut.clk, cycles)
    ports = (*bed.reads.ports, bed.answers, bed.data, bed.failures)
    await reset(dut, bed.segments, bed.translator, *ports)
    bed.translator.forget()
    bed.reads.forget()
    await bed.exchange([job(300, 200, queue_pair=1, first=False) for _ in range(5)])
