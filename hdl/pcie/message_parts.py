"""Headers of messages that the switch makes, and the codes that it knows."""

from typing import Any

from amaranth import *
from amaranth.lib import data, enum

from .tlp import TlpHeaderLayout, TlpType

__all__ = ["MessageCode", "MessageLayout", "function_number", "message_header"]


class MessageCode(enum.IntEnum, shape=8):
    """Message codes (2.2.8). Assert and Deassert of INTB to INTD follow those of INTA."""

    PME_TURN_OFF = 0x19
    PME_TO_ACK = 0x1B
    ASSERT_INTA = 0x20
    DEASSERT_INTA = 0x24
    ERR_COR = 0x30
    ERR_NONFATAL = 0x31
    ERR_FATAL = 0x33


class MessageLayout(data.StructLayout):
    """Posted TLP that the switch makes: a header, and the DW behind it, if any."""

    def __init__(self):
        super().__init__({"header": TlpHeaderLayout(), "data": 32})


def function_number(bridge: Any) -> Value:
    """ID of a port's function: bus, device, function 0."""
    return Cat(C(0, 3), bridge.device, bridge.bus)


def message_header(m: Module, header: Any, *, type: TlpType, code: Any, requester: Value) -> None:
    """Drive the fields of a message without payload; the others stay 0."""
    m.d.comb += [
        header.four_dwords.eq(1),
        header.type.eq(type),
        header.requester.eq(requester),
        header.specific.message.code.eq(code),
    ]
