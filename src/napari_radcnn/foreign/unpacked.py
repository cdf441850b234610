"""Archives of models, unpacked once into the cache and found again by their SHA-256."""

from __future__ import annotations

import shutil
from pathlib import Path

from napari_radcnn.errors import ModelError
from napari_radcnn.files import hidden_path, make_ready, owned, write_text
from napari_radcnn.io.archive import unpack
from napari_radcnn.spec.trust import tree_sha256
from napari_radcnn.spec.weights import file_sha256
from napari_radcnn.user_folders import cache_folder

#: How long another process may take to unpack the same archive, s.
_WAIT_SECONDS = 600.0


def unpacked(path: Path) -> Path:
    """Return the folder that holds what is in an archive.

    Sizes, ratios, names and links are checked before and while it is unpacked, see `napari_radcnn.io.archive`; it gets
    its place in the cache when all of it is there. It is taken from there only as it was put there: a file that was
    edited, added, damaged or removed since makes it unpacked anew.

    Raises
    ------
    ReadError
        If the archive is damaged, unsafe, or would take too much room.
    WriteError
        If another process unpacks it for ten minutes.
    """
    place = _cache() / file_sha256(path)
    if place.is_dir() and _is_whole(place):
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    make_ready(place.parent)
    with owned(place, wait=_WAIT_SECONDS):
        if not (place.is_dir() and _is_whole(place)):  # another process was faster
            _unpack(path, place)
    return place


def _unpack(path: Path, place: Path) -> None:
    temporary, aside = hidden_path(place), hidden_path(place)
    try:
        temporary.mkdir(mode=0o700)
        unpack(path, temporary)
        whole = tree_sha256(temporary)
        if place.is_dir():
            place.rename(aside)
        temporary.rename(place)
        write_text(_sum_of(place), whole, overwrite=True)
    finally:
        for left in (temporary, aside):
            shutil.rmtree(left, ignore_errors=True)


def _sum_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.sha256")


def _is_whole(place: Path) -> bool:
    try:
        return _sum_of(place).read_text(encoding="ascii").strip() == tree_sha256(place)
    except (OSError, ValueError, ModelError):  # kept by an earlier version, or damaged
        return False


def _cache() -> Path:
    return cache_folder() / "unpacked-models"
