"""Interfaces between the parts of the completions' path, and what they share."""

from typing import Any

from amaranth import *
from amaranth.lib import data

from ..pcie.tlp import SEGMENT_DWORDS
from .memory_port import MemoryStatus
from .parts import TagEndedLayout, row_bytes_of

__all__ = [
    "CompletionGroupLayout",
    "CompletionHeaderLayout",
    "CompletionLaneLayout",
    "TagAskedLayout",
    "VerdictLayout",
    "begun_count",
    "owners_of",
]


def begun_count(segment_count: int) -> int:
    """Completions that may begin in a group of lanes, and that may end in it."""
    return max(1, segment_count // 2)


class TagAskedLayout(data.StructLayout):
    """Strobe: a read is on its way out; what its completions have to agree with.

    Fields
    ------
    valid : 1 bit
        Strobe, at least 4 cycles before a completion can come.
    tag : range(tag_count)
        Its tag.
    address : 12 bits
        Where in its page it begins.
    length : 13 bits
        Bytes that it asks for; 0 is a flush.
    """

    def __init__(self, tag_count: int):
        super().__init__({"valid": 1, "tag": range(tag_count), "address": 12, "length": 13})


class CompletionHeaderLayout(data.StructLayout):
    """What of a TLP's header decides.

    Fields
    ------
    wanted : 1 bit
        A completion, for our requester, with a tag that the field ``tag`` can hold.
    tag : range(tag_count)
        Its tag.
    status : MemoryStatus
        OK: it has data; UNSUPPORTED or ABORT: how it says that the read ended.
    poisoned, dwords, byte_count, lower_address : 1, 10, 12, 7 bits
        EP, Length, Byte Count and Lower Address.
    """

    def __init__(self, tag_count: int):
        super().__init__(
            {
                "wanted": 1,
                "tag": range(tag_count),
                "status": MemoryStatus,
                "poisoned": 1,
                "dwords": 10,
                "byte_count": 12,
                "lower_address": 7,
            }
        )

    def format(self, value: Any, format_spec: Any) -> Any:
        """Show a header as one number: Verilog would have a wire for each field of each."""
        return Format("{:x}", value.as_value())


class CompletionLaneLayout(data.StructLayout):
    """A segment, and where in a row its DW belong.

    Fields
    ------
    data : 256 bits
        Payload, as in the segment.
    header : CompletionHeaderLayout
        With ``sop``.
    sop, eop, nullified : 1 bit each
        As of the segment.
    miscounted : 1 bit
        With ``eop``: by the header's length the payload ends in another segment.
    empty : 5 bits
        With ``eop``: DW of the segment that are not payload. There were as many DW as the header
        says if it is not ``miscounted`` and ``count`` and ``empty`` are 8 together.
    turn : range(8)
        Place of its first DW in bank ``bank``; those that go beyond place 7 lie in the next bank.
    bank : range(segment_count)
        Bank of its first DW.
    wrapped : 1 bit
        That bank is in the row behind the one in which its TLP began in this beat.
    count : 4 bits
        DW to write, 0 to 8, by the header's length.
    spill : 1 bit
        DW may lie in the next bank.
    """

    def __init__(self, segment_count: int, tag_count: int):
        super().__init__(
            {
                "data": 32 * SEGMENT_DWORDS,
                "header": CompletionHeaderLayout(tag_count),
                "sop": 1,
                "eop": 1,
                "nullified": 1,
                "miscounted": 1,
                "empty": 5,
                "turn": range(SEGMENT_DWORDS),
                "bank": range(segment_count),
                "wrapped": 1,
                "count": 4,
                "spill": 1,
            }
        )


class CompletionGroupLayout(data.StructLayout):
    """Lanes that are worked on in one cycle; or a read that failed, then there are no lanes.

    Fields
    ------
    valid : segment_count bits
        Lanes that mean something. One without a sop goes on with what the lane before, or the last
        lane of the group before, did not end.
    lanes : array of CompletionLaneLayout
        The lanes.
    final : 1 bit
        What the last lane has for the next bank is the end of its TLP, and waits for the next
        cycle.
    failed : TagEndedLayout
        A read that failed without a completion.
    """

    def __init__(self, segment_count: int, tag_count: int):
        lane = CompletionLaneLayout(segment_count, tag_count)
        super().__init__(
            {
                "valid": segment_count,
                "lanes": data.ArrayLayout(lane, segment_count),
                "final": 1,
                "failed": TagEndedLayout(tag_count),
            }
        )


class VerdictLayout(data.StructLayout):
    """What of a group may be written, and where.

    Index 0 is the completion that had begun before, n is the nth that begins in the group.

    Fields
    ------
    writes : 1 + begun_count bits
        It is what was asked.
    tags, rows : arrays of range(tag_count), range(slot rows)
        Slot, and row in it where the first lane begins. Rows have one bit at least.
    """

    def __init__(self, segment_count: int, tag_count: int, slot_bytes: int):
        owners = 1 + begun_count(segment_count)
        rows = max(2, slot_bytes // row_bytes_of(segment_count))
        super().__init__(
            {
                "writes": owners,
                "tags": data.ArrayLayout(range(tag_count), owners),
                "rows": data.ArrayLayout(range(rows), owners),
            }
        )


def owners_of(m: Module, group: data.View, segment_count: int) -> list[Signal]:
    """For each lane, one-hot, to which completion it belongs; see :class:`VerdictLayout`."""
    begun = begun_count(segment_count)
    owners = []
    for lane in range(segment_count):
        sops = Cat(group.valid[n] & group.lanes[n].sop for n in range(lane + 1))
        owner = Signal(1 + begun, name=f"owner_{lane}")
        twice = Cat(
            sops[a] & sops[b] for a in range(lane + 1) for b in range(a + 1, lane + 1)
        ).any()
        bits = (
            [~sops.any(), sops.any()] if begun == 1 else [~sops.any(), sops.any() & ~twice, twice]
        )
        m.d.comb += owner.eq(Cat(bits) & group.valid[lane].replicate(1 + begun))
        owners.append(owner)
    return owners
