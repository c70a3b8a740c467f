"""The guest's wire: frames to and from QEMU, some of them lost on purpose, all of them recorded."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scapy.utils import RawPcapWriter

from ..roce import BadPacketError, RocePacket, parse
from .loop import Loop

__all__ = ["Deframer", "Watch", "Wire", "framed"]

_LENGTH = struct.Struct(">I")
_READ_BYTES = 1 << 18


def framed(frame: bytes) -> bytes:
    """Give ``frame`` as QEMU's stream sockets have it: behind its length."""
    return _LENGTH.pack(len(frame)) + frame


class Deframer:
    """Find frames in a stream that comes in pieces."""

    def __init__(self):
        self._data = bytearray()

    def take(self, data: bytes) -> list[bytes]:
        """Frames that end within ``data``."""
        self._data += data
        frames, place = [], 0
        while len(self._data) >= place + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data, place)
            end = place + _LENGTH.size + length
            if len(self._data) < end:
                break
            frames.append(bytes(self._data[place + _LENGTH.size : end]))
            place = end
        del self._data[:place]
        return frames


@dataclass
class Watch:
    """Packets that are looked for, those one way: how many ``found``; ``losses`` are lost."""

    comes_from_guest: bool
    chosen: Callable[[RocePacket], bool]
    losses: int = 0
    found: int = 0

    def takes(self, frame: bytes, from_guest: bool) -> bool:
        """Look at a frame; whether it is lost."""
        if from_guest is not self.comes_from_guest:
            return False
        try:
            packet = parse(frame)
        except BadPacketError:
            return False
        if not self.chosen(packet):
            return False
        self.found += 1
        return self.found <= self.losses


class Wire:
    """A wire with QEMU at one end.

    Parameters
    ----------
    path : Path
        Where the socket is made.
    loop : Loop
    capture : Path
        File for all frames that are sent, those that are lost then too; pcap.
    receive : callable
        Takes each frame that comes from the guest.

    Attributes
    ----------
    watches : list of Watch
        What is looked for, and lost; change it at any time.
    frame_counts : list of int
        Frames to the guest, and from it.
    """

    def __init__(self, path: Path, *, loop: Loop, capture: Path, receive: Callable[[bytes], None]):
        self.path = path
        self.watches: list[Watch] = []
        self.frame_counts = [0, 0]
        self._loop = loop
        self._receive = receive
        self._deframer = Deframer()
        self._record = RawPcapWriter(str(capture), linktype=1, sync=False)
        self._record.write_header(None)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._socket: socket.socket | None = None
        loop.readers[self._listener] = self._accept

    def _accept(self) -> None:
        """Take a connection; one before is that of a QEMU that could not boot."""
        one, _ = self._listener.accept()
        if self._socket is not None:
            self._hang_up(self._socket)
        self._socket, self._deframer = one, Deframer()
        self._loop.readers[one] = self._read

    def _hang_up(self, one: socket.socket) -> None:
        self._loop.readers.pop(one, None)
        one.close()

    def _read(self) -> None:
        assert self._socket is not None
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._socket.recv(_READ_BYTES)
        if not data:
            self._hang_up(self._socket)
            self._socket = None
        for frame in self._deframer.take(data):
            if self._passes(frame, from_guest=True):
                self._receive(frame)

    def send(self, frame: bytes) -> None:
        """Send a frame to the guest."""
        if self._passes(frame, from_guest=False) and self._socket is not None:
            # If QEMU has ended, whoever waits for the guest says so.
            with contextlib.suppress(ConnectionError):
                self._socket.sendall(framed(frame))

    def _passes(self, frame: bytes, *, from_guest: bool) -> bool:
        self.frame_counts[from_guest] += 1
        now = time.time_ns()
        self._record.write_packet(frame, sec=now // 10**9, usec=now // 1000 % 10**6)
        return not any([watch.takes(frame, from_guest) for watch in self.watches])

    def close(self) -> None:
        """Close the sockets and finish the recording."""
        for one in (self._listener, self._socket):
            if one is not None:
                self._hang_up(one)
        self._record.close()
