"""For tests that open the real viewer: settings of their own, and helpers that wait."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def gui_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gui-home")


@pytest.fixture(autouse=True)
def _own_folders(gui_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep one set of folders for all tests of the viewer: napari draws its icons into its cache once a process."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(gui_home / name.lower()))


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
