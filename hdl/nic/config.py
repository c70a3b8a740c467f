"""Products as parameter sets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from hdl.roce import RoceConfig

__all__ = ["PRODUCTS", "NicConfig"]


@dataclass(frozen=True)
class NicConfig:
    """Parameters of a card.

    Parameters
    ----------
    data_bytes : int
        Bytes per beat of a port's pipeline.
    clock_mhz : float
        Clock that the pipeline needs for its port's rate at any frame length: the greatest of
        R/8/(L+20) * ceil((L-4)/B) over L from 64 to 9018 (docs/architecture.md).
    header_count : int
        Headers that a packet may have in the parser.
    slots : mapping of str to int
        Windows of the parser's descriptor and their bytes. Ethernet with two tags has 22; IPv6
        40; TCP 20, UDP 8; BTH with its longest extended header (AtomicETH) 40.
    config : RoceConfig
        Sizes of the RoCEv2 engine.
    """

    data_bytes: int
    clock_mhz: float
    header_count: int
    slots: Mapping[str, int]
    config: RoceConfig


_PROTO_ROCE = RoceConfig(
    data_bytes=8,
    queue_pairs=16,
    regions=64,
    pages=512,
    receive_queues=16,
    receive_depth=16,
    receive_requests=64,
    scatter_entries=4,
    completion_queues=16,
    resources=4,
)
_CARD_ROCE = RoceConfig(
    data_bytes=64,
    queue_pairs=1024,
    regions=1024,
    pages=8192,
    receive_queues=1024,
    receive_depth=16,
    receive_requests=1024,
    scatter_entries=16,
    completion_queues=256,
    resources=8,
)

_WIDE = MappingProxyType({"link": 22, "network": 40, "transport": 20, "rdma": 40})

#: The named products.
PRODUCTS = MappingProxyType(
    {
        "proto": NicConfig(
            data_bytes=8,
            clock_mhz=125,
            header_count=8,
            slots=MappingProxyType({"network": 40, "transport": 8, "rdma": 40}),
            config=_PROTO_ROCE,
        ),
        "card100": NicConfig(
            data_bytes=64, clock_mhz=281, header_count=12, slots=_WIDE, config=_CARD_ROCE
        ),
        "card400": NicConfig(
            data_bytes=128,
            clock_mhz=654,
            header_count=12,
            slots=_WIDE,
            config=replace(_CARD_ROCE, data_bytes=128, queue_pairs=4096, receive_queues=4096),
        ),
    }
)
