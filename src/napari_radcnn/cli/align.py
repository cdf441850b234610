"""``radcnn align``: where one scan lies in the patient space of another."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from napari_radcnn.cli.common import Progress, check_output, choose, keeping, read_volumes, warn
from napari_radcnn.cli.signals import cancelling
from napari_radcnn.errors import GeometryError, WriteError

_JSON = ".json"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command of this module."""
    align = commands.add_parser(
        "align",
        help="find where one scan lies in the patient space of another",
        description="Find where MOVING lies in the patient space of FIXED, as a rotation and a translation, from the "
        "voxels of both (mutual information): of one patient, in any contrast, also where one shows only a part of the "
        "other. Neither is resampled: OUT.json holds the transform, any other OUT the moving scan, voxel for voxel, on "
        "its moved grid. Scans that do not seem to belong together are refused.",
    )
    align.add_argument("fixed", metavar="FIXED", type=Path, help="file or folder whose patient space is kept")
    align.add_argument("moving", metavar="MOVING", type=Path, help="file or folder of the scan that is moved")
    align.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help=".json for the transform; .nii.gz, .nrrd, ... for the scan"
    )
    align.add_argument("--select-fixed", metavar="N", type=int, help="which volume to use if FIXED contains several")
    align.add_argument("--select-moving", metavar="N", type=int, help="which volume to use if MOVING contains several")
    align.add_argument("--anyway", action="store_true", help="write OUT of scans that do not seem to belong together")
    align.add_argument("--json", action="store_true", help="print JSON")
    align.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    align.set_defaults(command=_align)


def _align(parsed: argparse.Namespace) -> None:
    from napari_radcnn.alignment import align, write_alignment
    from napari_radcnn.alignment.record import describe
    from napari_radcnn.io import write

    target: Path | None = parsed.output
    if target is not None:
        _check_target(target, parsed)
    with cancelling() as cancel:
        progress = Progress()
        try:
            volumes = [
                choose(read_volumes(path, progress, cancel), path, select)
                for path, select in ((parsed.fixed, parsed.select_fixed), (parsed.moving, parsed.select_moving))
            ]
            fixed, moving = volumes
            warn(list(dict.fromkeys((*fixed.warnings, *moving.warnings))))
            found = align(fixed, moving, progress=progress, cancel=cancel)
        finally:
            progress.close()
        if parsed.json:
            print(json.dumps(describe(found), indent=2, ensure_ascii=False))
        elif found.belongs_together:
            print(found.summary())
        if not found.belongs_together and not parsed.anyway:
            raise GeometryError(f"{found.summary()} Nothing was written; --anyway writes it.")
        warn([found.summary()] if found.doubts else [])
        if target is None:
            return
        with keeping(target):
            if target.suffix.lower() == _JSON:
                write_alignment(found, target, parsed.overwrite)
            else:
                write(found.moved(moving), target, overwrite=parsed.overwrite)
    if not parsed.json:
        print(f"written: {target}")


def _check_target(target: Path, parsed: argparse.Namespace) -> None:
    """Refuse before the work what could not be written after it.

    Raises
    ------
    WriteError
        If it is one of the scans, DICOM, or no file that can be written.
    """
    from napari_radcnn.io.formats import writable_suffixes
    from napari_radcnn.io.targets import refuse_sources

    refuse_sources(target, [parsed.fixed, parsed.moving])
    check_output(target, parsed.overwrite)
    name = target.name.lower()
    known = [suffix for suffix in writable_suffixes() if not suffix.endswith(".dcm")]
    if target.suffix.lower() != _JSON and not any(name.endswith(suffix) for suffix in known):
        raise WriteError(
            f"{target}: the transform is written to .json, the moved scan to {', '.join(known)}; a DICOM series "
            "keeps its own place."
        )
