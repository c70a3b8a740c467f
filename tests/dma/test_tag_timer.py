# amaranth: UnusedElaboratable=no
"""TagTimer: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import TagTimer
from sim.dma import FailedRead, TagTimerModel
from tb.simulate import simulate


@pytest.mark.parametrize("tags", [4, 22, 64])
def test_tag_timer(tags, run_dir):
    simulate(
        TagTimer(tag_count=tags),
        name="tag_timer",
        testbench="tb.dma.tag_timer_tb",
        run_dir=run_dir,
        env={"TAG_COUNT": tags},
    )


@pytest.mark.parametrize("tags", [0, 2, 9, 2048])
def test_refuses(tags):
    with pytest.raises(ValueError, match=f"even and 4 to 1024, not {tags}"):
        TagTimer(tag_count=tags)


def test_model_by_hand():
    model = TagTimerModel(slack=10)
    model.timeout = 100
    model.issue(3, 50, is_sent=True)
    assert not model.overdue(185) and model.overdue(186) == [3]
    with pytest.raises(AssertionError, match="not issued"):
        model.fail(FailedRead(2, is_link=False), 200)
    with pytest.raises(AssertionError, match="its link was not down"):
        model.fail(FailedRead(3, is_link=True), 200)
    model.end(3)
    model.issue(3, 300, is_sent=True)
    with pytest.raises(AssertionError, match="after 99"):
        model.fail(FailedRead(3, is_link=False), 399)
    model.end(3)
    model.issue(3, 500, is_sent=True)
    model.link_down(510)
    assert model.overdue(521) == [3]
    model.fail(FailedRead(3, is_link=True), 521)
    assert model.overdue(900) == []
    with pytest.raises(AssertionError, match="twice"):
        model.fail(FailedRead(3, is_link=True), 522)
