"""Reads of several clients as bursts of AXI4."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..bits import RoundRobinPicker, select_one_hot
from ..stream import Queue
from .axi_port import (
    BURST_INCR,
    CACHE,
    Axi4ReadSignature,
    check_axi_sizes,
    longest_burst_bytes,
    status_of,
)
from .axi_read_client import AxiBurstLayout, AxiReadClient, row_layout
from .axi_watch import AxiTicks
from .memory_port import MemoryReadSignature, MemoryStatus
from .parts import ReadPieceLayout, row_bytes_of
from .read_splitter import ReadSplitter
from .row_join import RowJoin
from .row_turner import RowTurner

__all__ = ["AxiRead"]

_PAGE_BITS = 12
_AR_PLACES = 16


class AxiRead(wiring.Component):
    """Read what clients ask for, in bursts that have room before they are sent.

    Requests are cut at multiples of ``burst_bytes``: INCR bursts of whole beats, ARID the client's
    number. What is read beyond a request's ends is thrown away. A client's rows wait in a buffer
    of its own, so beats are always taken, and who takes no data holds up nobody else; RREADY falls
    only for a cycle in which a row is made that no beat brings (of a flush, of a request that
    is given up), and not in two that follow each other unless the second's beat waits for a
    row like that. Beats of different clients may come in any order; those of one in the order of
    its bursts. RLAST is not looked at: beats are counted. Beats that nobody asked for are dropped.

    A client to which the memory owes beats, and gives none for ``timeout`` to 2 * ``timeout``
    cycles, is lost: all that it has asked for ends with TIMEOUT, and all that it asks for until
    everything that is owed has come (and is dropped), which the memory does not see. If the memory
    takes no burst for as long, what would have to wait ends with TIMEOUT, too.

    A request of 0 bytes ends when those of its client before it have; the memory does not see it.

    Latency is 7 cycles from ``request`` to ARVALID, 9 from RVALID to ``data``. Throughput is a
    burst and a beat per cycle.

    Specification: Arm IHI 0022, AMBA AXI and ACE: A3.3.1 (dependencies), A3.4.1 (bursts), A3.4.4
    (responses), A5.3 (order); the contract of :func:`MemoryReadSignature`.

    Parameters
    ----------
    client_count : int
        Clients, 2 to 16.
    data_bytes : int
        Bytes of a beat: 8, 32, 64 or 128.
    burst_bytes : int
        Bytes of a burst at most: a power of two, 128 to 4096, of 2 to 256 beats.
    buffer_rows : int
        Beats for which each client has room: a power of two, 4 bursts or more. For a beat a cycle
        of one client, as many as come in the memory's latency, and 6 bursts.

    Members
    -------
    reads : In(MemoryReadSignature(data_bytes)).array(client_count)
        Clients. ``request.ready`` depends on registers; ``data`` and ``response`` are registered.
    timeout : In(32)
        Cycles in which the memory has to give something, if it owes it.
    axi : Out(Axi4ReadSignature)
        The memory: 64 bits of address, ``client_count``'s bits of ID. Registered.

    Raises
    ------
    ValueError
        If a parameter is not as above.
    """

    reads: list[Any]
    timeout: Signal
    axi: Any

    def __init__(self, *, client_count: int, data_bytes: int, burst_bytes: int, buffer_rows: int):
        check_axi_sizes(client_count=client_count, data_bytes=data_bytes)
        most = longest_burst_bytes(data_bytes)
        if burst_bytes not in (128, 256, 512, 1024, 2048, 4096) or not (
            2 * data_bytes <= burst_bytes <= most
        ):
            raise ValueError(
                f"burst_bytes must be a power of two, {max(128, 2 * data_bytes)} to {most}, "
                f"not {burst_bytes!r}"
            )
        burst_rows = burst_bytes // data_bytes
        if buffer_rows < 4 * burst_rows or buffer_rows & (buffer_rows - 1):
            raise ValueError(
                f"buffer_rows must be a power of two, {4 * burst_rows} or more, not {buffer_rows!r}"
            )
        self.client_count = client_count
        self.data_bytes = data_bytes
        self.burst_bytes = burst_bytes
        self.burst_rows = burst_rows
        self.id_bits = (client_count - 1).bit_length()
        super().__init__(
            {
                "reads": In(MemoryReadSignature(data_bytes)).array(client_count),
                "timeout": In(32),
                "axi": Out(
                    Axi4ReadSignature(address_bits=64, data_bytes=data_bytes, id_bits=self.id_bits)
                ),
            }
        )
        self.splitter = ReadSplitter(
            client_count=client_count,
            segment_count=max(1, data_bytes // 32),
            slot_bytes=burst_bytes,
        )
        self.piece_layout = ReadPieceLayout(client_count, row_bytes_of(max(1, data_bytes // 32)))
        self.clients = [
            AxiReadClient(data_bytes=data_bytes, burst_rows=burst_rows, buffer_rows=buffer_rows)
            for _ in range(client_count)
        ]
        self.joins = [RowJoin(row_bytes=data_bytes, room=buffer_rows) for _ in range(client_count)]
        self.turner = RowTurner(
            client_count=client_count,
            row_bytes=data_bytes,
            tag_count=2,
            slot_bytes=2 * data_bytes,
        )
        self.ticks = AxiTicks()

    def elaborate(self, platform):
        m = Module()
        m.submodules.ticks = ticks = self.ticks
        m.submodules.turner = turner = self.turner
        m.submodules.splitter = splitter = self.splitter
        m.d.comb += [ticks.timeout.eq(self.timeout), splitter.max_request.eq(7)]

        parts = zip(self.reads, self.clients, self.joins, strict=True)
        for number, (port, client, join) in enumerate(parts):
            m.submodules[f"client_{number}"] = client
            m.submodules[f"join_{number}"] = join
            wiring.connect(m, wiring.flipped(port.request), splitter.requests[number])
            wiring.connect(m, join.data, wiring.flipped(port.data))
            wiring.connect(m, join.response, wiring.flipped(port.response))
            m.d.comb += [
                splitter.allowed[number].eq(client.allowed),
                client.take.eq(splitter.take[number]),
                client.tick.eq(ticks.tick),
                client.left.eq(join.left),
                join.write.eq(turner.write[number]),
                join.row.eq(turner.turned),
            ]
        self._ask(m)
        self._receive(m)
        return m

    def _ask(self, m: Module) -> None:
        """Make bursts of pieces, and tell the clients."""
        low = self.data_bytes.bit_length() - 1
        row_bits = self.burst_rows.bit_length() - 1
        address_layout = data.StructLayout(
            {"id": self.id_bits, "row": 64 - low, "rows_1": row_bits}
        )
        m.submodules.addresses = addresses = Queue(shape=address_layout, depth=_AR_PLACES)

        given = self.splitter.o
        valid = Signal()
        piece = Signal(self.piece_layout, reset_less=True)
        last = Signal(_PAGE_BITS, reset_less=True)
        moves = Signal()
        stuck = Signal()
        waited = Signal()
        m.d.comb += [
            moves.eq(addresses.i.ready | stuck),
            given.ready.eq(moves | ~valid),
        ]
        with m.If(given.ready):
            m.d.sync += [
                valid.eq(given.valid),
                piece.eq(given.payload),
                last.eq(given.p.address[:_PAGE_BITS] + given.p.length - 1),
            ]
        # A memory that takes no burst: what waits here is answered without it.
        with m.If(addresses.i.ready):
            m.d.sync += [waited.eq(0), stuck.eq(0)]
        with m.Elif(self.ticks.tick):
            m.d.sync += [waited.eq(valid), stuck.eq(stuck | (waited & valid))]

        burst = Signal(AxiBurstLayout(self.data_bytes, self.burst_rows))
        flush = Signal()
        lost = Signal()
        ours = Signal(self.client_count)
        m.d.comb += [
            flush.eq(piece.length == 0),
            ours.eq(Cat(piece.client == number for number in range(self.client_count))),
            lost.eq((ours & Cat(client.lost for client in self.clients)).any()),
            burst.rows_1.eq(Mux(flush, 0, last[low:] - piece.address[low:_PAGE_BITS])),
            burst.sent.eq(~flush & ~lost & ~stuck),
            burst.shift.eq(piece.shift),
            burst.end.eq(last),
            burst.begins.eq(piece.begin),
            burst.ends.eq(piece.end),
            burst.flush.eq(flush),
            burst.request_tag.eq(piece.tag),
            addresses.i.valid.eq(valid & burst.sent),
            addresses.i.p.id.eq(piece.client),
            addresses.i.p.row.eq(piece.address[low:]),
            addresses.i.p.rows_1.eq(burst.rows_1),
        ]
        for number, client in enumerate(self.clients):
            m.d.comb += [
                client.write.eq(valid & moves & ours[number]),
                client.burst.eq(burst),
            ]

        m.d.comb += [
            addresses.o.ready.eq(self.axi.arready),
            self.axi.arvalid.eq(addresses.o.valid),
            self.axi.arid.eq(addresses.o.p.id),
            self.axi.araddr.eq(Cat(C(0, low), addresses.o.p.row)),
            self.axi.arlen.eq(addresses.o.p.rows_1),
            self.axi.arsize.eq(low),
            self.axi.arburst.eq(BURST_INCR),
            self.axi.arcache.eq(CACHE),
        ]

    def _receive(self, m: Module) -> None:
        """Make rows of beats, or without them, one a cycle."""
        turner = self.turner
        beat_layout = data.StructLayout(
            {
                "of": self.client_count,
                "status": MemoryStatus,
                "data": 8 * self.data_bytes,
            }
        )
        came = Signal(beat_layout)
        m.d.comb += [
            came.of.eq(Cat(self.axi.rid == number for number in range(self.client_count))),
            came.status.eq(status_of(self.axi.rresp)),
            came.data.eq(self.axi.rdata),
        ]

        # A beat, and one that came while it had to wait.
        beat = Signal(beat_layout, reset_less=True)
        valid = Signal()
        waiting = Signal(beat_layout, reset_less=True)
        waits = Signal()
        goes = Signal()
        m.d.comb += self.axi.rready.eq(~waits)
        with m.If(goes | ~valid):
            m.d.sync += [
                valid.eq(waits | self.axi.rvalid),
                beat.eq(Mux(waits, waiting, came)),
                waits.eq(0),
            ]
        with m.Elif(self.axi.rvalid):
            m.d.sync += waits.eq(1)
        with m.If(~waits):
            m.d.sync += waiting.eq(came)

        # Turns: rows without a beat have theirs at least every other cycle.
        m.submodules.picker = picker = RoundRobinPicker(request_count=self.client_count)
        takes = Signal(self.client_count)
        drops = Signal(self.client_count)
        feed = Signal(self.client_count)
        beat_went = Signal()
        makes = Signal()
        m.d.comb += [
            takes.eq(Cat(client.takes for client in self.clients)),
            drops.eq(Cat(client.drops for client in self.clients)),
            picker.requests.eq(Cat(client.makes for client in self.clients)),
            goes.eq(
                valid
                & ~(picker.granted & beat_went)
                & ((beat.of & (takes | drops)).any() | ~beat.of.any())
            ),
            makes.eq(picker.granted & ~goes),
            picker.take.eq(makes),
            feed.eq(Mux(makes, picker.grant, Mux(goes, beat.of & takes, 0))),
        ]
        m.d.sync += beat_went.eq(goes)

        # A row's bytes follow it by a cycle, as they would from a store, its status by two.
        row = Signal(row_layout(self.data_bytes), reset_less=True)
        reads = Signal(self.client_count)
        status = Signal(MemoryStatus, reset_less=True)
        row_data = Signal(8 * self.data_bytes, reset_less=True)
        late_status = Signal(MemoryStatus, reset_less=True)
        later_status = Signal(MemoryStatus, reset_less=True)
        late_data = Signal(8 * self.data_bytes, reset_less=True)
        statuses = [client.status for client in self.clients]
        m.d.sync += [
            reads.eq(feed),
            Value.cast(row).eq(select_one_hot(feed, [Value.cast(c.row) for c in self.clients])),
            status.eq(Mux(makes, select_one_hot(picker.grant, statuses), beat.status)),
            row_data.eq(beat.data),
            late_status.eq(status),
            later_status.eq(late_status),
            late_data.eq(row_data),
        ]
        m.d.comb += [
            turner.reads.eq(reads),
            turner.row.eq(row),
            turner.status.eq(later_status),
            turner.read_data.eq(late_data),
        ]
        for number, client in enumerate(self.clients):
            m.d.comb += [
                client.feed.eq(feed[number]),
                client.got.eq(goes & beat.of[number]),
            ]
