"""Mover and Translator: the model, and their cocotb testbench at two sizes."""

import json
from dataclasses import asdict, replace

import pytest

from sim.roce.mover import Action, Completion, Event, MoverModel
from sim.roce.translator import Place, Span, Translation
from tb.roce.mover_bed import MoverBed
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, scatter_entries", [(8, 4), (128, 16)])
def test_mover(data_bytes, scatter_entries, run_dir):
    config = small(data_bytes, regions=4, pages=32, scatter_entries=scatter_entries)
    simulate(
        MoverBed(config=config),
        name="mover_bed",
        testbench="tb.roce.mover_tb",
        run_dir=run_dir,
        env={"CONFIG": json.dumps(asdict(config))},
    )


EVENT = Event(kind=1, queue_pair=3, psn=5, msn=6, syndrome=31, notify=1)
DONE = Completion(1, 3, 2, 0, 4, 0, 0, 0, 0, 0, 0)


def test_model_writes_scatters_and_fails():
    """A WRITE over two pages, a datagram, a list that is too short, and what comes then."""
    table = Translation(4, {1: 7}, {0: (0, 1), 1: (2, 9)})
    lists = {2: [Span(0, 100, 30), Span(0, 200, 0), Span(1, 300, 15)]}
    model = MoverModel(table, lists)
    write = Action("write", 3, b"--abcd", 2, 4, Place(1, 7, 4093, 0, 12), EVENT)
    done = model.act(write)
    assert done.spans == [Span(0, 8189, 3), Span(2, 9 << 12, 1)]
    assert done.written[2, 9 << 12] == ord("d")
    packet = bytes(range(64))
    datagram = replace(
        write, kind="scatter", packet=packet, payload_offset=50, is_datagram=True, handle=2
    )
    done = model.act(datagram)
    assert done.spans == [Span(0, 120, 10), Span(1, 300, 10), Span(1, 310, 4)]
    assert done.written[0, 120] == 0
    assert done.written[1, 313] == 53
    done = model.act(replace(datagram, payload_bytes=0))
    assert done.spans == [Span(0, 120, 10), Span(1, 300, 10)]
    done = model.act(replace(datagram, payload_bytes=6, completion=DONE))
    assert (done.failure, done.event) == (1, replace(EVENT, kind=4, syndrome=0x63))
    assert done.completion == replace(DONE, status=1)
    done = model.act(replace(write, completion=DONE))
    assert (done.spans, done.event) == ([], replace(EVENT, kind=0, notify=0))
    assert done.completion == replace(DONE, status=4)
    assert model.act(replace(write, revive=True)).spans
    refused = replace(write, kind="scatter", invalidate=True, handle=2)
    assert model.act(refused).spans == [Span(0, 100, 4)]
    done = model.act(refused)
    assert (done.spans, done.failure, done.event) == ([], 3, replace(EVENT, kind=4, syndrome=0x62))
