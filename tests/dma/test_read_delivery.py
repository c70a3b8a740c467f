# amaranth: UnusedElaboratable=no
"""ReadDelivery: model and its cocotb testbench."""

import pytest

from hdl.dma import ReadDelivery
from sim.dma import Answer, ReadDeliveryModel, ReadRequest, split_read
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("client_count", "segment_count", "tag_count", "slot_bytes"),
    [(2, 1, 16, 256), (1, 1, 5, 128), (3, 4, 32, 512), (4, 4, 16, 128)],
)
def test_read_delivery(client_count, segment_count, tag_count, slot_bytes, run_dir):
    sizes = {
        "client_count": client_count,
        "segment_count": segment_count,
        "tag_count": tag_count,
        "slot_bytes": slot_bytes,
    }
    simulate(
        ReadDelivery(**sizes),
        name="read_delivery",
        testbench="tb.dma.read_delivery_tb",
        run_dir=run_dir,
        env={name.upper(): value for name, value in sizes.items()},
    )


@pytest.mark.parametrize(
    ("wrong", "value"),
    [("client_count", 0), ("segment_count", 3), ("tag_count", 1), ("slot_bytes", 8192)],
)
def test_parameters(wrong, value):
    sizes = {"client_count": 2, "segment_count": 1, "tag_count": 8, "slot_bytes": 128}
    with pytest.raises(ValueError, match=f"{wrong} must be .* {value}"):
        ReadDelivery(**{**sizes, wrong: value})


def test_model_by_hand():
    """Two pieces that end in the wrong order, the first of them failed; then a flush."""
    model = ReadDeliveryModel(2, 128)
    first, second = split_read(1, ReadRequest(0x7E, 5, tag=9), 128)
    model.issue(4, first)
    model.issue(2, second)
    model.issue(3, *split_read(1, ReadRequest(0, 0, tag=10), 128))
    slot = bytes(range(128))
    assert list(model.end(2, 0, slot)) == []
    assert list(model.end(3, 0, slot)) == []
    assert list(model.end(4, 5, slot)) == [
        (1, Answer(b"\0\0\0\1\2", 9, 5)),
        (1, Answer(b"", 10, 0)),
    ]
    assert list(model.delivered[1]) == [(4, 5), (2, 0), (3, 0)]
