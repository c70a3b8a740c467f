# amaranth: UnusedElaboratable=no
"""SECDED: the code itself, parameter checks, and the cocotb testbench at several sizes."""

from itertools import combinations

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.memory import SecdedDecoder, SecdedEncoder
from sim.memory import SecdedModel
from tb.simulate import simulate


class Channel(wiring.Component):
    """An encoder, a place for errors, and a decoder."""

    data: Signal
    errors: Signal
    codeword: Signal
    decoded: Signal
    corrected: Signal
    uncorrectable: Signal
    syndrome: Signal

    def __init__(self, data_bits: int, encoder_latency: int, decoder_latency: int):
        self.encoder = SecdedEncoder(data_bits=data_bits, latency=encoder_latency)
        self.decoder = SecdedDecoder(data_bits=data_bits, latency=decoder_latency)
        check_bits = self.encoder.check_bits
        super().__init__(
            {
                "data": In(data_bits),
                "errors": In(data_bits + check_bits),
                "codeword": Out(data_bits + check_bits),
                "decoded": Out(data_bits),
                "corrected": Out(1),
                "uncorrectable": Out(1),
                "syndrome": Out(check_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = self.encoder
        m.submodules.decoder = decoder = self.decoder
        m.d.comb += [
            encoder.data.eq(self.data),
            self.codeword.eq(encoder.codeword),
            decoder.codeword.eq(encoder.codeword ^ self.errors),
            self.decoded.eq(decoder.data),
            self.corrected.eq(decoder.corrected),
            self.uncorrectable.eq(decoder.uncorrectable),
            self.syndrome.eq(decoder.syndrome),
        ]
        return m


@pytest.mark.parametrize(
    ("data_bits", "encoder_latency", "decoder_latency"), [(8, 1, 1), (64, 1, 2), (512, 2, 3)]
)
def test_secded(data_bits, encoder_latency, decoder_latency, run_dir):
    simulate(
        Channel(data_bits, encoder_latency, decoder_latency),
        name="channel",
        testbench="tb.memory.secded_tb",
        run_dir=run_dir,
        env={
            "DATA_BITS": data_bits,
            "ENCODER_LATENCY": encoder_latency,
            "DECODER_LATENCY": decoder_latency,
        },
    )


@pytest.mark.parametrize(
    ("data_bits", "check_bits", "ones"), [(8, 5, None), (16, 6, 54), (32, 7, 103), (64, 8, 216)]
)
def test_size_of_code(data_bits, check_bits, ones):
    """Check bits, and the ones of the matrix as Hsiao (1970) counts them."""
    model = SecdedModel(data_bits)
    assert model.check_bits == check_bits
    if ones is not None:
        assert sum(model.row_weights) + check_bits == ones


@pytest.mark.parametrize("data_bits", [8, 16, 64, 512])
def test_code_has_odd_columns_and_balanced_rows(data_bits):
    model = SecdedModel(data_bits)
    assert all(column.bit_count() % 2 for column in model.places)
    assert len(model.places) == data_bits + model.check_bits
    assert max(model.row_weights) - min(model.row_weights) <= 1


@pytest.mark.parametrize("data_bits", [8, 16, 64])
def test_model_corrects_every_single_and_detects_every_double_error(data_bits):
    model = SecdedModel(data_bits)
    data = 0x5A_C396_0FF0_1234_8765 & ((1 << data_bits) - 1)
    codeword = model.encode(data)
    assert not model.decode(codeword).corrected
    assert not model.decode(codeword).uncorrectable
    for bit in range(data_bits + model.check_bits):
        decoded = model.decode(codeword ^ 1 << bit)
        assert (decoded.data, decoded.corrected, decoded.uncorrectable) == (data, True, False)
    for first, second in combinations(range(data_bits + model.check_bits), 2):
        decoded = model.decode(codeword ^ 1 << first ^ 1 << second)
        assert not decoded.corrected
        assert decoded.uncorrectable


@pytest.mark.parametrize("unit", [SecdedEncoder, SecdedDecoder])
@pytest.mark.parametrize(("data_bits", "latency"), [(7, 1), (513, 1), (8, 0), (8, 4)])
def test_refused_parameters(unit, data_bits, latency):
    with pytest.raises(ValueError, match=r"must be"):
        unit(data_bits=data_bits, latency=latency)
