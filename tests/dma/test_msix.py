# amaranth: UnusedElaboratable=no
"""Msix: parameter checks, model, and its cocotb testbenches at several sizes."""

import pytest

from hdl.dma import Msix
from sim.dma import MsixModel
from tb.simulate import simulate


@pytest.mark.parametrize("testbench", ["msix_tb", "msix_races_tb"])
@pytest.mark.parametrize(
    ("vectors", "data_bytes", "ticks", "interval_bits"),
    [(3, 4, 1, 3), (64, 32, 16, 6), (2048, 128, 8, 9)],
)
def test_msix(vectors, data_bytes, ticks, interval_bits, testbench, run_dir):
    simulate(
        Msix(
            vector_count=vectors,
            data_bytes=data_bytes,
            tick_cycles=ticks,
            interval_bits=interval_bits,
        ),
        name="msix",
        testbench=f"tb.dma.{testbench}",
        run_dir=run_dir,
        env={
            "VECTOR_COUNT": vectors,
            "DATA_BYTES": data_bytes,
            "TICK_CYCLES": ticks,
            "INTERVAL_BITS": interval_bits,
        },
    )


def test_msix_under_a_host(run_dir):
    """Size as in ``test_msix``, so that it is not built twice."""
    simulate(
        Msix(vector_count=64, data_bytes=32, tick_cycles=16, interval_bits=6),
        name="msix",
        testbench="tb.dma.msix_host_tb",
        run_dir=run_dir,
        env={"VECTOR_COUNT": 64, "DATA_BYTES": 32},
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vector_count": 0}, "vector_count must be 1 to 2048, not 0"),
        ({"vector_count": 2049}, "vector_count must be 1 to 2048, not 2049"),
        ({"data_bytes": 2}, "data_bytes must be 4 or more, not 2"),
        ({"data_bytes": 24}, "data_bytes must be a power of two, not 24"),
        ({"tick_cycles": 0}, "tick_cycles must be 1 or more, not 0"),
        ({"interval_bits": 0}, "interval_bits must be 1 to 16, not 0"),
        ({"interval_bits": 17}, "interval_bits must be 1 to 16, not 17"),
        ({"interval_bits": 3}, "must be 16 or more for 8 vectors, not 8"),
    ],
)
def test_refuses(changes, message):
    good = {"vector_count": 8, "data_bytes": 4, "tick_cycles": 1, "interval_bits": 4}
    with pytest.raises(ValueError, match=message):
        Msix(**good | changes)


def _model() -> MsixModel:
    model = MsixModel(vector_count=2, interval_bits=8, tick_cycles=10)
    for number, word in enumerate((0xFEE00003, 1, 7, 0xFFFFFFFE)):
        model.write(0, number, word)
    model.settle(0)
    model.gate(0, enable=True)
    return model


def test_model_of_entry():
    """Reserved bits are 0: two of the address, all but one of the vector's control."""
    model = _model()
    assert [model.read(0, number) for number in range(4)] == [0xFEE00000, 1, 7, 0]
    assert [model.read(1, number) for number in range(4)] == [0, 0, 0, 1]


def test_model_demands_and_forbids():
    model = _model()
    model.event(0, 100)
    model.event(1, 100)
    assert (model.due_since(0), model.due_since(1)) == (100, None)
    assert model.pending(0) == (3, 3)
    with pytest.raises(AssertionError, match="unmasked"):
        model.message(1, 0, 0, 110)
    with pytest.raises(AssertionError, match="of no entry"):
        model.message(0, 0x1FEE00004, 7, 110)
    model.message(0, 0x1FEE00000, 7, 110)
    assert (model.due_since(0), model.pending(0)) == (None, (2, 2))
    with pytest.raises(AssertionError, match="without an event"):
        model.message(0, 0x1FEE00000, 7, 111)
    model.event(0, 120)
    model.gate(130, enable=True, function_mask=True)
    assert model.due_since(0) is None
    with pytest.raises(AssertionError, match="forbidden"):
        model.message(0, 0x1FEE00000, 7, 132)


def test_model_of_an_event_beside_a_message():
    """What comes with the message needs another; what came just before may have one."""
    model = _model()
    model.event(0, 100)
    model.event(0, 109)
    model.message(0, 0x1FEE00000, 7, 110)
    assert model.pending(0) == (0, 1)
    model.message(0, 0x1FEE00000, 7, 112)
    model.event(0, 120)
    model.message(0, 0x1FEE00000, 7, 130)
    model.event(0, 140)
    with pytest.raises(AssertionError, match="without an event"):
        model.message(0, 0x1FEE00000, 7, 140)
    assert model.due_since(0) == 140


def test_model_of_moderation():
    """A hold of 5 ticks of 10 cycles; 3 events end it."""
    model = _model()
    model.moderate(0, 3 << 16 | 5)
    model.event(0, 100)
    model.message(0, 0x1FEE00000, 7, 110)
    for time in (120, 130):
        model.event(0, time)
    with pytest.raises(AssertionError, match="not 50, with 2 events"):
        model.message(0, 0x1FEE00000, 7, 140)
    assert model.due_since(0) == 110 + 50 + 10 + 6
    model.event(0, 150)
    assert model.due_since(0) == 150
    model.message(0, 0x1FEE00000, 7, 152)
