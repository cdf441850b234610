"""Which models there are: found by looking into the folders beside this file, and into installed packs."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from napari_radcnn.discovery import leave_out, look_into
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.pack import install, installed
from napari_radcnn.interactive.engines.specs import SPECS as ENGINES
from napari_radcnn.spec.model import ModelSpec, Task
from napari_radcnn.spec.options import describe

_CATALOGUE = __name__.rpartition(".")[0]


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
    it. A folder that cannot be imported is named in a `CatalogueWarning` and left out.
    """
    found = {spec.name: spec for spec in ENGINES}
    for folder, specs in look_into(_CATALOGUE, "spec", _specs_of, "models"):
        for spec in specs:
            if spec.name in found:
                leave_out(_CATALOGUE, folder, "models", f"another model has the name '{spec.name}'")
            else:
                found[spec.name] = spec
    return found


def _specs_of(module: ModuleType) -> tuple[ModelSpec, ...]:
    if not hasattr(module, "SPECS") and not hasattr(module, "SPEC"):
        raise ModelError("its spec.py holds neither SPEC nor SPECS")
    specs = tuple(module.SPECS) if hasattr(module, "SPECS") else (module.SPEC,)
    for spec in specs:
        if not isinstance(spec, ModelSpec):
            raise ModelError(f"SPEC is a {type(spec).__name__}, expected a ModelSpec")
    return specs


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


def class_names(model: str) -> frozenset[str]:
    """Return what all models that ship call their classes, and what an installed one of this name calls its own."""
    listed = [*own_models().values(), *(spec for spec in installed() if spec.name == model)]
    return frozenset(name for spec in listed for name in (*spec.classes, *(one.name for one in spec.labels.values())))


def option_choices(model: str) -> frozenset[str] | None:
    """Return the choices that a model on the list leaves among words; None where there is no model of this name."""
    spec = _all().get(model)
    return None if spec is None else frozenset(word for option in describe(spec.options) for word in option.choices)


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
