"""Rules of the passive side: what a packet means, given its queue pair."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .advance import advance
from .answer_layouts import JobKind
from .config import RoceConfig
from .context import Operation, QueuePairState, StateLayout
from .opcode import OpcodeLayout, Service, decode_opcode
from .verdict_layouts import Outcome, VerdictInputLayout, VerdictLayout

__all__ = ["Verdict"]

#: Longest message: 2**31 bytes (IBTA volume 1, 9.4.3, 9.7.7).
_MOST_BYTES = 1 << 31


class Verdict(wiring.Component):
    """Decide what a packet means: each rule that needs no receive request, in the order of them.

    One cycle compares, each comparison by itself; the next decides and makes the new state. With
    narrow beats there are registers between these two, and behind them.

    Latency is 1 cycle: ``o`` is combinational from registers of what was at ``i``. With narrow
    beats it is 3 cycles, and ``o`` is registered. Throughput is 1 packet per cycle.

    Specification: docs/roce.md; IBTA Architecture Specification volume 1, 9.6 to 9.8.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    i : In(VerdictInputLayout(config))
        Packet, and all that is known of its queue pair.
    o : Out(VerdictLayout(config))
        What it means, ``latency`` cycles later.

    Attributes
    ----------
    latency : int
    """

    i: data.View
    o: data.View

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.latency = 3 if config.is_narrow else 1
        super().__init__({"i": In(VerdictInputLayout(config)), "o": Out(VerdictLayout(config))})

    def elaborate(self, platform):
        m = Module()
        flags = self._compare(m)
        decided: Any = Signal(VerdictLayout(self.config))
        self._decide(m, flags, decided)
        if not self.config.is_narrow:
            m.d.comb += self.o.eq(decided)
            self._advance(m, flags, decided, self.o)
            return m
        # A cycle later; of the flags few are used there.
        later: dict[str, Any] = {}
        for name, flag in flags.items():
            later[name] = Signal(flag.shape(), name=f"{name}_later", reset_less=True)
            m.d.sync += later[name].eq(flag)
        decided_later: Any = Signal(VerdictLayout(self.config), reset_less=True)
        o: Any = Signal(VerdictLayout(self.config))
        made: Any = Signal(VerdictLayout(self.config), reset_less=True)
        m.d.sync += [decided_later.eq(decided), made.eq(o)]
        m.d.comb += [o.eq(decided_later), self.o.eq(made)]
        self._advance(m, later, decided_later, o)
        return m

    def _compare(self, m: Module) -> dict[str, Any]:
        """Every comparison, registered."""
        i: Any = self.i
        request, key, context, state = i.checked.request, i.checked.key, i.context, i.state
        opcode: Any = Signal(OpcodeLayout())
        m.d.comb += [
            opcode[name].eq(value) for name, value in decode_opcode(request.opcode).items()
        ]

        size = request.payload_bytes
        mtu_bytes = Signal(13)
        m.d.comb += mtu_bytes.eq(1 << context.mtu_shift)
        left = Mux(opcode.begins, request.length, state.left)
        in_operation = state.operation != Operation.NONE
        p_keys_match = (request.p_key[:15] == context.p_key[:15]) & (
            request.p_key[15] | context.p_key[15]
        )
        right = (
            (opcode.is_write & context.rights[0])
            | (opcode.is_read & context.rights[1])
            | (opcode.is_atomic & context.rights[2])
        )
        key_right = (
            (opcode.is_write & key.rights[0])
            | (opcode.is_read & key.rights[1])
            | (opcode.is_atomic & key.rights[2])
        )
        mine = key.found & (key.domain == context.domain)
        is_my_window = key.window_queue_pair == context.number
        distance = request.psn - state.expected
        # Packets of a READ: its length in path MTUs, rounded up, 1 at least.
        packets, rest = Signal(24), Signal()
        with m.Switch(context.mtu_shift):
            for shift in range(8, 13):
                with m.Case(shift):
                    m.d.comb += [
                        packets.eq(request.length >> shift),
                        rest.eq(request.length[:shift].any() | (request.length == 0)),
                    ]

        flags: dict[str, Any] = {}

        def keep(name: str, value, shape=None):
            flag = Signal(
                shape or Shape.cast(Value.cast(value).shape()), name=name, reset_less=True
            )
            m.d.sync += flag.eq(value)
            flags[name] = flag

        keep("opcode", opcode, OpcodeLayout())
        keep("state", state, StateLayout(self.config))
        keep("service", context.service)
        keep(
            "is_here",
            request.good
            & (context.state == QueuePairState.READY)
            & (state.state == QueuePairState.READY)
            & (context.number == request.queue_pair)
            & p_keys_match,
        )
        keep("of_service", opcode.has_service & (opcode.service == context.service))
        keep("of_peer", request.source == context.peer)
        keep("of_q_key", request.q_key == context.q_key)
        keep("is_expected", distance[:24] == 0)
        keep("behind", (state.expected - request.psn)[:24])
        keep("is_behind", distance[23])
        keep("psn", request.psn)
        going_on = Mux(opcode.is_send, Operation.SEND, Operation.WRITE)
        keep("follows", opcode.begins | (state.operation == going_on))
        keep("in_operation", in_operation)
        keep("has_payload", size != 0)
        keep("is_whole", size == mtu_bytes)
        keep("is_more", size > mtu_bytes)
        keep("right", right)
        keep("is_aligned", request.address[:3] == 0)
        keep("is_giant", request.length[31] & request.length[:31].any())
        keep(
            "key_ok",
            (request.length == 0)
            | (
                mine
                & key_right
                & key.inside
                & (~key.is_window | is_my_window)
                # A zero-based region may begin anywhere.
                & ~(opcode.is_atomic & key.place.linear[:3].any())
            ),
        )
        keep("window_ok", mine & key.is_window & is_my_window)
        keep("is_rest", left == size)
        keep("is_less", size < left)
        # left - size
        keep("left_after", ~advance(~left, size))
        keep("length", request.length)
        keep("size", size)
        keep("place", key.place)
        # Where the next packet's bytes go.
        keep("behind_begun", advance(key.place.linear, size))
        keep("behind_gone_on", advance(state.place.linear, size))
        keep("fits", size <= state.left)
        keep("ring_full", Cat(state.tail[:-1] == i.head[:-1], state.tail[-1] != i.head[-1]).all())
        keep("packets", packets)
        keep("rest", rest)
        keep("marked", request.marked)
        keep("now", i.now)
        keep("may_notify", ~state.notified | ((i.now - state.notified_at)[:16] >= i.cnp_interval))
        return flags

    def _decide(self, m: Module, f: dict[str, Any], o: Any) -> None:
        """Decide by the comparisons: all of ``o`` but the new state."""
        opcode, state = f["opcode"], f["state"]
        is_rc, is_uc = f["service"] == Service.RC, f["service"] == Service.UC
        is_ud = f["service"] == Service.UD
        is_message = opcode.is_send | opcode.is_write

        for_us = Signal()
        m.d.comb += for_us.eq(
            f["is_here"]
            & Mux(is_ud, opcode.is_cnp | (opcode.known & f["of_q_key"]), f["of_peer"])
            & (opcode.is_cnp | f["of_service"])
        )

        # Rows 4 to 6 of docs/roce.md, for a packet that is the expected one.
        size_bad = Mux(
            opcode.ends,
            f["is_more"] | (~opcode.begins & ~f["has_payload"]),
            ~f["is_whole"],
        )
        invalid_sequence = ~opcode.known | (opcode.begins == f["in_operation"]) | ~f["follows"]
        invalid_job = f["has_payload"] | ~f["right"] | (opcode.is_atomic & ~f["is_aligned"])
        begins_write = opcode.is_write & opcode.begins
        invalid = Signal()
        refused_key = Signal()
        mismatch = Signal()
        m.d.comb += [
            invalid.eq(
                invalid_sequence
                | (~is_message & invalid_job)
                | (is_message & size_bad)
                | (begins_write & ~f["right"])
                | ((begins_write | opcode.is_read) & f["is_giant"])
            ),
            refused_key.eq((begins_write | ~is_message) & ~f["key_ok"]),
            mismatch.eq(opcode.is_write & Mux(opcode.ends, ~f["is_rest"], ~f["is_less"])),
        ]

        # A READ again: its packets are no more than there are behind what is expected.
        # (One adder: the bit below the others is its carry.)
        beyond = Signal(26)
        m.d.comb += beyond.eq(Cat(C(1, 1), f["behind"]) + Cat(~f["rest"], ~f["packets"]))
        wholly_behind = beyond[25]
        read_again = opcode.is_read & f["key_ok"] & wholly_behind & ~f["is_giant"]
        job_again = ~f["ring_full"] & (read_again | opcode.is_atomic)

        outcome = Signal(Outcome)
        accepts = Signal()  # the same as outcome is ACCEPT, without the long way of jobs
        with m.If(~for_us):
            m.d.comb += outcome.eq(Outcome.DROP)
        with m.Elif(opcode.is_cnp):
            m.d.comb += outcome.eq(Outcome.CONGESTED)
        with m.Elif(is_ud):
            m.d.comb += outcome.eq(Mux(f["is_more"], Outcome.DROP, Outcome.ACCEPT))
            m.d.comb += accepts.eq(~f["is_more"])
        with m.Elif(is_uc):
            # A gap or a new beginning has ended the message under way.
            continues = f["in_operation"] & f["is_expected"] & f["follows"]
            bad = ~opcode.known | (~opcode.begins & ~continues) | size_bad
            bad |= begins_write & (~f["right"] | f["is_giant"] | ~f["key_ok"])
            with m.If(bad | mismatch | (opcode.is_send & ~opcode.begins & ~f["fits"])):
                m.d.comb += outcome.eq(Outcome.ABANDON)
            with m.Else():
                m.d.comb += [outcome.eq(Outcome.ACCEPT), accepts.eq(1)]
        with m.Elif(opcode.is_response):
            m.d.comb += outcome.eq(Outcome.DROP)
        with m.Elif(f["is_behind"]):
            with m.If(is_message & opcode.known):
                m.d.comb += outcome.eq(Outcome.DUPLICATE)
            with m.Elif(opcode.known & job_again):
                m.d.comb += outcome.eq(Outcome.JOB)
        with m.Elif(~f["is_expected"]):
            m.d.comb += outcome.eq(Mux(state.refused, Outcome.DROP, Outcome.SEQUENCE_NAK))
        with m.Elif(invalid):
            m.d.comb += outcome.eq(Outcome.INVALID)
        with m.Elif(refused_key):
            m.d.comb += outcome.eq(Outcome.ACCESS)
        with m.Elif(mismatch):
            m.d.comb += outcome.eq(Outcome.INVALID)
        with m.Elif(is_message):
            m.d.comb += [outcome.eq(Outcome.ACCEPT), accepts.eq(1)]
        with m.Elif(~f["ring_full"]):
            m.d.comb += outcome.eq(Outcome.JOB)

        is_again = is_rc & f["is_behind"]
        too_long = is_rc & opcode.is_send & ~opcode.begins & ~f["fits"]
        notify = for_us & ~opcode.is_cnp & f["marked"] & f["may_notify"] & ~is_ud
        m.d.comb += [
            o.outcome.eq(outcome),
            o.opcode.eq(opcode),
            o.takes_receive.eq(accepts & Mux(opcode.is_send, opcode.begins, opcode.has_immediate)),
            o.too_long.eq(too_long),
            o.bad_invalidate.eq(opcode.has_invalidate & ~f["window_ok"]),
            o.notify.eq(notify),
            o.again.eq(is_again),
            o.place.eq(Mux(opcode.begins | opcode.has_invalidate, f["place"], state.place)),
            o.answer_psn.eq(Mux(is_again, (state.expected - 1)[:24], state.expected)),
        ]
        with m.If(opcode.is_read):
            m.d.comb += o.job_kind.eq(JobKind.READ)
        with m.Elif(is_again):
            m.d.comb += o.job_kind.eq(JobKind.REPLAY)
        with m.Else():
            m.d.comb += o.job_kind.eq(Mux(opcode.is_add, JobKind.FETCH_ADD, JobKind.COMPARE_SWAP))

    def _advance(self, m: Module, f: dict[str, Any], decided: Any, o: Any) -> None:
        """Make the state behind the packet, in ``o``, of what was decided."""
        outcome, is_again, too_long = decided.outcome, decided.again, decided.too_long
        after = o.state
        opcode, state = f["opcode"], f["state"]
        is_uc = f["service"] == Service.UC

        # Of what is expected next only the READ's count is not 1.
        step = Mux(opcode.is_read, f["packets"], C(0, 24))
        carry = ~opcode.is_read | f["rest"]
        base = Mux(is_uc, f["psn"], state.expected)
        next_expected = (Cat(C(1, 1), base) + Cat(carry, step))[1:25]
        place = decided.place
        m.d.comb += [
            o.had_receive.eq(state.has_receive),
            after.eq(state),
            after.notified.eq(state.notified | decided.notify),
            after.notified_at.eq(Mux(decided.notify, f["now"], state.notified_at)),
        ]
        # What a SEND that begins may fail of is known only with its receive request.
        fails_late = too_long | (decided.bad_invalidate & ~opcode.begins)
        ends_well = (outcome == Outcome.ACCEPT) & opcode.ends & ~fails_late
        new_job = (outcome == Outcome.JOB) & ~is_again
        fails = (
            (outcome == Outcome.INVALID)
            | (outcome == Outcome.ACCESS)
            | ((outcome == Outcome.ACCEPT) & fails_late)
        )
        with m.If(outcome == Outcome.ACCEPT):
            m.d.comb += [
                after.refused.eq(0),
                after.operation.eq(
                    Mux(
                        opcode.ends,
                        Operation.NONE,
                        Mux(opcode.is_send, Operation.SEND, Operation.WRITE),
                    )
                ),
                after.place.eq(place),
                after.place.linear.eq(Mux(opcode.begins, f["behind_begun"], f["behind_gone_on"])),
                after.length.eq(
                    Mux(
                        opcode.begins,
                        Mux(opcode.is_write, f["length"], f["size"]),
                        Mux(opcode.is_write, state.length, advance(state.length, f["size"])),
                    )
                ),
            ]
            with m.If(opcode.is_write | ~opcode.begins):
                m.d.comb += after.left.eq(f["left_after"])
        with m.If((outcome == Outcome.ABANDON) | fails):
            m.d.comb += after.operation.eq(Operation.NONE)
        with m.If(fails):
            m.d.comb += [after.state.eq(QueuePairState.ERROR), after.has_receive.eq(0)]
        with m.If(ends_well & opcode.is_send):
            m.d.comb += after.has_receive.eq(0)
        with m.If(outcome == Outcome.SEQUENCE_NAK):
            m.d.comb += after.refused.eq(1)
        with m.If(new_job):
            m.d.comb += after.refused.eq(0)
        with m.If((outcome == Outcome.ACCEPT) | (outcome == Outcome.ABANDON) | new_job):
            m.d.comb += after.expected.eq(next_expected)
        with m.If(ends_well | new_job):
            m.d.comb += after.msn.eq(state.msn + 1)
        with m.If(outcome == Outcome.JOB):
            m.d.comb += after.tail.eq(state.tail + 1)
