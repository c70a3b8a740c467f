"""Interfaces between the parts of the read delivery, and what they share."""

from amaranth import *
from amaranth.lib import data

from ..bits import RoundRobinPicker
from .memory_port import MemoryResponseLayout

__all__ = ["RowReadLayout", "SlotReadLayout", "TurnedRowLayout", "filled_to", "in_turn"]


class SlotReadLayout(data.StructLayout):
    """What to read of a tag's slot, and how.

    Fields
    ------
    row, further : range(slot_rows)
        First row in the slot; rows behind it. A flush has one, which is not read.
    shift, end : range(row_bytes)
        Place in a row of the request's first byte; of the piece's last byte.
    begins, ends, flush : 1 bit each
        First, last piece of its request; a request of 0 bytes.
    request_tag : 8 bits
        The client's.
    """

    def __init__(self, row_bytes: int, slot_bytes: int):
        super().__init__(
            {
                "row": range(slot_bytes // row_bytes),
                "further": range(slot_bytes // row_bytes),
                "shift": range(row_bytes),
                "end": range(row_bytes),
                "begins": 1,
                "ends": 1,
                "flush": 1,
                "request_tag": 8,
            }
        )


class RowReadLayout(data.StructLayout):
    """A row to read.

    Fields
    ------
    tag, row : range(tag_count), range(slot_rows)
        Where it is.
    first, last : 1 bit each
        Of its slot.
    shift, end, begins, ends, flush, request_tag
        Of its slot; see :class:`SlotReadLayout`.
    """

    def __init__(self, row_bytes: int, tag_count: int, slot_bytes: int):
        slot = SlotReadLayout(row_bytes, slot_bytes)
        names = ("row", "shift", "end", "begins", "ends", "flush", "request_tag")
        super().__init__(
            {
                "tag": range(tag_count),
                "first": 1,
                "last": 1,
                **{name: slot[name].shape for name in names},
            }
        )


class TurnedRowLayout(data.StructLayout):
    """A row whose bytes are turned to their places in the packet's beats.

    Fields
    ------
    data : 8 * row_bytes bits
        Bytes of ``below`` begin the next beat, unless the row is ``whole``; the others end the
        beat that the row before began.
    below : row_bytes bits
        Bytes of a beat that the row before brings: the lowest ones, not all.
    whole : 1 bit
        The row makes one beat of its own, from byte 0.
    begins_beat : 1 bit
        Nothing of it ends a beat; what it begins goes on with the next row.
    two : 1 bit
        It ends a beat, and what it begins is the request's last beat.
    tail : range(row_bytes)
        Place of the last byte in the last beat; row_bytes - 1 if the row is not the last.
    first, last : 1 bit each
        Of its request.
    flush : 1 bit
        The beat has no bytes.
    response : MemoryResponseLayout
        The client's tag, and the status of the slot.
    """

    def __init__(self, row_bytes: int):
        super().__init__(
            {
                "data": 8 * row_bytes,
                "below": row_bytes,
                "whole": 1,
                "begins_beat": 1,
                "two": 1,
                "tail": range(row_bytes),
                "first": 1,
                "last": 1,
                "flush": 1,
                "response": MemoryResponseLayout(),
            }
        )


def filled_to(place: Value) -> list[Value]:
    """For each n that ``place`` can be, whether n is not above it: two gates a bit, no carry."""
    filled: list[Value] = [C(1)]
    for bit in place:
        filled = [bit | lower for lower in filled] + [bit & lower for lower in filled]
    return filled


def in_turn(m: Module, name: str, requests: Value) -> Value:
    """Grant one of ``requests`` in each cycle, in turns; one-hot."""
    if len(requests) == 1:
        return requests
    picker = RoundRobinPicker(request_count=len(requests))
    m.submodules[name] = picker
    m.d.comb += [picker.requests.eq(requests), picker.take.eq(1)]
    return picker.grant
