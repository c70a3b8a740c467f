"""Rate of hdl.pipeline.Parser."""

from hdl.nic import PRODUCTS
from hdl.pipeline import Parser
from tb.bench import Bench

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "parser",
        profile,
        lambda config=config: Parser(
            data_bytes=config.data_bytes,
            header_count=config.header_count,
            slots=config.slots,
        ),
        "tb.pipeline.parser_rate_tb",
        {"DATA_BYTES": config.data_bytes, "MIN_LENGTH": 60},
    )
    for profile, config in PRODUCTS.items()
]
