"""Golden model of hdl.memory.Hash."""

__all__ = ["HashModel"]


class HashModel:
    """A CRC-32 register, fed with the key bit by bit."""

    def __init__(self, *, key_bits: int, index_bits: int, seed: int):
        self.key_bits = key_bits
        self.index_mask = (1 << index_bits) - 1
        # What the seed's zero bits do to each bit of the register: one step, doubled and added.
        step = [self._shift(1 << bit) for bit in range(32)]
        zeros = [1 << bit for bit in range(32)]
        for digit in f"{0x61C88647 * seed:b}":
            zeros = [self._map(zeros, value) for value in zeros]
            if digit == "1":
                zeros = [self._map(step, value) for value in zeros]
        self._zeros = zeros

    @staticmethod
    def _shift(register: int) -> int:
        register <<= 1
        return register ^ 0x104C11DB7 if register >> 32 else register

    @staticmethod
    def _map(images: list[int], value: int) -> int:
        total = 0
        for bit, image in enumerate(images):
            if value >> bit & 1:
                total ^= image
        return total

    def crc(self, key: int) -> int:
        """CRC-32 of ``key`` alone, its highest bit first."""
        register = 0
        for bit in reversed(range(self.key_bits)):
            register = self._shift(register ^ (key >> bit & 1) << 31)
        return register

    def __call__(self, key: int) -> int:
        """Index of ``key``."""
        return self._map(self._zeros, self.crc(key)) & self.index_mask
