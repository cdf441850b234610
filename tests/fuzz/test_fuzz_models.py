"""A short run of the fuzzer of models; the long one is `python tests/fuzz/fuzz_models.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_models import judge, make_sources, run


@pytest.mark.parametrize("count", [30, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_models_are_opened_or_refused(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = run(count, 7, tmp_path, verbose=False)
    assert sum(found["bad"] for found in counts.values()) == 0, capsys.readouterr().out
    assert {"torch", "safetensors", "torchscript", "onnx", "bundle", "zip", "pack"} <= set(counts)
    for kind, found in counts.items():
        assert found.total() == count
        assert found["refused"] > count / 6, kind


def test_sound_models_are_opened(tmp_path: Path) -> None:
    verdicts = {kind: judge(path) for kind, path in make_sources(tmp_path).items()}
    assert set(verdicts.values()) == {"opened"}, verdicts
