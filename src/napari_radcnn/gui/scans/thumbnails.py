"""Small pictures of scans for the list: one slice each, read beside the viewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage

from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.scans.folder import ListedScan
from napari_radcnn.io import SeriesInfo, read
from napari_radcnn.progress import CancelEvent
from napari_radcnn.volume import Volume

#: Of a picture's longer side, pixels, and of the file it is read from, bytes.
SIDE, _MOST_BYTES = 44, 48 << 20


def thumbnails(scans: Sequence[ListedScan], cancel: CancelEvent) -> Iterator[tuple[int, QImage]]:
    """Yield the place in the list and the picture of every scan that has one; what cannot be read has none."""
    for n, scan in enumerate(scans):
        if cancel.is_set():
            return
        file = _file_of(scan)
        if file is None:
            continue
        try:
            picture = thumbnail(read(file)[0])
        except (RadcnnError, OSError, MemoryError):  # the list says what is wrong with it, or loading it will
            continue
        yield n, picture


def thumbnail(volume: Volume) -> QImage:
    """Return the middle slice of a volume, as the viewer shows it at first, the longer side `SIDE` pixels."""
    is_upright = volume.metadata.is_placed and volume.metadata.source_format != "DICOM"
    axes = volume.geometry.axis_map("SPL") if is_upright else None
    spacing = (volume.geometry if axes is None else volume.geometry.reoriented(axes)).spacing[1:]
    shown = volume.array if axes is None else axes.apply(volume.array)
    plane = np.asarray(shown[shown.shape[0] // 2])
    height, width = plane.shape[:2]
    if volume.is_color:
        pixels = np.ascontiguousarray(plane)
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    else:
        pixels = _gray(plane, volume)
        image = QImage(pixels.data, width, height, width, QImage.Format.Format_Grayscale8)
    extent = (height * spacing[0], width * spacing[1])
    sides = [max(1, round(SIDE * mm / max(extent))) for mm in extent]
    ratio, mode = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
    return image.scaled(sides[1], sides[0], ratio, mode).copy()  # the pixels end here


def _gray(plane: npt.NDArray[Any], volume: Volume) -> npt.NDArray[np.uint8]:
    low, high = volume.contrast_limits()
    scaled = np.clip((np.nan_to_num(plane.astype(np.float32)) - low) / max(high - low, 1e-6), 0, 1)
    scaled = 1 - scaled if volume.metadata.is_inverted else scaled
    return np.ascontiguousarray((255 * scaled).astype(np.uint8))


def _file_of(scan: ListedScan) -> Path | None:
    """Return the one file to read for a picture; None where that would take long, or there is none."""
    if isinstance(scan.source, SeriesInfo):
        file = None if scan.is_result else scan.source.files[len(scan.source.files) // 2]
    else:
        file = scan.source
    return file if file is not None and file.is_file() and file.stat().st_size <= _MOST_BYTES else None
