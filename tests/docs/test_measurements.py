"""The page of measurements is what its script writes today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_of_today():
    spec = importlib.util.spec_from_file_location("make_measurements", ROOT / "docs" / "make_measurements.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    # rounding differs between processors where a deviation is next to nothing
    assert [line.split("|")[:5] for line in module.page().splitlines()] == [
        line.split("|")[:5] for line in written.splitlines()
    ]
    assert "nan" not in written
