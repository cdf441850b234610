"""A result and, beside it, the manifest that says what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_radcnn.errors import WriteError
from napari_radcnn.files import atomic_path, check_name, check_target, file_hash, together
from napari_radcnn.io.dicom_results import Reference
from napari_radcnn.io.dicom_results.deidentify import Deidentifier, public_manifest
from napari_radcnn.io.writing import refuse_inputs, write
from napari_radcnn.manifest import manifest_path
from napari_radcnn.results import Result


def write_with_manifest(
    obj: Result,
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
        If a file is in the way or an input, or cannot be written; neither of the two is left alone then.
    """
    check_name(path)
    refuse_inputs(obj, path, reference)
    manifest, target = dict(obj.provenance), manifest_path(path)
    if deidentify:
        manifest = public_manifest(obj)
    if not manifest and not overwrite and target.exists():
        raise WriteError(f"{target}: this manifest belongs to another file of this name; choose another name.")
    if manifest:
        check_target(target, overwrite)
    with together() as group:
        write(obj, path, overwrite=overwrite, reference=reference, deidentify=deidentify)
        if not manifest:
            group.remove(target)
            return [path]
        write_manifest(manifest, path, overwrite=overwrite, names_files=not deidentify)
    return [path, target]


def write_manifest(manifest: Mapping[str, Any], path: Path, *, overwrite: bool, names_files: bool = True) -> None:
    """Write the manifest of what was written as `path` in the same `together`.

    Parameters
    ----------
    manifest : mapping
        What made it.
    path, overwrite
        As of `write_with_manifest`.
    names_files : bool
        Whether it says which files were written, and their hashes: a name that somebody typed may be the patient's.

    Raises
    ------
    WriteError
        If the manifest is in the way, or cannot be written.
    """
    target = manifest_path(path)
    with together() as group, atomic_path(target, overwrite=overwrite) as temporary:
        hashes = {written.name: file_hash(group.where(written)) for written in group.targets}
        named = {"output": path.name, "files": hashes} if names_files else {}
        text = json.dumps({**manifest, **named}, indent=2)
        temporary.write_text(f"{text}\n", encoding="utf-8")
