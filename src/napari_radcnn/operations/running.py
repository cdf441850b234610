"""A model run on a scan: a volume, a model and its options in, a result in the same place in the patient out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Never, TypedDict, TypeVar

from napari_radcnn import provenance
from napari_radcnn.errors import ModelError, OptionError, ResourceError
from napari_radcnn.inference.align import Inputs, on_one_grid
from napari_radcnn.inference.cost.costs import is_first_run, is_known, learn_from_run
from napari_radcnn.inference.cost.memory import PeakMemory
from napari_radcnn.inference.gaps import fill_gaps, sink_with_gaps, with_gaps
from napari_radcnn.inference.plan import remember_seconds
from napari_radcnn.inference.request import Request, get_pipeline
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import manifest_of_run, result_of
from napari_radcnn.operations.planning import (
    amount_of_work,
    make_request,
    plan_of,
    rate_key,
    refuse_too_large,
    refuse_unsuitable,
)
from napari_radcnn.progress import CancelEvent, Monitor, Progress
from napari_radcnn.results import Result
from napari_radcnn.tasks import TaskName

_Kind = TypeVar("_Kind")


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
    task: TaskName | None = None,
    anyway: bool = False,
    **unknown: Never,
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
    anyway : bool
        Whether it runs on a scan that it was not made for; the result is then marked as such.
    **unknown
        Refused: the model's options go into `options`.

    Returns
    -------
    LabelMap, Volume, Detections, Classification, Regression or Landmarks
        By the model's task; labels and denoised images lie on the volume's own grid, super-resolved ones on a finer.

    Raises
    ------
    UnsuitableError
        If the model was not made for such a scan, and `anyway` is not set.
    ModelError
        If the model is unknown, not installed, for another task, or finds nothing it can work on.
    OptionError
        If an option is unknown or out of range, or a keyword is none of these.
    ResourceError
        If the device is missing or memory does not suffice.
    CancelledError
        If `cancel` was set.
    """
    refuse_keywords(unknown)
    request = make_request(volume, model, options, device, precision, threads, task, anyway=anyway)
    return execute(request, progress, cancel)


def execute(request: Request, progress: Progress | None, cancel: CancelEvent | None) -> Result:
    """Run a request; where it has a sink, the labels went there and the result only describes them."""
    spec = request.spec
    pipeline = get_pipeline(spec)
    expected = plan_of(request)
    refuse_unsuitable(request, expected)
    refuse_too_large(request, expected)
    started, clock = provenance.now(), time.perf_counter()
    inputs = request.volumes
    filled = fill_gaps(spec, inputs, Monitor(1, None, cancel))
    volumes = filled.volumes if spec.has_views else on_one_grid(filled.volumes, progress=progress, cancel=cancel)
    first, *others = volumes
    request = replace(
        request, volume=first, others=tuple(others), sink=sink_with_gaps(request, filled), original=inputs[0]
    )
    # A first run compares backends, and takes more than those that follow: only they are measured. Where the layers
    # say nothing, as in a program from elsewhere, the first is better than none.
    is_told = is_known(request, expected.patch_shape) or any(file.is_program for file in spec.files)
    measures = is_first_run() and expected.network_bytes > 0 and is_told
    try:
        with PeakMemory() as memory:
            outcome = pipeline.run(request, Monitor(expected.patches, progress, cancel))
    except MemoryError as error:
        raise ResourceError(
            f"There is not enough free memory to run '{spec.name}' on '{request.volume.name}': close other programs, "
            "or crop the scan."
        ) from error
    outcome = with_gaps(outcome, request, filled)
    seconds = time.perf_counter() - clock
    remember_seconds(rate_key(request), amount_of_work(request, expected), seconds - outcome.opening_seconds)
    if measures:
        scan_bytes = expected.memory_bytes - expected.network_bytes
        learn_from_run(request, expected.patch_shape, memory.bytes - scan_bytes)
    suits = expected.suitability.with_doubts(outcome.doubts)
    warnings = (*expected.warnings, *filled.warnings, *outcome.doubts, *outcome.warnings)
    made_by = manifest_of_run(request, inputs, outcome, started, seconds, warnings, suits)
    return result_of(request, outcome, made_by, warnings)


class RunKeywords(TypedDict, total=False):
    """How a model is run: the keywords of `run` that every operation takes."""

    device: str
    precision: str
    progress: Progress | None
    cancel: CancelEvent | None
    threads: int | None
    anyway: bool


def refuse_keywords(unknown: Mapping[str, object]) -> None:
    """Refuse keywords that no operation takes, such as options of a model.

    Raises
    ------
    OptionError
        Names them, and says where options go.
    """
    if unknown:
        named = ", ".join(f"'{name}'" for name in unknown)
        example = ", ".join(f"{name!r}: {value!r}" for name, value in unknown.items())
        raise OptionError(
            f"There is no keyword {named}: expected {', '.join(RunKeywords.__annotations__)}. Options of the model are "
            f"passed together, as options={{{example}}}."
        )


def expect(result: object, kind: type[_Kind]) -> _Kind:
    """Return a result if it is of a class.

    Raises
    ------
    ModelError
        If it is not.
    """
    if not isinstance(result, kind):
        raise ModelError(f"The model returned a {type(result).__name__} where a {kind.__name__} was expected.")
    return result
