"""Content-addressable memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .first_match import FirstMatch

__all__ = ["Cam"]


class Cam(wiring.Component):
    """Find the entry that holds a key, among ``entry_count``.

    An entry matches where it is valid and its key is the one looked up. Writing one key to two
    entries is allowed: then the lower is found. Entries are registers.

    A lookup sees every write of an earlier cycle and none of its own or a later one. A reset makes
    all entries invalid and forgets lookups under way.

    Latency is ``latency``: 1 cycle to compare, then 1 for up to 16 entries, 2 for up to 256, 3 for
    up to 4096 to choose. Throughput is 1 lookup and 1 write per cycle.

    Specification: this docstring.

    Parameters
    ----------
    key_bits : int
        Bits of a key, 1 or more.
    entry_count : int
        Number of entries, 2 or more.

    Attributes
    ----------
    latency : int
        Cycles from a lookup to its result.

    Members
    -------
    lookup_valid : In(1)
        Whether to look up in this cycle.
    lookup_key : In(key_bits)
        Key to find.
    result_valid : Out(1)
        Whether there was a lookup ``latency`` cycles before; registered.
    result_match : Out(1)
        Whether an entry matched it; meaningful while ``result_valid``. Registered.
    result_index : Out(range(entry_count))
        Lowest entry that matched; meaningful while ``result_match``. Registered.
    write_en : In(1)
        Whether to write an entry in this cycle.
    write_index : In(range(entry_count))
        Entry to write; a number of ``entry_count`` or more writes none.
    write_valid : In(1)
        Whether the entry takes part in lookups from now on.
    write_key : In(key_bits)
        Key of the entry.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    lookup_valid: Signal
    lookup_key: Signal
    result_valid: Signal
    result_match: Signal
    result_index: Signal
    write_en: Signal
    write_index: Signal
    write_valid: Signal
    write_key: Signal

    def __init__(self, *, key_bits: int, entry_count: int):
        if key_bits < 1:
            raise ValueError(f"key_bits must be 1 or more, not {key_bits!r}")
        if entry_count < 2:
            raise ValueError(f"entry_count must be 2 or more, not {entry_count!r}")
        self.key_bits = key_bits
        self.entry_count = entry_count
        self._first = FirstMatch(count=entry_count)
        self.latency = 1 + self._first.latency
        super().__init__(
            {
                "lookup_valid": In(1),
                "lookup_key": In(key_bits),
                "result_valid": Out(1),
                "result_match": Out(1),
                "result_index": Out(range(entry_count)),
                "write_en": In(1),
                "write_index": In(range(entry_count)),
                "write_valid": In(1),
                "write_key": In(key_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = self._first

        valids = Signal(self.entry_count)
        matches = Signal(self.entry_count, reset_less=True)
        for number in range(self.entry_count):
            key = Signal(self.key_bits, name=f"key_{number}", reset_less=True)
            with m.If(self.write_en & (self.write_index == number)):
                m.d.sync += [
                    valids[number].eq(self.write_valid),
                    key.eq(self.write_key),
                ]
            equal = key == self.lookup_key
            m.d.sync += matches[number].eq(valids[number] & equal)

        under_way = Signal(self.latency)
        m.d.sync += under_way.eq(Cat(self.lookup_valid, under_way))
        m.d.comb += [
            first.matches.eq(matches),
            self.result_valid.eq(under_way[-1]),
            self.result_match.eq(first.found),
            self.result_index.eq(first.index),
        ]
        return m
