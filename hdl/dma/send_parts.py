"""Interfaces between the parts of the transmit side of an endpoint."""

from amaranth.lib import data

__all__ = ["SendLaneLayout", "SendPartLayout", "SendPieceLayout"]


class SendLaneLayout(data.StructLayout):
    """What is known of one lane of a row.

    Fields
    ------
    valid : 1 bit
        The lane is part of what is offered.
    sop, eop : 1 bit each
        As in the segment.
    cost : 9 bits
        Of a lane with sop: data credits of its TLP.
    """

    def __init__(self):
        super().__init__({"valid": 1, "sop": 1, "eop": 1, "cost": 9})


class SendPartLayout(data.StructLayout):
    """Part of a row whose TLPs are whole: from :class:`SendQueue`.

    Fields
    ------
    lanes : array of SendLaneLayout
        Lanes; none is valid if all were of a TLP that was taken back.
    last : 1 bit
        Nothing else of this row follows.
    """

    def __init__(self, segment_count: int):
        super().__init__({"lanes": data.ArrayLayout(SendLaneLayout(), segment_count), "last": 1})


class SendPieceLayout(data.StructLayout):
    """What may be sent in a cycle, paid for: from :class:`SendCredits`.

    Fields
    ------
    valid : segment_count bits
        Its lanes.
    some : 1 bit
        There is one.
    within : 1 bit
        It ends within a TLP.
    ends : 1 bit
        It has the last eop of its row.
    last : 1 bit
        Nothing else of its row follows.
    """

    def __init__(self, segment_count: int):
        super().__init__({"valid": segment_count, "some": 1, "within": 1, "ends": 1, "last": 1})
