"""Packets with what the parser says of them."""

from collections.abc import Mapping

from amaranth.lib import data

from hdl.stream import PacketLayout

from .icrc_check import IcrcVerdict
from .parser_bus import OFFSET_BITS, ParseError

__all__ = ["DescribedLayout", "DescriptorLayout"]


class DescriptorLayout(data.StructLayout):
    """What the parser says of a packet before the packet.

    Parameters
    ----------
    header_count : int
        Headers that it may list.
    slots : mapping of str to int
        Windows: names, and bytes of each.

    Fields
    ------
    error : ParseError
        Why the graph was not followed to its end; the headers before are right all the same.
    bank : 1 bit
        Copy of the tables that parsed the packet.
    header_bytes : 9 bits
        Where the payload begins; meaningful without error.
    headers : array of {state: 6, offset: 9 bits}
        State and offset of each header whose fixed part is in the packet, in order; state 0 from
        the first that is not there on.
    slots : struct of {valid: 1, window: 8 * bytes bits}
        For each slot, by its name: whether its header begins in the packet, and the packet's
        bytes from there on, byte 0 first, zero beyond the packet's end.
    """

    def __init__(self, header_count: int, slots: Mapping[str, int]):
        header = data.StructLayout({"state": 6, "offset": OFFSET_BITS})
        super().__init__(
            {
                "error": ParseError,
                "bank": 1,
                "header_bytes": OFFSET_BITS,
                "headers": data.ArrayLayout(header, header_count),
                "slots": data.StructLayout(
                    {
                        name: data.StructLayout({"valid": 1, "window": 8 * size})
                        for name, size in slots.items()
                    }
                ),
            }
        )


class DescribedLayout(data.StructLayout):
    """One beat of a packet with its descriptor beside it.

    Fields
    ------
    descriptor : DescriptorLayout(header_count, slots)
        The same in all beats of a packet.
    icrc : IcrcVerdict
        Verdict on the ICRC, valid with the last beat.
    beat : PacketLayout(data_bytes)
        The packet, as it came.
    """

    def __init__(self, data_bytes: int, header_count: int, slots: Mapping[str, int]):
        super().__init__(
            {
                "descriptor": DescriptorLayout(header_count, slots),
                "icrc": IcrcVerdict(),
                "beat": PacketLayout(data_bytes),
            }
        )
