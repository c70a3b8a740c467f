# amaranth: UnusedElaboratable=no
"""Downsizer: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import Downsizer
from sim.stream import Beat, Packet, downsize, from_beats, to_beats
from tb.simulate import simulate


@pytest.mark.parametrize(("i_bytes", "o_bytes"), [(2, 1), (64, 8), (128, 64)])
def test_downsizer(i_bytes, o_bytes, run_dir):
    simulate(
        Downsizer(i_bytes=i_bytes, o_bytes=o_bytes),
        name="downsizer",
        testbench="tb.stream.downsizer_tb",
        run_dir=run_dir,
        env={"I_BYTES": i_bytes, "O_BYTES": o_bytes},
    )


@pytest.mark.parametrize(
    ("i_bytes", "o_bytes", "rule"),
    [
        (4, 8, "must be more than"),
        (8, 8, "must be more than"),
        (3, 8, "power of two, not 3"),
        (8, 6, "power of two, not 6"),
    ],
)
def test_refuses(i_bytes, o_bytes, rule):
    with pytest.raises(ValueError, match=rule):
        Downsizer(i_bytes=i_bytes, o_bytes=o_bytes)


def test_model_by_hand():
    beats = [Beat(0x44332211, 15, False, False), Beat(0x665544, 7, True, True)]
    assert list(downsize(beats, 4, 2)) == [
        Beat(0x2211, 3, False, False),
        Beat(0x4433, 3, False, False),
        Beat(0x5544, 3, False, False),
        Beat(0x66, 1, True, True),
    ]


@pytest.mark.parametrize("length", range(1, 20))
def test_model_keeps_packets(length):
    packet = Packet(bytes(range(length)), error=length % 2 == 0)
    assert from_beats(downsize(to_beats(packet, 8), 8, 2), 2) == packet
