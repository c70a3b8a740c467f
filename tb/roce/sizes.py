"""Sizes of the RoCEv2 engine that tests, proofs and benches use."""

from hdl.roce.config import RoceConfig

__all__ = ["SMALL", "least", "small", "talking", "whole"]

#: What most tests use; those that care say what differs.
SMALL = {
    "queue_pairs": 16,
    "regions": 16,
    "pages": 64,
    "receive_queues": 16,
    "receive_depth": 16,
    "receive_requests": 64,
    "scatter_entries": 4,
    "completion_queues": 16,
    "resources": 4,
}


def small(data_bytes: int, **fields: int) -> RoceConfig:
    """Make a configuration of :data:`SMALL`, but for ``fields``."""
    return RoceConfig(data_bytes=data_bytes, **{**SMALL, **fields})


def least() -> RoceConfig:
    """Make the configuration with as little of everything as there may be."""
    fields = {**dict.fromkeys(SMALL, 2), "pages": 4, "scatter_entries": 1}
    return RoceConfig(data_bytes=8, **fields)


def whole(data_bytes: int) -> RoceConfig:
    """Make the configuration of the whole responder, one for all, so that it is built once."""
    return RoceConfig(
        data_bytes=data_bytes,
        queue_pairs=64,
        regions=64,
        pages=1024,
        receive_queues=256,
        receive_depth=128,
        receive_requests=1024,
        scatter_entries=4,
        completion_queues=4,
        resources=16,
    )


def talking(data_bytes: int) -> RoceConfig:
    """Make the configuration of the whole engine, one for all, so that it is built once."""
    return small(
        data_bytes,
        regions=128,
        receive_queues=32,
        receive_depth=128,
        receive_requests=1024,
        send_slots=16,
        send_requests=128,
    )
