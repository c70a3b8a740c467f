"""cocotb bench of hdl.pipeline.Parser: cycles used / needed on frames that it parses.

Environment: that of ``tb.stream.rate_tb``. Every frame is RoCEv2, as deep in headers as its length
allows: the default graph is followed at every rate.
"""

import random

import cocotb

from sim.pipeline import icrc
from sim.stream import Packet
from tb.stream import PacketSource, StreamSink, start
from tb.stream.rate_tb import DATA_BYTES, Figure, ratio, settle, traffics, write_rows

_ETHERNET = bytes(12)
_TAG = bytes.fromhex("8100 0005")
_TUNNEL = bytes.fromhex("12b5 12b5 0000 0000 0800000000000100") + _ETHERNET  # to VXLAN


def ip4(size: int) -> bytes:
    """IPv4 header in front of ``size`` bytes of UDP."""
    return (
        bytes.fromhex("4500")
        + (20 + size).to_bytes(2, "big")
        + bytes.fromhex("0000 4000 4011 0000 c0000201 c0000202")
    )


def roce(length: int) -> bytes:
    """RoCEv2 frame of exactly ``length`` bytes, with tags and a tunnel where it has room."""
    head = _ETHERNET
    if length >= 128:
        head += _TAG
    if length >= 192 and random.random() < 0.5:
        head += bytes.fromhex("0800") + ip4(length - len(head) - 22) + _TUNNEL
    head += bytes.fromhex("0800")
    ip = len(head)
    size = length - ip - 20
    head += ip4(size)
    head += bytes.fromhex("c000 12b7") + size.to_bytes(2, "big") + bytes(2)
    # RDMA WRITE ONLY, so that a RETH follows; what is too short for one is a SEND ONLY.
    opcode = 0x0A if length - len(head) >= 32 else 0x04
    head += bytes([opcode, 0]) + bytes.fromhex("ffff 00000011 80000001")
    frame = head + random.randbytes(length - len(head) - 4)
    return frame + icrc(frame, ip=ip, version=4, udp=ip + 20, bth=ip + 28)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def rate(dut):
    """Measure every traffic; one beat a cycle is required by the row's limit, not here."""
    dut.bank.value = 0
    dut.write.value = 0
    source = PacketSource(dut, "i", DATA_BYTES)
    sink = StreamSink(dut, "o")
    await start(dut)
    source.send(Packet(roce(64)))
    await settle(dut, [source], [sink])
    rows: list[Figure] = [("64 B alone", "latency", sink.first - source.first, None, "cycles")]
    for traffic, lengths in traffics().items():
        for port in (source, sink):
            port.restart()
        for length in lengths:
            source.send(Packet(roce(length)))
        await settle(dut, [source], [sink])
        assert sink.accepted == source.accepted > 0
        rows.append(ratio(traffic, source, sink))
    write_rows(rows)
