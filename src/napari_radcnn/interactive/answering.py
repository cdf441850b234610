"""One engine of a session: opened, used by one thread at a time, closed when nobody uses it any more."""

from __future__ import annotations

from dataclasses import asdict
from threading import Lock
from typing import Any

from napari_radcnn.errors import ModelError, SessionError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import Engine, EngineRequest
from napari_radcnn.interactive.engines.registry import engine_spec, open_engine
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.manifest import describe_model
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume


class Answering:
    """An engine and what it was opened with.

    Parameters
    ----------
    engine : str or Engine
        A name on the list of engines, or an engine that is open already.
    settings : RunSettings, optional
        Device and precision.

    Raises
    ------
    ModelError
        If there is none of that name, or what it needs is missing.
    """

    def __init__(self, engine: str | Engine, settings: RunSettings | None) -> None:
        self.settings = RunSettings() if settings is None else settings
        self._engine = open_engine(engine, self.settings) if isinstance(engine, str) else engine
        self.name = self._engine.name
        self._lock = Lock()
        self._is_closed = False

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Do what is slow the first time."""
        with self._lock:
            self._check_open()
            try:
                self._engine.prepare(volume, monitor)
            finally:
                self._close_if_asked()

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """Return the engine's answer; a second thread waits until the first has its own."""
        with self._lock:
            self._check_open()
            try:
                monitor.check()
                return self._engine.predict(request, monitor)
            finally:
                self._close_if_asked()

    def close(self) -> None:
        """Give the engine's memory back, now or when the answer under way has come."""
        self._is_closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._engine.close()
            finally:
                self._lock.release()

    def to_dict(self) -> dict[str, Any]:
        """Return what a manifest says of the engine: name, version, license, weights."""
        return describe_engine(self.name)

    def settings_dict(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        return asdict(self.settings)

    def _check_open(self) -> None:
        if self._is_closed:
            raise SessionError("The engine was changed or the session closed in the meantime; repeat the prompt.")

    def _close_if_asked(self) -> None:
        if self._is_closed:
            self._engine.close()


def describe_engine(name: str) -> dict[str, Any]:
    """Return what a manifest says of an engine; of one that is not on the list only its name."""
    try:
        spec = engine_spec(name)
    except ModelError:
        return describe_model(name, "", "interactive", "", ())
    weights = [(file.path, file.sha256) for file in spec.weights]
    return describe_model(spec.name, spec.version, spec.task, spec.licence, weights)
