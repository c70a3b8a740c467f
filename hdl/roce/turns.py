"""What blocks whose tasks pass their stages without a stop have in common."""

from typing import Any

from amaranth import *

from hdl.stream import Queue

__all__ = ["has_room_for", "later"]


def later(m: Module, value: Any, cycles: int) -> Any:
    """``value``, so many cycles later; 0 behind reset."""
    for _ in range(cycles):
        registered = Signal(value.shape())
        m.d.sync += registered.eq(value)
        value = registered
    return value


def has_room_for(m: Module, name: str, queue: Queue, turn: Value, unused: Value) -> Value:
    """Say whether ``queue``, a counted one, has room for what one more turn may put in.

    Room is taken as turns begin, which are 2 cycles apart at least: so this may come a cycle late.

    Parameters
    ----------
    m : Module
    name : str
        Of the queue's signals here.
    queue : Queue
    turn : Value
        A turn begins.
    unused : Value
        A turn has come to its end, and put nothing in.
    """
    room = Signal(range(queue.capacity + 1), init=queue.capacity, name=f"{name}_room")
    has_room = Signal(init=1, name=f"{name}_has_room")
    left = queue.o.valid & queue.o.ready
    m.d.sync += [room.eq(room + left + unused - turn), has_room.eq(room != 0)]
    return has_room
