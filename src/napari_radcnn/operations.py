"""The operations: a volume, a model and its options in, a result in the same place in the patient out.

The viewer, the command line and Python call the same functions, so they give the same voxels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypedDict, TypeVar, Unpack

import numpy as np

from napari_radcnn import provenance
from napari_radcnn.errors import GeometryError, ModelError, RadcnnError, ResourceError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.devices import default_threads
from napari_radcnn.inference.monitor import CancelEvent, Monitor, Progress
from napari_radcnn.inference.pipelines import Outcome, Request, get_pipeline
from napari_radcnn.inference.plan import Plan, memory_warning, recall_seconds, remember_seconds
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import ModelSpec, Task, get_model, make_options
from napari_radcnn.models.options import describe
from napari_radcnn.preprocessing import resample
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.volume import Volume

_Kind = TypeVar("_Kind")
Result = LabelMap | Volume | Detections | Classification


def run(
    volume: Volume,
    model: str | ModelSpec,
    options: object = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
    threads: int | None = None,
    task: Task | None = None,
) -> Result:
    """Run a model on a scan.

    Parameters
    ----------
    volume : Volume
        The scan, gray, in any orientation and spacing.
    model : str or ModelSpec
        Which model; `napari_radcnn.models` lists them.
    options : object, optional
        An instance of the model's options, or a mapping of names to values; the defaults where left out.
    device, precision : str
        See `napari_radcnn.inference.settings.RunSettings`.
    progress : callable, optional
        Called as ``progress(done, total, message)`` in the thread that runs.
    cancel : object with ``is_set()``, optional
        Such as `threading.Event`; looked at between patches.
    threads : int, optional
        CPU threads. By default all; one less off the main thread, which then shows a viewer.
    task : str, optional
        What the model must be for.

    Returns
    -------
    LabelMap, Volume, Detections or Classification
        By the model's task; labels and restored images lie on the volume's own grid.

    Raises
    ------
    ModelError
        If the model is unknown, not installed, for another task, or finds nothing it can work on.
    OptionError
        If an option is unknown or out of range.
    ResourceError
        If the device is missing or memory does not suffice.
    CancelledError
        If `cancel` was set.
    """
    request = _request(volume, model, options, device, precision, threads, task)
    spec = request.spec
    pipeline = get_pipeline(spec)
    expected = plan(volume, spec, request.options, device=device, precision=precision)
    started, clock = provenance.now(), time.perf_counter()
    try:
        outcome = pipeline.run(request, Monitor(expected.patches, progress, cancel))
    except MemoryError as error:
        raise ResourceError(
            f"The computer has too little free memory to run '{spec.name}' on '{volume.name}': close other programs, "
            "or crop the scan."
        ) from error
    seconds = time.perf_counter() - clock
    remember_seconds(_rate_key(request), _amount(request, expected), seconds)
    warnings = (*expected.warnings, *outcome.warnings)
    manifest = _manifest(request, outcome, started, seconds, warnings)
    return _result(request, outcome, manifest, warnings)


class RunKeywords(TypedDict, total=False):
    """How a model is run: the keywords of `run` that every operation takes."""

    device: str
    precision: str
    progress: Progress | None
    cancel: CancelEvent | None
    threads: int | None


def segment(volume: Volume, model: str | ModelSpec, options: object = None, **how: Unpack[RunKeywords]) -> LabelMap:
    """Give every voxel a class; parameters and errors as in `run`.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> head = radcnn.read("head.nii.gz")[0]  # doctest: +SKIP
    >>> brain = radcnn.segment(head, "brain-extraction", device="cpu")  # doctest: +SKIP
    >>> round(brain.volume_ml(1))  # doctest: +SKIP
    1910
    """
    return _expect(run(volume, model, options, task="segmentation", **how), LabelMap)


def denoise(volume: Volume, model: str | ModelSpec, options: object = None, **how: Unpack[RunKeywords]) -> Volume:
    """Remove noise; parameters and errors as in `run`. The result is float32 in the scan's own units."""
    return _expect(run(volume, model, options, task="denoising", **how), Volume)


def super_resolve(volume: Volume, model: str | ModelSpec, options: object = None, **how: Unpack[RunKeywords]) -> Volume:
    """Make a finer grid; parameters and errors as in `run`."""
    return _expect(run(volume, model, options, task="super-resolution", **how), Volume)


def detect(volume: Volume, model: str | ModelSpec, options: object = None, **how: Unpack[RunKeywords]) -> Detections:
    """Find things; parameters and errors as in `run`."""
    return _expect(run(volume, model, options, task="detection", **how), Detections)


def classify(
    volume: Volume, model: str | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Classification:
    """Give the whole scan probabilities; parameters and errors as in `run`."""
    return _expect(run(volume, model, options, task="classification", **how), Classification)


def resample_to(
    image: Volume | LabelMap,
    reference: Volume | LabelMap | Geometry,
    *,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> Volume | LabelMap:
    """Put one scan on another's grid, so that their voxels correspond.

    Parameters
    ----------
    image : Volume or LabelMap
        What is moved: images linearly, smoothed first where the new grid is coarser; labels to the nearest voxel.
    reference : Volume, LabelMap or Geometry
        Whose grid it gets. Both must lie in one patient space: nothing is registered.
    progress, cancel : optional
        As in `run`.

    Returns
    -------
    Volume or LabelMap
        Of the kind of `image`. Outside its field of view a volume holds its padding value, else its minimum, and a
        label map 0. Where both are DICOM and of different frames of reference, a warning says so.

    Raises
    ------
    GeometryError
        If the two do not overlap at all.
    CancelledError
        If `cancel` was set.
    """
    grid = reference if isinstance(reference, Geometry) else reference.geometry
    low, high = image.geometry.corners.min(0), image.geometry.corners.max(0)
    if (grid.corners.max(0) < low).any() or (grid.corners.min(0) > high).any():
        raise GeometryError(
            f"'{image.name}' and the grid it is to be put on do not overlap in the patient: they may be of different "
            "patients or studies, or one of them lacks its position."
        )
    monitor = Monitor(grid.shape[0], progress, cancel)

    def each_slab(done: int, total: int) -> None:
        monitor.done = done
        monitor.say(f"slice {done} of {total}")

    is_image = isinstance(image, Volume) and not image.metadata.is_label
    fill = 0.0
    if isinstance(image, Volume) and is_image and not image.is_color:
        fill = (
            image.metadata.padding_value if image.metadata.padding_value is not None else float(np.nanmin(image.array))
        )
    array = resample(
        image.array,
        image.geometry,
        grid,
        interpolation="linear" if is_image else "nearest",
        fill=fill,
        each_slab=each_slab,
    )
    if isinstance(image, LabelMap):
        return replace(image, array=array, geometry=grid)
    warnings = image.warnings
    if isinstance(reference, Volume):
        frames = {scan.metadata.frame_of_reference_uid for scan in (image, reference)} - {""}
        if len(frames) > 1:
            warnings += (
                f"'{image.name}' and '{reference.name}' have different frames of reference: they may not lie in one "
                "patient space.",
            )
    return replace(image, array=array, geometry=grid, warnings=warnings)


def plan(
    volume: Volume,
    model: str | ModelSpec,
    options: object = None,
    *,
    device: str = "auto",
    precision: str = "auto",
) -> Plan:
    """Return what a run would cost and what speaks against it, without running it and without importing torch.

    Parameters and errors as in `run`.
    """
    request = _request(volume, model, options, device, precision, None, None)
    bare = get_pipeline(request.spec).plan(request)
    memory = memory_warning(bare.memory_bytes)
    warnings = [*_scan_warnings(request), *bare.warnings, *([] if memory is None else [memory])]
    return Plan(
        bare.model,
        bare.patches,
        bare.patch_shape,
        bare.memory_bytes,
        recall_seconds(_rate_key(request), _amount(request, bare)),
        device,
        tuple(warnings),
    )


# -- inside -----------------------------------------------------------------------------------------------------------


def _request(
    volume: Volume,
    model: str | ModelSpec,
    options: object,
    device: str,
    precision: str,
    threads: int | None,
    task: Task | None,
) -> Request:
    spec = get_model(model) if isinstance(model, str) else model
    if task is not None and spec.task != task:
        raise ModelError(f"The model '{spec.name}' is for {spec.task}, not for {task}.")
    if not spec.is_available:
        raise ModelError(f"The model is not installed: {spec.how_to_install}")
    if not isinstance(volume, Volume):
        raise RadcnnError(f"A Volume is expected, as `read` returns it in a list, got {type(volume).__name__}.")
    if volume.is_color:
        raise GeometryError(f"'{volume.name}' is a color image; '{spec.name}' takes gray scans.")
    settings = RunSettings(device, precision)
    count = default_threads() if threads is None else max(1, threads)
    return Request(spec, volume, make_options(spec.options, options), settings, count)


def _scan_warnings(request: Request) -> list[str]:
    """Return what of the scan speaks against running this model on it, whatever the model."""
    name, modality, expected = request.volume.name, request.volume.modality, request.spec.modalities
    found = []
    if modality and expected and modality not in expected:
        found.append(f"'{name}' is {modality}, but '{request.spec.name}' was made for {', '.join(expected)}.")
    if not request.volume.metadata.is_calibrated:
        found.append(f"'{name}' has no known voxel size: whatever is given in mm or ml counts voxels instead.")
    return found


def _rate_key(request: Request) -> str:
    values = [str(getattr(request.options, entry.name)) for entry in describe(request.spec.options)]
    # Not the number of threads: a dock plans in the viewer's thread and runs in another, which takes one less.
    return " ".join([request.spec.name, *values, request.settings.device, request.settings.precision])


def _amount(request: Request, expected: Plan) -> float:
    """Return how much work a plan holds: patches of a fixed size, else voxels of the scan."""
    return float(expected.patches if request.spec.patch is not None else request.volume.array.size)


def _manifest(
    request: Request, outcome: Outcome, started: str, seconds: float, warnings: tuple[str, ...]
) -> Mapping[str, Any]:
    spec = request.spec
    array = outcome.array
    result = {} if array is None else {"sha256": provenance.voxel_hash(array, request.volume.geometry)}
    return {
        "schema": "radcnn-manifest/1",
        "model": {
            "name": spec.name,
            "version": spec.version,
            "task": spec.task,
            "licence": spec.licence,
            "weights": [{"file": weights.path, "sha256": weights.sha256} for weights in spec.weights],
        },
        "options": {entry.name: getattr(request.options, entry.name) for entry in describe(spec.options)},
        "settings": {"device": request.settings.device, "precision": request.settings.precision},
        "device": outcome.device,
        "precision": outcome.precision,
        "input": provenance.identify(request.volume),
        "result": result,
        "facts": dict(outcome.facts),
        "warnings": list(warnings),
        "versions": provenance.versions(),
        "system": provenance.system(),
        "started": started,
        "seconds": round(seconds, 3),
    }


def _result(request: Request, outcome: Outcome, manifest: Mapping[str, Any], warnings: tuple[str, ...]) -> Result:
    spec, volume = request.spec, request.volume
    name = f"{volume.name} · {spec.name}"
    if spec.task == "segmentation" and outcome.array is not None:
        labels = LabelMap(outcome.array, volume.geometry, dict(spec.labels), name, manifest, warnings, volume.metadata)
        volumes = {label.name: round(labels.volume_ml(value), 3) for value, label in spec.labels.items()}
        return replace(labels, provenance={**manifest, "volumes_ml": volumes})
    if spec.task in ("denoising", "super-resolution") and outcome.array is not None:
        restored = volume.with_array(outcome.array, name=name, provenance=manifest)
        return replace(restored, warnings=(*volume.warnings, *warnings))
    if spec.task == "detection":
        best_first = tuple(sorted(outcome.detections, key=lambda found: -found.score))
        return Detections(best_first, name, manifest, warnings)
    if spec.task == "classification":
        return Classification(outcome.probabilities, name, manifest, warnings)
    raise ModelError(f"The recipe of '{spec.name}' returned no voxels.")


def _expect(result: object, kind: type[_Kind]) -> _Kind:
    if not isinstance(result, kind):
        raise ModelError(f"The model returned a {type(result).__name__} where a {kind.__name__} was expected.")
    return result
