# amaranth: UnusedElaboratable=no
"""PcieWrite: parameter checks, model, and its cocotb testbench at each size."""

import random

import pytest
from cocotbext.pcie.core.tlp import Tlp as OtherTlp
from cocotbext.pcie.core.tlp import TlpAttr, TlpType
from cocotbext.pcie.core.utils import PcieId

from hdl.dma import PcieWrite
from sim.dma import Write, write_outcome, written_bytes
from sim.pcie.codec import encode_tlp
from tb.simulate import simulate


@pytest.mark.parametrize(
    ("client_count", "segment_count"),
    [
        (4, 1),
        (4, 4),
        (1, 1),
        pytest.param(3, 2, marks=pytest.mark.long),
    ],
)
def test_pcie_write(client_count, segment_count, run_dir):
    simulate(
        PcieWrite(client_count=client_count, segment_count=segment_count),
        name="pcie_write",
        testbench="tb.dma.pcie_write_tb",
        run_dir=run_dir,
        env={"CLIENT_COUNT": client_count, "SEGMENT_COUNT": segment_count},
    )


def test_refuses():
    with pytest.raises(ValueError, match="client_count must be 1 or more, not 0"):
        PcieWrite(client_count=0, segment_count=4)
    with pytest.raises(ValueError, match="1, 2 or 4, not 3"):
        PcieWrite(client_count=4, segment_count=3)


def test_model_by_hand():
    """A write over MPS and a page, cut by hand."""
    data = bytes(range(200))
    outcome = write_outcome(
        Write(0x1F7D, 200, data), row_bytes=128, max_payload_bytes=128, requester=1
    )
    assert [(t.address, t.length, t.first_be, t.last_be) for t in outcome.tlps] == [
        (0x1F7C, 32, 0b1110, 0b1111),
        (0x1FFC, 1, 0b1111, 0),
        (0x2000, 18, 0b1111, 0b0001),
    ]
    assert outcome.tlps[1].data == data[127:131]


@pytest.mark.parametrize("max_payload_bytes", [128, 512, 4096])
def test_model_is_what_others_make(max_payload_bytes):
    """Headers, enables and payload as cocotbext-pcie makes them; the bytes are the request's."""
    random.seed(max_payload_bytes)
    for _ in range(300):
        length = random.choice([1, 2, 3, 4, 5, random.randint(1, 9000)])
        base = random.choice([0, 0xFFFF_0000, 0x1_0000_0000, random.getrandbits(63)])
        write = Write(base + random.randrange(4096), length, random.randbytes(length))
        tlps = write_outcome(
            write, row_bytes=32, max_payload_bytes=max_payload_bytes, requester=0x1234
        ).tlps
        memory = {}
        address = write.address
        for tlp in tlps:
            changed = written_bytes(tlp)
            other = OtherTlp()
            is_wide = tlp.address >> 32
            other.fmt_type = TlpType.MEM_WRITE_64 if is_wide else TlpType.MEM_WRITE
            other.requester_id = PcieId.from_int(0x1234)
            other.attr = TlpAttr(0)
            other.set_addr_be_data(address, bytes(changed.values()))
            assert bytes(other.pack()) == encode_tlp(tlp)
            assert 4 * tlp.length <= max_payload_bytes
            assert tlp.address // 4096 == (tlp.address + 4 * tlp.length - 1) // 4096
            address += len(changed)
            memory |= changed
        assert bytes(memory.values()) == write.data
        assert list(memory) == [write.address + n for n in range(length)]
