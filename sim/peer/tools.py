"""The stock tools of Linux against the engine; a small host program answers their set-up."""

import random
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from ..roce import Service
from .card_end import CardEnd
from .end import BUFFER_BYTES, ENGINE, LINUX, Terms
from .exchange import Keys, Perftest, PingPong, Place
from .guest import CARD, PORTS, TCP_HOST, Guest
from .packages import PeerError
from .pair import WrongError
from .stream import Door, Stream
from .traffic import COMING, TRAFFIC, Talk

__all__ = ["TOOLS", "Tool", "play_tool"]

#: What all of them use.
_Q_KEY = 0x1111_1111
_OWN_PSN = 0x777000
_SECONDS = 20
_READS = 16
_COUNT = 16


@dataclass(frozen=True)
class Habits:
    """How a program of perftest uses TCP.

    Parameters
    ----------
    meetings : int
        How often the two meet before they begin.
    reports : bool
        It tells what it measured.
    parts : bool
        The two meet when they have ended.
    server_says : bool
        The one that was asked prints a result, too.
    """

    meetings: int
    reports: bool
    parts: bool
    server_says: bool


_HABITS = {
    "ib_write_bw": Habits(3, reports=True, parts=True, server_says=True),
    "ib_read_bw": Habits(3, reports=True, parts=True, server_says=True),
    "ib_atomic_bw": Habits(3, reports=True, parts=True, server_says=True),
    "ib_send_bw": Habits(4, reports=False, parts=True, server_says=True),
    "ib_send_lat": Habits(4, reports=False, parts=True, server_says=True),
    "ib_write_lat": Habits(4, reports=False, parts=False, server_says=True),
    "ib_read_lat": Habits(4, reports=False, parts=True, server_says=False),
    "ib_atomic_lat": Habits(4, reports=False, parts=True, server_says=False),
}


@dataclass(frozen=True)
class Tool:
    """A program of the guest, that asks the engine for things, or is asked by it.

    Parameters
    ----------
    name, text : str
        As of a :class:`Scenario`.
    command : str
        The program and its options, but for those that all have.
    service : Service
    mtu, version : int
        Path MTU; of IP.
    length, count : int
        Of messages.
    asker : str
        Name of the end that asks: Linux, if the program is a client.
    """

    name: str
    text: str
    command: str
    service: Service
    mtu: int
    version: int
    length: int
    count: int
    asker: str

    @property
    def habits(self) -> Habits | None:
        """How it uses TCP, if it is one of perftest; else it is a pingpong."""
        return _HABITS.get(self.program)

    @property
    def program(self) -> str:
        """Name of the program."""
        return self.command.split()[0]

    @property
    def traffic(self) -> str:
        """What it does; a key of ``TRAFFIC``."""
        if self.habits is None:
            return "pingpong"
        words = self.program.split("_")
        return "_".join(words[1:]) if words[1] in ("write", "send") else words[1]


#: Program and options; service, version of IP, bytes of a message, path MTUs.
_RUNS: dict[str, tuple[Service, int, int, tuple[int, ...]]] = {
    "ibv_rc_pingpong": (Service.RC, 4, 3001, (256, 1024, 4096)),
    "ibv_rc_pingpong -r 16": (Service.RC, 6, 3001, (1024,)),
    "ibv_uc_pingpong": (Service.UC, 4, 3001, (1024,)),
    "ibv_ud_pingpong": (Service.UD, 4, 1024, (4096,)),
    "ib_write_bw": (Service.RC, 4, 5000, (256, 1024, 4096)),
    "ib_write_bw -c UC": (Service.UC, 4, 3000, (1024,)),
    "ib_read_bw -o 4": (Service.RC, 4, 5000, (256, 1024, 4096)),
    "ib_send_bw": (Service.RC, 4, 3000, (1024,)),
    "ib_send_bw -c UD": (Service.UD, 4, 512, (1024,)),
    "ib_atomic_bw -A FETCH_AND_ADD -o 4": (Service.RC, 4, 8, (1024,)),
    "ib_atomic_bw -A CMP_AND_SWAP -o 4": (Service.RC, 4, 8, (1024,)),
    "ib_write_lat": (Service.RC, 4, 100, (1024,)),
    "ib_send_lat": (Service.RC, 4, 100, (1024,)),
    "ib_read_lat": (Service.RC, 6, 2000, (1024,)),
    "ib_atomic_lat -A FETCH_AND_ADD": (Service.RC, 6, 8, (1024,)),
}


def _tools() -> Iterator[Tool]:
    """Give each tool, whoever asks."""
    for command, (service, version, length, mtus) in _RUNS.items():
        program, *options = command.split()
        # Of options, what is said of the traffic; a number is none of it.
        words = [program, *(option for option in options if option[0].isupper())]
        name = "-".join(words).lower().replace("_", "-")
        for mtu in mtus:
            for asker in (ENGINE, LINUX):
                yield Tool(
                    f"{name}-{mtu}-ip{version}-{asker.lower()}",
                    f"{asker} asks: {' '.join(words)}, path MTU {mtu}, IPv{version}",
                    command,
                    service,
                    mtu,
                    version,
                    length,
                    _COUNT,
                    asker,
                )


#: Every tool, both ways.
TOOLS = tuple(_tools())


class _Run:
    """One run of a tool."""

    def __init__(self, tool: Tool, end: CardEnd, guest: Guest, door: Door):
        self.tool = tool
        self.end = end
        self.guest = guest
        self.door = door
        self.gid = CARD.gid(tool.version)
        self.terms = Terms(
            tool.service, tool.mtu, tool.version, q_key=_Q_KEY, reads=_READS, rnr_timer=12
        )
        filling = random.Random(tool.name).randbytes(BUFFER_BYTES)
        end.open(self.terms)
        end.write(0, filling)
        self.talk = Talk(
            end,
            service=tool.service,
            length=tool.length,
            count=tool.count,
            filling=filling,
            swaps="CMP_AND_SWAP" in tool.command,
        )

    def join(self, queue_pair: int, psn: int, address: int = 0, key: int = 0) -> None:
        """Join our queue pair to that of the tool."""
        talk = self.talk
        talk.peer_address, talk.peer_key = address, key
        self.end.ready(replace(self.terms, psns=(_OWN_PSN, psn)), _Remote(queue_pair))
        talk.prepare(self.tool.traffic, asks=self.tool.asker == ENGINE)

    def command(self, tail: str) -> str:
        """Line that runs the tool in the guest, not for ever."""
        tool = self.tool
        index = self.guest.gid_index(tool.version)
        words = [f"timeout -s KILL {_SECONDS} {tool.command} -d rxe0"]
        words.append(f"-n {tool.count} -s {tool.length}")
        if tool.habits:
            words.append(f"-F -x {index}")
            words.append("-t 4" if "_bw" in tool.program else "")
        else:
            words.append(f"-g {index}")
        if tool.service is not Service.UD or tool.habits:
            words.append(f"-m {tool.mtu}")
        return " ".join([*words, tail])

    def traffic(self) -> None:
        """Do what our side does; Linux begins if it asks."""
        TRAFFIC[self.tool.traffic][self.tool.asker == LINUX](self.talk)

    def check(self, text: str, code: int) -> None:
        """Check the tool's word, and our memory."""
        tool = self.tool
        said = [line for line in text.splitlines() if line.strip()][-1:]
        if code:
            raise WrongError(f"{tool.program} ended with {code}: {' '.join(said)}")
        wanted = r" iters in "
        if tool.habits is not None:
            wanted = rf"^ *{tool.length} +{tool.count} "
        is_silent = tool.habits is not None and not tool.habits.server_says
        if not (is_silent and tool.asker == ENGINE) and not re.search(wanted, text, re.MULTILINE):
            raise WrongError(f"{tool.program} gave no result: {' '.join(said)}")
        self.talk.check()


class _Remote:
    """As much of an end as there is to know of a program."""

    def __init__(self, number: int):
        self.number = number


def _listening(run: _Run) -> Stream:
    """Let the tool wait for us, and ask it for a connection."""
    port = PORTS["listen"]
    run.guest.shell(
        f"rm -f code; ({run.command(f'-p {port}')} >said 2>&1; echo $? >code) &"
        f" until grep -q ':{port:04X} .* 0A ' /proc/net/tcp* || test -s code;"
        " do usleep 10000; done",
        seconds=_SECONDS,
    )
    return run.door.connect(run.guest.tcp_port)


def _said(run: _Run) -> tuple[str, int]:
    """Give what the tool that waited for us has said, and its exit code."""
    run.guest.send("until test -s code; do usleep 10000; done; cat said code")
    text, _ = run.guest.finish(seconds=_SECONDS)
    *lines, code = text.splitlines()
    return "\n".join(lines), int(code)


def _with_pingpong(run: _Run, stream: Stream) -> None:
    mine = Place(run.end.number, _OWN_PSN, run.gid)
    exchange = PingPong(stream)
    if run.tool.asker == ENGINE:
        place = exchange.ask(mine)
        run.join(place.queue_pair, place.psn)
        exchange.begin()
    else:
        place = exchange.listen()
        run.join(place.queue_pair, place.psn)
        exchange.answer(mine)
    run.traffic()


def _with_perftest(run: _Run, stream: Stream, habits: Habits) -> None:
    tool, end = run.tool, run.end
    address = end.address + COMING
    mine = Keys(end.number, _OWN_PSN, end.key, address, run.gid, reads=4)
    exchange = Perftest(stream, mine, mtu=tool.mtu)

    def join(keys: Keys) -> None:
        run.join(keys.queue_pair, keys.psn, keys.address, keys.key)

    if tool.asker == LINUX:
        exchange.listen()
        exchange.answer_keys(join)
        for _ in range(habits.meetings - 1):
            exchange.answer_keys()
        run.traffic()
        if habits.parts:
            exchange.answer_all()
        return
    exchange.ask(run.guest.perftest_version())
    join(exchange.ask_keys())
    for _ in range(habits.meetings - 1):
        exchange.ask_keys()
    run.traffic()
    if habits.reports:
        exchange.ask_keys()
        exchange.report(tool.length, tool.count)
    if habits.parts:
        exchange.ask_keys()
        exchange.done()


def play_tool(tool: Tool, end: CardEnd, guest: Guest, door: Door) -> None:
    """Run ``tool`` in the guest, and be its other side.

    Raises
    ------
    PeerError
        If something is not as it has to be.
    """
    run = _Run(tool, end, guest, door)
    asks = tool.asker == ENGINE
    with ExitStack() as stack:
        if not asks:
            guest.send(run.command(f"-p {PORTS['ask']} {TCP_HOST}"))
        try:
            stream = stack.enter_context(_listening(run) if asks else door.accept())
            if tool.habits is None:
                _with_pingpong(run, stream)
            else:
                _with_perftest(run, stream, tool.habits)
        except PeerError as error:
            stack.close()
            # What the tool says explains more than that it does not talk to us.
            text, code = _said(run) if asks else guest.finish(seconds=_SECONDS + 5)
            said = " ".join(text.split())[-300:]
            raise WrongError(f"{error}; {tool.program} ended with {code}: {said}") from None
        finally:
            end.close()
        text, code = _said(run) if asks else guest.finish(seconds=_SECONDS + 5)
    run.check(text, code)
