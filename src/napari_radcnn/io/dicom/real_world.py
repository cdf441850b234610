"""Real world values: what a stored value stands for, with its unit (DICOM PS3.3, C.7.6.16.2.11).

A file may have several mappings, each of another quantity, or tables. One that is linear and has a UCUM unit says
what the voxels are; which of several is meant nobody knows, so that these are named in a warning instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.frames import Frame
from napari_radcnn.io.dicom.headers import damage, floats, number, text

_SEQUENCE = "RealWorldValueMappingSequence"
_PHILIPS_SCALE = (0x2005, "Philips MR Imaging DD 001")
_SCALE_SLOPE = 0x0E
#: UCUM codes that we write in another way: none, and Hounsfield units.
_UNITS = {"1": "", "[hnsf'U]": "HU"}


@dataclass(frozen=True)
class Mapping:
    """A linear mapping: ``real = stored * slope + intercept``.

    Attributes
    ----------
    slope, intercept : float
        Both finite.
    units : str
        As a volume names them; empty for numbers without a unit.
    first, last : float or None
        The stored values for which it holds, where the file says so.
    """

    slope: float
    intercept: float
    units: str
    first: float | None
    last: float | None


def real_world_mappings(
    frames: Sequence[Frame], rescales: Sequence[tuple[float, float]]
) -> tuple[list[Mapping] | None, list[str]]:
    """Return the mapping of every frame, and what to say.

    Parameters
    ----------
    frames : sequence of Frame
        Those of one volume that is no PET scan.
    rescales : sequence of (float, float)
        Slope and intercept of the rescale of each.

    Returns
    -------
    list of Mapping or None
        One for each frame; None where the rescaled values stay.
    list of str
        Which mappings are not applied and why, that one replaces a rescale, and Philips's own scale.

    Raises
    ------
    ReadError
        If only some frames have a mapping, or their units differ.
    """
    items = [frame.tags.items(_SEQUENCE) for frame in frames]
    scale = _philips_scale(frames)
    if not any(items):
        return None, scale
    bare = next((frame for frame, found in zip(frames, items, strict=True) if not found), None)
    if bare is not None:
        raise ReadError(
            f"{bare.label}: the real world value mapping is missing, but other slices of the series have one: the "
            "values are unknown; remove the slice or export the series again."
        )
    if scale:
        why = "the Philips scale slope is given as well"
        return None, [*scale, _not_applied(why, [item for found in items for item in found])]
    mappings = []
    for frame, found in zip(frames, items, strict=True):
        mapping = _mapping(frame, found)
        if isinstance(mapping, str):
            return None, [_not_applied(mapping, found)]
        mappings.append(mapping)
    other = next((n for n, mapping in enumerate(mappings) if mapping.units != mappings[0].units), None)
    if other is not None:
        raise ReadError(
            f"{frames[0].label} and {frames[other].label}: their real world values have different units "
            f"({_named(mappings[0])} and {_named(mappings[other])}); export the series again."
        )
    same = all((m.slope, m.intercept) == rescale for m, rescale in zip(mappings, rescales, strict=True))
    if same or all(rescale == (1.0, 0.0) for rescale in rescales):
        return mappings, []
    return mappings, [
        f"The values are the file's real world values ({_named(mappings[0])}), not those of its rescale slope."
    ]


def range_note(
    array: npt.NDArray[Any], frames: Sequence[Frame], mappings: Sequence[Mapping], padding: float | None
) -> list[str]:
    """Say how many voxels lie outside the range for which the mapping holds.

    Parameters
    ----------
    array : (k, j, i) array
        Real world values of the frames.
    frames : sequence of Frame
        As many.
    mappings : sequence of Mapping
        Of each frame.
    padding : float or None
        A value that is no picture, and does not count.
    """
    count = 0
    for pixels, mapping in zip(array, mappings, strict=True):
        if mapping.first is None or mapping.last is None:
            continue
        ends = [stored * mapping.slope + mapping.intercept for stored in (mapping.first, mapping.last)]
        rounding = max(abs(mapping.slope) / 2, 1e-6 * max(abs(end) for end in ends))
        outside = (pixels < min(ends) - rounding) | (pixels > max(ends) + rounding)
        count += int(np.count_nonzero(outside if padding is None else outside & (pixels != padding)))
    if not count:
        return []
    return [
        f"{count} voxels lie outside the range in which the real world value mapping is valid ({frames[0].label} and "
        "on); their values are extrapolated."
    ]


def _mapping(frame: Frame, items: Sequence[Any]) -> Mapping | str:
    """Return the one linear mapping of a frame, or why there is none."""
    if len(items) > 1:
        return "there are several, and the file does not say which to use"
    (item,) = items
    slope, intercept = (number(item, f"RealWorldValue{name}", frame.path) for name in ("Slope", "Intercept"))
    if slope is None or intercept is None:
        return "it is not linear (no RealWorldValueSlope and RealWorldValueIntercept)"
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        return "its slope or intercept is not a usable number"
    try:
        code = item.get("MeasurementUnitsCodeSequence")[0]
    except damage():
        return "it has no unit (MeasurementUnitsCodeSequence)"
    unit = text(code, "CodeValue")
    if text(code, "CodingSchemeDesignator").upper() != "UCUM" or not unit:
        return "its unit is not a UCUM code"
    first, last = (_end(item, f"RealWorldValue{name}ValueMapped", frame) for name in ("First", "Last"))
    return Mapping(slope, intercept, _UNITS.get(unit, unit), first, last)


def _end(item: Any, keyword: str, frame: Frame) -> float | None:
    for name in (keyword, f"DoubleFloat{keyword}"):
        values = floats(item, name, frame.path)
        if values and math.isfinite(values[0]):
            return values[0]
    return None


def _named(mapping: Mapping) -> str:
    return mapping.units or "no unit"


def _not_applied(why: str, items: Sequence[Any]) -> str:
    """Name mappings by their unit codes, which come from a list; labels are typed by people."""
    units = []
    for item in items:
        try:
            units.append(text(item.get("MeasurementUnitsCodeSequence")[0], "CodeValue"))
        except damage():
            units.append("")
    named = ", ".join(dict.fromkeys(unit[:16] or "no unit" for unit in units))
    return (
        f"The real world value mapping of the file ({named}) is not applied: {why}. The values are those of "
        "RescaleSlope, or as stored where there is none."
    )


def _philips_scale(frames: Sequence[Frame]) -> list[str]:
    """Say what Philips's scale slope is: the values of MR scans are those of RescaleSlope, as displayed."""
    frame = frames[len(frames) // 2]
    if not text(frame.instance.tags, "Manufacturer").upper().startswith("PHILIPS"):
        return []
    try:
        scale = float(frame.tags.private_text(_PHILIPS_SCALE, _SCALE_SLOPE))
    except ValueError:
        return []
    if not math.isfinite(scale) or scale == 0:
        return []
    return [
        f"Philips: the values are those of RescaleSlope; the Scale Slope (2005,100E) of {scale:.6g} is not applied, "
        "so the values of different scans may not be comparable."
    ]
