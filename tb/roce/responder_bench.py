"""Rate and latency of hdl.roce.Responder."""

import json
from dataclasses import asdict

from tb.bench import PROFILES, Bench

from .parsed_responder import ParsedResponder
from .sizes import whole

__all__ = ["BENCHES"]

BENCHES = [
    Bench(
        "responder",
        profile,
        # The simulation that the tests of the responder run, too.
        lambda profile=profile: ParsedResponder(config=whole(PROFILES[profile])),
        "tb.roce.responder_rate_tb",
        {
            "DATA_BYTES": PROFILES[profile],
            "ROCE_CONFIG": json.dumps(asdict(whole(PROFILES[profile]))),
        },
    )
    for profile in PROFILES
]
