"""cocotb testbench of hdl.bits.InternetChecksum: the tests of ``beats_tb``, and named sums."""

import cocotb

from .beats_tb import (
    attach,
    broken_keep_harms_one_packet,
    compare,
    every_bit_counts,
    every_length_to_four_beats,
    jumbo_packet,
    mixed_packets,
    reset_in_mid_packet,
    single_beats_in_every_cycle,
)

__all__ = [
    "broken_keep_harms_one_packet",
    "every_bit_counts",
    "every_length_to_four_beats",
    "jumbo_packet",
    "mixed_packets",
    "reset_in_mid_packet",
    "single_beats_in_every_cycle",
]


async def expect(dut, cases: dict[bytes, int]) -> None:
    """Send each key; its checksum is the value, here and in the model."""
    source, sink = await attach(dut)
    await compare(dut, source, sink, list(cases))
    assert [value for _, value in sink.received] == list(cases.values())


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rfc_1071_example(dut):
    """Numbers of RFC 1071, section 3: the sum is ddf2."""
    await expect(dut, {bytes.fromhex("0001f203f4f5f6f7"): 0xFFFF - 0xDDF2})


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sum_of_2fffd_is_valid(dut):
    """Words that sum to 0x2fffd, as in a header that others rejected, are valid."""
    header = bytes.fromhex("4500 0030 4422 4000 8006 0000 8c7c 19ac ae24 1e2b")
    total = sum(int.from_bytes(header[n : n + 2], "big") for n in range(0, 20, 2))
    valid = header[:10] + (0x2FFFD - total).to_bytes(2, "big") + header[12:]
    await expect(dut, {valid: 0, b"\xff\xff\xff\xff\xff\xff": 0})


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def carry_that_carries_again(dut):
    """Words of ffff and a one, in either order of bytes: the first fold of a beat carries."""
    await expect(
        dut,
        {
            b"\xff\xff" * count + one: result
            for count in range(1, 130)
            for one, result in [(b"\x00\x01", 0xFFFE), (b"\x01\x00", 0xFEFF)]
        },
    )


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def both_zeros(dut):
    """All zeros give 0xffff; any other sum of zero gives 0x0000."""
    await expect(dut, {bytes(7): 0xFFFF, b"\xff\xff": 0, b"\xff\xfe\x00\x01": 0, bytes(1): 0xFFFF})
