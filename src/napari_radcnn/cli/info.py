"""``radcnn info``: what a path holds: scans, a report, findings, a session, a model; and which formats there are."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.cli.common import add_on_irregular, add_pixel_size, read_volumes
from napari_radcnn.errors import JournalError, OptionError, ReadError
from napari_radcnn.io.contents import Kind, kind_of
from napari_radcnn.schemas import MANIFEST, check_schema
from napari_radcnn.suitability import trait_lines, what_is
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.results import Detection, Finding


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    info = commands.add_parser(
        "info",
        help="list the volumes in a file or folder, their geometry, and warnings",
        description="Describe the contents of a file or folder: the volumes of scans and label maps, their geometry, "
        "and warnings; the findings in a report or a file of findings; how a result was made; the steps "
        "of an interactive session; a model. Without a path, --formats lists the formats that can be "
        "read and written.",
    )
    info.add_argument("path", metavar="PATH", type=Path, nargs="?")
    info.add_argument(
        "--formats", action="store_true", help=("list the image formats, including those added by installed packages")
    )
    info.add_argument("--json", action="store_true", help="print JSON")
    info.add_argument(
        "--what",
        action="store_true",
        help="of scans: say what each shows (modality, region, contrast, ...), what told it, and how sure that is",
    )
    add_on_irregular(info)
    add_pixel_size(info)
    info.set_defaults(command=_info)


def _info(parsed: argparse.Namespace) -> None:
    if parsed.formats != (parsed.path is None):
        raise OptionError("radcnn info takes either a path, or --formats for the list of formats.")
    if parsed.formats:
        _formats(parsed)
        return
    _TELLERS.get(kind_of(parsed.path), _images)(parsed)


def _print_json(parsed: argparse.Namespace, **described: Any) -> None:
    print(json.dumps({"path": str(parsed.path), **described}, indent=2))


def _formats(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.formats import ADDED, formats

    listed = list(formats())
    if parsed.json:
        described = [
            {
                "name": known.name,
                "reads": list(known.suffixes) if known.is_read else [],
                "writes": list(known.writes),
                **({} if known.package is None else {"package": str(known.package)}),
            }
            for known in listed
        ]
        print(json.dumps({"formats": described, "left_out": [left.to_dict() for left in ADDED.left_out()]}, indent=2))
        return
    for known in listed:
        reads = f"read: {', '.join(known.suffixes) or 'by content'}" if known.is_read else "not read"
        print(f"{known.name}  ({reads}; {'written: ' + ', '.join(known.writes) if known.writes else 'not written'})")
        if known.package is not None:
            print(f"    {known.package.remark}")


# -- scans ------------------------------------------------------------------------------------------------------------


def _images(parsed: argparse.Namespace) -> None:
    from napari_radcnn.manifest import doubts_of

    volumes = read_volumes(parsed.path, on_irregular=parsed.on_irregular, pixel_size=parsed.pixel_size)
    doubts = tuple(doubts_of(parsed.path))
    volumes = [replace(volume, warnings=(*volume.warnings, *doubts)) for volume in volumes] if doubts else volumes
    if parsed.json:
        listed = [
            _describe(volume) | ({"what": what_is(volume).to_dict()} if parsed.what else {}) for volume in volumes
        ]
        _print_json(parsed, volumes=listed)
        return
    common = [text for text in volumes[0].warnings if all(text in volume.warnings for volume in volumes)]
    for number, volume in enumerate(volumes, 1):
        print(f"{number:3d}  {_line(volume)}")
        for line in trait_lines(what_is(volume)) if parsed.what else ():
            print(f"     {line}")
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
        "orientation": geometry.orientation if metadata.is_placed else None,
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
        " x ".join(f"{s:.4g}" for s in geometry.spacing) + " mm" if metadata.is_calibrated else "pixel size unknown",
        _orientation(volume),
        str(volume.dtype) + (f" {metadata.units}" if metadata.units else ""),
    ]
    return " · ".join(parts)


def _orientation(volume: Volume) -> str:
    """Return towards what the axes run; of a radiograph, the sides that its header states."""
    geometry, sides = volume.geometry, volume.metadata.sides
    if not volume.metadata.is_placed:
        return "no orientation" if sides is None else f"rows towards {sides.row}, columns towards {sides.column}"
    return geometry.orientation + ("" if geometry.is_axis_aligned else " oblique") + (" sheared" * geometry.is_sheared)


# -- findings ---------------------------------------------------------------------------------------------------------


def _report(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io import read_report

    report = read_report(parsed.path)
    if parsed.json:
        findings = [_describe_finding(finding) for finding in report.findings]
        _print_json(parsed, report={"name": report.name, "findings": findings}, warnings=list(report.warnings))
        return
    print(f"{report.name} · {_count(len(report.findings), 'finding')}")
    for number, finding in enumerate(report.findings, 1):
        parts = [finding.label]
        if finding.box is not None:
            parts += _place(finding.box)
        if finding.segment is not None:
            parts.append(f"segment {finding.segment}")
        parts += [f"{m.derivation} {m.name}".strip() + f" {m.value:g} {m.unit}" for m in finding.measurements]
        print(f"{number:3d}  {' · '.join(parts)}")
    for warning in report.warnings:
        print(f"warning: {warning}")


def _describe_finding(finding: Finding) -> dict[str, Any]:
    described: dict[str, Any] = {
        "label": finding.label,
        "measurements": [
            {"name": m.name, "value": m.value, "unit": m.unit, "derivation": m.derivation} for m in finding.measurements
        ],
    }
    if finding.box is not None:
        score = None if math.isnan(finding.box.score) else finding.box.score
        described |= {"score": score, "center_mm": list(finding.box.center), "size_mm": list(finding.box.size)}
    if finding.segment is not None:
        described |= {"segmentation_uid": finding.segmentation_uid, "segment": finding.segment}
    return described


def _findings(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.reports import describe_detection, read_detections

    found = read_detections(parsed.path)
    manifest, warnings = _beside(parsed.path)
    if parsed.json:
        listed = [{**describe_detection(box), "state": box.state} for box in found.boxes]
        made = {"made_by": _model(manifest)} if manifest else {}
        _print_json(parsed, findings={"name": found.name, "detections": listed, **made}, warnings=warnings)
        return
    print(f"{found.name} · {_count(len(found.boxes), 'finding')}")
    for number, box in enumerate(found.boxes, 1):
        score = [] if math.isnan(box.score) else [f"score {box.score:.3g}"]
        print(f"{number:3d}  {' · '.join([box.label, *score, *_place(box), box.state])}")
    _tell_origin(manifest, warnings)


def _classes(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.reports import read_classification

    found = read_classification(parsed.path)
    manifest, warnings = _beside(parsed.path)
    if parsed.json:
        made = {"made_by": _model(manifest)} if manifest else {}
        described = {"name": found.name, "probabilities": dict(found.probabilities), "kind": found.kind, **made}
        _print_json(parsed, classification=described, warnings=warnings)
        return
    print(f"{found.name} · {_count(len(found.probabilities), 'class', 'classes')}")
    for name, probability in sorted(found.probabilities.items(), key=lambda pair: -pair[1]):
        print(f"     {name} {probability:.3f}")
    _tell_origin(manifest, warnings)


def _value(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.reports import read_value
    from napari_radcnn.operations.regressing import numbers

    found = read_value(parsed.path)
    manifest, warnings = _beside(parsed.path)
    if parsed.json:
        made = {"made_by": _model(manifest)} if manifest else {}
        described = {"name": found.name, "value": found.value, "unit": found.unit, "interval": found.interval, **made}
        _print_json(parsed, value=described, warnings=warnings)
        return
    print(found.name)
    for name, told in numbers(found):
        print(f"     {name}: {told}")
    _tell_origin(manifest, warnings)


def _landmarks(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.reports import read_landmarks
    from napari_radcnn.operations.landmarking import numbers

    found = read_landmarks(parsed.path)
    manifest, warnings = _beside(parsed.path)
    if parsed.json:
        made = {"made_by": _model(manifest)} if manifest else {}
        listed = [{"name": point.name, "position_mm": list(point.position)} for point in found.points]
        _print_json(parsed, landmarks={"name": found.name, "points": listed, **made}, warnings=warnings)
        return
    print(f"{found.name} · {_count(len(found.points), 'landmark')}")
    for name, told in numbers(found):
        print(f"     {name}: {told}")
    _tell_origin(manifest, warnings)


def _embedding(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io.reports import read_embedding

    found = read_embedding(parsed.path)
    manifest, warnings = _beside(parsed.path)
    if parsed.json:
        made = {"made_by": _model(manifest)} if manifest else {}
        _print_json(parsed, embedding={"name": found.name, "numbers": len(found.vector), **made}, warnings=warnings)
        return
    print(f"{found.name} · an embedding of {_count(len(found.vector), 'number')}")
    _tell_origin(manifest, warnings)


def _beside(path: Path) -> tuple[Mapping[str, Any], list[str]]:
    """Return the manifest of a result and what it warns of; one that cannot be read is a warning itself."""
    from napari_radcnn.manifest import doubts_of, read_beside

    try:
        manifest = read_beside(path)
    except ReadError as error:
        return {}, [str(error)]
    warnings = manifest.get("warnings")
    return manifest, [*doubts_of(path), *(map(str, warnings) if isinstance(warnings, list) else ())]


def _tell_origin(manifest: Mapping[str, Any], warnings: Sequence[str]) -> None:
    if manifest:
        scan = _mapping(manifest, "input").get("name")
        print(f"made by {_model(manifest)}" + (f" on {scan}" if scan else ""))
    for warning in warnings:
        print(f"warning: {warning}")


def _model(manifest: Mapping[str, Any]) -> str:
    model = _mapping(manifest, "model")
    return f"{model.get('name', 'an unknown model')} {model.get('version', '')}".strip()


def _place(box: Detection) -> list[str]:
    """Return the words for a place in the patient and its size."""
    return [
        "at " + ", ".join(f"{v:.1f}" for v in box.center) + " mm",
        " x ".join(f"{v:.1f}" for v in box.size) + " mm",
    ]


# -- how something was made -------------------------------------------------------------------------------------------


def _manifest(parsed: argparse.Namespace) -> None:
    try:
        manifest = json.loads(parsed.path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"{parsed.path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{parsed.path}: the manifest is damaged: it is not valid JSON.") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    check_schema(schema, MANIFEST, parsed.path, ReadError)
    if schema != MANIFEST:
        raise ReadError(f'{parsed.path} is not a manifest: it does not say "schema": "{MANIFEST}".')
    if parsed.json:
        _print_json(parsed, manifest=manifest)
        return
    model, scan, steps = _mapping(manifest, "model"), _mapping(manifest, "input"), manifest.get("steps")
    what = f" · {_count(len(steps), 'step')}" if isinstance(steps, list) else ""
    print(f"the manifest of {manifest.get('output') or 'a result'}{what}")
    print(f"made by {_model(manifest)}" + (f" ({model['task']})" if model.get("task") else ""))
    if scan:
        print(f"scan: {scan.get('name') or '?'} · {scan.get('path') or 'path left out'}")
    if manifest.get("started"):
        print(f"started: {manifest['started']}")
    for warning in manifest.get("warnings") or ():
        print(f"warning: {warning}")


def _script(parsed: argparse.Namespace) -> None:
    from napari_radcnn.interactive.script import read_script

    script = read_script(parsed.path)
    if parsed.json:
        _print_json(parsed, script={"engine": script.engine or None, "steps": len(script.steps)})
        return
    engine = f" · engine {script.engine}" if script.engine else ""
    print(f"a script of {_count(len(script.steps), 'step')}{engine}")
    print(f"run it: radcnn interact SCAN {parsed.path} -o OUT")


def _session(parsed: argparse.Namespace) -> None:
    from napari_radcnn.interactive.journal.saved import saved_session

    saved = saved_session(parsed.path)
    if saved.problem:
        raise JournalError(saved.problem)
    scan, engine = _mapping(saved.header, "input"), saved.header.get("engine")
    if parsed.json:
        described = {
            "engine": engine,
            "steps": saved.steps,
            "saved": saved.saved.isoformat(timespec="seconds"),
            "is_open": saved.is_alive,
            "is_finished": saved.is_finished,
            "input": dict(scan),
        }
        _print_json(parsed, session=described)
        return
    state = (
        "open now, in this or another window"
        if saved.is_alive
        else "finished"
        if saved.is_finished
        else ("unfinished; the viewer offers to resume it")
    )
    print(f"an interactive session of {_count(saved.steps, 'step')} · engine {engine or '?'} · {state}")
    print(f"scan: {scan.get('name') or '?'} · {scan.get('path') or 'not read from a file'}")
    print(f"saved: {saved.saved.isoformat(timespec='seconds')}")


# -- models -----------------------------------------------------------------------------------------------------------


def _pack(parsed: argparse.Namespace) -> None:
    from napari_radcnn.foreign.pack import verify

    info = verify(parsed.path)
    if parsed.json:
        described = {"name": info.name, "title": info.title, "version": info.version, "licence": info.licence}
        _print_json(parsed, pack={**described, "files": dict(info.files)})
        return
    print(f"a model pack: {info.name} · {info.title} · version {info.version} · license {info.licence}")
    print(f"install it: radcnn models install {parsed.path}")


def _foreign_model(parsed: argparse.Namespace) -> None:
    from napari_radcnn.foreign import open_model

    spec = open_model(parsed.path)
    if parsed.json:
        _print_json(parsed, model=spec.to_dict())
        return
    print(f"a model: {spec.name} · {spec.task} · license {spec.licence}")
    print(f"     {spec.summary}")
    print(f"run it: radcnn run {parsed.path} SCAN -o OUT")


_TELLERS: Mapping[Kind | None, Callable[[argparse.Namespace], None]] = {
    Kind.REPORT: _report,
    Kind.FINDINGS: _findings,
    Kind.CLASSES: _classes,
    Kind.VALUE: _value,
    Kind.EMBEDDING: _embedding,
    Kind.LANDMARKS: _landmarks,
    Kind.MANIFEST: _manifest,
    Kind.SCRIPT: _script,
    Kind.SESSION: _session,
    Kind.PACK: _pack,
    Kind.MODEL: _foreign_model,
}


def _mapping(plain: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = plain.get(key)
    return found if isinstance(found, Mapping) else {}


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"
