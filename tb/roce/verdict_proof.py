"""Proofs of hdl.roce.KeyCheck and Verdict: what may be written, for any packet and any tables."""

from dataclasses import replace
from functools import partial
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hdl.roce.config import RoceConfig
from hdl.roce.context import Operation, QueuePairState
from hdl.roce.key_check import KeyCheck, KeyLayout
from hdl.roce.layouts import RequestLayout
from hdl.roce.opcode import Service
from hdl.roce.verdict import Verdict
from hdl.roce.verdict_layouts import Outcome, VerdictInputLayout
from tb.prove import Proof

__all__ = ["PROOFS"]

CONFIG = RoceConfig(
    data_bytes=128,
    queue_pairs=4,
    regions=4,
    pages=16,
    receive_queues=4,
    receive_depth=4,
    receive_requests=4,
    scatter_entries=4,
    completion_queues=4,
    resources=4,
)
NARROW = replace(CONFIG, data_bytes=8)
_KEYS = data.StructLayout({"key": CONFIG.bits("regions"), "row": KeyLayout(CONFIG)})


class _Keys(wiring.Component):
    """Any request meets any row, whoever stalls; the row that it met stays beside it."""

    def __init__(self, config: RoceConfig):
        self.check = KeyCheck(config=config)
        super().__init__(
            {
                "request": In(RequestLayout()),
                "valid": In(1),
                "takes": In(1),
                "keys": In(_KEYS),
                "writes": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        own: Any = self
        m.submodules.check = check = self.check
        keys: Any = check.keys
        m.d.comb += [
            check.i.valid.eq(own.valid),
            check.i.payload.eq(own.request),
            check.o.ready.eq(own.takes),
            keys.valid.eq(own.writes),
            keys.payload.eq(own.keys),
        ]
        # The row is there a cycle behind its request; three more, and so is the verdict.
        rows: list[Any] = [Signal(KeyLayout(CONFIG), name=f"row_{n}") for n in (1, 2, 3)]
        with m.If(check.moves):
            m.d.sync += [rows[0].eq(check.row), rows[1].eq(rows[0])]
        with m.If(check.leaves):
            m.d.sync += rows[2].eq(rows[1])
        started = Signal()
        m.d.sync += started.eq(1)
        with m.If(started):
            self._keep_stages(m, rows)
        row: Any = rows[2]
        o: Any = check.o.p
        request, key = o.request, o.key
        # Of its address, what is behind the region's first byte; bit 64 says that it is before it.
        behind = Signal(65)
        m.d.comb += behind.eq(request.address - row.base)
        inside = ~behind[64] & (behind[:64] + request.length <= row.length)
        with m.If(~ResetSignal() & check.o.valid):
            m.d.comb += [
                Assert(~key.found | row.valid, "a key that is not there"),
                Assert(
                    ~key.found | (request.key[:8] == row.variant), "another key of the same row"
                ),
                Assert(~key.found | ~request.key[10:].any(), "a row that is not there"),
                Assert(key.inside == inside, "outside of the region, or refused within it"),
                Assert(
                    ~key.inside | (key.place.linear == (behind[:48] + row.offset)[:48]),
                    "another place",
                ),
                Assert((key.domain == row.domain) & (key.rights == row.rights), "another's rights"),
                Assert(
                    (key.is_window == row.is_window)
                    & (key.window_queue_pair == row.window_queue_pair),
                    "another's window",
                ),
                Assert(
                    (key.place.page_row == row.page_row) & (key.place.page_shift == row.page_shift),
                    "other pages",
                ),
                Cover(key.found & key.inside & (request.length > 5), "a right one"),
            ]
        return m

    def _keep_stages(self, m: Module, rows: list[Any]) -> None:
        """Assert what stages 2 and 3 hold, from which the rest follows in a cycle."""
        check = self.check
        if check.config.is_narrow:
            inside = sum([check.comes, *check.valid])
            m.d.comb += Assert(inside == check.is_busy, "one by one")
        row, request, stage = rows[0], check.requests[1], check.stage_2
        with m.If(check.valid[1]):
            m.d.comb += [
                Assert(stage.row == row, "another row"),
                Assert(
                    stage.found
                    == (
                        row.valid
                        & (request.key[:8] == row.variant)
                        & ~request.key[8 + CONFIG.bits("regions") :].any()
                    ),
                    "found",
                ),
                Assert(stage.low == (request.address[:32] - row.base[:32])[:33], "low"),
                Assert(stage.high == (request.address[32:] - row.base[32:])[:33], "high"),
                Assert(
                    stage.borrowed == (request.address[32:] - row.base[32:] - 1)[:33], "borrowed"
                ),
            ]
        row, request, stage = rows[1], check.requests[2], check.stage_3
        behind = Signal(65)
        m.d.comb += behind.eq(request.address - row.base)
        key = stage.verdict
        with m.If(check.valid[2]):
            m.d.comb += [
                Assert(stage.high == behind[32:], "high"),
                Assert(stage.place == behind[:32] + row.offset, "place"),
                Assert(stage.end == behind[:32] + request.length, "end"),
                Assert(stage.length == row.length, "length"),
                Assert(
                    key.found
                    == (
                        row.valid
                        & (request.key[:8] == row.variant)
                        & ~request.key[8 + CONFIG.bits("regions") :].any()
                    ),
                    "found",
                ),
                *(
                    Assert(key[name] == row[name], name)
                    for name in ("domain", "rights", "is_window", "window_queue_pair")
                ),
                *(
                    Assert(key.place[name] == row[name], name)
                    for name in ("page_row", "page_shift")
                ),
            ]


class _Rules(wiring.Component):
    """Any packet, key, context and state; what they were stays beside what they mean."""

    def __init__(self, config: RoceConfig):
        self.config = config
        super().__init__({"i": In(VerdictInputLayout(CONFIG))})

    def elaborate(self, platform):
        m = Module()
        own: Any = self
        m.submodules.verdict = verdict = Verdict(config=self.config)
        m.d.comb += verdict.i.eq(own.i)
        was, started = own.i, C(1)
        for cycle in range(verdict.latency):
            before, was = was, Signal(VerdictInputLayout(CONFIG), name=f"was_{cycle}")
            begun, started = started, Signal(name=f"started_{cycle}")
            m.d.sync += [was.eq(before), started.eq(begun)]

        request, key = was.checked.request, was.checked.key
        context, before = was.context, was.state
        o: Any = verdict.o
        after = o.state
        accepted = started & (o.outcome == Outcome.ACCEPT)
        job = started & (o.outcome == Outcome.JOB)
        size = request.payload_bytes
        writes = accepted & o.opcode.is_write
        mine = (
            key.found
            & key.inside
            & (key.domain == context.domain)
            & (~key.is_window | (key.window_queue_pair == context.number))
        )
        begins = writes & o.opcode.begins & (request.length != 0)
        goes_on = writes & ~o.opcode.begins
        fields = [
            ("acts", accepted | job),
            ("begins", begins),
            ("goes_on", goes_on),
        ]
        acts, begins, goes_on = (self._named(m, name, value) for name, value in fields)
        ready = QueuePairState.READY
        with m.If(~ResetSignal()):
            m.d.comb += [
                Assert(~acts | request.good, "of a damaged packet"),
                Assert(~acts | (context.state == ready) & (before.state == ready), "not ready"),
                Assert(~acts | (request.queue_pair == context.number), "another queue pair's"),
                Assert(
                    ~acts | (request.source == context.peer) | (context.service == Service.UD),
                    "another host's",
                ),
                Assert(
                    ~acts | (context.service != Service.UD) | (request.q_key == context.q_key),
                    "another Q_Key",
                ),
                Assert(
                    ~(acts & (context.service == Service.RC) & ~job)
                    | (request.psn == before.expected),
                    "out of sequence",
                ),
                # What a WRITE begins to write is the key's, all of it.
                Assert(~begins | mine, "not its memory"),
                Assert(~begins | (key.rights[0] & context.rights[0]), "no right to write"),
                Assert(~begins | (size <= request.length), "more than it said"),
                Assert(~begins | (o.place == key.place), "another place"),
                Assert(~(writes & ~begins & ~goes_on) | (size == 0), "writes without a key"),
                # What it goes on with is the rest, from where the packet before ended.
                Assert(~goes_on | (before.operation == Operation.WRITE), "nothing goes on"),
                Assert(~goes_on | (size <= before.left), "more than it said, going on"),
                Assert(~goes_on | (o.place == before.place), "from elsewhere"),
                Assert(
                    ~(begins | goes_on)
                    | (after.left == Mux(o.opcode.begins, request.length, before.left) - size),
                    "another rest",
                ),
                Assert(
                    ~(begins | goes_on) | (after.place.linear == (o.place.linear + size)[:48]),
                    "goes on elsewhere",
                ),
                Assert(
                    ~(begins | goes_on)
                    | (
                        Cat(after.place.key, after.place.variant, after.place.page_row)
                        == Cat(o.place.key, o.place.variant, o.place.page_row)
                    ),
                    "goes on in another region",
                ),
                # A job reads what its key allows; one again too.
                Assert(
                    ~(job & (request.length != 0) & o.opcode.is_read) | (mine & key.rights[1]),
                    "reads what it must not",
                ),
                Assert(
                    ~(job & o.opcode.is_atomic & (o.job_kind != 3) & (request.length == 8))
                    | (mine & key.rights[2] & context.rights[2]),
                    "changes what it must not",
                ),
                # A SEND goes on within its receive request.
                Assert(
                    ~(accepted & o.opcode.is_send & ~o.opcode.begins & ~o.too_long)
                    | (size <= before.left),
                    "behind the buffer",
                ),
                # Nothing else changes what is written next.
                Assert(
                    ~started
                    | accepted
                    | (after.left == before.left) & (after.place == before.place),
                    "moved by another packet",
                ),
                Cover(begins & (request.length > 300), "a WRITE begins"),
                Cover(goes_on & o.opcode.ends & (size > 100), "a WRITE ends"),
                Cover(job & o.opcode.is_atomic & (o.job_kind == 1), "an atomic operation"),
            ]
        return m

    def _named(self, m: Module, name: str, value) -> Signal:
        signal = Signal(name=name)
        m.d.comb += signal.eq(value)
        return signal


PROOFS = [
    proof
    for config, words, depth in ((CONFIG, "", 4), (NARROW, "narrow: ", 6))
    for proof in (
        Proof(f"roce.KeyCheck/{words}what is inside is the key's", partial(_Keys, config), 2),
        Proof(f"roce.KeyCheck/{words}a right request", partial(_Keys, config), 9, mode="cover"),
        Proof(
            f"roce.Verdict/{words}writes and reads what is allowed", partial(_Rules, config), depth
        ),
        Proof(f"roce.Verdict/{words}right packets", partial(_Rules, config), 8, mode="cover"),
    )
]
