"""Golden model of hdl.roce.Translator."""

from dataclasses import dataclass, field

__all__ = ["Place", "Span", "Translation"]


@dataclass(frozen=True)
class Place:
    """Bytes of a region: where they begin, and how its pages are found."""

    key: int
    variant: int
    linear: int
    page_row: int
    page_shift: int


@dataclass(frozen=True)
class Span:
    """Bytes of memory."""

    space: int
    address: int
    length: int


@dataclass
class Translation:
    """Tables of keys and of ``page_count`` pages.

    Attributes
    ----------
    keys : dict of int to int
        Variant of each valid key.
    pages : dict of int to (int, int)
        Space, and address in units of 4096, of each row; 0 and 0 of others.
    """

    page_count: int
    keys: dict[int, int] = field(default_factory=dict)
    pages: dict[int, tuple[int, int]] = field(default_factory=dict)

    def translate(self, place: Place, length: int) -> list[Span] | None:
        """Memory of ``length`` bytes, page by page; None if there is none."""
        if self.keys.get(place.key) != place.variant:
            return None
        if length > 4096:
            return None
        spans = []
        size = 1 << place.page_shift
        position, end = place.linear, place.linear + length
        while position < end:
            row = place.page_row + position // size
            if row >= self.page_count:
                return None
            space, page = self.pages.get(row, (0, 0))
            offset = position % size
            taken = min(end - position, size - offset)
            spans.append(Span(space, page * 4096 // size * size + offset, taken))
            position += taken
        return spans

    def invalidate(self, place: Place) -> bool:
        """Take the key out if it is there as named; return whether it was."""
        if self.keys.get(place.key) != place.variant:
            return False
        del self.keys[place.key]
        return True

    def bind(self, place: Place) -> bool:
        """Put the key in as it is named, if there is none; return whether there was none."""
        if place.key in self.keys:
            return False
        self.keys[place.key] = place.variant
        return True
