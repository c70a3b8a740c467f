"""Rules of the active side: what a reply, or time, makes of a queue pair."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .advance import advance
from .config import RoceConfig
from .layouts import CompletionStatus
from .opcode import Service
from .peer_layouts import ReplyKind
from .reply_layouts import (
    ReplyPlaceLayout,
    ReplyTaskKind,
    ReplyVerdictInputLayout,
    ReplyVerdictLayout,
)

__all__ = ["ReplyVerdict"]

#: Receive requests that the peer has left, at least, by the code in a syndrome (9.7.7); 31 says
#: nothing of them.
_CREDITS = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]
_CREDITS += [1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 0]
_NO_CREDITS = 31
#: What NAKs but the sequence NAK, whose code is 0, end a work request with (9.7.5.2.8).
_REFUSALS = {
    1: CompletionStatus.REMOTE_INVALID_REQUEST,
    2: CompletionStatus.REMOTE_ACCESS,
    3: CompletionStatus.REMOTE_OPERATION,
}
#: ``rnr_retries`` that stand for any number of them.
_FOR_EVER = 7


class ReplyVerdict(wiring.Component):
    """Decide what a task means for its queue pair, and make the new state.

    Cycles count from that in which ``i`` comes:

    ==== ======================================================================================
    0    differences of PSNs; who may reply
    2    with the place of the READ or atomic operation that is to be responded to next
    3    comparisons of these differences
    4    decision; with narrow beats it takes two
    5    new state; with narrow beats it is registered
    ==== ======================================================================================

    A response that lies behind the READ that is to be responded to next says that one is missing,
    if there is another READ at all: whether it fits that one is not looked at, for it is dropped.

    Latency is 5 cycles, and ``o`` is combinational from registers; with narrow beats it is 7, and
    ``o`` is registered. Throughput is a task every 2 cycles.

    Specification: docs/roce-requester.md; IBTA Architecture Specification volume 1, 9.7 and 9.9.

    Parameters
    ----------
    config : RoceConfig

    Members
    -------
    i : In(ReplyVerdictInputLayout(config))
        Stays for 2 cycles.
    place : In(ReplyPlaceLayout(config))
        That of ``i.row.reads``, 2 cycles later, for 1 cycle at least.
    o : Out(ReplyVerdictLayout(config))
        ``latency`` cycles later, for 1 cycle.

    Attributes
    ----------
    latency : int
    """

    i: Any
    place: Any
    o: Any

    def __init__(self, *, config: RoceConfig):
        self.config = config
        self.latency = 7 if config.is_narrow else 5
        super().__init__(
            {
                "i": In(ReplyVerdictInputLayout(config)),
                "place": In(ReplyPlaceLayout(config)),
                "o": Out(ReplyVerdictLayout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        asked = self._look(m)
        placed = self._place(m, asked)
        compared = self._compare(m, placed)
        chosen = self._choose(m, compared)
        if self.config.is_narrow:
            chosen = _register(m, "chosen", chosen)
        made: Any = Signal(ReplyVerdictLayout(self.config))
        m.d["sync" if self.config.is_narrow else "comb"] += self.o.eq(made)
        self._advance(m, _register(m, "decided", self._decide(m, chosen)), made)
        return m

    def _look(self, m: Module) -> dict[str, Any]:
        """Look at the task beside its queue pair; what it says is there for two cycles."""
        i: Any = self.i
        task, row, context = i.task, i.row, i.context
        reply = task.reply
        p_keys_match = (reply.p_key[:15] == context.p_key[:15]) & (
            reply.p_key[15] | context.p_key[15]
        )
        syndrome = Mux(reply.has_syndrome, reply.syndrome, 0)
        kind, code = syndrome[5:8], syndrome[:5]
        is_alive = row.ready & ~row.failed
        is_rc = context.service == Service.RC
        credit = Signal(range(max(_CREDITS) + 1))
        with m.Switch(code):
            for number, least in enumerate(_CREDITS):
                with m.Case(number):
                    m.d.comb += credit.eq(least)
        mtu = Signal(13)
        m.d.comb += mtu.eq(1 << context.mtu_shift)
        places = i.places - row.places
        counter = len(i.places)
        values = {
            "task": task,
            "row": row,
            "mtu_shift": context.mtu_shift,
            "full_retries": context.retries,
            "full_rnr_retries": context.rnr_retries,
            "all_places": i.places,
            "is_rc": is_rc,
            "is_alive": is_alive,
            "is_mine": (task.kind == ReplyTaskKind.REPLY)
            & is_alive
            & is_rc
            & reply.good
            & (reply.queue_pair == context.number)
            & p_keys_match
            & (reply.source == context.peer),
            "ahead": (reply.psn - row.oldest)[:24],
            "under_way": (i.highest - row.oldest)[:24],
            "to_first": (task.first - row.oldest)[:24],
            "past_end": (reply.psn - row.end_psn)[:24],
            "next_psn": (reply.psn + 1)[:24],
            "has_read": places[:counter] != 0,
            "has_reads": places[1:counter].any(),
            "is_ack": kind == 0,
            "is_rnr": kind == 1,
            "is_nak": (kind == 3) & (code <= max(_REFUSALS)),
            "credit": credit,
            "says_credit": reply.has_syndrome & (kind == 0) & (code != _NO_CREDITS),
            "mtu": mtu,
        }
        return _register(m, "asked", values)

    def _place(self, m: Module, f: dict[str, Any]) -> dict[str, Any]:
        """Look where the reply is in the READ that is to be responded to next."""
        place: Any = self.place
        reply = f["task"].reply
        size, mtu = reply.payload_bytes, f["mtu"]
        # What the last packet of a READ brings: all of a path MTU, if that divides its length.
        rest = Signal(13)
        tail = place.length[:12] & (mtu - 1)[:12]
        m.d.comb += rest.eq(Mux(tail.any() | (place.length == 0), tail, mtu))
        is_read = reply.kind == ReplyKind.READ
        new = {
            "place": place.place,
            "read_psn": place.psn,
            "count": place.count,
            "read_end": (place.psn + place.count)[:24],
            "to_read": (place.psn - f["row"].oldest)[:24],
            "in_read": (reply.psn - place.psn)[:24],
            "read_past_end": (place.psn - f["row"].end_psn)[:24],
            "is_oldest": f["ahead"] == 0,
            "is_past": f["ahead"][-1],
            "reaches_first": (f["to_first"] == 0) | f["to_first"][-1],
            "is_sent": f["ahead"] < f["under_way"],
            "is_again": f["ahead"].all(),
            "is_idle": f["under_way"] == 0,
            "end_reached": ~f["past_end"][-1],
            "end_reached_next": ~f["past_end"][-1] | f["past_end"].all(),
            "is_whole": size == mtu,
            "is_rest": size == rest,
            "of_kind": Mux(
                is_read, ~place.is_atomic, (reply.kind == ReplyKind.ATOMIC) & place.is_atomic
            )
            & (is_read | (size == 8)),
            "is_read": is_read,
            "allowed": (reply.msn + f["credit"])[:24],
        }
        return _register(m, "placed", {**f, **new})

    def _compare(self, m: Module, f: dict[str, Any]) -> dict[str, Any]:
        """Compare what was subtracted."""
        in_read, to_read = f["in_read"], f["to_read"]
        offset = Signal(36)
        with m.Switch(f["mtu_shift"]):
            for shift in range(8, 13):
                with m.Case(shift):
                    m.d.comb += offset.eq(in_read << shift)
        # Some of the READ may have been responded to: then the oldest PSN is missing next.
        has_begun = to_read[-1]
        gain = (f["allowed"] - f["row"].allowed)[:24]
        new = {
            "offset": offset,
            "has_begun": has_begun,
            "is_before": ~has_begun & (f["ahead"] < to_read),
            "is_next": Mux(has_begun, f["is_oldest"], f["ahead"] == to_read),
            "is_read_oldest": to_read == 0,
            "is_inside": in_read < f["count"],
            "is_last": f["next_psn"] == f["read_end"],
            "read_reached": ~f["read_past_end"][-1],
            "gains": f["says_credit"] & (gain != 0) & ~gain[-1],
            "has_no_retry": f["row"].retries == 0,
            "may_not_retry": f["full_retries"] == 0,
            "has_no_rnr_retry": f["row"].rnr_retries == 0,
            "may_not_rnr_retry": f["full_rnr_retries"] == 0,
        }
        dropped = ("to_read", "in_read", "count", "read_end", "under_way", "credit", "mtu")
        kept = {name: value for name, value in f.items() if name not in dropped}
        return _register(m, "compared", {**kept, **new})

    def _choose(self, m: Module, f: dict[str, Any]) -> dict[str, Any]:
        """Choose what becomes of the reply: is it one, and what comes next."""
        reply = f["task"].reply
        response = (reply.kind != ReplyKind.ACKNOWLEDGE) & f["is_ack"]
        acks = (reply.kind == ReplyKind.ACKNOWLEDGE) & f["is_ack"]
        naks = (reply.kind == ReplyKind.ACKNOWLEDGE) & (f["is_rnr"] | f["is_nak"])
        right_end = (reply.last == f["is_last"]) & Mux(f["is_last"], f["is_rest"], f["is_whole"])
        fits = f["has_read"] & f["of_kind"] & f["is_inside"] & (~f["is_read"] | right_end)
        is_ahead = f["has_reads"] & ~f["is_before"] & ~f["is_inside"]
        is_reply = f["is_mine"] & f["is_sent"]
        accepts = is_reply & (acks | naks | (response & (fits | is_ahead)))
        passes = f["has_read"] & ~f["is_before"] & (acks | ~f["is_next"])
        misses = accepts & (passes | (response & ~fits))
        is_unreliable = (f["task"].kind == ReplyTaskKind.SENT) & f["is_alive"] & ~f["is_rc"]
        to_next = (accepts & ~misses & ~naks) | is_unreliable
        to_psn = accepts & ~misses & naks
        to_read = misses & ~f["has_begun"]
        repeats = f["is_mine"] & f["is_again"] & (reply.kind == ReplyKind.ACKNOWLEDGE)
        names = ("task", "row", "is_alive", "is_rc", "is_idle", "is_nak", "is_rnr", "next_psn")
        names += ("full_retries", "full_rnr_retries", "all_places", "read_psn", "place", "offset")
        names += ("is_past", "reaches_first", "has_no_retry", "may_not_retry", "allowed")
        names += ("has_no_rnr_retry", "may_not_rnr_retry")
        return {
            **{name: f[name] for name in names},
            "to_next": to_next,
            "to_psn": to_psn,
            "to_read": to_read,
            "misses": misses,
            "progress": to_next | (to_psn & ~f["is_oldest"]) | (to_read & ~f["is_read_oldest"]),
            "stores": is_reply & response & fits & ~passes,
            "is_last": f["is_last"],
            "gains": f["gains"] & (accepts | repeats),
            "end_comes": (to_next & f["end_reached_next"])
            | (to_psn & f["end_reached"])
            | (to_read & f["read_reached"]),
        }

    def _decide(self, m: Module, f: dict[str, Any]) -> dict[str, Any]:
        """Decide what is sent again, and what ends."""
        task, row, progress = f["task"], f["row"], f["progress"]
        status, code = task.status, task.reply.syndrome[:5]
        is_a = {kind: task.kind == kind for kind in ReplyTaskKind}
        alive = f["is_alive"]
        waits = row.waits & ~progress
        recovers = row.recovers & ~progress
        sequence_nak = f["to_psn"] & f["is_nak"] & (code == 0)
        refuses = f["to_psn"] & f["is_nak"] & (code != 0)
        loses = (f["misses"] | sequence_nak) & ~waits
        is_late = is_a[ReplyTaskKind.TIMEOUT] & alive & f["is_rc"] & ~row.waits & ~f["is_idle"]
        again = (loses & ~recovers) | is_late
        no_retry = Mux(progress, f["may_not_retry"], f["has_no_retry"])
        no_rnr_retry = Mux(progress, f["may_not_rnr_retry"], f["has_no_rnr_retry"])
        is_early = f["to_psn"] & f["is_rnr"] & ~waits
        begins_wait = is_early & ~no_rnr_retry
        ends_wait = is_a[ReplyTaskKind.RNR_END] & alive & row.waits
        is_local = is_a[ReplyTaskKind.LOCAL] & alive
        local_fails = is_a[ReplyTaskKind.FAILED] & alive
        is_failed = is_a[ReplyTaskKind.FAIL] & alive
        # What has been acknowledged cannot fail: it was sent twice. What is behind it can.
        is_vain = local_fails & f["is_past"] & ~task.is_local
        to_end = local_fails & ~is_vain
        at_once = (to_end & f["reaches_first"]) | is_failed
        end_comes = row.ends & f["end_comes"]

        fails = Signal()
        new_status = Signal(CompletionStatus)
        m.d.comb += [
            fails.eq(
                (again & no_retry) | (is_early & no_rnr_retry) | refuses | at_once | end_comes
            ),
            new_status.eq(row.end_status),
        ]
        with m.If(again & no_retry):
            m.d.comb += new_status.eq(CompletionStatus.RETRY_EXCEEDED)
        with m.Elif(is_early & no_rnr_retry):
            m.d.comb += new_status.eq(CompletionStatus.RNR_RETRY_EXCEEDED)
        with m.Elif(refuses):
            for number, refusal in _REFUSALS.items():
                with m.If(code == number):
                    m.d.comb += new_status.eq(refusal)
        with m.Elif(at_once):
            m.d.comb += new_status.eq(status)
        goes_back = (again & ~no_retry) | begins_wait | is_vain
        is_set_up = is_a[ReplyTaskKind.SET_UP]
        names = ("task", "row", "to_next", "to_psn", "to_read", "progress", "next_psn", "read_psn")
        names += ("full_retries", "full_rnr_retries", "all_places", "place", "offset", "stores")
        return {
            **{name: f[name] for name in ("allowed", "gains", *names)},
            "ends_read": f["stores"] & f["is_last"],
            "retries_once": again & ~no_retry,
            "begins_wait": begins_wait,
            "ends_wait": ends_wait,
            "goes_back": goes_back,
            "recovers": Mux(is_late | begins_wait, 0, recovers | loses),
            "is_local": is_local,
            "to_end": to_end,
            "fails": fails,
            "status": new_status,
            "breaks": fails & f["is_rc"] & ~is_failed,
            "changes": progress | goes_back | ends_wait | is_local | fails | f["gains"] | is_set_up,
            "has_action": is_a[ReplyTaskKind.REPLY] & (task.reply.kind != ReplyKind.ACKNOWLEDGE),
        }

    def _advance(self, m: Module, f: dict[str, Any], o: Any) -> None:
        """Make the new state, and what is to be written, in ``o``."""
        row, task, after = f["row"], f["task"], o.row
        m.d.comb += [
            after.eq(row),
            after.back.eq(row.back + f["goes_back"]),
            after.locals.eq(row.locals + f["is_local"]),
            after.reads.eq(row.reads + f["ends_read"]),
            after.places.eq(row.places + f["ends_read"]),
            after.waits.eq((row.waits & ~f["progress"] & ~f["ends_wait"]) | f["begins_wait"]),
            after.recovers.eq(f["recovers"]),
            after.failed.eq(row.failed | f["fails"]),
            o.changes.eq(f["changes"]),
            o.has_action.eq(f["has_action"]),
            o.stores.eq(f["stores"]),
            o.swaps.eq(task.reply.kind == ReplyKind.ATOMIC),
            o.place.eq(f["place"]),
            o.place.linear.eq(advance(f["place"].linear, f["offset"])),
            o.begins_wait.eq(f["begins_wait"]),
            o.breaks.eq(f["breaks"]),
        ]
        with m.If(f["to_next"]):
            m.d.comb += after.oldest.eq(f["next_psn"])
        with m.Elif(f["to_psn"]):
            m.d.comb += after.oldest.eq(task.reply.psn)
        with m.Elif(f["to_read"]):
            m.d.comb += after.oldest.eq(f["read_psn"])
        with m.If(f["gains"]):
            m.d.comb += after.allowed.eq(f["allowed"])
        retries = Mux(f["progress"], f["full_retries"], row.retries)
        rnr_retries = Mux(f["progress"], f["full_rnr_retries"], row.rnr_retries)
        takes_rnr = f["begins_wait"] & (f["full_rnr_retries"] != _FOR_EVER)
        m.d.comb += [
            after.retries.eq(retries - f["retries_once"]),
            after.rnr_retries.eq(rnr_retries - takes_rnr),
        ]
        with m.If(f["fails"]):
            m.d.comb += after.status.eq(f["status"])
        with m.If(f["goes_back"]):
            m.d.comb += after.ends.eq(0)
        with m.Elif(f["to_end"]):
            m.d.comb += [
                after.ends.eq(1),
                after.end_psn.eq(task.first),
                after.end_status.eq(task.status),
            ]
        with m.If(task.kind == ReplyTaskKind.SET_UP):
            m.d.comb += after.places.eq(f["all_places"])


def _register(m: Module, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values a cycle later."""
    later: dict[str, Any] = {}
    for field, value in values.items():
        later[field] = Signal(value.shape(), name=f"{name}_{field}", reset_less=True)
        m.d.sync += later[field].eq(value)
    return later
