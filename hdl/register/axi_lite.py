"""AXI4-Lite: its signature, and the front end that every register file has."""

from typing import Any

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "AxiLiteResponse",
    "AxiLiteSignature",
    "AxiLiteSlave",
    "ReadResponseLayout",
    "WriteRequestLayout",
]


class AxiLiteResponse(enum.Enum, shape=2):
    """RRESP and BRESP (AMBA AXI, IHI 0022, A3.4.4)."""

    OKAY = 0
    SLVERR = 2
    DECERR = 3


def AxiLiteSignature(address_bits: int) -> wiring.Signature:
    """AXI4-Lite of 32-bit data, as the master has it (AMBA AXI, IHI 0022, chapter B1).

    The members bear the specification's names in lower case: cocotbext-axi finds those of a
    member ``bus`` with the prefix ``bus_``, since exported names join with two underscores.
    """
    return wiring.Signature(
        {
            "awaddr": Out(address_bits),
            "awprot": Out(3),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(AxiLiteResponse),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(address_bits),
            "arprot": Out(3),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(AxiLiteResponse),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


class WriteRequestLayout(data.StructLayout):
    """A write: byte address, data, and the bytes of data that count."""

    def __init__(self, address_bits: int):
        super().__init__({"address": address_bits, "data": 32, "strobe": 4})


class ReadResponseLayout(data.StructLayout):
    """What a read gives."""

    def __init__(self):
        super().__init__({"data": 32, "response": AxiLiteResponse})


class _Skid(wiring.Component):
    """Two places of a stream, so that neither valid nor ready passes through."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, shape: ShapeLike):
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        front = Signal(self.shape, reset_less=True)
        back = Signal(self.shape, reset_less=True)
        back_valid = Signal()
        m.d.comb += [self.o.payload.eq(front), self.i.ready.eq(~back_valid)]
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [self.o.valid.eq(back_valid | self.i.valid), back_valid.eq(0)]
            with m.If(back_valid):
                m.d.sync += front.eq(back)
            with m.Else():
                m.d.sync += front.eq(self.i.payload)
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [back.eq(self.i.payload), back_valid.eq(1)]
        return m

    @property
    def held(self) -> Value:
        """How many of the two places are taken."""
        return self.o.valid + ~self.i.ready


class AxiLiteSlave(wiring.Component):
    """Turn AXI4-Lite into streams of whole requests and their responses.

    Addresses and data of writes may come in any order; a write leaves when both are there. The
    consumer answers each request with one response, in order. AWPROT and ARPROT are ignored.

    Latency is 1 cycle from bus to request and 1 from response to bus. Throughput is one write
    and one read per cycle. No combinational path joins two signals of the bus (A3.2.1).

    Specification: AMBA AXI and ACE Protocol Specification, ARM IHI 0022H, chapters A3 and B1.

    Parameters
    ----------
    address_bits : int
        Width of AWADDR and ARADDR, 3 or more.

    Members
    -------
    bus : In(AxiLiteSignature(address_bits))
        The bus; its outputs are registered.
    writes : Out(stream.Signature(WriteRequestLayout(address_bits)))
        Writes.
    write_responses : In(stream.Signature(AxiLiteResponse))
        One for each write. ``write_responses.ready`` is a register.
    reads : Out(stream.Signature(address_bits))
        Byte addresses of reads.
    read_responses : In(stream.Signature(ReadResponseLayout()))
        One for each read. ``read_responses.ready`` is a register.

    Raises
    ------
    ValueError
        If ``address_bits`` is less than 3.
    """

    bus: Any
    writes: stream.Interface
    write_responses: stream.Interface
    reads: stream.Interface
    read_responses: stream.Interface

    def __init__(self, *, address_bits: int):
        if address_bits < 3:
            raise ValueError(f"address_bits must be 3 or more, not {address_bits!r}")
        self.address_bits = address_bits
        # One for each channel; attributes, so that proofs can state what is under way.
        self.aw = _Skid(address_bits)
        self.w = _Skid(data.StructLayout({"data": 32, "strobe": 4}))
        self.ar = _Skid(address_bits)
        self.b = _Skid(AxiLiteResponse)
        self.r = _Skid(ReadResponseLayout())
        super().__init__(
            {
                "bus": In(AxiLiteSignature(address_bits)),
                "writes": Out(stream.Signature(WriteRequestLayout(address_bits))),
                "write_responses": In(stream.Signature(AxiLiteResponse)),
                "reads": Out(stream.Signature(address_bits)),
                "read_responses": In(stream.Signature(ReadResponseLayout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus

        m.submodules.aw = aw = self.aw
        m.submodules.w = w = self.w
        m.submodules.ar = ar = self.ar
        m.submodules.b = b = self.b
        m.submodules.r = r = self.r

        m.d.comb += [
            aw.i.payload.eq(bus.awaddr),
            aw.i.valid.eq(bus.awvalid),
            bus.awready.eq(aw.i.ready),
            w.i.p.data.eq(bus.wdata),
            w.i.p.strobe.eq(bus.wstrb),
            w.i.valid.eq(bus.wvalid),
            bus.wready.eq(w.i.ready),
            self.writes.p.address.eq(aw.o.payload),
            self.writes.p.data.eq(w.o.p.data),
            self.writes.p.strobe.eq(w.o.p.strobe),
            self.writes.valid.eq(aw.o.valid & w.o.valid),
            aw.o.ready.eq(self.writes.ready & w.o.valid),
            w.o.ready.eq(self.writes.ready & aw.o.valid),
            bus.bresp.eq(b.o.payload),
            bus.bvalid.eq(b.o.valid),
            b.o.ready.eq(bus.bready),
            ar.i.payload.eq(bus.araddr),
            ar.i.valid.eq(bus.arvalid),
            bus.arready.eq(ar.i.ready),
            bus.rdata.eq(r.o.p.data),
            bus.rresp.eq(r.o.p.response),
            bus.rvalid.eq(r.o.valid),
            r.o.ready.eq(bus.rready),
        ]
        wiring.connect(m, ar.o, wiring.flipped(self.reads))
        wiring.connect(m, wiring.flipped(self.write_responses), b.i)
        wiring.connect(m, wiring.flipped(self.read_responses), r.i)

        return m
