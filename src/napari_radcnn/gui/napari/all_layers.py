"""The writer behind napari's File > Save for several layers: each in a file of its own, at its place in the patient.

napari's own writer of folders writes arrays alone. Ours takes every list of layers: scans, labels and findings are
written as by themselves, and what they cannot be written as, such as shapes, is left to napari and named.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from napari_radcnn.errors import RadcnnError, WriteError
from napari_radcnn.files import together
from napari_radcnn.gui.export.saving import kind_of, result_of, safe_stem
from napari_radcnn.gui.findings.layer import review_of
from napari_radcnn.gui.layers.layers import LayerData, is_ours
from napari_radcnn.gui.layers.save_guard import WITHOUT_PLACE
from napari_radcnn.gui.layers.unsaved import note_written
from napari_radcnn.io.formats import writable_suffixes
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.results import Detections, Result
from napari_radcnn.volume import Volume

#: What a scan and its labels are written as where the name does not say it; a scan that stays in its store, as a store.
_USUAL, _STORE, _FINDINGS = ".nii.gz", ".ome.zarr", ".json"


@dataclass
class _Written:
    """What became of the layers."""

    files: list[Path] = field(default_factory=list)
    without_place: list[str] = field(default_factory=list)
    not_written: list[str] = field(default_factory=list)


def write_layers(path: str, layers: list[LayerData]) -> list[str]:
    """Write layers into a folder, one file each, or a single one into a file; return what was written.

    Parameters
    ----------
    path : str
        Name of the folder. A suffix that scans are written with, such as ``.nrrd``, sets the format of all scans and
        labels and is left out of the folder's name; without one they are written to ``.nii.gz``.
    layers : list of (data, arguments, kind)
        As napari gives them. What is no scan, labels or findings is written by napari's own writers, which keep no
        place; a warning names it, and what napari cannot write either.

    Raises
    ------
    RadcnnError
        If a file is in the way, the name asks for a format that holds no place, or a layer cannot be written; nothing
        is then.
    """
    from napari.layers import Layer
    from napari.utils.notifications import show_warning

    target, suffix = _split(Path(path))
    if len(layers) == 1:
        return _write_one(layers[0], target, suffix)
    is_new = not target.exists()
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise WriteError(f"{target}: the folder cannot be made: {error.strerror or error}.") from error
    try:
        with TemporaryDirectory(dir=target) as temporary:
            done, made = _Written(), [Layer.create(*data) for data in layers]
            with together():
                for data, layer, stem in zip(layers, made, _stems(layers), strict=True):
                    result = _result(layer)
                    if result is None:
                        _leave_to_napari(data, Path(temporary), stem, done)
                    else:
                        done.files += write_with_manifest(result, target / f"{stem}{_suffix_for(result, suffix)}")
                _refuse_existing(Path(temporary), target)
            done.files += [file.rename(target / file.name) for file in sorted(Path(temporary).iterdir())]
    except BaseException:
        if is_new:
            shutil.rmtree(target, ignore_errors=True)
        raise
    for (_, arguments, _), layer in zip(layers, made, strict=True):
        note_written(arguments, layer)
    for warning in _warnings(done):
        show_warning(warning)
    return [str(file) for file in done.files]


def _split(path: Path) -> tuple[Path, str]:
    """Return the path without the suffix of a format, and that suffix, which may be empty.

    Raises
    ------
    WriteError
        If the name asks for a format that holds no place.
    """
    if path.suffix.lower() in (*WITHOUT_PLACE, ".csv"):
        raise WriteError(
            f"{path.name}: a {path.suffix[1:].upper()} file cannot store position in the patient; give a name without "
            f"suffix for a folder, or with one of {', '.join(writable_suffixes())}."
        )
    name = path.name.lower()
    fitting = [suffix for suffix in writable_suffixes() if name.endswith(suffix) and name != suffix]
    suffix = max(fitting, key=len, default="")
    return path.with_name(path.name[: len(path.name) - len(suffix)]), suffix


def _write_one(data: LayerData, target: Path, suffix: str) -> list[str]:
    """Write a single layer to a file, which napari's dialog has asked about if it exists.

    Raises
    ------
    RadcnnError
        If it cannot be written.
    """
    from napari.layers import Layer

    layer = Layer.create(*data)
    if kind_of(layer) is None:
        raise WriteError(f"Layer '{layer.name}' is no scan, labels or findings; choose another writer in the dialog.")
    result = result_of(layer)
    file = target.with_name(f"{target.name}{_suffix_for(result, suffix)}")
    written = write_with_manifest(result, file, overwrite=True)
    note_written(data[1], layer)
    return [str(each) for each in written]


def _result(layer: Any) -> Result | None:
    """Return what a layer is written as; None where napari has to write it.

    Raises
    ------
    RadcnnError
        If it is one of ours and cannot be written: it must not lose its place.
    """
    if kind_of(layer) is None:
        return None
    try:
        return result_of(layer)
    except RadcnnError:
        if is_ours(layer) or review_of(layer) is not None:
            raise
        return None


def _suffix_for(result: Result, asked: str) -> str:
    if isinstance(result, Detections):
        return _FINDINGS
    is_stored = isinstance(result, Volume) and result.source is not None and not result.is_loaded
    return asked or (_STORE if is_stored else _USUAL)


def _stems(layers: Sequence[LayerData]) -> list[str]:
    """Return a name for the file of each layer, none twice, also where capitals are not told apart."""
    stems: list[str] = []
    used: set[str] = set()
    for n, (_, arguments, _) in enumerate(layers, 1):
        stem = safe_stem(str(arguments["name"])).replace(".", "_")
        if stem.lower() in used:
            stem = f"{stem}_{n}"
        used.add(stem.lower())
        stems.append(stem)
    return stems


def _leave_to_napari(data: LayerData, folder: Path, stem: str, done: _Written) -> None:
    """Write a layer that has no place in the patient with whatever napari has for it."""
    import npe2

    _, arguments, kind = data
    own = "napari" if kind in ("image", "labels", "points", "shapes") else None
    try:
        written = npe2.write(str(folder / stem), [data], plugin_name=own)
    except ValueError:  # there is no writer
        written = []
    (done.without_place if written else done.not_written).append(str(arguments["name"]))


def _refuse_existing(temporary: Path, folder: Path) -> None:
    """Raise if a file of the folder has the name of one that napari wrote.

    Raises
    ------
    WriteError
        Naming it.
    """
    for file in sorted(temporary.iterdir()):
        if (folder / file.name).exists():
            raise WriteError(f"{folder / file.name}: the file already exists; choose another folder.")


def _warnings(done: _Written) -> list[str]:
    named = (
        ("Written by napari's own writers, without position in the patient", done.without_place),
        ("Not written, since no writer is installed for them, or they are empty", done.not_written),
    )
    return [f"{what}: {', '.join(names)}." for what, names in named if names]
