# amaranth: UnusedElaboratable=no
"""Upsizer: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import Upsizer
from sim.stream import Beat, Packet, from_beats, to_beats, upsize
from tb.simulate import simulate


@pytest.mark.parametrize(("i_bytes", "o_bytes"), [(1, 2), (8, 64), (64, 128)])
def test_upsizer(i_bytes, o_bytes, run_dir):
    simulate(
        Upsizer(i_bytes=i_bytes, o_bytes=o_bytes),
        name="upsizer",
        testbench="tb.stream.upsizer_tb",
        run_dir=run_dir,
        env={"I_BYTES": i_bytes, "O_BYTES": o_bytes},
    )


@pytest.mark.parametrize(
    ("i_bytes", "o_bytes", "rule"),
    [
        (8, 4, "must be more than"),
        (8, 8, "must be more than"),
        (3, 8, "power of two, not 3"),
        (8, 6, "power of two, not 6"),
    ],
)
def test_refuses(i_bytes, o_bytes, rule):
    with pytest.raises(ValueError, match=rule):
        Upsizer(i_bytes=i_bytes, o_bytes=o_bytes)


def test_model_by_hand():
    beats = [Beat(0x11, 1, False, False), Beat(0x22, 1, False, False), Beat(0x33, 1, True, True)]
    assert list(upsize(beats, 1, 2)) == [
        Beat(0x2211, 3, False, False),
        Beat(0x33, 1, True, True),
    ]


@pytest.mark.parametrize("length", range(1, 20))
def test_model_keeps_packets(length):
    packet = Packet(bytes(range(length)), error=length % 2 == 0)
    assert from_beats(upsize(to_beats(packet, 2), 2, 8), 8) == packet
