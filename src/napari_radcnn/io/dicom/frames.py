"""One frame: a two-dimensional picture, where it lies, and what sets it apart from others at the same place.

A classic file has one frame; an enhanced one (DICOM PS3.3, C.7.6.16) has many, each with its own functional groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.headers import Instance, damage, floats, number, text, texts
from napari_radcnn.io.dicom.mosaic import Mosaic, find_grid, find_mosaic
from napari_radcnn.io.dicom.multiframe import detector_value, has_one_position, nuclear_key, placed

#: Direction cosines may be off length 1 and right angles by this, and are then made exact; beyond it we refuse.
_COSINE_TOLERANCE = 1e-3
#: Enhanced objects in which every frame must say where it lies.
_NEEDS_POSITIONS = (
    "1.2.840.10008.5.1.4.1.1.2.1",  # CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy converted CT
    "1.2.840.10008.5.1.4.1.1.4.1",  # MR
    "1.2.840.10008.5.1.4.1.1.4.4",  # legacy converted MR
    "1.2.840.10008.5.1.4.1.1.128.1",  # legacy converted PET
    "1.2.840.10008.5.1.4.1.1.130",  # PET
)
#: What nuclear medicine says of its detector.
_OF_DETECTOR = ("ImagePositionPatient", "ImageOrientationPatient")
#: Dimensions of an enhanced object that only say where a frame lies.
_PLACES = {0x00200032, 0x00209057, 0x00200037, 0x00201041, 0x00209113, 0x00209116}
#: RegionSpatialFormat and PhysicalUnitsXDirection of an ultrasound region (DICOM PS3.3, C.8.5.5.1.1 and .15).
_TWO_DIMENSIONAL, _CENTIMETERS = 1, 3
#: Enhanced ultrasound volumes may lie in a frame of reference of their own (DICOM PS3.3, C.8.24.2).
_ULTRASOUND_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
_IN_VOLUME_NOTE = (
    "Positions are those within the ultrasound volume (ImagePositionVolume), not in the patient: sizes are right, "
    "directions in the patient are unknown."
)
_ULTRASOUND_NOTE = "The spacing is that of the ultrasound region: measure inside it only, not in the text around it."


class FrameTags:
    """Looks attributes up in a frame's own functional groups, then in the shared ones, then in the file."""

    def __init__(self, instance: Instance, index: int) -> None:
        self._instance = instance
        self._layers: list[Any] = []
        self._groups: list[Any] = []
        for keyword, item in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
            groups = instance.tags.get(keyword)
            if groups is not None and item < len(groups):
                self._groups.append(groups[item])
                self._layers += [element.value[0] for element in groups[item] if element.VR == "SQ" and element.value]
        for group in list(self._layers):
            nested = group.get("DiffusionGradientDirectionSequence")
            self._layers += list(nested[:1]) if nested else []
        self._layers.append(instance.tags)
        self._groups.append(instance.tags)

    def get(self, keyword: str) -> Any:
        """Return the value, or None.

        Raises
        ------
        ReadError
            If the value is damaged.
        """
        try:
            if keyword in _OF_DETECTOR and keyword not in self._instance.tags:
                found = detector_value(self._instance, keyword)
                if found is not None:
                    return found
            if len(self._layers) == 1:
                return self._layers[0].get(keyword)
            return next((layer.get(keyword) for layer in self._layers if keyword in layer), None)
        except damage() as error:
            raise ReadError(f"{self._instance.path.name}: the value of {keyword} in the header is damaged.") from error

    def __contains__(self, keyword: str) -> bool:
        return any(keyword in layer for layer in self._layers)

    def items(self, keyword: str) -> list[Any]:
        """Return all items of a sequence that is a functional group, or stands in the file; empty where there are none.

        Raises
        ------
        ReadError
            If the sequence is damaged.
        """
        try:
            return list(next((group.get(keyword) for group in self._groups if keyword in group), None) or [])
        except damage() as error:
            raise ReadError(f"{self._instance.path.name}: the value of {keyword} in the header is damaged.") from error

    def private_text(self, block: tuple[int, str], offset: int) -> str:
        """Return a private element as text, by its creator (DICOM PS3.5, 7.8); empty where it is missing.

        Parameters
        ----------
        block : (int, str)
            Group and creator.
        offset : int
            The element's number within the creator's block.
        """
        for layer in [*self._layers[:-1], self._instance.dataset]:
            try:
                value = layer.private_block(*block)[offset].value
            except damage():
                continue
            if isinstance(value, bytes):  # implicit VR: the type of a private element is not known
                value = value.decode("ascii", errors="replace")
            return str(value).strip(" \0")
        return ""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of an instance.

    Attributes
    ----------
    instance : Instance
        Its file.
    index : int
        Which frame of the file, from 0.
    position : (3,) array or None
        Center of the first pixel, LPS mm.
    cosines : (2, 3) array or None
        World directions along a row (towards higher columns) and along a column, unit and at right angles.
    pixel_spacing : tuple of float or None
        mm between rows, between columns.
    tags : FrameTags
        Everything else.
    notes : tuple of str
        What must be said about it.
    tile : (slice, slice) or None
        Which rows and columns of the picture the frame is; None for all of it.
    is_in_patient : bool
        Whether the position is one in the patient, rather than in an ultrasound volume.
    """

    instance: Instance
    index: int
    position: npt.NDArray[np.float64] | None
    cosines: npt.NDArray[np.float64] | None
    pixel_spacing: tuple[float, float] | None
    tags: FrameTags
    notes: tuple[str, ...] = ()
    tile: tuple[slice, slice] | None = None
    is_in_patient: bool = True

    @property
    def path(self) -> Path:
        """The frame's file."""
        return self.instance.path

    @property
    def label(self) -> str:
        """What errors call it: the file, and the frame where there are several."""
        many = self.tile is not None or frame_count(self.instance) > 1
        return f"{self.path.name} frame {self.index + 1}" if many else self.path.name

    @cached_property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit normal of the slice; only where `cosines` are known."""
        assert self.cosines is not None
        (a, b, c), (d, e, f) = self.cosines.tolist()
        return np.array([b * f - c * e, c * d - a * f, a * e - b * d])

    @property
    def depth(self) -> float:
        """Position along the normal, mm."""
        assert self.position is not None
        return float(self.position @ self.normal)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        if self.tile is not None:
            return self.tile[0].stop - self.tile[0].start, self.tile[1].stop - self.tile[1].start
        return image_size(self.instance)[:2]

    def of(self, decoded: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the frame's part of the decoded pictures of its file, ``(pictures, rows, columns, ...)``."""
        return decoded[0][self.tile] if self.tile is not None else decoded[self.index]

    @property
    def slice_spacing(self) -> float | None:
        """What the header says about the distance of slices, for single slices and scans without positions, mm."""
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            value = number(self.tags, keyword, self.path)
            if value is not None and math.isfinite(value) and value > 0:
                return value
        return None


def image_size(instance: Instance) -> tuple[int, int, int]:
    """Return rows, columns and samples per pixel.

    Raises
    ------
    ReadError
        If they are missing or zero.
    """
    sizes = [number(instance.tags, keyword, instance.path) or 0.0 for keyword in ("Rows", "Columns")]
    if not min(sizes) >= 1:
        raise ReadError(f"{instance.path.name}: Rows or Columns is missing or zero; the file is damaged.")
    return int(sizes[0]), int(sizes[1]), int(number(instance.tags, "SamplesPerPixel", instance.path) or 1)


def frame_count(instance: Instance) -> int:
    """Return NumberOfFrames, 1 where it is missing.

    Raises
    ------
    ReadError
        If it is not positive.
    """
    count = number(instance.tags, "NumberOfFrames", instance.path)
    if count is None:
        return 1
    if not count >= 1:
        raise ReadError(f"{instance.path.name}: NumberOfFrames is {count:g}; the file is damaged.")
    return int(count)


def frames_of(instance: Instance) -> list[Frame]:
    """Return the frames of a file, whose number the caller has checked against its size.

    Raises
    ------
    ReadError
        If a position, an orientation or a spacing is no number or impossible, or an enhanced file lacks them.
    """
    count = frame_count(instance)
    sop_class = text(instance.tags, "SOPClassUID")
    groups = instance.tags.get("PerFrameFunctionalGroupsSequence")
    if sop_class in _NEEDS_POSITIONS and (groups is None or len(groups) < count):
        raise ReadError(
            f"{instance.path.name}: the PerFrameFunctionalGroupsSequence is missing or has fewer items than frames: "
            "the position of the frames is unknown; export the scan again."
        )
    frames = [_frame(instance, index, count) for index in range(count)]
    kinds = texts(frames[0].tags, "ImageType") if count == 1 else []
    if "MOSAIC" in kinds:
        return _mosaic_frames(frames[0])
    if "VFRAME" in kinds:
        return _grid_frames(frames[0])
    if sop_class in _NEEDS_POSITIONS and any(frame.position is None or frame.cosines is None for frame in frames):
        raise ReadError(
            f"{instance.path.name}: frames without position or orientation (PlanePositionSequence): where they lie is "
            "unknown; export the scan again."
        )
    if count > 1 and groups is None and has_one_position(instance):
        frames = placed(instance, frames)
    return frames


def _frame(instance: Instance, index: int, count: int) -> Frame:
    tags = FrameTags(instance, index)
    is_enhanced = instance.tags.get("PerFrameFunctionalGroupsSequence") is not None
    where = "Patient"
    if text(instance.tags, "SOPClassUID") == _ULTRASOUND_VOLUME and "ImagePositionPatient" not in tags:
        where = "Volume"
    position = _finite(tags, f"ImagePosition{where}", 3, instance)
    cosines, notes = _cosines(tags, f"ImageOrientation{where}", instance)
    spacing, spacing_notes = _pixel_spacing(tags, instance)
    if where == "Volume" and position is not None:
        notes.append(_IN_VOLUME_NOTE)
    if (position is None) != (cosines is None):
        missing = f"ImagePosition{where}" if position is None else f"ImageOrientation{where}"
        notes.append(f"{missing} is missing: position and orientation are unknown.")
        position = cosines = None
    if count > 1 and not is_enhanced and not has_one_position(instance):
        position = cosines = None  # one position cannot hold for many frames
    told = tuple(notes + spacing_notes)
    return Frame(instance, index, position, cosines, spacing, tags, told, is_in_patient=where == "Patient")


def _finite(tags: FrameTags, keyword: str, count: int, instance: Instance) -> npt.NDArray[np.float64] | None:
    values = floats(tags, keyword, instance.path)
    if not values:
        return None
    if len(values) != count or not all(math.isfinite(v) for v in values):
        raise ReadError(
            f"{instance.path.name}: {keyword} must be {count} finite numbers, but is "
            f"{', '.join(f'{v:g}' for v in values[:6])}; correct the file or leave it out."
        )
    return np.array(values)


def _cosines(tags: FrameTags, keyword: str, instance: Instance) -> tuple[npt.NDArray[np.float64] | None, list[str]]:
    values = _finite(tags, keyword, 6, instance)
    if values is None:
        return None, []
    row, column = values[:3], values[3:]
    lengths = math.hypot(*row), math.hypot(*column)
    off = max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column)))
    if off > _COSINE_TOLERANCE:
        raise ReadError(
            f"{instance.path.name}: {keyword} is not two perpendicular unit vectors (off by "
            f"{off:.3g}): the orientation cannot be trusted."
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return np.array([row, column / math.hypot(*column)]), []


def _pixel_spacing(tags: FrameTags, instance: Instance) -> tuple[tuple[float, float] | None, list[str]]:
    """Return the distance of rows and of columns; never invented (DICOM PS3.3, 10.7.1.3)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = floats(tags, keyword, instance.path)
        if not values:
            continue
        if len(values) != 2 or not all(math.isfinite(v) and v >= 0 for v in values):
            raise ReadError(
                f"{instance.path.name}: {keyword} must be two positive numbers, but is "
                f"{', '.join(f'{v:g}' for v in values[:4])}: the pixel spacing is unknown."
            )
        if min(values) == 0:
            return None, [
                f"{keyword} is zero: the pixel spacing is unknown (uncalibrated); measurements in mm are not possible."
            ]
        if keyword == "PixelSpacing":
            return (values[0], values[1]), []
        note = (
            f"The spacing is that at the detector ({keyword}), not calibrated to the patient: structures measure "
            "larger than they are."
        )
        return (values[0], values[1]), [note]
    ultrasound = _ultrasound_spacing(tags, instance)
    if ultrasound is not None:
        return ultrasound, [_ULTRASOUND_NOTE]
    return None, [
        "PixelSpacing is missing: the image is uncalibrated and shown in pixels; measurements in mm are not possible."
    ]


def _ultrasound_spacing(tags: FrameTags, instance: Instance) -> tuple[float, float] | None:
    """Return the spacing of the one region of an ultrasound picture, if it is two-dimensional and in cm.

    With several regions no single spacing holds (DICOM PS3.3, C.8.5.5.1).
    """
    regions = tags.get("SequenceOfUltrasoundRegions")
    if not regions or len(regions) != 1:
        return None
    names = ("RegionSpatialFormat", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection")
    try:
        kinds = [number(regions[0], name, instance.path) for name in names]
        deltas = [number(regions[0], name, instance.path) for name in ("PhysicalDeltaY", "PhysicalDeltaX")]
    except ReadError:
        return None
    if kinds != [_TWO_DIMENSIONAL, _CENTIMETERS, _CENTIMETERS]:
        return None
    down, across = (0.0 if delta is None else 10 * abs(delta) for delta in deltas)
    return (down, across) if 0 < down < math.inf and 0 < across < math.inf else None


def _mosaic_frames(whole: Frame) -> list[Frame]:
    """Return a frame for every tile of a Siemens mosaic, or the picture without a place if too little is known."""
    found = None
    if whole.position is not None and whole.cosines is not None and whole.pixel_spacing is not None:
        found = find_mosaic(whole.instance, whole.shape, whole.position, whole.cosines, whole.pixel_spacing)
    if found is None:
        note = "Siemens mosaic: the slices are tiles of one image; their position and orientation are unknown."
        return [replace(whole, position=None, cosines=None, notes=(*whole.notes, note))]
    return _tiled(replace(whole, notes=(*whole.notes, *found.notes)), found)


def _grid_frames(whole: Frame) -> list[Frame]:
    """Return a frame for every tile of a UIH grid, or the picture without a place if too little is known."""
    cosines, notes = _cosines(whole.tags, "ImageOrientationPatient", whole.instance)
    spacing, spacing_notes = _pixel_spacing(whole.tags, whole.instance)
    found: Mosaic | str = "ImageOrientationPatient is missing"
    if cosines is not None:
        found = find_grid(whole.instance, whole.shape)
    if isinstance(found, str):
        note = f"UIH grid: the slices are tiles of one image; their positions are unknown: {found}."
        return [replace(whole, position=None, cosines=None, notes=(*whole.notes, note))]
    return _tiled(replace(whole, cosines=cosines, pixel_spacing=spacing, notes=(*notes, *spacing_notes)), found)


def _tiled(whole: Frame, found: Mosaic) -> list[Frame]:
    return [
        replace(whole, index=n, position=position, tile=tile)
        for n, (tile, position) in enumerate(zip(found.tiles, found.positions, strict=True))
    ]


def dimension_key(frame: Frame) -> tuple[int, ...] | None:
    """Return the indices of a frame in the dimensions that are no places (time, echo, b-value, energy window, ...)."""
    nuclear = nuclear_key(frame.instance, frame.index)
    if nuclear is not None:
        return nuclear
    dimensions = frame.instance.tags.get("DimensionIndexSequence")
    values = frame.tags.get("DimensionIndexValues")
    if dimensions is None or values is None:
        return None
    try:
        values = [int(v) for v in (values if hasattr(values, "__iter__") else [values])]
        pointers = [int(item.DimensionIndexPointer) for item in dimensions]
    except damage():
        return None
    return tuple(v for v, pointer in zip(values, pointers, strict=False) if pointer not in _PLACES)
