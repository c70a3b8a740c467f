"""Payloads of the translator's streams, made and taken apart."""

from collections.abc import Mapping
from typing import Any

from amaranth.lib import data

from hdl.roce.config import RoceConfig
from hdl.roce.layouts import SpanLayout, TranslateRequestLayout
from hdl.roce.translator import KeyStateLayout, PageLayout
from sim.roce.translator import Place, Span
from tb.dma.fields import FieldReader, pack_fields

__all__ = ["TranslatePayloads", "pack_nested", "read_span"]

_SPAN = FieldReader(SpanLayout())


def pack_nested(layout: data.Layout, fields: Mapping[str, Any]) -> int:
    """Value of ``layout``; a structure inside is a dict inside, and what is not named is 0."""
    total = 0
    for name, value in fields.items():
        field = layout[name]
        if isinstance(field.shape, data.StructLayout):
            bits = pack_nested(field.shape, value)
        else:
            bits = int(value)
        assert bits >> field.width == 0, f"{name} has {field.width} bits, not {bits:#x}"
        total |= bits << field.offset
    return total


def read_span(value: int) -> Span:
    """Span that SpanLayout bits are; what is above them does not count."""
    return Span(**vars(_SPAN.read(value)))


class TranslatePayloads:
    """Payloads for one size of the engine."""

    def __init__(self, config: RoceConfig):
        self._request = TranslateRequestLayout(config)
        self._request_reader = FieldReader(self._request)
        self._key = KeyStateLayout(config)
        self._page = PageLayout(config)
        self.key_reader = FieldReader(self._key)
        self.page_reader = FieldReader(self._page)

    def request(
        self, place: Place, length: int, *, invalidate: bool = False, bind: bool = False
    ) -> int:
        """Bits of a request."""
        fields = {"place": vars(place), "length": length, "invalidate": invalidate, "bind": bind}
        return pack_nested(self._request, fields)

    def read_request(self, value: int) -> tuple[Place, int, bool]:
        """Place, length and whether it is an invalidation."""
        request = self._request_reader.read(value)
        return Place(**vars(request.place)), request.length, bool(request.invalidate)

    def binds(self, value: int) -> bool:
        """Whether a request is to make its key valid."""
        return bool(self._request_reader.read(value).bind)

    def key(self, key: int, *, valid: bool, variant: int) -> int:
        """Row of the key table."""
        return pack_fields(self._key, key=key, valid=valid, variant=variant)

    def page(self, row: int, space: int, page: int) -> int:
        """Row of the translation table."""
        return pack_fields(self._page, row=row, space=space, page=page)
