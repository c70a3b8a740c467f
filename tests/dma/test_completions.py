# amaranth: UnusedElaboratable=no
"""Completions: parameter checks, model, and its cocotb testbench at several sizes."""

import random

import pytest

from hdl.dma import Completions
from sim.dma import CompletionsModel, EndedRead, ReadEnd
from sim.pcie import Kind, Tlp
from tb.dma.completion_makers import REQUESTER, completions_of
from tb.dma.host_completions import HostMemory
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("segment_count", "tag_count", "slot_bytes"),
    [
        (1, 8, 256),
        (4, 16, 512),
        pytest.param(2, 10, 128, marks=pytest.mark.long),
        pytest.param(4, 4, 4096, marks=pytest.mark.long),
        pytest.param(4, 64, 128, marks=pytest.mark.long),
    ],
)
def test_completions(segment_count, tag_count, slot_bytes, run_dir):
    simulate(
        Completions(segment_count=segment_count, tag_count=tag_count, slot_bytes=slot_bytes),
        name="completions",
        testbench="tb.dma.completions_tb",
        run_dir=run_dir,
        env={
            "SEGMENT_COUNT": segment_count,
            "TAG_COUNT": tag_count,
            "SLOT_BYTES": slot_bytes,
        },
    )


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"segment_count": 3}, "segments must be 1, 2 or 4, not 3"),
        ({"tag_count": 7}, "tag_count must be even and 4 to 1024, not 7"),
        ({"tag_count": 2048}, "tag_count must be even and 4 to 1024, not 2048"),
        ({"slot_bytes": 384}, "slot_bytes must be a power of two, 128 to 4096, not 384"),
    ],
)
def test_refuses(changes, rule):
    with pytest.raises(ValueError, match=rule):
        Completions(**({"segment_count": 4, "tag_count": 16, "slot_bytes": 512} | changes))


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("rcb_128", [False, True])
@pytest.mark.parametrize("max_payload", [0, 5])
def test_model_takes_cocotbext_pcies_completions(max_payload, rcb_128, split):
    """Byte counts and lower addresses that we did not compute; and ours are the same."""
    data = random.Random(1).randbytes(0x4000)
    host = HostMemory(data, REQUESTER, max_payload=max_payload, rcb_128=rcb_128, split=split)
    lengths = [0, 1, 2, 3, 4, 5, 63, 64, 65, 127, 128, 129, 512]
    reads = [(offset, length) for offset in (0, 1, 2, 3, 61, 64, 127) for length in lengths]
    reads += [(0, 4096), (1, 4095), (4095, 1)]
    for offset, length in reads:
        address = 0x3000 + offset
        tlps = host.read(5, address, length)
        model = CompletionsModel(8, REQUESTER)
        model.ask(5, address, length)
        ends = [model.complete(tlp) for tlp in tlps]
        assert ends[:-1] == [None] * (len(tlps) - 1)
        assert ends[-1] == EndedRead(5, ReadEnd.OK, address, data[address : address + length])
        if split and length:
            own = completions_of(5, address, length, rcb=128 if rcb_128 else 64)
            names = ("length", "byte_count", "lower_address", "requester", "tag", "status")
            for one, other in zip(own, tlps, strict=True):
                assert [getattr(one, name) for name in names] == [
                    getattr(other, name) for name in names
                ]


def test_model_by_hand():
    """A read of 3 bytes across a DW in two completions; what breaks the rules ends it."""
    first = Tlp(
        Kind.COMPLETION,
        data=b"..ab",
        length=1,
        tag=1,
        requester=7,
        byte_count=3,
        lower_address=0x3E,
    )
    last = first.with_changes(data=b"c...", byte_count=1, lower_address=0x40)
    model = CompletionsModel(4, 7)
    model.ask(1, 0x103E, 3)
    assert model.complete(last.with_changes(nullified=True)) is None
    assert model.complete(first) is None
    assert model.complete(last) == EndedRead(1, ReadEnd.OK, 0x103E, b"abc")
    assert model.complete(last) is None
    assert model.unexpected == 1

    model.ask(1, 0x103E, 3)
    assert model.complete(first.with_changes(poisoned=True)) is None
    ended = model.complete(last)
    assert ended is not None
    assert ended.end == ReadEnd.POISONED
    for wrong, end in [
        ({"byte_count": 4}, ReadEnd.ABORT),
        ({"lower_address": 0x3D}, ReadEnd.ABORT),
        ({"data": b"..abc.......", "length": 3}, ReadEnd.ABORT),
        ({"data": b"..abc..."}, ReadEnd.ABORT),
        ({"data": None, "length": 0}, ReadEnd.ABORT),
        ({"data": None, "length": 0, "status": 1}, ReadEnd.UNSUPPORTED),
        ({"data": None, "length": 0, "status": 2}, ReadEnd.ABORT),
        ({"data": None, "length": 0, "status": 4}, ReadEnd.ABORT),
    ]:
        model.ask(1, 0x103E, 3)
        assert model.complete(first.with_changes(**wrong)) == EndedRead(1, end, 0x103E, b"")
    model.ask(1, 0x103E, 3)
    assert model.complete(first.with_changes(requester=8)) is None
    assert model.fail(1, ReadEnd.TIMEOUT) == EndedRead(1, ReadEnd.TIMEOUT, 0x103E, b"")
    assert model.fail(1, ReadEnd.TIMEOUT) is None
    assert model.unexpected == 2
