"""Read the Ethernet frames of a capture file."""

import struct
from collections.abc import Iterator
from pathlib import Path

from scapy.data import DLT_EN10MB
from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from .console import InputError

__all__ = ["read_frames"]

_PCAP_HEADER_BYTES = 24
_RECORD_HEADER_BYTES = 16


def read_frames(path: Path) -> list[bytes]:
    """Frames of a pcap or pcapng file, without FCS, in order.

    Raises
    ------
    InputError
        If there is no such file, it is no capture, ends within a packet, holds a packet that was
        not captured whole, or is not of Ethernet.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: not a file")
    try:
        # The class makes a reader of the kind that the file's magic number asks for.
        with RawPcapReader(str(path)) as reader:
            if isinstance(reader, RawPcapNgReader):
                return list(_pcapng(path, reader))
            return list(_pcap(path, reader))
    except Scapy_Exception as error:
        raise InputError(f"{path}: not a pcap or pcapng file ({error})") from None


def _check(path: Path, number: int, linktype: int, data: bytes, captured: int, sent: int) -> None:
    """Refuse what is no whole Ethernet frame."""
    if linktype != DLT_EN10MB:
        raise InputError(f"{path}: link type is {linktype}, not Ethernet (1)")
    if len(data) < captured:
        raise InputError(f"{path}: truncated: it ends within frame {number}")
    if captured < sent:
        raise InputError(
            f"{path}: frame {number} was captured in part ({captured} of {sent} bytes):"
            " capture again without a snap length"
        )
    if not data:
        raise InputError(f"{path}: frame {number} is empty")


def _pcap(path: Path, reader: RawPcapReader) -> Iterator[bytes]:
    consumed = _PCAP_HEADER_BYTES
    if reader.linktype != DLT_EN10MB:
        _check(path, 0, reader.linktype, b"", 0, 0)
    for number, (data, about) in enumerate(reader, start=1):
        _check(path, number, reader.linktype, data, about.caplen, about.wirelen)
        consumed += _RECORD_HEADER_BYTES + about.caplen
        yield data
    # The reader takes a record header that is cut for the end of the file.
    if reader.f.tell() != consumed:
        raise InputError(f"{path}: truncated: it ends within the header of a frame")


def _pcapng(path: Path, reader: RawPcapNgReader) -> Iterator[bytes]:
    _check_blocks(path)
    for number, (data, about) in enumerate(reader, start=1):
        linktype = getattr(about, "linktype", -1)
        _check(path, number, linktype, data, about.caplen, about.wirelen)
        yield data


def _check_blocks(path: Path) -> None:
    """Refuse a pcapng file that ends within a block; the reader would end silently."""
    order = "<"
    with path.open("rb") as file:
        while head := file.read(12):
            if len(head) == 12 and head[:4] == b"\x0a\x0d\x0d\x0a":
                order = "<" if head[8:] == b"\x4d\x3c\x2b\x1a" else ">"
            length = struct.unpack(order + "I", head[4:8])[0] if len(head) == 12 else 0
            rest = length - 12
            if rest < 0 or len(file.read(rest)) < rest:
                raise InputError(f"{path}: truncated: it ends within a block")
