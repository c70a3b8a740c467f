"""cocotb testbench of hdl.bits.Crc: the tests of ``beats_tb``, and the published vector."""

import os

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


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def published_check_value(dut):
    """CRC of the catalogue's check string: the published one."""
    source, sink = await attach(dut)
    await compare(dut, source, sink, [b"123456789"])
    assert sink.received[0][1] == int(os.environ["CHECK"], 16)
