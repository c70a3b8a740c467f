"""cocotb testbench of hdl.pcie.BridgeFunction: errors, their log, and what is reported."""

import random
from itertools import product
from typing import Any

import cocotb

from sim.pcie import BridgeEvents, Kind, ReportKind, Tlp, encode_tlp

from .bridge_bed import PARAMETERS, BridgeBench
from .bridge_function_tb import begin
from .random_tlps import random_tlp

DOWNSTREAM = PARAMETERS["port"] > 0
# As AER numbers them (7.8.4.2).
BITS = {
    "poisoned": 12,
    "aborted": 15,
    "unexpected_completion": 16,
    "overflow": 17,
    "malformed": 18,
    "unsupported": 20,
}
if DOWNSTREAM:
    BITS["acs_violation"] = 21
COMMAND, DEVICE, STATUS, MASK, SEVERITY = 0x04, 0x68, 0x104, 0x108, 0x10C
CORRECTABLE, CORRECTABLE_MASK, FIRST, LOG, PREFIX = 0x110, 0x114, 0x118, 0x11C, 0x138
SERR, EVERY_ENABLE = 1 << 8, 0xF


def one_error(name: str, *, posted: bool) -> BridgeEvents:
    """Events of a cycle with one error."""
    strobes: dict[str, Any] = {name: True}
    return BridgeEvents(posted=posted, **strobes)


async def log_of(bench: BridgeBench) -> tuple[int, bytes]:
    """First Error Pointer, and the header behind it as on the wire."""
    words = [await bench.read(LOG + 4 * n) for n in range(4)]
    return await bench.read(FIRST) & 31, b"".join(word.to_bytes(4, "big") for word in words)


def wire_header(tlp: Tlp) -> bytes:
    """Header of ``tlp`` as the log has it."""
    wire = encode_tlp(tlp.with_changes(prefix=None))
    return wire[: 16 if tlp.four_dwords else 12].ljust(16, b"\0")


@cocotb.test(timeout_time=500, timeout_unit="us")
async def headers_are_logged_as_on_the_wire(dut):
    """Headers of every kind of TLP, and their prefixes, byte by byte."""
    bench = await begin(dut)
    kinds = set()
    for _ in range(150):
        tlp = random_tlp(prefixes=0.5)
        kinds.add(tlp.kind)
        await bench.happen(malformed=True, header=tlp)
        assert await log_of(bench) == (18, wire_header(tlp)), tlp
        assert await bench.read(FIRST) >> 11 & 1 == (tlp.prefix is not None)
        prefix = (await bench.read(PREFIX)).to_bytes(4, "big")
        assert prefix == (tlp.prefix or 0).to_bytes(4, "little"), tlp
        await bench.write(STATUS, 1 << 18)
    assert {Kind.MEMORY, Kind.COMPLETION, Kind.CONFIGURATION_0, Kind.MESSAGE_BY_ID} <= kinds


@cocotb.test(timeout_time=100, timeout_unit="us")
async def first_error_stays_until_it_is_cleared(dut):
    """Later errors set their bits; the log is free again when its own bit is cleared."""
    bench = await begin(dut)
    first, second, third = (random_tlp() for _ in range(3))
    await bench.happen(unsupported=True, posted=True, header=first)
    await bench.happen(malformed=True, header=second)
    assert await log_of(bench) == (20, wire_header(first))
    assert await bench.read(STATUS) == 1 << 20 | 1 << 18
    await bench.write(STATUS, 1 << 18)
    await bench.happen(overflow=True, header=second)
    assert await log_of(bench) == (20, wire_header(first))
    await bench.write(STATUS, 1 << 20, enables=0b1011)
    assert await bench.read(STATUS) == 1 << 20 | 1 << 17, "cleared without its byte enable"
    await bench.write(STATUS, 1 << 20)
    await bench.happen(malformed=True, header=third)
    assert await log_of(bench) == (18, wire_header(third))
    assert await bench.read(STATUS) == 1 << 18 | 1 << 17


@cocotb.test(timeout_time=100, timeout_unit="us")
async def masked_errors_are_not_logged(dut):
    """Masks keep errors out of the log and from being reported, not out of the status."""
    bench = await begin(dut)
    await bench.write(DEVICE, EVERY_ENABLE)
    await bench.write(MASK, 1 << 18)
    await bench.happen(malformed=True, header=random_tlp())
    assert await log_of(bench) == (0, bytes(16))
    assert await bench.read(STATUS) == 1 << 18 and await bench.read(DEVICE) >> 16 == 0b100
    tlp = random_tlp()
    await bench.happen(malformed=True, overflow=True, header=tlp)
    assert await log_of(bench) == (17, wire_header(tlp))
    assert bench.reports == [ReportKind.FATAL]


@cocotb.test(timeout_time=100, timeout_unit="us")
async def one_of_several_errors_is_the_first(dut):
    """Errors of one cycle all set their bits; the first is that of the highest precedence."""
    bench = await begin(dut)
    await bench.write(CORRECTABLE_MASK, 0)
    order = ["overflow", "malformed", "aborted", "unsupported", "unexpected_completion", "poisoned"]
    if DOWNSTREAM:
        order.insert(2, "acs_violation")
    for start in range(len(order)):
        names = order[start:]
        await bench.happen(header=random_tlp(), **dict.fromkeys(names, True))
        assert await bench.read(STATUS) == sum(1 << BITS[name] for name in names)
        assert await bench.read(FIRST) & 31 == BITS[names[0]]
        await bench.write(STATUS, 0xFFFFFFFF)


def expected_report(
    name: str, *, fatal: bool, masked: bool, posted: bool, advisory: bool, enables: int, serr: bool
) -> list[ReportKind]:
    """Say what a port reports of one error (6.2.3.2.4, 6.2.5)."""
    if masked or (name == "unsupported" and not enables & 8 and not (serr and (fatal or posted))):
        return []
    if fatal:
        return [ReportKind.FATAL] if serr or enables & 4 else []
    answered = name in ("unsupported", "aborted", "acs_violation") and not posted
    if answered or name in ("unexpected_completion", "poisoned"):
        return [ReportKind.CORRECTABLE] if advisory and enables & 1 else []
    return [ReportKind.NONFATAL] if serr or enables & 2 else []


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(serr=[False, True])
async def severity_mask_and_enables_decide_what_is_reported(dut, serr):
    """Each error with each severity, mask and way to enable its report."""
    bench = await begin(dut)
    await bench.write(COMMAND, SERR if serr else 0)
    for fatal, masked, advisory in product([False, True], repeat=3):
        await bench.write(SEVERITY, 0xFFFFFFFF if fatal else 0)
        await bench.write(MASK, 0xFFFFFFFF if masked else 0)
        await bench.write(CORRECTABLE_MASK, 0 if advisory else 1 << 13)
        for enables in (0, 1, 2, 4, 8, 7, 15):
            await bench.write(DEVICE, enables)
            for name, posted in product(BITS, [False, True]):
                bench.reports.clear()
                await bench.cycle(events=one_error(name, posted=posted))
                await bench.idle(3)
                assert bench.reports == expected_report(
                    name,
                    fatal=fatal,
                    masked=masked,
                    posted=posted,
                    advisory=advisory,
                    enables=enables,
                    serr=serr,
                ), (name, posted, enables)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def device_status_tells_the_severity(dut):
    """Correctable, non-fatal, fatal and Unsupported Request, masked or not."""
    bench = await begin(dut)
    for masks in (0, 0xFFFFFFFF):
        await bench.write(MASK, masks)
        cases: list[tuple[dict[str, Any], int]] = [
            ({"malformed": True}, 0b0100),
            ({"unsupported": True}, 0b1001),
            ({"unsupported": True, "posted": True}, 0b1010),
            ({"aborted": True, "posted": True}, 0b0010),
            ({"poisoned": True}, 0b0001),
            ({"unexpected_completion": True, "posted": True}, 0b0001),
        ]
        for strobes, bits in cases:
            await bench.happen(**strobes)
            assert await bench.read(DEVICE) >> 16 == bits, strobes
            await bench.write(DEVICE, 0xFFFF0000)
    assert await bench.read(CORRECTABLE) == 1 << 13


@cocotb.test(timeout_time=100, timeout_unit="us")
async def status_has_what_the_link_side_saw(dut):
    """Status of the upstream port, Secondary Status of the others, under PCI's names."""
    bench = await begin(dut)
    side, other = (0x1C, 0x04) if DOWNSTREAM else (0x04, 0x1C)
    completion = Tlp(Kind.COMPLETION, poisoned=True)
    for responds in (False, True):
        await bench.write(0x04, 1 << 6 if responds and not DOWNSTREAM else 0)
        await bench.write(0x3C, 1 << 16 if responds and DOWNSTREAM else 0)
        for strobes, bits in (
            ({"poisoned": True}, 1 << 31),
            ({"poisoned": True, "unexpected_completion": True}, 1 << 31 | responds << 24),
            ({"aborted": True}, 1 << 27),
            ({"malformed": True}, 0),
        ):
            header = completion if "unexpected_completion" in strobes else None
            await bench.happen(header, **strobes)
            assert await bench.read(side) & 0xFF800000 == bits, strobes
            await bench.write(side, 0xFFFF0000 | responds << 6)
            assert not await bench.read(side) & 0xFF800000
            assert not await bench.read(other) & 0xFF800000
    await bench.write(0x04, SERR)
    await bench.happen(malformed=True)
    assert await bench.read(0x04) >> 30 & 1, "Signaled System Error"


@cocotb.test(timeout_time=200, timeout_unit="us")
async def an_event_is_not_lost_to_the_write_that_clears_it(dut):
    """Events before, with and after the effect of a clearing write: what comes later stays."""
    bench = await begin(dut)
    for distance in range(4):
        await bench.happen(malformed=True)
        for cycle in range(4):
            await bench.cycle(
                write=(STATUS // 4, 0xFFFFFFFF, 15) if cycle == 0 else None,
                events=BridgeEvents(malformed=True) if cycle == distance else None,
            )
        await bench.idle(2)
        # The write has its effect at the end of the cycle after the request.
        assert await bench.read(STATUS) == (1 << 18 if distance >= 1 else 0), distance
        await bench.write(STATUS, 0xFFFFFFFF)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reports_wait_and_are_told_once(dut):
    """While nobody listens, many errors are one report of each kind; the fatal one goes first."""
    bench = await begin(dut)
    await bench.write(DEVICE, EVERY_ENABLE)
    await bench.write(CORRECTABLE_MASK, 0)
    for _ in range(5):
        for name in ("poisoned", "unsupported", "malformed"):
            await bench.cycle(events=one_error(name, posted=True), ready=False)
    assert not bench.reports
    await bench.idle(8)
    # The first was offered before the others came, and came again.
    assert bench.reports == [
        ReportKind.CORRECTABLE,
        ReportKind.FATAL,
        ReportKind.NONFATAL,
        ReportKind.CORRECTABLE,
    ]


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_saturated_port_still_tells_everything(dut):
    """Errors in every cycle, accesses in every cycle, a listener that comes and goes."""
    bench = await begin(dut)
    await bench.write(DEVICE, EVERY_ENABLE)
    await bench.write(CORRECTABLE_MASK, 0)
    events = BridgeEvents(malformed=True, poisoned=True, unsupported=True, posted=True)
    for n in range(300):
        await bench.cycle(read=n % 32, events=events, ready=random.random() < 0.5)
    await bench.idle(10)
    # Fatal errors in each cycle leave no room for others until they end.
    assert bench.reports[-2:] == [ReportKind.NONFATAL, ReportKind.CORRECTABLE]
    assert bench.reports.count(ReportKind.FATAL) > 100
