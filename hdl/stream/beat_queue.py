"""First-in first-out queue of packet beats."""

from .packet import PacketLayout
from .queue import Queue

__all__ = ["BeatQueue"]


class BeatQueue(Queue):
    """Hold up to ``capacity`` beats of a packet stream and give them out in order.

    A beat leaves as soon as it can, whether or not its packet is whole: see
    :class:`PacketQueue` for whole packets only.

    Latency is 3 cycles through an empty queue. Throughput is 1 beat per cycle in and out, at any
    fill, also across packet boundaries.

    Specification: that of :class:`Queue`.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat; see :class:`PacketLayout`.
    depth : int
        Beats that the queue holds at least, 2 or more; ``capacity`` is what it holds exactly.

    Members
    -------
    i : In(PacketSignature(data_bytes))
        Input. ``i.ready`` is a register.
    o : Out(PacketSignature(data_bytes))
        Output, registered.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(self, *, data_bytes: int, depth: int):
        self.data_bytes = data_bytes
        super().__init__(shape=PacketLayout(data_bytes), depth=depth)
