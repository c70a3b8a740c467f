"""The Verilated engine as a card: its simulator is a process that does what this one says."""

import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from sim.peer.card import Card, CardLostError, Connection
from sim.peer.guest import CARD, GUEST
from sim.roce import Completion, Rights, SendCompletion, SendRequest
from tb.roce.parsed_responder import ParsedEngine
from tb.roce.sizes import talking
from tb.simulate import BUILD, build, run

from .card_words import Line, Progress

__all__ = ["VerilatedCard"]

#: Of the simulator, as tests of the engine have it.
_NAME = "engine"
#: Cycles of a turn, at most, and of a tick, at least.
_TURN_CYCLES = 256
_TICK_CYCLES = 16
#: A tick, of 1.024 us for the engine, is so much longer for the guest as the engine is slower.
_TICK_SHIFT = 10
_TICK_NANOSECONDS = 1024 << _TICK_SHIFT
_TIMEOUT_NANOSECONDS = 4096 << _TICK_SHIFT
#: Whatever it is asked for, a simulator says something within this time.
_ANSWER_SECONDS = 60


@cache
def _simulator(data_bytes: int) -> Path:
    """Build what tests of the engine use, so that it is built once for all of them."""
    return build(ParsedEngine(config=talking(data_bytes)), name=_NAME)


def _timeout_code(nanoseconds: int) -> int:
    """Code of a timeout in ticks that are longer; 0 is never."""
    if not nanoseconds:
        return 0
    return max(1, (-(-nanoseconds // _TIMEOUT_NANOSECONDS) - 1).bit_length())


class VerilatedCard(Card):
    """:class:`hdl.roce.engine.Engine`, simulated as fast as it goes.

    Its clock runs only in :meth:`transmit`, and in what a driver does. So a second of the guest's
    time has some ten thousand cycles, and a tick of the engine's time, by which timeouts and RNR
    NAKs are counted, is 1024 times as long for the guest as its 1.024 us.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat: 8 or 64.
    is_guest : bool
        It has the addresses of the guest: the other end of the wire.
    run_dir : Path, optional
        Folder for what the simulator says, and with ``WAVES=1`` for its waves.

    Attributes
    ----------
    cycles : int
        How far the simulator has come.

    Raises
    ------
    MissingToolError, SystemExit
        As of :func:`tb.simulate.build`: the first time, the simulator is built, for minutes.
    CardLostError
        If the simulator does not begin.
    """

    memory_address = 1 << 44
    memory_bytes = 1 << 24

    def __init__(
        self, *, data_bytes: int = 64, is_guest: bool = False, run_dir: Path | None = None
    ):
        self._host = GUEST if is_guest else CARD
        simulator = _simulator(data_bytes)
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-"))
        run_dir = run_dir or BUILD / "sim" / f"card_{data_bytes}{'_guest' * is_guest}"
        run_dir.mkdir(parents=True, exist_ok=True)
        self.log_file = run_dir / "simulator.log"
        self._line: Line | None = None
        self._coming: list[bytes] = []
        self._sent: list[SendCompletion] = []
        self._received: list[Completion] = []
        self._is_busy = self._is_asked = False
        self._time = 0
        self.cycles = 0
        self._error: Exception | None = None
        options = {
            "name": _NAME,
            "testbench": "tb.peer.card_tb",
            "run_dir": run_dir,
            "log_file": self.log_file,
            "env": {
                "ROCE_CONFIG": json.dumps(asdict(talking(data_bytes))),
                "CARD_SOCKET": self._folder / "line",
                **({"CARD_IS_GUEST": "1"} if is_guest else {}),
            },
        }
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._folder / "line"))
        listener.listen(1)
        listener.settimeout(_ANSWER_SECONDS)
        self._runner = threading.Thread(
            target=self._run, args=(simulator, options, listener), daemon=True
        )
        self._runner.start()
        try:
            one, _ = listener.accept()
        except OSError:
            self.close()
            raise self._lost() from None
        finally:
            listener.close()
        one.settimeout(_ANSWER_SECONDS)
        self._line = Line(one)

    def _run(self, simulator: Path, options: dict[str, Any], listener: socket.socket) -> None:
        try:
            run(simulator, **options)
        except RuntimeError as error:
            self._error = error
        finally:
            # If it never came, nobody needs to wait for it.
            listener.close()

    def _lost(self) -> CardLostError:
        self._runner.join(_ANSWER_SECONDS)
        why = self._error or "it says nothing"
        return CardLostError(f"the engine's simulator: {why}; see {self.log_file}")

    def close(self) -> None:
        """End the simulator."""
        if self._line is not None:
            self._line.close()
        self._line = None
        self._runner.join(_ANSWER_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, name: str, *words: Any) -> Any:
        if self._line is None:
            raise self._lost()
        try:
            self._line.tell((name, words))
            return self._line.hear()
        except (EOFError, OSError):
            self._line.close()
            self._line = None
            raise self._lost() from None

    # Frames.

    def receive(self, frame: bytes, now: int) -> Iterable[bytes]:
        """Take a frame that came; it goes in with the next turn."""
        if frame.startswith(self._host.mac):
            self._coming.append(frame)
        return ()

    def transmit(self, now: int) -> Iterable[bytes]:
        """Go on for a turn, or until nothing happens; give the frames that left."""
        is_busy = self._is_busy or bool(self._coming)
        if not is_busy and not self._is_asked:
            self._time = now
            return ()
        ticks = (now - self._time) // _TICK_NANOSECONDS
        if not is_busy and not ticks:
            return ()
        # If the engine is too slow for its time, that goes on more slowly.
        self._time += ticks * _TICK_NANOSECONDS
        ticks = min(ticks, _TURN_CYCLES // _TICK_CYCLES)
        cycles = _TURN_CYCLES if is_busy else ticks * _TICK_CYCLES
        frames, self._coming = self._coming, []
        progress: Progress = self._ask("advance", frames, cycles, ticks)
        self._is_busy, self._is_asked = not progress.is_quiet, progress.is_asked
        self._sent += progress.sent
        self._received += progress.received
        self.cycles = progress.cycles
        return progress.frames

    def deadline(self) -> int | None:
        """Now, while there is something to do; the next tick, while something is waited for."""
        if self._is_busy or self._coming:
            return self._time
        return self._time + _TICK_NANOSECONDS if self._is_asked else None

    # Driver.

    def register(self, key: int, address: int, length: int, rights: Rights) -> None:
        """Make memory known under ``key``."""
        self._ask("register", key, address, length, rights)
        self._is_busy = True

    def connect(self, number: int, connection: Connection) -> None:
        """Make both sides of a queue pair."""
        self._ask("connect", number, connection, _timeout_code(connection.timeout))
        self._is_busy = True

    def disconnect(self, number: int) -> None:
        """Forget both sides."""
        self._ask("disconnect", number)
        self._is_busy = True

    def post(self, number: int, request: SendRequest) -> None:
        """Append a work request."""
        self._ask("post", number, request)
        self._is_busy = True

    def post_receive(self, number: int, identifier: int, address: int, length: int) -> None:
        """Append a receive request."""
        self._ask("post_receive", number, identifier, address, length)
        self._is_busy = True

    def sent(self) -> list[SendCompletion]:
        """Work requests that have ended since."""
        ended, self._sent = self._sent, []
        return ended

    def received(self) -> list[Completion]:
        """Receive requests that have ended since."""
        ended, self._received = self._received, []
        return ended

    def read(self, address: int, length: int) -> bytes:
        """Give what memory holds."""
        return self._ask("read", address, length)

    def write(self, address: int, data: bytes) -> None:
        """Put ``data`` into memory."""
        self._ask("write", address, data)
