"""Proofs of hdl.register.RegisterFile."""

from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hdl.register import (
    Access,
    AxiLiteResponse,
    AxiLiteSignature,
    Field,
    Register,
    RegisterFile,
    RegisterTable,
    Window,
)
from tb.prove import Proof

__all__ = ["PROOFS"]

# A register, one that refuses writes, a window and addresses where nothing is.
_TABLE = RegisterTable(
    "small",
    "The smallest table in which every response occurs.",
    (
        Register("control", "Written.", (Field("mode", 2, Access.RW, "Any.", init=1),)),
        Register("status", "Read.", (Field("level", 2, Access.RO, "Any."),)),
        Window("rules", "Two words.", 8),
    ),
)
# Cycles that a request waits at most for its response to be offered, when the window takes each
# request at once and answers in the cycle after.
_WRITE_CYCLES = 3
_READ_CYCLES = 5


class _Bus(wiring.Component):
    """A register file between a master that keeps AXI's rules and a window that serves."""

    bus: Any
    level: Signal
    answer: Signal

    def __init__(self):
        super().__init__({"bus": In(AxiLiteSignature(5)), "level": In(2), "answer": In(32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.file = file = RegisterFile(table=_TABLE, address_bits=5)
        bus, slave, window = self.bus, file.slave, file.registers.rules
        wiring.connect(m, wiring.flipped(bus), file.bus)
        m.d.comb += file.registers.status.level.eq(self.level)

        # The window's block.
        answering = Signal()
        m.d.comb += [
            window.write.ready.eq(1),
            window.read.ready.eq(1),
            window.read_data.valid.eq(answering),
            window.read_data.payload.eq(self.answer),
        ]
        with m.If(window.read_data.ready):
            m.d.sync += answering.eq(0)
        with m.If(window.read.valid):
            m.d.sync += answering.eq(1)

        def open_requests(name: str, request: Value, response: Value) -> Signal:
            count = Signal(4, name=f"{name}_open")
            m.d.sync += count.eq(count + request - response)
            return count

        write_done, read_done = bus.bvalid & bus.bready, bus.rvalid & bus.rready
        addresses = open_requests("aw", bus.awvalid & bus.awready, write_done)
        data = open_requests("w", bus.wvalid & bus.wready, write_done)
        reads = open_requests("ar", bus.arvalid & bus.arready, read_done)

        def waited(name: str, waits: Value) -> Signal:
            cycles = Signal(4, name=f"{name}_waited")
            m.d.sync += cycles.eq(Mux(waits, cycles + 1, 0))
            return cycles

        write_waited = waited("write", (addresses != 0) & (data != 0) & ~bus.bvalid)
        read_waited = waited("read", (reads != 0) & ~bus.rvalid)

        def kept(name: str, valid: Value, ready: Value, payload: Value) -> Value:
            refused = Signal(name=f"{name}_refused")
            offered = Signal(len(payload), name=f"{name}_offered")
            m.d.sync += [refused.eq(valid & ~ready), offered.eq(payload)]
            return ~refused | (valid & (payload == offered))

        b_payload = Value.cast(bus.bresp)
        r_payload = Cat(bus.rdata, Value.cast(bus.rresp))
        rules = {
            "aw": kept("aw", bus.awvalid, bus.awready, bus.awaddr),
            "w": kept("w", bus.wvalid, bus.wready, Cat(bus.wdata, bus.wstrb)),
            "ar": kept("ar", bus.arvalid, bus.arready, bus.araddr),
        }
        claims = {
            "b changed a refused offer": kept("b", bus.bvalid, bus.bready, b_payload),
            "r changed a refused offer": kept("r", bus.rvalid, bus.rready, r_payload),
            "b without its write": ~bus.bvalid | ((addresses != 0) & (data != 0)),
            "r without its read": ~bus.rvalid | (reads != 0),
            "a write has no response in time": write_waited <= _WRITE_CYCLES,
            "a read has no response in time": read_waited <= _READ_CYCLES,
        }
        # What makes the claims inductive: where the open requests are.
        writes_inside = file.write_valid + slave.b.held
        reads_inside = file.read_valid + file.gathered_valid + slave.r.held
        claims |= {
            "addresses": addresses == slave.aw.held + writes_inside,
            "data": data == slave.w.held + writes_inside,
            "reads": reads == slave.ar.held + reads_inside,
            "window asked": file.window_asked == (window.read.valid | answering),
            "window asked once": ~(window.read.valid & answering),
            "window asked for a read": ~file.window_asked | (file.read_valid & file.reads_window),
        }
        for name in ("aw", "w", "ar", "b", "r"):
            skid = getattr(slave, name)
            claims[f"{name} has its first place empty"] = skid.i.ready | skid.o.valid

        with m.If(~ResetSignal()):
            for name, rule in rules.items():
                m.d.comb += Assume(rule, f"{name} changed a refused offer")
            for name, claim in claims.items():
                m.d.comb += Assert(claim, name)
            for response in AxiLiteResponse:
                m.d.comb += Cover(
                    write_done & (bus.bresp == response) & (addresses > 2), f"write {response.name}"
                )
            for response in (AxiLiteResponse.OKAY, AxiLiteResponse.DECERR):
                m.d.comb += Cover(
                    read_done & (bus.rresp == response) & (reads > 2), f"read {response.name}"
                )
            m.d.comb += [
                Cover(write_waited == _WRITE_CYCLES, "slowest write"),
                Cover(read_waited == _READ_CYCLES, "slowest read"),
            ]
        return m


PROOFS = [
    Proof("register.RegisterFile/every request has its response", _Bus, depth=9),
    Proof("register.RegisterFile/every response occurs", _Bus, depth=14, mode="cover"),
]
