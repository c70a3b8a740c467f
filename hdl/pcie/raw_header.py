"""Headers as bytes of the wire, and as the switch carries them.

Bytes are numbered as in the figures of chapter 2.2; byte 0 is lowest in a ``Value`` of them.
"""

from typing import Any

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data

from .tlp import TlpType

__all__ = ["HEADER_BITS", "decode_header", "encode_header"]

#: 4 DW, without a prefix.
HEADER_BITS = 128


def _bytes(wire: Value) -> list[Value]:
    return [wire[8 * number : 8 * number + 8] for number in range(len(wire) // 8)]


def _msb_first(parts: list[Value]) -> Value:
    return Cat(*reversed(parts))


def _is_completion(kind: Value) -> Value:
    return kind[1:5] == TlpType.COMPLETION >> 1


def _is_message(kind: Value) -> Value:
    return kind[3:5] == TlpType.MESSAGE_TO_ROOT >> 3


def _is_configuration(kind: Value) -> Value:
    return kind[1:5] == TlpType.CONFIGURATION_0 >> 1


def decode_header(m: Module, header: data.View, wire: Value) -> None:
    """Drive ``header``, but for its prefix, from the ``HEADER_BITS`` of ``wire``.

    What lies behind a header of 3 DW is not looked at.
    """
    byte = _bytes(wire)
    kind = byte[0][0:5]
    four_dwords = byte[0][5]
    identifier = Cat(byte[5], byte[4])
    m.d.comb += [
        header.has_data.eq(byte[0][6]),
        header.four_dwords.eq(four_dwords),
        Value.cast(header.type).eq(kind),
        header.tc.eq(byte[1][4:7]),
        header.attributes.id_ordering.eq(byte[1][2]),
        header.attributes.relaxed_ordering.eq(byte[2][5]),
        header.attributes.no_snoop.eq(byte[2][4]),
        header.at.eq(byte[2][2:4]),
        header.th.eq(byte[1][0]),
        header.ln.eq(byte[1][1]),
        header.td.eq(byte[2][7]),
        header.poisoned.eq(byte[2][6]),
        header.length.eq(Cat(byte[3], byte[2][0:2])),
        header.tag.eq(Cat(byte[6], byte[1][3], byte[1][7])),
        header.requester.eq(identifier),
    ]
    with m.If(_is_completion(kind)):
        completion = header.specific.completion
        m.d.comb += [
            header.tag[0:8].eq(byte[10]),
            header.requester.eq(Cat(byte[9], byte[8])),
            completion.completer.eq(identifier),
            Value.cast(completion.status).eq(byte[6][5:8]),
            completion.bcm.eq(byte[6][4]),
            completion.byte_count.eq(Cat(byte[7], byte[6][0:4])),
            completion.lower_address.eq(byte[11][0:7]),
        ]
    with m.Elif(_is_message(kind)):
        message = header.specific.message
        m.d.comb += [
            message.code.eq(byte[7]),
            message.target.eq(Cat(byte[9], byte[8])),
            message.vendor.eq(Cat(byte[11], byte[10])),
            message.payload.eq(Mux(four_dwords, _msb_first(byte[12:16]), 0)),
        ]
    with m.Elif(_is_configuration(kind)):
        configuration = header.specific.configuration
        m.d.comb += [
            Cat(configuration.first_be, configuration.last_be).eq(byte[7]),
            configuration.target.eq(Cat(byte[9], byte[8])),
            configuration.register.eq(Cat(byte[11][2:8], byte[10][0:4])),
        ]
    with m.Else():
        memory = header.specific.memory
        m.d.comb += [
            Cat(memory.first_be, memory.last_be).eq(byte[7]),
            memory.address.eq(Mux(four_dwords, _msb_first(byte[8:16]), _msb_first(byte[8:12]))),
        ]


def encode_header(m: Module, wire: Value, header: data.View) -> None:
    """Drive the ``HEADER_BITS`` of ``wire`` from ``header``; tag bits 13:10 have no place there."""
    byte = _bytes(wire)
    kind = Value.cast(header.type)

    def put(number: int, *values: ValueLike) -> list[Any]:
        """Assign ``values``, most significant first, to the bytes from ``number`` on."""
        joined = Cat(*reversed(values))
        return [
            byte[number + index].eq(joined[8 * place : 8 * place + 8])
            for index, place in enumerate(reversed(range(len(joined) // 8)))
        ]

    tag = header.tag
    attributes = header.attributes
    zero, reserved = C(0, 1), C(0, 2)
    m.d.comb += [
        *put(0, zero, header.has_data, header.four_dwords, kind),
        *put(1, tag[9], header.tc, tag[8], attributes.id_ordering, header.ln, header.th),
        *put(
            2,
            header.td,
            header.poisoned,
            attributes.relaxed_ordering,
            attributes.no_snoop,
            header.at,
            header.length,
        ),
        *put(4, header.requester, tag[0:8]),
    ]
    with m.If(_is_completion(kind)):
        completion = header.specific.completion
        m.d.comb += [
            *put(
                4,
                completion.completer,
                Value.cast(completion.status),
                completion.bcm,
                completion.byte_count,
                header.requester,
                tag[0:8],
                zero,
                completion.lower_address,
            )
        ]
    with m.Elif(_is_message(kind)):
        message = header.specific.message
        m.d.comb += put(7, message.code, message.target, message.vendor, message.payload)
    with m.Elif(_is_configuration(kind)):
        configuration = header.specific.configuration
        m.d.comb += put(
            7,
            configuration.last_be,
            configuration.first_be,
            configuration.target,
            C(0, 4),
            configuration.register,
            reserved,
        )
    with m.Else():
        memory = header.specific.memory
        m.d.comb += put(7, memory.last_be, memory.first_be)
        with m.If(header.four_dwords):
            m.d.comb += put(8, memory.address)
        with m.Else():
            m.d.comb += put(8, memory.address[0:32])
