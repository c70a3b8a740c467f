# amaranth: UnusedElaboratable=no
"""Realign: its model, parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.stream import Realign
from sim.stream import Packet, Slot, realign_slots
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, has_base", [(1, True), (8, True), (8, False), (64, False)])
def test_realign(data_bytes, has_base, run_dir):
    simulate(
        Realign(data_bytes=data_bytes, has_base=has_base),
        name="realign",
        testbench="tb.stream.realign_tb",
        run_dir=run_dir,
        env={"DATA_BYTES": data_bytes, "HAS_BASE": int(has_base)},
    )


def test_refused_parameters():
    with pytest.raises(ValueError, match="data_bytes must be a power of two, not 3"):
        Realign(data_bytes=3, has_base=False)


def test_model_inserts():
    slots = [
        Slot(b"", 4, True, base=b"0123"),
        Slot(b"abcd", 1, True, base=b"4..."),
        Slot(b"efg", 1, True, last=True, error=True),
    ]
    assert realign_slots(slots, 4) == [Packet(b"01234abcdefg", True)]


def test_model_removes():
    slots = [
        Slot(b"", 1, False),
        Slot(b"012a", 1, False),
        Slot(b"bcde", 1, True),
        Slot(b"f", 1, True, last=True),
        Slot(b"0", 1, False, last=True),
    ]
    assert realign_slots(slots, 4) == [Packet(b"abcdef"), None]
