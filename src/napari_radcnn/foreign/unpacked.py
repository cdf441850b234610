"""Archives of models, unpacked once into the cache and found again by their SHA-256."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from napari_radcnn.io.archive import unpack
from napari_radcnn.spec.weights import file_sha256
from napari_radcnn.user_folders import cache_folder


def unpacked(path: Path) -> Path:
    """Return the folder that holds what is in an archive.

    Sizes, ratios, names and links are checked before and while it is unpacked, see `napari_radcnn.io.archive`; it gets
    its place in the cache when all of it is there.

    Raises
    ------
    ReadError
        If the archive is damaged, unsafe, or would take too much room.
    """
    place = _cache() / file_sha256(path)
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=place.parent))
    try:
        unpack(path, temporary)
        try:
            temporary.rename(place)
        except OSError:
            if not place.is_dir():  # another process was faster: its folder holds the same
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return place


def _cache() -> Path:
    return cache_folder() / "unpacked-models"
