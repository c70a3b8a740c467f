"""Send the frames of a file through the parser and write what it says of each.

Environment: ``FRAMES``, a file of frames as hexadecimal lines; ``RESULTS``, where a JSON object for
each frame goes, and one with the cycles; ``DATA_BYTES``, ``HEADER_COUNT``, ``SLOTS`` (JSON), and
``NAMES`` (JSON), the states by number.
"""

import json
import os
from pathlib import Path

import cocotb

from sim.stream import Packet
from tb.pipeline.described_port import DescribedSink
from tb.stream import PacketSource, start

DATA_BYTES = int(os.environ["DATA_BYTES"])


@cocotb.test()
async def parse(dut):
    """Each frame leaves as it came; its descriptor is written down."""
    frames = [bytes.fromhex(line) for line in Path(os.environ["FRAMES"]).read_text().split()]
    dut.bank.value = 0
    dut.write.value = 0
    source = PacketSource(dut, "i", DATA_BYTES)
    sink = DescribedSink(
        dut,
        "o",
        DATA_BYTES,
        header_count=int(os.environ["HEADER_COUNT"]),
        slots=json.loads(os.environ["SLOTS"]),
        names=json.loads(os.environ["NAMES"]),
    )
    await start(dut)
    for frame in frames:
        source.send(Packet(frame))
    with Path(os.environ["RESULTS"]).open("w", buffering=1 << 16) as results:
        for frame in frames:
            parsed, packet = await sink.received.get()
            assert packet.data == frame, "the parser changed a packet"
            entry = {
                "headers": parsed.headers,
                "error": parsed.error,
                "windows": {name: window.hex() for name, window in parsed.windows.items()},
                "icrc_good": parsed.icrc_good,
            }
            results.write(json.dumps(entry) + "\n")
        used = max(source.span, sink.span)
        results.write(json.dumps({"cycles_used": used, "cycles_needed": sink.accepted}) + "\n")
