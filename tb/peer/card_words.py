"""What a card and its simulator, which is another process, tell each other through a socket."""

import pickle
import socket
from dataclasses import dataclass, field
from typing import Any

from sim.roce import Completion, SendCompletion

__all__ = ["PAGE_BYTES", "Line", "Progress"]

#: Of the regions: the table has 64 rows for all that are known.
PAGE_BYTES = 1 << 15


@dataclass
class Progress:
    """How far the engine has come.

    Parameters
    ----------
    frames : list of bytes
        What it sent.
    sent, received : lists of SendCompletion and Completion
    is_quiet : bool
        Nothing happens any more, but for what time brings.
    is_asked : bool
        There are work requests that have not ended.
    cycles : int
        Since reset.
    """

    frames: list[bytes] = field(default_factory=list)
    sent: list[SendCompletion] = field(default_factory=list)
    received: list[Completion] = field(default_factory=list)
    is_quiet: bool = True
    is_asked: bool = False
    cycles: int = 0


class Line:
    """Things that are told through a connected socket between two processes of the same owner."""

    def __init__(self, one: socket.socket):
        self._socket = one
        self._stream = one.makefile("rwb")

    def tell(self, thing: Any) -> None:
        """Tell something."""
        pickle.dump(thing, self._stream, protocol=pickle.HIGHEST_PROTOCOL)
        self._stream.flush()

    def hear(self) -> Any:
        """Wait for something; EOFError if the other has ended."""
        return pickle.load(self._stream)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()
