"""Which engines there are, and opening one by its name."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import cast

from napari_radcnn.discovery import BROKEN, Added, Package, blamed, reason_of
from napari_radcnn.errors import ModelError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import Engine, EngineRequest
from napari_radcnn.interactive.engines.specs import FEW_CLICKS, PROMPTABLE, SPECS
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.added import checked_spec
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.weights import find_weights
from napari_radcnn.tasks import load
from napari_radcnn.volume import Volume

#: Our own, in the order in which they are offered.
OWN = {spec.name: spec for spec in SPECS}
#: How many files of weights come with the package, by engine.
_WITH_WEIGHTS = {FEW_CLICKS.name: 3, PROMPTABLE.name: 1}
#: The list of models, which stands above this package; engines and models share their names.
_TAKEN = "napari_radcnn.models.registry:names_before_packages"


def _checked(thing: object, name: str, package: Package) -> ModelSpec:
    """Return the description of an engine of an installed package.

    Raises
    ------
    ModelError
        If it is none.
    """
    spec = checked_spec(thing, name, package)
    if spec.task != "interactive":
        raise ModelError(f"its task is '{spec.task}', expected 'interactive'; models are another group")
    if not all(spec.pipeline.partition(":")):
        raise ModelError(f"its pipeline is '{spec.pipeline}', expected the place of its class, 'module:Class'")
    return spec


#: Those of installed packages.
ADDED = Added("napari_radcnn.engines", "engine", _checked, lambda: load(_TAKEN)())


def engine_specs() -> tuple[ModelSpec, ...]:
    """Return what the engines are, in the order in which they are offered; those that are not installed as well."""
    return (*OWN.values(), *ADDED.all().values())


def find_engine(name: str) -> ModelSpec | None:
    """Return what an engine is, and import nothing of any other; None for none of that name."""
    return OWN[name] if name in OWN else ADDED.find(name)


def engine_spec(name: str) -> ModelSpec:
    """Return what an engine is.

    Raises
    ------
    ModelError
        If there is none of that name; the text lists those there are.
    """
    spec = find_engine(name)
    if spec is not None:
        return spec
    left_out = next((left for left in ADDED.left_out() if left.name == name), None)
    if left_out is not None:
        raise ModelError(str(left_out))
    known = (*OWN, *ADDED.names())
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}."
    raise ModelError(f"There is no engine '{name}'; {hint}")


def open_engine(name: str, settings: RunSettings | None = None) -> Engine:
    """Return an engine; nothing slow is done before its `prepare` or its first `predict`.

    Parameters
    ----------
    name : str
        One of those of `engine_specs`.
    settings : RunSettings, optional
        Device and precision.

    Raises
    ------
    ModelError
        If there is none of that name, or what it needs is missing: the text says what to install, or where weights go.
    """
    spec = engine_spec(name)
    check_installed(spec)
    module, _, cls = spec.pipeline.partition(":")
    try:
        kind = getattr(import_module(module), cls)
    except BROKEN as error:
        raise ModelError(f"The engine '{name}' cannot be loaded: {reason_of(error)}.") from error
    with blamed(spec.package, f"The engine '{name}'", ModelError):
        engine = cast(Engine, kind(RunSettings() if settings is None else settings))
    return engine if spec.package is None else _AddedEngine(engine, spec.name, spec.package)


def check_installed(spec: ModelSpec) -> None:
    """Look for what an engine needs, without importing any of it.

    Raises
    ------
    ModelError
        If a package or a file of weights is missing.
    """
    if not spec.is_available:
        raise ModelError(f"The engine is not installed: {spec.how_to_install}")
    if spec.name in _WITH_WEIGHTS and len(spec.weights) < _WITH_WEIGHTS[spec.name]:
        raise ModelError(
            f"The weights of '{spec.name}' are missing from this installation: install napari-radcnn again, or use "
            "the engine 'region'."
        )
    for weights in spec.weights:
        find_weights(spec, weights)


class _AddedEngine:
    """An engine of an installed package, whose errors name the package."""

    def __init__(self, engine: Engine, name: str, package: Package) -> None:
        self._engine, self._package = engine, package
        #: As on the list, whatever the engine calls itself: manifests and sessions open it by this name.
        self.name = name

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """As of an `Engine`."""
        with self._blamed():
            self._engine.prepare(volume, monitor)

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """As of an `Engine`."""
        with self._blamed():
            update = self._engine.predict(request, monitor)
            if not isinstance(update, MaskUpdate):
                raise TypeError(f"it returned a {type(update).__name__}, expected a MaskUpdate")
        return update

    def close(self) -> None:
        """As of an `Engine`."""
        with self._blamed():
            self._engine.close()

    def _blamed(self) -> blamed:
        return blamed(self._package, f"The engine '{self.name}'", ModelError)
