"""Inputs that the tests of the pipeline share."""

import logging
import random

import pytest

from hdl.pipeline import DEFAULT_GRAPH
from headrace.capture import read_frames
from tb.pipeline.frames import campaign


@pytest.fixture(scope="session")
def real_frames(pytestconfig) -> list[bytes]:
    """Every frame of the captures of Soft-RoCE."""
    captures = sorted((pytestconfig.rootpath / "data" / "captures").glob("*.pcap"))
    return [frame for capture in captures for frame in read_frames(capture)]


@pytest.fixture
def frames_file(real_frames, tmp_path):
    """Write a campaign of that many frames, by that seed, and return its path."""
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

    def write(count: int, seed: int):
        random.seed(seed)
        path = tmp_path / "frames"
        path.write_text("\n".join(frame.hex() for frame in campaign(count, real_frames)))
        return path

    return write


@pytest.fixture
def other_graph(tmp_path):
    """Path of a graph that finds the BTH behind another UDP port than the default one."""
    text = DEFAULT_GRAPH.read_text()
    assert '[4791, "bth"]' in text
    path = tmp_path / "other.toml"
    path.write_text(text.replace('[4791, "bth"]', '[4790, "bth"]'))
    return path
