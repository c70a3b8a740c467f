# amaranth: UnusedElaboratable=no
"""Endpoint: parameter checks, model, and its cocotb testbench at several sizes."""

import pytest

from hdl.dma import Endpoint
from sim.dma import EndpointError, EndpointModel
from sim.pcie.tlp import Kind, Tlp, TlpClass
from tb.simulate import simulate

#: Rows that they need are as many as the queues have, or one less.
TIGHT = ((40, 80), (32, 32), (64, 128))
DEFAULT = ((32, 256), (32, 32), (64, 512))


@pytest.mark.parametrize(
    ("segment_count", "max_payload_bytes", "credits"),
    [
        (1, 128, TIGHT),
        (4, 512, TIGHT),
        pytest.param(2, 4096, DEFAULT, marks=pytest.mark.long),
        pytest.param(4, 4096, DEFAULT, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("testbench", ["endpoint", "endpoint_faults"])
def test_endpoint(segment_count, max_payload_bytes, credits, testbench, run_dir):
    simulate(
        Endpoint(
            segment_count=segment_count,
            max_payload_bytes=max_payload_bytes,
            credits=credits,
            quantum_rows=8,
        ),
        name="endpoint",
        testbench=f"tb.dma.{testbench}_tb",
        run_dir=run_dir,
        env={"SEGMENT_COUNT": segment_count, "MAX_PAYLOAD_BYTES": max_payload_bytes},
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"segment_count": 3}, "1, 2 or 4, not 3"),
        ({"max_payload_bytes": 100}, "power of two, 128 to 4096, not 100"),
        ({"credits": ((1, 7), (1, 1), (1, 8))}, "credits must cover 128 bytes, not 7"),
        ({"credits": ((1, 8), (1, 1), (0, 8))}, "header credits must be 1 to 2047, not 0"),
        ({"read_rows": 1}, "read_rows must be 2 or more, not 1"),
        ({"quantum_rows": 0}, "quantum_rows must be 1 or more, not 0"),
    ],
)
def test_refuses(change, rule):
    with pytest.raises(ValueError, match=rule):
        Endpoint(**{"segment_count": 1, "max_payload_bytes": 128, **change})


def _tlp(kind: Kind, tag: int, *, data: bytes | None = None) -> Tlp:
    return Tlp(kind, tag=tag, data=data, length=1)


def test_model_by_hand():
    """A class keeps its order; nothing passes posted TLPs, which pass everything."""
    model = EndpointModel()
    read_1, read_2 = _tlp(Kind.MEMORY, 1), _tlp(Kind.MEMORY, 2)
    write_3 = _tlp(Kind.MEMORY, 3, data=bytes(4))
    write_4 = _tlp(Kind.MEMORY, 4, data=bytes(4))
    answer = _tlp(Kind.COMPLETION, 5)
    for tlp in (read_1, write_3, read_2, answer, write_4):
        model.take(tlp)
    model.take(write_4.with_changes(nullified=True))
    with pytest.raises(EndpointError, match="to send was"):
        model.send(read_2)
    model.send(read_1)
    for tlp in (read_2, answer):
        with pytest.raises(EndpointError, match="passed"):
            model.send(tlp)
    model.send(write_3)
    model.send(write_4)
    model.send(answer)
    assert model.left_to_send(TlpClass.NON_POSTED) == 1
    model.cut()
    assert model.is_drained

    model.receive(write_3)
    model.receive(answer)
    model.receive(read_1)
    with pytest.raises(EndpointError, match="first was"):
        model.hand_on(read_1, completion=False)
    model.hand_on(answer, completion=True)
    model.lose()
    assert model.is_drained
    model.hand_on(read_1, completion=False)
    with pytest.raises(EndpointError, match="first was nothing"):
        model.hand_on(write_3, completion=False)
