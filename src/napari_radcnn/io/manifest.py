"""A result and, beside it, the manifest that says what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import atomic_path, write_error
from napari_radcnn.io.dicom_results import Reference
from napari_radcnn.io.dicom_results.deidentify import Deidentifier, shareable
from napari_radcnn.io.writing import write
from napari_radcnn.results import Classification, Detections, LabelMap
from napari_radcnn.schemas import MANIFEST, MANIFEST_SUFFIX, check_schema
from napari_radcnn.volume import Volume


def manifest_path(path: Path) -> Path:
    """Return where the manifest of a file lies."""
    return path.with_name(f"{path.name}{MANIFEST_SUFFIX}")


def manifest_of(obj: Volume | LabelMap | Detections | Classification) -> Mapping[str, Any]:
    """Return what made a result; empty for a scan."""
    return obj.metadata.provenance if isinstance(obj, Volume) else obj.provenance


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest beside a file, without the file's own name; empty where there is none that can be read.

    Raises
    ------
    ReadError
        If a newer version of this package wrote it.
    """
    beside = manifest_path(path)
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    check_schema(found.get("schema"), MANIFEST, beside, ReadError)
    return {key: value for key, value in found.items() if key != "output"}


def write_with_manifest(
    obj: Volume | LabelMap | Detections | Classification,
    path: Path,
    *,
    overwrite: bool = False,
    reference: Reference | None = None,
    deidentify: bool | Deidentifier = False,
) -> list[Path]:
    """Write a scan or a result and, where something made it, its manifest beside it; return what was written.

    Parameters
    ----------
    obj, path, overwrite, reference, deidentify
        As `napari_radcnn.write` takes them. With `overwrite`, the manifest of a file that is replaced by something no
        model made goes too: it would speak of another.

    Raises
    ------
    WriteError
        If a file is in the way, or cannot be written; neither of the two is left alone then.
    """
    manifest, target = manifest_of(obj), manifest_path(path)
    if deidentify:
        manifest = shareable(manifest)
    if not manifest:
        if not overwrite and target.exists():
            raise WriteError(f"{target}: the manifest of another file of this name; choose another name.")
        write(obj, path, overwrite=overwrite, reference=reference, deidentify=deidentify)
        try:
            target.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(target, error) from error
        return [path]
    # The manifest is on the disk before the result takes its name, so that neither stands alone.
    with atomic_path(target, overwrite=overwrite) as temporary:
        text = json.dumps({**manifest, "output": path.name}, indent=2)
        temporary.write_text(f"{text}\n", encoding="utf-8")
        write(obj, path, overwrite=overwrite, reference=reference, deidentify=deidentify)
    return [path, target]
