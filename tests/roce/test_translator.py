"""Translator: its model, and its cocotb testbench at two sizes."""

import json
from dataclasses import asdict

import pytest

from hdl.roce.translator import Translator
from sim.roce.translator import Place, Span, Translation
from tb.roce.sizes import small
from tb.simulate import simulate


@pytest.mark.parametrize("data_bytes, regions, pages", [(8, 4, 16), (8, 64, 512), (128, 64, 512)])
def test_translator(data_bytes, regions, pages, run_dir):
    config = small(data_bytes, regions=regions, pages=pages)
    translator = Translator(config=config)
    simulate(
        translator,
        name="translator",
        testbench="tb.roce.translator_tb",
        run_dir=run_dir,
        env={"CONFIG": json.dumps(asdict(config)), "LATENCY": translator.latency},
    )


def test_model():
    """Bytes over the end of a page, of a key that is there, and then is not."""
    table = Translation(4, {1: 7}, {2: (1, 0x100), 3: (2, 0x200)})
    place = Place(key=1, variant=7, linear=3 * 4096 - 2, page_row=0, page_shift=12)
    assert table.translate(place, 5) == [Span(1, 0x100FFE, 2), Span(2, 0x200000, 3)]
    assert table.translate(Place(1, 7, 4 * 4096 - 1, 0, 12), 2) is None
    assert table.translate(Place(1, 8, 0, 0, 12), 1) is None
    # A page of 8 KiB: the lowest bit of its row counts for nothing.
    table.pages[1] = (3, 0x301)
    assert table.translate(Place(1, 7, 8192 + 4097, 0, 13), 1) == [Span(3, 0x301001, 1)]
    assert table.invalidate(place)
    assert not table.invalidate(place)
    assert table.translate(place, 0) is None
