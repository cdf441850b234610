"""Which models there are."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from napari_radcnn.errors import ModelError
from napari_radcnn.models import brain_extraction, nlm_denoise
from napari_radcnn.models.spec import ModelSpec, Task

_SPECS = {spec.name: spec for spec in (brain_extraction.SPEC, nlm_denoise.SPEC)}


def models(task: Task | None = None) -> list[ModelSpec]:
    """Return the models, by name; those that need something not installed as well.

    Parameters
    ----------
    task : str, optional
        Only those for this task.
    """
    return [spec for name, spec in sorted(_SPECS.items()) if task in (None, spec.task)]


def get_model(name: str) -> ModelSpec:
    """Return the model of that name.

    Raises
    ------
    ModelError
        If there is none; the text lists those there are.
    """
    if name in _SPECS:
        return _SPECS[name]
    close = get_close_matches(name, _SPECS, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(sorted(_SPECS))}."
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
    if isinstance(model, str) and (model in _SPECS or not Path(model).exists()):
        return get_model(model)
    from napari_radcnn.models.formats import open_model

    return open_model(Path(model), trust=trust)
