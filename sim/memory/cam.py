"""Golden model of hdl.memory.Cam."""

__all__ = ["CamModel"]


class CamModel:
    """Keys by entry."""

    def __init__(self, entry_count: int):
        self.entry_count = entry_count
        self.keys: dict[int, int] = {}

    def write(self, index: int, key: int, valid: bool) -> None:
        """Give entry ``index`` a key, or make it invalid; do nothing where there is no such."""
        if valid and index < self.entry_count:
            self.keys[index] = key
        else:
            self.keys.pop(index, None)

    def lookup(self, key: int) -> int | None:
        """Lowest entry with ``key``, None where there is none."""
        return min((index for index, held in self.keys.items() if held == key), default=None)
