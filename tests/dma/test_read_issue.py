# amaranth: UnusedElaboratable=no
"""ReadIssue: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import ReadIssue
from sim.dma import ReadPiece, ReadRequest, read_tlp
from tb.simulate import simulate


@pytest.mark.parametrize(("clients", "segments", "tags"), [(2, 1, 4), (4, 4, 1024)])
def test_read_issue(clients, segments, tags, run_dir):
    simulate(
        ReadIssue(client_count=clients, segment_count=segments, tag_count=tags),
        name="read_issue",
        testbench="tb.dma.read_issue_tb",
        run_dir=run_dir,
        env={"CLIENT_COUNT": clients, "SEGMENT_COUNT": segments, "TAG_COUNT": tags},
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_count": 0}, "client_count must be 1 to 16, not 0"),
        ({"segment_count": 8}, "1, 2 or 4, not 8"),
        ({"tag_count": 5}, "even and 4 to 1024, not 5"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        ReadIssue(**{"client_count": 2, "segment_count": 1, "tag_count": 4} | changes)


@pytest.mark.parametrize(
    ("address", "length", "expected"),
    [
        (0x1000, 4, (False, 1, 0b1111, 0, 0x1000)),
        (0x1001, 2, (False, 1, 0b0110, 0, 0x1000)),
        (0x1003, 2, (False, 2, 0b1000, 0b0001, 0x1000)),
        (0xFFFFFFFC, 0, (False, 1, 0, 0, 0xFFFFFFFC)),
        (0x1_0000_0000, 4096, (True, 1024, 0b1111, 0b1111, 0x1_0000_0000)),
    ],
)
def test_model_by_hand(address, length, expected):
    piece = ReadPiece(0, ReadRequest(address, length), address, length)
    tlp = read_tlp(piece, tag=3, requester=0x100)
    assert (tlp.four_dwords, tlp.length, tlp.first_be, tlp.last_be, tlp.address) == expected
