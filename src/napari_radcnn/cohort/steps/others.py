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


def measure(step: Resolved, context: Context) -> Made:
    """Measure every label on the scan."""
    from napari_radcnn.measure import segments, write_table

    suv = step.options.get("suv", False)
    if not isinstance(suv, bool):
        raise OptionError(f"The option 'suv' must be true or false, got {suv!r}.")
    threshold = step.options.get("mtv_threshold")
    if threshold is not None and not isinstance(threshold, int | float):
        raise OptionError(f"The option 'mtv_threshold' must be a number, got {threshold!r}.")
    labels, image = (context.scan(step.inputs[name]) for name in ("labels", "image"))
    table = segments(labels, image, suv, mtv_threshold=threshold, progress=context.progress, cancel=context.cancel)
    target = context.target(step)
    write_table(table, target, overwrite=True)
    numbers: dict[str, Any] = {"unit": table["unit"]}
    names = _label_names(step.inputs["labels"], context)
    for row in table["labels"]:
        figures = {name: value for name, value in row.items() if name not in ("label", "name")}
        numbers |= scalars(figures, f"{names.get(row['label']) or row['name'] or row['label']} ")
    return [target], numbers, list(table["warnings"])


def _label_names(where: str, context: Context) -> dict[int, str]:
    """Return what the model of an earlier step calls its labels: not every format keeps names."""
    from napari_radcnn.models import find_model

    earlier = next((one for one in context.job.steps if f"step:{one.name}" == where and one.model), None)
    if earlier is None:
        return {}
    spec = find_model(earlier.model, trust=context.job.trust)
    return {value: label.name for value, label in spec.labels.items()}


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
