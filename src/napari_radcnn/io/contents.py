"""What a folder holds besides DICOM: the images of other formats in it, one of every pair of files."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from napari_radcnn.io.formats import NOT_IN_FOLDERS, sniff


def folder_images(folder: Path, known: Set[Path] = frozenset()) -> list[Path]:
    """Return the images of the folder that are not DICOM (`known` are), one of every pair of files."""
    images = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".zarr" and path.is_dir():
            images.append(path)
            continue
        if path in known or not path.is_file() or path.stat().st_size == 0:
            continue
        found = sniff(path)
        if found is None or found in NOT_IN_FOLDERS:
            continue
        name = path.name.lower()
        if name.endswith((".img", ".img.gz")) and path.with_name(path.name.replace(".img", ".hdr")).exists():
            continue
        images.append(path)
    return images
