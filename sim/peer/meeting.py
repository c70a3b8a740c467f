"""An engine and a guest at the two ends of a wire, from boot to end."""

import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from .card import Card, CardLostError
from .card_end import CardEnd
from .end import ENGINE
from .guest import CARD, GUEST, Guest, GuestLostError, accelerators
from .image import Image
from .linux_end import LinuxEnd
from .loop import Loop
from .model_card import ModelCard
from .neighbours import Neighbour
from .packages import PeerError
from .pair import Pair
from .scenarios import Scenario
from .station import Station
from .stream import Door
from .tools import Tool, play_tool
from .wire import Wire

__all__ = ["Meeting", "Result", "model_card"]

_MOST_TIMEOUT = 31  # a code of 5 bits


def model_card() -> Card:
    """Give the golden model as the engine."""
    addresses = (CARD.address_4, CARD.address_6)
    return ModelCard(mac=CARD.mac, peer_mac=GUEST.mac, addresses=addresses)


@dataclass(frozen=True)
class Result:
    """How a scenario, or tool, went: ``error`` says what was wrong, and is empty if nothing was."""

    name: str
    text: str
    seconds: float
    error: str


class Meeting:
    """A guest that has booted, an engine, and the wire between them.

    Use it as a context: QEMU ends with it.

    Parameters
    ----------
    image : Image
    card : Card
        With the addresses of ``CARD``.
    capture : Path
        File for all frames; pcap.
    seconds : float
        By then all has ended, from now on.
    patience : int
        Times without an answer are doubled so often: for an engine that is slow.
    """

    def __init__(self, image: Image, card: Card, *, capture: Path, seconds: float, patience: int):
        self.loop = Loop(seconds=seconds)
        self._image = image
        self._capture = capture
        self._card = card
        self._engine = CardEnd(card, loop=self.loop, name=ENGINE, peer=GUEST)
        self._linux: LinuxEnd | None = None
        self._patience = patience
        self._ends = ExitStack()

    def __enter__(self):
        with ExitStack() as stack:
            # Paths of sockets are short, so not below the build folder.
            self.folder = Path(tempfile.mkdtemp(prefix="headrace-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            neighbour = Neighbour(mac=CARD.mac, address_4=CARD.address_4, address_6=CARD.address_6)
            station = Station(self._card, neighbour, loop=self.loop)
            self.wire = Wire(
                self.folder / "wire",
                loop=self.loop,
                capture=self._capture,
                receive=station.receive,
            )
            stack.callback(self.wire.close)
            station.wire = self.wire
            self._door = Door(self.folder / "ask", loop=self.loop)
            stack.callback(self._door.close)
            self.guest = self._boot(stack)
            self._ends = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._ends.close()

    def _boot(self, stack: ExitStack) -> Guest:
        """Boot with the first accelerator that does it here."""
        *others, last = accelerators()
        relay = [sys.executable, str(Path(__file__).parent / "relay.py"), str(self.folder / "ask")]
        for name in (*others, last):
            guest = Guest(
                self._image, folder=self.folder, loop=self.loop, relay=relay, accelerator=name
            )
            try:
                guest.boot()
            except PeerError:
                guest.stop()
                if name is last:
                    raise
            else:
                stack.callback(guest.stop)
                return guest
        raise AssertionError

    def play(self, item: Scenario | Tool) -> Result:
        """Play one of them, and say how it went.

        Raises
        ------
        GuestLostError
            If the guest does nothing any more.
        CardLostError
            If the engine does not.
        """
        begun = time.monotonic()
        why = ""
        try:
            if isinstance(item, Scenario):
                self._play(item, self._linux or self._enter())
            else:
                self._leave()
                play_tool(item, self._engine, self.guest, self._door)
        except (GuestLostError, CardLostError):
            raise
        except PeerError as error:
            why = str(error)
        return Result(item.name, item.text, time.monotonic() - begun, why)

    def _enter(self) -> LinuxEnd:
        """Let the guest do verbs."""
        self._linux = LinuxEnd(self.guest, peer=CARD)
        self._linux.begin()
        return self._linux

    def _leave(self) -> None:
        """Let the guest run programs."""
        if self._linux is not None:
            self._linux.end()
        self._linux = None

    def _play(self, scenario: Scenario, linux: LinuxEnd) -> None:
        terms = scenario.terms
        with Pair(
            self._engine,
            linux,
            terms=replace(terms, timeout=min(terms.timeout + self._patience, _MOST_TIMEOUT)),
            loop=self.loop,
            wire=self.wire,
            asker=scenario.asker,
            seed=scenario.name,
        ) as pair:
            scenario.play(pair)
            pair.check()
