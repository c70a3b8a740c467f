"""TCP of our side, for programs of the guest that arrange a conversation over it."""

import contextlib
import socket
from pathlib import Path

from .loop import Loop
from .packages import PeerError

__all__ = ["Door", "Stream"]

_SECONDS = 15


class Stream:
    """A connection, read and written while the loop goes on; use it as a context.

    Parameters
    ----------
    one : socket.socket
        Connected.
    loop : Loop
    """

    def __init__(self, one: socket.socket, *, loop: Loop):
        self._socket = one
        self._loop = loop
        self._data = bytearray()
        self._has_ended = False
        loop.readers[one] = self._read

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._loop.readers.pop(self._socket, None)
        self._socket.close()

    def _read(self) -> None:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._socket.recv(1 << 16)
        if not data:
            self._has_ended = True
            del self._loop.readers[self._socket]
        self._data += data

    def peek(self, length: int) -> bytes:
        """First ``length`` bytes that have come and were not read; fewer if the other has ended."""
        self._loop.wait(
            lambda: len(self._data) >= length or self._has_ended,
            seconds=_SECONDS,
            what=f"{length} bytes by TCP",
        )
        return bytes(self._data[:length])

    def read(self, length: int) -> bytes:
        """Next ``length`` bytes.

        Raises
        ------
        PeerError
            If the other side has ended before.
        """
        data = self.peek(length)
        if len(data) < length:
            raise PeerError(f"TCP ended after {len(data)} of {length} bytes")
        del self._data[:length]
        return data

    def write(self, data: bytes) -> None:
        """Send ``data``."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise PeerError(f"TCP: {error.strerror}") from None


class Door:
    """Connections both ways: those that the guest asks for arrive at ``path``.

    Parameters
    ----------
    path : Path
        Where the socket is made.
    loop : Loop
    """

    def __init__(self, path: Path, *, loop: Loop):
        self._loop = loop
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._came: list[socket.socket] = []
        loop.readers[self._listener] = lambda: self._came.append(self._listener.accept()[0])

    def accept(self) -> Stream:
        """Wait for the guest to ask for a connection."""
        self._loop.wait(lambda: self._came, seconds=_SECONDS, what="a TCP connection of the guest")
        return Stream(self._came.pop(0), loop=self._loop)

    def connect(self, port: int) -> Stream:
        """Ask the guest for a connection, at this port of this machine."""
        return Stream(socket.create_connection(("127.0.0.1", port), _SECONDS), loop=self._loop)

    def close(self) -> None:
        """Close all that nobody has taken."""
        self._loop.readers.pop(self._listener, None)
        for one in (self._listener, *self._came):
            one.close()
