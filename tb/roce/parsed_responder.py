"""Responder and engine behind a parser, as tests use them: frames in."""

from typing import Any

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.pipeline import Parser
from hdl.roce.config import RoceConfig
from hdl.roce.engine import Engine
from hdl.roce.responder import Responder
from hdl.stream import PacketSignature

__all__ = ["Parsed", "ParsedEngine", "ParsedResponder", "handshakes"]

_HEADERS = 8
_SLOTS = {"network": 40, "transport": 8, "rdma": 40}


def handshakes(signature: wiring.Signature) -> dict[str, bool]:
    """Streams of a signature by the names of their ports; True for those that it gives."""
    found: dict[str, bool] = {}

    def walk(prefix: str, members: Any, flow: wiring.Flow) -> None:
        for name, member in members.members.items():
            inner = flow if member.flow == Out else flow.flip()
            if not member.is_signature:
                continue
            path = f"{prefix}{name}"
            if set(member.signature.members) == {"payload", "valid", "ready"}:
                found[path] = inner == Out
            else:
                walk(f"{path}__", member.signature, inner)

    walk("", signature, Out)
    return found


class Parsed(wiring.Component):
    """A responder, or an engine, with a parser of the default graph in front.

    Latency is that of both. Throughput is that of both.

    Specification: docs/roce.md.

    Parameters
    ----------
    kind : type
        Responder or Engine.
    config : RoceConfig

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Frames, without FCS.
    activity : Out
        Bit n: of the n-th stream of :func:`handshakes`, ``valid`` if it leaves, ``ready`` if it
        enters; so that one look in a cycle tells what happens.
    ... :
        As of the responder, or the engine.
    """

    i: stream.Interface
    activity: Signal

    def __init__(self, *, kind: type[Responder] | type[Engine], config: RoceConfig):
        self.parser = Parser(data_bytes=config.data_bytes, header_count=_HEADERS, slots=_SLOTS)
        self.inner = kind(config=config, header_count=_HEADERS, slots=_SLOTS)
        members = dict(self.inner.signature.members.items())
        members["i"] = In(PacketSignature(config.data_bytes))
        self.handshakes = handshakes(wiring.Signature(members))
        super().__init__({**members, "activity": Out(len(self.handshakes))})

    def elaborate(self, platform):
        """Connect the two."""
        m = Module()
        m.submodules.parser = parser = self.parser
        m.submodules.inner = unit = self.inner
        wiring.connect(m, wiring.flipped(self.i), parser.i)
        wiring.connect(m, parser.o, unit.i)
        for name, member in unit.signature.members.items():
            if name == "i":
                continue
            mine, inner = getattr(self, name), getattr(unit, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(mine), inner)
            elif member.flow == In:
                m.d.comb += Value.cast(inner).eq(Value.cast(mine))
            else:
                m.d.comb += Value.cast(mine).eq(Value.cast(inner))
        for number, (path, leaves) in enumerate(self.handshakes.items()):
            port: Any = self
            for name in path.split("__"):
                port = getattr(port, name)
            m.d.comb += self.activity[number].eq(port.valid if leaves else port.ready)
        return m


class ParsedResponder(Parsed):
    """A :class:`hdl.roce.responder.Responder` behind a parser; see :class:`Parsed`."""

    def __init__(self, *, config: RoceConfig):
        super().__init__(kind=Responder, config=config)


class ParsedEngine(Parsed):
    """A :class:`hdl.roce.engine.Engine` behind a parser; see :class:`Parsed`."""

    def __init__(self, *, config: RoceConfig):
        super().__init__(kind=Engine, config=config)
