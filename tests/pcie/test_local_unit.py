# amaranth: UnusedElaboratable=no
"""LocalUnit: parameter checks, models, and its cocotb testbenches at two sizes."""

import pytest

from hdl.pcie import InterruptWires, LocalUnit, PowerOff
from sim.pcie import Kind, MessageModel, Tlp
from sim.pcie.completer import byte_count, lower_address
from tb.simulate import build, run

ROWS = 64
ANSWER_ROWS = 16


@pytest.mark.parametrize(
    ("port_count", "segment_count"), [(3, 4), pytest.param(8, 1, marks=pytest.mark.long)]
)
def test_local_unit(port_count, segment_count, run_dir):
    simulator = build(
        LocalUnit(
            port_count=port_count,
            segment_count=segment_count,
            nonposted_rows=ROWS,
            posted_rows=ROWS,
            answer_rows=ANSWER_ROWS,
        ),
        name="local_unit",
    )
    for testbench in ("local_unit_tb", "local_messages_tb"):
        run(
            simulator,
            name="local_unit",
            testbench=f"tb.pcie.{testbench}",
            run_dir=run_dir / testbench,
            env={
                "PORT_COUNT": port_count,
                "SEGMENT_COUNT": segment_count,
                "ANSWER_ROWS": ANSWER_ROWS,
                "ROWS": ROWS,
            },
        )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"port_count": 1}, "port_count must be 2 to 8, not 1"),
        ({"port_count": 9}, "port_count must be 2 to 8, not 9"),
        ({"segment_count": 3}, "segments must be 1, 2 or 4, not 3"),
        ({"nonposted_rows": 1}, "depth must be 2 or more, not 1"),
        ({"posted_rows": 0}, "depth must be 2 or more, not 0"),
        ({"answer_rows": 0}, "answer rows must be 1 or more, not 0"),
    ],
)
def test_refuses(change, rule):
    sizes = {"port_count": 3, "segment_count": 1, "nonposted_rows": 8, "posted_rows": 8}
    with pytest.raises(ValueError, match=rule):
        LocalUnit(**{**sizes, "answer_rows": 4, **change})


@pytest.mark.parametrize("block", [PowerOff, InterruptWires])
def test_parts_refuse(block):
    with pytest.raises(ValueError, match="port_count must be 2 or more, not 1"):
        block(port_count=1)


@pytest.mark.parametrize(
    ("first_be", "count", "offset"),
    [
        # One DW: the specification's table of byte counts and of lower addresses.
        (0b1001, 4, 0),
        (0b1111, 4, 0),
        (0b0101, 3, 0),
        (0b0111, 3, 0),
        (0b1010, 3, 1),
        (0b1110, 3, 1),
        (0b0011, 2, 0),
        (0b0110, 2, 1),
        (0b1100, 2, 2),
        (0b0001, 1, 0),
        (0b0010, 1, 1),
        (0b0100, 1, 2),
        (0b1000, 1, 3),
        (0b0000, 1, 0),
    ],
)
def test_model_of_one_dword(first_be, count, offset):
    request = Tlp(kind=Kind.MEMORY, length=1, address=0x1234, first_be=first_be)
    assert (byte_count(request), lower_address(request)) == (count, 0x34 + offset)


@pytest.mark.parametrize(
    ("kind", "length", "count"),
    [
        (Kind.FETCH_ADD, 1, 4),
        (Kind.SWAP, 2, 8),
        (Kind.COMPARE_AND_SWAP, 2, 4),
        (Kind.COMPARE_AND_SWAP, 8, 16),
        (Kind.IO, 1, 4),
        (Kind.CONFIGURATION_1, 1, 4),
    ],
)
def test_model_of_other_requests(kind, length, count):
    request = Tlp(kind=kind, length=length, address=0x77, first_be=0xC)
    assert (byte_count(request), lower_address(request)) == (count, 0)


def test_model_of_wires():
    """Two ports whose pins meet on one wire: told once, and taken back when both are gone."""
    model = MessageModel([0x100, 0x200, 0x208])

    def told(port, code):
        message = Tlp(kind=Kind.MESSAGE_LOCAL, four_dwords=True, code=code)
        return [(to, tlp.code, tlp.requester) for to, tlp in model.receive(port, message)]

    assert told(1, 0x21) == [(0, 0x21, 0x100)]  # device 0, INTB
    assert told(2, 0x20) == []  # device 1, INTA: the same
    assert told(1, 0x25) == []
    assert told(2, 0x23) == [(0, 0x20, 0x100)]  # device 1, INTD is INTA above
    assert [tlp.code for _, tlp in model.set_link(2, False)] == [0x24, 0x25]
