"""The block's side of a register table, and what a register does with a write."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .table import WORD_BITS, WORD_BYTES, Access, Counter, Register, RegisterTable

__all__ = ["RegisterPorts", "WindowSignature", "connect_register", "either"]


def WindowSignature(address_bits: int) -> wiring.Signature:
    """Access to a window as the register file has it; the address counts words.

    ``write`` and ``read`` are requests, ``read_data`` answers each read, in order. The block
    must accept each request and answer each read in the end, or the bus waits for it forever.
    """
    return wiring.Signature(
        {
            "write": Out(
                stream.Signature(data.StructLayout({"address": address_bits, "data": WORD_BITS}))
            ),
            "read": Out(stream.Signature(address_bits)),
            "read_data": In(stream.Signature(WORD_BITS)),
        }
    )


def _register_signature(register: Register) -> wiring.Signature:
    members = {}
    for field in register.fields:
        if field.access is Access.RO:
            members[field.name] = In(field.bits)
        elif field.access is Access.RW:
            init = {"init": field.init}  # which the stubs do not know
            members[field.name] = Out(field.bits, **init)
        elif field.access is Access.PULSE:
            members[field.name] = Out(field.bits)
        elif field.access is Access.W1C:
            members[field.name] = In(field.bits)
            members[f"{field.name}_pending"] = Out(field.bits)
    return wiring.Signature(members)


def RegisterPorts(table: RegisterTable) -> wiring.Signature:
    """Ports of a table as the register file has them; the block has them flipped.

    Each entry is a member of its name; of entries with a count, an array. A register's members
    are its fields: RW and PULSE come out, RO goes in, CONSTANT has none; a W1C field takes
    events, bit by bit, and shows in ``<field>_pending`` what is set. A counter takes the number
    of events of the cycle. A window is a :func:`WindowSignature`.
    """
    members = {}
    for place in table.places():
        entry = place.entry
        if isinstance(entry, Register):
            member = Out(_register_signature(entry))
        elif isinstance(entry, Counter):
            member = In(range(entry.increment_max + 1))
        else:
            member = Out(WindowSignature((entry.window_bytes // WORD_BYTES - 1).bit_length()))
        members[entry.name] = member if entry.count == 1 else member.array(entry.count)
    return wiring.Signature(members)


def connect_register(
    m: Module,
    register: Register,
    port: Any,
    value: Value,
    write: Value,
    written: Value,
    mask: Value,
    clear: Value | None = None,
) -> None:
    """Make a register between the bus and its ports.

    Parameters
    ----------
    m : Module
        Where its logic goes.
    register : Register
        What it is.
    port : interface
        Its member of :func:`RegisterPorts`.
    value : Signal(32)
        Driven with what a read gives.
    write : Value, 1 bit
        Whether this register is written in this cycle.
    written, mask : Value, 32 bits
        What is written, and to which bits.
    clear : Value, 1 bit, optional
        Puts every field back to what it is after reset, whatever is written.
    """
    for field, offset in register.placed():
        bits = slice(offset, offset + field.bits)
        ones = Mux(write, written[bits] & mask[bits], 0)
        if field.access is Access.CONSTANT:
            m.d.comb += value[bits].eq(field.init)
            continue
        member = getattr(port, field.name)
        if field.access is Access.RO:
            m.d.comb += value[bits].eq(member)
            continue
        kept = member
        if field.access is Access.RW:
            m.d.comb += value[bits].eq(member)
            with m.If(write):
                m.d.sync += member.eq((member & ~mask[bits]) | (written[bits] & mask[bits]))
        elif field.access is Access.PULSE:
            m.d.sync += member.eq(ones)
        elif field.access is Access.W1C:
            kept = getattr(port, f"{field.name}_pending")
            m.d.comb += value[bits].eq(kept)
            m.d.sync += kept.eq((kept & ~ones) | member)
        if clear is not None:
            with m.If(clear):
                m.d.sync += kept.eq(field.init)


def either(values) -> Value:
    """Or of values of which at most one is not 0."""
    values = list(values)
    while len(values) > 1:
        values = [
            values[n] | values[n + 1] if n + 1 < len(values) else values[n]
            for n in range(0, len(values), 2)
        ]
    return values[0] if values else Const(0, WORD_BITS)
