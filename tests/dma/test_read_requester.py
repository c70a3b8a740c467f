# amaranth: UnusedElaboratable=no
"""ReadRequester: parameter checks, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import ReadRequester
from tb.simulate import simulate

SIZES = {"client_count": 2, "segment_count": 1, "tag_count": 8, "slot_bytes": 512, "reserve": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"slot_bytes": 4096},
        {"client_count": 4, "segment_count": 4, "tag_count": 64, "reserve": 4},
        {"client_count": 1, "tag_count": 4},
    ],
    ids=["small", "wide", "alone"],
)
def test_read_requester(changes, run_dir):
    sizes = SIZES | changes
    simulate(
        ReadRequester(**sizes),
        name="read_requester",
        testbench="tb.dma.read_requester_tb",
        run_dir=run_dir,
        env={name.upper(): value for name, value in sizes.items()},
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("clients", "segments", "tags", "slot", "reserve"),
    [
        (1, 1, 4, 128, 4),
        (2, 1, 6, 1024, 3),
        (3, 4, 22, 256, 2),
        (7, 2, 100, 2048, 14),
        (16, 2, 16, 4096, 1),
        (16, 4, 1024, 512, 16),
        (5, 1, 1000, 128, 1),
    ],
)
def test_long_campaign(clients, segments, tags, slot, reserve, run_dir):
    """Ten times as much of what is random, at sizes from the least to the greatest."""
    sizes = {
        "client_count": clients,
        "segment_count": segments,
        "tag_count": tags,
        "slot_bytes": slot,
        "reserve": reserve,
    }
    simulate(
        ReadRequester(**sizes),
        name="read_requester",
        testbench="tb.dma.read_requester_tb",
        run_dir=run_dir,
        env={"LENGTH": 10, **{name.upper(): value for name, value in sizes.items()}},
        seed=2,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_count": 0}, "client_count must be 1 to 16, not 0"),
        ({"segment_count": 3}, "1, 2 or 4, not 3"),
        ({"tag_count": 2}, "even and 4 to 1024, not 2"),
        ({"slot_bytes": 100}, "power of two, 128 to 4096, not 100"),
        ({"reserve": 5}, "reserve must be 1 to 4, tags by clients, not 5"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        ReadRequester(**SIZES | changes)
