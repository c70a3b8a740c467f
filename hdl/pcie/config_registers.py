"""Registers of a table behind the switch's configuration access."""

from collections.abc import Set
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.register import Register, RegisterPorts, RegisterTable, connect_register, either

from .parts import ConfigAccessSignature

__all__ = ["ConfigRegisters"]

WORD_BITS = 32
REGISTER_BITS = 10


class ConfigRegisters(wiring.Component):
    """Configuration space of one function.

    A write changes the bytes that are enabled. Registers that do not exist read 0 and ignore
    writes, as does everything while another function is meant. An event that comes with the
    write that clears it stays.

    Latency is 2 cycles from request to read data, and from request to the effect of a write at
    ``registers``; throughput is one request per cycle, each as if it came after all before it.

    Specification: PCI Express Base Specification, chapter 7, on configuration accesses.

    Parameters
    ----------
    table : RegisterTable
        Registers, without counters and windows; addresses below 4096.
    function : int
        Number in the requests that are meant for this one.
    sticky : set of str
        Names of the registers that ``clear`` does not touch.

    Members
    -------
    access : In(ConfigAccessSignature())
        Requests. ``read_data`` is registered, and 0 in cycles without an answer of this one.
    registers : Out(RegisterPorts(table))
        The block's side; its outputs are registered.
    clear : In(1)
        Puts every register that is not sticky back to its value after reset.
    """

    access: Any
    registers: Any
    clear: Signal

    def __init__(self, *, table: RegisterTable, function: int, sticky: Set[str]):
        self.table = table
        self.function = function
        self.sticky = sticky
        super().__init__(
            {
                "access": In(ConfigAccessSignature()),
                "registers": Out(RegisterPorts(table)),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request = self.access.request

        words: list[tuple[int, Register, Any]] = []
        for place in self.table.places():
            entry = place.entry
            assert isinstance(entry, Register)
            ports = getattr(self.registers, entry.name)
            for number in range(entry.count):
                port = ports if entry.count == 1 else ports[number]
                words.append((place.address // 4 + number, entry, port))

        # The decoded request. The enables are spread over their bytes here, to save a level below.
        asked = Signal(len(words))
        write = Signal(reset_less=True)
        written = Signal(WORD_BITS, reset_less=True)
        mask = Signal(WORD_BITS, reset_less=True)
        meant = request.valid & (request.function == self.function)
        m.d.sync += [
            asked.eq(Cat(meant & (request.register == address) for address, _, _ in words)),
            write.eq(request.write),
            written.eq(request.data),
            mask.eq(Cat(bit.replicate(8) for bit in request.byte_enables)),
        ]

        values = []
        for number, (address, register, port) in enumerate(words):
            value = Signal(WORD_BITS, name=f"value_{4 * address:03x}")
            clear = None if register.name in self.sticky else self.clear
            connect_register(m, register, port, value, asked[number] & write, written, mask, clear)
            values.append(value & asked[number].replicate(WORD_BITS))
        m.d.sync += self.access.read_data.eq(either(values))

        return m
