"""One thread for all that a conversation with the guest needs: sockets, engine, time."""

import select
import socket
import time
from collections.abc import Callable

from .packages import PeerError

__all__ = ["Loop", "StalledError"]

#: The longest that nobody looks at the engine.
_TURN_SECONDS = 0.05


class StalledError(PeerError):
    """What was waited for did not come; the message says what."""


class Loop:
    """Serve sockets and engine while something is waited for.

    Parameters
    ----------
    seconds : float
        All waiting ends by then, counted from now on.

    Attributes
    ----------
    readers : dict
        What to call when a socket has something.
    idle : list
        Called in each turn; each says in how many seconds it is to be called again at the latest,
        or None.
    """

    def __init__(self, *, seconds: float):
        self.readers: dict[socket.socket, Callable[[], None]] = {}
        self.idle: list[Callable[[], float | None]] = []
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """How long the loop may go on."""
        return self._end - time.monotonic()

    def turn(self) -> None:
        """Serve what there is, or wait a little."""
        waits = [wait for call in list(self.idle) if (wait := call()) is not None]
        limit = max(0.0, min([_TURN_SECONDS, *waits]))
        ready, _, _ = select.select(list(self.readers), [], [], limit)
        for one in ready:
            # Another's call may have closed it.
            if one in self.readers:
                self.readers[one]()

    def wait(self, condition: Callable[[], object], *, seconds: float, what: str) -> None:
        """Go on until ``condition`` holds.

        Raises
        ------
        StalledError
            If it does not within ``seconds``, or by the end of the loop.
        """
        end = min(time.monotonic() + seconds, self._end)
        while not condition():
            if time.monotonic() > end:
                raise StalledError(f"{what}: nothing within {seconds:g} s")
            self.turn()

    def sleep(self, seconds: float) -> None:
        """Go on for ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()
