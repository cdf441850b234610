"""Which models there are."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from napari_radcnn.errors import ModelError
from napari_radcnn.models import (
    adrenal_mass,
    brain_extraction,
    brain_tissue,
    ct_denoise,
    ct_tissues,
    cxr_pneumonia,
    interactive,
    lung_nodules,
    nlm_denoise,
    super_resolution,
)
from napari_radcnn.models.pack import installed
from napari_radcnn.models.spec import ModelSpec, Task

_SPECS = {
    spec.name: spec
    for spec in (
        adrenal_mass.SPEC,
        brain_extraction.SPEC,
        brain_tissue.SPEC,
        ct_denoise.SPEC,
        ct_tissues.SPEC,
        cxr_pneumonia.SPEC,
        lung_nodules.SPEC,
        nlm_denoise.SPEC,
        *interactive.SPECS,
        *super_resolution.SPECS,
    )
}


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
    return {spec.name: spec for spec in installed()} | _SPECS


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
    from napari_radcnn.models.formats import open_model

    return open_model(Path(model), trust=trust)
