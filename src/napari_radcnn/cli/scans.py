"""``radcnn convert | open``: scans in another format, in the viewer."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_radcnn.cli.common import (
    add_on_irregular,
    add_pixel_size,
    add_select,
    check_output,
    choose,
    read_volumes,
    warn,
)
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.schemas import label_store

if TYPE_CHECKING:
    from napari_radcnn.io import Deidentifier


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of this module."""
    convert = commands.add_parser(
        "convert",
        help="convert a scan to another format, keeping its position in the patient",
        description="Convert a scan or a label map to another format, keeping its position in the patient. The "
        "suffix of OUT sets the format; without a suffix, OUT is a folder with a DICOM series.",
    )
    convert.add_argument("input", metavar="IN", type=Path)
    convert.add_argument("output", metavar="OUT", type=Path)
    add_select(convert)
    add_on_irregular(convert)
    add_pixel_size(convert)
    _add_export(convert)
    convert.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    convert.set_defaults(command=_convert)

    viewer = commands.add_parser("open", help="open napari with the RadCNN reader, layers and panel")
    viewer.add_argument("paths", metavar="PATH", nargs="*")
    viewer.set_defaults(command=_open)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference",
        metavar="PATH",
        type=Path,
        help=(
            "the DICOM series that IN belongs to, needed to write DICOM from a file that is not DICOM, such as a "
            "NIfTI label map"
        ),
    )
    parser.add_argument(
        "--deidentify",
        action="store_true",
        help="leave out the patient's name, numbers, dates, UIDs and free text (DICOM PS3.15, Basic Profile); what "
        "the voxels show stays, such as a face or text in the image",
    )
    parser.add_argument(
        "--deidentify-key",
        metavar="FILE",
        type=Path,
        help="the same, with new UIDs derived from the bytes of FILE (at least 16, keep them secret): files written "
        "with the same key refer to each other; without a key, each call makes unrelated UIDs",
    )


def _convert(parsed: argparse.Namespace) -> None:
    from napari_radcnn.io import Kind, kind_of
    from napari_radcnn.io.dicom_results.deidentify import doubts
    from napari_radcnn.io.reference import as_labels, check_reference
    from napari_radcnn.io.targets import refuse_sources

    target = parsed.output
    given = (parsed.input, parsed.reference, parsed.deidentify_key)
    refuse_sources(target, [path for path in given if path is not None])
    check_output(target, parsed.overwrite)
    if kind_of(parsed.input) is Kind.REPORT:
        _convert_report(parsed)
        return
    check_reference(parsed.reference, target)
    deidentify = _deidentify(parsed)
    volumes = read_volumes(parsed.input, on_irregular=parsed.on_irregular, pixel_size=parsed.pixel_size)
    volume = choose(volumes, parsed.input, parsed.select)
    warn(volume.warnings)
    if target.name.lower().endswith(".dcm") or label_store(target) is not None:
        volume = as_labels(volume, target)
    write_with_manifest(volume, target, overwrite=parsed.overwrite, reference=parsed.reference, deidentify=deidentify)
    if deidentify and not volume.metadata.is_label:
        warn(doubts(volume))
    print(f"written: {target}")


def _convert_report(parsed: argparse.Namespace) -> None:
    """Write the places of a report as JSON or CSV."""
    from napari_radcnn.io import read_report, write

    if parsed.output.suffix.lower() not in (".json", ".csv"):
        raise WriteError(f"{parsed.output}: the findings of a report can only be written to .json or .csv.")
    report = read_report(parsed.input)
    warn(report.warnings)
    without = len(report.findings) - len(report.detections.boxes)
    if without:
        warn([f"{without} of {len(report.findings)} findings have no position in the patient and are left out."])
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
