"""Golden model of hdl.dma.AxiRead: which bursts a read makes, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass

from .read_delivery import Answer
from .read_splitter import ReadRequest, split_read

__all__ = ["AxiBurst", "axi_answer", "axi_read_bursts"]

_STATUS = {0: 0, 1: 0, 2: 2, 3: 1}  # OKAY, EXOKAY, SLVERR, DECERR


@dataclass(frozen=True)
class AxiBurst:
    """A burst: address of its first beat, and how many."""

    address: int
    beats: int


def axi_read_bursts(request: ReadRequest, *, data_bytes: int, burst_bytes: int) -> list[AxiBurst]:
    """List the bursts of ``request``: whole beats, one burst for each block that it touches."""
    bursts = []
    for piece in split_read(0, request, burst_bytes):
        if piece.length:
            first = piece.address // data_bytes
            last = (piece.address + piece.length - 1) // data_bytes
            bursts.append(AxiBurst(first * data_bytes, last - first + 1))
    return bursts


def axi_answer(
    request: ReadRequest,
    *,
    data_bytes: int,
    memory: Callable[[int, int], bytes],
    resp: Callable[[int], int],
) -> Answer:
    """Tell what the client gets.

    Parameters
    ----------
    request : ReadRequest
        What it asked for.
    data_bytes : int
        Bytes of a beat.
    memory : callable
        Bytes at an address, of a length.
    resp : callable
        RRESP of the beat at an address.
    """
    content = bytearray()
    status = 0
    end = request.address + request.length
    address = request.address
    while address < end:
        beat = address // data_bytes * data_bytes
        following = min(end, beat + data_bytes)
        failure = _STATUS[resp(beat)]
        status = status or failure
        size = following - address
        content += bytes(size) if failure else memory(address, size)
        address = following
    return Answer(bytes(content), request.tag, status)
