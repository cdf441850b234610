"""Which models there are: found by looking into the folders beside this file, and into installed packs."""

from __future__ import annotations

import os
import pkgutil
import warnings
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from napari_radcnn.errors import ModelError, RadcnnError
from napari_radcnn.foreign.pack import install, installed
from napari_radcnn.interactive.engines.specs import SPECS as ENGINES
from napari_radcnn.spec.model import ModelSpec, Task

_CATALOGUE = __name__.rpartition(".")[0]
#: What a folder of the catalogue may raise when it is looked at; whatever it is, the other models stay.
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RadcnnError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def models(task: Task | None = None) -> list[ModelSpec]:
    """Return the models, by name; those that need something not installed as well.

    Parameters
    ----------
    task : str, optional
        Only those for this task.
    """
    return [spec for name, spec in sorted(_all().items()) if task in (None, spec.task)]


def _all() -> dict[str, ModelSpec]:
    """Return our own models and those of installed packs, which cannot take the name of one of ours."""
    return {spec.name: spec for spec in installed()} | own_models()


@lru_cache(maxsize=1)
def own_models() -> dict[str, ModelSpec]:
    """Return the models that come with the package, by name; a new one is a new folder and nothing else.

    A folder beside this file is one if it has a module ``spec`` with ``SPEC``, or ``SPECS`` where several models share
    it. A folder that cannot be imported is named in a warning and left out.
    """
    found = {spec.name: spec for spec in ENGINES}
    for folder in _folders():
        try:
            module = import_module(f"{_CATALOGUE}.{folder}.spec")
            specs = _specs_of(module)
        except _BROKEN as error:
            reason = " ".join(str(error).split())[:200]
            _leave_out(folder, f"{type(error).__name__}: {reason}")
            continue
        for spec in specs:
            if spec.name in found:
                _leave_out(folder, f"another model has the name '{spec.name}'")
            else:
                found[spec.name] = spec
    return found


def _folders() -> Iterator[str]:
    """Yield the names of the folders beside this file that hold models."""
    places = import_module(_CATALOGUE).__path__
    return (found.name for found in sorted(pkgutil.iter_modules(places), key=lambda found: found.name) if found.ispkg)


def _specs_of(module: ModuleType) -> tuple[ModelSpec, ...]:
    specs = tuple(module.SPECS) if hasattr(module, "SPECS") else (module.SPEC,)
    for spec in specs:
        if not isinstance(spec, ModelSpec):
            raise TypeError(f"SPEC is a {type(spec).__name__}, expected a ModelSpec")
    return specs


def _leave_out(folder: str, reason: str) -> None:
    warnings.warn(f"The models of the folder '{folder}' are left out: {reason}.", stacklevel=4)


def install_pack(path: str | Path, *, trust: str | None = None) -> str:
    """Install a model pack so that it stands on the list, and return the name it has there.

    Parameters and errors are those of `napari_radcnn.foreign.pack.install`; names of our own models are taken.
    """
    return install(path, trust=trust, taken=own_models())


def get_model(name: str) -> ModelSpec:
    """Return the model of that name.

    Raises
    ------
    ModelError
        If there is none; the text lists those there are.
    """
    known = _all()
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(sorted(known))}."
    raise ModelError(f"There is no model '{name}'; {hint}")


def find_model(model: str | os.PathLike[str], *, trust: str | None = None) -> ModelSpec:
    """Return a model by its name, or open the foreign one that lies at a path.

    Parameters
    ----------
    model : str or path
        A name on the list of `models`; else the file or folder of a foreign model.
    trust : str, optional
        See `napari_radcnn.open_model`.

    Raises
    ------
    ModelError
        If there is neither a model of that name nor a file or folder, or the model cannot be used.
    """
    if isinstance(model, str) and (model in _all() or not Path(model).exists()):
        return get_model(model)
    from napari_radcnn.foreign import open_model

    return open_model(Path(model), trust=trust)
