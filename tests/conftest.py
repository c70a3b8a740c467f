"""Fixtures that every test folder uses."""

import re
from pathlib import Path

import pytest


@pytest.fixture
def run_dir(request) -> Path:
    """Folder of this test alone, kept after the run for its waveforms and logs."""
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    return request.config.rootpath / "build" / "sim" / name
