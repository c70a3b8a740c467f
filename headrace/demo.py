"""``make demo``: RDMA traffic through the parser, a file over a bad wire; Verilog, a bitstream."""

import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from amaranth.back import verilog
from rich.console import Console

from fpga import bitstream
from hdl.nic import PRODUCTS
from hdl.pipeline import Parser
from tb.simulate import BUILD, MissingToolError, require

from .capture import read_frames
from .file_move import move
from .parse import parse_frames, print_frames
from .waiting import Waiting, finished

__all__ = ["main"]

ROOT = BUILD.parent
#: What each capture shows.
CAPTURES = {
    "rc_pingpong_ipv6": "ibv_rc_pingpong over IPv6, its TCP set-up included",
    "v_rc_atomics": "compare-and-swap and fetch-and-add",
    "v_rc_nak_bad_rkey_write": "an RDMA WRITE with a wrong key, and what the responder says to it",
    "f_bad_icrc_write_only.b": "a damaged packet, and its retransmission",
    "ud_pingpong_s1024": "unreliable datagrams",
}
BOARD, DESIGN = "ecpix5-45", "parser"


#: What goes from one engine to the other, and how much of it gets lost.
FILE, LOSS = "docs/pcie-switch.md", 0.05


def _move_file(console: Console) -> None:
    """Let two engines move a file over a bad wire, and say what came of it."""
    data = (ROOT / FILE).read_bytes()
    console.print(
        f"\nTwo engines in Verilator: {FILE} ({len(data)} bytes) goes from the memory behind one to"
        f"\nthat behind the other, by RDMA WRITEs; the wire loses {LOSS:.0%} of the frames, and"
        f" damages {LOSS:.0%}.\n"
    )
    moved = move(data, loss=LOSS)
    fates = moved.fates
    console.print(
        f"  {fates['sent']} frames, {fates['dropped']} lost, {fates['corrupted']} damaged;"
        f" {moved.cycles} cycles, {moved.seconds:.0f} s"
        f"\n  {'every byte is there' if moved.is_right else 'THE FILE IS NOT WHOLE'}"
    )
    if not moved.is_right:
        raise SystemExit(1)


def main() -> int:
    """Run the demonstration; return the exit code."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    try:
        require("g++", "make", "perl")
    except MissingToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    begun = time.monotonic()
    folder = BUILD / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    # Place and route takes one core for a minute or two: it begins first.
    with ProcessPoolExecutor(1) as pool:
        building = pool.submit(bitstream.build, BOARD, DESIGN)
        config = PRODUCTS["proto"]
        for name, what in CAPTURES.items():
            path = Path("data", "captures", f"{name}.pcap")
            console.print(f"\n$ headrace parse {path}    # {what}\n")
            print_frames(parse_frames(read_frames(ROOT / path), config), console)
        _move_file(console)
        parser = Parser(
            data_bytes=config.data_bytes, header_count=config.header_count, slots=config.slots
        )
        source = folder / "parser.v"
        source.write_text(verilog.convert(parser, name="parser", emit_src=False))
        with Waiting() as waiting:
            while not finished(building):
                waiting.show(f"building the bitstream for {BOARD}")
        made = building.result()
    bit = folder / "parser.bit"
    shutil.copyfile(made.bit, bit)
    used = ", ".join(f"{name} {count} of {most}" for name, (count, most) in made.used.items())
    console.print(
        f"\nVerilog of the parser:  {source.relative_to(ROOT)}"
        f"\nBitstream of it:        {bit.relative_to(ROOT)}"
        f"\n  for {BOARD} ({made.device}), packets over {made.uart}"
        f"\n  {used}; {made.fmax_mhz} MHz reached, {made.needed_mhz:g} needed"
        f"\n  load it: {made.program.replace(made.bit, str(bit.relative_to(ROOT)))}"
        f"\n\nAll of it took {time.monotonic() - begun:.0f} s."
    )
    return 0 if made.fmax_mhz >= made.needed_mhz else 1


if __name__ == "__main__":
    sys.exit(main())
