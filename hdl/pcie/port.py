"""Port contract of the switch: where hard IP or a data link layer attaches."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .tlp import CLASS_COUNT, TlpBeatLayout

__all__ = [
    "DATA_CREDIT_BITS",
    "HEADER_CREDIT_BITS",
    "CreditCountsLayout",
    "TlpPortSignature",
]

#: Widest fields of scaled flow control: 8 and 12 bits in units of 16 (2.6.1, 3.4.2).
HEADER_CREDIT_BITS = 12
DATA_CREDIT_BITS = 16


class CreditCountsLayout(data.ArrayLayout):
    """Cumulative credits of each class, indexed by :class:`TlpClass`, modulo their widths.

    Fields
    ------
    headers : 12 bits
        Header credits, in units of one.
    data : 16 bits
        Data credits, in units of one: 16 bytes.
    """

    def __init__(self):
        super().__init__(
            data.StructLayout({"headers": HEADER_CREDIT_BITS, "data": DATA_CREDIT_BITS}),
            CLASS_COUNT,
        )


class TlpPortSignature(wiring.Signature):
    """A port, seen from the switch.

    ``rx`` takes a beat in every cycle: what bounds it are the credits. Counts are cumulative since
    ``link_up`` rose, as in the flow control packets of the data link layer (2.6.1.2): the
    partner's field is the count shifted right by the scale, cut to 8 bits (headers) or 12 (data).
    ``tx_limits`` are its fields shifted left again: the bits above the field mean nothing.

    Parameters
    ----------
    segment_count : int
        Segments a beat, 1, 2 or 4.

    Members
    -------
    rx : In(TlpBeatLayout(segment_count))
        What the partner sends; every lane's ``valid`` is 0 in a cycle without a beat.
    rx_credits : Out(CreditCountsLayout())
        CREDITS_ALLOCATED: what the partner may have sent in total. Its first value is InitFC.
    rx_drained : Out(1)
        All that came over the port has left the switch, so ``rx_credits`` are whole. After a link
        went down, flow control of the next should be initialized when this is set.
    tx : Out(stream.Signature(TlpBeatLayout(segment_count)))
        What the partner gets. Within a TLP ``valid`` does not fall.
    tx_limits : In(CreditCountsLayout())
        CREDIT_LIMIT: what may be sent in total.
    tx_infinite : In(6)
        Bit 2n: headers of class n, bit 2n + 1: data of class n are without limit (InitFC was 0).
    tx_scale : In(2)
        Bits that the partner's fields are shifted: 0 (x1), 1 (x4), 2 (x16).
    link_up : In(1)
        Data link layer active, credits initialized.
    link_speed, link_width : In(4), In(6)
        As in the Link Status register.
    hot_reset : Out(1)
        The port's link shall be held in hot reset (downstream ports).
    link_disable : Out(1)
        The port's link shall be held disabled: Link Disable, or containment (downstream ports).
    """

    def __init__(self, segment_count: int):
        beat = TlpBeatLayout(segment_count)
        super().__init__(
            {
                "rx": In(beat),
                "rx_credits": Out(CreditCountsLayout()),
                "rx_drained": Out(1),
                "tx": Out(stream.Signature(beat)),
                "tx_limits": In(CreditCountsLayout()),
                "tx_infinite": In(2 * CLASS_COUNT),
                "tx_scale": In(2),
                "link_up": In(1),
                "link_speed": In(4),
                "link_width": In(6),
                "hot_reset": Out(1),
                "link_disable": Out(1),
            }
        )
