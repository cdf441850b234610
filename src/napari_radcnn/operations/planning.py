"""What a run would cost and what speaks against it, before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_radcnn.errors import GeometryError, ModelError, RadcnnError, ResourceError, UnsuitableError
from napari_radcnn.inference.align import Inputs, fill_slots, slot_warnings
from napari_radcnn.inference.cost.first import first_seconds
from napari_radcnn.inference.devices import default_threads
from napari_radcnn.inference.plan import Plan, memory_warning, recall_seconds
from napari_radcnn.inference.request import Request, get_pipeline
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines.specs import check_runs_at_once
from napari_radcnn.models import ModelSpec, find_model, make_options, models
from napari_radcnn.spec.options import describe
from napari_radcnn.suitability import STATES, Suitability, judge, what_is
from napari_radcnn.tasks import TASKS
from napari_radcnn.volume import Volume


def plan(
    volume: Inputs,
    model: str | Path | ModelSpec,
    options: object = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    streamed: bool = False,
    elsewhere: str = "",
) -> Plan:
    """Return what a run would cost and what speaks against it, without running it and without importing torch.

    Parameters and errors as in `napari_radcnn.operations.run`; `streamed` says that it will be `segment_to` that runs
    it, `elsewhere` whose workers will, if not this computer: then nothing is said of time and memory.
    """
    request = make_request(volume, model, options, device, precision, None, None)
    return plan_of(replace(request, streams=streamed), elsewhere)


def make_request(
    inputs: Inputs,
    model: str | Path | ModelSpec,
    options: object,
    device: str,
    precision: str,
    threads: int | None,
    task: str | None,
    *,
    anyway: bool = False,
) -> Request:
    """Return the run that the arguments of an operation ask for, checked."""
    spec = model if isinstance(model, ModelSpec) else find_model(model)
    check_runs_at_once(spec)
    if spec.task not in TASKS or not TASKS[spec.task].build:
        raise ModelError(f"The model '{spec.name}' is for {spec.task}, which is not a task that can be run.")
    if task is not None and spec.task != task:
        raise ModelError(f"The model '{spec.name}' is for {spec.task}, not for {task}.")
    if not spec.is_available:
        raise ModelError(f"The model is not installed: {spec.how_to_install}")
    if not isinstance(inputs, Volume | Sequence | Mapping):
        raise RadcnnError(
            f"A Volume is expected, such as one in the list that `read` returns, got {type(inputs).__name__}."
        )
    volumes = fill_slots(spec, inputs)
    for volume in volumes:
        if not isinstance(volume, Volume):
            raise RadcnnError(
                f"A Volume is expected, such as one in the list that `read` returns, got {type(volume).__name__}."
            )
        if volume.is_color:
            raise GeometryError(f"'{volume.name}' is a color image, but '{spec.name}' needs a grayscale scan.")
    settings = RunSettings(device, precision)
    count = default_threads() if threads is None else max(1, threads)
    return Request(spec, volumes[0], make_options(spec.options, options), settings, count, volumes[1:], anyway=anyway)


def plan_of(request: Request, elsewhere: str = "") -> Plan:
    """Return the plan of a run, with what its inputs take and what speaks against running the model on them."""
    pipeline = get_pipeline(request.spec)
    bare = pipeline.plan(request)
    bare = replace(bare, memory_bytes=bare.memory_bytes + sum(_slab_bytes(volume) for volume in request.volumes))
    memory = None if elsewhere else memory_warning(bare.memory_bytes)
    suits = judge(request.spec, request.volumes)
    others = [*_scan_warnings(request), *bare.warnings, *([] if memory is None else [memory])]
    warnings = dict.fromkeys([*suits.reasons, *others])
    amount, reference = amount_of_work(request, bare), bare.reference_seconds
    seconds = recall_seconds(rate_key(request), amount) if bare.seconds is None else bare.seconds
    is_estimated = seconds is None and request.settings.device in ("auto", "cpu")
    if reference is None:
        reference = getattr(pipeline, "REFERENCE_SECONDS", None)
        reference = reference.get(request.spec.name) if isinstance(reference, Mapping) else reference
    if elsewhere:
        seconds, is_estimated = None, False
    return replace(
        bare,
        seconds=seconds,
        elsewhere=elsewhere,
        device=request.settings.device,
        warnings=tuple(warnings),
        suitability=suits,
        first_seconds=first_seconds(reference, amount, request.threads) if is_estimated and reference else None,
    )


def models_for(volume: Volume) -> list[tuple[ModelSpec, Suitability]]:
    """Return the models that can be run on one scan and how each suits it: those that fit first, then by name.

    Raises
    ------
    ReadError
        If the scan lies in a store and is damaged.
    """
    single = [spec for spec in models() if len(spec.inputs) < 2 and TASKS[spec.task].build]
    scan = [what_is(volume)]
    judged = [(spec, judge(spec, [volume], scan)) for spec in single]
    return sorted(judged, key=lambda pair: (STATES.index(pair[1].state), pair[0].name))


def refuse_unsuitable(request: Request, expected: Plan) -> None:
    """Raise where the model was not made for such a scan, unless it is to run anyway."""
    suits = expected.suitability
    if suits.state == "refused" and not request.anyway:
        raise UnsuitableError(
            f"'{request.spec.name}' does not suit '{request.volume.name}': {' '.join(suits.reasons)} Nothing was "
            "computed; choose another scan or model, or run it anyway (anyway=True, --anyway).",
            suits.reasons,
        )


def refuse_too_large(request: Request, expected: Plan) -> None:
    """Raise where memory does not suffice: a process that is killed takes the viewer and the user's work with it."""
    too_much = memory_warning(expected.memory_bytes)
    if too_much is not None:
        raise ResourceError(f"'{request.volume.name}': {too_much[0].lower()}{too_much[1:]}")


def rate_key(request: Request) -> str:
    """Return under what the speed of such a run is remembered."""
    values = [str(getattr(request.options, entry.name)) for entry in describe(request.spec.options)]
    # Not the number of threads: a dock plans in the viewer's thread and runs in another, which takes one less.
    return " ".join(
        [request.spec.name, request.spec.version, *values, request.settings.device, request.settings.precision]
    )


def amount_of_work(request: Request, expected: Plan) -> float:
    """Return how much work a plan holds: patches of a fixed size, else voxels of the scan."""
    return float(expected.patches if request.spec.patch is not None else int(np.prod(request.volume.shape)))


def _slab_bytes(volume: Volume) -> int:
    """Return what reading a scan that stays in its store takes: a layer of its blocks, for the hash of its voxels."""
    if volume.source is None or volume.is_loaded:
        return 0
    return int(volume.dtype.itemsize * min(volume.source.chunks[0], volume.shape[0]) * np.prod(volume.shape[1:]))


def _scan_warnings(request: Request) -> list[str]:
    """Return what is to be told of a scan, whatever the model."""
    found = [] if request.spec.has_views else slot_warnings(request.volumes)
    if not request.volume.metadata.is_calibrated:
        found.append(
            f"The voxel size of '{request.volume.name}' is unknown: values in mm or ml are counted in voxels instead."
        )
    return found
