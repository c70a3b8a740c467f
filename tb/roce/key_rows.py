"""Regions as rows of the key table."""

from typing import Any

from sim.roce import Region, Rights

__all__ = ["key_row"]

_REMOTE = Rights.WRITE | Rights.READ | Rights.ATOMIC


def key_row(region: Region, page_row: int) -> dict[str, Any]:
    """Fields of KeyLayout; the region's first page is in row ``page_row``."""
    return {
        "valid": 1,
        "variant": region.key & 0xFF,
        "domain": region.domain,
        "rights": (region.rights & _REMOTE).value,
        "local_write": Rights.LOCAL_WRITE in region.rights,
        "bind": Rights.BIND in region.rights,
        "is_window": region.queue_pair is not None,
        "window_queue_pair": region.queue_pair or 0,
        "base": region.base,
        "length": region.length,
        "offset": region.offset,
        "page_row": page_row,
        "page_shift": region.page_bytes.bit_length() - 1,
    }
