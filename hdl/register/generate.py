"""What software and people read of a register table: C header, SystemRDL, documentation."""

from .table import (
    COUNTER_BITS,
    WORD_BITS,
    Access,
    Counter,
    Entry,
    Field,
    Place,
    Register,
    RegisterTable,
    Window,
)

__all__ = ["c_header", "markdown", "systemrdl"]


def c_header(table: RegisterTable) -> str:
    """C and C++ header: addresses, and masks and shifts of the fields.

    An entry ``E`` of table ``T`` is ``T_E``, its byte address, or ``T_E(n)`` and ``T_E_COUNT``
    where there are several. Its field ``F`` has ``T_E_F_MASK``, ``T_E_F_SHIFT`` and, where it is
    not 0, ``T_E_F_INIT``. A counter's high word is at its address and 4; a window has
    ``T_E_BYTES``.
    """
    prefix = table.name.upper()
    guard = f"HEADRACE_{prefix}_H"
    lines = [
        f"/* Registers of {table.name}, generated from their table. */",
        f"#ifndef {guard}",
        f"#define {guard}",
    ]
    for place in table.places():
        entry = place.entry
        name = f"{prefix}_{entry.name.upper()}"
        lines += ["", f"/* {entry.description} */"]
        if entry.count == 1:
            lines.append(f"#define {name} {place.address:#x}u")
        else:
            lines.append(f"#define {name}(n) ({place.address:#x}u + {entry.stride:#x}u * (n))")
            lines.append(f"#define {name}_COUNT {entry.count}u")
        if isinstance(entry, Window):
            lines.append(f"#define {name}_BYTES {entry.window_bytes:#x}u")
        elif isinstance(entry, Register):
            for field, offset in entry.placed():
                mask = ((1 << field.bits) - 1) << offset
                of_field = f"{name}_{field.name.upper()}"
                lines.append(f"#define {of_field}_MASK {mask:#x}u")
                lines.append(f"#define {of_field}_SHIFT {offset}")
                if field.init:
                    lines.append(f"#define {of_field}_INIT {field.init:#x}u")
    return "\n".join([*lines, "", f"#endif /* {guard} */", ""])


_RDL_ACCESS = {
    Access.CONSTANT: "sw = r; hw = na;",
    Access.RO: "sw = r; hw = w;",
    Access.RW: "sw = rw; hw = r;",
    Access.W1C: "sw = rw; hw = rw; onwrite = woclr;",
    Access.PULSE: "sw = w; hw = r;",
}


def systemrdl(table: RegisterTable) -> str:
    """SystemRDL 2.0 description (Accellera, January 2018)."""
    lines = [
        f"// Registers of {table.name}, generated from their table.",
        f"addrmap {table.name} {{",
        f"    desc = {_quoted(table.description)};",
        "    default regwidth = 32;",
        "    littleendian;",
    ]
    for place in table.places():
        entry = place.entry
        lines.append("")
        if isinstance(entry, Window):
            words = entry.window_bytes * 8 // WORD_BITS
            lines += [
                "    external mem {",
                f"        desc = {_quoted(entry.description)};",
                f"        mementries = {words}; memwidth = {WORD_BITS}; sw = rw;",
                f"    }} \\{entry.name} @ {place.address:#x};",
            ]
            continue
        lines += ["    reg {", f"        desc = {_quoted(entry.description)};"]
        if isinstance(entry, Counter):
            lines.append(f"        regwidth = {COUNTER_BITS}; accesswidth = {WORD_BITS};")
            lines.append(
                f"        field {{ sw = r; hw = w; }} value[{COUNTER_BITS - 1}:0] = 0;",
            )
        else:
            for field, offset in entry.placed():
                lines += _rdl_field(field, offset)
        array = "" if entry.count == 1 else f"[{entry.count}]"
        step = "" if entry.count == 1 else f" += {entry.stride:#x}"
        lines.append(f"    }} \\{entry.name} {array} @ {place.address:#x}{step};")
    return "\n".join([*lines, "};", ""])


def _rdl_field(field: Field, offset: int) -> list[str]:
    place = f"\\{field.name} [{offset + field.bits - 1}:{offset}]"
    access = _RDL_ACCESS[field.access]
    if field.access is Access.PULSE and field.bits == 1:
        access += " singlepulse;"  # only for one bit in SystemRDL
    return [
        f"        field {{ desc = {_quoted(field.description)}; {access} "
        f"}} {place} = {field.init:#x};"
    ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def markdown(table: RegisterTable) -> str:
    """Page of documentation."""
    lines = [
        "<!-- Generated from the register table; do not edit. -->",
        "",
        f"# Registers of {table.name}",
        "",
        table.description,
        "",
        "| Address | Name | What |",
        "|---|---|---|",
    ]
    for place in table.places():
        lines.append(f"| {_range(place)} | `{_indexed(place.entry)}` | {place.entry.description} |")
    for place in table.places():
        entry = place.entry
        lines += ["", f"## `{_indexed(entry)}`", ""]
        if isinstance(entry, Counter):
            end = "stays at its largest value" if entry.saturates else "wraps to 0"
            lines += [
                f"{entry.description} 64-bit counter, low word first; it {end}. Read the low "
                "word, then the high."
            ]
        elif isinstance(entry, Window):
            lines += [f"{entry.description} {entry.window_bytes} bytes, accessed in whole words."]
        else:
            lines += [
                entry.description,
                "",
                "| Bits | Field | Access | Reset | What |",
                "|---|---|---|---|---|",
            ]
            for field, offset in entry.placed():
                top = offset + field.bits - 1
                bits = f"{offset}" if field.bits == 1 else f"{top}:{offset}"
                init = "-" if field.access in (Access.RO, Access.PULSE) else f"{field.init:#x}"
                lines.append(
                    f"| {bits} | `{field.name}` | {field.access.value} | {init} | "
                    f"{field.description} |"
                )
    return "\n".join([*lines, ""])


def _indexed(entry: Entry) -> str:
    return entry.name if entry.count == 1 else f"{entry.name}[{entry.count}]"


def _range(place: Place) -> str:
    if place.entry.count == 1 and isinstance(place.entry, Register):
        return f"{place.address:#06x}"
    return f"{place.address:#06x}..{place.end - 1:#06x}"
