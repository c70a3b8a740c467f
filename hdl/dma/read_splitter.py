"""First part of reads over PCI Express: requests of several clients become pieces of one TLP."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker, select_one_hot
from .limits import check_client_count, check_segment_count, check_slot_bytes
from .memory_port import MemoryRequestLayout
from .parts import MAX_REQUEST_BYTES, ReadPieceLayout, client_shape, row_bytes_of

__all__ = ["ReadSplitter"]

_PAGE_BITS = 12
#: Smallest Max_Read_Request_Size: blocks are counted in units of it.
_UNIT_BYTES = 128
_UNIT_BITS = 7
_POSITION_BITS = 17
_PAGE_PART = 13


class _ReadLayout(data.StructLayout):
    """What is left of a request. Positions count bytes from the 4096-byte page it begins in.

    Fields
    ------
    page : 52 bits
        Page that the request begins in.
    low : 7 bits
        Lowest bits of the position of its first byte.
    unit : 10 bits
        Other bits of the position of the next piece.
    last : 17 bits
        Position of its last byte.
    begin : 1 bit
        Nothing of it has left; only then the next piece begins inside a unit.
    nothing : 1 bit
        Its length is 0; ``last`` means nothing.
    tag, no_snoop, relaxed_ordering, id_ordering : 8, 1, 1, 1 bits
        Of the request.
    """

    def __init__(self):
        super().__init__(
            {
                "page": 64 - _PAGE_BITS,
                "low": _UNIT_BITS,
                "unit": _POSITION_BITS - _UNIT_BITS,
                "last": _POSITION_BITS,
                "begin": 1,
                "nothing": 1,
                "tag": 8,
                "no_snoop": 1,
                "relaxed_ordering": 1,
                "id_ordering": 1,
            }
        )


class ReadSplitter(wiring.Component):
    """Cut the requests of ``client_count`` clients into pieces, a TLP each.

    A piece lies within an aligned block of min(Max_Read_Request_Size, 4096, ``slot_bytes``) bytes
    and goes up to the end of the block or of the request, so a request has as few pieces as
    blocks that it touches. One of no bytes is one piece. The clients that have a request and are
    allowed take turns, piece by piece; of each client the pieces keep the order.

    Latency is 3 cycles. Throughput is 1 piece per cycle, of one client or of many, whether their
    requests have one piece or more.

    Specification: PCI Express Base Specification, 2.2.7 (Length does not exceed
    Max_Read_Request_Size, no crossing of 4 KB boundaries), and this docstring.

    Parameters
    ----------
    client_count : int
        Clients, 1 to 16.
    segment_count : int
        Segments of a beat of TLPs, 1, 2 or 4: a row has 32 times as many bytes.
    slot_bytes : int
        Bytes that a piece has at most: a power of two, 128 to 4096.

    Members
    -------
    requests : In(stream.Signature(MemoryRequestLayout())).array(client_count)
        What to read; ``space`` is ignored. ``ready`` depends combinationally on ``allowed``.
    max_request : In(3)
        Max_Read_Request_Size, as coded in Device Control: 128 << n bytes; 6 and 7 count as 5. It
        may change at any time; pieces that leave 3 cycles later keep to it.
    allowed : In(client_count)
        Bit n set: a piece of client n may be chosen.
    take : Out(client_count)
        One-hot: whose piece is chosen in this cycle. Depends combinationally on ``allowed``.
    o : Out(stream.Signature(ReadPieceLayout(client_count, row_bytes)))
        Pieces, registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    requests: list[stream.Interface]
    max_request: Signal
    allowed: Signal
    take: Signal
    o: stream.Interface

    def __init__(self, *, client_count: int, segment_count: int, slot_bytes: int):
        check_client_count(client_count)
        check_segment_count(segment_count)
        check_slot_bytes(slot_bytes)
        self.client_count = client_count
        self.slot_bytes = slot_bytes
        self._piece = ReadPieceLayout(client_count, row_bytes_of(segment_count))
        request = stream.Signature(MemoryRequestLayout())
        super().__init__(
            {
                "requests": In(request).array(client_count),
                "max_request": In(3),
                "allowed": In(client_count),
                "take": Out(client_count),
                "o": Out(stream.Signature(self._piece)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Bits of a unit's number that differ within a block, in this and in the next cycle.
        inside = Signal(_POSITION_BITS - _UNIT_BITS)
        next_inside = Signal.like(inside)
        block_bytes = min(MAX_REQUEST_BYTES, self.slot_bytes)
        for code in range(1, (block_bytes // _UNIT_BYTES).bit_length()):
            m.d.comb += next_inside[code - 1].eq(self.max_request >= code)
        m.d.sync += inside.eq(next_inside)

        moves = Signal()
        m.submodules.picker = picker = RoundRobinPicker(request_count=max(2, self.client_count))
        grant = picker.grant[: self.client_count]
        m.d.comb += [picker.take.eq(moves), self.take.eq(Mux(moves, grant, 0))]
        reads = []
        finals = []
        for number in range(self.client_count):
            has, read, final = self._client(m, number, inside, next_inside)
            m.d.comb += picker.requests[number].eq(has & self.allowed[number])
            reads.append(Value.cast(read))
            finals.append(final)

        valid = Signal()
        client = Signal(client_shape(self.client_count), reset_less=True)
        chosen = Signal(_ReadLayout(), reset_less=True)
        final = Signal(reset_less=True)
        block_end = Signal(5, reset_less=True)
        selected = Signal(_ReadLayout())
        m.d.comb += selected.eq(select_one_hot(grant, reads))
        with m.If(moves):
            m.d.sync += [
                valid.eq(picker.granted),
                client.eq(picker.index),
                chosen.eq(selected),
                final.eq(select_one_hot(grant, finals)),
                block_end.eq(selected.unit | inside),
            ]

        piece = Signal(self._piece)
        offset = Signal(_PAGE_BITS)
        end = Signal(_PAGE_BITS)
        m.d.comb += [
            offset.eq(Cat(Mux(chosen.begin, chosen.low, 0), chosen.unit[:5])),
            end.eq(Mux(final, chosen.last[:_PAGE_BITS], Cat(C(127, _UNIT_BITS), block_end))),
            piece.client.eq(client),
            piece.address.eq(Cat(offset, self._page(m, chosen.page, chosen.unit[5:]))),
            piece.length.eq(Mux(chosen.nothing, 0, end - offset + 1)),
            piece.begin.eq(chosen.begin),
            piece.end.eq(final),
            piece.shift.eq(chosen.low),
            *(
                piece[name].eq(chosen[name])
                for name in ("tag", "no_snoop", "relaxed_ordering", "id_ordering")
            ),
        ]
        self._leave(m, piece, valid, moves)
        return m

    def _client(
        self, m: Module, number: int, inside: Value, next_inside: Value
    ) -> tuple[Value, data.View, Value]:
        """Hold a request of client ``number``; return if there is one, what is left, if final."""
        port = self.requests[number]
        has = Signal(name=f"has_{number}")
        read = Signal(_ReadLayout(), name=f"read_{number}", reset_less=True)
        final = Signal(name=f"final_{number}", reset_less=True)
        taken = self.take[number]
        m.d.comb += port.ready.eq(~has | (taken & final))
        offset = port.p.address[:_PAGE_BITS]

        # Whether the next piece is the last one, of what comes, goes on, or stays: each is found
        # without asking which of them it will be.
        following = Signal.like(read.unit, name=f"following_{number}")
        reach = Signal(_POSITION_BITS, name=f"reach_{number}")
        last_unit = read.last[_UNIT_BITS:]
        m.d.comb += [
            following.eq((read.unit | inside) + 1),
            # 4096 if it ends with its block.
            reach.eq(port.p.length + (offset | Cat(C(0, _UNIT_BITS), ~next_inside[:5]))),
        ]
        comes = ~(reach[_PAGE_BITS + 1 :].any() | (reach[_PAGE_BITS] & reach[:_PAGE_BITS].any()))
        goes_on = ~((following ^ last_unit) & ~next_inside).any()
        stays = read.nothing | ~((read.unit ^ last_unit) & ~next_inside).any()
        m.d.sync += final.eq(Mux(~has | taken, Mux(~has | final, comes, goes_on), stays))
        with m.If(port.ready):
            m.d.sync += has.eq(port.valid)
        # What comes next does not ask whether this piece is taken. Without a request, nothing that
        # stands here means anything.
        with m.If(~has | taken):
            with m.If(~has | final):
                m.d.sync += [
                    read.page.eq(port.p.address[_PAGE_BITS:]),
                    read.low.eq(offset[:_UNIT_BITS]),
                    read.unit.eq(offset[_UNIT_BITS:]),
                    read.last.eq(offset + port.p.length - 1),
                    read.begin.eq(1),
                    read.nothing.eq(port.p.length == 0),
                    *(
                        read[name].eq(port.p[name])
                        for name in ("tag", "no_snoop", "relaxed_ordering", "id_ordering")
                    ),
                ]
            with m.Else():
                m.d.sync += [read.unit.eq(following), read.begin.eq(0)]
        return has, read, final

    def _page(self, m: Module, page: Value, beyond: Value) -> Value:
        """Add ``beyond`` to ``page``: parts of it at once, so that no carry goes far."""
        low = Signal(_PAGE_PART + 1)
        m.d.comb += low.eq(page[:_PAGE_PART] + beyond)
        parts = [low[:_PAGE_PART]]
        carry = low[_PAGE_PART]
        for first in range(_PAGE_PART, len(page), _PAGE_PART):
            part = page[first : first + _PAGE_PART]
            following = Signal(len(part), name=f"following_{first}")
            m.d.comb += following.eq(part + 1)
            parts.append(Mux(carry, following, part))
            carry = carry & part.all()
        return Cat(parts)

    def _leave(self, m: Module, piece: data.View, valid: Value, moves: Value) -> None:
        """Put ``piece`` on ``o``, or aside while that is refused: so ``moves`` is of registers."""
        waits = Signal()
        waiting = Signal(self._piece, reset_less=True)
        leaving = Signal(self._piece, reset_less=True)
        m.d.comb += [moves.eq(~valid | ~waits), self.o.payload.eq(leaving)]
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(valid | waits),
                waits.eq(0),
                leaving.eq(Mux(waits, waiting, piece)),
            ]
        with m.Elif(valid):
            m.d.sync += waits.eq(1)
        with m.If(~waits):
            m.d.sync += waiting.eq(piece)
