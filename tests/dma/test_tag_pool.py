# amaranth: UnusedElaboratable=no
"""TagPool: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import TagPool
from sim.dma import TagPoolModel
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("clients", "tags", "reserve"), [(2, 4, 2), (4, 64, 4), (3, 10, 1), (1, 8, 8)]
)
def test_tag_pool(clients, tags, reserve, run_dir):
    simulate(
        TagPool(client_count=clients, tag_count=tags, reserve=reserve),
        name="tag_pool",
        testbench="tb.dma.tag_pool_tb",
        run_dir=run_dir,
        env={"CLIENT_COUNT": clients, "TAG_COUNT": tags, "RESERVE": reserve},
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_count": 0}, "client_count must be 1 to 16, not 0"),
        ({"tag_count": 2}, "even and 4 to 1024, not 2"),
        ({"tag_count": 7}, "even and 4 to 1024, not 7"),
        ({"tag_count": 1026}, "even and 4 to 1024, not 1026"),
        ({"reserve": 0}, "reserve must be 1 to 4, tags by clients, not 0"),
        ({"reserve": 5}, "reserve must be 1 to 4, tags by clients, not 5"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        TagPool(**{"client_count": 2, "tag_count": 8, "reserve": 1} | changes)


def test_model_by_hand():
    """Of 6 tags for 3 clients with one each, one client gets 4, then each other 1."""
    model = TagPoolModel(client_count=3, tag_count=6, reserve=1)
    for _ in range(4):
        model.take(0)
    assert [model.is_allowed(n) for n in range(3)] == [False, True, True]
    model.take(1)
    assert [model.is_allowed(n) for n in range(3)] == [False, False, True]
    model.hand_out(5)
    with pytest.raises(AssertionError, match="twice"):
        model.hand_out(5)
    model.give(0, 5)
    assert [model.is_allowed(n) for n in range(3)] == [True, True, True]
    with pytest.raises(AssertionError, match="reserve"):
        for _ in range(3):
            model.take(1)
