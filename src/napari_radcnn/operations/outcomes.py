"""What a run becomes: the result, which the function of its task makes of what the model found, and the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from napari_radcnn import manifest, provenance
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.installed import identity_of
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.results import Result
from napari_radcnn.spec.options import describe
from napari_radcnn.suitability import Suitability
from napari_radcnn.tasks import TASKS, load
from napari_radcnn.volume import Volume, VolumeMetadata

#: What stands behind the name of a result of a scan that the model was not made for.
UNSUITABLE = " (not made for this scan)"
#: Of the numbers that a replay compares.
_DIGITS = 5


def result_of(request: Request, outcome: Outcome, provenance: Mapping[str, Any], warnings: tuple[str, ...]) -> Result:
    """Return the result of a run, with its manifest, by the model's task.

    Raises
    ------
    ModelError
        If the pipeline returned no voxels where the task gives some.
    """
    is_marked = provenance["suitability"]["state"] == "refused"
    name = f"{request.volume.name} · {request.spec.name}{UNSUITABLE if is_marked else ''}"
    result: Result = load(TASKS[request.spec.task].build)(request, outcome, name, provenance, warnings)
    return result


def manifest_of_run(
    request: Request,
    inputs: tuple[Volume, ...],
    outcome: Outcome,
    started: str,
    seconds: float,
    warnings: tuple[str, ...],
    suitability: Suitability,
) -> dict[str, Any]:
    """Return the manifest of a run; `inputs` are those that were given, before they were put on one grid."""
    spec = request.spec
    slots = {slot.name: provenance.identify(volume) for slot, volume in zip(spec.inputs, inputs, strict=False)}
    weights = [
        *((file.path, file.sha256) for file in spec.weights),
        *((file.path.name, file.sha256) for file in spec.files),
    ]
    return manifest.of_run(
        model=manifest.describe_model(
            spec.name, spec.version, spec.task, spec.licence, weights, spec.origin, identity_of(spec)
        ),
        options={entry.name: getattr(request.options, entry.name) for entry in describe(spec.options)},
        settings={"device": request.settings.device, "precision": request.settings.precision},
        computed={"device": outcome.device, "precision": outcome.precision, "threads": request.threads},
        first_input=next(iter(slots.values())) if slots else provenance.identify(request.volume),
        inputs=slots,
        result=_hashes(request, outcome),
        facts=outcome.facts,
        warnings=warnings,
        suitability=suitability.to_dict(),
        started=started,
        seconds=seconds,
    )


def _hashes(request: Request, outcome: Outcome) -> dict[str, Any]:
    """Return what tells one result from another, and its grid where it is not that of the scan."""
    grid = request.volume.geometry if outcome.geometry is None else outcome.geometry
    array = outcome.array
    found: dict[str, Any] = {} if array is None else {"sha256": provenance.voxel_hash(array, grid)}
    if outcome.maps:
        found["maps"] = {kind: provenance.voxel_hash(values, grid) for kind, values in outcome.maps.items()}
    numbers = {**outcome.probabilities, **outcome.numbers}
    if numbers:  # the digits that do not hang on the number of threads
        found["numbers"] = {name: float(f"{value:.{_DIGITS}g}") for name, value in numbers.items()}
    if outcome.geometry is not None:
        found |= {"shape": list(grid.shape), "spacing_mm": [round(s, 6) for s in grid.spacing]}
        found["affine"] = grid.affine.tolist()
    return found


def voxels_of(request: Request, outcome: Outcome) -> npt.NDArray[Any]:
    """Return the voxels that a pipeline gave.

    Raises
    ------
    ModelError
        If it gave none.
    """
    if outcome.array is None:
        raise ModelError(f"The pipeline of '{request.spec.name}' returned no voxels.")
    return outcome.array


def maps_of(volume: Volume, outcome: Outcome, name: str, provenance: Mapping[str, Any]) -> tuple[Volume, ...]:
    """Return the further images of a result: how sure labels are, or the evidence; on the scan's grid."""
    plain = VolumeMetadata(
        frame_of_reference_uid=volume.metadata.frame_of_reference_uid,
        is_calibrated=volume.metadata.is_calibrated,
        acquisition=volume.metadata.acquisition,
        is_placed=volume.metadata.is_placed,
        sides=volume.metadata.sides,
    )
    return tuple(
        Volume(array, volume.geometry, replace(plain, name=f"{name} · {kind}", provenance={**provenance, "map": kind}))
        for kind, array in outcome.maps.items()
    )
