"""The golden model of the responder does what Soft-RoCE did, in every recording."""

import json
from collections import Counter
from pathlib import Path

import pytest

from headrace.capture import read_frames
from sim.roce import Completion, CompletionStatus, KeyTable, Memory, QueuePairState, Responder
from tb.roce.captured import Side, pattern, sides
from tb.roce.compare import compare_answers

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
NAMES = sorted(path.stem for path in CAPTURES.glob("*.json"))
#: Recordings in which Soft-RoCE used a freedom, and how often; credits it never gives.
FREEDOMS = {
    "f_drop_read_resp_last": {"repeated READ begins in the middle": 1},
    "f_drop_write_ack": {"acknowledgement less than theirs": 4},
    "f_drop_write_last": {"acknowledgement less than theirs": 4},
    "rc_pingpong_m256_s1000": {
        "acknowledgement less than theirs": 6,
        "acknowledgement more than theirs": 3,
    },
    "v_rc_nak_recv_too_small": {"NAK of a SEND that is longer than its buffer": 1},
    "v_rc_rnr_nak": {"no sequence NAK behind an RNR NAK": 3},
}
BY_HAND = [n for n in NAMES if n.startswith(("v_", "f_")) and n != "f_timeout_exceeded"]


def load(name: str) -> list[Side]:
    """Hosts of a recording; where there are faults on the way, as the responder saw it."""
    about = json.loads((CAPTURES / f"{name}.json").read_text())
    path = CAPTURES / f"{name}.pcap"
    return sides(name, about, read_frames(path if path.exists() else CAPTURES / f"{name}.b.pcap"))


def replay(side: Side) -> tuple[Responder, dict[int, list]]:
    """Put all that came to a host into the model."""
    responder = Responder(Memory(), KeyTable())
    side.set_up(responder)
    posted = sorted(side.receive_requests(), key=lambda item: item[0])
    answers = {number: [] for number in side.contexts}
    for number, frame, packet in side.requests():
        while posted and posted[0][0] <= number:
            request = posted.pop(0)[1]
            for context in side.contexts.values():
                context.receives.requests.append(request)
        if packet is None:
            assert responder.receive(frame) == []
            continue
        side.remember(responder, packet)
        answers[packet.bth["dest_qp"]] += responder.receive(frame)
    return responder, answers


@pytest.mark.parametrize("name", NAMES)
def test_answers(name):
    found = load(name)
    if name == "f_timeout_exceeded":
        assert not found, "nothing arrived"
        return
    freedoms = Counter()
    for side in found:
        _, answers = replay(side)
        for number, ours in answers.items():
            difference, used = compare_answers(ours, side.answers(number))
            assert difference is None, (side.address, number, difference)
            freedoms += used
    freedoms.pop("credits", None)
    assert freedoms == FREEDOMS.get(name, {})


def recorded(line: str) -> dict:
    """Read what the recording program printed of a receive completion."""
    words = line.split()
    values = {words[n]: words[n + 1] for n in range(1, len(words) - 1)}
    return {
        "identifier": int(values["wr_id"], 0),
        "is_write": values["op"] == "129",
        "byte_length": int(values["len"]),
        "immediate": int(values["imm"], 0) if int(values["flags"], 0) & 2 else None,
        "has_route_header": bool(int(values["flags"], 0) & 1),
        "queue_pair": int(values["qpn"], 0),
    }


@pytest.mark.parametrize("name", [n for n in BY_HAND if "ops" in n or n == "v_rc_rnr_nak"])
def test_receive_completions(name):
    (side,) = load(name)
    responder, _ = replay(side)
    ops = side.about["ops"]
    lines = [line for op in ops for line in op.get("recv_wc", op.get("b", ()))]
    assert lines
    wanted = [recorded(line) for line in lines]
    assert [c.status for c in responder.completions] == [CompletionStatus.SUCCESS] * len(lines)
    for completion, fields in zip(responder.completions, wanted, strict=True):
        assert {name: getattr(completion, name) for name in fields} == fields


def test_datagrams_come_behind_their_ip_header():
    (side,) = load("v_ud_ops")
    responder, _ = replay(side)
    frame, packet = [(f, p) for _, f, p in side.requests() if p is not None][-1]
    assert packet.name == "UD_SEND_ONLY_WITH_IMMEDIATE"
    # Ethernet 14, IPv4 20, UDP 8, BTH 12, DETH 8, ImmDt 4; ICRC 4.
    wanted = frame[14:34] + frame[66:-4]
    assert responder.memory.read(0, side.mine["addr"] + 20, 20 + 4000) == wanted


@pytest.mark.parametrize("name", [n for n in BY_HAND if n != "v_ud_ops"])
def test_memory(name):
    """What all the work requests leave behind, worked out from what they were, byte for byte."""
    (side,) = load(name)
    responder, _ = replay(side)
    base, seed = side.mine["addr"], 3 if name.startswith("f_") else 0x11
    wanted = bytearray(1 << 16)
    if "ops" in name:
        wanted[32768:] = pattern(32768, 0x55)
    elif "read" in name:
        wanted[:5000] = pattern(5000, 9)
    elif name == "v_rc_atomics":
        wanted[:8] = (0x1122334455667788).to_bytes(8, "little")
    for op in side.about["ops"]:
        if not isinstance(op, dict) or "op" not in op or "nak" in name or "exceeded" in name:
            continue
        data = pattern(32768, seed)[op["off"] : op["off"] + op["len"]]
        if op["op"].startswith("write"):
            place = int(op["args"][0], 0) - base
            wanted[place : place + len(data)] = data
        elif op["op"].startswith("send") and "rnr" not in name:
            wanted[: len(data)] = data
        elif "now" in op:
            wanted[:8] = int(op["now"].split()[1], 0).to_bytes(8, "little")
    if name == "f_bad_icrc_write_only":
        assert wanted[:64] == pattern(64, 3)
    assert responder.memory.read(0, base, 1 << 16) == bytes(wanted)


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("v_rc_nak")])
def test_a_refused_queue_pair_is_in_error(name):
    (side,) = load(name)
    responder, _ = replay(side)
    (context,) = side.contexts.values()
    assert context.state is QueuePairState.ERROR
    kind = "access" if "bad_rkey" in name or "past_end" in name else "request"
    assert responder.events == [(kind, context.number)]


def test_a_message_that_does_not_fit_fails_its_receive_request():
    (side,) = load("v_rc_nak_recv_too_small")
    responder, _ = replay(side)
    number = next(iter(side.contexts))
    assert responder.completions == [Completion(number, 1, CompletionStatus.LOCAL_LENGTH)]
