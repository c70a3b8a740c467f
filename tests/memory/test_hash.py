# amaranth: UnusedElaboratable=no
"""Hash: the model against zlib, the distribution, and the cocotb testbench."""

import random
import zlib
from collections import Counter
from math import sqrt

import pytest

from hdl.memory import Hash
from sim.memory import HashModel
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("key_bits", "index_bits", "seed", "latency"), [(104, 12, 0, 2), (24, 24, 3, 1)]
)
def test_hash(key_bits, index_bits, seed, latency, run_dir):
    simulate(
        Hash(key_bits=key_bits, index_bits=index_bits, seed=seed, latency=latency),
        name="hash",
        testbench="tb.memory.hash_tb",
        run_dir=run_dir,
        env={
            "KEY_BITS": key_bits,
            "INDEX_BITS": index_bits,
            "SEED": seed,
            "LATENCY": latency,
        },
    )


def zlib_crc(message: bytes) -> int:
    """CRC-32 from zlib, without its initial value and inversion, highest coefficient first."""
    linear = zlib.crc32(message) ^ zlib.crc32(bytes(len(message)))
    return int(f"{linear:032b}"[::-1], 2)


def test_model_equals_zlib():
    model = HashModel(key_bits=104, index_bits=32, seed=0)
    draw = random.Random(1)
    for _ in range(50):
        key = draw.getrandbits(104)
        # zlib takes the lowest bit of a byte first.
        message = int(f"{key:0104b}"[::-1], 2).to_bytes(13, "little")
        assert model(key) == zlib_crc(message)


def chi_square_excess(indices: list[int], row_count: int) -> float:
    """Count the standard deviations by which chi-square exceeds its mean of uniform indices."""
    expected = len(indices) / row_count
    counts = Counter(indices)
    chi_square = sum((counts[row] - expected) ** 2 / expected for row in range(row_count))
    freedom = row_count - 1
    return (chi_square - freedom) / sqrt(2 * freedom)


@pytest.mark.parametrize("seed", [0, 1, 2, 7])
@pytest.mark.parametrize("index_bits", [4, 8])
def test_distribution(seed, index_bits):
    """No worse than chance allows (4 sigma): sequential, strided and random keys."""
    model = HashModel(key_bits=104, index_bits=index_bits, seed=seed)
    draw = random.Random(seed)
    base = draw.getrandbits(104)
    key_sets = {
        "sequential": [(base + n) % (1 << 104) for n in range(4096)],
        "stride 4096": [n << 12 for n in range(4096)],
        "top bits": [n << 92 for n in range(4096)],
        "random": [draw.getrandbits(104) for _ in range(4096)],
    }
    for name, keys in key_sets.items():
        excess = chi_square_excess([model(key) for key in keys], 1 << index_bits)
        assert excess < 4, f"{name} keys: {excess:.1f} sigma"


def test_seeds_differ():
    """Keys that collide under one seed are spread by another."""
    first, second = (HashModel(key_bits=48, index_bits=8, seed=seed) for seed in (1, 2))
    draw = random.Random(1)
    candidates = (draw.getrandbits(48) for _ in range(100_000))
    keys = [key for key in candidates if first(key) == 5][:128]
    assert len(keys) == 128
    assert len({second(key) for key in keys}) > 64


@pytest.mark.parametrize(
    "wrong", [{"index_bits": 0}, {"index_bits": 33}, {"key_bits": 7}, {"seed": -1}, {"latency": 0}]
)
def test_refused_parameters(wrong):
    right = {"key_bits": 64, "index_bits": 8, "seed": 0, "latency": 1}
    with pytest.raises(ValueError, match=r"must be"):
        Hash(**{**right, **wrong})
