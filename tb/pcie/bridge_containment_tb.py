"""cocotb testbench of hdl.pcie.BridgeFunction of downstream ports: containment, its interrupt."""

import cocotb

from sim.pcie import BridgeEvents, Kind, ReportKind, Tlp

from .bridge_bed import BridgeBench
from .bridge_function_tb import begin

COMMAND, SECONDARY, POWER, DEVICE = 0x04, 0x1C, 0x44, 0x68
MSI, MSI_MASK, MSI_PENDING = 0x48, 0x58, 0x5C
STATUS, SEVERITY, CONTROL, DPC = 0x104, 0x10C, 0x15C, 0x160
ON_FATAL, ON_NONFATAL, INTERRUPT, TELL, SOFTWARE = 1 << 16, 2 << 16, 1 << 19, 1 << 20, 1 << 22
# An ERR message of 03:00.1.
MESSAGE = Tlp(Kind.MESSAGE_TO_ROOT, four_dwords=True, requester=0x0301)


async def release(bench: BridgeBench) -> None:
    """Clear the trigger, as software does."""
    await bench.write(DPC, 0xFFFFFFFF)
    assert not bench.model.contained


async def connected(dut) -> BridgeBench:
    """Bench whose link is up."""
    bench = await begin(dut)
    bench.levels(link_up=True)
    await bench.idle(2)
    assert bench.model.state().link_up
    return bench


@cocotb.test(timeout_time=200, timeout_unit="us")
async def what_triggers_is_told_and_contains(dut):
    """Each trigger under each enable: the reason, and a link that is disabled until released."""
    bench = await connected(dut)
    await bench.write(STATUS + 0x10, 0)  # advisory errors are not masked
    triggers = {
        "own fatal": ({"malformed": True}, 0, (1, 2)),
        "own non-fatal": ({"unsupported": True, "posted": True}, 0, (1, 2)),
        "advisory": ({"unsupported": True}, 0, ()),
        "correctable": ({"received_correctable": True, "header": MESSAGE}, 0, ()),
        "non-fatal": ({"received_nonfatal": True, "header": MESSAGE}, 1, (2,)),
        "fatal": ({"received_fatal": True, "header": MESSAGE}, 2, (1, 2)),
    }
    for enable in range(4):
        await bench.write(CONTROL, enable << 16)
        for name, (strobes, reason, enables) in triggers.items():
            await bench.happen(**strobes)
            status = await bench.read(DPC)
            contained = enable in enables
            assert status & 1 == contained, (name, enable)
            assert bool(dut.link_disable.value) == contained
            assert bench.model.state().link_up != contained
            if contained:
                assert status >> 1 & 3 == reason, name
                if reason:
                    assert status >> 16 == 0x0301
                await bench.idle(20)
                assert dut.link_disable.value, "released by itself"
                await release(bench)
            assert bench.model.state().link_up
        await bench.write(CONTROL, enable << 16 | SOFTWARE)
        status = await bench.read(DPC)
        assert status & 0x67 == (0x27 if enable in (1, 2) else status & 0x66), enable
        if enable in (1, 2):
            await release(bench)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def masked_errors_do_not_contain(dut):
    """Only what is not masked triggers."""
    bench = await connected(dut)
    await bench.write(CONTROL, ON_NONFATAL)
    await bench.write(0x108, 1 << 18)
    await bench.happen(malformed=True)
    assert not await bench.read(DPC) & 1
    await bench.write(0x108, 0)
    await bench.happen(malformed=True)
    assert await bench.read(DPC) & 1


@cocotb.test(timeout_time=200, timeout_unit="us")
async def the_first_trigger_keeps_its_reason(dut):
    """Trigger once: a message that came later is not in the registers."""
    bench = await connected(dut)
    await bench.write(CONTROL, ON_NONFATAL)
    await bench.happen(received_nonfatal=True, header=MESSAGE)
    await bench.happen(received_fatal=True, header=MESSAGE.with_changes(requester=0x0400))
    assert await bench.read(DPC) == 0x0301_0003
    await bench.happen(malformed=True)
    assert await bench.read(DPC) == 0x0301_0003


@cocotb.test(timeout_time=200, timeout_unit="us")
async def containment_is_told_instead_of_the_error(dut):
    """Send no message of the error that triggers, but ERR_COR and the interrupt if enabled."""
    bench = await connected(dut)
    await bench.write(COMMAND, 0x104)
    await bench.write(DEVICE, 0xF)
    await bench.write(0x4C, 0xFEE00000)
    await bench.write(0x50, 0x1)
    await bench.write(0x54, 0x4321)
    await bench.write(MSI, 1 << 16)
    for control, kinds in (
        (0, [ReportKind.FATAL]),
        (ON_FATAL, []),
        (ON_FATAL | TELL, [ReportKind.CORRECTABLE]),
        (ON_FATAL | INTERRUPT, [ReportKind.INTERRUPT]),
        (ON_FATAL | TELL | INTERRUPT, [ReportKind.CORRECTABLE, ReportKind.INTERRUPT]),
    ):
        bench.reports.clear()
        await bench.write(CONTROL, control)
        await bench.write(COMMAND, 0xFFFF_0104)
        await bench.happen(malformed=True)
        assert bench.reports == kinds, hex(control)
        assert await bench.read(COMMAND) >> 30 & 1 == (not control), "Signaled System Error"
        assert await bench.read(DPC) >> 3 & 1 == bool(control & INTERRUPT)
        if control:
            # What comes while contained is reported as ever.
            await bench.happen(malformed=True)
            assert bench.reports == [*kinds, ReportKind.FATAL]
        await release(bench)
        await bench.write(STATUS, 0xFFFFFFFF)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def the_interrupt_waits_while_it_must(dut):
    """Masked, asleep or without Bus Master Enable it waits; without MSI Enable it is forgotten."""
    bench = await connected(dut)
    await bench.write(CONTROL, ON_FATAL | INTERRUPT)

    async def trigger() -> None:
        await release(bench)
        await bench.write(CONTROL, ON_FATAL | INTERRUPT | SOFTWARE)
        await bench.idle(6)

    await trigger()
    await bench.write(MSI, 0)
    assert not bench.reports
    await bench.write(COMMAND, 4)
    await bench.write(MSI, 1 << 16)
    await bench.idle(6)
    assert bench.reports == [ReportKind.INTERRUPT], "its condition became true"

    bench.reports.clear()
    await bench.write(MSI_MASK, 1)
    await trigger()
    assert not bench.reports and await bench.read(MSI_PENDING) == 1
    await bench.write(MSI_MASK, 0)
    await bench.idle(6)
    assert bench.reports == [ReportKind.INTERRUPT] and await bench.read(MSI_PENDING) == 0

    for address, forbids, allows in ((COMMAND, 0, 4), (POWER, 3, 0)):
        bench.reports.clear()
        await bench.write(address, forbids)
        await trigger()
        assert not bench.reports
        await bench.write(address, allows)
        await bench.idle(6)
        assert bench.reports == [ReportKind.INTERRUPT]

    bench.reports.clear()
    await bench.write(MSI_MASK, 1)
    await trigger()
    await bench.write(MSI, 0)
    await release(bench)
    await bench.write(MSI_MASK, 0)
    await bench.write(MSI, 1 << 16)
    await bench.idle(6)
    assert not bench.reports


@cocotb.test(timeout_time=200, timeout_unit="us")
async def messages_from_below_count_in_status(dut):
    """Received and Signaled System Error, as Bridge Control and Command let them."""
    bench = await connected(dut)
    for bridge_serr in (0, 1):
        for serr in (0, 1):
            await bench.write(0x3C, bridge_serr << 17)
            for strobe, counts in (("correctable", 0), ("nonfatal", 1), ("fatal", 1)):
                await bench.write(COMMAND, 0xFFFF0000 | serr << 8)
                await bench.write(SECONDARY, 0xFFFF0000)
                await bench.happen(header=MESSAGE, **{f"received_{strobe}": True})
                assert await bench.read(SECONDARY) >> 30 & 1 == counts
                forwarded = counts and bridge_serr and serr
                assert await bench.read(COMMAND) >> 30 & 1 == forwarded


@cocotb.test(timeout_time=200, timeout_unit="us")
async def containment_outlives_a_hot_reset(dut):
    """After a hot reset from above the port is still contained, until it is released."""
    bench = await connected(dut)
    await bench.write(CONTROL, ON_FATAL)
    await bench.cycle(events=BridgeEvents(received_fatal=True, header=MESSAGE))
    await bench.idle()
    for _ in range(3):
        await bench.cycle(clear=True)
    await bench.idle()
    assert dut.link_disable.value and await bench.read(DPC) == 0x0301_0005
    assert await bench.read(CONTROL) == 0x0004_0080
    await release(bench)
    assert bench.model.state().link_up
