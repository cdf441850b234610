"""``radcnn info | convert | open``: what scans are, in another format, in the viewer."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_radcnn.cli.common import add_on_irregular, add_select, check_output, choose, read_volumes, warn
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.io.manifest import write_with_manifest
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    from napari_radcnn.io import Deidentifier
    from napari_radcnn.results import Finding


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of this module."""
    info = commands.add_parser("info", help="list the volumes in a file or folder, where they lie, what to beware of")
    info.add_argument("path", metavar="PATH", type=Path)
    info.add_argument("--json", action="store_true", help="as JSON")
    add_on_irregular(info)
    info.set_defaults(command=_info)

    convert = commands.add_parser(
        "convert",
        help="write a scan in another format, in the same place",
        description="Write a scan or a label map in another format, in the same place: by the suffix of OUT, or as a "
        "folder with a DICOM series if it has none.",
    )
    convert.add_argument("input", metavar="IN", type=Path)
    convert.add_argument("output", metavar="OUT", type=Path)
    add_select(convert)
    add_on_irregular(convert)
    _add_export(convert)
    convert.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    convert.set_defaults(command=_convert)

    viewer = commands.add_parser("open", help="open napari with our reader, layers and docks")
    viewer.add_argument("paths", metavar="PATH", nargs="*")
    viewer.set_defaults(command=_open)


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


def _info(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io import is_report

    if is_report(parsed.path):
        _info_report(parsed)
        return
    volumes = read_volumes(parsed.path, on_irregular=parsed.on_irregular)
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


def _info_report(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io import read_report

    report = read_report(parsed.path)
    if parsed.json:
        findings = [_describe_finding(finding) for finding in report.findings]
        found = {"path": str(parsed.path), "report": {"name": report.name, "findings": findings}}
        print(json.dumps({**found, "warnings": list(report.warnings)}, indent=2))
        return
    print(f"{report.name} · {len(report.findings)} finding{'s' * (len(report.findings) != 1)}")
    for number, finding in enumerate(report.findings, 1):
        parts = [finding.label]
        if finding.box is not None:
            parts.append("at " + ", ".join(f"{v:.1f}" for v in finding.box.center) + " mm")
            parts.append(" x ".join(f"{v:.1f}" for v in finding.box.size) + " mm")
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
    from napari_radcnn.io import is_report
    from napari_radcnn.io.dicom_results.deidentify import doubts
    from napari_radcnn.io.reference import as_labels, check_reference

    target = parsed.output
    check_output(target, parsed.overwrite)
    if is_report(parsed.input):
        _convert_report(parsed)
        return
    check_reference(parsed.reference, target)
    deidentify = _deidentify(parsed)
    volume = choose(read_volumes(parsed.input, on_irregular=parsed.on_irregular), parsed.input, parsed.select)
    warn(volume.warnings)
    if target.name.lower().endswith(".dcm"):
        volume = as_labels(volume, target)
    write_with_manifest(volume, target, overwrite=parsed.overwrite, reference=parsed.reference, deidentify=deidentify)
    if deidentify and not volume.metadata.is_label:
        warn(doubts(volume))
    print(f"written: {target}")


def _convert_report(parsed: argparse.Namespace) -> None:
    """Write the places of a report as JSON or CSV."""
    from napari_radcnn.io import read_report, write

    if parsed.output.suffix.lower() not in (".json", ".csv"):
        raise WriteError(f"{parsed.output}: the findings of a report are written to .json or .csv.")
    report = read_report(parsed.input)
    warn(report.warnings)
    without = len(report.findings) - len(report.detections.boxes)
    if without:
        warn([f"{without} of {len(report.findings)} findings have no place in the patient and are left out."])
    write(report.detections, parsed.output, overwrite=parsed.overwrite, deidentify=_deidentify(parsed))
    print(f"written: {parsed.output}")


def _deidentify(parsed: argparse.Namespace) -> bool | Deidentifier:
    from napari_radcnn.io import Deidentifier

    if parsed.deidentify_key is None:
        return bool(parsed.deidentify)
    try:
        return Deidentifier(parsed.deidentify_key.read_bytes())
    except OSError as error:
        raise ReadError(f"{parsed.deidentify_key}: the key cannot be read: {error.strerror or error}.") from error


def _open(parsed: argparse.Namespace) -> None:
    # A process of its own: the command line stays free of Qt, and a viewer's crash is not ours.
    finished = subprocess.run([sys.executable, "-m", "napari_radcnn.gui", *parsed.paths], check=False)  # noqa: S603
    if finished.returncode:
        raise SystemExit(finished.returncode)
