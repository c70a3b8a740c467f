"""Golden model of hdl.memory.FreeList."""

from collections import deque

__all__ = ["FreeListModel"]


class FreeListModel:
    """Which index is handed out next, and which may be freed."""

    def __init__(self, count: int):
        self.free_indices = deque(range(count))
        self.held: set[int] = set()

    @property
    def free_count(self) -> int:
        """Indices that nobody holds."""
        return len(self.free_indices)

    def allocate(self) -> int:
        """Hand out the index that has been free for longest; raise IndexError where none is."""
        index = self.free_indices.popleft()
        self.held.add(index)
        return index

    def free(self, index: int) -> bool:
        """Take ``index`` back; return whether it was held, and otherwise do nothing."""
        if index not in self.held:
            return False
        self.held.remove(index)
        self.free_indices.append(index)
        return True
