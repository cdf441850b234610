"""The operations: a volume, a model and its options in, a result in the same place in the patient out.

The viewer, the command line and Python call the same functions, so they give the same voxels.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import numpy as np
import numpy.typing as npt

from napari_radcnn import provenance
from napari_radcnn.errors import GeometryError, ModelError, RadcnnError, ResourceError, WriteError
from napari_radcnn.files import atomic_path
from napari_radcnn.geometry import Box
from napari_radcnn.inference.align import Inputs, fill_slots, on_one_grid, resample_to, slot_warnings
from napari_radcnn.inference.cost.costs import is_first_run, is_known, learn_from_run
from napari_radcnn.inference.cost.memory import PeakMemory
from napari_radcnn.inference.devices import default_threads
from napari_radcnn.inference.plan import Plan, memory_warning, recall_seconds, remember_seconds
from napari_radcnn.inference.request import Outcome, Request, get_pipeline
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.specs import check_runs_at_once
from napari_radcnn.models import ModelSpec, Task, find_model, make_options
from napari_radcnn.progress import CancelEvent, Monitor, Progress
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.spec.options import describe
from napari_radcnn.volume import Volume, VolumeMetadata

__all__ = [
    "can_stream",
    "classify",
    "denoise",
    "detect",
    "plan",
    "resample_to",
    "run",
    "segment",
    "segment_to",
    "super_resolve",
]

_Kind = TypeVar("_Kind")
Result = LabelMap | Volume | Detections | Classification


def run(
    volume: Inputs,
    model: str | Path | ModelSpec,
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
    volume : Volume, or sequence or mapping of Volume
        The scan, gray, in any orientation and spacing. For a model of several inputs (``spec.inputs``) one for each,
        in order or by name; they are put on the grid of the first, which the result has as well.
    model : str, Path or ModelSpec
        Which model: `napari_radcnn.models` lists those there are; the path of a foreign one is opened with
        `napari_radcnn.open_model`.
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
        By the model's task; labels and denoised images lie on the volume's own grid, super-resolved ones on a finer.

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
    return _execute(_request(volume, model, options, device, precision, threads, task), progress, cancel)


def _execute(request: Request, progress: Progress | None, cancel: CancelEvent | None) -> Result:
    """Run a request; where it has a sink, the labels went there and the result only describes them."""
    spec = request.spec
    pipeline = get_pipeline(spec)
    expected = _plan(request)
    _refuse_too_large(request, expected)
    started, clock = provenance.now(), time.perf_counter()
    inputs = request.volumes
    _, *others = on_one_grid(inputs, progress=progress, cancel=cancel)
    request = replace(request, others=tuple(others))
    # A first run compares backends, and takes more than those that follow: only they are measured.
    measures = is_first_run() and expected.network_bytes > 0 and is_known(request, expected.patch_shape)
    try:
        with PeakMemory() as memory:
            outcome = pipeline.run(request, Monitor(expected.patches, progress, cancel))
    except MemoryError as error:
        raise ResourceError(
            f"The computer has too little free memory to run '{spec.name}' on '{request.volume.name}': close other "
            "programs, or crop the scan."
        ) from error
    seconds = time.perf_counter() - clock
    remember_seconds(_rate_key(request), _amount(request, expected), seconds - outcome.opening_seconds)
    if measures:
        scan_bytes = expected.memory_bytes - expected.network_bytes
        learn_from_run(request, expected.patch_shape, memory.bytes - scan_bytes)
    warnings = (*expected.warnings, *outcome.warnings)
    manifest = _manifest(request, inputs, outcome, started, seconds, warnings)
    return _result(request, outcome, manifest, warnings)


class RunKeywords(TypedDict, total=False):
    """How a model is run: the keywords of `run` that every operation takes."""

    device: str
    precision: str
    progress: Progress | None
    cancel: CancelEvent | None
    threads: int | None


def segment(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> LabelMap:
    """Give every voxel a class; parameters and errors as in `run`.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import head
    >>> brain = radcnn.segment(head(), "brain-extraction", {"uncertainty": True}, device="cpu")
    >>> 1400 < brain.volume_ml(1) < 1700
    True

    How sure it is, since its options say ``uncertainty``: images on the same grid.

    >>> [image.name for image in brain.maps]
    ['head phantom · brain-extraction · probability', 'head phantom · brain-extraction · entropy']
    """
    return _expect(run(volume, model, options, task="segmentation", **how), LabelMap)


def segment_to(
    volume: Inputs,
    model: str | Path | ModelSpec,
    target: str | Path,
    options: object = None,
    *,
    overwrite: bool = False,
    each_block: Callable[[Box, npt.NDArray[Any]], None] | None = None,
    **how: Unpack[RunKeywords],
) -> Volume:
    """Give every voxel a class, and write the labels as they are found: for scans that do not fit into memory.

    A run that was killed leaves its part hidden beside the target; the same call goes on where it was.

    Parameters
    ----------
    volume, model, options, how
        As in `run`. An OME-Zarr scan is read block by block.
    target : path
        ``*.ome.zarr`` or ``*.zarr``; its manifest is written beside it.
    overwrite : bool
        Whether `target` may exist.
    each_block : callable, optional
        Called as ``each_block(box, labels)`` when labels have been written, in the thread that runs: `box` is three
        slices along ``(k, j, i)`` of the scan's grid, `labels` an array of its shape.

    Returns
    -------
    Volume
        The labels that were written, not loaded, with the run's manifest and warnings.

    Raises
    ------
    ModelError
        As `run`; or if the model does not give its labels block by block.
    WriteError
        If the target is in the way, is no Zarr store, or the disk is full.
    """
    from napari_radcnn.io import read
    from napari_radcnn.io.manifest import manifest_path
    from napari_radcnn.io.omezarr.growing import GrowingLabels

    target = Path(target)
    progress, cancel = how.get("progress"), how.get("cancel")
    request = _request(
        volume,
        model,
        options,
        how.get("device", "auto"),
        how.get("precision", "auto"),
        how.get("threads"),
        "segmentation",
    )
    spec = request.spec
    if not can_stream(spec):
        raise ModelError(f"'{spec.name}' needs the whole scan in memory: run it without streaming.")
    if target.suffix != ".zarr":
        raise WriteError(f"{target}: labels are streamed to OME-Zarr only; name it *.ome.zarr.")
    request = replace(request, streams=True)
    _refuse_too_large(request, _plan(request))
    with atomic_path(manifest_path(target), overwrite) as temporary:
        grown = GrowingLabels(
            target,
            request.volume.geometry,
            spec.labels,
            fingerprint=_fingerprint(request),
            overwrite=overwrite,
            each_block=each_block,
        )
        try:
            found = _execute(replace(request, sink=grown), progress, cancel)
            counts = grown.finish()
        except RadcnnError:
            grown.discard()
            raise
        labels = _expect(found, LabelMap)
        voxel_ml = labels.geometry.voxel_volume / 1000.0
        volumes = {label.name: round(counts.get(value, 0) * voxel_ml, 3) for value, label in spec.labels.items()}
        manifest = {**labels.provenance, "volumes_ml": volumes, "output": target.name}
        temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    (written,) = read(target)
    metadata = replace(written.metadata, name=labels.name, provenance=manifest)
    return replace(written, metadata=metadata, warnings=labels.warnings)


def can_stream(spec: ModelSpec) -> bool:
    """Return whether `segment_to` takes a model: whether its recipe gives labels block by block."""
    return bool(getattr(get_pipeline(spec), "STREAMS", False))


def _fingerprint(request: Request) -> str:
    """Return what must be the same for a run to go on with what another left."""
    manifest = _manifest(request, request.volumes, Outcome("", ""), "", 0.0, ())
    kept = {key: manifest[key] for key in ("model", "options", "settings", "input", "versions")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def denoise(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Volume:
    """Remove noise; parameters and errors as in `run`. The result is float32 in the scan's own units."""
    return _expect(run(volume, model, options, task="denoising", **how), Volume)


def super_resolve(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Volume:
    """Make thin slices out of thick ones; parameters and errors as in `run`.

    The result is float32 in the scan's own units, on a grid of its own: the slabs of the thick slices, divided evenly.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import disks
    >>> scan, _ = disks()
    >>> scan.geometry.spacing
    (2.0, 0.9, 0.8)
    >>> radcnn.super_resolve(scan, "ct-super-resolution", {"factor": 2}).geometry.spacing
    (1.0, 0.9, 0.8)
    """
    return _expect(run(volume, model, options, task="super-resolution", **how), Volume)


def detect(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Detections:
    """Find things; parameters and errors as in `run`."""
    return _expect(run(volume, model, options, task="detection", **how), Detections)


def classify(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Classification:
    """Give the whole scan probabilities; parameters and errors as in `run`."""
    return _expect(run(volume, model, options, task="classification", **how), Classification)


def plan(
    volume: Inputs,
    model: str | Path | ModelSpec,
    options: object = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    streamed: bool = False,
) -> Plan:
    """Return what a run would cost and what speaks against it, without running it and without importing torch.

    Parameters and errors as in `run`; `streamed` says that it will be `segment_to` that runs it.
    """
    return _plan(replace(_request(volume, model, options, device, precision, None, None), streams=streamed))


# -- inside -----------------------------------------------------------------------------------------------------------


def _plan(request: Request) -> Plan:
    bare = get_pipeline(request.spec).plan(request)
    bare = replace(bare, memory_bytes=bare.memory_bytes + sum(_slab_bytes(volume) for volume in request.volumes))
    memory = memory_warning(bare.memory_bytes)
    warnings = [*_scan_warnings(request), *bare.warnings, *([] if memory is None else [memory])]
    seconds = recall_seconds(_rate_key(request), _amount(request, bare)) if bare.seconds is None else bare.seconds
    return replace(bare, seconds=seconds, device=request.settings.device, warnings=tuple(warnings))


def _refuse_too_large(request: Request, expected: Plan) -> None:
    """Raise where memory does not suffice: a process that is killed takes the viewer and the user's work with it."""
    too_much = memory_warning(expected.memory_bytes)
    if too_much is not None:
        raise ResourceError(f"'{request.volume.name}': {too_much[0].lower()}{too_much[1:]}")


def _slab_bytes(volume: Volume) -> int:
    """Return what reading a scan that stays in its store takes: a layer of its blocks, for the hash of its voxels."""
    if volume.source is None or volume.is_loaded:
        return 0
    return int(volume.dtype.itemsize * min(volume.source.chunks[0], volume.shape[0]) * np.prod(volume.shape[1:]))


def _request(
    inputs: Inputs,
    model: str | Path | ModelSpec,
    options: object,
    device: str,
    precision: str,
    threads: int | None,
    task: Task | None,
) -> Request:
    spec = model if isinstance(model, ModelSpec) else find_model(model)
    check_runs_at_once(spec)
    if task is not None and spec.task != task:
        raise ModelError(f"The model '{spec.name}' is for {spec.task}, not for {task}.")
    if not spec.is_available:
        raise ModelError(f"The model is not installed: {spec.how_to_install}")
    if not isinstance(inputs, Volume | Sequence | Mapping):
        raise RadcnnError(f"A Volume is expected, as `read` returns it in a list, got {type(inputs).__name__}.")
    volumes = fill_slots(spec, inputs)
    for volume in volumes:
        if not isinstance(volume, Volume):
            raise RadcnnError(f"A Volume is expected, as `read` returns it in a list, got {type(volume).__name__}.")
        if volume.is_color:
            raise GeometryError(f"'{volume.name}' is a color image; '{spec.name}' takes gray scans.")
    settings = RunSettings(device, precision)
    count = default_threads() if threads is None else max(1, threads)
    return Request(spec, volumes[0], make_options(spec.options, options), settings, count, volumes[1:])


def _scan_warnings(request: Request) -> list[str]:
    """Return what of the scan speaks against running this model on it, whatever the model."""
    name, modality, expected = request.volume.name, request.volume.modality, request.spec.modalities
    found = []
    if modality and expected and modality not in expected and not request.spec.inputs:
        found.append(f"'{name}' is {modality}, but '{request.spec.name}' was made for {', '.join(expected)}.")
    found += slot_warnings(request.spec, request.volumes)
    if not request.volume.metadata.is_calibrated:
        found.append(f"'{name}' has no known voxel size: whatever is given in mm or ml counts voxels instead.")
    return found


def _rate_key(request: Request) -> str:
    values = [str(getattr(request.options, entry.name)) for entry in describe(request.spec.options)]
    # Not the number of threads: a dock plans in the viewer's thread and runs in another, which takes one less.
    return " ".join(
        [request.spec.name, request.spec.version, *values, request.settings.device, request.settings.precision]
    )


def _amount(request: Request, expected: Plan) -> float:
    """Return how much work a plan holds: patches of a fixed size, else voxels of the scan."""
    return float(expected.patches if request.spec.patch is not None else int(np.prod(request.volume.shape)))


def _manifest(
    request: Request,
    inputs: tuple[Volume, ...],
    outcome: Outcome,
    started: str,
    seconds: float,
    warnings: tuple[str, ...],
) -> Mapping[str, Any]:
    spec = request.spec
    slots = {slot.name: provenance.identify(volume) for slot, volume in zip(spec.inputs, inputs, strict=False)}
    array = outcome.array
    grid = request.volume.geometry if outcome.geometry is None else outcome.geometry
    result: dict[str, Any] = {} if array is None else {"sha256": provenance.voxel_hash(array, grid)}
    if outcome.maps:
        result["maps"] = {kind: provenance.voxel_hash(values, grid) for kind, values in outcome.maps.items()}
    if outcome.geometry is not None:
        result |= {"shape": list(grid.shape), "spacing_mm": [round(s, 6) for s in grid.spacing]}
        result["affine"] = grid.affine.tolist()
    return {
        "schema": "radcnn-manifest/1",
        "model": {
            "name": spec.name,
            "version": spec.version,
            "task": spec.task,
            "licence": spec.licence,
            "weights": [
                *({"file": weights.path, "sha256": weights.sha256} for weights in spec.weights),
                *({"file": file.path.name, "sha256": file.sha256} for file in spec.files),
            ],
            **({} if spec.origin is None else {"origin": str(spec.origin.absolute())}),
        },
        "options": {entry.name: getattr(request.options, entry.name) for entry in describe(spec.options)},
        "settings": {"device": request.settings.device, "precision": request.settings.precision},
        "device": outcome.device,
        "precision": outcome.precision,
        "threads": request.threads,
        "input": next(iter(slots.values())) if slots else provenance.identify(request.volume),
        **({"inputs": slots} if slots else {}),
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
    if request.sink is not None:  # the labels are on the disk; here they take no memory
        absent = np.broadcast_to(np.uint8(0), volume.geometry.shape)
        return LabelMap(absent, volume.geometry, dict(spec.labels), name, manifest, warnings, volume.metadata)
    if spec.task == "segmentation" and outcome.array is not None:
        labels = LabelMap(outcome.array, volume.geometry, dict(spec.labels), name, manifest, warnings, volume.metadata)
        labels = replace(labels, maps=_maps(volume, outcome, name, manifest))
        volumes = {label.name: round(labels.volume_ml(value), 3) for value, label in spec.labels.items()}
        return replace(labels, provenance={**manifest, "volumes_ml": volumes})
    if spec.task in ("denoising", "super-resolution") and outcome.array is not None:
        geometry = volume.geometry if outcome.geometry is None else outcome.geometry
        told = replace(volume, warnings=(*volume.warnings, *warnings))
        return told.with_array(outcome.array, geometry, name=name, provenance=manifest)
    if spec.task == "detection":
        best_first = tuple(sorted(outcome.detections, key=lambda found: -found.score))
        return Detections(best_first, name, manifest, warnings, _maps(volume, outcome, name, manifest))
    if spec.task == "classification":
        maps = _maps(volume, outcome, name, manifest)
        return Classification(outcome.probabilities, name, manifest, warnings, maps)
    raise ModelError(f"The recipe of '{spec.name}' returned no voxels.")


def _maps(volume: Volume, outcome: Outcome, name: str, manifest: Mapping[str, Any]) -> tuple[Volume, ...]:
    """Return the further images of a result: how sure labels are, or the evidence; on the scan's grid."""
    plain = VolumeMetadata(
        frame_of_reference_uid=volume.metadata.frame_of_reference_uid, is_calibrated=volume.metadata.is_calibrated
    )
    return tuple(
        Volume(array, volume.geometry, replace(plain, name=f"{name} · {kind}", provenance={**manifest, "map": kind}))
        for kind, array in outcome.maps.items()
    )


def _expect(result: object, kind: type[_Kind]) -> _Kind:
    if not isinstance(result, kind):
        raise ModelError(f"The model returned a {type(result).__name__} where a {kind.__name__} was expected.")
    return result
