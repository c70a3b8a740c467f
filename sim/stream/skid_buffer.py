"""Golden model of hdl.stream.SkidBuffer."""

from .queue import QueueModel

__all__ = ["SkidBufferModel"]


class SkidBufferModel(QueueModel):
    """A queue that holds two beats."""

    def __init__(self):
        super().__init__(2)
        self.capacity = 2
