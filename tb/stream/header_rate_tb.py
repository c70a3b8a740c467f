"""cocotb bench of HeaderInsert and HeaderRemove: cycles used / needed on named traffic.

Environment: ``DATA_BYTES``; ``SIDE``, which is ``headers`` where headers are put in front of the
packets and ``lengths`` where they are removed; ``MAX_HEADER_BYTES``. What used and needed are
is said in :mod:`tb.stream.rate_tb`, whose lengths are those of the packets on ``i``. Headers are
Ethernet, with a VLAN tag, UDP over IPv4 and over IPv6, and BTH behind that, mixed at random; but no
packet is shorter than what is removed.
"""

import os
import random

import cocotb

from sim.stream import Packet

from . import PacketSink, PacketSource, StreamSource, start
from .header_port import HeaderSink, HeaderSource
from .rate_tb import DATA_BYTES, Figure, ratio, settle, traffics, write_rows

INSERTS = os.environ["SIDE"] == "headers"
MAX_HEADER_BYTES = int(os.environ["MAX_HEADER_BYTES"])
HEADERS = [14, 18, 42, 62, 74]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def rate(dut):
    """Measure every traffic; one beat a cycle is required by the row's limit, not here."""
    source = PacketSource(dut, "i", DATA_BYTES)
    sink = PacketSink(dut, "o", DATA_BYTES)
    headers = HeaderSource(dut, "headers", MAX_HEADER_BYTES) if INSERTS else None
    lengths = None if INSERTS else StreamSource(dut, "lengths")
    removed = [] if INSERTS else [HeaderSink(dut, "headers", MAX_HEADER_BYTES)]
    side = headers or lengths
    assert side is not None
    ports = [source, sink, side, *removed]
    await start(dut)

    def send(length: int, header_length: int) -> None:
        if headers:
            headers.send(random.randbytes(header_length))
        if lengths:
            lengths.send_value(header_length)
        source.send(Packet(random.randbytes(length)))

    send(128, 42)
    await settle(dut, [source, side], [sink, *removed])
    latency = sink.first - side.first
    rows: list[Figure] = [("128 B alone, header 42 B", "latency", latency, None, "cycles")]
    for traffic, sizes in traffics().items():
        for port in ports:
            port.restart()
        for length in sizes:
            send(length, random.choice([n for n in HEADERS if INSERTS or n < length]))
        await settle(dut, [source, side], [sink, *removed])
        rows.append(ratio(traffic, *ports))
    write_rows(rows)
