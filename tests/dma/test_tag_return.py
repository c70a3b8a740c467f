# amaranth: UnusedElaboratable=no
"""TagReturn: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import TagReturn
from sim.dma import TagReturnModel
from tb.simulate import simulate


@pytest.mark.parametrize(("clients", "tags"), [(2, 4), (4, 64), (1, 10)])
def test_tag_return(clients, tags, run_dir):
    simulate(
        TagReturn(client_count=clients, tag_count=tags),
        name="tag_return",
        testbench="tb.dma.tag_return_tb",
        run_dir=run_dir,
        env={"CLIENT_COUNT": clients, "TAG_COUNT": tags},
    )


def test_refuses():
    with pytest.raises(ValueError, match="client_count must be 1 to 16, not 0"):
        TagReturn(client_count=0, tag_count=4)
    with pytest.raises(ValueError, match="even and 4 to 1024, not 3"):
        TagReturn(client_count=2, tag_count=3)


def test_model_by_hand():
    model = TagReturnModel()
    model.deliver(1, 7, is_late=True, quarter=2)
    model.deliver(0, 8, is_late=False, quarter=2)
    model.give(0, 8, quarter=2)
    assert model.overdue(7) == [] and model.overdue(8) == [7]
    with pytest.raises(AssertionError, match="too early"):
        model.give(1, 7, quarter=6)
    model.deliver(1, 7, is_late=True, quarter=2)
    with pytest.raises(AssertionError, match="goes to client 0"):
        model.give(0, 7, quarter=7)
