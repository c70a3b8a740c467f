"""Code that corrects one wrong bit of a memory word and detects two."""

from itertools import combinations

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.bits import gf2

from .parity import registered_parities

__all__ = ["SecdedDecoder", "SecdedEncoder", "check_bits_of", "columns_of"]


def check_bits_of(data_bits: int) -> int:
    """Check bits of a word: as few as give every bit of it an odd-weight column of its own.

    Raises
    ------
    ValueError
        If ``data_bits`` is not 8 to 512.
    """
    if not 8 <= data_bits <= 512:
        raise ValueError(f"data_bits must be 8 to 512, not {data_bits!r}")
    check_bits = 1
    while 1 << (check_bits - 1) < data_bits + check_bits:
        check_bits += 1
    return check_bits


def columns_of(data_bits: int) -> list[int]:
    """Columns of the check matrix for data bits 0, 1, ...; a check bit's column is its own bit.

    All columns are different and of odd weight, and the weights as small as possible
    (the conditions of Hsiao 1970). Data bit n takes, of the columns of the
    least weight not yet used up, the one that leaves the sum of the squares of the rows' weights
    least, so the rows stay balanced; of equal ones the least as a number.
    """
    check_bits = check_bits_of(data_bits)
    columns: list[int] = []
    loads = [0] * check_bits
    for weight in range(3, check_bits + 1, 2):
        candidates = list(combinations(range(check_bits), weight))
        candidates.sort(key=lambda rows: sum(1 << row for row in rows))
        while candidates and len(columns) < data_bits:
            # Adding 1 to a row of load n adds 2 n + 1 to the squares: so compare the sums of n.
            chosen = min(candidates, key=lambda rows: sum(loads[row] for row in rows))
            candidates.remove(chosen)
            columns.append(sum(1 << row for row in chosen))
            for row in chosen:
                loads[row] += 1
    return columns


class SecdedEncoder(wiring.Component):
    """Add the check bits that let :class:`SecdedDecoder` correct one wrong bit of a word.

    Latency is ``latency``. Throughput is 1 word per cycle.

    Specification: M. Y. Hsiao, "A Class of Optimal Minimum Odd-weight-column SEC-DED Codes", IBM
    Journal of Research and Development 14(4), 1970, pages 395-401; :func:`columns_of` says which
    code of the class. 64 data bits take 8 check bits.

    Parameters
    ----------
    data_bits : int
        Bits of a word, 8 to 512.
    latency : int
        Cycles: 1, or 2 with the XOR trees cut in two, for wide words.

    Attributes
    ----------
    check_bits : int
        Bits added to a word.

    Members
    -------
    data : In(data_bits)
        Word, taken in every cycle.
    codeword : Out(data_bits + check_bits)
        Word in the low bits, its check bits above; registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    data: Signal
    codeword: Signal

    def __init__(self, *, data_bits: int, latency: int):
        self.check_bits = check_bits_of(data_bits)
        if latency not in (1, 2):
            raise ValueError(f"latency must be 1 or 2, not {latency!r}")
        self.data_bits = data_bits
        self.latency = latency
        super().__init__({"data": In(data_bits), "codeword": Out(data_bits + self.check_bits)})

    def elaborate(self, platform):
        m = Module()
        rows = gf2.transpose(columns_of(self.data_bits), self.check_bits)
        check = registered_parities(m, "check", rows, self.data, self.latency)
        word = self.data
        for number in range(self.latency):
            stage = Signal(self.data_bits, name=f"word_{number}", reset_less=True)
            m.d.sync += stage.eq(word)
            word = stage
        m.d.comb += self.codeword.eq(Cat(word, check))
        return m


class SecdedDecoder(wiring.Component):
    """Correct one wrong bit of a word of :class:`SecdedEncoder`, and detect two.

    Three and more wrong bits are not noticed, noticed or mistaken for one, as they fall.

    Latency is ``latency``. Throughput is 1 word per cycle.

    Specification: see :class:`SecdedEncoder`.

    Parameters
    ----------
    data_bits : int
        Bits of a word, 8 to 512.
    latency : int
        Cycles: 1; 2 with a register behind the syndrome; or 3 with the XOR trees cut in two
        besides, for wide words.

    Attributes
    ----------
    check_bits : int
        Check bits of a word.

    Members
    -------
    codeword : In(data_bits + check_bits)
        Word in the low bits, its check bits above; taken in every cycle.
    data : Out(data_bits)
        Word of ``latency`` cycles before, corrected unless ``uncorrectable``; registered.
    corrected : Out(1)
        One bit of that word, or one check bit, was wrong.
    uncorrectable : Out(1)
        More bits were wrong; ``data`` is as it was read.
    syndrome : Out(check_bits)
        0, or the column of the wrong bit, or that of none.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    codeword: Signal
    data: Signal
    corrected: Signal
    uncorrectable: Signal
    syndrome: Signal

    def __init__(self, *, data_bits: int, latency: int):
        self.check_bits = check_bits_of(data_bits)
        if latency not in (1, 2, 3):
            raise ValueError(f"latency must be 1, 2 or 3, not {latency!r}")
        self.data_bits = data_bits
        self.latency = latency
        super().__init__(
            {
                "codeword": In(data_bits + self.check_bits),
                "data": Out(data_bits),
                "corrected": Out(1),
                "uncorrectable": Out(1),
                "syndrome": Out(self.check_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        columns = columns_of(self.data_bits)
        checks = [1 << number for number in range(self.check_bits)]
        rows = gf2.transpose([*columns, *checks], self.check_bits)

        word = self.codeword[: self.data_bits]
        if self.latency == 1:
            syndrome = Signal(self.check_bits)
            m.d.comb += syndrome.eq(gf2.parities(rows, self.codeword))
        else:
            syndrome = registered_parities(m, "checked", rows, self.codeword, self.latency - 1)
            for number in range(self.latency - 1):
                stage = Signal(self.data_bits, name=f"word_{number}", reset_less=True)
                m.d.sync += stage.eq(word)
                word = stage

        wrong = Signal(self.data_bits)
        wrong_check = Signal(self.check_bits)
        m.d.comb += [
            wrong.eq(Cat(syndrome == column for column in columns)),
            wrong_check.eq(Cat(syndrome == column for column in checks)),
        ]
        one_wrong = wrong.any() | wrong_check.any()
        data = Signal(self.data_bits, reset_less=True)
        corrected = Signal(reset_less=True)
        uncorrectable = Signal(reset_less=True)
        found = Signal(self.check_bits, reset_less=True)
        m.d.sync += [
            data.eq(word ^ wrong),
            corrected.eq(one_wrong),
            uncorrectable.eq(syndrome.any() & ~one_wrong),
            found.eq(syndrome),
        ]
        m.d.comb += [
            self.data.eq(data),
            self.corrected.eq(corrected),
            self.uncorrectable.eq(uncorrectable),
            self.syndrome.eq(found),
        ]
        return m
