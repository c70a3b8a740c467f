"""Writes of several clients as bursts of AXI4."""

from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..memory import SimpleDualPortRam
from ..stream import Queue
from .axi_port import (
    BURST_INCR,
    CACHE,
    Axi4WriteSignature,
    check_axi_sizes,
    longest_burst_bytes,
    status_of,
)
from .axi_watch import AxiTicks
from .axi_write_client import AxiWriteClient
from .axi_write_parts import AxiAddressLayout
from .axi_write_shift import AxiWriteShift
from .axi_write_splitter import AxiWriteSplitter
from .memory_port import MemoryStatus, MemoryWriteSignature
from .write_arbiter import WriteArbiter
from .write_intake import WriteIntake
from .write_parts import WritePieceLayout, store_rows_of
from .write_verdict import WriteVerdict

__all__ = ["AxiWrite"]

_PIECES = 16
_AW_PLACES = 16
_RESPONSES = 64
_LONGEST_REQUEST = 65535
_PAGE_BYTES = 4096


class AxiWrite(wiring.Component):
    """Write what clients ask for, in bursts whose data are there before they begin.

    A request is cut at boundaries of 4 KB into pieces, as :class:`PcieWrite` does it; a piece is
    sent when it is whole, as a burst (of 8-byte beats: as one for each 2 KB), so that no client
    waits for another that does not go on, and WDATA comes without a pause. INCR bursts of whole
    beats, AWID the client's number; strobes say which bytes of the first and the last beat are
    written. Pieces of different clients may alternate; those of one client leave in order.

    A request whose packet ends too early, or with ``error``, is not sent from the piece on in which
    it ends: LENGTH, CANCELLED. What a packet has beyond the request is dropped: LENGTH.

    A client to which the memory owes an answer, and gives none for ``timeout`` to 2 * ``timeout``
    cycles, is lost: all that it has asked for ends with TIMEOUT, and all that it asks for
    until everything that is owed has come (and is dropped), of which the memory does not see
    anything. Answers that nobody waits for are dropped. BREADY is always 1. If the memory
    takes no address or no data for as long, all requests end with TIMEOUT until it does; of a burst
    that has begun it gets the other beats without strobes.

    A client may have 64 requests whose responses it has not taken.

    Latency from the row that makes a piece whole to WVALID is 11 cycles up to 32 bytes, 12 above;
    from BVALID to ``response`` 9. Throughput is a row in, a beat and a burst out per cycle; a piece
    whose first beat needs bytes of two rows takes a cycle more.

    Specification: Arm IHI 0022, AMBA AXI and ACE: A3.3.1 (dependencies), A3.4.1 (bursts), A3.4.3
    (strobes), A3.4.4 (responses), A5.3 (order); the contract of :func:`MemoryWriteSignature`.

    Parameters
    ----------
    client_count : int
        Clients, 2 to 16.
    data_bytes : int
        Bytes of a beat: 8, 32, 64 or 128.

    Members
    -------
    writes : In(MemoryWriteSignature(data_bytes)).array(client_count)
        Requests and packets; ``ready`` of both depends combinationally on every client's ``valid``.
        Responses are registered: one for each request, in order, when the memory has answered all
        bursts of it, and of the requests before it.
    timeout : In(32)
        Cycles in which the memory has to answer something, if it owes it.
    axi : Out(Axi4WriteSignature)
        The memory: 64 bits of address, ``client_count``'s bits of ID. Registered.

    Raises
    ------
    ValueError
        If a parameter is not as above.
    """

    writes: list[Any]
    timeout: Signal
    axi: Any

    def __init__(self, *, client_count: int, data_bytes: int):
        check_axi_sizes(client_count=client_count, data_bytes=data_bytes)
        self.client_count = client_count
        self.data_bytes = data_bytes
        id_bits = (client_count - 1).bit_length()
        super().__init__(
            {
                "writes": In(MemoryWriteSignature(data_bytes)).array(client_count),
                "timeout": In(32),
                "axi": Out(
                    Axi4WriteSignature(address_bits=64, data_bytes=data_bytes, id_bits=id_bits)
                ),
            }
        )
        sizes = {"client_count": client_count, "row_bytes": data_bytes}
        pages = -(-_LONGEST_REQUEST // _PAGE_BYTES) + 1
        self.intakes = [WriteIntake(**sizes, response_count=_RESPONSES) for _ in self.writes]
        self.arbiter = WriteArbiter(**sizes, piece_count=_PIECES)
        self.verdict = WriteVerdict(**sizes)
        self.pieces = Queue(shape=WritePieceLayout(**sizes), depth=_PIECES, counted=True)
        self.splitter = AxiWriteSplitter(**sizes)
        self.shift = AxiWriteShift(**sizes)
        self.clients = [
            AxiWriteClient(
                response_count=_RESPONSES,
                burst_count=pages * (_PAGE_BYTES // longest_burst_bytes(data_bytes)),
            )
            for _ in self.writes
        ]
        self.addresses = Queue(shape=AxiAddressLayout(**sizes), depth=_AW_PLACES)
        self.store = SimpleDualPortRam(
            shape=8 * data_bytes,
            depth=client_count * store_rows_of(data_bytes),
            lane_count=1,
            latency=1,
            bypass=False,
            block=True,
        )
        self.ticks = AxiTicks()

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = self.arbiter
        m.submodules.verdict = verdict = self.verdict
        m.submodules.pieces = pieces = self.pieces
        m.submodules.splitter = splitter = self.splitter
        m.submodules.store = store = self.store
        m.submodules.shift = shift = self.shift
        m.submodules.addresses = addresses = self.addresses
        m.submodules.ticks = ticks = self.ticks

        answered = Signal(self.client_count)
        answer = Signal(MemoryStatus, reset_less=True)
        m.d.comb += [self.axi.bready.eq(1), ticks.timeout.eq(self.timeout)]
        m.d.sync += answer.eq(status_of(self.axi.bresp))

        parts = zip(self.writes, self.intakes, self.clients, strict=True)
        for number, (port, intake, client) in enumerate(parts):
            m.submodules[f"intake_{number}"] = intake
            m.submodules[f"client_{number}"] = client
            wiring.connect(m, wiring.flipped(port.request), intake.request)
            wiring.connect(m, wiring.flipped(port.data), intake.data)
            wiring.connect(m, intake.o, arbiter.i[number])
            wiring.connect(m, client.o, wiring.flipped(port.response))
            m.d.sync += answered[number].eq(self.axi.bvalid & (self.axi.bid == number))
            m.d.comb += [
                intake.freed.eq(splitter.freed[number]),
                intake.answered.eq(port.response.valid & port.response.ready),
                splitter.mute[number].eq(client.mute),
                client.burst.eq(splitter.burst[number]),
                client.ended.eq(splitter.ended[number]),
                client.end.eq(splitter.end),
                client.answered.eq(answered[number]),
                client.answer.eq(answer),
                client.tick.eq(ticks.tick),
            ]

        wiring.connect(m, arbiter.o, verdict.i)  # there is room for what the arbiter tells
        wiring.connect(m, verdict.o, pieces.i)
        wiring.connect(m, pieces.o, splitter.i)
        wiring.connect(m, splitter.o, shift.i)
        wiring.connect(m, splitter.address, addresses.i)
        low = self.data_bytes.bit_length() - 1
        m.d.comb += [
            arbiter.left.eq(pieces.o.valid & pieces.o.ready),
            store.write_lanes.eq(arbiter.write_en),
            store.write_address.eq(arbiter.write_row),
            store.write_data.eq(arbiter.write_data),
            store.read_en.eq(splitter.o.valid & splitter.o.ready),
            store.read_address.eq(Cat(splitter.o.p.row, splitter.o.p.client)),
            shift.row_data.eq(store.read_data),
            splitter.tick.eq(ticks.tick),
            addresses.o.ready.eq(self.axi.awready),
            self.axi.awvalid.eq(addresses.o.valid),
            self.axi.awid.eq(addresses.o.p.client),
            self.axi.awaddr.eq(Cat(C(0, low), addresses.o.p.row)),
            self.axi.awlen.eq(addresses.o.p.rows_1),
            self.axi.awsize.eq(low),
            self.axi.awburst.eq(BURST_INCR),
            self.axi.awcache.eq(CACHE),
            shift.o.ready.eq(self.axi.wready),
            self.axi.wvalid.eq(shift.o.valid),
            self.axi.wdata.eq(shift.o.p.data),
            self.axi.wstrb.eq(shift.o.p.strb),
            self.axi.wlast.eq(shift.o.p.last),
        ]
        return m
