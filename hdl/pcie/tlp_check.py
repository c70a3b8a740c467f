"""First block behind a link: what of the received is a TLP, and one that may pass."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .announced import AnnouncedLayout, announce
from .checked_beat import CheckedBeatLayout
from .credit_arithmetic import add_less
from .parts import CreditAmountsLayout
from .port import DATA_CREDIT_BITS, HEADER_CREDIT_BITS
from .receive_credits import RETURNED_BITS
from .tlp import CLASS_COUNT, TlpBeatLayout, TlpHeaderLayout

__all__ = ["TlpCheck"]


class TlpCheck(wiring.Component):
    """Tell TLPs that may pass from those that end here, at any number of TLPs per beat.

    Malformed is a TLP that breaks a rule of :func:`well_formed`, whose payload and digest are not
    as long as its header says, or that is not framed: an idle lane or a sop before its eop, or no
    eop in the beat in which its last segment was due. Segments without a sop before them count as
    one malformed TLP until an eop, an idle lane or a sop follows. It is dropped; its credits, by
    its Length field, were the sender's to spend, so they are counted as received and returned.

    Overflow is a TLP for which there was no ``room`` in its class; so is a later one of its class
    that ends in the same beat. It is dropped and takes no credits. Overflow goes before malformed
    (6.2.3.2.3, error pollution). A nullified TLP is dropped without a trace, malformed or not,
    and so is one that ``flush`` cuts off.

    Credits are taken when a TLP ends. Nothing that comes in ever stops the block, and the next sop
    is the begin of a TLP whatever came before.

    Latency is 3 cycles to ``o``, 2 to ``room_left``, 4 to the events and ``dropped``. Throughput
    is 1 beat per cycle.

    Specification: PCI Express Base Specification, 2.2 (rules for TLP fields), 2.3.1 (handling of
    received TLPs), 2.6.1 (receiver overflow), 3.6.3 (nullified TLPs).

    Parameters
    ----------
    segment_count : int
        Segments a beat: 1, 2 or 4.
    max_payload_bytes : int
        Longest payload that the port takes: 128 to 4096, a power of two. A TLP that claims more
        is malformed.

    Members
    -------
    i : In(TlpBeatLayout(segment_count))
        What was received.
    flush : In(1)
        The link is down: ``i`` is not looked at, and an open TLP ends as nullified.
    room : In(CreditAmountsLayout(12, 16))
        Credits that the sender has left, of :class:`ReceiveCredits`.
    returning : In(CreditAmountsLayout(12, 16))
        Credits that come back to the sender in this cycle; they are not in ``room`` yet.
    room_left : Out(CreditAmountsLayout(12, 16))
        ``room`` and ``returning`` less what is received in this cycle; combinational from both.
    o : Out(CheckedBeatLayout(segment_count))
        What may pass, registered; to :class:`TlpBuffer`.
    dropped : Out(CreditAmountsLayout(3, 11))
        Credits of malformed TLPs, to be returned; registered.
    malformed, overflow, nullified : Out(range(segment_count + 2))
        How many there were in the beat 4 cycles ago; registered.
    bad_header : Out(TlpHeaderLayout())
        Header of the first malformed or overflowing TLP among these; 0 if there is none, or only
        segments without a header. Registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: Any
    flush: Signal
    room: Any
    returning: Any
    room_left: Any
    o: Any
    dropped: Any
    malformed: Signal
    overflow: Signal
    nullified: Signal
    bad_header: Any

    def __init__(self, *, segment_count: int, max_payload_bytes: int):
        if max_payload_bytes not in (128, 256, 512, 1024, 2048, 4096):
            raise ValueError(
                f"max_payload_bytes must be a power of two, 128 to 4096, not {max_payload_bytes!r}"
            )
        self.segment_count = segment_count
        self.max_payload_bytes = max_payload_bytes
        amounts = CreditAmountsLayout(HEADER_CREDIT_BITS, DATA_CREDIT_BITS)
        count = range(segment_count + 2)
        super().__init__(
            {
                "i": In(TlpBeatLayout(segment_count)),
                "flush": In(1),
                "room": In(amounts),
                "returning": In(amounts),
                "room_left": Out(amounts),
                "o": Out(CheckedBeatLayout(segment_count)),
                "dropped": Out(CreditAmountsLayout(*RETURNED_BITS)),
                "malformed": Out(count),
                "overflow": Out(count),
                "nullified": Out(count),
                "bad_header": Out(TlpHeaderLayout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Four stages; what each hands to the next is registered. A beat has TLPs at up to
        # segment_count + 1 places: 0 is the one that was open before, n + 1 begins in lane n.
        received = self._read(m)
        framed = self._frame(m, received)
        settled = self._settle(m, framed)
        self._report(m, settled)
        return m

    def _stage(self, m: Module, name: str, *, keep: bool = False, **values: Any) -> dict[str, Any]:
        """Register ``values``; what others say the meaning of needs no reset, ``keep``."""
        signals = {}
        for key, value in values.items():
            shape = value.shape() if isinstance(value, data.View) else len(value)
            signals[key] = Signal(shape, name=f"{name}_{key}", reset_less=keep)
            m.d.sync += signals[key].eq(value)
        return signals

    def _read(self, m: Module) -> dict[str, Any]:
        """Read the headers, and see which lanes hang together by sop, eop and valid alone."""
        count = self.segment_count
        segments = [self.i.segments[n] for n in range(count)]
        valid = Signal(count)
        sop = Signal(count)
        eop = Signal(count)
        m.d.comb += [
            valid.eq(self.i.valid & ~self.flush.replicate(count)),
            sop.eq(valid & Cat(segment.sop for segment in segments)),
            eop.eq(valid & Cat(segment.eop for segment in segments)),
        ]
        nullified = Cat(segment.nullified for segment in segments)

        lanes = []
        for number, segment in enumerate(segments):
            lane = Signal(AnnouncedLayout(), name=f"lane_{number}")
            m.d.comb += announce(lane, segment.header, self.max_payload_bytes)
            lanes.append(lane)

        places = []
        for place in range(count + 1):
            first = max(place - 1, 0)
            member = Signal(count, name=f"member_{place}")
            for n in range(first, count):
                begins = sop[n] if n == first and place else valid[n] & ~sop[n]
                before = C(1) if n == first else member[n - 1] & ~eop[n - 1]
                m.d.comb += member[n].eq(begins & before)
            ends = member & eop
            empty = Signal(4, name=f"empty_{place}")
            for n in range(count):
                with m.If(ends[n]):
                    m.d.comb += empty.eq(segments[n].empty)
            places.append(
                self._stage(
                    m,
                    f"read_{place}",
                    member=member,
                    ends=ends,
                    spans=member[-1] & ~eop[-1],
                    nullified=(ends & nullified).any(),
                    empty=empty,
                )
            )

        # A segment begins an orphan if no segment goes before it in the beat that it belongs to.
        orphans = Cat(
            valid[n] & ~sop[n] & (~valid[n - 1] | eop[n - 1] if n else 1) for n in range(count)
        )
        kept = self._stage(m, "read", keep=True, segments=self.i.segments)
        for number, lane in enumerate(lanes):
            kept |= self._stage(m, f"read_{number}", keep=True, **{f"lane_{number}": lane})
        return {
            **self._stage(
                m,
                "read",
                any_valid=valid.any(),
                flush=self.flush,
                orphans=orphans,
                unfinished=valid[-1] & ~eop[-1],
            ),
            **kept,
            "places": places,
        }

    def _frame(self, m: Module, read: dict[str, Any]) -> dict[str, Any]:
        """See which TLPs end, and how, knowing what was open; add up what each class costs."""
        count = self.segment_count
        is_open = Signal()
        skips = Signal()
        left = Signal(8)  # segments that the open TLP still has to have
        open_lane = Signal(AnnouncedLayout(), reset_less=True)
        open_header = Signal(TlpHeaderLayout(), reset_less=True)

        places = []
        for place, found in enumerate(read["places"]):
            lane = read[f"lane_{place - 1}"] if place else open_lane
            exists = found["member"].any() & (1 if place else is_open)
            there = Signal(name=f"there_{place}")
            m.d.comb += there.eq(exists if place else is_open & (read["any_valid"] | read["flush"]))
            # Segments from here to the end of the beat, and those that the TLP still needs.
            span = count - max(place - 1, 0)
            needs = (lane.more + 1) if place else left
            fits = Cat(
                found["ends"][n] & (needs == n + 1 - max(place - 1, 0))
                for n in range(max(place - 1, 0), count)
            ).any()
            ended = found["ends"].any()
            goes_on = Signal(name=f"goes_on_{place}")
            nullified = Signal(name=f"nullified_{place}")
            m.d.comb += [
                goes_on.eq(there & found["spans"] & (needs > span)),
                nullified.eq(there & ended & found["nullified"]),
            ]
            if not place:
                with m.If(read["flush"]):
                    m.d.comb += nullified.eq(there)
            places.append(
                {
                    "member": found["member"] & there.replicate(count),
                    "goes_on": goes_on,
                    "nullified": nullified,
                    "charged": there & ~goes_on & ~nullified,
                    "well": lane.sound & fits & (found["empty"] == lane.empty),
                    "sound": lane.sound,
                    "tlp_class": lane.tlp_class,
                    "cost": lane.cost,
                    # Before the last place of the beat, all that are there end in it.
                    "counts": there & ~(ended & found["nullified"]),
                }
            )

        going_on = Cat(place["goes_on"] for place in places)
        with m.If(read["any_valid"] | read["flush"]):
            m.d.sync += [
                is_open.eq(going_on.any()),
                skips.eq(read["unfinished"] & ~going_on.any()),
                left.eq(left - count),
            ]
        for place in range(1, count + 1):
            lane = read[f"lane_{place - 1}"]
            with m.If(going_on[place]):
                m.d.sync += [
                    left.eq(lane.more - (count - place)),
                    open_lane.eq(lane),
                    open_header.eq(read["segments"][place - 1].header),
                ]

        staged = []
        for place, found in enumerate(places):
            earlier = [
                (other, other["counts"] & (other["tlp_class"] == found["tlp_class"]))
                for other in places[:place]
            ]
            headers = sum((counts for _, counts in earlier), C(1, 1))
            units = [other["cost"] & counts.replicate(9) for other, counts in earlier]
            units = [*units, found["cost"]]
            halves = [sum(units[n : n + 2], C(0, 1)) for n in range(0, len(units), 2)]
            staged.append(
                self._stage(
                    m,
                    f"framed_{place}",
                    **{key: value for key, value in found.items() if key != "counts"},
                    headers=headers,
                    units=sum(halves[1:], halves[0]),
                )
            )
        orphans = read["orphans"] & Cat(~is_open & ~skips, C((1 << count - 1) - 1, count - 1))
        return {
            **self._stage(
                m,
                "framed",
                orphans=orphans,
                open_ends=is_open
                & ~going_on[0]
                & (read["any_valid"] | read["flush"])
                & open_lane.sound,
            ),
            **self._stage(m, "framed", keep=True, segments=read["segments"], header=open_header),
            "places": staged,
        }

    def _settle(self, m: Module, framed: dict[str, Any]) -> dict[str, Any]:
        """See which TLPs have room; let through what may pass."""
        count = self.segment_count
        places = framed["places"]
        settled = []
        kept = C(0, count)
        tail = C(0, count)
        for place, found in enumerate(places):
            over = Signal(name=f"over_{place}")
            taken = Signal(name=f"taken_{place}")
            amounts = self.room.shape().elem_shape
            room: Any = Signal(amounts, name=f"room_{place}")
            returning: Any = Signal(amounts, name=f"returning_{place}")
            left: Any = Signal(amounts, name=f"left_{place}")
            with m.Switch(found["tlp_class"]):
                for number in range(CLASS_COUNT):
                    with m.Case(number):
                        m.d.comb += [
                            room.eq(self.room[number]),
                            returning.eq(self.returning[number]),
                        ]
            m.d.comb += [
                left.headers.eq(add_less(room.headers, returning.headers, found["headers"])),
                left.data.eq(add_less(room.data, returning.data, found["units"])),
                over.eq(
                    found["charged"]
                    & ((room.headers < found["headers"]) | (room.data < found["units"]))
                ),
                taken.eq(found["charged"] & ~over),
            ]
            passes = found["sound"] & (found["goes_on"] | (taken & found["well"]))
            kept |= found["member"] & passes.replicate(count)
            tail |= found["member"] & (found["sound"] & found["goes_on"]).replicate(count)
            settled.append(
                {
                    "over": over,
                    "taken": taken,
                    "left": left,
                    **found,
                }
            )

        # What the last TLP of a class leaves that was taken in, is what all of them leave.
        for number in range(CLASS_COUNT):
            room, returning = self.room[number], self.returning[number]
            m.d.comb += [
                self.room_left[number].headers.eq(room.headers + returning.headers),
                self.room_left[number].data.eq(room.data + returning.data),
            ]
            for found in settled:
                with m.If(found["taken"] & (found["tlp_class"] == number)):
                    m.d.comb += self.room_left[number].eq(found["left"])

        valid = Signal(count)
        segments = Signal.like(framed["segments"], name="settled_segments", reset_less=True)
        m.d.sync += [
            segments.eq(framed["segments"]),
            valid.eq(kept),
            self.o.tail.eq(tail),
            self.o.ended.eq(framed["open_ends"]),
            self.o.bad.eq(~(settled[0]["taken"] & settled[0]["well"])),
        ]
        m.d.comb += [self.o.beat.valid.eq(valid), self.o.beat.segments.eq(segments)]
        return {
            **self._stage(m, "settled", orphans=framed["orphans"]),
            **self._stage(m, "settled", keep=True, header=framed["header"]),
            "segments": segments,
            "places": [
                self._stage(
                    m,
                    f"settled_{place}",
                    overflow=found["over"],
                    malformed=found["taken"] & ~found["well"],
                    nullified=found["nullified"],
                    tlp_class=found["tlp_class"],
                    cost=found["cost"],
                )
                for place, found in enumerate(settled)
            ],
        }

    def _report(self, m: Module, settled: dict[str, Any]) -> None:
        """Count what ended here, return its credits, and keep the first one's header."""
        places = settled["places"]
        malformed = [found["malformed"] for found in places]
        zero = C(0, 1)
        m.d.sync += [
            self.malformed.eq(sum([*malformed, *settled["orphans"]], zero)),
            self.overflow.eq(sum((found["overflow"] for found in places), zero)),
            self.nullified.eq(sum((found["nullified"] for found in places), zero)),
        ]
        for number in range(CLASS_COUNT):
            of_class = [found["malformed"] & (found["tlp_class"] == number) for found in places]
            units = [
                found["cost"] & here.replicate(9)
                for found, here in zip(places, of_class, strict=True)
            ]
            halves = [sum(units[n : n + 2], zero) for n in range(0, len(units), 2)]
            m.d.sync += [
                self.dropped[number].headers.eq(sum(of_class, zero)),
                self.dropped[number].data.eq(sum(halves, zero)),
            ]
        m.d.sync += self.bad_header.eq(0)
        for place, found in reversed(list(enumerate(places))):
            header = settled["segments"][place - 1].header if place else settled["header"]
            with m.If(found["malformed"] | found["overflow"]):
                m.d.sync += self.bad_header.eq(header)
