"""Copies the first bytes of a header out of the packets that pass."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .parser_bus import OFFSET_BITS, WINDOW_BYTES, index_limit

__all__ = ["Window", "WindowInput"]

# Multiplexer levels between two registers: what fits a cycle at 128 bytes a beat.
_LEVELS = 4


class WindowInput(data.StructLayout):
    """Beat of a packet, and where the window begins in the packet if that is known yet.

    Fields
    ------
    valid : 1 bit
        There is a beat.
    first : 1 bit
        First beat of its packet.
    index : integer
        Number of the beat in its packet, saturating.
    known, offset : 1 and 9 bits
        Where the window begins; known no later than in the beat that has its first byte.
    data : 8 * data_bytes bits
        Bytes, those that are not kept zeroed.
    """

    def __init__(self, data_bytes: int):
        super().__init__(
            {
                "valid": 1,
                "first": 1,
                "index": range(index_limit(data_bytes) + 1),
                "known": 1,
                "offset": OFFSET_BITS,
                "data": 8 * data_bytes,
            }
        )


class Window(wiring.Component):
    """Collect ``window_bytes`` bytes of each packet, from a given offset on.

    Each beat is rotated so that the window's byte n always meets lane n modulo ``data_bytes``; so
    one rotator serves all bytes. Bytes beyond the packet's end are zero, and so is all of a
    window that does not begin.

    Latency is :attr:`latency` cycles: one, the rotator's, and one. Throughput is 1 beat per cycle.

    Specification: docs/parser.md.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat.
    window_bytes : int
        1 to 64.

    Members
    -------
    i : In(WindowInput(data_bytes))
        Beats, one each cycle at most.
    o : Out(8 * window_bytes)
        The window as the beat of ``latency`` cycles before left it; byte 0 in the low bits.

    Raises
    ------
    ValueError
        If ``window_bytes`` is out of range.
    """

    i: data.View
    o: Signal

    def __init__(self, *, data_bytes: int, window_bytes: int):
        if not 1 <= window_bytes <= WINDOW_BYTES:
            raise ValueError(f"window_bytes must be 1 to {WINDOW_BYTES}, not {window_bytes!r}")
        self.data_bytes = data_bytes
        self.window_bytes = window_bytes
        lane_bits = (data_bytes - 1).bit_length()
        #: Cycles from ``i`` to ``o``.
        self.latency = 2 + -(-lane_bits // _LEVELS)
        super().__init__({"i": In(WindowInput(data_bytes)), "o": Out(8 * window_bytes)})

    def elaborate(self, platform):
        m = Module()
        lane_bits = (self.data_bytes - 1).bit_length()
        rows = -(-self.window_bytes // self.data_bytes) + 1

        # How many beats ago the window began, up to one more than it can touch.
        start = self.i.offset[lane_bits:]
        distance = Signal(range(rows + 1), reset_less=True)
        difference = Signal(signed(len(self.i.index) + 2))
        m.d.comb += difference.eq(self.i.index - start)
        m.d.sync += distance.eq(
            Mux(
                self.i.known & (difference >= 0) & (difference < rows),
                difference[: len(distance)],
                rows,
            )
        )
        shift = Signal(max(1, lane_bits), reset_less=True)
        m.d.sync += shift.eq(self.i.offset[:lane_bits])
        rotated = Signal(8 * self.data_bytes, reset_less=True)
        m.d.sync += rotated.eq(self.i.data)
        # Lane n has wrapped round when the window's byte there lies in the following beat.
        wraps = Signal(self.data_bytes, reset_less=True)
        m.d.sync += wraps.eq(
            Cat(self.i.offset[:lane_bits] >= self.data_bytes - n for n in range(self.data_bytes))
        )
        valid, first = Signal(), Signal(reset_less=True)
        m.d.sync += [valid.eq(self.i.valid), first.eq(self.i.first)]

        levels = list(reversed(range(lane_bits)))
        for number, group in enumerate(
            levels[start : start + _LEVELS] for start in range(0, len(levels), _LEVELS)
        ):
            value = rotated
            for level in group:
                value = Mux(shift[level], value.rotate_right(8 << level), value)
            following = [rotated, distance, shift, wraps, first, valid]
            held = [
                Signal.like(signal, name=f"{signal.name}_{number}", reset_less=signal is not valid)
                for signal in following
            ]
            m.d.sync += [h.eq(f) for h, f in zip(held, [value, *following[1:]], strict=True)]
            rotated, distance, shift, wraps, first, valid = held

        window = Signal(8 * self.window_bytes, reset_less=True)
        m.d.comb += self.o.eq(window)
        with m.If(valid):
            for byte in range(self.window_bytes):
                row, lane = divmod(byte, self.data_bytes)
                taken = Mux(wraps[lane], distance == row + 1, distance == row)
                with m.If(taken | first):
                    m.d.sync += window.word_select(byte, 8).eq(
                        Mux(taken, rotated.word_select(lane, 8), 0)
                    )
        return m
