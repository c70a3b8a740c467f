# amaranth: UnusedElaboratable=no
"""Crc: parameter checks, matrices, model and cocotb testbench at several sizes."""

import binascii
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.bits import CRC_CATALOGUE, Crc, CrcParameters, CrcPlan, gf2
from sim.bits import CRC_ALGORITHMS, CrcAlgorithm
from tb.simulate import simulate

# "check" is the CRC of b"123456789", "residue" the register before xorout after a message and its
# CRC: as published by G. Cook, Catalogue of parametrised CRC algorithms.
CHECKS = {
    "CRC8_MAXIM": (0xA1, 0),
    "CRC8_SMBUS": (0xF4, 0),
    "CRC16_ARC": (0xBB3D, 0),
    "CRC16_IBM_3740": (0x29B1, 0),
    "CRC16_T10_DIF": (0xD0DB, 0),
    "CRC16_X25": (0x906E, 0xF0B8),
    "CRC16_XMODEM": (0x31C3, 0),
    "CRC32C": (0xE3069283, 0xB798B438),
    "CRC32_ETHERNET": (0xCBF43926, 0xDEBB20E3),
    "CRC64_NVME": (0xAE8B14860A799888, 0xF310303B2B6F6E42),
    "CRC64_XZ": (0x995DC9BBDF1939FA, 0x49958C9ABD7D353F),
}
# Not among the named ones; UMTS reflects only the output, and its width is not whole bytes.
ECMA_182 = 0x6C40DF5F0B497347
LINES = {
    "width=12 poly=0x80f init=0x000 refin=false refout=true xorout=0x000": 0xDAF,
    "width=16 poly=0x3d65 init=0x0000 refin=true refout=true xorout=0xffff": 0xEA82,
    "width=24 poly=0x864cfb init=0xb704ce refin=false refout=false xorout=0x000000": 0x21CF02,
    "width=32 poly=0x04c11db7 init=0x0 refin=false refout=false xorout=0xffffffff": 0x765E7680,
    "width=64 poly=0x42f0e1eba9ea3693 init=0 refin=false refout=false xorout=0": ECMA_182,
}
UMTS = next(iter(LINES))


@pytest.mark.parametrize(
    ("algorithm", "data_bytes"),
    [
        ("CRC32_ETHERNET", 1),
        (UMTS, 2),
        ("CRC64_NVME", 4),
        ("CRC8_SMBUS", 12),
        ("CRC32_ETHERNET", 64),
        ("CRC32_ETHERNET", 128),
    ],
)
def test_crc(algorithm, data_bytes, run_dir):
    crc = Crc(algorithm=algorithm, data_bytes=data_bytes)
    check = LINES[algorithm] if algorithm in LINES else CHECKS[algorithm][0]
    simulate(
        crc,
        name="crc",
        testbench="tb.bits.crc_tb",
        run_dir=run_dir,
        env={
            "MODEL": algorithm,
            "DATA_BYTES": data_bytes,
            "LATENCY": crc.latency,
            "CHECK": hex(check),
        },
    )


@pytest.mark.parametrize("name", CHECKS)
def test_model_gives_published_values(name):
    assert CRC_ALGORITHMS[name](b"123456789") == CHECKS[name][0]


@pytest.mark.parametrize("line", LINES)
def test_model_gives_published_values_of_lines(line):
    assert CrcAlgorithm.parse(line)(b"123456789") == LINES[line]


def test_every_algorithm_is_checked():
    assert CHECKS.keys() == CRC_ALGORITHMS.keys() == CRC_CATALOGUE.keys()


@pytest.mark.parametrize("name", CHECKS)
def test_residue_is_the_published_one(name):
    algorithm = CRC_CATALOGUE[name]
    assert algorithm.residue ^ algorithm.xor_out == CHECKS[name][1]


@pytest.mark.parametrize("name", ["CRC32_ETHERNET", "CRC64_NVME", "CRC16_X25", "CRC16_T10_DIF"])
def test_residue_follows_every_message(name):
    model, order = CRC_ALGORITHMS[name], "little" if CRC_ALGORITHMS[name].refout else "big"
    for length in (1, 2, 60, 1000):
        message = random.Random(length).randbytes(length)
        sent = message + model(message).to_bytes(model.width // 8, order)
        assert model(sent) == CRC_CATALOGUE[name].residue


@given(st.binary())
def test_model_is_zlib(message):
    assert CRC_ALGORITHMS["CRC32_ETHERNET"](message) == zlib.crc32(message)


@given(st.binary())
def test_model_is_binascii(message):
    assert CRC_ALGORITHMS["CRC16_XMODEM"](message) == binascii.crc_hqx(message, 0)


@st.composite
def algorithms(draw) -> tuple[int, int, int, bool, bool, int]:
    width = draw(st.integers(8, 64))
    word = st.integers(0, (1 << width) - 1)
    flags = st.booleans()
    return (width, draw(word) | 1, draw(word), draw(flags), draw(flags), draw(word))


@given(algorithms(), st.binary())
def test_model_by_table_is_model_by_bits(fields, message):
    model = CrcAlgorithm(*fields)
    assert model(message) == model.by_bits(message)


def by_plan(algorithm: CrcParameters, data_bytes: int, message: bytes) -> int:
    """CRC as the matrices of the hardware make it."""
    plan = CrcPlan.of(algorithm, data_bytes)
    total, index = None, 0
    for start in range(0, len(message), data_bytes):
        chunk = message[start : start + data_bytes]
        index = len(chunk) - 1
        value = int.from_bytes(chunk, "little")
        for matrix in plan.message:
            value = gf2.apply(matrix, value)
        total = value ^ (plan.start if total is None else gf2.apply(plan.loop, total))
    assert total is not None
    for step in plan.steps:
        chosen = step.bit is not None and index >> step.bit & 1
        total = gf2.apply(step.set if chosen else step.clear, total)
    if algorithm.reflect_out:
        total = int(f"{total:0{algorithm.width}b}"[::-1], 2)
    return total ^ algorithm.xor_out


@given(algorithms(), st.integers(1, 17), st.binary(min_size=1, max_size=80))
def test_plan_of_any_polynomial(fields, data_bytes, message):
    assert by_plan(CrcParameters(*fields), data_bytes, message) == CrcAlgorithm(*fields)(message)


@pytest.mark.parametrize("polynomial", [0x01, 0x11, 0x55, 0xFF])
@pytest.mark.parametrize("data_bytes", [4, 16])
def test_plan_of_polynomials_with_square_factors(polynomial, data_bytes):
    """Where x to the power of a beat's bits generates less than all, the loop stays as it is."""
    fields = (8, polynomial, 0x5A, True, False, 0xC3)
    message = random.Random(polynomial).randbytes(3 * data_bytes + 1)
    assert by_plan(CrcParameters(*fields), data_bytes, message) == CrcAlgorithm(*fields)(message)


@pytest.mark.parametrize("name", ["CRC32_ETHERNET", "CRC32C", "CRC16_T10_DIF", "CRC64_NVME"])
@pytest.mark.parametrize("data_bytes", [8, 64, 128])
def test_loop_is_a_shift_with_feedback(name, data_bytes):
    """Two bits of the sum at most make the next: what the clock frequency rests on."""
    plan = CrcPlan.of(CRC_CATALOGUE[name], data_bytes)
    assert max(row.bit_count() for row in plan.loop) <= 2


@given(algorithms(), st.integers(0, 300))
def test_going_back_undoes_going_on(fields, byte_count):
    algorithm = CrcParameters(*fields)
    forth, back = algorithm.advance(byte_count), algorithm.advance(-byte_count)
    assert gf2.multiply(back, forth) == gf2.identity(algorithm.width)
    assert gf2.inverse(forth) == back


def test_transpose_and_apply():
    matrix = (0b011, 0b100)
    assert gf2.transpose(matrix, 3) == (0b01, 0b01, 0b10)
    assert gf2.transpose(gf2.transpose(matrix, 3), 2) == matrix
    assert [gf2.apply(matrix, vector) for vector in (0b001, 0b011, 0b110)] == [0b01, 0b00, 0b11]


def test_inverse_needs_full_rank():
    with pytest.raises(ValueError, match="no inverse"):
        gf2.inverse((0b11, 0b11))


def test_division_by_x_needs_a_constant_term():
    with pytest.raises(ValueError, match="constant term"):
        gf2.power_of_x(-1, 0x106)


def test_named_takes_lines_of_the_catalogue():
    line = "width=16 poly=0x1021 init=0xffff refin=false refout=false xorout=0x0000 check=0x29b1"
    assert CrcParameters.named(line) == CRC_CATALOGUE["CRC16_IBM_3740"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 7}, "width must be 8 to 64, not 7"),
        ({"width": 65}, "width must be 8 to 64, not 65"),
        ({"polynomial": 0x106}, "polynomial must fit in 8 bits"),
        ({"polynomial": 0x06}, "constant term, not 0x6"),
        ({"init": -1}, "init must fit in 8 bits, not -1"),
        ({"xor_out": 256}, "xor_out must fit in 8 bits, not 256"),
    ],
)
def test_refuses_parameters(changed, message):
    fields = {"width": 8, "polynomial": 7, "init": 0, "reflect_in": False, "reflect_out": False}
    with pytest.raises(ValueError, match=message):
        CrcParameters(**{**fields, "xor_out": 0, **changed})


def test_refuses_unknown_names():
    with pytest.raises(ValueError, match="must be one of CRC8_MAXIM, "):
        Crc(algorithm="CRC31", data_bytes=8)


def test_refuses_no_bytes():
    with pytest.raises(ValueError, match="data_bytes must be 1 or more, not 0"):
        Crc(algorithm="CRC32C", data_bytes=0)
