"""CRC algorithms in the parameters of the Rocksoft model."""

from dataclasses import dataclass

from amaranth import *

from . import gf2

__all__ = [
    "CRC8_MAXIM",
    "CRC8_SMBUS",
    "CRC16_ARC",
    "CRC16_IBM_3740",
    "CRC16_T10_DIF",
    "CRC16_X25",
    "CRC16_XMODEM",
    "CRC32C",
    "CRC32_ETHERNET",
    "CRC64_NVME",
    "CRC64_XZ",
    "CRC_CATALOGUE",
    "CrcParameters",
]


@dataclass(frozen=True)
class CrcParameters:
    """A CRC algorithm; the matrices that compute it.

    The register of the matrices is a polynomial: its bit ``i`` is the coefficient of x to the
    power ``i``, whatever the reflections. A CRC is then: the register is ``init``; for each group
    of bytes, the register is ``advance(n)`` of itself XOR ``message(n)`` of the bytes; the CRC is
    ``finish`` of the register.

    Specification: R. Williams, "A Painless Guide to CRC Error Detection Algorithms" (1993),
    section 15; G. Cook, "Catalogue of parametrised CRC algorithms".

    Parameters
    ----------
    width : int
        Bits of the CRC, 8 to 64.
    polynomial : int
        Generator without its top coefficient; it must have the constant term.
    init : int
        What the register holds before the first bit, before any reflection.
    reflect_in : bool
        Whether bit 0 of each byte goes first.
    reflect_out : bool
        Whether the register leaves with its bits in reverse.
    xor_out : int
        What the CRC is XORed with, after reflection.

    Raises
    ------
    ValueError
        If ``width`` is not 8 to 64, a number does not fit it, or ``polynomial`` is even.
    """

    width: int
    polynomial: int
    init: int
    reflect_in: bool
    reflect_out: bool
    xor_out: int

    def __post_init__(self):
        if not 8 <= self.width <= 64:
            raise ValueError(f"width must be 8 to 64, not {self.width!r}")
        for name in ("polynomial", "init", "xor_out"):
            value = getattr(self, name)
            if not 0 <= value < 1 << self.width:
                raise ValueError(f"{name} must fit in {self.width} bits, not {value!r}")
        if not self.polynomial & 1:
            raise ValueError(f"polynomial must have a constant term, not {self.polynomial:#x}")

    @classmethod
    def named(cls, name: str) -> "CrcParameters":
        """Algorithm of ``CRC_CATALOGUE``, or one spelt out as the catalogue does.

        Such a line reads ``width=16 poly=0x1021 init=0xffff refin=false refout=false
        xorout=0x0000``; further words are ignored.

        Raises
        ------
        ValueError
            If ``name`` is neither.
        """
        if name in CRC_CATALOGUE:
            return CRC_CATALOGUE[name]
        words: dict[str, str] = {}
        for word in name.split():
            key, _, words[key] = word.partition("=")
        flags = {"false": False, "true": True}
        try:
            return cls(
                int(words["width"], 0),
                int(words["poly"], 0),
                int(words["init"], 0),
                flags[words["refin"]],
                flags[words["refout"]],
                int(words["xorout"], 0),
            )
        except KeyError as missing:
            known = ", ".join(CRC_CATALOGUE)
            raise ValueError(
                f"a CRC must be one of {known}, or width=, poly=, init=, refin=, refout= and "
                f"xorout=; not {name!r}: {missing}"
            ) from None

    @property
    def modulus(self) -> int:
        """Generator with its top coefficient."""
        return self.polynomial | 1 << self.width

    def advance(self, byte_count: int) -> gf2.Matrix:
        """Matrix that moves the register past ``byte_count`` bytes of zero.

        It goes back where ``byte_count`` is negative.
        """
        return gf2.multiplication(gf2.power_of_x(8 * byte_count, self.modulus), self.modulus)

    def message(self, byte_count: int) -> gf2.Matrix:
        """Matrix from bytes (byte 0 in the low bits, first) to what they add to the register."""
        return gf2.message(byte_count, self.modulus, lsb_first=self.reflect_in)

    def finish(self, register: Value) -> Value:
        """Hardware: CRC that a register makes; no logic but inverters."""
        return (register[::-1] if self.reflect_out else register) ^ C(self.xor_out, self.width)

    @property
    def residue(self) -> int:
        """CRC of any message that is followed by its own CRC.

        The CRC follows as the algorithm sends it: most significant bit first, or with reflection
        least significant byte and bit first, as on Ethernet. Meaningful where ``reflect_in``
        equals ``reflect_out``.
        """
        sent = self.xor_out
        if self.reflect_out:
            sent = int(f"{sent:0{self.width}b}"[::-1], 2)
        shifted = gf2.power_of_x(self.width, self.modulus)
        register = gf2.times(shifted, sent, self.modulus)
        if self.reflect_out:
            register = int(f"{register:0{self.width}b}"[::-1], 2)
        return register ^ self.xor_out


_ONES_32 = 0xFFFF_FFFF
_ONES_64 = 0xFFFF_FFFF_FFFF_FFFF

#: SMBus packet error code (CRC-8/SMBUS).
CRC8_SMBUS = CrcParameters(8, 0x07, 0, False, False, 0)
#: 1-Wire (CRC-8/MAXIM-DOW).
CRC8_MAXIM = CrcParameters(8, 0x31, 0, True, True, 0)
#: The common 16-bit one with reflection (CRC-16/ARC).
CRC16_ARC = CrcParameters(16, 0x8005, 0, True, True, 0)
#: Often called CCITT (CRC-16/IBM-3740).
CRC16_IBM_3740 = CrcParameters(16, 0x1021, 0xFFFF, False, False, 0)
#: Guard of T10 DIF and of NVMe protection information (CRC-16/T10-DIF).
CRC16_T10_DIF = CrcParameters(16, 0x8BB7, 0, False, False, 0)
#: X.25 and PPP (CRC-16/IBM-SDLC).
CRC16_X25 = CrcParameters(16, 0x1021, 0xFFFF, True, True, 0xFFFF)
#: binascii.crc_hqx (CRC-16/XMODEM).
CRC16_XMODEM = CrcParameters(16, 0x1021, 0, False, False, 0)
#: Ethernet FCS and RoCE ICRC: IEEE 802.3-2022, 3.2.9 (CRC-32/ISO-HDLC).
CRC32_ETHERNET = CrcParameters(32, 0x04C1_1DB7, _ONES_32, True, True, _ONES_32)
#: iSCSI, NVMe-oF digests, ext4: RFC 3720, 12.1 (CRC-32/ISCSI).
CRC32C = CrcParameters(32, 0x1EDC_6F41, _ONES_32, True, True, _ONES_32)
#: 64-bit guard of the NVM Command Set (CRC-64/NVME).
CRC64_NVME = CrcParameters(64, 0xAD93_D235_94C9_3659, _ONES_64, True, True, _ONES_64)
#: xz archives (CRC-64/XZ).
CRC64_XZ = CrcParameters(64, 0x42F0_E1EB_A9EA_3693, _ONES_64, True, True, _ONES_64)

#: The algorithms above by name.
CRC_CATALOGUE = {
    "CRC8_MAXIM": CRC8_MAXIM,
    "CRC8_SMBUS": CRC8_SMBUS,
    "CRC16_ARC": CRC16_ARC,
    "CRC16_IBM_3740": CRC16_IBM_3740,
    "CRC16_T10_DIF": CRC16_T10_DIF,
    "CRC16_X25": CRC16_X25,
    "CRC16_XMODEM": CRC16_XMODEM,
    "CRC32C": CRC32C,
    "CRC32_ETHERNET": CRC32_ETHERNET,
    "CRC64_NVME": CRC64_NVME,
    "CRC64_XZ": CRC64_XZ,
}
