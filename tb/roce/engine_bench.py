"""Rate and latency of hdl.roce.Engine."""

import json
from dataclasses import asdict

from tb.bench import PROFILES, Bench

from .parsed_responder import ParsedEngine
from .sizes import talking

__all__ = ["BENCHES"]

#: The width that the tests of the engine simulate, too. The others have not been measured yet.
_PROFILE = "card100"
_CONFIG = talking(PROFILES[_PROFILE])

BENCHES = [
    Bench(
        "roce_engine",
        _PROFILE,
        lambda: ParsedEngine(config=_CONFIG),
        "tb.roce.engine_rate_tb",
        {
            "DATA_BYTES": PROFILES[_PROFILE],
            "ROCE_CONFIG": json.dumps(asdict(_CONFIG)),
        },
    )
]
