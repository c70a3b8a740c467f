"""An engine and a guest at the two ends of a wire, from boot to end."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from .card import Card
from .card_end import CardEnd
from .guest import GUEST, Guest, Host, accelerators
from .image import Image
from .linux_end import LinuxEnd
from .loop import Loop
from .model_card import ModelCard
from .neighbours import Neighbour
from .packages import PeerError
from .pair import Pair
from .scenarios import Scenario
from .station import Station
from .wire import Wire

__all__ = ["ENGINE", "Meeting", "model_card"]

#: Addresses of the engine.
ENGINE = Host(
    mac=bytes.fromhex("020000000002"),
    address_4=bytes([192, 0, 2, 2]),
    address_6=bytes.fromhex("20010db8000000000000000000000002"),
)


def model_card() -> Card:
    """Give the golden model as the engine."""
    addresses = (ENGINE.address_4, ENGINE.address_6)
    return ModelCard(mac=ENGINE.mac, peer_mac=GUEST.mac, addresses=addresses)


class Meeting:
    """A guest that has booted, an engine, and the wire between them.

    Use it as a context: QEMU ends with it.

    Parameters
    ----------
    image : Image
    card : Card
        With the addresses of ``ENGINE``.
    capture : Path
        File for all frames; pcap.
    seconds : float
        By then all has ended, from now on.
    """

    def __init__(self, image: Image, card: Card, *, capture: Path, seconds: float):
        self.loop = Loop(seconds=seconds)
        self._image = image
        self._capture = capture
        self.card = card
        self._ends = ExitStack()

    def __enter__(self):
        with ExitStack() as stack:
            # Paths of sockets are short, so not below the build folder.
            self.folder = Path(tempfile.mkdtemp(prefix="headrace-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            neighbour = Neighbour(
                mac=ENGINE.mac, address_4=ENGINE.address_4, address_6=ENGINE.address_6
            )
            station = Station(self.card, neighbour, loop=self.loop)
            self.wire = Wire(
                self.folder / "wire",
                loop=self.loop,
                capture=self._capture,
                receive=station.receive,
            )
            stack.callback(self.wire.close)
            station.wire = self.wire
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

    def play(self, scenarios: Iterable[Scenario]) -> Iterator[Callable[[], None]]:
        """Give a function for each scenario, which plays it; PeerError if something is wrong."""
        engine = CardEnd(self.card, loop=self.loop)
        with LinuxEnd(self.guest, peer=ENGINE) as linux:
            for scenario in scenarios:

                def play(scenario: Scenario = scenario) -> None:
                    with Pair(
                        engine,
                        linux,
                        terms=scenario.terms,
                        loop=self.loop,
                        wire=self.wire,
                        asker=scenario.asker,
                        seed=scenario.name,
                        host=ENGINE,
                    ) as pair:
                        scenario.play(pair)
                        pair.check()

                yield play
