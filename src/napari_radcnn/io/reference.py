"""What a file of another format lacks to become a DICOM object: the series it belongs to, and whether it is labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.io.dicom_results.source import Reference, find_series
from napari_radcnn.volume import Volume

#: More different values than this are a picture's, not labels'.
_MOST_LABELS = 256
_LARGEST_LABEL = 65535


def check_reference(reference: Path | None, target: Path) -> None:
    """Refuse a reference to a DICOM series where it cannot be used.

    Parameters
    ----------
    reference : path or None
        The series.
    target : path
        What is to be written.

    Raises
    ------
    WriteError
        If `target` is no name of a DICOM object: one that ends in ``.dcm``, or one without a suffix, of a folder.
    ReadError
        If `reference` does not exist.
    """
    if reference is None:
        return
    if target.suffix and not target.name.lower().endswith(".dcm"):
        raise WriteError(f"{target}: a reference is only needed to write DICOM: a name that ends in .dcm, or a folder.")
    if not reference.exists():
        raise ReadError(
            f"{reference}: no such file or folder; the reference must be the DICOM series that the result belongs to."
        )


def as_labels(volume: Volume, target: Path) -> Volume:
    """Return a volume marked as labels, if its values can be: most formats do not say what they hold.

    Raises
    ------
    WriteError
        If the values are not whole numbers from 0 to 65535, or more than 256 different ones.
    """
    if volume.metadata.is_label:
        return volume
    values = np.unique(volume.array)
    if (
        volume.is_color
        or len(values) > _MOST_LABELS
        or values[0] < 0
        or values[-1] > _LARGEST_LABEL
        or np.any(values % 1)
    ):
        raise WriteError(
            f"{target}: a name that ends in .dcm is for labels, but the values of this image are not labels (whole "
            f"numbers from 0, at most {_MOST_LABELS} different ones). An image is written as a DICOM series in a "
            "folder: use a name without a suffix."
        )
    return volume.with_array(volume.array, is_label=True)


def check_place(volume: Volume, target: Path, reference: Reference) -> None:
    """Refuse an image that lies wholly beside the series it is said to belong to: that of another patient, perhaps.

    An image on another grid, such as a finer one, is none the less one of the series' study.

    Raises
    ------
    WriteError
        If the boxes around the two in the patient do not touch, or the series cannot be found.
    """
    boxes = [
        (corners.min(axis=0), corners.max(axis=0))
        for corners in (volume.geometry.corners, find_series(volume, target, reference).geometry.corners)
    ]
    (low, high), (series_low, series_high) = boxes
    apart = float(np.maximum(low - series_high, series_low - high).max())
    if apart > 0:
        raise WriteError(
            f"{target}: the image is {apart:.0f} mm off from the DICOM series given as its reference; use the series "
            "it was made from."
        )
