"""Golden model of hdl.memory.SecdedEncoder and SecdedDecoder."""

from dataclasses import dataclass

__all__ = ["Decoded", "SecdedModel"]


@dataclass(frozen=True)
class Decoded:
    """What the decoder says of a codeword."""

    data: int
    corrected: bool
    uncorrectable: bool
    syndrome: int


class SecdedModel:
    """Hsiao's code of least odd column weight, with rows balanced one column after the other."""

    def __init__(self, data_bits: int):
        self.data_bits = data_bits
        self.check_bits = next(r for r in range(1, 99) if 2 ** (r - 1) - r >= data_bits)
        unused = {n for n in range(2**self.check_bits) if n.bit_count() % 2 and n.bit_count() > 1}
        weights = [0] * self.check_bits
        self.columns: list[int] = []
        for _ in range(data_bits):
            least = min(n.bit_count() for n in unused)

            def cost(column: int) -> tuple[int, int]:
                after = (w + (column >> row & 1) for row, w in enumerate(weights))
                return sum(w * w for w in after), column

            column = min((n for n in unused if n.bit_count() == least), key=cost)
            unused.remove(column)
            self.columns.append(column)
            for row in range(self.check_bits):
                weights[row] += column >> row & 1
        self.row_weights = weights
        checks = (1 << row for row in range(self.check_bits))
        self.places = {column: bit for bit, column in enumerate([*self.columns, *checks])}

    def syndrome(self, codeword: int) -> int:
        """Sum of the columns of the bits that are set."""
        total = 0
        for column, bit in self.places.items():
            if codeword >> bit & 1:
                total ^= column
        return total

    def encode(self, data: int) -> int:
        """Codeword of ``data``: itself and above it the check bits that make the sum zero."""
        return data | self.syndrome(data) << self.data_bits

    def decode(self, codeword: int) -> Decoded:
        """Correct one wrong bit; say so where that is not enough."""
        syndrome = self.syndrome(codeword)
        place = self.places.get(syndrome)
        if place is not None:
            codeword ^= 1 << place
        data = codeword & ((1 << self.data_bits) - 1)
        return Decoded(data, place is not None, syndrome != 0 and place is None, syndrome)
