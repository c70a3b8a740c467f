"""The test library: conversions, and drivers on two ports joined by a queue."""

import random

import pytest
from amaranth.lib import data

from hdl.pcie.tlp import TlpHeaderLayout, TlpSegmentLayout
from sim.pcie.tlp import Kind, Tlp
from tb.pcie import (
    SEGMENT_WIDTH,
    BeatReader,
    changed,
    field_of,
    from_segments,
    header_to_int,
    random_tlp,
    to_segments,
)
from tb.pcie.wire import Wire
from tb.simulate import simulate


@pytest.mark.parametrize("segments", [1, 4])
def test_tlp_port(segments, run_dir):
    simulate(
        Wire(segment_count=segments),
        name="wire",
        testbench="tb.pcie.tlp_port_tb",
        run_dir=run_dir,
        env={"SEGMENTS": segments},
    )


def test_round_trip():
    random.seed(1)
    for _ in range(3000):
        tlp = random_tlp(most_dwords=1024)
        assert from_segments(to_segments(tlp)) == tlp


def test_header_by_the_layout():
    """The same bits as Amaranth's own constants."""
    layout = TlpHeaderLayout()
    tlp = Tlp(
        kind=Kind.MEMORY,
        data=bytes(4),
        length=1,
        tc=5,
        relaxed_ordering=True,
        tag=0x2FF,
        requester=0x1234,
        first_be=15,
        address=0x1_2345_6780,
        four_dwords=True,
        prefix=0x91,
    )
    constant = layout.const(
        {
            "has_data": 1,
            "four_dwords": 1,
            "type": 0,
            "tc": 5,
            "attributes": {"relaxed_ordering": 1},
            "length": 1,
            "tag": 0x2FF,
            "requester": 0x1234,
            "specific": {"memory": {"first_be": 15, "address": 0x1_2345_6780}},
            "prefix": 0x91,
            "has_prefix": 1,
        }
    )
    assert header_to_int(tlp) == constant.as_bits()


def test_segments_by_the_layout():
    tlp = Tlp(kind=Kind.COMPLETION, data=bytes(range(40)), length=10, digest=b"abcd")
    views = [data.Const(TlpSegmentLayout(), value) for value in to_segments(tlp)]
    assert [(view.sop, view.eop) for view in views] == [(1, 0), (0, 1)]
    assert views[1].empty == 8 - 3
    assert views[1].data == int.from_bytes(bytes(range(32, 40)) + b"abcd", "little")


def test_changed():
    segment = to_segments(Tlp(kind=Kind.MEMORY, length=1))[0]
    assert field_of(segment, "empty") == 8
    other = changed(segment, header__tag=77, eop=0)
    assert (field_of(other, "header.tag"), field_of(other, "eop")) == (77, 0)
    assert changed(other, header__tag=0, eop=1) == segment


def test_nullified_may_be_short():
    tlp = Tlp(kind=Kind.MEMORY, data=bytes(64), length=32, nullified=True)
    assert from_segments(to_segments(tlp)) == tlp


def test_reader_finds_several_in_a_beat():
    first, second = (Tlp(kind=Kind.MEMORY, length=1, tag=tag) for tag in (1, 2))
    lanes = [*to_segments(first), *to_segments(second)]
    beat = 0b1001 | (lanes[0] | lanes[1] << 3 * SEGMENT_WIDTH) << 4
    assert BeatReader(4).read(beat) == [(0, first), (3, second)]
