"""What a DICOM segmentation says of its segments: names, colors, and the values that their labels had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.io.dicom.headers import text
from napari_radcnn.io.dicom_results.identifier import value_of
from napari_radcnn.volume import Label

if TYPE_CHECKING:
    from pydicom import Dataset

#: What a color's three numbers of 16 bits stand for: L* from 0 to 100, a* and b* from -128 (DICOM PS3.3, C.10.7.1.1).
_SCALE, _OFFSET = np.array([100.0, 255.0, 255.0]) / 65535, np.array([0.0, 128.0, 128.0])


def segment_label(number: int, item: Dataset) -> Label:
    """Return name and color of a segment."""
    return Label(text(item, "SegmentLabel") or f"segment {number}", _color(item))


def segment_values(described: Mapping[int, Dataset], *, is_ours: bool) -> dict[int, int]:
    """Return the value that the label of each segment has in the volume.

    Parameters
    ----------
    described : mapping of int to Dataset
        The items of the SegmentSequence, by segment number.
    is_ours : bool
        Whether this program wrote them: segments are numbered 1, 2, ... without a gap (DICOM PS3.3, C.8.20.2), so the
        values stand in the tracking identifiers.

    Returns
    -------
    dict of int to int
        The segment numbers themselves where there is nothing else to go by.
    """
    numbers = {number: number for number in described}
    found = {number: value_of(text(item, "TrackingID")) for number, item in described.items()} if is_ours else {}
    values = {number: value for number, value in found.items() if value is not None}
    return values if len(set(values.values())) == len(described) else numbers


def _color(item: Dataset) -> tuple[float, float, float] | None:
    """Return the color, as sRGB in 0..1; None where the segment has none, or a damaged one."""
    given = item.get("RecommendedDisplayCIELabValue")
    if given is None or isinstance(given, int) or len(given) != 3:
        return None
    from skimage.color import lab2rgb

    # D65, as highdicom, dcmqi and pixelmed write colors, though the standard's space is one of D50
    lab = np.array([int(part) for part in given]) * _SCALE - _OFFSET
    red, green, blue = (min(max(round(float(part), 4), 0.0), 1.0) for part in lab2rgb(lab[None, None])[0, 0])
    return red, green, blue
