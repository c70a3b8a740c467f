"""``headrace pcie-trace``: records of the golden model in words and as JSON; wrong input."""

import json
import random

import pytest
from typer.testing import CliRunner

from hdl.pcie import rules
from headrace.cli import app
from sim.pcie import Acs, Action, Bridge, Decision, Kind, RouterModel, Rule, Tlp, trace_record
from tb.pcie.route_cases import random_bridges, random_tlp

#: GPUs' usual complaint: the host's firmware has set Request Redirect.
_BRIDGES = [
    Bridge(0, 0, 1, 9, prefetchable_base=0x1000, prefetchable_limit=0x1FFF)
    if port == 0
    else Bridge(
        1,
        port - 1,
        1 + port,
        1 + port,
        prefetchable_base=0x1000 + 0x100 * port,
        prefetchable_limit=0x10FF + 0x100 * port,
        memory_enable=True,
        bus_master_enable=True,
        max_payload=1,
        link_up=True,
        acs=Acs(source_validation=True, request_redirect=port == 1),
    )
    for port in range(3)
]
_WRITE = Tlp(
    Kind.MEMORY,
    data=b"",
    length=64,
    four_dwords=True,
    address=0x1_2000_4000,
    requester=0x0200,
    tag=18,
    first_be=15,
    last_be=15,
)


def run(*words: str, given: bytes | None = None):
    return CliRunner().invoke(app, ["pcie-trace", *words], input=given)


def record(tlp: Tlp, ingress: int, bridges=_BRIDGES, *, lost: int = 0, time: int = 0) -> bytes:
    decision = RouterModel(len(bridges)).route(ingress, tlp, bridges)
    return trace_record(ingress, tlp, decision, lost=lost, time=time)


def test_peer_traffic_that_acs_sends_up_explains_itself(tmp_path):
    bridges = [*_BRIDGES]
    bridges[0] = Bridge(
        secondary=1, subordinate=9, bus_master_enable=True, max_payload=5, link_up=True
    )
    file = tmp_path / "trace.bin"
    file.write_bytes(
        record(_WRITE, 1, bridges, time=7)
        + record(_WRITE.with_changes(requester=0x0300, address=0x1_1000_0000), 2, bridges, lost=3)
    )
    done = run(str(file))
    assert done.exit_code == 0
    words = rules.RULES[rules.Rule.ACS_REQUEST_REDIRECT]
    first, missing, second, *rest = done.stdout.splitlines()
    assert first == (
        "         7  port 1 > port 0:  memory write of 256 bytes at 0x120004000 from 02:00.0"
        f" tag 18. {words.sentence} [{words.hint}]"
    )
    assert "clear ReqRedir" in first
    assert missing == "       ...  port 2: 3 not recorded"
    assert second.startswith("         0  port 2 > port 1:  memory write of 256 bytes")
    assert rest[-1] == "      2 TLPs, 3 more not recorded"
    done = run(str(file), "--rule", "acs_request_redirect")
    assert done.stdout.splitlines()[0] == first
    assert "port 2 > port 1" not in done.stdout


@pytest.mark.parametrize(
    ("tlp", "ingress", "text"),
    [
        (Tlp(Kind.CONFIGURATION_0, length=1, target=0, register=4), 0,
         "port 0 > function of port 0:  Type 0 configuration read of register 0x10 of 00:00.0"),
        (Tlp(Kind.CONFIGURATION_1, length=1, data=b"", target=0x0300), 0,
         "port 0 > port 2:  Type 1 configuration write of register 0x0 of 03:00.0"),
        (Tlp(Kind.CONFIGURATION_0, length=1), 2, "port 2 > UR:  Type 0 configuration read"),
        (Tlp(Kind.MESSAGE_LOCAL, code=0x21, requester=0x0200), 1,
         "port 1 > switch:  message Assert_INTB from 02:00.0"),
        (Tlp(Kind.MEMORY, length=1024, requester=0x0500), 1,
         "port 1 > CA:  memory read of 4096 bytes at 0x0 from 05:00.0"),
        (Tlp(Kind.MEMORY, length=65, data=b""), 1, "port 1 > dropped:  memory write of 260 bytes"),
        (Tlp(Kind.COMPLETION, requester=0x0300, completer=0x0001, status=1, byte_count=4), 0,
         "port 0 > port 2:  completion UR from 00:00.1 to 03:00.0 tag 0"),
        (Tlp(9), 0, "port 0 > UR:  TLP of type 0x09"),
    ],
)  # fmt: skip
def test_line_of(tlp, ingress, text):
    done = run("-", given=record(tlp, ingress))
    assert done.exit_code == 0
    assert text in done.stdout.splitlines()[0]


def test_json_has_every_field_that_went_in():
    random.seed(1)
    sent = []
    for number in range(600):
        ingress = number % 4
        bridges = random_bridges(4)
        tlp = random_tlp(ingress, bridges)
        decision = RouterModel(4).route(ingress, tlp, bridges)
        sent.append((ingress, tlp, decision, number % 3))
    data = b"".join(
        trace_record(ingress, tlp, decision, lost=lost, time=number)
        for number, (ingress, tlp, decision, lost) in enumerate(sent)
    )
    done = run("-", "--json", given=data)
    assert done.exit_code == 0
    objects = [json.loads(text) for text in done.stdout.splitlines()]
    assert len(objects) == len(sent)
    for number, (about, (ingress, tlp, decision, lost)) in enumerate(
        zip(objects, sent, strict=True)
    ):
        assert (about["time"], about["lost_before"], about["ingress"]) == (number, lost, ingress)
        assert about["egress"] == decision.egress
        assert about["action"] == decision.action.name
        assert about["rule"] == decision.rule.name
        assert about["answered"] == (decision.local and decision.action != Action.LOCAL)
        assert (about["type"], about["to_type_0"]) == (tlp.kind, decision.to_type_0)
        assert (about["tag"], about["tc"], about["at"]) == (tlp.tag, tlp.tc, tlp.at)
        requester = tlp.requester
        text = f"{requester >> 8:02x}:{requester >> 3 & 31:02x}.{requester & 7}"
        assert about["requester"] == text
        assert about["poisoned"] == tlp.poisoned
        if tlp.data is not None:
            assert about["bytes"] == 4 * tlp.length
        if tlp.kind in (Kind.MEMORY, Kind.SWAP):
            assert about["address"] == tlp.address & ((1 << 64 if tlp.four_dwords else 1 << 32) - 1)
    assert {about["rule"] for about in objects} > {"ADDRESS", "PEER_DIRECT", "UPSTREAM"}


def test_an_empty_trace_is_one():
    done = run("-", given=b"")
    assert done.exit_code == 0
    assert "0 TLPs" in done.stdout


_GOOD = record(_WRITE, 1)


def _forward(**fields) -> bytes:
    return trace_record(1, _WRITE, Decision(Action.FORWARD, Rule.ADDRESS, **fields), lost=0, time=0)


@pytest.mark.parametrize(
    ("words", "given", "message"),
    [
        (["-"], _GOOD[:-1], "truncated: it ends within record 1"),
        (["-"], _GOOD + b"\xff" * 32, "record 2 is none of a trace: reserved bits are set"),
        (["-"], _forward(), "egress and action do not agree"),
        (["-"], bytes([0, 0, 0xF2, 0]) + bytes(28), "there is no rule 60"),
        (["nowhere.bin"], b"", "nowhere.bin: No such file"),
        (["-", "--rule", "ACS_REQUEST_REDIRET"], b"", "did you mean ACS_REQUEST_REDIRECT"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(words, given, message):
    done = run(*words, given=given)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
