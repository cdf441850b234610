"""One case through a chain: its scans are read, every step is run, its results are written to a folder of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_radcnn.cohort.chain.kinds import OPERATIONS, VERBS
from napari_radcnn.cohort.chain.resolved import Resolved
from napari_radcnn.cohort.jobs import FULL, Answer, Done, Job, Placed
from napari_radcnn.cohort.reading import hash_of, read_scan, with_told
from napari_radcnn.cohort.steps.numbers import numbers_of_result
from napari_radcnn.errors import ModelError, RadcnnError, ResourceError
from napari_radcnn.files import file_hash
from napari_radcnn.manifest import manifest_path
from napari_radcnn.models import find_model
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import Result
from napari_radcnn.tasks import load
from napari_radcnn.volume import Volume

#: Called with the bytes that a step takes; gives them for the length of a block.
Ask = Callable[[int], AbstractContextManager[None]]


@contextmanager
def granted(n_bytes: int) -> Iterator[None]:  # noqa: ARG001  as of `Ask`
    """Give memory without asking anybody."""
    yield


@dataclass
class Context:
    """What a step works with.

    Attributes
    ----------
    job : Job
        The case.
    folder : Path
        Where its results go.
    ask, progress, cancel
        How it asks for memory, tells where it is, and is stopped.
    scans : dict
        What was read, by where it came from.
    """

    job: Job
    folder: Path
    ask: Ask
    progress: Progress | None
    cancel: CancelEvent | None
    scans: dict[str, Volume] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    def path(self, where: str) -> Path:
        """Return the file of an input: of the list, or of an earlier step."""
        if where in self.files:
            return self.files[where]
        return Path(self.job.inputs[where.removeprefix("list:")].path)

    def scan(self, where: str) -> Volume:
        """Return the scan of an input, read once."""
        if where not in self.scans:
            placed = self.job.inputs.get(where.removeprefix("list:"))
            if placed is None:
                self.scans[where] = read_scan(self.path(where), "", self.progress, self.cancel)
            else:
                found = read_scan(Path(placed.path), placed.which, self.progress, self.cancel)
                self.scans[where] = with_told(found, placed.about)
        return self.scans[where]

    def target(self, step: Resolved) -> Path:
        """Return the file that a step writes."""
        return self.folder / self.job.names[step.name]


def run_case(
    job: Job, ask: Ask = granted, progress: Progress | None = None, cancel: CancelEvent | None = None
) -> Answer:
    """Run a chain on a case.

    Parameters
    ----------
    job : Job
        The case, its files, the steps, and where the results go.
    ask : callable
        As of `Ask`.
    progress, cancel
        As everywhere.

    Returns
    -------
    Answer
        What was done; of a case that failed, the steps before.

    Raises
    ------
    CancelledError
        If `cancel` was set.
    """
    folder = Path(job.staging)
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(job, folder, ask, progress, cancel)
    began = time.perf_counter()
    done: list[Done] = []
    where = ""
    try:
        hashes = {name: _hash(placed) for name, placed in job.inputs.items()}
        for step in job.steps:
            where = step.name
            reused = job.reuse.get(step.name)
            if reused is not None:
                context.files[f"step:{step.name}"] = Path(reused)
                continue
            done.append(_run_step(step, context))
    except (RadcnnError, MemoryError, OSError) as error:
        if isinstance(error, RadcnnError) and error.exit_status == 130:
            raise
        reason = _with_titles(_reason(error, where, len(job.steps)), job)
        return Answer(
            job.case, "failed", reason, done, {}, time.perf_counter() - began,
            is_full=_is_full(error), is_short=isinstance(error, MemoryError | ResourceError),
        )  # fmt: skip
    return Answer(job.case, "done", "", done, hashes, time.perf_counter() - began)


def _run_step(step: Resolved, context: Context) -> Done:
    began = time.perf_counter()
    if step.verb in VERBS:
        made, numbers, warnings = _run_model(step, context)
    else:
        made, numbers, warnings = load(OPERATIONS[step.verb].run)(step, context)
    context.files[f"step:{step.name}"] = made[0]
    files = {path.name: file_hash(path) for path in made}
    extra = [path.name for path in map(manifest_path, made) if path.exists()]
    seconds = time.perf_counter() - began
    return Done(step.name, context.job.keys[step.name], step.describe(), files, extra, numbers, warnings, seconds)


def _run_model(step: Resolved, context: Context) -> tuple[list[Path], dict[str, Any], list[str]]:
    from napari_radcnn import operations
    from napari_radcnn.foreign.installed import identity_of
    from napari_radcnn.io import write
    from napari_radcnn.io.with_manifest import write_with_manifest

    job = context.job
    spec = find_model(step.model, trust=job.trust)
    identity = identity_of(spec)
    if identity != step.identity:
        raise ModelError(
            f"The model '{spec.name}' differs from the one on the computer that started the run ("
            f"{identity[:14]}... and {step.identity[:14]}...): install the same pack, or the same version of "
            f"napari-radcnn."
        )
    volumes = [context.scan(where) for where in step.inputs.values()]
    how: dict[str, Any] = {"device": job.device, "precision": step.precision}
    expected = operations.plan(volumes, spec, step.options, **how)
    with context.ask(expected.memory_bytes):
        result = operations.run(
            volumes, spec, step.options, **how, threads=job.threads or None, anyway=step.anyway,
            progress=context.progress, cancel=context.cancel,
        )  # fmt: skip
    result = _told(_called(result, spec.name, step, job), job)
    target = context.target(step)
    write_with_manifest(result, target, overwrite=True)
    made = [target]
    for image in result.maps:
        kind = image.name.rpartition(" · ")[2].lower().replace(" ", "-")
        stem = target.name.removesuffix(step.suffix)
        made.append(write(image, target.with_name(f"{stem}.{kind}.nii.gz"), overwrite=True))
    seen = [warning for volume in volumes for warning in volume.warnings]
    warnings = list(dict.fromkeys([*seen, *_with_titles(result.warnings, job)]))
    return made, numbers_of_result(result), warnings


def _called(result: Result, name: str, step: Resolved, job: Job) -> Result:
    """Return a result whose manifest calls a model that was sent here as the one who asked calls it."""
    if name == step.title:
        return result
    model = {**result.provenance["model"], "name": step.title}
    if step.name in job.origins:
        model["origin"] = job.origins[step.name]
    made_by = _with_titles({**result.provenance, "model": model}, job)
    called = result.name.replace(f" · {name}", f" · {step.title}")
    if isinstance(result, Volume):
        return result.with_metadata(name=called, provenance=made_by)
    return replace(result, name=called, provenance=made_by)  # type: ignore[type-var]


def _with_titles(plain: Any, job: Job) -> Any:
    """Return JSON types in which models that were sent here are called as the one who asked calls them."""
    if isinstance(plain, Mapping):
        return {key: _with_titles(value, job) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_with_titles(value, job) for value in plain]
    if isinstance(plain, str):
        for step in job.steps:
            if step.name in job.origins:
                plain = plain.replace(step.model, step.title)
    return plain


def _told(result: Result, job: Job) -> Result:
    """Return a result whose manifest names the files as the one who asked calls them, where they were sent here."""
    shown = {placed.path: placed.shown for placed in job.inputs.values() if placed.shown}
    if not shown:
        return result
    made_by = _renamed(result.provenance, shown)
    if isinstance(result, Volume):
        return replace(result, metadata=replace(result.metadata, provenance=made_by))
    return replace(result, provenance=made_by)  # type: ignore[type-var]


def _renamed(plain: Any, shown: Mapping[str, str]) -> Any:
    if isinstance(plain, Mapping):
        return {key: _renamed(value, shown) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_renamed(value, shown) for value in plain]
    return shown.get(plain, plain) if isinstance(plain, str) else plain


def _hash(placed: Placed) -> str:
    path = Path(placed.path)
    return hash_of(path, placed.which) if path.exists() else ""


def _reason(error: RadcnnError | MemoryError | OSError, step: str, n_steps: int) -> str:
    if isinstance(error, MemoryError):
        error = ResourceError("Not enough memory was available.")
    text = " ".join(str(error).split())
    return f"{step}: {text}" if step and n_steps > 1 else text


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False
