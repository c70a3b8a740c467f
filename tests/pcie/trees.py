"""A switch with three downstream ports, numbered and opened; TLPs and decisions by hand."""

from dataclasses import replace

from sim.pcie import Acs, Action, Bridge, Decision, Kind, Rule, Tlp

# Buses: 1 is inside; 2 behind port 1; 3 to 5 behind port 2; 6 behind port 3.
# Memory: 8000_0000 to 8FFF_FFFF and 10_0000_0000 to 1F_FFFF_FFFF below the upstream port,
# the second hex digit being the downstream port.
UP = Bridge(
    bus=1,
    device=7,
    secondary=1,
    subordinate=6,
    memory_base=0x800,
    memory_limit=0x8FF,
    prefetchable_base=0x10_000,
    prefetchable_limit=0x1F_FFF,
    memory_enable=True,
    bus_master_enable=True,
    max_payload=1,
    link_up=True,
)


def down(port: int, secondary: int, subordinate: int, **changes) -> Bridge:
    return replace(
        UP,
        bus=1,
        device=port - 1,
        secondary=secondary,
        subordinate=subordinate,
        memory_base=0x800 + 16 * port,
        memory_limit=0x80F + 16 * port,
        prefetchable_base=0x10_000 + 0x1000 * port,
        prefetchable_limit=0x10_FFF + 0x1000 * port,
        **changes,
    )


TREE = (UP, down(1, 2, 2), down(2, 3, 5), down(3, 6, 6))


def tree(changes: dict[int, dict] | None = None, acs: Acs | None = None) -> list[Bridge]:
    """Bridges with some changed; ``acs`` is port 1's."""
    bridges = list(TREE)
    for port, port_changes in (changes or {}).items():
        bridges[port] = replace(bridges[port], **port_changes)
    if acs is not None:
        bridges[1] = replace(bridges[1], acs=acs)
    return bridges


def read(address: int, requester: int = 0x0200, **changes) -> Tlp:
    wide = address >= 1 << 32
    tlp = Tlp(
        Kind.MEMORY, length=1, first_be=15, address=address, requester=requester, four_dwords=wide
    )
    return tlp.with_changes(**changes)


def write(address: int, requester: int = 0x0200, dwords: int = 1, **changes) -> Tlp:
    fields = {"length": dwords, "data": bytes(4 * dwords), "last_be": 15 if dwords > 1 else 0}
    return read(address, requester, **{**fields, **changes})


def configure(kind: Kind, bus: int, device: int = 0, function: int = 0) -> Tlp:
    return Tlp(kind, length=1, target=bus << 8 | device << 3 | function)


def completion(requester: int, **changes) -> Tlp:
    return Tlp(Kind.COMPLETION, requester=requester, completer=0x200).with_changes(**changes)


def message(kind: int, **changes) -> Tlp:
    return Tlp(kind, four_dwords=True, requester=0x0200).with_changes(**changes)


def forward(egress: int, rule: Rule, **changes) -> Decision:
    return Decision(Action.FORWARD, rule, egress=egress, **changes)


def answered(rule: Rule, action: Action = Action.UNSUPPORTED) -> Decision:
    return Decision(action, rule, local=True)


def dropped(rule: Rule, action: Action = Action.UNSUPPORTED) -> Decision:
    return Decision(action, rule)


def served(rule: Rule, function: int = 0) -> Decision:
    return Decision(Action.LOCAL, rule, local=True, function=function)
