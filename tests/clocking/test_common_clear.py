# amaranth: UnusedElaboratable=no
"""CommonClear: parameter check; tests/stream/test_async_queue.py shows what it does."""

import pytest

from hdl.clocking import CommonClear


def test_domains_must_differ():
    with pytest.raises(ValueError, match="must differ, not both be 'sync'"):
        CommonClear(i_domain="sync", o_domain="sync")
