"""Set-up of the stock tools: what they told each other by TCP in recordings, and what we tell."""

import re
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.utils import rdpcap

from sim.peer.exchange import Keys, Perftest, PingPong, Place
from sim.peer.packages import PeerError
from sim.peer.tools import TOOLS, Tool

CAPTURES = Path(__file__).parents[2] / "data" / "captures"
PORT = 18515
MTUS = {b"1\0": 256, b"3\0": 1024, b"5\0": 4096}
PERFTEST = sorted(path.stem for path in CAPTURES.glob("perftest_*.pcap"))
PINGPONGS = sorted(path.stem for path in CAPTURES.glob("*_pingpong_*.pcap"))


def recorded(name: str) -> tuple[list[bytes], list[bytes]]:
    """Messages of the one that asked, and of the one that was asked."""
    asked, told = [], []
    for frame in rdpcap(str(CAPTURES / f"{name}.pcap")):
        if TCP in frame:
            # Ethernet pads what is short.
            length = frame[IP].len - 4 * (frame[IP].ihl + frame[TCP].dataofs)
            data = bytes(frame[TCP].payload)[:length]
            if data:
                (told if frame[TCP].sport == PORT else asked).append(data)
    return asked, told


class Recording:
    """A connection whose other side says what was recorded."""

    def __init__(self, comes: list[bytes]):
        self._comes = b"".join(comes)
        self.said = b""

    def peek(self, length: int) -> bytes:
        return self._comes[:length]

    def read(self, length: int) -> bytes:
        data, self._comes = self._comes[:length], self._comes[length:]
        assert len(data) == length, "more was read than was said"
        return data

    def write(self, data: bytes) -> None:
        self.said += data

    @property
    def rest(self) -> bytes:
        return self._comes


def habits(program: str):
    tool = next(tool for tool in TOOLS if tool.program == program)
    assert tool.habits is not None
    return tool.habits


def program(name: str) -> str:
    words = re.match(r"perftest_(write|read|send|atomic)_(bw|lat|faa)", name)
    assert words
    return f"ib_{words[1]}_{'bw' if words[2] == 'faa' else words[2]}"


def keys_of(messages: list[bytes]) -> Keys:
    return Keys.parse(next(one for one in messages if one.startswith(b"0000:")))


@pytest.mark.parametrize("name", PERFTEST)
def test_perftest_is_answered_as_it_was(name):
    asked, told = recorded(name)
    tcp = Recording(asked)
    # The code of the path MTU is what the one that was asked said.
    exchange = Perftest(tcp, keys_of(told), mtu=MTUS[told[3]])
    exchange.listen()
    found = []
    for _ in range(habits(program(name)).meetings):
        found.append(exchange.answer_keys())
    exchange.answer_all()
    assert set(found) == {keys_of(asked)}
    assert tcp.rest == b""
    # Numbers of what was measured are the asker's; the rest is as it was.
    words = {one for one in told if len(one) == 8}
    wanted = b"".join(one if one not in words else bytes(8) for one in told)
    said = tcp.said
    for one in asked:
        if len(one) == 8:
            said = said.replace(one, bytes(8), 1)
    assert said == wanted


@pytest.mark.parametrize("name", PERFTEST)
def test_perftest_is_asked_as_it_was(name):
    asked, told = recorded(name)
    about = habits(program(name))
    tcp = Recording(told)
    exchange = Perftest(tcp, keys_of(asked), mtu=MTUS[asked[3]])
    exchange.ask("6.06")
    for _ in range(about.meetings):
        assert exchange.ask_keys() == keys_of(told)
    if about.reports:
        exchange.ask_keys()
        words = [int.from_bytes(one, "big") for one in asked if len(one) == 8]
        exchange.report(words[0], words[1])
    if about.parts:
        exchange.ask_keys()
        exchange.done()
    assert tcp.rest == b"done\0"
    rates = [one for one in asked if len(one) == 8][2:]
    assert tcp.said == b"".join(one if one not in rates else bytes(8) for one in asked)


@pytest.mark.parametrize("name", PINGPONGS)
def test_pingpongs_both_ways(name):
    asked, told = recorded(name)
    tcp = Recording(asked)
    exchange = PingPong(tcp)
    assert exchange.listen() == Place.parse(asked[0])
    exchange.answer(Place.parse(told[0]))
    assert tcp.said == told[0]
    tcp = Recording(told)
    exchange = PingPong(tcp)
    assert exchange.ask(Place.parse(asked[0])) == Place.parse(told[0])
    exchange.begin()
    assert tcp.said == b"".join(asked)


@pytest.mark.parametrize("text", [b"", b"\0" * 52, b"0000:xyz", b"0000:000011:3248af\0"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(PeerError, match="none"):
        Place.parse(text)
    with pytest.raises(PeerError, match="none"):
        Keys.parse(text)


def test_every_tool_has_traffic():
    for tool in TOOLS:
        assert isinstance(tool, Tool)
        assert tool.traffic in {
            "pingpong",
            "write_bw",
            "write_lat",
            "read",
            "send_bw",
            "send_lat",
            "atomic",
        }
