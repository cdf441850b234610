"""The command line: ``radcnn info | convert | models | run | replay | evaluate | open``.

Results go to stdout, progress and errors to stderr, one clear line an error. Exit status as in
`napari_radcnn.errors.ExitStatus`.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, get_args

import napari_radcnn
from napari_radcnn.errors import ExitStatus, RadcnnError, ReadError, WriteError
from napari_radcnn.io.manifest import manifest_of, manifest_path, write_with_manifest
from napari_radcnn.models.options import describe
from napari_radcnn.models.registry import get_model, models
from napari_radcnn.models.spec import ModelSpec
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.io import Deidentifier, OnIrregular
    from napari_radcnn.operations import Result

#: What a model for a task returns; all others return a volume.
_KINDS = {"segmentation": LabelMap, "detection": Detections, "classification": Classification}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words)
    if not words:
        parser.print_help()
        return ExitStatus.USAGE
    parsed = parser.parse_args(words)
    try:
        parsed.command(parsed)
    except RadcnnError as error:
        print(f"radcnn: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # the reader of stdout, such as `head`, has seen enough
        sys.stderr.close()
        return ExitStatus.DONE
    return ExitStatus.DONE


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="radcnn", description="Read scans, run models on them, write results.")
    parser.add_argument("--version", action="version", version=f"radcnn {napari_radcnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    info = commands.add_parser("info", help="list the volumes in a file or folder, where they lie, what to beware of")
    info.add_argument("path", metavar="PATH", type=Path)
    info.add_argument("--json", action="store_true", help="as JSON")
    _add_on_irregular(info)
    info.set_defaults(command=_info)

    convert = commands.add_parser(
        "convert",
        help="write a scan in another format, in the same place",
        description="Write a scan or a label map in another format, in the same place: by the suffix of OUT, or as a "
        "folder with a DICOM series if it has none.",
    )
    convert.add_argument("input", metavar="IN", type=Path)
    convert.add_argument("output", metavar="OUT", type=Path)
    _add_select(convert)
    _add_on_irregular(convert)
    _add_export(convert)
    convert.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    convert.set_defaults(command=_convert)

    listing = commands.add_parser("models", help="list the models")
    listing.add_argument("--json", action="store_true", help="as JSON")
    listing.set_defaults(command=_models)

    runner = commands.add_parser(
        "run",
        help="run a model on a scan",
        description="Run a model on a scan. `radcnn run MODEL --help` shows the model's own options as well.",
    )
    runner.add_argument("model", metavar="MODEL", help="name of a model, see `radcnn models`")
    runner.add_argument("input", metavar="IN", type=Path, nargs="+", help="file or folder")
    runner.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="what to write, by suffix")
    _add_select(runner)
    runner.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    runner.set_defaults(command=_run)
    from napari_radcnn.inference.settings import RunSettings

    _add_options(runner.add_argument_group("where and how"), RunSettings)
    spec = _named_model(words)
    if spec is not None:
        _add_options(runner.add_argument_group(f"options of {spec.name}"), spec.options)

    replay = commands.add_parser("replay", help="run again what a manifest says, and compare the voxels")
    replay.add_argument("manifest", metavar="OUT.radcnn.json", type=Path)
    replay.add_argument("-o", "--output", metavar="OUT", type=Path, help="also write the result, with its manifest")
    replay.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    replay.set_defaults(command=_replay)

    evaluate = commands.add_parser("evaluate", help="compare a prediction with its reference on the same grid")
    evaluate.add_argument("reference", metavar="REFERENCE", type=Path)
    evaluate.add_argument("prediction", metavar="PREDICTION", type=Path)
    evaluate.add_argument("--json", action="store_true", help="as JSON")
    evaluate.set_defaults(command=_evaluate)

    viewer = commands.add_parser("open", help="open napari with our reader, layers and docks")
    viewer.add_argument("paths", metavar="PATH", nargs="*")
    viewer.set_defaults(command=_open)
    return parser


def _add_select(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--select", metavar="N", type=int, help="which volume, where IN holds several; `radcnn info IN` numbers them"
    )


def _add_on_irregular(parser: argparse.ArgumentParser) -> None:
    from napari_radcnn.io import OnIrregular

    parser.add_argument(
        "--on-irregular",
        choices=get_args(OnIrregular),
        default="refuse",
        help="what to do with a DICOM series with unevenly spaced slices, such as a missing one: refuse it, resample "
        "it to an even grid, or split it where the spacing changes (default: refuse)",
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference",
        metavar="PATH",
        type=Path,
        help="the DICOM series that IN belongs to, such as that of a label map in NIfTI; for an OUT in DICOM",
    )
    parser.add_argument(
        "--deidentify",
        action="store_true",
        help="leave out the patient's name, numbers, dates, UIDs and free text (DICOM PS3.15, Basic Profile); what is "
        "seen in the voxels stays, such as a face or text in the picture",
    )
    parser.add_argument(
        "--deidentify-key",
        metavar="FILE",
        type=Path,
        help="the same, with new UIDs made from the bytes of FILE (at least 16, kept secret): what is written with one "
        "key fits together; without it, each call makes UIDs of its own",
    )


def _named_model(words: Sequence[str]) -> ModelSpec | None:
    """Return the model that is named after ``run``, whose options the parser must know."""
    if not words or words[0] != "run":
        return None
    names = {spec.name for spec in models()}
    return next((get_model(word) for word in words[1:] if word in names), None)


def _add_options(group: argparse._ArgumentGroup, options: type) -> None:
    for entry in describe(options):
        flag = "--" + entry.name.replace("_", "-")
        unit = f" {entry.unit}" if entry.unit else ""
        text = f"{entry.help} (default: {entry.default}{unit})".replace("%", "%%")
        if entry.kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=entry.default, help=text)
        elif entry.choices:
            group.add_argument(flag, choices=entry.choices, default=entry.default, help=text)
        else:
            group.add_argument(
                flag, type=entry.kind, default=entry.default, help=text, metavar=entry.unit.upper() or "VALUE"
            )


# -- commands ---------------------------------------------------------------------------------------------------------


def _info(parsed: argparse.Namespace) -> None:
    volumes = _read(parsed.path, on_irregular=parsed.on_irregular)
    if parsed.json:
        print(json.dumps({"path": str(parsed.path), "volumes": [_describe(v) for v in volumes]}, indent=2))
        return
    common = [text for text in volumes[0].warnings if all(text in volume.warnings for volume in volumes)]
    for number, volume in enumerate(volumes, 1):
        print(f"{number:3d}  {_line(volume)}")
        for warning in volume.warnings:
            if warning not in common:
                print(f"     warning: {warning}")
    for warning in common:
        print(f"warning: {warning}")


def _describe(volume: Volume) -> dict[str, Any]:
    geometry, metadata = volume.geometry, volume.metadata
    return {
        "name": volume.name,
        "format": metadata.source_format,
        "modality": metadata.modality,
        "units": metadata.units,
        "description": metadata.description,
        "dtype": str(volume.dtype),
        "shape": list(geometry.shape),
        "is_color": volume.is_color,
        "spacing_mm": list(geometry.spacing),
        "orientation": geometry.orientation,
        "affine": geometry.affine.tolist(),
        "is_axis_aligned": geometry.is_axis_aligned,
        "is_sheared": geometry.is_sheared,
        "study_uid": metadata.study_uid,
        "series_uid": metadata.series_uid,
        "frame_of_reference_uid": metadata.frame_of_reference_uid,
        "suvbw_factor": volume.suvbw_factor,
        "warnings": list(volume.warnings),
    }


def _line(volume: Volume) -> str:
    geometry, metadata = volume.geometry, volume.metadata
    parts = [
        volume.name,
        *([metadata.description] if metadata.description else []),
        metadata.source_format or "?",
        " x ".join(str(n) for n in geometry.shape),
        " x ".join(f"{s:.4g}" for s in geometry.spacing) + " mm",
        geometry.orientation + ("" if geometry.is_axis_aligned else " oblique") + (" sheared" * geometry.is_sheared),
        str(volume.dtype) + (f" {metadata.units}" if metadata.units else ""),
    ]
    return " · ".join(parts)


def _convert(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.deidentify import doubts
    from napari_radcnn.io.reference import as_labels, check_reference

    target = parsed.output
    _check_output(target, parsed.overwrite)
    check_reference(parsed.reference, target)
    deidentify = _deidentify(parsed)
    volume = _choose(_read(parsed.input, on_irregular=parsed.on_irregular), parsed.input, parsed.select)
    _warn(volume.warnings)
    if target.name.lower().endswith(".dcm"):
        volume = as_labels(volume, target)
    write_with_manifest(volume, target, overwrite=parsed.overwrite, reference=parsed.reference, deidentify=deidentify)
    if deidentify and not volume.metadata.is_label:
        _warn(doubts(volume))
    print(f"written: {target}")


def _deidentify(parsed: argparse.Namespace) -> bool | Deidentifier:
    from napari_radcnn.io import Deidentifier

    if parsed.deidentify_key is None:
        return bool(parsed.deidentify)
    try:
        return Deidentifier(parsed.deidentify_key.read_bytes())
    except OSError as error:
        raise ReadError(f"{parsed.deidentify_key}: the key cannot be read: {error.strerror or error}.") from error


def _models(parsed: argparse.Namespace) -> None:
    if parsed.json:
        print(json.dumps({"models": [spec.to_dict() for spec in models()]}, indent=2))
        return
    for spec in models():
        for_what = ", ".join(spec.modalities) or "any modality"
        print(f"{spec.name}  ({spec.task}, {for_what}, {spec.body_part}; licence {spec.licence})")
        print(f"    {spec.summary}")
        if not spec.is_available:
            print(f"    not installed: {spec.how_to_install}")


def _run(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io import check_source

    spec = get_model(parsed.model)
    if len(parsed.input) > 1:
        raise ReadError(f"The model '{spec.name}' takes one input, got {len(parsed.input)}: run it once for each.")
    _check_result_target(parsed.output, spec, parsed.overwrite)
    options = {entry.name: getattr(parsed, entry.name) for entry in describe(spec.options)}
    with _cancelling() as cancel:
        progress = _Progress()
        source = parsed.input[0]
        volume = _choose(_read(source, progress, cancel), source, parsed.select)
        check_source(_KINDS.get(spec.task, Volume), parsed.output, volume)
        result = _compute(volume, spec, options, parsed.device, parsed.precision, progress, cancel)
    write_with_manifest(result, parsed.output, overwrite=parsed.overwrite)
    for label, milliliters in manifest_of(result).get("volumes_ml", {}).items():
        print(f"{label}: {milliliters:.1f} ml")
    print(f"written: {parsed.output}")
    print(f"manifest: {manifest_path(parsed.output)}")


def _compute(
    volume: Volume,
    spec: ModelSpec,
    options: Mapping[str, Any],
    device: str,
    precision: str,
    progress: _Progress,
    cancel: threading.Event,
) -> Result:
    from napari_radcnn import operations

    expected = operations.plan(volume, spec, options, device=device, precision=precision)
    told = (*volume.warnings, *expected.warnings)
    _warn(told)
    result = operations.run(volume, spec, options, device=device, precision=precision, progress=progress, cancel=cancel)
    progress.close()
    _warn([text for text in result.warnings if text not in told])
    return result


def _replay(parsed: argparse.Namespace) -> None:
    from napari_radcnn import provenance

    manifest = _read_manifest(parsed.manifest)
    spec = get_model(manifest["model"]["name"])
    if spec.version != manifest["model"]["version"]:
        _warn([f"'{spec.name}' is version {spec.version} here, but the manifest says {manifest['model']['version']}."])
    if parsed.output is not None:
        _check_result_target(parsed.output, spec, parsed.overwrite)
    wanted = manifest["input"]
    with _cancelling() as cancel:
        progress = _Progress()
        volumes = _read(Path(wanted["path"]), progress, cancel)
        volume = next((v for v in volumes if provenance.identify(v)["sha256"] == wanted["sha256"]), None)
        if volume is None:
            raise ReadError(f"{wanted['path']}: its voxels or its grid are no longer those of the manifest.")
        settings = manifest["settings"]
        result = _compute(
            volume, spec, manifest["options"], settings["device"], settings["precision"], progress, cancel
        )
    # hashes, not files: a format may hold the voxels rounded (DICOM) or numbered anew (a segmentation)
    before, after = manifest.get("result"), manifest_of(result).get("result")
    if before and after:
        print(f"{'identical' if before == after else 'different'}: the voxels of {manifest['output']}")
    if parsed.output is not None:
        write_with_manifest(result, parsed.output, overwrite=parsed.overwrite)
        print(f"written: {parsed.output}")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["schema"] != "radcnn-manifest/1" or not manifest["input"]["path"] or not manifest["output"]:
            raise ReadError(f"{path} names no input that can be run again.")
        _ = manifest["model"]["name"], manifest["options"], manifest["settings"]["device"]
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReadError(f"{path} is no manifest of a run; it ends in .radcnn.json beside each result.") from error
    return dict(manifest)


def _evaluate(parsed: argparse.Namespace) -> None:
    from napari_radcnn.metrics import compare

    reference, prediction = (_choose(_read(path), path, None) for path in (parsed.reference, parsed.prediction))
    found = compare(reference, prediction)
    if parsed.json:
        print(json.dumps({"reference": str(parsed.reference), "prediction": str(parsed.prediction), **found}, indent=2))
        return
    for value, row in found.get("labels", {}).items():
        first, second = row["volume_ml"]
        distance = "-" if row["hausdorff95_mm"] is None else f"{row['hausdorff95_mm']:.2f} mm"
        print(f"label {value}: Dice {row['dice']:.4f}, 95 % Hausdorff {distance}, {first:.2f} -> {second:.2f} ml")
    for name, figure in found.get("image", {}).items():
        print(f"{name}: {'-' if figure is None else format(figure, '.4g')}")


def _open(parsed: argparse.Namespace) -> None:
    # A process of its own: the command line stays free of Qt, and a viewer's crash is not ours.
    finished = subprocess.run([sys.executable, "-m", "napari_radcnn.gui", *parsed.paths], check=False)  # noqa: S603
    if finished.returncode:
        raise SystemExit(finished.returncode)


# -- inside -----------------------------------------------------------------------------------------------------------


def _read(
    path: Path,
    progress: _Progress | None = None,
    cancel: threading.Event | None = None,
    on_irregular: OnIrregular = "refuse",
) -> list[Volume]:
    from napari_radcnn.io import read

    return read(path, progress=progress, cancel=cancel, on_irregular=on_irregular)


def _choose(volumes: list[Volume], path: Path, select: int | None) -> Volume:
    if select is None and len(volumes) == 1:
        return volumes[0]
    if select is not None and 1 <= select <= len(volumes):
        return volumes[select - 1]
    listing = "; ".join(f"{number}: {volume.name}" for number, volume in enumerate(volumes[:12], 1))
    more = f"; and {len(volumes) - 12} more" if len(volumes) > 12 else ""
    raise ReadError(f"{path} holds {len(volumes)} volumes: choose one with --select N ({listing}{more}).")


def _check_output(target: Path, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    if target.exists() and not overwrite:
        raise WriteError(f"{target} exists already: pass --overwrite to replace it.")
    if not target.parent.is_dir():
        raise WriteError(f"{target} cannot be written: the folder {target.parent} does not exist.")


def _check_result_target(target: Path, spec: ModelSpec, overwrite: bool) -> None:
    """Refuse before a run what its result could not be written to."""
    from napari_radcnn.io import check_suffix

    for path in (target, manifest_path(target)):
        _check_output(path, overwrite)
    check_suffix(_KINDS.get(spec.task, Volume), target)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"radcnn: warning: {warning}", file=sys.stderr)


@contextmanager
def _cancelling() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into a cancel; a second Ctrl-C ends at once."""
    cancel = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if cancel.is_set():
            signal.default_int_handler(number, frame)
        cancel.set()

    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Progress:
    """Progress on stderr: a bar on a terminal, otherwise a line a step."""

    _WIDTH = 24

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = ""

    def __call__(self, done: int, total: int, message: str) -> None:
        if self._is_terminal:
            filled = self._WIDTH * done // max(total, 1)
            bar = "#" * filled + "-" * (self._WIDTH - filled)
            print(f"\r[{bar}] {done}/{total} {message}\033[K", end="", file=sys.stderr, flush=True)
        elif message != self._last:
            print(f"{done}/{total} {message}", file=sys.stderr, flush=True)
        self._last = message

    def close(self) -> None:
        if self._is_terminal and self._last:
            print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
