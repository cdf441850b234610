"""For tests that open the real viewer: settings of their own, and helpers that wait."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_napari_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep napari's preferences of a test in its own folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    from napari.settings import get_settings

    settings = get_settings()
    before = dict(settings.plugins.extension2reader)
    settings.plugins.extension2reader = {}
    yield
    settings.plugins.extension2reader = before
