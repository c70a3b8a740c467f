"""What an opcode says of a packet."""

from amaranth import *
from amaranth.lib import data, enum

__all__ = ["OpcodeLayout", "Service", "decode_opcode"]

_CNP = 0x81


class Service(enum.IntEnum, shape=2):
    """Transport service, as its opcodes' bits 6:5 have it (IBTA volume 1, 9.2.1)."""

    RC = 0
    UC = 1
    UD = 3


class OpcodeLayout(data.StructLayout):
    """What an opcode says, one bit each.

    Fields
    ------
    known : 1 bit
        A request that the service of the opcode has. Without it, of the other fields only
        ``is_response``, ``is_cnp``, ``begins`` and ``has_service`` mean anything.
    begins, ends : 1 bit each
        First and last packet of a message. What is neither MIDDLE nor LAST begins.
    is_send, is_write, is_read, is_atomic, is_add : 1 bit each
        Operation; ``is_add`` tells FETCH_ADD from COMPARE_SWAP.
    has_immediate, has_invalidate : 1 bit each
    is_response : 1 bit
        Answer to the requester of a reliable connection.
    is_cnp : 1 bit
    has_service, service : 1 and 2 bits
        Whether the opcode is of RC, UC or UD, and of which.
    """

    def __init__(self):
        super().__init__(
            {
                "known": 1,
                "begins": 1,
                "ends": 1,
                "is_send": 1,
                "is_write": 1,
                "is_read": 1,
                "is_atomic": 1,
                "is_add": 1,
                "has_immediate": 1,
                "has_invalidate": 1,
                "is_response": 1,
                "is_cnp": 1,
                "has_service": 1,
                "service": Service,
            }
        )


# Numbers within a service: IBTA volume 1, 9.2.1, table "BTH OpCode field".
_SENDS = {*range(0x00, 0x06), 0x16, 0x17}
_WRITES = set(range(0x06, 0x0C))
_MIDDLE_OR_LAST = {0x01, 0x02, 0x03, 0x07, 0x08, 0x09, 0x16}
_ENDS = {0x02, 0x03, 0x04, 0x05, 0x08, 0x09, 0x0A, 0x0B, 0x16, 0x17}
_IMMEDIATES = {0x03, 0x05, 0x09, 0x0B}


def decode_opcode(opcode: Value) -> dict[str, Value]:
    """Fields of :class:`OpcodeLayout` for ``BTH.opcode``."""
    number = opcode[:5]
    service = opcode[5:8]

    def among(numbers):
        return Cat(number == n for n in sorted(numbers)).any()

    is_rc, is_uc, is_ud = service == 0, service == 1, service == 3
    of_rc = among({*_SENDS, *_WRITES, 0x0C, 0x13, 0x14})
    return {
        "known": (is_rc & of_rc)
        | (is_uc & (number < 0x0C))
        | (is_ud & ((number == 0x04) | (number == 0x05))),
        "begins": ~among(_MIDDLE_OR_LAST),
        "ends": among(_ENDS),
        "is_send": among(_SENDS),
        "is_write": among(_WRITES),
        "is_read": number == 0x0C,
        "is_atomic": (number == 0x13) | (number == 0x14),
        "is_add": number == 0x14,
        "has_immediate": among(_IMMEDIATES),
        "has_invalidate": (number == 0x16) | (number == 0x17),
        "is_response": is_rc & (number >= 0x0D) & (number <= 0x12),
        "is_cnp": opcode == _CNP,
        "has_service": is_rc | is_uc | is_ud,
        "service": opcode[5:7],
    }
