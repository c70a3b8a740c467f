# amaranth: UnusedElaboratable=no
"""AnswerScheduler: its model, parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.roce.answer_scheduler import AnswerScheduler
from hdl.roce.ready_ring import ReadyRing
from sim.roce.answer_scheduler import Text, after_event, packets
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("data_bytes", "queue_pairs", "resources"), [(8, 2, 2), (8, 16, 4), (64, 64, 8)]
)
def test_answer_scheduler(data_bytes, queue_pairs, resources, run_dir):
    config = small(data_bytes, queue_pairs=queue_pairs, resources=resources)
    simulate(
        AnswerScheduler(config=config),
        name="answer_scheduler",
        testbench="tb.roce.answer_scheduler_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "QUEUE_PAIRS": queue_pairs, "RESOURCES": resources},
    )


def test_model_of_a_slot():
    """By hand: who wins, and what a NAK says after an ACK."""
    ack = Text("ACK", 0xFFFFFF, 5, 3)
    nak = Text("SEQUENCE_NAK", 9, 4, 0x60)
    rnr = Text("RNR_NAK", 7, 4, 0x2E)
    fatal = Text("FATAL_NAK", 8, 4, 0x61)
    job = Text("JOB", 0, 0, 0)
    ack_again = Text("ACK", 6, 4, 3, again=True)
    job_again = Text("JOB", 0, 0, 0, again=True)
    assert after_event(None, ack) == after_event(rnr, ack) == ack
    assert after_event(nak, ack) == Text("SEQUENCE_NAK", 0, 5, 0x60)
    assert after_event(rnr, nak) == after_event(ack, nak) == nak
    assert after_event(nak, rnr) == after_event(ack, rnr) == rnr
    assert after_event(rnr, ack_again) == rnr
    assert after_event(ack, ack_again) == after_event(None, ack_again) == ack_again
    assert after_event(nak, ack_again) == Text("SEQUENCE_NAK", 7, 4, 0x60)
    for event in (ack, nak, rnr, job, ack_again, job_again):
        assert after_event(fatal, event) == fatal
    for slot in (ack, nak, rnr):
        assert after_event(slot, fatal) == fatal
        assert after_event(slot, job) is None
        assert after_event(slot, job_again) == slot


def test_model_of_a_read():
    """By hand: numbers wrap, the last packet is short."""
    assert list(packets(0xFFFFFF, 10, 513, 256)) == [
        (0xFFFFFF, 10, 256, 1),
        (0, 266, 256, 0),
        (1, 522, 1, 2),
    ]
    assert list(packets(3, 10, 0, 256)) == [(3, 10, 0, 3)]
    assert list(packets(3, 10, 1024, 1024)) == [(3, 10, 1024, 3)]


@pytest.mark.parametrize("members", [0, 1, 3])
def test_refused_parameters(members):
    with pytest.raises(ValueError, match=r"members must be a power of two, 2 or more"):
        ReadyRing(shape=4, members=members)
