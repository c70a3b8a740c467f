# amaranth: UnusedElaboratable=no
"""ChecksumUpdate: parameter checks, model and cocotb testbench at several sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import checksum

from hdl.bits import ChecksumUpdate
from sim.bits import update_checksum
from tb.simulate import simulate


@pytest.mark.parametrize("word_count", [1, 3])
def test_checksum_update(word_count, run_dir):
    block = ChecksumUpdate(word_count=word_count)
    simulate(
        block,
        name="checksum_update",
        testbench="tb.bits.checksum_update_tb",
        run_dir=run_dir,
        env={"WORD_COUNT": word_count, "LATENCY": block.latency},
    )


@given(st.binary(min_size=20, max_size=20), st.integers(0, 9), st.integers(0, 0xFFFF))
def test_model_is_scapys_anew(header, place, word):
    changed = header[: 2 * place] + word.to_bytes(2, "big") + header[2 * place + 2 :]
    old = int.from_bytes(header[2 * place : 2 * place + 2], "big")
    anew = checksum(changed) if any(changed) else 0x0000  # all zeros: the other zero, by equation 3
    assert update_checksum(checksum(header), [(old, word)]) == anew


def test_model_on_rfc_1624_example():
    assert update_checksum(0xDD2F, [(0x5555, 0x3285)]) == 0x0000


def test_refuses_no_words():
    with pytest.raises(ValueError, match="word_count must be 1 or more, not 0"):
        ChecksumUpdate(word_count=0)
