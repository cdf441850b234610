"""Which engines there are, and opening one by its name."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import cast

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.base import Engine
from napari_radcnn.interactive.engines.specs import SPECS
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.weights import find_weights

#: Name of an engine to its module, beside this one, and its class there: taking `RunSettings` and nothing else.
_CLASSES = {
    "region": ("region.engine", "RegionEngine"),
    "promptable-3d": ("promptable.engine", "PromptableEngine"),
    "litemedsam": ("litemedsam.engine", "LiteMedSamEngine"),
    "nninteractive": ("nninteractive.engine", "NnInteractiveEngine"),
}

#: In the order in which they are offered.
ENGINE_NAMES = tuple(spec.name for spec in SPECS)


def engine_specs() -> tuple[ModelSpec, ...]:
    """Return what the engines are, in the order in which they are offered; those that are not installed as well."""
    return SPECS


def engine_spec(name: str) -> ModelSpec:
    """Return what an engine is.

    Raises
    ------
    ModelError
        If there is none of that name; the text lists those there are.
    """
    for spec in SPECS:
        if spec.name == name:
            return spec
    close = get_close_matches(name, ENGINE_NAMES, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(ENGINE_NAMES)}."
    raise ModelError(f"There is no engine '{name}'; {hint}")


def open_engine(name: str, settings: RunSettings | None = None) -> Engine:
    """Return an engine; nothing slow is done before its `prepare` or its first `predict`.

    Parameters
    ----------
    name : str
        One of `ENGINE_NAMES`.
    settings : RunSettings, optional
        Device and precision.

    Raises
    ------
    ModelError
        If there is none of that name, or what it needs is missing: the text says what to install, or where weights go.
    """
    spec = engine_spec(name)
    check_installed(spec)
    module, cls = _CLASSES[name]
    try:
        made = getattr(import_module(f"napari_radcnn.interactive.engines.{module}"), cls)
    except ImportError as error:
        raise ModelError(f"The engine '{name}' cannot be loaded: {error}.") from error
    return cast(Engine, made(RunSettings() if settings is None else settings))


def check_installed(spec: ModelSpec) -> None:
    """Look for what an engine needs, without importing any of it.

    Raises
    ------
    ModelError
        If a package or a file of weights is missing.
    """
    if not spec.is_available:
        raise ModelError(f"The engine is not installed: {spec.how_to_install}")
    if spec.name == "promptable-3d" and not spec.weights:
        raise ModelError(
            "The weights of 'promptable-3d' are missing from this installation: install napari-radcnn again, or use "
            "the engine 'region'."
        )
    for weights in spec.weights:
        find_weights(spec, weights)
