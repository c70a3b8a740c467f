"""``headrace pcie-trace``: where the switch sent each TLP, in words."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console

from hdl.catalogue import suggestion
from hdl.pcie.rules import RULES, Action, Rule
from hdl.pcie.tlp import TlpType
from hdl.pcie.trace import TraceRecordLayout

from .console import InputError

__all__ = ["describe", "line", "pcie_trace", "read_records"]

RECORD_BYTES = 32

_RECORD: Any = TraceRecordLayout()
_VARIANTS: dict[str, Any] = {name: field.shape for name, field in _RECORD["specific"].shape}

# With a payload, and without.
_NAMES = {
    TlpType.MEMORY: ("memory write", "memory read"),
    TlpType.MEMORY_LOCKED: ("locked write", "locked read"),
    TlpType.IO: ("I/O write", "I/O read"),
    TlpType.CONFIGURATION_0: ("Type 0 configuration write", "Type 0 configuration read"),
    TlpType.CONFIGURATION_1: ("Type 1 configuration write", "Type 1 configuration read"),
    TlpType.COMPLETION: ("completion with data", "completion"),
    TlpType.COMPLETION_LOCKED: ("locked completion with data", "locked completion"),
    TlpType.FETCH_ADD: ("fetch and add", "fetch and add"),
    TlpType.SWAP: ("swap", "swap"),
    TlpType.COMPARE_AND_SWAP: ("compare and swap", "compare and swap"),
}
_CONFIGURATIONS = (TlpType.CONFIGURATION_0, TlpType.CONFIGURATION_1)
_COMPLETIONS = (TlpType.COMPLETION, TlpType.COMPLETION_LOCKED)
_FIRST_MESSAGE, _LAST_MESSAGE = 0b10000, 0b10111

# Message codes (2.2.8).
_MESSAGES = {
    0x00: "Unlock",
    0x10: "LTR",
    0x12: "OBFF",
    0x14: "PM_Active_State_Nak",
    0x18: "PM_PME",
    0x19: "PME_Turn_Off",
    0x1B: "PME_TO_Ack",
    **{0x20 + n: f"Assert_INT{'ABCD'[n]}" for n in range(4)},
    **{0x24 + n: f"Deassert_INT{'ABCD'[n]}" for n in range(4)},
    0x30: "ERR_COR",
    0x31: "ERR_NONFATAL",
    0x33: "ERR_FATAL",
    0x50: "Set_Slot_Power_Limit",
    0x52: "PTM Request",
    0x53: "PTM Response",
    0x7E: "Vendor_Defined Type 0",
    0x7F: "Vendor_Defined Type 1",
}
_STATUS = {0: "SC", 1: "UR", 2: "RRS", 4: "CA"}


def _fields(value: int, layout: Any) -> dict[str, int]:
    return {name: value >> field.offset & (1 << field.width) - 1 for name, field in layout}


def _identifier(value: int) -> str:
    """Bus, device and function as lspci writes them."""
    return f"{value >> 8:02x}:{value >> 3 & 31:02x}.{value & 7}"


def _destination(fields: dict[str, int]) -> dict[str, Any]:
    """Name what the TLP is routed by, and what else depends on its type."""
    kind, specific = fields["type"], fields["specific"]
    if kind in _COMPLETIONS:
        found = _fields(specific, _VARIANTS["completion"])
        return {
            "completer": _identifier(found["completer"]),
            "status": _STATUS.get(found["status"], f"status {found['status']}"),
            "byte_count": found["byte_count"] or 4096,
        }
    if kind in _CONFIGURATIONS:
        found = _fields(specific, _VARIANTS["configuration"])
        return {"target": _identifier(found["target"]), "register": 4 * found["register"]}
    if _FIRST_MESSAGE <= kind <= _LAST_MESSAGE:
        found = _fields(specific, _VARIANTS["message"])
        about = {"code": found["code"]}
        by_id = kind == TlpType.MESSAGE_BY_ID
        return {**about, "target": _identifier(found["target"])} if by_id else about
    address = _fields(specific, _VARIANTS["memory"])["address"]
    return {"address": address if fields["four_dwords"] else address & 0xFFFF_FFFF}


def _outcome(fields: dict[str, int]) -> str:
    action, rule = Action(fields["action"]), Rule(fields["rule"])
    if action == Action.FORWARD:
        return f"port {fields['egress'].bit_length() - 1}"
    if rule == Rule.CONFIGURATION:
        return f"function of port {fields['function']}"
    if action == Action.LOCAL:
        return "switch"
    if not fields["local"]:
        return "dropped"
    return "UR" if action == Action.UNSUPPORTED else "CA"


def describe(record: bytes) -> dict[str, Any]:
    """JSON object of one record of 32 bytes.

    Raises
    ------
    ValueError
        If it is none: a reserved bit is set, there is no such rule, or egress and action do not
        agree.
    """
    fields = _fields(int.from_bytes(record, "little"), _RECORD)
    if any(value for name, value in fields.items() if name.startswith("reserved")):
        raise ValueError("reserved bits are set")
    if fields["rule"] not in {rule.value for rule in Rule}:
        raise ValueError(f"there is no rule {fields['rule']}")
    if fields["egress"].bit_count() != (fields["action"] == Action.FORWARD.value):
        raise ValueError("egress and action do not agree")
    if fields["to_type_0"]:
        fields["type"] = TlpType.CONFIGURATION_1
    kind, has_data = fields["type"], bool(fields["has_data"])
    rule = Rule(fields["rule"])
    reads = kind <= TlpType.CONFIGURATION_1 or kind >= TlpType.FETCH_ADD
    is_message = _FIRST_MESSAGE <= kind <= _LAST_MESSAGE
    has_length = has_data or (reads and not is_message)
    if is_message:
        code = _fields(fields["specific"], _VARIANTS["message"])["code"]
        name = f"message {_MESSAGES.get(code, f'code 0x{code:02x}')}"
    elif kind in _NAMES:
        name = _NAMES[TlpType(kind)][not has_data]
    else:
        name = f"TLP of type 0x{kind:02x}"
    return {
        "time": fields["time"],
        "lost_before": fields["lost"],
        "ingress": fields["ingress"],
        "outcome": _outcome(fields),
        "egress": fields["egress"].bit_length() - 1 if fields["egress"] else None,
        "action": Action(fields["action"]).name,
        "answered": bool(fields["local"]) and fields["action"] >= Action.UNSUPPORTED.value,
        "rule": rule.name,
        "sentence": RULES[rule].sentence,
        "hint": RULES[rule].hint,
        "tlp": name,
        "type": kind,
        "to_type_0": bool(fields["to_type_0"]),
        "bytes": 4 * (fields["length"] or 1024) if has_length else 0,
        "requester": _identifier(fields["requester"]),
        "tag": fields["tag"],
        "tc": fields["tc"],
        "attributes": fields["attributes"],
        "at": fields["at"],
        "poisoned": bool(fields["poisoned"]),
        "prefix": fields["prefix"] if fields["has_prefix"] else None,
        **_destination(fields),
    }


def line(about: dict[str, Any]) -> str:
    """Write one record for a person."""
    words = [f"{about['time']:10}  port {about['ingress']} > {about['outcome']}: "]
    words.append(about["tlp"])
    if "register" in about:
        words.append(f"of register 0x{about['register']:x}")
    elif about["bytes"]:
        words.append(f"of {about['bytes']} bytes")
    if "address" in about:
        words.append(f"at 0x{about['address']:x}")
    if "target" in about:
        words.append(f"of {about['target']}" if "register" in about else f"to {about['target']}")
    if "completer" in about:
        words.append(f"{about['status']} from {about['completer']} to {about['requester']}")
    else:
        words.append(f"from {about['requester']}")
    words.append(f"tag {about['tag']}.")
    words.append(about["sentence"])
    if about["hint"]:
        words.append(f"[{about['hint']}]")
    return " ".join(words)


def read_records(file: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    """Yield each record of ``file`` as soon as it is there.

    Raises
    ------
    InputError
        If the file ends within a record, or something in it is none.
    """
    number = 0
    while record := file.read(RECORD_BYTES):
        number += 1
        if len(record) < RECORD_BYTES:
            raise InputError(f"{name}: truncated: it ends within record {number}")
        try:
            yield describe(record)
        except ValueError as error:
            raise InputError(f"{name}: record {number} is none of a trace: {error}") from None


def _print(objects: Iterable[dict[str, Any]], wanted: set[str], *, as_json: bool) -> None:
    console = Console(markup=False, highlight=False, soft_wrap=True)
    counts: Counter[str] = Counter()
    lost = 0
    for about in objects:
        counts[about["rule"]] += 1
        lost += about["lost_before"]
        if wanted and about["rule"] not in wanted:
            continue
        if as_json:
            print(json.dumps(about), flush=True)
            continue
        if about["lost_before"]:
            count = about["lost_before"]
            at_least = "at least " if count == 0xFFFF else ""
            console.print(f"{'...':>10}  port {about['ingress']}: {at_least}{count} not recorded")
        console.print(line(about))
    if not as_json:
        console.print()
        for rule, count in counts.most_common():
            console.print(f"{count:7} {rule}")
        console.print(f"{counts.total():7} TLPs, {lost} more not recorded")


def pcie_trace(
    file: Annotated[Path, typer.Argument(help="Records of 32 bytes each; - is standard input.")],
    rule: Annotated[
        list[str] | None,
        typer.Option(help="Only TLPs that this rule decided; may be repeated.", metavar="NAME"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line, for programs.")
    ] = False,
) -> None:
    """Print where the PCIe switch sent each TLP of a trace, by which rule, and what to look at.

    Example: `headrace pcie-trace trace.bin --rule ACS_REQUEST_REDIRECT`
    """
    wanted = {name.upper() for name in rule or []}
    names = [known.name for known in Rule]
    for name in sorted(wanted - set(names)):
        raise InputError(f"no rule {name!r}{suggestion(name, names)}; docs/pcie-switch.md has all")
    if str(file) == "-":
        opened, name = nullcontext(sys.stdin.buffer), "standard input"
    else:
        opened, name = file.open("rb"), str(file)
    with opened as records:
        _print(read_records(records, name), wanted, as_json=as_json)
