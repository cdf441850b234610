"""One model on one scan, by a worker of a cluster: what `napari_radcnn.operations.run` does here, elsewhere."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_radcnn.cohort.chain import Resolved, Step, keys_of, resolve
from napari_radcnn.cohort.cluster.workers import Cluster
from napari_radcnn.cohort.jobs import Answer, Job, Placed
from napari_radcnn.errors import RadcnnError, ResourceError
from napari_radcnn.io import read, write
from napari_radcnn.io.reports import read_classification, read_detections
from napari_radcnn.manifest import read_beside
from napari_radcnn.models import ModelSpec
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import Classification, Detections, LabelMap, Result
from napari_radcnn.tasks import TASKS
from napari_radcnn.volume import Volume

_CASE = "scan"
#: What a NIfTI file does not hold and a model wants to know; whose scan it is stays here.
_ABOUT = ("modality", "units", "description", "is_label", "padding_value", "is_calibrated", "is_placed")


def run_elsewhere(
    volumes: Sequence[Volume],
    spec: ModelSpec,
    options: Mapping[str, Any],
    address: str,
    certificates: Path | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    anyway: bool = False,
    trust: str | None = None,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> Result:
    """Run a model by a worker of a cluster.

    Voxels, their place and what kind of scan they are travel; names and numbers of the patient do not.

    Parameters
    ----------
    volumes : sequence of Volume
        One for each input of the model.
    spec : ModelSpec
        The model; a foreign one travels as a pack.
    options : mapping
        Of the model.
    address, certificates
        As of `napari_radcnn.cohort.cluster.workers.Cluster`.
    device, precision, anyway, trust, progress, cancel
        As of `napari_radcnn.operations.run`.

    Returns
    -------
    LabelMap, Volume, Detections or Classification
        As `napari_radcnn.operations.run` returns it; labels and images are in memory.

    Raises
    ------
    RadcnnError
        If the cluster cannot be reached, or the run fails there.
    CancelledError
        If `cancel` was set.
    """
    model = spec.name if spec.origin is None or spec.pipeline.endswith(".installed") else str(spec.origin)
    steps = resolve([Step("result", "run", model, options)], precision=precision, trust=trust, anyway=anyway)
    with tempfile.TemporaryDirectory(prefix="radcnn-away-") as temporary:
        folder = Path(temporary)
        (folder / "out").mkdir()
        placed = _written(volumes, steps[0], folder)
        job = Job(
            _CASE, placed, steps, keys_of(steps), {"result": f"result{steps[0].suffix}"}, str(folder / "out"),
            device=device, trust=trust,
        )  # fmt: skip
        answer = _asked(job, Cluster(address, certificates, send=True), progress, cancel)
        if answer.state != "done":
            raise RadcnnError(answer.reason)
        return _result(answer, folder / "out", spec, volumes[0])


def _written(volumes: Sequence[Volume], step: Resolved, folder: Path) -> dict[str, Placed]:
    placed = {}
    for number, (where, volume) in enumerate(zip(step.inputs.values(), volumes, strict=True)):
        path = folder / f"{number}.nii"
        write(replace(volume, metadata=replace(volume.metadata, source=None, provenance={})), path)
        about: dict[str, Any] = {name: getattr(volume.metadata, name) for name in _ABOUT}
        about |= {"name": volume.name, "acquisition": dict(volume.metadata.acquisition)}
        shown = volume.metadata.source
        placed[where.removeprefix("list:")] = Placed(
            str(path), shown="" if shown is None else str(shown.absolute()), about=about
        )
    return placed


def _asked(job: Job, cluster: Cluster, progress: Progress | None, cancel: CancelEvent | None) -> Answer:
    def tell(_case: str, done: int, total: int, message: str) -> None:
        if progress is not None:
            progress(done, total, message)

    if progress is not None:
        progress(0, 1, f"waiting for a worker of {cluster.address}")
    for _, answer in cluster.work(iter([job]), tell, cancel):
        return answer
    raise ResourceError(f"{cluster.address}: no answer came.")


def _result(answer: Answer, folder: Path, spec: ModelSpec, scan: Volume) -> Result:
    """Return what a worker wrote as the operation would have returned it here."""
    (done,) = answer.steps
    first, *others = (folder / name for name in done.files)
    made_by, warnings = read_beside(first), tuple(done.warnings)
    name = f"{scan.name} · {spec.name}"
    kind = TASKS[spec.task].kind.result
    if kind is Detections:
        return replace(read_detections(first), name=name, provenance=made_by, warnings=warnings)
    if kind is Classification:
        return replace(read_classification(first), name=name, provenance=made_by, warnings=warnings)
    maps = tuple(_image(path, scan, f"{name} · {path.name.split('.')[1]}", made_by) for path in others)
    if kind is LabelMap:
        (volume,) = read(first)
        array = np.asarray(volume.array).astype(np.min_scalar_type(int(volume.array.max(initial=0))))
        return LabelMap(array, scan.geometry, dict(spec.labels), name, made_by, warnings, scan.metadata, maps)
    return replace(_image(first, scan, name, made_by), warnings=warnings)


def _image(path: Path, scan: Volume, name: str, made_by: Mapping[str, Any]) -> Volume:
    (volume,) = read(path)
    geometry = scan.geometry if volume.shape == scan.shape else volume.geometry
    metadata = replace(
        scan.metadata, name=name, source=None, source_format="", provenance=made_by, is_label=False, padding_value=None
    )
    return Volume(np.asarray(volume.array), geometry, metadata)
