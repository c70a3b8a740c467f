"""Registers of a table behind AXI4-Lite."""

import importlib
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi_lite import AxiLiteResponse, AxiLiteSignature, AxiLiteSlave
from .event_counter import EventCounter
from .ports import RegisterPorts, connect_register, either
from .table import COUNTER_BITS, WORD_BITS, WORD_BYTES, Counter, Register, RegisterTable
from .table import Window as TableWindow

__all__ = ["RegisterFile"]

# Words whose read data meet in one cycle; the groups meet in the next.
GROUP_WORDS = 16


def _named(table: RegisterTable | str) -> RegisterTable:
    if isinstance(table, RegisterTable):
        return table
    module, _, name = table.partition(":")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        found = None
    if not isinstance(found, RegisterTable):
        raise ValueError(f"table must be a RegisterTable or 'module:NAME' of one, not {table!r}")
    return found


class RegisterFile(wiring.Component):
    """Registers, counters and windows of ``table``, behind AXI4-Lite.

    Addresses count bytes; their two low bits are ignored. A write changes the bytes whose
    strobes are set: of RW fields the bits in them, and ones in them clear W1C bits and start
    pulses. An event that comes with the clearing write stays pending. Responses:

    - OKAY: done. A write to a register with any writable field ignores its other fields.
    - DECERR: there is nothing at this address.
    - SLVERR: a write to a counter or to a register without writable fields; a write to a window
      without all strobes; a read of a counter's high word when the last counter read was not
      the same counter's low word. Nothing was changed, and read data are 0.

    Every request gets its response, whatever it is, given that the block serves its windows.
    The response to a write follows its effect: a read that is sent after it sees it.

    A counter's low word is read together with its high word, which is kept for the next read of
    a high word: both are of the same cycle.

    Latency is 3 cycles from AWVALID and WVALID to BVALID, with which the effect shows at the
    ports, and 4 from ARVALID to RVALID, with values of 2 cycles before. Throughput is one write
    and one read per cycle; but a write to a window takes 1 cycle more and a read of one at least
    2, and neither overlaps with what follows in its direction. Events show in counters after 2
    cycles.

    Specification: AMBA AXI and ACE Protocol Specification, ARM IHI 0022H, chapters A3 and B1;
    and this docstring.

    Parameters
    ----------
    table : RegisterTable or str
        What there is; a string names a table as ``package.module:NAME``.
    address_bits : int
        Width of bus addresses; those behind the table are answered DECERR.

    Members
    -------
    bus : In(AxiLiteSignature(address_bits))
        The bus; its outputs are registered.
    registers : Out(RegisterPorts(table))
        The block's side. Its outputs are registered, but ``read_data.ready``, which comes from
        registers alone.

    Raises
    ------
    ValueError
        If ``table`` names no table, or if ``address_bits`` do not reach all of it.
    """

    bus: Any
    registers: Any

    def __init__(self, *, table: RegisterTable | str, address_bits: int):
        self.table = _named(table)
        if address_bits < max(3, self.table.address_bits):
            raise ValueError(
                f"address_bits must be {max(3, self.table.address_bits)} or more "
                f"for table {self.table.name}, not {address_bits!r}"
            )
        self.address_bits = address_bits
        # What is under way, beside what the slave holds; attributes for the proofs.
        self.slave = AxiLiteSlave(address_bits=address_bits)
        self.write_valid = Signal()
        self.read_valid = Signal()
        self.gathered_valid = Signal()
        self.window_asked = Signal()
        self.reads_window = Signal()
        super().__init__(
            {
                "bus": In(AxiLiteSignature(address_bits)),
                "registers": Out(RegisterPorts(self.table)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = slave = self.slave
        wiring.connect(m, wiring.flipped(self.bus), slave.bus)

        words, windows = self._words(m)
        self._write(m, slave, words, windows)
        self._read(m, slave, words, windows)
        return m

    def _words(self, m: Module) -> tuple[list["_Word"], list["_Window"]]:
        """Every word of registers and counters, and every window, with their ports."""
        words, windows = [], []
        for place in self.table.places():
            entry = place.entry
            ports = getattr(self.registers, entry.name)
            for number in range(entry.count):
                port = ports if entry.count == 1 else ports[number]
                address = (place.address + number * entry.stride) // WORD_BYTES
                if isinstance(entry, Register):
                    words.append(_Word(address, Signal(WORD_BITS), entry, port))
                elif isinstance(entry, Counter):
                    suffix = "" if entry.count == 1 else f"_{number}"
                    m.submodules[f"counter_{entry.name}{suffix}"] = counter = EventCounter(
                        bits=COUNTER_BITS,
                        stage_count=2,
                        increment_max=entry.increment_max,
                        saturates=entry.saturates,
                    )
                    m.d.comb += counter.increment.eq(port)
                    low, high = counter.value[:WORD_BITS], counter.value[WORD_BITS:]
                    words.append(_Word(address, low, entry, high))
                    words.append(_Word(address + 1, high, entry, None))
                else:
                    windows.append(_Window(address, entry, port))
        return words, windows

    def _write(
        self, m: Module, slave: AxiLiteSlave, words: list["_Word"], windows: list["_Window"]
    ) -> None:
        requests, responses = slave.writes, slave.write_responses

        # Decoded write. The strobes are spread over their bytes here, to save a level below.
        valid = self.write_valid
        value = Signal(WORD_BITS, name="write_value", reset_less=True)
        mask = Signal(WORD_BITS, name="write_mask", reset_less=True)
        whole = Signal(name="write_whole", reset_less=True)
        address = Signal(self.address_bits - 2, name="write_address", reset_less=True)
        to_word = Signal(max(1, len(words)), name="write_to_word", reset_less=True)
        to_window = Signal(max(1, len(windows)), name="write_to_window", reset_less=True)
        fire = Signal(name="write_fire")

        requested = requests.p.address[2:]
        m.d.comb += requests.ready.eq(fire | ~valid)
        with m.If(requests.ready):
            m.d.sync += [
                valid.eq(requests.valid),
                value.eq(requests.p.data),
                mask.eq(Cat(bit.replicate(8) for bit in requests.p.strobe)),
                whole.eq(requests.p.strobe.all()),
                address.eq(requested),
                to_word.eq(Cat(requested == word.address for word in words)),
                to_window.eq(Cat(window.holds(requested) for window in windows)),
            ]

        # A window is offered its write only when there is room for the response, so that
        # acceptance is the end of it.
        waiting_for_window = Signal()
        accepted = Signal()
        m.d.comb += [
            waiting_for_window.eq(to_window.any() & whole & ~accepted),
            responses.valid.eq(valid & ~waiting_for_window),
            fire.eq(responses.valid & responses.ready),
        ]
        for number, window in enumerate(windows):
            port = window.port.write
            m.d.comb += [
                port.p.address.eq(address[: window.address_bits]),
                port.p.data.eq(value),
            ]
            offers = valid & responses.ready & to_window[number] & whole
            with m.If(port.valid & port.ready):
                m.d.comb += accepted.eq(1)
                m.d.sync += port.valid.eq(0)
            with m.Elif(offers):
                m.d.sync += port.valid.eq(1)

        writable = [
            to_word[number]
            for number, word in enumerate(words)
            if isinstance(word.entry, Register) and word.entry.writable
        ]
        with m.If(Cat(*writable).any() | (to_window.any() & whole)):
            m.d.comb += responses.payload.eq(AxiLiteResponse.OKAY)
        with m.Elif(to_word.any() | to_window.any()):
            m.d.comb += responses.payload.eq(AxiLiteResponse.SLVERR)
        with m.Else():
            m.d.comb += responses.payload.eq(AxiLiteResponse.DECERR)

        for number, word in enumerate(words):
            if not isinstance(word.entry, Register):
                continue
            write = fire & to_word[number]
            connect_register(m, word.entry, word.port, word.value, write, value, mask)

    def _read(
        self, m: Module, slave: AxiLiteSlave, words: list["_Word"], windows: list["_Window"]
    ) -> None:
        requests, responses = slave.reads, slave.read_responses

        # First the decoded read.
        valid = self.read_valid
        address = Signal(self.address_bits - 2, name="read_address", reset_less=True)
        from_word = Signal(max(1, len(words)), name="read_from_word", reset_less=True)
        from_window = Signal(max(1, len(windows)), name="read_from_window", reset_less=True)
        fire = Signal(name="read_fire")

        requested = requests.payload[2:]
        m.d.comb += requests.ready.eq(fire | ~valid)
        with m.If(requests.ready):
            m.d.sync += [
                valid.eq(requests.valid),
                address.eq(requested),
                from_word.eq(Cat(requested == word.address for word in words)),
                from_window.eq(Cat(window.holds(requested) for window in windows)),
            ]

        m.d.comb += self.reads_window.eq(from_window.any())

        # Then what the words of each group say; at most one group is not 0.
        gathered_valid = self.gathered_valid
        gathered_ready = Signal()
        m.d.comb += gathered_ready.eq(responses.ready | ~gathered_valid)
        lows, highs, hits = [], [], []
        for start in range(0, len(words), GROUP_WORDS):
            numbers = range(start, min(start + GROUP_WORDS, len(words)))
            low = Signal(WORD_BITS, name=f"low_{start}", reset_less=True)
            hit = Signal(name=f"hit_{start}", reset_less=True)
            counters = [n for n in numbers if words[n].is_counter_low]
            # The high word of a counter is not read here but from what its low word kept.
            plain = [n for n in numbers if not words[n].is_counter_high]
            with m.If(fire):
                m.d.sync += [
                    low.eq(either(words[n].value & from_word[n].replicate(32) for n in plain)),
                    hit.eq(Cat(from_word[n] for n in numbers).any()),
                ]
            lows.append(low)
            hits.append(hit)
            if counters:
                high = Signal(WORD_BITS, name=f"high_{start}", reset_less=True)
                with m.If(fire):
                    m.d.sync += high.eq(
                        either(words[n].port & from_word[n].replicate(32) for n in counters)
                    )
                highs.append(high)

        window_data = Signal(WORD_BITS, reset_less=True)
        window_hit = Signal(reset_less=True)
        low_read = Signal(reset_less=True)
        high_read = Signal(reset_less=True)
        counter_address = Signal(self.address_bits - 3, reset_less=True)
        with m.If(gathered_ready):
            m.d.sync += gathered_valid.eq(fire)
        with m.If(fire):
            m.d.sync += [
                window_hit.eq(self.reads_window),
                low_read.eq(
                    Cat(from_word[n] for n, word in enumerate(words) if word.is_counter_low).any()
                ),
                high_read.eq(
                    Cat(from_word[n] for n, word in enumerate(words) if word.is_counter_high).any()
                ),
                counter_address.eq(address[1:]),
                window_data.eq(0),
            ]

        answered = Signal()
        m.d.comb += fire.eq(valid & gathered_ready & (answered | ~self.reads_window))
        asked = self.window_asked
        for number, window in enumerate(windows):
            port = window.port
            m.d.comb += [
                port.read.payload.eq(address[: window.address_bits]),
                port.read_data.ready.eq(
                    asked & from_window[number] & ~port.read.valid & gathered_ready
                ),
            ]
            with m.If(port.read.valid & port.read.ready):
                m.d.sync += port.read.valid.eq(0)
            with m.If(valid & from_window[number] & ~asked):
                m.d.sync += [port.read.valid.eq(1), asked.eq(1)]
            with m.If(port.read_data.valid & port.read_data.ready):
                m.d.comb += answered.eq(1)
                m.d.sync += [asked.eq(0), window_data.eq(port.read_data.payload)]

        # Last the response; the high word of a counter comes from the read before.
        kept = Signal(WORD_BITS, reset_less=True)
        kept_address = Signal.like(counter_address)
        kept_valid = Signal()
        is_kept = Signal()
        m.d.comb += [
            is_kept.eq(kept_valid & (kept_address == counter_address)),
            responses.valid.eq(gathered_valid),
            responses.p.data.eq(either([*lows, window_data])),
            responses.p.response.eq(AxiLiteResponse.OKAY),
        ]
        with m.If(high_read):
            with m.If(is_kept):
                m.d.comb += responses.p.data.eq(kept)
            with m.Else():
                m.d.comb += responses.p.response.eq(AxiLiteResponse.SLVERR)
        with m.Elif(~Cat(*hits, window_hit).any()):
            m.d.comb += responses.p.response.eq(AxiLiteResponse.DECERR)
        with m.If(responses.valid & responses.ready & low_read):
            m.d.sync += [
                kept.eq(either(highs)),
                kept_address.eq(counter_address),
                kept_valid.eq(1),
            ]


class _Word:
    """A word of the address space: its value, and the port that writes or completes it."""

    def __init__(self, address: int, value: Value, entry: Register | Counter, port):
        self.address = address
        self.value = value
        self.entry = entry
        self.port = port

    @property
    def is_counter_low(self) -> bool:
        return isinstance(self.entry, Counter) and self.port is not None

    @property
    def is_counter_high(self) -> bool:
        return isinstance(self.entry, Counter) and self.port is None


class _Window:
    """A window of the address space and its port."""

    def __init__(self, address: int, entry: TableWindow, port):
        self.address = address
        self.address_bits = (entry.window_bytes // WORD_BYTES - 1).bit_length()
        self.port = port

    def holds(self, address: Value) -> Value:
        """Whether the word at ``address`` is in the window."""
        return address[self.address_bits :] == self.address >> self.address_bits
