"""Golden model of hdl.memory.Tcam."""

__all__ = ["TcamModel"]


class TcamModel:
    """Entries as patterns of the characters 0, 1 and * (either), the highest bit first."""

    def __init__(self, key_bits: int, entry_count: int):
        self.key_bits = key_bits
        self.patterns: list[str | None] = [None] * entry_count

    def write(self, index: int, key: int, mask: int, valid: bool) -> None:
        """Make a pattern of ``key`` and ``mask`` entry ``index``, or make the entry invalid."""
        if index >= len(self.patterns):
            return
        bits = reversed(range(self.key_bits))
        pattern = "".join(str(key >> bit & 1) if mask >> bit & 1 else "*" for bit in bits)
        self.patterns[index] = pattern if valid else None

    def lookup(self, key: int) -> int | None:
        """Lowest entry whose pattern ``key`` fits, None where there is none."""
        digits = f"{key:0{self.key_bits}b}"
        for index, pattern in enumerate(self.patterns):
            if pattern and all(p in ("*", d) for p, d in zip(pattern, digits, strict=True)):
                return index
        return None
