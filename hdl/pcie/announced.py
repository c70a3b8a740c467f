"""What a header says that the rest of the TLP must keep to."""

from amaranth import *
from amaranth.lib import data

from .tlp import class_of, data_credits
from .well_formed import well_formed

__all__ = ["AnnouncedLayout", "announce"]


class AnnouncedLayout(data.StructLayout):
    """What TlpCheck needs of a header.

    Fields
    ------
    more : 8 bits
        Segments behind the first.
    empty : 4 bits
        DW at the end of the last segment that carry nothing.
    sound : 1 bit
        The header is well formed.
    tlp_class, cost : 2, 9 bits
        Flow control class and data credits.
    """

    def __init__(self):
        super().__init__({"more": 8, "empty": 4, "sound": 1, "tlp_class": 2, "cost": 9})


def announce(o: data.View, header: data.View, max_payload_bytes: int) -> list:
    """Assign to ``o``, an :class:`AnnouncedLayout`, what ``header`` says."""
    last_dword = Mux(header.has_data, (header.length - 1)[:10] + header.td, 0)
    without_data = Cat(header.td.replicate(3), ~header.td)
    return [
        o.more.eq(last_dword >> 3),
        o.empty.eq(Mux(header.has_data, 7 - last_dword[:3], without_data)),
        o.sound.eq(well_formed(header, max_payload_bytes)),
        o.tlp_class.eq(class_of(header)),
        o.cost.eq(data_credits(header)),
    ]
