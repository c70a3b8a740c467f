"""A row of a RAM, as proofs follow it instead of the RAM."""

from amaranth import *
from amaranth.hdl import Assume

from hdl.memory import SimpleDualPortRam

__all__ = ["follow"]


def follow(m: Module, ram: SimpleDualPortRam, address: Value) -> tuple[Signal, Signal]:
    """Keep row ``address`` of ``ram``, and take reads of it to find that.

    So induction may begin with any row, and other rows hold anything. That RAMs keep to it is
    proved in ``tb.memory.ram_proof``.

    Parameters
    ----------
    m : Module
    ram : SimpleDualPortRam
        Of one lane.
    address : Value
        Row to follow; constant.

    Returns
    -------
    kept, now : Signal
        The row, without and with what is written in this cycle.
    """
    bits = Shape.cast(ram.shape).width
    kept, now, found = Signal(bits), Signal(bits), Signal(bits)
    is_mine = Signal()
    writes = ram.write_lanes.any() & (ram.write_address == address)
    m.d.comb += now.eq(Mux(writes, Value.cast(ram.write_data), kept))
    m.d.sync += kept.eq(now)
    with m.If(ram.read_en):
        knows = (ram.read_address == address) & (C(1) if ram.bypass else ~writes)
        m.d.sync += [is_mine.eq(knows), found.eq(now)]
    for _ in range(ram.latency - 1):
        was_mine, was_found = Signal(), Signal(bits)
        m.d.sync += [was_mine.eq(is_mine), was_found.eq(found)]
        is_mine, found = was_mine, was_found
    m.d.comb += Assume(~is_mine | (Value.cast(ram.read_data) == found), "a memory")
    return kept, now
