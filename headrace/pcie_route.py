"""``headrace pcie-route``: where the switch would send a TLP, and why."""

import re
import tomllib
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hdl.catalogue import suggestion
from hdl.pcie.rules import RULES
from hdl.pcie.rules import Rule as HardwareRule
from sim.pcie import UPSTREAM, Acs, Action, Bridge, Decision, Kind, RouterModel, Tlp

from .blocks import Json
from .console import InputError, print_json

__all__ = ["TlpForm", "Tree", "make_tlp", "pcie_route", "read_tree"]

_MEGABYTE = 1 << 20
_IDENTIFIER = re.compile(r"([0-9a-f]{1,2}):([01]?[0-9a-f])\.([0-7])", re.IGNORECASE)
_ACS = [field.name for field in fields(Acs) if field.name != "egress_vector"]
_KEYS = {
    "name": str,
    "bus": int,
    "device": int,
    "secondary": int,
    "subordinate": int,
    "memory": list,
    "prefetchable": list,
    "memory_enable": bool,
    "bus_master_enable": bool,
    "ari_forwarding": bool,
    "max_payload": int,
    "link_up": bool,
    "acs": list,
    "blocked": list,
}


class TlpForm(StrEnum):
    """TLPs that one asks about."""

    READ = "read"
    WRITE = "write"
    ATOMIC = "atomic"
    IO = "io"
    CONFIGURATION_0 = "configuration-0"
    CONFIGURATION_1 = "configuration-1"
    COMPLETION = "completion"
    MESSAGE_BY_ID = "message-by-id"
    MESSAGE_TO_ROOT = "message-to-root"
    MESSAGE_BROADCAST = "message-broadcast"
    MESSAGE_LOCAL = "message-local"
    MESSAGE_GATHER = "message-gather"


_KINDS = {
    TlpForm.READ: Kind.MEMORY,
    TlpForm.WRITE: Kind.MEMORY,
    TlpForm.ATOMIC: Kind.FETCH_ADD,
    **{form: Kind[form.name] for form in list(TlpForm)[3:]},
}
_BY_ADDRESS = (TlpForm.READ, TlpForm.WRITE, TlpForm.ATOMIC, TlpForm.IO)
_BY_ID = (
    TlpForm.CONFIGURATION_0,
    TlpForm.CONFIGURATION_1,
    TlpForm.COMPLETION,
    TlpForm.MESSAGE_BY_ID,
)


@dataclass(frozen=True)
class Tree:
    """Ports of a switch, and what they are called."""

    names: list[str]
    bridges: list[Bridge]

    def port(self, name: str) -> int:
        """Find a port by its name or number."""
        if name in self.names:
            return self.names.index(name)
        if name.isdecimal() and int(name) < len(self.names):
            return int(name)
        raise InputError(f"no port {name!r}{suggestion(name, self.names)}")


def read_tree(file: Path) -> Tree:
    """Read the ports of a switch from TOML.

    Raises
    ------
    InputError
        If it is no TOML, or no switch.
    """
    try:
        tables = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}") from None
    ports = tables.pop("ports", None)
    if tables or not isinstance(ports, list) or not all(isinstance(port, dict) for port in ports):
        raise InputError(f"{file}: [[ports]] and nothing else must be in it")
    if not 2 <= len(ports) <= 8:
        raise InputError(f"{file}: there must be 2 to 8 [[ports]], not {len(ports)}")
    names = [port.get("name", f"port{number}") for number, port in enumerate(ports)]
    if len(set(map(str, names))) < len(names):
        raise InputError(f"{file}: two ports have the same name")
    tree = Tree(names, [])
    for number, port in enumerate(ports):
        try:
            tree.bridges.append(_bridge(number, port, tree))
        except (InputError, ValueError) as error:
            raise InputError(f"{file}: port {number}: {error}") from None
    return tree


def _bridge(number: int, port: dict[str, Any], tree: Tree) -> Bridge:
    for key, value in port.items():
        if key not in _KEYS:
            raise InputError(f"no setting {key!r}{suggestion(key, list(_KEYS))}")
        if type(value) is not _KEYS[key]:
            raise InputError(f"{key} must be of type {_KEYS[key].__name__}, not {value!r}")
    inside = tree.bridges[UPSTREAM].secondary if number else 0
    values: dict[str, Any] = {
        "bus": inside,
        "device": max(0, number - 1),
        "memory_enable": True,
        "bus_master_enable": True,
        "link_up": True,
        **port,
    }
    for key in ("name", "memory", "prefetchable", "acs", "blocked", "max_payload"):
        values.pop(key, None)
    for key, most in {"bus": 255, "device": 31, "secondary": 255, "subordinate": 255}.items():
        if not 0 <= values.get(key, 0) <= most:
            raise InputError(f"{key} must be 0 to {most}, not {values[key]!r}")
    for key, bits in {"memory": 32, "prefetchable": 64}.items():
        if key in port:
            values |= _window(key, port[key], bits)
    size = port.get("max_payload", 4096)
    if size not in (128, 256, 512, 1024, 2048, 4096):
        raise InputError(f"max_payload must be a power of two from 128 to 4096, not {size!r}")
    if number == UPSTREAM and (port.get("acs") or port.get("blocked")):
        raise InputError("the upstream port has no ACS control")
    return Bridge(max_payload=size.bit_length() - 8, acs=_acs(port, tree), **values)


def _window(key: str, window: list[Any], bits: int) -> dict[str, int]:
    if len(window) != 2 or not all(type(address) is int for address in window):
        raise InputError(f"{key} must be the first and the last address, not {window!r}")
    first, last = window
    whole = first % _MEGABYTE == 0 and (last + 1) % _MEGABYTE == 0
    if not whole or not 0 <= first <= last < 1 << bits:
        raise InputError(
            f"{key} must be whole megabytes below 2^{bits}, not {first:#x} to {last:#x}"
        )
    return {f"{key}_base": first // _MEGABYTE, f"{key}_limit": last // _MEGABYTE}


def _acs(port: dict[str, Any], tree: Tree) -> Acs:
    for name in port.get("acs", []):
        if name not in _ACS:
            raise InputError(f"no ACS control {name!r}{suggestion(str(name), _ACS)}")
    blocked = {tree.port(str(name)) for name in port.get("blocked", [])}
    return Acs(
        **dict.fromkeys(port.get("acs", []), True),
        egress_vector=sum(1 << number for number in blocked),
    )


def _parse_identifier(text: str) -> int:
    match = _IDENTIFIER.fullmatch(text)
    if match is None:
        raise InputError(f"an ID is bus:device.function as lspci writes it, not {text!r}")
    bus, device, function = (int(part, 16) for part in match.groups())
    return bus << 8 | device << 3 | function


def make_tlp(
    form: TlpForm, target: str | None, *, requester: int, length: int, at: int, relaxed: bool
) -> Tlp:
    """Build the TLP that the words of the command describe.

    Raises
    ------
    InputError
        If they do not.
    """
    has_target = form in (*_BY_ADDRESS, *_BY_ID)
    if has_target and target is None:
        raise InputError(f"{form} needs {'an address' if form in _BY_ADDRESS else 'an ID'}")
    if target is not None and not has_target:
        raise InputError(f"{form} goes by no address or ID, so not by {target!r}")
    if not 1 <= length <= 4096:
        raise InputError(f"--length must be 1 to 4096 bytes, not {length}")
    if at not in (0, 1, 2):
        raise InputError(f"--at must be 0, 1 or 2, not {at}")
    dwords = -(-length // 4)
    carries = form in (TlpForm.WRITE, TlpForm.ATOMIC, TlpForm.COMPLETION)
    tlp = Tlp(
        _KINDS[form],
        data=bytes(4 * dwords) if carries else None,
        length=dwords,
        requester=requester,
        at=at,
        relaxed_ordering=relaxed,
    )
    if form in _BY_ADDRESS and target is not None:
        try:
            address = int(target, 0)
        except ValueError:
            raise InputError(f"an address is a number, 0x in front, not {target!r}") from None
        if not 0 <= address < 1 << 64:
            raise InputError(f"addresses have 64 bits, {target} has more")
        return tlp.with_changes(address=address, four_dwords=address >= 1 << 32)
    identifier = 0 if target is None else _parse_identifier(target)
    if form == TlpForm.COMPLETION:
        return tlp.with_changes(requester=identifier, completer=requester)
    return tlp.with_changes(target=identifier)


def _outcome(decision: Decision, tree: Tree) -> str:
    if decision.egress is not None:
        converted = ", as Type 0" if decision.to_type_0 else ""
        return f"leaves by {tree.names[decision.egress]}{converted}"
    if decision.action == Action.LOCAL:
        return "is served by the switch"
    if not decision.local:
        return "is dropped"
    name = "Unsupported Request" if decision.action == Action.UNSUPPORTED else "Completer Abort"
    return f"is answered with {name}"


def pcie_route(
    file: Annotated[Path, typer.Argument(help="Ports of the switch, in TOML.")],
    ingress: Annotated[str, typer.Argument(help="Port it comes in by: name or number.")],
    form: Annotated[TlpForm, typer.Argument(help="What it is.", metavar="TLP")],
    target: Annotated[
        str | None,
        typer.Argument(help="Address, or ID as 03:00.0; of a completion whose request it was."),
    ] = None,
    requester: Annotated[
        str | None, typer.Option(help="Who sends it; else the first device behind the port.")
    ] = None,
    length: Annotated[int, typer.Option(help="Bytes carried or asked for.")] = 4,
    at: Annotated[int, typer.Option(help="Address type: 2 is translated (ATS).")] = 0,
    relaxed: Annotated[bool, typer.Option("--relaxed", help="Relaxed Ordering is set.")] = False,
    expect: Annotated[
        str | None, typer.Option(help="Port it should leave by; exit code 1 if it does not.")
    ] = None,
    json: Json = False,
) -> None:
    """Tell where the PCIe switch sends a TLP, by which rule, and what to change.

    Example: `headrace pcie-route docs/examples/two_gpus.toml gpu0 write 0x14_0000_0000`
    """
    tree = read_tree(file)
    port = tree.port(ingress)
    expected = None if expect is None else tree.port(expect)
    behind = 0 if port == UPSTREAM else tree.bridges[port].secondary << 8
    tlp = make_tlp(
        form,
        target,
        requester=behind if requester is None else _parse_identifier(requester),
        length=length,
        at=at,
        relaxed=relaxed,
    )
    decision = RouterModel(len(tree.names)).route(port, tlp, tree.bridges)
    words = RULES[HardwareRule[decision.rule.name]]
    if json:
        egress = decision.egress
        print_json(
            {
                "ingress": tree.names[port],
                "egress": None if egress is None else tree.names[egress],
                "action": decision.action.name,
                "answered": decision.local,
                "rule": decision.rule.name,
                "sentence": words.sentence,
                "hint": words.hint,
            }
        )
    else:
        print(f"From {tree.names[port]}, it {_outcome(decision, tree)}: {decision.rule.name}.")
        print(words.sentence)
        if words.hint:
            print(words.hint)
    if expect is not None and decision.egress != expected:
        raise typer.Exit(1)
