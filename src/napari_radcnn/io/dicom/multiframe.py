"""Where the frames of files lie that have one position for all of them: dose, nuclear medicine, cone-beam CT.

Enhanced files say it of every frame, in functional groups; these say where the first lies and how the others follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.io.dicom.headers import Instance, damage, floats, number, text, texts

if TYPE_CHECKING:
    from napari_radcnn.io.dicom.frames import Frame

RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
NUCLEAR = "1.2.840.10008.5.1.4.1.1.20"
#: What moves frames on in time, not in space (DICOM PS3.3, C.7.6.6): FrameTime, FrameTimeVector.
_IN_TIME = (0x00181063, 0x00181065)
#: Modalities whose frames are slices.
_SLICED = ("CT", "MR", "PT")
_TOLERANCE_MM = 0.01
#: Direction cosines of a slice across the body, whose positions may be absolute in an RT Dose.
_ACROSS = 1e-4
#: Numbers of what a frame of nuclear medicine belongs to, other than its slice (DICOM PS3.3, C.8.4.8).
NUCLEAR_VECTORS = (
    "EnergyWindowVector",
    "DetectorVector",
    "PhaseVector",
    "RotationVector",
    "RRIntervalVector",
    "TimeSlotVector",
    "AngularViewVector",
    "TimeSliceVector",
)


def has_one_position(instance: Instance) -> bool:
    """Whether the frames of a file are placed by `placed`."""
    sop_class = text(instance.tags, "SOPClassUID")
    return sop_class in (RT_DOSE, NUCLEAR) or (_is_stack(instance))


def placed(instance: Instance, frames: list[Frame]) -> list[Frame]:
    """Return the frames with their positions, as far as the file says where they lie.

    Parameters
    ----------
    instance : Instance
        A file of several frames without functional groups.
    frames : list of Frame
        In order, the position of the first one being that of the file.

    Raises
    ------
    ReadError
        If what it says contradicts itself.
    """
    sop_class = text(instance.tags, "SOPClassUID")
    if sop_class == RT_DOSE:
        return _dose(instance, frames)
    if sop_class == NUCLEAR:
        return _nuclear(instance, frames)
    return _stacked(instance, frames)


def nuclear_key(instance: Instance, index: int) -> tuple[int, ...] | None:
    """Return the numbers of what a frame of nuclear medicine belongs to: energy window, time slot, ..."""
    if text(instance.tags, "SOPClassUID") != NUCLEAR:
        return None
    vectors = [_vector(instance, keyword, index + 1) for keyword in NUCLEAR_VECTORS]
    return tuple(int(vector[index]) if vector else 0 for vector in vectors)


def detector_value(instance: Instance, keyword: str) -> Any:
    """Return a value of the first detector (DICOM PS3.3, C.8.4.11), where a reconstruction has its position."""
    if not _is_reconstruction(instance):
        return None
    try:
        detectors = instance.tags.get("DetectorInformationSequence")
        return detectors[0].get(keyword) if detectors else None
    except damage():
        return None


# -- RT Dose ------------------------------------------------------------------------------------------------------


def _dose(instance: Instance, frames: list[Frame]) -> list[Frame]:
    """Place frames by GridFrameOffsetVector: distances from the first, or z in the patient (DICOM PS3.3, C.8.8.3.2)."""
    name = instance.path.name
    offsets = floats(instance.tags, "GridFrameOffsetVector", instance.path)
    first = frames[0]
    if first.position is None or first.cosines is None:
        raise ReadError(
            f"{name}: ImagePositionPatient or ImageOrientationPatient is missing: where the dose lies is unknown; "
            "export the dose again."
        )
    if len(offsets) != len(frames):
        raise ReadError(
            f"{name}: GridFrameOffsetVector has {len(offsets)} values for {len(frames)} frames: where they lie is "
            "unknown; export the dose again."
        )
    if offsets[0] == 0:
        return [_moved(frame, first, offset * first.normal) for frame, offset in zip(frames, offsets, strict=True)]
    is_across = abs(abs(first.normal[2]) - 1) < _ACROSS
    if not is_across or abs(offsets[0] - first.position[2]) > _TOLERANCE_MM:
        why = "the slices do not lie across the body" if not is_across else f"the first lies at z {first.position[2]:g}"
        raise ReadError(
            f"{name}: GridFrameOffsetVector begins with {offsets[0]:g}, which is neither 0 (distances) nor z of the "
            f"first frame: {why}; export the dose again."
        )
    up = np.array([0.0, 0.0, 1.0])
    return [_moved(frame, first, (z - offsets[0]) * up) for frame, z in zip(frames, offsets, strict=True)]


# -- nuclear medicine ---------------------------------------------------------------------------------------------


def _nuclear(instance: Instance, frames: list[Frame]) -> list[Frame]:
    """Place the slices of a reconstruction by SliceVector and the signed spacing (DICOM PS3.3, C.8.4.15)."""
    if not _is_reconstruction(instance):
        return [_unplaced(frame) for frame in frames]  # projections, whole body, planar: no slices
    slices = _vector(instance, "SliceVector", len(frames)) or [*range(1, len(frames) + 1)]
    return _along_normal(instance, frames, [n - 1 for n in slices])


def _is_reconstruction(instance: Instance) -> bool:
    kinds = set(texts(instance.tags, "ImageType"))
    return text(instance.tags, "SOPClassUID") == NUCLEAR and bool({"RECON TOMO", "RECON GATED TOMO"} & kinds)


def _stacked(instance: Instance, frames: list[Frame]) -> list[Frame]:
    """Place frames that follow each other along the normal of the first one."""
    note = (
        "The file gives the position of the first frame only: the others are assumed to follow along the normal of "
        "ImageOrientationPatient. Check which end is the head."
    )
    return [
        replace(frame, notes=(*frame.notes, note)) for frame in _along_normal(instance, frames, [*range(len(frames))])
    ]


def _along_normal(instance: Instance, frames: list[Frame], steps: Sequence[float]) -> list[Frame]:
    first = frames[0]
    spacing, notes = _signed_spacing(instance)
    if first.position is None or first.cosines is None or spacing is None:
        return [_unplaced(frame) for frame in frames]
    return [
        replace(_moved(frame, first, step * spacing * first.normal), notes=(*frame.notes, *notes))
        for frame, step in zip(frames, steps, strict=True)
    ]


def _signed_spacing(instance: Instance) -> tuple[float | None, list[str]]:
    spacing = _finite(instance, "SpacingBetweenSlices")
    if spacing:
        return spacing, []
    thickness = _finite(instance, "SliceThickness")
    if not thickness:
        return None, []
    return thickness, ["SpacingBetweenSlices is missing: SliceThickness was used as the spacing of the slices."]


def _is_stack(instance: Instance) -> bool:
    """Whether a multi-frame file without functional groups is a stack of slices, such as that of a cone-beam CT."""
    if text(instance.tags, "Modality") not in _SLICED or "PerFrameFunctionalGroupsSequence" in instance.tags:
        return False
    try:
        pointer = instance.tags.get("FrameIncrementPointer")
        pointers = pointer if hasattr(pointer, "__iter__") else [pointer]
        is_in_time = any(int(tag) in _IN_TIME for tag in pointers if tag is not None)
    except damage():
        is_in_time = False
    return not is_in_time


def _moved(frame: Frame, first: Frame, by: npt.NDArray[np.float64]) -> Frame:
    assert first.position is not None
    return replace(frame, position=first.position + by, cosines=first.cosines)


def _unplaced(frame: Frame) -> Frame:
    return replace(frame, position=None, cosines=None)


def _vector(instance: Instance, keyword: str, least: int) -> list[float]:
    """Return the numbers of all frames; empty where the file has none, or fewer than frames."""
    try:
        values = floats(instance.tags, keyword, instance.path)
    except ReadError:
        return []
    return values if len(values) >= least and all(v == int(v) for v in values if math.isfinite(v)) else []


def _finite(instance: Instance, keyword: str) -> float | None:
    value = number(instance.tags, keyword, instance.path)
    return value if value is not None and math.isfinite(value) else None
