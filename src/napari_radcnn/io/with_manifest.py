"""A result and, beside it, the manifest that says what made it."""

from __future__ import annotations

import json
from pathlib import Path

from napari_radcnn.errors import WriteError
from napari_radcnn.files import atomic_path, write_error
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
    refuse_inputs(obj, path, reference)
    manifest, target = dict(obj.provenance), manifest_path(path)
    if deidentify:
        manifest = public_manifest(obj)
    elif manifest:
        manifest["output"] = path.name
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
        temporary.write_text(f"{json.dumps(manifest, indent=2)}\n", encoding="utf-8")
        write(obj, path, overwrite=overwrite, reference=reference, deidentify=deidentify)
    return [path, target]
