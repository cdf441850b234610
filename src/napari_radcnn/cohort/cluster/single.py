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
from napari_radcnn.cohort.reading import told_of
from napari_radcnn.errors import RadcnnError, ResourceError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.request import Decided, Outcome, Request
from napari_radcnn.io import read, write
from napari_radcnn.io.reports import (
    read_classification,
    read_detections,
    read_embedding,
    read_landmarks,
    read_risk,
    read_value,
)
from napari_radcnn.manifest import read_beside
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import manifest_of_run, result_of
from napari_radcnn.operations.planning import make_request
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import (
    Classification,
    Detections,
    Embedding,
    LabelMap,
    Landmarks,
    Regression,
    Result,
    Survival,
)
from napari_radcnn.suitability import Suitability
from napari_radcnn.tasks import TASKS
from napari_radcnn.volume import Volume, VolumeMetadata

_CASE = "scan"


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
    request = make_request(volumes, spec, options, device, precision, None, None, anyway=anyway)
    model = spec.name if spec.origin is None or spec.pipeline.endswith(".installed") else str(spec.origin)
    steps = resolve([Step("result", "run", model, options)], precision=precision, trust=trust, anyway=anyway)
    with tempfile.TemporaryDirectory(prefix="radcnn-away-") as temporary:
        folder = Path(temporary)
        (folder / "out").mkdir()
        placed = _written(request.volumes, steps[0], folder)
        job = Job(
            _CASE, placed, steps, keys_of(steps), {"result": f"result{steps[0].suffix}"}, str(folder / "out"),
            device=device, trust=trust,
        )  # fmt: skip
        done, answer = _asked(job, Cluster(address, certificates, send=True), request, progress, cancel)
        if answer.state != "done":
            raise RadcnnError(_with_names(answer.reason, request))
        return _result(answer, Path(done.staging), request)


def _written(volumes: Sequence[Volume], step: Resolved, folder: Path) -> dict[str, Placed]:
    placed = {}
    spaces = [volume.metadata.frame_of_reference_uid for volume in volumes]
    for number, (where, volume) in enumerate(zip(step.inputs.values(), volumes, strict=True)):
        path = folder / f"{number}.nii"
        told = told_of(volume)
        bare = VolumeMetadata(modality=volume.modality, is_label=volume.metadata.is_label)
        write(replace(volume, metadata=bare, warnings=()), path)
        # which of them lie in one space is told, and not what it is called
        space = f"space {spaces.index(spaces[number])}" if spaces[number] else ""
        about = told | {"name": _alias(number), "frame_of_reference_uid": space}
        placed[where.removeprefix("list:")] = Placed(str(path), shown=path.name, about=about)
    return placed


def _asked(
    job: Job, cluster: Cluster, request: Request, progress: Progress | None, cancel: CancelEvent | None
) -> tuple[Job, Answer]:
    last = (0, 1)

    def tell(_case: str, done: int, total: int, message: str) -> None:
        nonlocal last
        last = (done, total)
        if progress is not None:
            progress(done, total, _with_names(message, request))

    def say(text: str) -> None:
        if progress is not None:
            progress(*last, text)

    cluster.tell = say
    say(f"waiting for a worker of {cluster.address}")
    for done in cluster.work(iter([job]), tell, cancel):
        return done
    raise ResourceError(f"{cluster.address}: the cluster returned no result; run it again.")


def _result(answer: Answer, folder: Path, request: Request) -> Result:
    """Return what a worker wrote as the operation would have returned it here."""
    (done,) = answer.steps
    first, *others = (folder / name for name in done.files)
    away: dict[str, Any] = _with_names(read_beside(first), request)
    kinds = away["result"].get("maps", {})
    maps = {kind: _array(path) for kind, path in zip(kinds, others, strict=True)}
    outcome = Outcome(
        away["device"], away["precision"], maps=maps, facts=away["facts"], warnings=tuple(away["warnings"])
    )
    kind = TASKS[request.spec.task].kind.result
    if kind is Detections:
        outcome = replace(outcome, detections=read_detections(first).boxes)
    elif kind is Classification:
        read_again = read_classification(first)
        decided = Decided(read_again.kind, read_again.thresholds, read_again.operating_points)
        outcome = replace(outcome, probabilities=read_again.probabilities, answer=decided)
    elif kind is Embedding:
        outcome = replace(outcome, answer=read_embedding(first).vector)
    elif kind is Landmarks:
        outcome = replace(outcome, answer=read_landmarks(first).points)
    elif kind is Regression:
        outcome = replace(outcome, answer=read_value(first))
    elif kind is Survival:
        outcome = replace(outcome, answer=read_risk(first))
    else:
        array = _array(first)
        grid = away["result"].get("affine")
        if kind is LabelMap:
            array = array.astype(np.min_scalar_type(int(array.max(initial=0))))
        geometry = None if grid is None else Geometry(array.shape, np.array(grid))
        outcome = replace(outcome, array=array, geometry=geometry)
    here = manifest_of_run(
        request, request.volumes, outcome, away["started"], away["seconds"], outcome.warnings, Suitability()
    )
    # The worker tells how it was computed, and this computer of what: the names of scan and model stayed here.
    known: dict[str, Any] = {key: value for key, value in here.items() if key in ("model", "input", "inputs")}
    return result_of(request, outcome, {**away, **known}, outcome.warnings)


def _array(path: Path) -> Any:
    (volume,) = read(path)
    return np.asarray(volume.array)


def _with_names(plain: Any, request: Request) -> Any:
    """Return JSON types in which scans are called as they are here."""
    if isinstance(plain, Mapping):
        return {key: _with_names(value, request) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_with_names(value, request) for value in plain]
    if isinstance(plain, str):
        for number, volume in enumerate(request.volumes):
            plain = plain.replace(_alias(number), volume.name)
    return plain


def _alias(number: int) -> str:
    """Return what a worker calls a scan, whose name stays here."""
    return f"radcnn-scan-{number:03}"
