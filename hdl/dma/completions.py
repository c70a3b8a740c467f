"""Path of completions: from TLPs to the slots of their reads."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..pcie.tlp import TlpBeatLayout
from .completion_check import CompletionCheck
from .completion_gather import CompletionGather
from .completion_parts import TagAskedLayout, begun_count
from .completion_store import CompletionStore
from .limits import check_slot_bytes, check_tag_count
from .parts import TagDoneLayout, TagEndedLayout, row_bytes_of

__all__ = ["Completions"]


class Completions(wiring.Component):
    """Check completions against the reads that are out, and keep their data in slots.

    ===============  ==============================================================================
    A read ends as   when
    ===============  ==============================================================================
    OK               its last byte has come
    POISONED         likewise, and one of its completions was poisoned
    UNSUPPORTED      a completion says so
    ABORT            one has another status that is no success, or breaks the rules: no data, wrong
                     byte count or lower address, too long, not as long as its header says
    other            ``fail`` says so, before its last completion came
    ===============  ==============================================================================

    A completion that belongs to no read that is out, also when ``fail`` has ended its read
    meanwhile, is dropped and counted as unexpected. A nullified one has not come.

    A read of 0 bytes is answered as one of 1 byte; lower address bits 1:0 are not looked at then.

    Whatever comes, ``i`` is refused only in cycles in which something is worked on; nothing else is
    waited for. A beat takes a cycle for each of its groups; see :class:`CompletionGather`. One more
    where a completion ends beyond the last bank of a full beat, and the next one begins in the
    bank where that end lies.

    Latency from the last beat of a read to ``done`` is 6 cycles. Throughput is 1 beat per cycle,
    and 1 row read per cycle.

    Specification: this docstring, on the rules of :class:`TlpBeatLayout`; PCI Express Base
    Specification, 2.2.9, 2.3.1.1 and 2.3.2.

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    tag_count : int
        Tags, 4 to 1024, even.
    slot_bytes : int
        Bytes of a slot: 128 to 4096, a power of two. No read crosses a multiple of it.

    Members
    -------
    i : In(stream.Signature(TlpBeatLayout(segment_count)))
        Completions. ``i.ready`` depends on registers and ``fail.valid``.
    requester : In(16)
        Our own ID.
    asked : In(TagAskedLayout(tag_count))
        Strobe: reads that go out, of tags that are not out and of which ``done`` was given.
    fail : In(stream.Signature(TagDoneLayout(tag_count)))
        Reads that have failed otherwise; ``ready`` is always 1. Where the read has ended
        already, nothing happens.
    out : Out(tag_count)
        Bit n: the read of tag n has not ended; registered.
    done : Out(TagEndedLayout(tag_count)).array(max(1, segment_count // 2))
        Strobes, registered: for each read that was asked for one, when it ends. What came can be
        read from the next cycle on. Two of a cycle differ in bit 0 of the tag.
    read_en : In(1), read_row : In(range(tag_count * slot_rows))
        Row of the store to read. That of tag t and the byte at address a is t * slot_rows +
        (a % slot_bytes) // row_bytes, where slot_rows is slot_bytes // row_bytes.
    read_data : Out(8 * row_bytes)
        The row, 1 cycle later; byte a % row_bytes is that of address a.
    unexpected : Out(range(max(1, segment_count // 2) + 1))
        Strobe, registered: how many completions were dropped.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: stream.Interface
    requester: Signal
    asked: Any
    fail: stream.Interface
    out: Signal
    done: list[Any]
    read_en: Signal
    read_row: Signal
    read_data: Signal
    unexpected: Signal

    def __init__(self, *, segment_count: int, tag_count: int, slot_bytes: int):
        beat = TlpBeatLayout(segment_count)
        check_tag_count(tag_count)
        check_slot_bytes(slot_bytes)
        sizes = {
            "segment_count": segment_count,
            "tag_count": tag_count,
            "slot_bytes": slot_bytes,
        }
        self.gather = CompletionGather(segment_count=segment_count, tag_count=tag_count)
        self.check = CompletionCheck(**sizes)
        self.store = CompletionStore(**sizes)
        begun = begun_count(segment_count)
        row_bytes = row_bytes_of(segment_count)
        super().__init__(
            {
                "i": In(stream.Signature(beat)),
                "requester": In(16),
                "asked": In(TagAskedLayout(tag_count)),
                "fail": In(stream.Signature(TagDoneLayout(tag_count))),
                "out": Out(tag_count),
                "done": Out(TagEndedLayout(tag_count)).array(begun),
                "read_en": In(1),
                "read_row": In(range(tag_count * slot_bytes // row_bytes)),
                "read_data": Out(8 * row_bytes),
                "unexpected": Out(range(begun + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.gather = gather = self.gather
        m.submodules.check = check = self.check
        m.submodules.store = store = self.store
        wiring.connect(m, wiring.flipped(self.i), gather.i)
        wiring.connect(m, wiring.flipped(self.fail), gather.fail)
        m.d.comb += [
            gather.requester.eq(self.requester),
            check.i.eq(gather.o),
            check.asked.eq(self.asked),
            store.i.eq(gather.o),
            store.verdict.eq(check.verdict),
            store.read_en.eq(self.read_en),
            store.read_row.eq(self.read_row),
            self.out.eq(check.out),
            self.unexpected.eq(check.unexpected),
            self.read_data.eq(store.read_data),
        ]
        for done, ended in zip(self.done, check.done, strict=True):
            m.d.comb += done.eq(ended)
        return m
