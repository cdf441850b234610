"""``radcnn run | replay``: a model on a scan, and the same again."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from napari_radcnn.cli.common import (
    Progress,
    add_on_irregular,
    add_options,
    add_pixel_size,
    add_select,
    check_output,
    check_result_target,
    choose,
    keeping,
    print_same,
    read_volumes,
    warn,
)
from napari_radcnn.cli.interact import add_labels, read_label_maps
from napari_radcnn.cli.measure import check_table, check_unit
from napari_radcnn.cli.signals import cancelling
from napari_radcnn.errors import ModelError, OptionError, ReadError, WriteError
from napari_radcnn.files import together
from napari_radcnn.inference.uncertainty import MAPS
from napari_radcnn.interactive.engines.specs import check_runs_at_once
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.manifest import manifest_path, read_manifest, task_of
from napari_radcnn.models.registry import find_model, get_model, model_names
from napari_radcnn.results import LabelMap, Result
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.options import describe
from napari_radcnn.tasks import TASKS, numbers_of
from napari_radcnn.volume import Volume


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser], words: Sequence[str]) -> None:
    """Add the commands of this module; `words` are the arguments, which may name a model with options of its own."""
    runner = commands.add_parser(
        "run",
        help="run a model on a scan",
        description="Run a model on a scan. `radcnn run MODEL --help` also shows the options of that model.",
    )
    runner.add_argument(
        "model",
        metavar="MODEL",
        help=("name of a model, see `radcnn models`; or the file or folder of a foreign model"),
    )
    runner.add_argument(
        "input",
        metavar="IN",
        nargs="+",
        help="file or folder; for a model with several inputs, one for each, in order or as NAME=PATH",
    )
    runner.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help=("file to write; its suffix sets the format")
    )
    add_select(runner)
    add_on_irregular(runner)
    add_pixel_size(runner)
    runner.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    runner.add_argument(
        "--evidence",
        metavar="DIR",
        type=Path,
        help=(
            "for a classifier or detector: also write evidence maps, which show what its answer is based on, to "
            "this folder (.nii.gz)"
        ),
    )
    runner.add_argument(
        "--measure",
        metavar="TABLE",
        type=Path,
        help="for a segmentation: also measure its labels on the scan, as `radcnn measure` does, and write the table "
        "(.csv or .json)",
    )
    runner.add_argument("--suv", action="store_true", help="with --measure: measure a PET in SUV by body weight")
    _add_anyway(runner)
    runner.add_argument("--plan", action="store_true", help="estimate the cost of the run without running it")
    runner.add_argument(
        "--trust",
        metavar="SHA256",
        help=("allow the code in this foreign model to run; without this option, `radcnn run` prints its SHA-256"),
    )
    runner.set_defaults(command=_run)
    from napari_radcnn.inference.settings import RunSettings

    add_options(runner.add_argument_group("device and precision"), RunSettings)
    spec = _named_model(words)
    if spec is not None:
        add_options(runner.add_argument_group(f"options of {spec.name}"), spec.options)

    replay = commands.add_parser("replay", help="repeat the run that a manifest describes, and compare the voxels")
    replay.add_argument("manifest", metavar="OUT.radcnn.json", type=Path)
    replay.add_argument("-o", "--output", metavar="OUT", type=Path, help="also write the result and its manifest")
    add_labels(replay)
    add_on_irregular(replay)
    replay.add_argument("--trust", metavar="SHA256", help="same as for `radcnn run`")
    _add_anyway(replay)
    replay.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    replay.set_defaults(command=_replay)


def _add_anyway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--anyway",
        action="store_true",
        help="run the model on a scan that it was not made for; the result is marked as such",
    )


def _named_model(words: Sequence[str]) -> ModelSpec | None:
    """Return the model that is named after ``run``, whose options the parser must know.

    Raises
    ------
    ModelError
        If the first word is a path, and what lies there is no model that can be used.
    """
    if not words or words[0] != "run":
        return None
    names = set(model_names())
    named = next((word for word in words[1:] if word in names), None)
    if named is not None:
        return get_model(named)
    first = next((word for word in words[1:] if not word.startswith("-")), None)
    if first is None or not Path(first).exists():
        return None
    trust = next((after for word, after in pairwise(words) if word == "--trust"), None)
    return find_model(Path(first), trust=trust)


def _run(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io import check_source

    spec = find_model(parsed.model, trust=parsed.trust)
    check_runs_at_once(spec)
    if not parsed.plan:
        check_result_target(parsed.output, TASKS[spec.task].kind.result, parsed.overwrite, _sources(parsed))
    options = {entry.name: getattr(parsed, entry.name) for entry in describe(spec.options)}
    _ask_for_evidence(parsed, spec, options)
    _check_table(parsed, spec)
    if options.get("uncertainty") and not parsed.plan:
        for kind in MAPS:
            _check_map(_map_path(parsed.output, kind), parsed)
    with cancelling() as cancel, nullcontext() if parsed.plan else keeping(parsed.output):
        progress = Progress()
        inputs = _inputs(parsed, spec, progress, cancel)
        volume = next(iter(inputs.values()))
        if parsed.plan:
            _print_plan(parsed, inputs, spec, options)
            return
        check_source(TASKS[spec.task].kind.result, parsed.output, volume)
        if parsed.measure is not None:
            check_unit(volume, parsed.suv)
        how = _How(spec, options, parsed.device, parsed.precision, progress, cancel, parsed.anyway)
        maps: list[Path] = []
        if _is_streamed(volume, spec, parsed.output):
            result = how.stream(inputs, parsed.output, parsed.overwrite)
        else:
            result = how.compute(inputs)
            maps = _write(result, parsed)
        if parsed.measure is not None:
            _measure(result, volume, parsed, progress, cancel)
            maps.append(parsed.measure)
    for path in maps:
        print(f"written: {path}")
    for name, value in numbers_of(result, spec.task):
        print(f"{name}: {value}")
    print(f"written: {parsed.output}")
    print(f"manifest: {manifest_path(parsed.output)}")


def _write(result: Result, parsed: argparse.Namespace) -> list[Path]:
    """Write a result, its manifest and its maps, all or none where they lie below one folder; return the maps."""
    place, folder = parsed.output.parent.resolve(), (parsed.evidence or parsed.output.parent).resolve()
    with together() if folder.is_relative_to(place) else nullcontext():
        write_with_manifest(result, parsed.output, overwrite=parsed.overwrite)
        with together():
            return _write_maps(result, parsed.evidence, parsed.output, parsed.overwrite)


def _check_table(parsed: argparse.Namespace, spec: ModelSpec) -> None:
    """Refuse before the run a table that could not be written.

    Raises
    ------
    ModelError
        If the model makes no labels.
    OptionError
        If there is a unit, and no table.
    """
    if parsed.suv and parsed.measure is None:
        raise OptionError("--suv says in which unit --measure measures: name the table with --measure TABLE.")
    if parsed.measure is None or parsed.plan:
        return
    if TASKS[spec.task].kind.result is not LabelMap:
        raise ModelError(f"'{spec.name}' makes no labels that could be measured: omit --measure.")
    check_table(parsed.measure, parsed.overwrite, _sources(parsed))


def _measure(
    result: Any, volume: Volume, parsed: argparse.Namespace, progress: Progress, cancel: threading.Event
) -> None:
    """Write what the labels of a result measure on the scan."""
    from napari_radcnn.measure import segments, write_table

    table = segments(result, volume, parsed.suv, progress=progress, cancel=cancel)
    progress.close()
    warn(table["warnings"])
    write_table(table, parsed.measure, parsed.overwrite)


def _sources(parsed: argparse.Namespace) -> list[Path]:
    """Return what is read: the inputs, with and without the name of a slot before them, and a foreign model."""
    return [Path(word) for given in parsed.input for word in (given, given.partition("=")[2], parsed.model) if word]


def _check_map(path: Path, parsed: argparse.Namespace) -> None:
    """Refuse before the run what a map could not be written to."""
    from napari_radcnn.io.targets import refuse_sources

    refuse_sources(path, _sources(parsed))
    check_output(path, parsed.overwrite)


def _map_path(target: Path, kind: str) -> Path:
    """Return where an image that comes with labels goes: ``brain.entropy.nii.gz`` beside ``brain.nii.gz``."""
    return target.with_name(f"{target.name.split('.')[0]}.{kind}.nii.gz")


def _ask_for_evidence(parsed: argparse.Namespace, spec: ModelSpec, options: dict[str, Any]) -> None:
    """Turn the maps on where a folder for them is named, and refuse before the run what could not be written.

    Raises
    ------
    ModelError
        If the model makes none.
    WriteError
        If one of them is in the way.
    """
    if parsed.evidence is not None and "explain" not in options:
        raise ModelError(f"'{spec.name}' does not make evidence maps: omit --evidence.")
    if parsed.evidence is not None:
        options["explain"] = True
    if options.get("explain") and not parsed.plan:
        from napari_radcnn.evidence.ensemble import KINDS

        if parsed.evidence is not None:
            try:
                parsed.evidence.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WriteError(f"{parsed.evidence}: {error.strerror or error}.") from error
        for kind in KINDS:
            _check_map(_evidence_path(parsed.evidence, parsed.output, kind), parsed)


def _evidence_path(folder: Path | None, target: Path, kind: str) -> Path:
    """Return where a map of evidence goes: ``DIR/chest.grad-cam.nii.gz`` for ``chest.json``, without DIR beside it."""
    path = _map_path(target, kind.lower().replace(" ", "-"))
    return path if folder is None else folder / path.name


def _write_maps(result: Result, folder: Path | None, target: Path, overwrite: bool) -> list[Path]:
    """Write the images that come with a result, how sure it is or the evidence, and return where."""
    from napari_radcnn.io import write

    paths = [_evidence_path(folder, target, image.name.rpartition(" · ")[2]) for image in result.maps]
    for image, path in zip(result.maps, paths, strict=True):
        write(image, path, overwrite=overwrite)
    return paths


def _print_plan(
    parsed: argparse.Namespace, inputs: Mapping[str, Volume], spec: ModelSpec, options: Mapping[str, Any]
) -> None:
    from napari_radcnn import operations

    volumes = list(inputs.values())
    expected = operations.plan(
        volumes,
        spec,
        options,
        device=parsed.device,
        precision=parsed.precision,
        streamed=_is_streamed(volumes[0], spec, parsed.output),
    )
    warn(expected.warnings)
    print(expected.summary())
    print(f"suitability: {expected.suitability.state}")


def _inputs(
    parsed: argparse.Namespace, spec: ModelSpec, progress: Progress, cancel: threading.Event
) -> dict[str, Volume]:
    """Return the scan for each input of the model, in the model's order."""
    names = [slot.name for slot in spec.inputs] or [""]
    paths: dict[str, Path] = {}
    for word in parsed.input:
        name, equals, rest = word.partition("=")
        is_named = bool(equals and name and name in names)
        chosen = name if is_named else next((name for name in names if name not in paths), None)
        if chosen is None or chosen in paths:
            doubled = f" '{name}' appears twice." if is_named else ""
            listing = f" ({', '.join(names)})" if spec.inputs else ""
            raise ReadError(
                f"The model '{spec.name}' takes {len(names)} input{'s' * (len(names) > 1)}{listing}, got "
                f"{len(parsed.input)}.{doubled}"
            )
        path = Path(rest if is_named else word)
        paths[chosen] = path
    missing = [name for name in names if name not in paths]
    if missing:
        raise ReadError(f"The model '{spec.name}' takes {', '.join(names)}; missing: {', '.join(missing)}.")

    def read_one(path: Path) -> Volume:
        volumes = read_volumes(path, progress, cancel, parsed.on_irregular, parsed.pixel_size)
        return choose(volumes, path, parsed.select)

    return {name: read_one(paths[name]) for name in names}


def _is_streamed(volume: Volume, spec: ModelSpec, target: Path) -> bool:
    """Return whether labels go straight to the disk: from a store that is not in memory to a store."""
    from napari_radcnn.operations import can_stream, is_store_target

    return is_store_target(target) and volume.source is not None and not volume.is_loaded and can_stream(spec)


@dataclass(frozen=True)
class _How:
    """A model with everything it is run with."""

    spec: ModelSpec
    options: Mapping[str, Any]
    device: str
    precision: str
    progress: Progress
    cancel: threading.Event
    anyway: bool

    def compute(self, inputs: Mapping[str, Volume]) -> Result:
        """Run it in memory."""
        from napari_radcnn import operations

        return self._run_with_warnings(
            inputs,
            lambda volumes: operations.run(
                volumes,
                self.spec,
                self.options,
                device=self.device,
                precision=self.precision,
                progress=self.progress,
                cancel=self.cancel,
                anyway=self.anyway,
            ),
        )

    def stream(self, inputs: Mapping[str, Volume], target: Path, overwrite: bool) -> Result:
        """Run it from disk to disk."""
        from napari_radcnn import operations

        return self._run_with_warnings(
            inputs,
            lambda volumes: operations.segment_to(
                volumes,
                self.spec,
                target,
                self.options,
                overwrite=overwrite,
                device=self.device,
                precision=self.precision,
                progress=self.progress,
                cancel=self.cancel,
                anyway=self.anyway,
            ),
            streamed=True,
        )

    def _run_with_warnings(
        self, inputs: Mapping[str, Volume], run: Callable[[list[Volume]], Result], *, streamed: bool = False
    ) -> Result:
        """Print what speaks against a run before it, and what it found out after it."""
        from napari_radcnn import operations

        volumes = list(inputs.values())
        expected = operations.plan(
            volumes,
            self.spec,
            self.options,
            device=self.device,
            precision=self.precision,
            streamed=streamed,
        )
        told = [*(text for volume in volumes for text in volume.warnings), *expected.warnings]
        if expected.suitability.state == "refused" and not self.anyway:
            told = [text for text in told if text not in expected.suitability.reasons]  # the error says them
        warn(told)
        result = run(volumes)
        self.progress.close()
        warn([text for text in result.warnings if text not in told])
        return result


def _replay(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.targets import sources_in
    from napari_radcnn.operations import replay

    made_by = read_manifest(parsed.manifest)
    if parsed.output is not None:
        task = TASKS.get(task_of(made_by))
        sources = [parsed.manifest, *parsed.labels, *sources_in(made_by)]
        check_result_target(parsed.output, Volume if task is None else task.kind.result, parsed.overwrite, sources)
    told: list[str] = []

    def tell(lines: Sequence[str]) -> None:
        warn(lines)
        told.extend(lines)

    with cancelling() as cancel:
        progress = Progress()
        try:
            replayed = replay(
                parsed.manifest,
                label_maps=read_label_maps(parsed.labels),
                trust=parsed.trust,
                anyway=parsed.anyway,
                on_irregular=parsed.on_irregular,
                warn=tell,
                progress=progress,
                cancel=cancel,
            )
        finally:
            progress.close()
    warn([text for text in replayed.result.warnings if text not in told])
    print_same(replayed)
    if parsed.output is not None:
        write_with_manifest(replayed.result, parsed.output, overwrite=parsed.overwrite)
        print(f"written: {parsed.output}")
