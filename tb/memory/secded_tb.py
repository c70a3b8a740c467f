"""cocotb testbench of an encoder and a decoder of hdl.memory, with errors put in between."""

import os
import random

import cocotb
from cocotb.triggers import RisingEdge

from sim.memory import Decoded, SecdedModel
from tb.stream import start

DATA_BITS = int(os.environ["DATA_BITS"])
ENCODER_LATENCY = int(os.environ["ENCODER_LATENCY"])
DECODER_LATENCY = int(os.environ["DECODER_LATENCY"])
MODEL = SecdedModel(DATA_BITS)
BITS = DATA_BITS + MODEL.check_bits


async def send(dut, sent: list[tuple[int, int]]) -> None:
    """Send pairs of a word and its wrong bits, one a cycle, and compare with the model."""
    await start(dut)
    edge = RisingEdge(dut.clk)
    codewords = [MODEL.encode(data) for data, _ in sent]
    decoded = [
        MODEL.decode(codeword ^ errors)
        for codeword, (_, errors) in zip(codewords, sent, strict=True)
    ]
    latency = ENCODER_LATENCY + DECODER_LATENCY
    for cycle in range(len(sent) + latency):
        if cycle < len(sent):
            dut.data.value = sent[cycle][0]
        if 0 <= cycle - ENCODER_LATENCY < len(sent):
            dut.errors.value = sent[cycle - ENCODER_LATENCY][1]
        await edge
        if 0 <= (number := cycle - ENCODER_LATENCY) < len(sent):
            assert int(dut.codeword.value) == codewords[number]
        if (number := cycle - latency) >= 0:
            assert decoded[number] == Decoded(
                int(dut.decoded.value),
                bool(dut.corrected.value),
                bool(dut.uncorrectable.value),
                int(dut.syndrome.value),
            ), f"errors {sent[number][1]:#x}"


def word() -> int:
    """Make a random word."""
    return random.getrandbits(DATA_BITS)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def words_without_error_pass(dut):
    """Every bit alone, none, all, and random words come back without a flag."""
    words = [0, (1 << DATA_BITS) - 1, *(1 << bit for bit in range(DATA_BITS))]
    await send(dut, [(data, 0) for data in (*words, *(word() for _ in range(100)))])


@cocotb.test(timeout_time=100, timeout_unit="us")
async def every_single_error_is_corrected(dut):
    """Each bit of the codeword is wrong in turn."""
    await send(dut, [(word(), 1 << bit) for bit in range(BITS)])


@cocotb.test(timeout_time=100, timeout_unit="us")
async def double_and_more_errors_are_as_in_the_model(dut):
    """Random errors of two to five bits, between words that are right."""
    sent = []
    for _ in range(2000):
        wrong = random.sample(range(BITS), random.choice([0, 2, 2, 2, 3, 4, 5]))
        sent.append((word(), sum(1 << bit for bit in wrong)))
    await send(dut, sent)
