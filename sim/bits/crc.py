"""Golden model of hdl.bits.Crc: the Rocksoft model, bit by bit or by table."""

from dataclasses import dataclass
from functools import cached_property

__all__ = ["CRC_ALGORITHMS", "CrcAlgorithm"]


def reflected(value: int, width: int) -> int:
    """``value`` with its ``width`` bits in reverse."""
    return int(f"{value:0{width}b}"[::-1], 2)


@dataclass(frozen=True)
class CrcAlgorithm:
    """A CRC in the parameters of R. Williams, "A Painless Guide to CRC", section 15.

    Parameters
    ----------
    width, poly, init : int
        Bits, generator without its top coefficient, register before the first bit.
    refin, refout : bool
        Whether bytes enter, and the register leaves, with their bits in reverse.
    xorout : int
        What the register is XORed with at the end.
    """

    width: int
    poly: int
    init: int
    refin: bool
    refout: bool
    xorout: int

    @classmethod
    def parse(cls, line: str) -> "CrcAlgorithm":
        """Algorithm in a line as the catalogue of G. Cook writes them."""
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        return cls(
            width=int(words["width"]),
            poly=int(words["poly"], 16),
            init=int(words["init"], 16),
            refin=words["refin"] == "true",
            refout=words["refout"] == "true",
            xorout=int(words["xorout"], 16),
        )

    def _shift(self, register: int) -> int:
        """Register after a bit of zero."""
        top = register >> (self.width - 1)
        return (register << 1 & (1 << self.width) - 1) ^ (self.poly if top else 0)

    def _finish(self, register: int) -> int:
        """CRC that the register makes."""
        return (reflected(register, self.width) if self.refout else register) ^ self.xorout

    def by_bits(self, message: bytes) -> int:
        """CRC of ``message``, one bit at a time, as the model is defined."""
        register = self.init
        for byte in message:
            for bit in range(8):
                place = bit if self.refin else 7 - bit
                register = self._shift(register ^ (byte >> place & 1) << (self.width - 1))
        return self._finish(register)

    @cached_property
    def _table(self) -> list[int]:
        """Register from zero after each byte, most significant bit first."""
        table = []
        for byte in range(256):
            register = byte << (self.width - 8)
            for _ in range(8):
                register = self._shift(register)
            table.append(register)
        return table

    def __call__(self, message: bytes) -> int:
        """CRC of ``message``, one byte at a time."""
        register = self.init
        below = (1 << (self.width - 8)) - 1
        for byte in message:
            entry = (reflected(byte, 8) if self.refin else byte) ^ register >> (self.width - 8)
            register = (register & below) << 8 ^ self._table[entry]
        return self._finish(register)


#: Algorithms by the names that the hardware gives them.
CRC_ALGORITHMS = {
    name: CrcAlgorithm.parse(line)
    for name, line in {
        "CRC8_MAXIM": "width=8 poly=0x31 init=0x00 refin=true refout=true xorout=0x00",
        "CRC8_SMBUS": "width=8 poly=0x07 init=0x00 refin=false refout=false xorout=0x00",
        "CRC16_ARC": "width=16 poly=0x8005 init=0x0000 refin=true refout=true xorout=0x0000",
        "CRC16_IBM_3740": "width=16 poly=0x1021 init=0xffff refin=false refout=false xorout=0x0000",
        "CRC16_T10_DIF": "width=16 poly=0x8bb7 init=0x0000 refin=false refout=false xorout=0x0000",
        "CRC16_X25": "width=16 poly=0x1021 init=0xffff refin=true refout=true xorout=0xffff",
        "CRC16_XMODEM": "width=16 poly=0x1021 init=0x0000 refin=false refout=false xorout=0x0000",
        "CRC32C": "width=32 poly=0x1edc6f41 init=0xffffffff refin=true refout=true"
        " xorout=0xffffffff",
        "CRC32_ETHERNET": "width=32 poly=0x04c11db7 init=0xffffffff refin=true refout=true"
        " xorout=0xffffffff",
        "CRC64_NVME": "width=64 poly=0xad93d23594c93659 init=0xffffffffffffffff refin=true"
        " refout=true xorout=0xffffffffffffffff",
        "CRC64_XZ": "width=64 poly=0x42f0e1eba9ea3693 init=0xffffffffffffffff refin=true"
        " refout=true xorout=0xffffffffffffffff",
    }.items()
}
