"""Every block by name: what the command line and the flows build from words."""

import ast
import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from amaranth.lib import wiring

import hdl
from hdl.nic import PRODUCTS

__all__ = [
    "PROFILES",
    "Block",
    "BlockError",
    "blocks",
    "find",
    "parse_parameters",
    "snake_case",
    "suggestion",
]

#: What the named products give to a block's parameters of these names.
PROFILES: dict[str, dict[str, Any]] = {
    name: {
        field.name: dict(value) if isinstance(value, Mapping) else value
        for field in fields(config)
        for value in [getattr(config, field.name)]
    }
    for name, config in PRODUCTS.items()
}


class BlockError(ValueError):
    """A block, parameter or value that does not exist; the message is one line for the user."""


@dataclass(frozen=True)
class Block:
    """A block that an ``hdl`` package exports.

    Parameters
    ----------
    family : str
        Its package in ``hdl``: ``stream``.
    component : type
        Its class.
    """

    family: str
    component: type[wiring.Component]

    @property
    def name(self) -> str:
        """Full name on the command line: ``stream.PacketMux``."""
        return f"{self.family}.{self.component.__name__}"

    @property
    def unit(self) -> str:
        """Name of the class in snake_case, which is the Verilog module's: ``packet_mux``."""
        return snake_case(self.component.__name__)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.documentation.partition("\n")[0]

    @property
    def documentation(self) -> str:
        """Docstring of the class."""
        return inspect.cleandoc(self.component.__doc__ or "")

    @property
    def timing(self) -> str:
        """Paragraph of the docstring that gives latency and throughput, as one line."""
        for paragraph in self.documentation.split("\n\n"):
            if re.match(r"(Latency|Throughput)\b", paragraph):
                return " ".join(paragraph.split())
        return ""

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Parameters of the constructor by name."""
        signature = inspect.signature(self.component)
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        return {k: v for k, v in signature.parameters.items() if v.kind not in kinds}

    def complete(
        self, parameters: Mapping[str, Any], *, profile: str | None = None
    ) -> dict[str, Any]:
        """``parameters`` with what ``profile`` adds, checked by name.

        Raises
        ------
        BlockError
            If a parameter is unknown or missing, or the profile is unknown.
        """
        known = self.parameters
        for name in parameters:
            if name not in known:
                raise BlockError(
                    f"{self.name} has no parameter {name!r}"
                    f"{suggestion(name, known)}; it has {', '.join(known) or 'none'}"
                )
        complete = dict(parameters)
        if profile is not None:
            if profile not in PROFILES:
                raise BlockError(
                    f"no profile {profile!r}{suggestion(profile, PROFILES)};"
                    f" there are {', '.join(PROFILES)}"
                )
            given = PROFILES[profile]
            complete = {name: given[name] for name in known if name in given} | complete
        missing = [
            name
            for name, parameter in known.items()
            if parameter.default is parameter.empty and name not in complete
        ]
        if missing:
            raise BlockError(f"{self.name} needs {' '.join(f'{name}=VALUE' for name in missing)}")
        return complete

    def build(self, parameters: Mapping[str, Any]) -> wiring.Component:
        """Make the block.

        Raises
        ------
        BlockError
            If a parameter is unknown or missing, or the block refuses a value.
        """
        complete = self.complete(parameters)
        try:
            return self.component(**complete)
        except ValueError as error:
            raise BlockError(f"{self.name}: {' '.join(str(error).split())}") from error
        except Exception as error:  # a value of the wrong type may fail in any way
            words = " ".join(f"{name}={value!r}" for name, value in complete.items())
            raise BlockError(
                f"{self.name}: a value in {words} has the wrong type"
                f" ({' '.join(str(error).split())})"
            ) from error


def snake_case(name: str) -> str:
    """``PacketMux`` as ``packet_mux``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def suggestion(word: str, known: Iterable[str]) -> str:
    """Name the words of ``known`` that ``word`` may have meant, as part of a sentence."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


@cache
def blocks() -> dict[str, Block]:
    """Every block by its full name: the components in ``__all__`` of the packages of ``hdl``."""
    found = {}
    for module in pkgutil.walk_packages(hdl.__path__, "hdl."):
        if not module.ispkg:
            continue
        package = importlib.import_module(module.name)
        for name in getattr(package, "__all__", ()):
            component = getattr(package, name)
            if inspect.isclass(component) and issubclass(component, wiring.Component):
                block = Block(module.name.partition(".")[2], component)
                found[block.name] = block
    return dict(sorted(found.items()))


def find(name: str) -> Block:
    """Block called ``stream.PacketMux``, ``PacketMux`` or ``packet_mux``.

    Raises
    ------
    BlockError
        If there is none, or more than one.
    """
    words: dict[str, list[Block]] = {}
    for block in blocks().values():
        unit = block.component.__module__.rpartition(".")[2]
        family = block.family
        short = {block.component.__name__, block.unit}
        # A file with several blocks gives its name to the one that is called like it, if any.
        if unit not in {b.unit for b in blocks().values()}:
            short.add(unit)
        for word in short:
            words.setdefault(word, []).append(block)
            words.setdefault(f"{family}.{word}", []).append(block)
    matches = words.get(name, [])
    if not matches:
        near = suggestion(name, words)
        raise BlockError(f"no block {name!r}{near}; `headrace info` lists them")
    if len(matches) > 1:
        choices = ", ".join(block.name for block in matches)
        raise BlockError(f"{name!r} may be any of {choices}")
    return matches[0]


def parse_parameters(words: Iterable[str]) -> dict[str, Any]:
    """Parameters from words like ``port_count=4``; a value that is no literal is a string.

    Raises
    ------
    BlockError
        If a word has no ``=`` or a parameter is given twice.
    """
    parameters = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise BlockError(f"parameters are written NAME=VALUE, not {word!r}")
        if name in parameters:
            raise BlockError(f"parameter {name!r} is given twice")
        try:
            parameters[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            parameters[name] = text
    return parameters
