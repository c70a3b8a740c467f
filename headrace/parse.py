"""``headrace parse``: a capture through the Verilated parser."""

import ipaddress
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hdl.nic import PRODUCTS, NicConfig
from hdl.pipeline import Parser
from sim.headers import NAKS, OPCODES, decode, header_bytes
from tb.simulate import BUILD, build, run

from .capture import read_frames
from .console import InputError
from .waiting import Waiting, finished

__all__ = ["parse", "parse_frames", "print_frames"]

# Fields worth a place on the line, with how they are written.
_SHOWN = {
    "virtual_address": "va 0x{:x}",
    "r_key": "rkey 0x{:x}",
    "dma_length": "length {}",
    "msn": "msn {}",
    "immediate_data": "imm 0x{:08x}",
    "q_key": "qkey 0x{:x}",
    "src_qp": "from qp 0x{:x}",
    "swap_or_add_data": "swap/add 0x{:x}",
    "compare_data": "compare 0x{:x}",
    "original_remote_data": "was 0x{:x}",
}


def opcode_words(opcode: int) -> str:
    """``RC_SEND_ONLY`` as words; the number where it has no name."""
    name = OPCODES.get(opcode)
    return name.replace("_", " ") if name else f"opcode 0x{opcode:02x}"


def _fields(state: str, header: str, offset: int, frame: bytes, entry: dict) -> dict[str, int]:
    """Fields of a header: from the window that the hardware copied, where it lies in one."""
    size = header_bytes(header)
    for place, window in entry["places"].values():
        if place <= offset and offset + size <= place + len(window):
            return decode(header, window[offset - place :])
    return decode(header, frame[offset:])


def describe(number: int, frame: bytes, parser: Parser, entry: dict[str, Any]) -> dict[str, Any]:
    """JSON object of one frame from what the hardware said of it."""
    tables = parser.tables
    headers = [
        (state, tables.headers[tables.names.index(state)], offset)
        for state, offset in entry["headers"]
    ]
    starts = {tables.slots[state]: offset for state, _, offset in reversed(headers)}
    entry["places"] = {
        slot: (starts[slot], bytes.fromhex(window))
        for slot, window in entry["windows"].items()
        if slot in starts
    }
    fields: dict[str, dict[str, int]] = {}
    for state, header, offset in headers:
        count = sum(name == header or name.startswith(f"{header}_#") for name in fields)
        key = f"{header}_#{count + 1}" if count else header
        fields[key] = {"offset": offset, **_fields(state, header, offset, frame, entry)}
    bth = fields.get("bth", {})
    return {
        "frame": number,
        "length": len(frame),
        "layers": [header for _, header, _ in headers],
        "opcode": bth.get("opcode"),
        "opcode_name": opcode_words(bth["opcode"]) if bth else None,
        "dest_qp": bth.get("dest_qp"),
        "psn": bth.get("psn"),
        "icrc_good": entry["icrc_good"],
        "error": entry["error"],
        "fields": {name.replace("_#", "_"): values for name, values in fields.items()},
    }


def _syndrome(syndrome: int) -> str:
    """AETH syndrome in words (IBTA vol 1 9.7.5.2)."""
    low = syndrome & 31
    nak = NAKS.get(syndrome & 0x7F, f"code {low}").replace("_", " ").lower()
    kinds = (
        f"ACK, credits {low}",
        f"RNR NAK, timer {low}",
        f"syndrome {syndrome:#x}",
        f"NAK, {nak}",
    )
    return kinds[syndrome >> 5 & 3]


def line(about: dict[str, Any]) -> str:
    """Write one frame for a person."""
    fields = about["fields"]
    words = [f"{about['frame']:5}"]
    # Of two IP headers, the last is the inner one.
    inner = [values for name, values in fields.items() if name.startswith(("ipv4", "ipv6"))]
    inner = [values for values in inner if "source_address" in values]
    if inner:
        addresses = [inner[-1][f"{end}_address"] for end in ("source", "destination")]
        kind = ipaddress.IPv4Address if "ihl" in inner[-1] else ipaddress.IPv6Address
        words.append(" > ".join(str(kind(address)) for address in addresses))
    elif "ethernet" in fields:
        ends = [fields["ethernet"][f"{end}_address"] for end in ("source", "destination")]
        words.append(" > ".join(end.to_bytes(6, "big").hex(":") for end in ends))
    if about["opcode"] is not None:
        words.append(f" {about['opcode_name']:31}")
        words.append(f"qp 0x{about['dest_qp']:06x} psn {about['psn']:8}")
    else:
        words.append(f" {' / '.join(about['layers'])}")
    for name, values in fields.items():
        if name == "aeth":
            words.append(_syndrome(values["syndrome"]))
        if name not in ("ethernet", "ipv4", "ipv6", "udp", "bth", "tcp"):
            words += [text.format(values[key]) for key, text in _SHOWN.items() if key in values]
    if about["icrc_good"] is not None:
        words.append("ICRC good" if about["icrc_good"] else "ICRC BAD")
    if about["error"]:
        words.append(f"[{about['error'].replace('_', ' ')}]")
    return " ".join(words)


def parse_frames(frames: list[bytes], config: NicConfig) -> Iterator[dict[str, Any]]:
    """Yield what the Verilated parser says of each of ``frames``, then the ``total``."""
    parser = Parser(
        data_bytes=config.data_bytes, header_count=config.header_count, slots=dict(config.slots)
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(1) as pool,
        Waiting() as waiting,
    ):
        results = Path(folder, "results")
        results.touch()
        Path(folder, "frames").write_text("\n".join(frame.hex() for frame in frames))
        building = pool.submit(build, parser, name="parser")
        while not finished(building):
            waiting.show("building the simulator of the parser (once)")
        simulator = building.result()
        done = pool.submit(
            run,
            simulator,
            name="parser",
            testbench="tb.pipeline.parse_tb",
            run_dir=Path(folder),
            env={
                "FRAMES": Path(folder, "frames"),
                "RESULTS": results,
                "DATA_BYTES": config.data_bytes,
                "HEADER_COUNT": config.header_count,
                "SLOTS": json.dumps(dict(config.slots)),
                "NAMES": json.dumps(parser.tables.names),
            },
            log_file=BUILD / "parse.log",
        )
        while not finished(done):
            count = results.read_bytes().count(b"\n")
            waiting.show("through the parser", count, len(frames))
        entries = [json.loads(text) for text in results.read_text().splitlines()]
    opcodes: Counter[str] = Counter()
    verdicts: Counter[bool | None] = Counter()
    errors: Counter[str] = Counter()
    for number, (frame, entry) in enumerate(zip(frames, entries, strict=False), start=1):
        about = describe(number, frame, parser, entry)
        opcodes[about["opcode_name"] or "not RoCEv2"] += 1
        verdicts[about["icrc_good"]] += 1
        errors[about["error"]] += about["error"] is not None
        yield about
    cycles = entries[-1]
    yield {
        "total": {
            "frames": len(frames),
            "by_opcode": dict(opcodes.most_common()),
            "icrc_good": verdicts[True],
            "icrc_bad": verdicts[False],
            "errors": dict(+errors),
            **cycles,
        }
    }


def print_frames(objects: Iterable[dict[str, Any]], console: Console) -> None:
    """Print what :func:`parse_frames` yields for a person."""
    for about in objects:
        if "total" not in about:
            console.print(line(about))
            continue
        total = about["total"]
        console.print()
        for name, count in total["by_opcode"].items():
            console.print(f"{count:7} {name}")
        used, needed = total["cycles_used"], total["cycles_needed"]
        ratio = f" = {used / needed:.3f}" if needed else ""
        console.print(
            f"{total['frames']:7} frames, {total['icrc_good']} with a good ICRC,"
            f" {total['icrc_bad']} with a bad one; cycles used / needed: {used} / {needed}{ratio}"
        )


def parse(
    file: Annotated[Path, typer.Argument(help="Capture: pcap or pcapng, Ethernet.")],
    profile: Annotated[
        str, typer.Option(help="Product whose parser it is: proto, card100 or card400.")
    ] = "proto",
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line, for programs.")
    ] = False,
) -> None:
    """Send every frame of a capture through the Verilated parser and print what it finds.

    Example: `headrace parse data/captures/rping_v4.pcap --profile card400`
    """
    if profile not in PRODUCTS:
        raise InputError(f"profile must be one of {', '.join(PRODUCTS)}, not {profile!r}")
    frames = read_frames(file)
    objects = parse_frames(frames, PRODUCTS[profile])
    if as_json:
        for about in objects:
            print(json.dumps(about))
    else:
        print_frames(objects, Console(markup=False, highlight=False, soft_wrap=True))
