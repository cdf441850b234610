"""Which models there are: our own, in the folders beside this file, and those of installed packs and packages."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from napari_radcnn.discovery import Added, LeftOut, Package, leave_out, look_into
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.pack import install, installed, unusable
from napari_radcnn.interactive.engines.registry import ADDED as ADDED_ENGINES
from napari_radcnn.interactive.engines.specs import SPECS as ENGINES
from napari_radcnn.spec.added import checked_spec
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
    """Return our own models and those of installed packs and packages, which cannot take the name of one of ours."""
    packs = {spec.name: spec for spec in installed()}
    return ADDED.all() | ADDED_ENGINES.all() | packs | own_models()


def model_names() -> list[str]:
    """Return the names of all models, in order; imports nothing of an installed package."""
    return sorted({*names_before_packages(), *ADDED.names(), *ADDED_ENGINES.names()})


def _find(name: str) -> ModelSpec | None:
    """Return the model of that name, for which no other package is imported than its own; None for none."""
    if name in own_models():
        return own_models()[name]
    pack = next((spec for spec in installed() if spec.name == name), None)
    return pack or ADDED_ENGINES.find(name) or ADDED.find(name)


def left_out() -> list[LeftOut]:
    """Return what installed packages add to the list and cannot be used, and why; imports all of it."""
    _all()
    return [*ADDED.left_out(), *ADDED_ENGINES.left_out()]


def names_before_packages() -> set[str]:
    """Return the names that no installed package can have: those of our own models and of installed packs."""
    return {*own_models(), *(spec.name for spec in installed())}


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
        raise ModelError("its spec.py has neither SPEC nor SPECS")
    specs = tuple(module.SPECS) if hasattr(module, "SPECS") else (module.SPEC,)
    for spec in specs:
        if not isinstance(spec, ModelSpec):
            raise ModelError(f"SPEC is a {type(spec).__name__}, expected a ModelSpec")
    return specs


def install_pack(path: str | Path, *, trust: str | None = None) -> str:
    """Install a model pack so that it stands on the list, and return the name it has there.

    Parameters and errors are those of `napari_radcnn.foreign.pack.install`; names of our own models are taken.
    """
    return install(path, trust=trust, taken=model_names())


def get_model(name: str) -> ModelSpec:
    """Return the model of that name.

    Raises
    ------
    ModelError
        If there is none; the text lists those there are. Or if it is of a pack that cannot be used.
    """
    spec = _find(name)
    if spec is not None:
        return spec
    refused = next((left for left in (*ADDED.left_out(), *ADDED_ENGINES.left_out()) if left.name == name), None)
    if refused is not None:
        raise ModelError(str(refused))
    damaged = next((one for one in unusable() if one.name == name), None)
    if damaged is not None:
        raise ModelError(damaged.reason)
    known = model_names()
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known)}."
    raise ModelError(f"There is no model '{name}'; {hint}")


def class_names(model: str) -> frozenset[str]:
    """Return what all models that ship call their classes, and what an installed one of this name calls its own."""
    named = _find(model)
    listed = [*own_models().values(), *([] if named is None else [named])]
    return frozenset(name for spec in listed for name in (*spec.classes, *(one.name for one in spec.labels.values())))


def option_choices(model: str) -> frozenset[str] | None:
    """Return the choices that a model on the list leaves among words; None where there is no model of this name.

    What a patient is (female, smoker) is no choice of a model's, though it is set among its options.
    """
    spec = _find(model)
    if spec is None:
        return None
    clinical = {one.name for one in getattr(spec.options, "clinical", ())}
    settings = (one for one in describe(spec.options) if one.name not in clinical)
    return frozenset(word for option in settings for word in option.choices)


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
    if isinstance(model, str) and (model in model_names() or not Path(model).exists()):
        return get_model(model)
    from napari_radcnn.foreign import open_model

    return open_model(Path(model), trust=trust)


def _checked(thing: object, name: str, package: Package) -> ModelSpec:
    """Return the description of a model of an installed package.

    Raises
    ------
    ModelError
        If it is none.
    """
    spec = checked_spec(thing, name, package)
    if spec.task == "interactive":
        raise ModelError(
            "its task is 'interactive', so it is an engine, which belongs in the group napari_radcnn.engines"
        )
    return spec


#: Those of installed packages.
ADDED = Added("napari_radcnn.models", "model", _checked, lambda: {*names_before_packages(), *ADDED_ENGINES.names()})
