"""What the description of a model or an engine must be that an installed package adds."""

from __future__ import annotations

from dataclasses import is_dataclass, replace

from napari_radcnn.discovery import Package
from napari_radcnn.errors import ModelError
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import describe
from napari_radcnn.tasks import TASKS


def checked_spec(thing: object, name: str, package: Package) -> ModelSpec:
    """Return a description as it is used here: it names the package that it comes from.

    Parameters
    ----------
    thing : object
        What the entry point gives.
    name : str
        Of the entry point.
    package : Package
        Which declares it.

    Raises
    ------
    ModelError
        If it is no description that can be used.
    """
    if not isinstance(thing, ModelSpec):
        raise ModelError(f"'{name}' is a {type(thing).__name__}, expected a ModelSpec")
    if thing.name != name:
        raise ModelError(f"the entry point is called '{name}', but its spec '{thing.name}'; give both the same name")
    if thing.task not in TASKS:
        raise ModelError(f"its task is '{thing.task}', expected one of {', '.join(TASKS)}")
    if not is_dataclass(thing.options):
        raise ModelError("its options are not a dataclass of options (napari_radcnn.spec.options)")
    describe(thing.options)
    missing = [what for what in ("title", "version", "summary", "licence", "pipeline") if not getattr(thing, what)]
    if missing:
        raise ModelError(f"its spec has no {', '.join(missing)}")
    return replace(thing, package=package)
