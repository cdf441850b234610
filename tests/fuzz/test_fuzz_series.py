"""A short run of the fuzzer of series; the long one is `python tests/fuzz/fuzz_series.py`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fuzz_series import GOOD, one


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("count", [25, pytest.param(2000, marks=pytest.mark.slow)])
def test_swapped_and_lost_tags_are_right_or_told(count: int, tmp_path: Path) -> None:
    results = [one(90_000_000 + n, tmp_path / str(n)) for n in range(count)]
    bad = [(result, done) for result, done in results if result not in GOOD]
    assert bad == []
    assert Counter(result for result, _ in results)["right"] > count / 3
