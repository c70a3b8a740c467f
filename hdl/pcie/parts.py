"""Interfaces between the parts of the switch."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .route import RouteLayout
from .tlp import CLASS_COUNT, TlpBeatLayout, TlpHeaderLayout

__all__ = [
    "ConfigAccessSignature",
    "CreditAmountsLayout",
    "DeadRowLayout",
    "ErrorEventsLayout",
    "HeadNeedsLayout",
    "HeadSignature",
    "LaneLayout",
    "LocalRequestLayout",
    "PostedRowsLayout",
    "ReportLayout",
    "RoutedBeatLayout",
    "RowLayout",
    "needs_of",
]


class CreditAmountsLayout(data.ArrayLayout):
    """Credits of each class, indexed by :class:`TlpClass`: an amount, not a cumulative count.

    Parameters
    ----------
    header_bits, data_bits : int
        Widths that hold the most of one cycle.
    """

    def __init__(self, header_bits: int, data_bits: int):
        super().__init__(
            data.StructLayout({"headers": header_bits, "data": data_bits}), CLASS_COUNT
        )


class RoutedBeatLayout(data.StructLayout):
    """Beat whose lanes know where they go.

    Fields
    ------
    beat : TlpBeatLayout
        The segments.
    routes : array of RouteLayout
        Decision about the TLP that each valid lane belongs to, in all of its lanes.
    """

    def __init__(self, port_count: int, segment_count: int):
        super().__init__(
            {
                "beat": TlpBeatLayout(segment_count),
                "routes": data.ArrayLayout(RouteLayout(port_count), segment_count),
            }
        )


class LaneLayout(data.StructLayout):
    """What arbitration knows of one lane of a row.

    Fields
    ------
    valid, sop, eop : 1 bit each
        As in the segment; a lane that is not valid belongs to another queue.
    cost : 9 bits
        With ``sop``: data credits of the whole TLP, 0 to 256.
    units : 2 bits
        Data credits that this segment's payload fills, 0 to 2; over a TLP they add up to ``cost``.
    shared : 1 bit
        A broadcast, which is one lane: other columns have a copy of it, too, and its one header
        credit is free when all have left.
    """

    def __init__(self):
        super().__init__({"valid": 1, "sop": 1, "eop": 1, "cost": 9, "units": 2, "shared": 1})


class RowLayout(data.ArrayLayout):
    """Lanes of one row of a crosspoint's queue."""

    def __init__(self, segment_count: int):
        super().__init__(LaneLayout(), segment_count)


class HeadNeedsLayout(data.StructLayout):
    """What a head's lanes ask for, added up so that arbitration need not do it; :func:`needs_of`.

    Fields
    ------
    first : segment_count bits
        Valid lanes up to the first eop; all valid lanes if none is an eop.
    first_cost : 9 bits
        Data credits of the first valid lane, if that is a sop; else of no meaning.
    headers : 3 bits
        Valid lanes that are a sop.
    cost : 11 bits
        Data credits of all of these.
    """

    def __init__(self, segment_count: int):
        super().__init__({"first": segment_count, "first_cost": 9, "headers": 3, "cost": 11})


def needs_of(lanes: data.View, segment_count: int) -> Value:
    """Compute the bits of a :class:`HeadNeedsLayout` from those of a :class:`RowLayout`.

    Arbitration has the whole cycle from ``needs`` to ``take``. So a crosspoint registers this
    beside ``lanes``: of the next row, and of what is left behind ``first``, both worked out
    before ``take`` chooses among them.
    """
    begins = [lanes[n].valid & lanes[n].sop for n in range(segment_count)]
    ends = [lanes[n].valid & lanes[n].eop for n in range(segment_count)]
    valid = [lanes[n].valid for n in range(segment_count)]
    first = [valid[n] & ~Cat(ends[:n]).any() for n in range(segment_count)]
    leads = [valid[n] & ~Cat(valid[:n]).any() for n in range(segment_count)]
    first_cost = Const(0, 9)
    cost = Const(0, 9)
    headers = Const(0, 1)
    for n in range(segment_count):
        first_cost = first_cost | (lanes[n].cost & leads[n].replicate(9))
        cost = cost + (lanes[n].cost & begins[n].replicate(9))
        headers = headers + begins[n]
    return Cat(Cat(first), first_cost, (headers | Const(0, 3))[:3], (cost | Const(0, 11))[:11])


def HeadSignature(segment_count: int) -> wiring.Signature:
    """First row of a queue, seen from the crosspoint.

    Members
    -------
    valid : Out(1)
        There is a row. Registered, like ``lanes``.
    allowed : Out(1)
        Ordering lets its remaining lanes go: every posted TLP that they must not pass has left.
    lanes : Out(RowLayout)
        What is left of the row: lanes that were taken are no longer valid in it.
    needs : Out(HeadNeedsLayout(segment_count))
        :func:`needs_of` all that is left of the row, registered. It is that of ``lanes`` but for
        ``headers`` and ``cost`` while a part of the row may not go and is not in them.
    take : In(1)
        Take lanes now: those of ``needs.first``, or with ``whole`` all valid ones; only while one
        is valid. Several heads, also of one crosspoint, may be taken in a cycle. The segments are
        on the crosspoint's ``segments`` in the next cycle. A TLP's later rows are taken whether
        ``allowed`` or not.
    whole : In(1)
        See ``take``, which is known later in the cycle.
    """
    return wiring.Signature(
        {
            "valid": Out(1),
            "allowed": Out(1),
            "lanes": Out(RowLayout(segment_count)),
            "needs": Out(HeadNeedsLayout(segment_count)),
            "take": In(1),
            "whole": In(1),
        }
    )


class PostedRowsLayout(data.StructLayout):
    """How many posted rows a crosspoint holds; both fields registered.

    Fields
    ------
    inside : 11 bits
        Rows that came at least 2 cycles ago, less those that have left.
    leaves : 1 bit
        Strobe: one of them has left, which ``inside`` tells in the next cycle.
    """

    def __init__(self):
        super().__init__({"inside": 11, "leaves": 1})


class LocalRequestLayout(data.StructLayout):
    """A TLP that the switch itself serves or answers.

    Fields
    ------
    header : TlpHeaderLayout
        Of the request.
    data : 32 bits
        First DW of its payload; byte 0 in the lowest bits.
    route : RouteLayout
        Why it is here; ``action`` says what to do.
    """

    def __init__(self, port_count: int):
        super().__init__(
            {"header": TlpHeaderLayout(), "data": 32, "route": RouteLayout(port_count)}
        )


class DeadRowLayout(data.StructLayout):
    """Non-posted row that its egress port cannot send: to be answered by the switch.

    Fields
    ------
    ingress : 3 bits
        Port it came from.
    beat : TlpBeatLayout
        Its segments.
    """

    def __init__(self, segment_count: int):
        super().__init__({"ingress": 3, "beat": TlpBeatLayout(segment_count)})


def ConfigAccessSignature() -> wiring.Signature:
    """Access to the configuration space of the ports' functions, seen from the completer.

    Members
    -------
    request : Out(struct), strobe
        ``valid``; ``function``, the port's number; ``register``, DW address of 10 bits;
        ``write`` with ``byte_enables`` and ``data``. One in each cycle at most.
    read_data : In(32)
        What a request found, 2 cycles after it, before its own write.
    """
    return wiring.Signature(
        {
            "request": Out(
                data.StructLayout(
                    {
                        "valid": 1,
                        "function": 3,
                        "register": 10,
                        "write": 1,
                        "byte_enables": 4,
                        "data": 32,
                    }
                )
            ),
            "read_data": In(32),
        }
    )


class ReportLayout(data.StructLayout):
    """Something that a port's function has to tell the host.

    Fields
    ------
    kind : 2 bits
        0, 1, 2: an ERR_COR, ERR_NONFATAL or ERR_FATAL message; 3: a message signalled interrupt.
    address, data : 64, 16 bits
        Of the interrupt.
    """

    def __init__(self):
        super().__init__({"kind": 2, "address": 64, "data": 16})


class ErrorEventsLayout(data.StructLayout):
    """What went wrong at a port in a cycle, each a strobe, for its function's registers.

    Fields
    ------
    malformed, overflow, unexpected_completion, unsupported, aborted, acs_violation, poisoned
        Errors that the port found in what it received: by the names of AER's status bits;
        ``aborted`` is Completer Abort.
    posted : 1 bit
        With ``unsupported``, ``aborted`` or ``acs_violation``: the TLP was not answered.
    header : TlpHeaderLayout
        Of the TLP that the most severe of the events is about.
    received_correctable, received_nonfatal, received_fatal : 1 bit each
        An ERR message came in from below.
    """

    def __init__(self):
        super().__init__(
            {
                "malformed": 1,
                "overflow": 1,
                "unexpected_completion": 1,
                "unsupported": 1,
                "aborted": 1,
                "acs_violation": 1,
                "poisoned": 1,
                "posted": 1,
                "header": TlpHeaderLayout(),
                "received_correctable": 1,
                "received_nonfatal": 1,
                "received_fatal": 1,
            }
        )
