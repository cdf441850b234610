"""For tests that open the real viewer: settings of their own, and helpers that wait."""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from patience import PATIENCE


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


@pytest.fixture
def package_log() -> Iterator[list[str]]:
    """Collect the messages of the package's own logs, whatever libraries do to the root of all logs meanwhile."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    collector = Collector()
    logging.getLogger("napari_radcnn").addHandler(collector)
    yield messages
    logging.getLogger("napari_radcnn").removeHandler(collector)


@pytest.fixture(scope="session", autouse=True)
def _waits_are_patient() -> Iterator[None]:
    """Let what tests wait for take its time: seconds say nothing of a computer that does much else."""
    from pytestqt.qtbot import QtBot

    wait_until, wait_signal, least = QtBot.waitUntil, QtBot.waitSignal, PATIENCE * 1000

    def until(self: QtBot, callback: Callable[[], bool | None], *, timeout: int = least) -> None:
        __tracebackhide__ = True
        wait_until(self, callback, timeout=max(timeout, least))

    def signal(self: QtBot, signal: Any, *, timeout: int = least, **how: Any) -> Any:
        return wait_signal(self, signal, timeout=max(timeout, least), **how)

    with patch.object(QtBot, "waitUntil", until), patch.object(QtBot, "waitSignal", signal):
        yield


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


@pytest.fixture(scope="session", autouse=True)
def _shaders_are_read_once() -> Iterator[None]:
    """Look for the variables of a shader once a process: vispy does so at each use, a tenth of these tests."""
    from vispy.gloo import program

    matches = functools.cache(lambda pattern, code: tuple(re.finditer(pattern, code)))
    known = SimpleNamespace(sub=functools.cache(re.sub), finditer=matches, M=re.M)
    with patch.object(program, "re", known):
        yield


@pytest.fixture(scope="session", autouse=True)
def _windows_do_not_look_at_every_event(qapp: Any) -> Iterator[None]:
    """Leave out that a window of napari looks at each event of the program, in Python: a fifth of these tests.

    It does so for a menu bar that hides itself, which is off unless a user turns it on.
    """
    from qtpy.QtWidgets import QApplication, QMainWindow

    install = QApplication.installEventFilter

    def installed(self: QApplication, watcher: Any) -> None:
        if not isinstance(watcher, QMainWindow):
            install(self, watcher)

    with patch.object(QApplication, "installEventFilter", installed):
        yield


@pytest.fixture(scope="session", autouse=True)
def _letters_are_drawn_once() -> Iterator[None]:
    """Draw each letter for the canvases once a process: vispy does so for each canvas, a twentieth of these tests."""
    from vispy.visuals.text.text import SDFRendererCPU

    draw, known = SDFRendererCPU.render_to_texture, dict[Any, np.ndarray]()

    def drawn(self: SDFRendererCPU, data: np.ndarray, texture: Any, offset: Any, size: tuple[int, int]) -> None:
        width, height = size
        key = (data.shape, data.tobytes(), width, height)
        if key not in known:
            known[key] = np.zeros((height, width, 3), np.uint8)
            draw(self, data, known[key], (0, 0), size)
        texture[offset[1] : offset[1] + height, offset[0] : offset[0] + width, :] = known[key]

    with patch.object(SDFRendererCPU, "render_to_texture", drawn):
        yield
