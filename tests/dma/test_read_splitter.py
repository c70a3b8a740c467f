# amaranth: UnusedElaboratable=no
"""ReadSplitter: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import ReadSplitter
from sim.dma import ReadRequest, read_block_bytes, split_read
from tb.simulate import simulate


@pytest.mark.parametrize(("clients", "segments", "slot"), [(2, 1, 4096), (4, 4, 512), (1, 2, 128)])
def test_read_splitter(clients, segments, slot, run_dir):
    simulate(
        ReadSplitter(client_count=clients, segment_count=segments, slot_bytes=slot),
        name="read_splitter",
        testbench="tb.dma.read_splitter_tb",
        run_dir=run_dir,
        env={"CLIENT_COUNT": clients, "SEGMENT_COUNT": segments, "SLOT_BYTES": slot},
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_count": 0}, "client_count must be 1 to 16, not 0"),
        ({"client_count": 17}, "client_count must be 1 to 16, not 17"),
        ({"segment_count": 3}, "1, 2 or 4, not 3"),
        ({"slot_bytes": 64}, "power of two, 128 to 4096, not 64"),
        ({"slot_bytes": 384}, "power of two, 128 to 4096, not 384"),
        ({"slot_bytes": 8192}, "power of two, 128 to 4096, not 8192"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        ReadSplitter(**{"client_count": 2, "segment_count": 1, "slot_bytes": 512} | changes)


def pieces(address: int, length: int, block: int) -> list[tuple[int, int, bool, bool]]:
    return [
        (p.address, p.length, p.is_first, p.is_last)
        for p in split_read(0, ReadRequest(address, length), block)
    ]


def test_model_by_hand():
    assert pieces(0x1000, 4096, 4096) == [(0x1000, 4096, True, True)]
    assert pieces(0x1FFE, 5, 256) == [(0x1FFE, 2, True, False), (0x2000, 3, False, True)]
    assert pieces(0x80, 0, 128) == [(0x80, 0, True, True)]
    assert pieces(7, 0, 128) == [(7, 0, True, True)]
    assert pieces(1, 384, 128) == [
        (1, 127, True, False),
        (128, 128, False, False),
        (256, 128, False, False),
        (384, 1, False, True),
    ]


def test_block_by_hand():
    assert [read_block_bytes(n, 4096) for n in range(8)] == [
        128,
        256,
        512,
        1024,
        2048,
        4096,
        4096,
        4096,
    ]
    assert read_block_bytes(5, 512) == 512
    assert read_block_bytes(0, 512) == 128
