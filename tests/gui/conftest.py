"""For tests that open the real viewer: settings of their own, and helpers that wait."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from kept_viewer import KeptViewer


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


@pytest.fixture(scope="session", autouse=True)
def _manifests_are_read_once() -> Iterator[None]:
    """Read the manifests of installed plugins once a process: for napari, they are a tenth of making a viewer."""
    from npe2 import PluginManifest

    discover = PluginManifest.discover
    known = functools.cache(lambda _: list(discover()))

    def discovered(paths: Sequence[str | Path] = ()) -> Iterator[Any]:
        return iter(discover(paths) if paths else known(tuple(sys.path)))

    with patch.object(PluginManifest, "discover", staticmethod(discovered)):
        yield


@pytest.fixture(scope="module")
def _kept_viewers() -> Iterator[list[KeptViewer]]:
    """Keep the window of a module whose tests share one: none at first, and where a test had one of its own."""
    kept: list[KeptViewer] = []
    yield kept
    while kept:
        kept.pop().close()


@pytest.fixture
def make_napari_viewer(request: pytest.FixtureRequest, qtbot: Any, _kept_viewers: list[KeptViewer]) -> Iterator[Any]:
    """Return what makes a viewer: napari's own fixture, or with the mark `one_window` the window of the module.

    The mark `own_window` gives a test of such a module a window of its own.
    """
    shares = request.node.get_closest_marker("one_window") and not request.node.get_closest_marker("own_window")
    if not shares:
        while _kept_viewers:
            _kept_viewers.pop().close()
        yield request.getfixturevalue("make_napari_viewer")
        return
    if not _kept_viewers:
        _kept_viewers.append(KeptViewer())
    n_made = 0

    def viewer(*, show: bool = False) -> Any:
        nonlocal n_made
        n_made += 1
        assert n_made == 1, "a test with two viewers needs the mark own_window"
        return _kept_viewers[0].viewer

    yield viewer
    called = getattr(request.node, "rep_call", None)  # by napari's own fixtures; none where the setup failed
    if called is None or called.failed:  # whatever went wrong is not handed on
        while _kept_viewers:
            _kept_viewers.pop().close()
    elif n_made:
        _kept_viewers[0].put_back()
        assert _kept_viewers[0].left_over() == []
