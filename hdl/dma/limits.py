"""Ranges of the parameters that the parts of the read engine share."""

__all__ = [
    "check_client_count",
    "check_reserve",
    "check_segment_count",
    "check_slot_bytes",
    "check_tag_count",
]


def check_client_count(client_count: int) -> None:
    """Raise ValueError unless there are 1 to 16 clients."""
    if not 1 <= client_count <= 16:
        raise ValueError(f"client_count must be 1 to 16, not {client_count!r}")


def check_segment_count(segment_count: int) -> None:
    """Raise ValueError unless ``segment_count`` is 1, 2 or 4."""
    if segment_count not in (1, 2, 4):
        raise ValueError(f"segment_count must be 1, 2 or 4, not {segment_count!r}")


def check_slot_bytes(slot_bytes: int) -> None:
    """Raise ValueError unless ``slot_bytes`` is a Max_Read_Request_Size."""
    if slot_bytes not in (128, 256, 512, 1024, 2048, 4096):
        raise ValueError(f"slot_bytes must be a power of two, 128 to 4096, not {slot_bytes!r}")


def check_tag_count(tag_count: int) -> None:
    """Raise ValueError unless ``tag_count`` is even and 4 to 1024."""
    if not 4 <= tag_count <= 1024 or tag_count % 2:
        raise ValueError(f"tag_count must be even and 4 to 1024, not {tag_count!r}")


def check_reserve(reserve: int, *, client_count: int, tag_count: int) -> None:
    """Raise ValueError unless each client can have ``reserve`` tags, one at least."""
    most = tag_count // client_count
    if not 1 <= reserve <= most:
        raise ValueError(f"reserve must be 1 to {most}, tags by clients, not {reserve!r}")
