"""What is written is not what is read: a target that is, holds or lies in a source is refused before any work.

Files are compared by device and number, not by name: symbolic and hard links, relative paths and file systems that do
not tell capitals apart then make no difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_radcnn.errors import WriteError
from napari_radcnn.io.nifti import halves
from napari_radcnn.manifest import manifest_path
from napari_radcnn.schemas import label_store

#: What the header of a pair says of where the voxels lie (MetaImage, NRRD).
_DATA_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file:)\s*([^\r\n]+?)\s*$", re.IGNORECASE | re.MULTILINE)
_HEADERS, _HEADER_BYTES = (".mhd", ".nhdr"), 1 << 20

_Identity = tuple[int, int]


def sources_of(obj: object) -> list[Path]:
    """Return the files and folders that a scan or a result was made from, as far as it knows them.

    Parameters
    ----------
    obj : Volume or another result
        Its metadata and its manifest are asked.
    """
    source = getattr(getattr(obj, "metadata", None), "source", None)
    return [*([] if source is None else [Path(source)]), *sources_in(getattr(obj, "provenance", {}))]


def sources_in(manifest: Mapping[str, Any]) -> list[Path]:
    """Return the paths of the inputs that a manifest names."""
    inputs = manifest.get("inputs")
    named = [manifest.get("input"), *(inputs.values() if isinstance(inputs, Mapping) else ())]
    paths = [one.get("path") for one in named if isinstance(one, Mapping)]
    return [Path(path) for path in dict.fromkeys(paths) if isinstance(path, str) and path]


def refuse_sources(target: Path, sources: Iterable[Path]) -> None:
    """Refuse a target that is, holds or lies in a source; so for what is written beside it, such as its manifest.

    Labels that are added to the store of their scan, ``STORE.ome.zarr/labels/NAME``, are let through.

    Parameters
    ----------
    target : path
        What is to be written.
    sources : iterable of path
        What is read: files, folders, stores. One that is not there is passed over.

    Raises
    ------
    WriteError
        Naming the source.
    """
    places, store = _written(target), label_store(target)
    for source in dict.fromkeys(map(Path, sources)):
        is_own_store = store is not None and _identity(store) == _identity(source)
        for place in places:
            what = next(filter(None, (_relation(place, part) for part in _parts(source))), "")
            if what == "lies in" and is_own_store and place == target:
                continue
            if what:
                raise WriteError(_message(target, place, what, source))


def _message(target: Path, place: Path, what: str, source: Path) -> str:
    named = "" if place == target else f"'{place.name}', which is written with it, "
    return (
        f"{target}: {named}{what} the input '{source.name or source}', which must not be changed; choose another "
        "location."
    )


def _written(target: Path) -> list[Path]:
    """Return what is written under a name: the file or folder, its other half, its manifest."""
    name, places = target.name.lower(), [target]
    if name:
        places.append(manifest_path(target))
    if name.endswith(".mhd"):
        places.append(target.with_suffix(".zraw"))
    if name.endswith(".sr.dcm"):
        places.append(target.with_name(f"{target.name[: -len('.sr.dcm')]}.seg.dcm"))
    return places


def _parts(source: Path) -> Iterator[Path]:
    """Yield a source, its other half, and where the links in it lead."""
    yield source
    yield from halves(source)
    if source.name.lower().endswith(_HEADERS) and source.is_file():
        with source.open("rb") as file:
            found = _DATA_FILE.search(file.read(_HEADER_BYTES))
        if found is not None:
            yield source.parent / os.fsdecode(found[1])
    if source.is_dir():
        yield from (entry for entry in _entries(source) if entry.is_symlink())


def _entries(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _relation(place: Path, source: Path) -> str:
    """Return ``"is"``, ``"holds"`` or ``"lies in"``; empty where the two have nothing to do with each other."""
    theirs, ours = _identity(source), _identity(place)
    if theirs is None:
        return ""
    if ours == theirs:
        return "is"
    if theirs in _above(place):
        return "lies in"
    if ours is None:
        return ""
    if ours in _above(source):
        return "holds"
    # a second name of a file in a folder (hard link)
    if place.is_file() and place.stat().st_nlink > 1 and source.is_dir():
        return "is a file of" if any(_identity(entry) == ours for entry in _entries(source)) else ""
    return ""


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # not there, or no name that could be
        return None
    return found.st_dev, found.st_ino


def _above(path: Path) -> set[_Identity | None]:
    """Return the folders that a path lies in, by its name and by where it leads."""
    try:
        named, led = path.parent.resolve(), path.resolve().parent
    except (OSError, RuntimeError):  # links in a circle
        return set()
    return {_identity(folder) for start in (named, led) for folder in (start, *start.parents)} - {None}
