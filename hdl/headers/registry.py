"""Every header by its name."""

from . import ethernet, infiniband, ip, transport, tunnel
from .table import Header

__all__ = ["HEADERS"]

#: Headers by ``Header.name``.
HEADERS = {
    header.name: header
    for family in (ethernet, ip, transport, tunnel, infiniband)
    for header in vars(family).values()
    if isinstance(header, Header)
}
