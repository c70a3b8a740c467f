"""cocotb testbench of hdl.pcie.LocalUnit: messages."""

import os
import random
from collections import Counter
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from sim.pcie import Action, Kind, MessageModel, Report, ReportKind, Rule, Tlp

from .local_bed import LocalBench, report_to_int

PORT_COUNT = int(os.environ["PORT_COUNT"])
SEGMENT_COUNT = int(os.environ["SEGMENT_COUNT"])
ANSWER_ROWS = int(os.environ["ANSWER_ROWS"])
ROWS = int(os.environ["ROWS"])  # of each column

QUIET = 40  # cycles after which all that follows from an input is out
INTERRUPTS = range(0x20, 0x28)
TURN_OFF, ACKNOWLEDGE = 0x19, 0x1B


class MessageBench(LocalBench):
    """LocalBench with a model of messages; what is expected is compared when all is quiet."""

    def __init__(self, dut: Any):
        super().__init__(dut, PORT_COUNT, SEGMENT_COUNT, ROWS, ANSWER_ROWS)
        self.rules = MessageModel([bridge.identifier for bridge in self.bridges])
        self.due: list[tuple[int, Tlp]] = []

    def message(self, port: int, tlp: Tlp) -> None:
        """Send a message that the router calls local."""
        is_broadcast = tlp.kind == Kind.MESSAGE_BROADCAST
        rule = Rule.MESSAGE_BROADCAST if is_broadcast else Rule.MESSAGE_LOCAL
        self.send(port, *self.lanes(tlp, Action.LOCAL, rule, local=True))
        # The copies of a broadcast go another way.
        self.due += [made for made in self.rules.receive(port, tlp) if made[1] is not tlp]

    def link(self, port: int, is_up: bool) -> None:
        """Make a link go up or down."""
        self.up[port] = is_up
        self.due += self.rules.set_link(port, is_up)

    def report(self, port: int, report: Report) -> None:
        """Have a port's function report something."""
        self.reports[port].append(report_to_int(report))
        self.due += self.rules.report(port, report)

    async def settle(self) -> None:
        """Wait until all is out, and compare: as many of each at each port."""
        await self.drain(QUIET)
        assert Counter(self.messages) == Counter(self.due)
        self.messages.clear()
        self.due.clear()


async def attach(dut: Any) -> MessageBench:
    """Make the bench and release reset."""
    bench = MessageBench(dut)
    await bench.start()
    return bench


def interrupt(code: int) -> Tlp:
    """Make an Assert or Deassert message, as a device sends it."""
    return Tlp(
        kind=Kind.MESSAGE_LOCAL, four_dwords=True, code=code, requester=random.getrandbits(16)
    )


def broadcast(code: int) -> Tlp:
    """Make a broadcast message whose fields are all used."""
    return Tlp(
        kind=Kind.MESSAGE_BROADCAST,
        four_dwords=True,
        code=code,
        requester=random.getrandbits(16),
        tag=random.getrandbits(14),
        tc=random.getrandbits(3),
        target=random.getrandbits(16),
        vendor=random.getrandbits(16),
        message_payload=random.getrandbits(32),
    )


def acknowledge() -> Tlp:
    """Make a PME_TO_Ack, as a device sends it."""
    return Tlp(
        kind=Kind.MESSAGE_GATHER,
        four_dwords=True,
        code=ACKNOWLEDGE,
        requester=random.getrandbits(16),
    )


@cocotb.test(timeout_time=200, timeout_unit="us")
async def broadcasts_are_not_for_this_unit(dut):
    """Nothing comes of a broadcast, and none of its credits, whatever is around it."""
    bench = await attach(dut)
    for code in (0x00, 0x7E, 0x7F):
        for _ in range(2 * ROWS):
            bench.message(0, broadcast(code))
        bench.message(0, interrupt(0x20))  # means nothing from above
        read = Tlp(kind=Kind.CONFIGURATION_0, length=1, target=0x0100, first_be=15)
        lanes = bench.request(0, bench.named(read), Action.LOCAL, Rule.CONFIGURATION)
        bench.send(0, *lanes)
    await bench.settle()
    assert not bench.messages and bench.answered[False, 0] == 3


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(kind=[Kind.MESSAGE_LOCAL, Kind.MESSAGE_GATHER], ahead=[1, 7, 1000])
async def messages_wait_for_posted_rows(dut, kind, ahead):
    """Count off what the port sent up before; not what comes behind it, or from others."""
    bench = await attach(dut)
    if kind == Kind.MESSAGE_GATHER:
        for port in range(1, PORT_COUNT - 1):
            bench.link(port, False)
        bench.message(0, broadcast(TURN_OFF))
        await bench.settle()
    port, other = PORT_COUNT - 1, 1
    queue = dut[f"posted__{port}"]
    dut[f"posted__{other}"].value = 1000
    queue.value = ahead
    bench.message(port, interrupt(0x20) if kind == Kind.MESSAGE_LOCAL else acknowledge())
    assert len(bench.due) == 1
    await ClockCycles(dut.clk, 20)
    behind = 3  # rows that come meanwhile
    for left in range(ahead):
        assert not bench.messages, f"passed {ahead - left} rows"
        queue.value = ahead + behind - left | 1 << 11
        await ClockCycles(dut.clk, 1)
        queue.value = ahead + behind - left - 1
        if random.random() < 0.1:
            await ClockCycles(dut.clk, 10)
    await ClockCycles(dut.clk, 10)
    assert len(bench.messages) == 1
    await bench.settle()


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_message_that_waits_is_lost_with_its_link(dut):
    """Forget it with what is in front of it; the next link's messages wait for their own."""
    bench = await attach(dut)
    dut.posted__1.value = 5
    bench.message(1, interrupt(0x20))
    bench.due.clear()
    await ClockCycles(dut.clk, 20)
    bench.link(1, False)
    bench.due.clear()
    await ClockCycles(dut.clk, 16)
    dut.posted__1.value = 0
    bench.link(1, True)
    await bench.settle()
    bench.message(1, interrupt(0x21))
    await bench.settle()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def interrupts_follow_the_model(dut):
    """One at a time, every change of a wire upstream is told, and nothing else."""
    bench = await attach(dut)
    told = 0
    for _ in range(150):
        draw = random.random()
        port = random.randrange(PORT_COUNT)
        if draw < 0.1 and port:
            bench.link(port, not bench.up[port])
        elif draw < 0.15:
            bench.link(0, False)
            bench.due.clear()
            await ClockCycles(dut.clk, 16)
            bench.link(0, True)
        elif bench.up[port]:
            # Sometimes with another routing, which makes it no interrupt.
            tlp = interrupt(random.choice(INTERRUPTS))
            if random.random() < 0.1:
                tlp = tlp.with_changes(kind=Kind.MESSAGE_GATHER)
            bench.message(port, tlp)
        told += len(bench.due)
        await bench.settle()
    assert told > 20


@cocotb.test(timeout_time=500, timeout_unit="us")
async def storms_coalesce(dut):
    """However fast pins change, each wire's messages alternate and end with the truth."""
    bench = await attach(dut)
    bench.stays = lambda port: random.random() < 0.8
    for _ in range(5):
        for port in range(1, PORT_COUNT):
            for _ in range(ROWS // SEGMENT_COUNT):
                storm = [interrupt(random.choice(INTERRUPTS)) for _ in range(SEGMENT_COUNT)]
                lanes = [
                    lane
                    for tlp in storm
                    for lane in bench.lanes(tlp, Action.LOCAL, Rule.MESSAGE_LOCAL, local=True)
                ]
                bench.send(port, *lanes)
                for tlp in storm:
                    bench.rules.receive(port, tlp)
        await bench.drain(2 * ROWS)
    asserted: set[int] = set()
    for port, tlp in bench.messages:
        assert port == 0 and tlp.kind == Kind.MESSAGE_LOCAL
        wire = tlp.code & 3
        assert (tlp.code < 0x24) != (wire in asserted), "told twice"
        asserted ^= {wire}
    assert asserted == bench.rules.wires
    assert len(bench.messages) > 8


@cocotb.test(timeout_time=500, timeout_unit="us")
async def acknowledgements_are_gathered(dut):
    """One PME_TO_Ack goes up when every port has sent one or lost its link."""
    bench = await attach(dut)
    for leaver in (None, 1, PORT_COUNT - 1):
        bench.message(1, acknowledge())  # nobody asked
        await bench.settle()
        bench.message(0, broadcast(TURN_OFF))
        await bench.settle()
        order = random.sample(range(1, PORT_COUNT), PORT_COUNT - 1)
        for number, port in enumerate(order):
            if port == leaver:
                bench.link(port, False)
            else:
                bench.message(port, acknowledge())
                bench.message(port, acknowledge())
            assert any(tlp.code == ACKNOWLEDGE for _, tlp in bench.due) == (
                number == PORT_COUNT - 2
            )
            await bench.settle()
        for port in range(1, PORT_COUNT):
            bench.link(port, True)
    # All downstream links down: nobody to wait for. And one that is due is forgotten with the link.
    for port in range(1, PORT_COUNT):
        bench.link(port, False)
    bench.message(0, broadcast(TURN_OFF))
    assert len(bench.due) == 1
    await bench.settle()
    bench.link(1, True)
    await ClockCycles(dut.clk, 16)
    bench.message(0, broadcast(TURN_OFF))
    await bench.settle()
    bench.link(0, False)
    await ClockCycles(dut.clk, 16)
    bench.link(0, True)
    bench.message(1, acknowledge())
    await bench.settle()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def reports_become_tlps(dut):
    """Errors and interrupts of all functions go up, each once, also amid saturated answers."""
    bench = await attach(dut)
    bench.stays = lambda port: random.random() < 0.3
    for port in range(PORT_COUNT):
        for number in range(20):
            report = Report(
                kind=ReportKind(number % 4),
                address=random.getrandbits(random.choice([32, 33, 64])) & ~3,
                data=random.getrandbits(16),
            )
            bench.report(port, report)
            read = bench.named(Tlp(kind=Kind.MEMORY, length=1, first_be=15))
            bench.send(port, *bench.request(port, read, Action.UNSUPPORTED, Rule.UNCLAIMED))
    kinds = Counter((tlp.kind, tlp.four_dwords) for _, tlp in bench.due)
    assert kinds[Kind.MEMORY, False] and kinds[Kind.MEMORY, True]
    await bench.settle()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def messages_and_answers_share(dut):
    """With both backlogged they alternate, and no cycle is lost."""
    bench = await attach(dut)
    for port in range(1, PORT_COUNT):
        for _ in range(ROWS // 2):
            read = bench.named(Tlp(kind=Kind.MEMORY, length=1, first_be=15))
            bench.send(port, *bench.request(port, read, Action.UNSUPPORTED, Rule.UNCLAIMED))
    for _ in range(60):
        bench.report(1, Report(ReportKind.FATAL, 0, 0))
    await bench.settle()
    first = bench.cycles[2 * ANSWER_ROWS]
    assert bench.cycles[60] - first == 60 - 2 * ANSWER_ROWS, "a cycle was lost"


@cocotb.test(timeout_time=500, timeout_unit="us")
async def nothing_survives_the_upstream_link(dut):
    """Forget what was to go out when the upstream link fell, also when it is back."""
    bench = await attach(dut)
    stuck = True
    bench.stays = lambda port: stuck
    for _ in range(ANSWER_ROWS + 4):
        bench.report(1, Report(ReportKind.FATAL, 0, 0))
        bench.report(2, Report(ReportKind.NONFATAL, 0, 0))
    bench.message(1, interrupt(0x20))
    await ClockCycles(dut.clk, 20 * ANSWER_ROWS)
    assert [port for port, _ in bench.messages] == [0] * ANSWER_ROWS
    bench.link(0, False)
    bench.messages.clear()
    bench.due.clear()
    stuck = False
    await ClockCycles(dut.clk, 4 * ANSWER_ROWS)
    # What was on its way out is lost on the way; functions see the link, too, and report nothing.
    assert len(bench.messages) <= 1
    bench.messages.clear()
    assert not any(bench.reports)
    bench.link(0, True)
    await bench.settle()
