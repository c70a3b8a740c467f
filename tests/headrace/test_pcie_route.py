"""``headrace pcie-route``: where a TLP goes, in words, and what is wrong with a file."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli import app
from headrace.pcie_route import read_tree
from sim.pcie import Acs

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "two_gpus.toml"
NIC, GPU0, GPU1 = "0x14_0000_0000", "0x10_0000_0000", "0x18_0000_0000"


def run(*words: str):
    return CliRunner().invoke(app, ["pcie-route", *words])


@pytest.mark.parametrize(
    "words, egress, rule",
    [
        (f"gpu0 write {NIC}", "host", "ACS_REQUEST_REDIRECT"),
        (f"gpu0 write {NIC} --requester 04:00.0", None, "ACS_SOURCE_VALIDATION"),
        (f"nic read {GPU0}", "gpu0", "PEER_DIRECT"),
        (f"nic atomic {GPU1} --length 8", "gpu1", "PEER_DIRECT"),
        (f"gpu1 read {GPU0}", None, "ACS_EGRESS_CONTROL"),
        (f"3 read {NIC}", "nic", "PEER_DIRECT"),
        (f"gpu0 read {GPU0}", "host", "ACS_UPSTREAM_FORWARD"),
        ("gpu1 write 0x1000", "host", "UPSTREAM"),
        ("gpu1 write 0x8ff0_0000", None, "UNCLAIMED"),
        (f"host write {NIC}", "nic", "ADDRESS"),
        ("host read 0x80000000", "nic", "ADDRESS"),
        ("host io 0x80", None, "NOT_SUPPORTED"),
        ("gpu0 completion 03:00.0", "host", "ACS_COMPLETION_REDIRECT"),
        ("gpu0 completion 03:00.0 --relaxed", "nic", "BUS_NUMBER"),
        ("host configuration-0 00:00.0", None, "CONFIGURATION"),
        ("host configuration-1 01:02.0", None, "CONFIGURATION"),
        ("host configuration-1 03:00.0", "nic", "BUS_NUMBER"),
        ("host configuration-1 03:01.0", None, "NO_DEVICE"),
        ("nic message-to-root", "host", "MESSAGE_TO_ROOT"),
        ("nic message-by-id 04:00.0", "gpu1", "BUS_NUMBER"),
        ("host message-broadcast", None, "MESSAGE_BROADCAST"),
    ],
)
def test_routes(words, egress, rule):
    done = run(str(EXAMPLE), *words.split(), "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["egress"], answer["rule"]) == (egress, rule)
    assert answer["sentence"].endswith(".")


def test_words():
    done = run(str(EXAMPLE), "gpu0", "write", NIC)
    assert done.stdout.splitlines() == [
        "From gpu0, it leaves by host: ACS_REQUEST_REDIRECT.",
        "For a peer, but ACS P2P Request Redirect of the ingress port sends it up to the host.",
        "For GPUDirect without the host, clear ReqRedir in the ingress port's ACSCtl (setpci), "
        "or enable Direct Translated and ATS.",
    ]
    cases = {
        "host configuration-1 03:00.0": "leaves by nic, as Type 0",
        "host configuration-1 03:01.0": "is answered with Unsupported Request",
        f"gpu1 read {GPU0}": "is answered with Completer Abort",
        f"gpu1 write {GPU0}": "is dropped",
        "nic message-local": "is served by the switch",
    }
    for words, outcome in cases.items():
        assert f", it {outcome}: " in run(str(EXAMPLE), *words.split()).stdout


def test_expectations():
    direct = (str(EXAMPLE), "gpu0", "write", NIC, "--expect", "nic")
    assert run(*direct).exit_code == 1
    assert run(str(EXAMPLE), "nic", "write", GPU0, "--expect", "gpu0").exit_code == 0
    assert run(*direct[:-1], "niks").exit_code == 2


def test_the_file_is_read_as_written():
    tree = read_tree(EXAMPLE)
    host, gpu0, nic, gpu1 = tree.bridges
    assert (host.bus, host.device, host.subordinate) == (0, 0, 4)
    assert [bridge.identifier for bridge in (gpu0, nic, gpu1)] == [0x100, 0x108, 0x110]
    assert (nic.memory_base, nic.memory_limit) == (0x800, 0x800)
    assert (gpu1.prefetchable_base, gpu1.prefetchable_limit) == (0x18_000, 0x1B_FFF)
    assert not gpu0.claims_address(0)
    assert gpu1.acs == Acs(egress_control=True, egress_vector=1 << 1)


@pytest.mark.parametrize(
    "words, message",
    [
        ("gpu2 read 0", "no port 'gpu2' (did you mean gpu1 or gpu0?)"),
        ("gpu0 read", "read needs an address"),
        ("gpu0 completion", "completion needs an ID"),
        ("gpu0 message-to-root 0x10", "message-to-root goes by no address or ID"),
        ("gpu0 read 12:00.0", "an address is a number"),
        ("gpu0 read 0x1_0000_0000_0000_0000", "addresses have 64 bits"),
        ("gpu0 completion 0x1000", "an ID is bus:device.function"),
        ("gpu0 read 0 --requester 1", "an ID is bus:device.function"),
        ("gpu0 read 0 --length 4097", "--length must be 1 to 4096 bytes, not 4097"),
        ("gpu0 read 0 --at 3", "--at must be 0, 1 or 2, not 3"),
        ("gpu0 reed 0", "'reed' is not one of"),
    ],
)
def test_wrong_words(words, message):
    done = run(str(EXAMPLE), *words.split())
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("ports = 1", "[[ports]] and nothing else"),
        ("x = 1\n[[ports]]\n[[ports]]", "[[ports]] and nothing else"),
        ("[[ports]]", "2 to 8 [[ports]], not 1"),
        ("[[ports", "Expected"),
        ("[[ports]]\nsecondry = 1\n[[ports]]", "'secondry' (did you mean secondary"),
        ("[[ports]]\nsecondary = true\n[[ports]]", "secondary must be of type int, not True"),
        ("[[ports]]\nsecondary = 256\n[[ports]]", "secondary must be 0 to 255, not 256"),
        ("[[ports]]\nname = 'a'\n[[ports]]\nname = 'a'", "two ports have the same name"),
        ("[[ports]]\nmemory = [0, 1]\n[[ports]]", "memory must be whole megabytes"),
        ("[[ports]]\nmemory = [0]\n[[ports]]", "the first and the last address, not [0]"),
        (
            "[[ports]]\nmemory = [0x1_0000_0000, 0x1_000f_ffff]\n[[ports]]",
            "whole megabytes below 2^32",
        ),
        ("[[ports]]\n[[ports]]\nacs = ['redirect']", "port 1: no ACS control 'redirect'"),
        ("[[ports]]\n[[ports]]\nblocked = ['x']", "port 1: no port 'x'"),
        ("[[ports]]\nacs = ['source_validation']\n[[ports]]", "upstream port has no ACS"),
        ("[[ports]]\nmax_payload = 300\n[[ports]]", "max_payload must be a power of two"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    file = tmp_path / "tree.toml"
    file.write_text(text)
    done = run(str(file), "0", "read", "0")
    assert done.exit_code == 2
    assert message in done.stderr and str(file) in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_file(tmp_path):
    done = run(str(tmp_path / "none.toml"), "0", "read", "0")
    assert done.exit_code == 2
    assert "No such file" in done.stderr
