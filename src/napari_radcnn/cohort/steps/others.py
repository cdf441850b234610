"""The operations of a chain that run no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.cohort.steps.numbers import scalars
from napari_radcnn.errors import OptionError
from napari_radcnn.files import write_text

if TYPE_CHECKING:
    from napari_radcnn.cohort.chain.resolved import Resolved
    from napari_radcnn.cohort.steps.running import Context

#: Files, numbers, warnings.
Made = tuple[list[Path], dict[str, Any], list[str]]


def convert(step: Resolved, context: Context) -> Made:
    """Write the scan in another format."""
    from napari_radcnn.io.with_manifest import write_with_manifest

    volume = context.scan(step.inputs["image"])
    target = context.target(step)
    deidentify = step.options.get("deidentify", False)
    if not isinstance(deidentify, bool):
        raise OptionError(f"The option 'deidentify' must be true or false, got {deidentify!r}.")
    write_with_manifest(volume, target, overwrite=True, deidentify=deidentify)
    k, j, i = volume.geometry.shape
    numbers = {"modality": volume.modality, "slices": k, "rows": j, "columns": i}
    return [target], numbers, list(volume.warnings)


def evaluate(step: Resolved, context: Context) -> Made:
    """Compare a prediction with its reference."""
    from napari_radcnn import operations

    reference, prediction = (context.path(step.inputs[name]) for name in ("reference", "prediction"))
    found = operations.evaluate(reference, prediction, **step.options)
    target = context.target(step)
    plain = {"reference": reference.name, "prediction": prediction.name, **found}
    write_text(target, json.dumps(plain, indent=2) + "\n", overwrite=True)
    figures = found.get("labels")
    numbers = scalars(figures, "label ") if isinstance(figures, dict) else scalars(found)
    return [target], numbers, []
