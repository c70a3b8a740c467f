"""Hash of a key for tables."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.bits import gf2

from .parity import registered_parities

__all__ = ["Hash"]

# CRC-32 of IEEE 802.3, clause 3.2.9; the polynomial is primitive.
_POLYNOMIAL = 0x104C11DB7
# Far from a multiple of the period 2**32 - 1, and odd; from the golden ratio.
_STEP = 0x61C88647


class Hash(wiring.Component):
    """Hash a key to an index of a table of ``2**index_bits`` rows.

    The index is the low bits of the CRC-32 (register from zero, no final inversion) of the key,
    its highest bit first, followed by ``0x61c88647 * seed`` zero bits. Each seed so makes
    another linear map of the key, of full rank; keys that collide under one seed mostly do
    not under another, except keys whose whole CRC-32 is the same, which collide under all.

    The hash is linear: whoever knows it can choose keys that collide. It is no defence
    against an adversary.

    Latency is ``latency``. Throughput is 1 key per cycle.

    Specification: this docstring; the polynomial is that of IEEE 802.3-2022, 3.2.9.

    Parameters
    ----------
    key_bits : int
        Bits of a key, ``index_bits`` or more.
    index_bits : int
        Bits of the index, 1 to 32.
    seed : int
        Which of the maps, 0 or more.
    latency : int
        Cycles: 1, or 2 with the XOR trees cut in two, for keys wider than about 64 bits.

    Members
    -------
    key : In(key_bits)
        Key, taken in every cycle.
    index : Out(index_bits)
        Hash of the key of ``latency`` cycles before, registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    key: Signal
    index: Signal

    def __init__(self, *, key_bits: int, index_bits: int, seed: int, latency: int):
        if not 1 <= index_bits <= 32:
            raise ValueError(f"index_bits must be 1 to 32, not {index_bits!r}")
        if key_bits < index_bits:
            raise ValueError(f"key_bits must be index_bits {index_bits} or more, not {key_bits!r}")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, not {seed!r}")
        if latency not in (1, 2):
            raise ValueError(f"latency must be 1 or 2, not {latency!r}")
        self.key_bits = key_bits
        self.index_bits = index_bits
        self.seed = seed
        self.latency = latency
        super().__init__({"key": In(key_bits), "index": Out(index_bits)})

    def elaborate(self, platform):
        m = Module()
        columns = [
            gf2.power_of_x(32 + _STEP * self.seed + bit, _POLYNOMIAL)
            for bit in range(self.key_bits)
        ]
        rows = gf2.transpose(columns, 32)[: self.index_bits]
        m.d.comb += self.index.eq(registered_parities(m, "crc", rows, self.key, self.latency))
        return m
