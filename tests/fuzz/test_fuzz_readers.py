"""A short run of the fuzzer, in one worker; the long one is `python tests/fuzz/fuzz_readers.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_readers import judge, make_input, make_sources, run


@pytest.mark.parametrize("count", [30, pytest.param(5000, marks=pytest.mark.slow)])
def test_damaged_files_are_opened_or_refused(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = run(count, 7, tmp_path, verbose=False)
    assert counts["bad"] == 0, capsys.readouterr().out
    assert counts.total() == count
    assert counts["opened"] >= count / 15
    assert counts["refused"] > count / 3


def test_sound_sources_are_opened(tmp_path: Path) -> None:
    assert {judge(path) for path in make_sources(tmp_path)} == {"opened"}


def test_inputs_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    sources = make_sources(tmp_path / "sources")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make_input(sources[:1], tmp_path / name, 3, 1)
    (one,), (other,) = (list((tmp_path / name).iterdir()) for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes() != sources[0].read_bytes()
