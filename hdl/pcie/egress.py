"""Egress: chooses what an egress port sends next."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker, select_one_hot
from .credit_arithmetic import covers
from .parts import CreditAmountsLayout, DeadRowLayout, HeadSignature
from .port import DATA_CREDIT_BITS, HEADER_CREDIT_BITS
from .reservation import CreditReservation
from .tlp import CLASS_COUNT, TlpBeatLayout, TlpClass, TlpSegmentLayout
from .tlp_packer import TlpPacker, select_wide

__all__ = ["Egress"]

#: Rows taken and not yet in the packer. A row that is taken stands in the crosspoint's RAM in the
#: next cycle and here in the one after, when it moves on at the soonest; its room is counted one
#: cycle later: 3 keep the pipeline going, and hold all that is under way when the packer stops.
_ROWS = 4


class Egress(wiring.Component):
    """Take rows from the crosspoints of an egress port and send them, TLP after TLP.

    **Turns.** Between TLPs, the queues take turns, among those whose head is allowed and has
    credits for its first TLP at least. With credits for all that it has left, a row is taken
    whole, else up to the first eop. Where a row ends within a TLP, that queue's next row follows
    before all others: its first TLP needs no leave and no more credits. So a queue goes on for as
    long as its rows end within TLPs; after ``quantum_rows`` rows, and while another queue could
    go, it has to leave at the next eop.

    **No starvation.** With R rows in the largest TLP, a turn has less than ``quantum_rows`` + R
    rows, and a head with credits waits for at most 3 * ``source_count`` - 1 turns. A head without
    credits for its first TLP is passed by at most ``quantum_rows`` rows of its class that begin
    one; then credits of its class are kept for it, or for another such head of its class whose
    turn is before its own. Classes do not share credits: those without do not hold up others.

    **Credits** of a whole TLP are spent when its first row is taken.

    **Link down.** While ``port_up`` is low posted rows and completions are taken and dropped, all
    queues at once, and rows of non-posted requests go to ``dead`` in turns. What was under way to
    ``o`` is forgotten, ``o.valid`` falls within 2 cycles even if the beat was refused, and the
    rest of a TLP that had begun is dropped, also when it comes after ``port_up`` is back. A TLP
    that began on ``dead`` ends there before anything is sent again.

    Latency is 4 cycles from a head to ``o``. Throughput is a row in each cycle, from one queue or
    from many: ``segment_count`` segments a cycle while rows are full.

    Specification: this docstring; PCI Express Base Specification, 2.4.1, ordering rules, and
    2.6.1, flow control rules.

    Parameters
    ----------
    source_count : int
        Crosspoints that feed this port, 2 to 9: of the ingress ports, and of the switch itself.
    segment_count : int
        Segments a beat, 1, 2 or 4.
    quantum_rows : int
        Rows after which a turn ends where it can, 1 or more.

    Members
    -------
    heads : In(HeadSignature(segment_count)).array(source_count, 3)
        Queues by source and :class:`TlpClass`. ``take`` and ``whole`` depend combinationally on
        ``heads``, ``available`` and, while down, on ``port_up``; ``take`` comes last. Rows of a TLP
        follow each other without a pause, else ``o.valid`` may fall within it.
    segments : In(array of TlpSegmentLayout).array(source_count, 3)
        Rows, in the cycle after ``take``.
    available : In(CreditAmountsLayout(13, 17))
        Credits left, all ones where they are infinite; what is on ``spend`` is subtracted in the
        next cycle.
    spend : Out(CreditAmountsLayout(3, 11))
        Credits that the rows taken in the last cycle spend, registered.
    port_up : In(1)
        The link takes TLPs; low for 3 cycles at least. Reset counts as one cycle of low.
    o : Out(stream.Signature(TlpBeatLayout(segment_count)))
        Beats, packed by :class:`TlpPacker`.
    dead : Out(stream.Signature(DeadRowLayout(segment_count)))
        Rows of non-posted requests that cannot be sent, registered.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    heads: Any
    segments: Any
    available: data.View
    spend: data.View
    port_up: Signal
    o: stream.Interface
    dead: stream.Interface

    def __init__(self, *, source_count: int, segment_count: int, quantum_rows: int = 16):
        if not 2 <= source_count <= 9:
            raise ValueError(f"source_count must be 2 to 9, not {source_count!r}")
        if quantum_rows < 1:
            raise ValueError(f"quantum_rows must be 1 or more, not {quantum_rows!r}")
        beat = TlpBeatLayout(segment_count)
        self.source_count = source_count
        self.segment_count = segment_count
        self.quantum_rows = quantum_rows
        self.queue_count = source_count * CLASS_COUNT
        row = data.ArrayLayout(TlpSegmentLayout(), segment_count)
        super().__init__(
            {
                "heads": In(HeadSignature(segment_count)).array(source_count, CLASS_COUNT),
                "segments": In(row).array(source_count, CLASS_COUNT),
                "available": In(CreditAmountsLayout(HEADER_CREDIT_BITS + 1, DATA_CREDIT_BITS + 1)),
                "spend": Out(CreditAmountsLayout(3, 11)),
                "port_up": In(1),
                "o": Out(stream.Signature(beat)),
                "dead": Out(stream.Signature(DeadRowLayout(segment_count))),
            }
        )

        # State. Of vectors, one bit for each queue: by source, then by class.
        self.is_up = Signal()
        self.is_down = Signal(init=1)
        self.served = Signal(self.queue_count)  # one-hot: whose turn is the latest
        self.continues = Signal(self.queue_count)  # counts for that one: it is within a TLP
        self.cut = Signal(self.queue_count)  # the rest of a TLP comes first, to be dropped
        self.taken = Signal(self.queue_count)  # one-hot: whose row is on `segments`
        self.room = Signal(range(_ROWS + 1), init=_ROWS)
        self.dead_busy = Signal()

    def elaborate(self, platform):
        m = Module()
        heads = [head for source in self.heads for head in source]
        classes = [number for _ in self.heads for number in range(CLASS_COUNT)]
        every = self.queue_count
        non_posted = Cat(number == TlpClass.NON_POSTED.value for number in classes)

        # What each queue has and wants. `first` means up to the first eop, `all` all that is left.
        valid = Signal(every)
        has_lanes = Signal(every)  # what waits for others of its crosspoint may not show any
        allowed = Signal(every)
        begins = Signal(every)
        begins_any = Signal(every)
        ends_first = Signal(every)
        ends_all = Signal(every)
        covered_first = Signal(every)
        covered_all = Signal(every)
        firsts = []
        alls = []
        for q, head in enumerate(heads):
            number = classes[q]
            firsts.append((begins[q], head.needs.first_cost & begins[q].replicate(9)))
            # What the rest of the row asks for, whether all of it is offered or not.
            alls.append((head.needs.headers, head.needs.cost))
            available = self.available[number]
            spent = self.spend[number]

            def can_pay(need, available=available, spent=spent):
                headers, cost = need
                return covers(available.headers, spent.headers, headers) & covers(
                    available.data, spent.data, cost
                )

            lanes = [head.lanes[n] for n in range(self.segment_count)]
            sops = Cat(lane.valid & lane.sop for lane in lanes)
            eops = Cat(lane.valid & lane.eop for lane in lanes)
            beyond = Cat(
                Cat(lane.valid for lane in lanes)[n + 1 :].any() for n in range(len(lanes))
            )
            m.d.comb += [
                valid[q].eq(head.valid),
                has_lanes[q].eq(head.valid & Cat(lane.valid for lane in lanes).any()),
                allowed[q].eq(head.allowed),
                # From registers: what is not offered is not among `first`, and `lanes` come late.
                begins[q].eq((Cat(lane.sop for lane in lanes) & head.needs.first).any()),
                begins_any[q].eq(sops.any()),
                ends_first[q].eq(eops.any()),
                ends_all[q].eq((eops & ~beyond).any()),
                covered_first[q].eq(can_pay(firsts[q])),
                covered_all[q].eq(can_pay(alls[q])),
            ]

        # Which queue. In the middle of a TLP there is no choice.
        waiting = Signal(every)  # could begin a TLP but for credits
        blocked = Signal(every)  # credits are kept for another
        ready = Signal(every)  # could begin a TLP with credits for it
        starts = Signal(every)
        kept = Signal(every)  # one-hot: goes on with its TLP
        locked = Signal()
        go = Signal()
        chosen = Signal(every)
        m.submodules.picker = picker = RoundRobinPicker(request_count=every)
        m.d.comb += [
            waiting.eq(valid & allowed & ~self.cut & ~(self.served & self.continues)),
            # The credits are known last, so all else is asked before.
            ready.eq(waiting & Mux(self.is_down, non_posted, ~blocked)),
            starts.eq(ready & (covered_first | self.is_down.replicate(every))),
            locked.eq((self.served & self.continues).any()),
            go.eq(
                (self.is_up & self.room.any())
                | (self.is_down & ~self.dead_busy & (locked | ~self.port_up))
            ),
            kept.eq(self.served & valid & (go & locked).replicate(every)),
            picker.requests.eq(starts & (go & ~locked).replicate(every)),
            picker.take.eq(1),
            chosen.eq(picker.grant | kept),
        ]

        # How much of its row.
        rows = Signal(range(self.quantum_rows + 1))
        turn_over = Signal()
        whole = Signal(every)
        m.d.comb += [
            turn_over.eq((rows == self.quantum_rows) & (starts & ~self.served).any()),
            whole.eq(
                (covered_all & allowed & ~blocked & ~(locked & turn_over).replicate(every))
                | self.is_down.replicate(every)
            ),
        ]
        takes_one = Signal()
        m.d.comb += takes_one.eq(picker.granted | kept.any())
        with m.If(takes_one):
            m.d.sync += [
                self.served.eq(chosen),
                self.continues.eq(~((whole & ends_all) | (~whole & ends_first))),
                rows.eq(Mux(locked, rows + (rows != self.quantum_rows), 1)),
            ]

        # Rows that nobody gets are dropped besides, from all queues at once.
        dropped = Signal(every)
        is_clearing = ~self.is_up & ~self.is_down
        m.d.comb += dropped.eq(has_lanes & (self.cut | ~non_posted & self.is_down.replicate(every)))
        m.d.sync += self.cut.eq(
            (dropped & ~((self.cut & ends_first) | (~self.cut & ends_all)))
            | (self.cut & ~dropped)
            | (self.served & self.continues & is_clearing.replicate(every))
        )
        taken_lanes = Signal(self.segment_count)
        takes = []
        for q, head in enumerate(heads):
            lanes = Cat(head.lanes[n].valid for n in range(self.segment_count))
            takes.append(Mux(head.whole, lanes, head.needs.first))
            m.d.comb += [
                # The grant comes last.
                head.take.eq(picker.grant[q] | (kept[q] | dropped[q])),
                head.whole.eq(whole[q] & ~self.cut[q]),
            ]
        m.d.sync += [self.taken.eq(chosen), taken_lanes.eq(select_one_hot(chosen, takes))]

        # Of a row whose rest is not offered, only what continues a TLP is taken: that is paid for.
        self._spend(m, chosen, firsts, alls, whole & begins_any)
        for number, name in enumerate(TlpClass.__members__):
            reservation = CreditReservation(
                source_count=self.source_count, patience=self.quantum_rows
            )
            m.submodules[f"reservation_{name.lower()}"] = reservation
            m.d.comb += [
                reservation.waiting.eq(waiting[number::CLASS_COUNT]),
                reservation.short.eq((waiting & ~covered_first)[number::CLASS_COUNT]),
                reservation.began.eq(self.spend[number].headers.any()),
                reservation.taken.eq(self.taken[number::CLASS_COUNT]),
                reservation.clear.eq(~self.is_up),
                blocked[number::CLASS_COUNT].eq(reservation.blocked),
            ]

        self._follow_link(m, locked)
        self._carry(m, takes_one, taken_lanes)
        return m

    def _spend(self, m: Module, chosen: Value, firsts: list, alls: list, whole: Value) -> None:
        """Register what the row taken spends, of ``firsts`` or ``alls``: headers, data by queue."""
        for number in range(CLASS_COUNT):
            spend = self.spend[number]
            own = range(number, self.queue_count, CLASS_COUNT)
            gates = chosen[number::CLASS_COUNT] & self.is_up.replicate(self.source_count)
            for kind, amount in enumerate((spend.headers, spend.data)):
                choices = [Mux(whole[q], alls[q][kind], firsts[q][kind]) for q in own]
                m.d.sync += amount.eq(select_one_hot(gates, choices))

    def _follow_link(self, m: Module, locked: Value) -> None:
        """Be up; one cycle neither, to clear away; down; and up again when no TLP is half dead."""
        with m.If(self.is_up):
            m.d.sync += self.is_up.eq(self.port_up)
        with m.Elif(self.is_down), m.If(self.port_up & ~locked):
            m.d.sync += [self.is_up.eq(1), self.is_down.eq(0)]
        with m.Else():
            m.d.sync += [self.is_down.eq(1), self.continues.eq(0)]

    def _carry(self, m: Module, takes: Value, taken_lanes: Value) -> None:
        """Bring the row taken to the packer by a queue of a few rows, or to ``dead``."""
        rows = [Value.cast(row) for source in self.segments for row in source]
        row = Signal(len(rows[0]))
        m.d.comb += row.eq(select_wide(self.taken, rows))
        arrives = Signal()
        to_dead = Signal()
        m.d.comb += arrives.eq(self.taken.any())
        m.d.sync += to_dead.eq(self.is_down)

        m.submodules.rows = memory = Memory(
            shape=len(row) + self.segment_count, depth=_ROWS, init=[]
        )
        write = memory.write_port()
        read = memory.read_port(domain="comb")
        m.submodules.packer = packer = TlpPacker(segment_count=self.segment_count)
        write_place = Signal(range(2 * _ROWS))  # one bit more than the address: laps
        read_place = Signal.like(write_place)
        m.d.comb += [
            write.addr.eq(write_place),
            write.data.eq(Cat(taken_lanes, row)),
            write.en.eq(arrives & ~to_dead & self.is_up),
            read.addr.eq(read_place),
            Value.cast(packer.i.payload).eq(read.data),
            packer.i.valid.eq(write_place != read_place),
            packer.clear.eq(~self.is_up),
        ]
        wiring.connect(m, packer.o, wiring.flipped(self.o))
        leaves = Signal()
        m.d.comb += leaves.eq(packer.i.valid & packer.i.ready)
        m.d.sync += [
            write_place.eq(write_place + write.en),
            read_place.eq(read_place + leaves),
            self.room.eq(self.room - (takes & self.is_up) + leaves),
        ]
        with m.If(~self.is_up):
            m.d.sync += [write_place.eq(0), read_place.eq(0), self.room.eq(_ROWS)]

        dead_row = Signal(DeadRowLayout(self.segment_count), reset_less=True)
        m.d.comb += self.dead.payload.eq(dead_row)
        with m.If(self.dead.valid & self.dead.ready):
            m.d.sync += [self.dead.valid.eq(0), self.dead_busy.eq(0)]
        with m.If(arrives & to_dead):
            sources = [
                self.taken[TlpClass.NON_POSTED.value :: CLASS_COUNT][n]
                for n in range(self.source_count)
            ]
            m.d.sync += [
                self.dead.valid.eq(1),
                dead_row.ingress.eq(
                    select_one_hot(Cat(sources), [Const(n, 3) for n in range(self.source_count)])
                ),
                dead_row.beat.eq(Cat(taken_lanes, row)),
            ]
        with m.If(takes & self.is_down):
            m.d.sync += self.dead_busy.eq(1)
