"""The model of the routing decision against the bridges of cocotbext-pcie, without ACS."""

from cocotbext.pcie.core.bridge import Bridge as OtherBridge
from cocotbext.pcie.core.tlp import Tlp as OtherTlp
from hypothesis import event, given, settings
from hypothesis import strategies as st

from sim.pcie import Bridge, Kind, RouterModel, Tlp, encode_tlp

PORTS = 4
WIDE = st.sampled_from([0, 0x1000])  # megabytes: below and above 4 GiB


@st.composite
def windows(draw):
    """Windows in a small space: many are closed, some overlap."""
    memory, wide = draw(st.integers(0, 15)), draw(st.integers(0, 15)) | draw(WIDE)
    return {
        "memory_base": memory,
        "memory_limit": max(0, memory + draw(st.integers(-1, 6))),
        "prefetchable_base": wide,
        "prefetchable_limit": max(0, wide + draw(st.integers(-1, 6))),
    }


@st.composite
def bridges(draw):
    below = draw(st.lists(st.integers(2, 9), min_size=2 * PORTS - 2, max_size=2 * PORTS - 2))
    numbers = [(1, draw(st.integers(4, 9))), *zip(below[::2], below[1::2], strict=True)]
    return [
        Bridge(
            bus=1 if port else 0,
            device=max(0, port - 1),
            secondary=secondary,
            subordinate=subordinate,
            memory_enable=True,
            bus_master_enable=True,
            max_payload=5,
            link_up=True,
            **draw(windows()),
        )
        for port, (secondary, subordinate) in enumerate(numbers)
    ]


@st.composite
def routed_tlps(draw):
    address = (draw(WIDE) | draw(st.integers(0, 15))) << 20
    identifier = draw(st.integers(0, 10)) << 8
    common = {"requester": identifier, "length": 1}
    memory = {"kind": Kind.MEMORY, "address": address, "four_dwords": address >= 1 << 32}
    return draw(
        st.sampled_from(
            [
                Tlp(**memory, **common, first_be=15),
                Tlp(**memory, **common, first_be=15, data=bytes(4)),
                Tlp(Kind.COMPLETION, **common, data=bytes(4), byte_count=4),
                Tlp(Kind.CONFIGURATION_1, length=1, first_be=15, target=identifier),
            ]
        )
    )


OTHERS = [OtherBridge() for _ in range(PORTS)]  # they take milliseconds to make


def configured(other: OtherBridge, bridge: Bridge) -> OtherBridge:
    other.sec_bus_num, other.sub_bus_num = bridge.secondary, bridge.subordinate
    other.mem_base = bridge.memory_base << 20
    other.mem_limit = bridge.memory_limit << 20 | 0xFFFFF
    other.prefetchable_mem_base = bridge.prefetchable_base << 20
    other.prefetchable_mem_limit = bridge.prefetchable_limit << 20 | 0xFFFFF
    return other


def their_egress(ingress: int, tlp: OtherTlp, others: list[OtherBridge]) -> int | None:
    """Compose bridges on an internal bus: each takes what is for its other side."""
    upper, *lower = others
    if ingress == 0:
        if not upper.match_tlp_secondary(tlp):
            return None
    elif others[ingress].match_tlp_secondary(tlp):
        return None
    for port, bridge in enumerate(lower, start=1):
        if port != ingress and bridge.match_tlp_secondary(tlp):
            return port
    return None if ingress == 0 or upper.match_tlp_secondary(tlp) else 0


@settings(max_examples=500, deadline=None)
@given(st.integers(0, PORTS - 1), routed_tlps(), bridges())
def test_bridges_of_cocotbext_pcie(ingress, tlp, ports):
    is_configuration = tlp.kind == Kind.CONFIGURATION_1
    if is_configuration and (ingress or tlp.target >> 8 == ports[0].secondary):
        return  # from below they raise; functions of the switch are not theirs
    identifier = tlp.target if is_configuration else tlp.requester
    if tlp.kind != Kind.MEMORY and identifier == 0:
        return  # they take 0 for nobody's
    others = [configured(*pair) for pair in zip(OTHERS, ports, strict=True)]
    that = OtherTlp.unpack(encode_tlp(tlp))
    if sum(other.match_tlp_secondary(that) for other in others[1:]) > 1:
        return  # which of several claims counts is for each switch to say
    if tlp.is_completion and not ingress and not others[0].match_tlp_secondary(that):
        return  # we trust the host that it is for a bus below
    theirs = their_egress(ingress, that, others)
    decision = RouterModel(PORTS).route(ingress, tlp, ports)
    event(f"{Kind(tlp.kind).name} {'down' if not ingress else 'from below'} {theirs}")
    assert decision.egress == theirs
    if is_configuration and theirs is not None:
        assert decision.to_type_0 == (tlp.target >> 8 == others[theirs].sec_bus_num)
