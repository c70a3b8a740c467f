"""Golden model of hdl.register.RegisterFile, with the example's registers by address."""

from dataclasses import dataclass, field

__all__ = ["EXAMPLE_COUNTERS", "EXAMPLE_FIELDS", "EXAMPLE_WINDOW", "RegisterFileModel"]

OKAY, SLVERR, DECERR = 0, 2, 3

#: Address, lowest bit, bits, access, value after reset, and port name; written by hand.
EXAMPLE_FIELDS = [
    (0x00, 0, 8, "constant", 3, "identity__revision"),
    (0x00, 16, 16, "constant", 0x4852, "identity__kind"),
    (0x04, 0, 1, "rw", 1, "control__enable"),
    (0x04, 4, 3, "rw", 5, "control__mode"),
    (0x04, 8, 2, "pulse", 0, "control__restart"),
    (0x04, 12, 16, "rw", 1518, "control__limit"),
    (0x04, 31, 1, "ro", 0, "control__busy"),
    (0x08, 0, 12, "ro", 0, "status__level"),
    (0x08, 31, 1, "ro", 0, "status__link"),
    (0x0C, 0, 1, "w1c", 0, "events__overflow"),
    (0x0C, 8, 3, "w1c", 0, "events__error"),
    (0x20, 0, 32, "rw", 0x1000, "threshold__0__value"),
    (0x24, 0, 32, "rw", 0x1000, "threshold__1__value"),
    (0x28, 0, 32, "rw", 0x1000, "threshold__2__value"),
    (0x2C, 0, 32, "rw", 0x1000, "threshold__3__value"),
]
#: Address of the low word, and port name.
EXAMPLE_COUNTERS = [(0x30, "octets__0"), (0x38, "octets__1"), (0x40, "drops")]
#: First address and the one after the last.
EXAMPLE_WINDOW = (0x80, 0xC0)


@dataclass
class RegisterFileModel:
    """What the example's register file answers, one access after the other.

    ``values`` holds each field by its port name: what the block drives, or what was written;
    ``pulses`` the pulses given, ``counters`` the totals, ``memory`` the window's words.
    """

    values: dict[str, int] = field(default_factory=dict)
    pulses: dict[str, list[int]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=dict)
    kept: tuple[int, int] | None = None

    def __post_init__(self):
        for _, _, _, access, init, port in EXAMPLE_FIELDS:
            self.values[port] = init
            if access == "pulse":
                self.pulses[port] = []
        self.counters = {port: 0 for _, port in EXAMPLE_COUNTERS}

    def read(self, address: int) -> tuple[int, int]:
        """Give data and response of a read."""
        address &= ~3
        if EXAMPLE_WINDOW[0] <= address < EXAMPLE_WINDOW[1]:
            return self.memory.get((address - EXAMPLE_WINDOW[0]) // 4, 0), OKAY
        for low, port in EXAMPLE_COUNTERS:
            if address == low:
                self.kept = (low, self.counters[port] >> 32)
                return self.counters[port] % 2**32, OKAY
            if address == low + 4:
                if self.kept and self.kept[0] == low:
                    return self.kept[1], OKAY
                return 0, SLVERR
        here = [entry for entry in EXAMPLE_FIELDS if entry[0] == address]
        data = 0
        for _, lowest, _, access, _, port in here:
            if access != "pulse":
                data |= self.values[port] << lowest
        return data, OKAY if here else DECERR

    def write(self, address: int, data: int, strobe: int) -> int:
        """Write, and give the response."""
        address &= ~3
        mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
        if EXAMPLE_WINDOW[0] <= address < EXAMPLE_WINDOW[1]:
            if strobe != 15:
                return SLVERR
            self.memory[(address - EXAMPLE_WINDOW[0]) // 4] = data
            return OKAY
        if any(address in (low, low + 4) for low, _ in EXAMPLE_COUNTERS):
            return SLVERR
        here = [entry for entry in EXAMPLE_FIELDS if entry[0] == address]
        if not here:
            return DECERR
        for _, lowest, bits, access, _, port in here:
            of_field = (data >> lowest) % 2**bits
            ones = (mask >> lowest) % 2**bits
            if access == "rw":
                self.values[port] = self.values[port] & ~ones | of_field & ones
            elif access == "w1c":
                self.values[port] &= ~(of_field & ones)
            elif access == "pulse" and of_field & ones:
                self.pulses[port].append(of_field & ones)
        return OKAY if any(entry[3] in ("rw", "w1c", "pulse") for entry in here) else SLVERR
