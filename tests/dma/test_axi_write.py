# amaranth: UnusedElaboratable=no
"""AxiWrite: parameter checks, model, and its cocotb testbench at each size."""

import pytest

from hdl.dma import AxiWrite
from sim.dma import AxiBurst, Write, axi_write_outcome
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("client_count", "data_bytes"),
    [
        (4, 8),
        (3, 128),
        pytest.param(4, 32, marks=pytest.mark.long),
        pytest.param(5, 64, marks=pytest.mark.long),
    ],
)
def test_axi_write(client_count, data_bytes, run_dir):
    sizes = {"client_count": client_count, "data_bytes": data_bytes}
    simulate(
        AxiWrite(**sizes),
        name="axi_write",
        testbench="tb.dma.axi_write_tb",
        run_dir=run_dir,
        env={name.upper(): value for name, value in sizes.items()},
    )


@pytest.mark.parametrize(("wrong", "value"), [("client_count", 17), ("data_bytes", 256)])
def test_refuses(wrong, value):
    with pytest.raises(ValueError, match=f"{wrong} must be .* {value}"):
        AxiWrite(**{"client_count": 2, "data_bytes": 8, wrong: value})


def test_model_by_hand():
    """A write over the middle and the end of a page; one whose packet ends in the second page."""
    data = bytes(n & 255 for n in range(2100))
    outcome = axi_write_outcome(Write(0x17FD, 2100, data), data_bytes=8)
    assert outcome.bursts == [AxiBurst(0x17F8, 1), AxiBurst(0x1800, 256), AxiBurst(0x2000, 7)]
    assert outcome.content == {0x17FD + n: byte for n, byte in enumerate(data)}
    assert outcome.status == 0
    short = axi_write_outcome(Write(0x17FD, 2100, data[:2090]), data_bytes=8)
    assert short.bursts == [AxiBurst(0x17F8, 1), AxiBurst(0x1800, 256)]
    assert short.status == 6
