"""Frames put together to volumes: grouped by grid, sorted by position, checked for even spacing.

A stack that has no single affine is refused with the name of the file where it breaks, or, where the user asks for it,
resampled or split; it is never stacked plainly, which would move every slice behind a gap (DICOM PS3.3, C.7.6.2.1.1).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.files import some_names
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.dicom.agreement import contradiction
from napari_radcnn.io.dicom.division import (
    Division,
    Part,
    divide,
    divide_shifted,
    divide_uneven,
    gap_tolerance,
    is_even,
    places,
    same_place_mm,
)
from napari_radcnn.io.dicom.frames import Frame, image_size
from napari_radcnn.io.dicom.headers import text, texts
from napari_radcnn.io.dicom.irregular import (
    READ_ANYWAY,
    READ_SPLIT,
    OnIrregular,
    Sampling,
    even_grid,
    even_runs,
    resampling_notes,
    run_note,
)
from napari_radcnn.io.problems import Problem

#: Direction cosines of one stack may differ by this: rounding in headers.
_COSINE_TOLERANCE = 1e-4
_SPACING_TOLERANCE = 1e-4
#: A slice may lie beside the straight line through the stack by this much, mm: positions have rounding, too.
_LINE_TOLERANCE_MM = 0.05
#: Modalities whose pictures without position are slices of one scan; those of all others are separate pictures.
_SLICED = ("CT", "MR", "PT", "NM")


@dataclass(frozen=True, eq=False)
class Stack:
    """The frames of one volume, in the order of k.

    Attributes
    ----------
    frames : tuple of Frame
        One for every slice that was scanned.
    geometry : Geometry
        Their grid, or the even one that they are resampled to.
    is_calibrated : bool
        Whether the in-plane spacing is known.
    warnings : tuple of str
        What must be said about the geometry.
    label : str
        What sets the volume apart from others of its series.
    sampling : Sampling or None
        How the slices of the grid come from the frames; None where each is a frame.
    """

    frames: tuple[Frame, ...]
    geometry: Geometry
    is_calibrated: bool
    warnings: tuple[str, ...] = ()
    label: str = ""
    sampling: Sampling | None = None


def make_stacks(frames: Sequence[Frame], on_irregular: OnIrregular = "refuse") -> tuple[list[Stack], list[Problem]]:
    """Put the frames of one series together to volumes, largest grid first, and say what makes none."""
    placed = [frame for frame in frames if frame.position is not None]
    unplaced = [frame for frame in frames if frame.position is None]
    if placed and unplaced and _modality(unplaced[0]) in _SLICED and not _are_mosaics(unplaced):
        files = some_names([frame.path for frame in unplaced])
        cause = f"no position or orientation (ImagePositionPatient), but {len(placed)} others of the series have them"
        return [], [Problem(files, cause, "where these slices lie is unknown: remove them or export the series again")]
    stacks: list[Stack] = []
    problems: list[Problem] = []
    groups, notes = _grid_groups(placed)
    for n, group in enumerate(groups):
        made, wrong = _stacks_of_group(group, on_irregular)
        which = list(dict.fromkeys(kind for other in groups for kind in _differences(group[0], other[0])))
        others = [frame.path for other in groups if other is not group for frame in other]
        grids = f"the series has {len(groups)} grids, which differ in {' and '.join(which)}"
        why = f" ({grids}: {some_names(others)} are of another)" if which else ""
        problems += [replace(problem, cause=problem.cause + why) for problem in wrong]
        if n == 0 and not made:  # the scan itself makes no volume: its scout or a stray slice must not stand in for it
            return [], problems
        stacks += [_noted(stack, notes(stack)) for stack in made]
    for stack in _unplaced_stacks(unplaced):
        wrong_one = contradiction(stack.frames)
        if wrong_one is None:
            stacks.append(stack)
        else:
            problems.append(wrong_one)
    return stacks, problems


# -- one grid -----------------------------------------------------------------------------------------------------


def _grid_groups(frames: Sequence[Frame]) -> tuple[list[list[Frame]], Callable[[Stack], list[str]]]:
    """Divide frames by size, orientation, pixel spacing and frame of reference; the largest group comes first."""
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if not _differences(group[0], frame):
                group.append(frame)
                break
        else:
            groups.append([frame])
    groups = _by_frame_of_reference(groups)
    groups.sort(key=len, reverse=True)
    first = groups[0][0] if groups else None

    def notes(stack: Stack) -> list[str]:
        if len(groups) < 2 or first is None:
            return []
        kinds: dict[str, None] = {}
        for group in groups[1:]:
            kinds |= dict.fromkeys(_differences(first, group[0]) or ["frame of reference"])
        what = " and ".join(kinds)
        said = [f"The series has {len(groups)} grids that differ in {what}: each is a separate volume."]
        if any(frame is stack.frames[0] for frame in groups[0]):
            small = [frame.path for group in groups[1:] for frame in group if len(group) < len(groups[0])]
            like = ", such as a localizer" if any(kind.startswith("orientation") for kind in kinds) else ""
            if small:
                said.append(f"Excluded from this volume{like}: {some_names(small)}.")
        elif _is_localizer(stack.frames[0]):
            said.append("This is a localizer (scout).")
        return said

    return groups, notes


def _differences(one: Frame, other: Frame) -> list[str]:
    """Return in which respects two placed frames cannot belong to one grid."""
    found = []
    if np.abs(_cosines(one) - _cosines(other)).max() > _COSINE_TOLERANCE:
        found.append("orientation (the slices are not parallel)")
    if one.shape != other.shape or image_size(one.instance)[2] != image_size(other.instance)[2]:
        found.append("size")
    if (one.pixel_spacing is None) != (other.pixel_spacing is None) or (
        one.pixel_spacing is not None
        and other.pixel_spacing is not None
        and not all(
            math.isclose(a, b, rel_tol=_SPACING_TOLERANCE)
            for a, b in zip(one.pixel_spacing, other.pixel_spacing, strict=True)
        )
    ):
        found.append("pixel spacing (PixelSpacing)")
    return found


def _by_frame_of_reference(groups: list[list[Frame]]) -> list[list[Frame]]:
    """Divide groups further by FrameOfReferenceUID, unless that leaves single slices (see `_reference_note`)."""
    divided = []
    for group in groups:
        parts: dict[str, list[Frame]] = defaultdict(list)
        for frame in group:
            parts[text(frame.tags, "FrameOfReferenceUID")].append(frame)
        divided += list(parts.values()) if min(len(part) for part in parts.values()) > 1 else [group]
    return divided


def _stacks_of_group(frames: list[Frame], on_irregular: OnIrregular) -> tuple[list[Stack], list[Problem]]:
    """Return the volumes of frames of one grid, divided where several lie at the same place."""
    frames, dropped = _without_copies(frames)
    depths = [frame.depth for frame in frames]
    whole = Division((Part(frames, ""),), "")
    if int(places(depths, same_place_mm(frames)).max()) + 1 < len(frames):
        divided = divide(frames)
        shifted = divide_shifted(frames) if isinstance(divided, str) else divided
        if shifted is None:
            return [], [_tie_problem(frames, str(divided))]
        found = shifted
    elif not is_even(depths):
        found = divide_uneven(frames) or whole
    else:
        found = whole
    stacks: list[Stack] = []
    problems: list[Problem] = []
    for n, part in enumerate(found.parts):
        said = [*dropped, *found.notes]
        if len(found.parts) > 1:
            said.append(f"Volume {n + 1} of {len(found.parts)} in its series, distinguished by {found.by}.")
        wrong = contradiction(part.frames)
        if wrong is not None:
            problems.append(wrong)
            continue
        for made in _evened(sorted(part.frames, key=lambda frame: frame.depth), on_irregular):
            if isinstance(made, Problem):
                problems.append(made)
            else:
                stacks.append(_noted(made, said, part.label if len(found.parts) > 1 else ""))
    return stacks, problems


def _evened(frames: list[Frame], on_irregular: OnIrregular) -> Sequence[Stack | Problem]:
    """Return the volume of frames sorted by depth, or what the user wants of them where they are not evenly spaced."""
    problem = _gap_problem(frames)
    if problem is None:
        return [_stack(frames)]
    if on_irregular == "refuse":
        return [problem]
    if on_irregular == "split":
        runs = even_runs(frames)
        parts = [_stack(run) for run in runs]
        wrong = [part for part in parts if isinstance(part, Problem)]  # the rest would not be the scan
        return wrong or [_noted(part, [run_note(runs, n)]) for n, part in enumerate(parts) if isinstance(part, Stack)]
    sampling = even_grid(frames)
    if isinstance(sampling, str):
        return [replace(problem, cause=f"{problem.cause}, and {sampling}", advice=READ_SPLIT)]
    made = _stack(frames, sampling)
    return [made if isinstance(made, Problem) else _noted(made, resampling_notes(frames, sampling))]


def _without_copies(frames: list[Frame]) -> tuple[list[Frame], list[str]]:
    """Leave out copies of the same file; the same UID on different pictures does not count as a copy."""
    kept: dict[tuple[str, int], Frame] = {}
    result, dropped = [], []
    for frame in frames:
        uid = frame.instance.uid
        twin = kept.get((uid, frame.index)) if uid else None
        if twin is not None and abs(twin.depth - frame.depth) < 1e-6 and _same_pixels(twin, frame):
            dropped.append(frame.path)
            continue
        kept.setdefault((uid, frame.index), frame)
        result.append(frame)
    return result, [f"Left out as duplicates of the same image (SOPInstanceUID): {some_names(dropped)}."] * bool(
        dropped
    )


def _same_pixels(one: Frame, other: Frame) -> bool:
    tails = []
    for frame in (one, other):
        with frame.path.open("rb") as file:
            file.seek(frame.instance.offset)
            tails.append(file.read())
    return tails[0] == tails[1]


def _tie_problem(frames: list[Frame], why: str) -> Problem:
    place = places([frame.depth for frame in frames], same_place_mm(frames))
    crowded = int(np.argmax(np.bincount(place)))
    paths = [frame.path for frame, number in zip(frames, place, strict=True) if number == crowded]
    names = f"{paths[0].name}" if len(set(paths)) == 1 else some_names(paths)
    cause = f"{len(paths)} different images lie at the same position, and {why}"
    return Problem(names, cause, "remove the duplicates or export one acquisition at a time")


def _stack(frames: list[Frame], sampling: Sampling | None = None) -> Stack | Problem:
    """Return the volume of frames sorted by depth, which are even or to be resampled, or why they make none."""
    warnings = _notes(frames)
    cosines = np.mean([_cosines(frame) for frame in frames], axis=0)
    if len(frames) == 1:
        spacing = frames[0].slice_spacing
        if spacing is None:
            warnings.append("A single slice without SliceThickness: a thickness of 1 mm is assumed.")
        step = (spacing or 1.0) * frames[0].normal
        origin = _position(frames[0])
    else:
        positions = np.array([_position(frame) for frame in frames])
        ticks = np.arange(len(frames)) if sampling is None else sampling.ticks
        index = ticks - ticks.mean()
        step = index @ positions / (index @ index)
        origin = positions.mean(0) - ticks.mean() * step
        off = np.linalg.norm(positions - (origin + ticks[:, None] * step), axis=1)
        worst = int(np.argmax(off))
        beside = min([_LINE_TOLERANCE_MM, *(0.5 * mm for mm in frames[0].pixel_spacing or ())])
        if off[worst] > max(beside, gap_tolerance(float(np.linalg.norm(step)))):
            cause = (
                f"the slice is offset {off[worst]:.2f} mm from the straight line through the stack (irregular "
                "positions)"
            )
            return Problem(frames[worst].label, cause, "the stack has no single grid; it cannot be opened as a volume")
    rows, columns = frames[0].pixel_spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([step, cosines[1] * rows, cosines[0] * columns])
    affine[:3, 3] = origin
    try:
        geometry = Geometry((len(frames) if sampling is None else sampling.count, *frames[0].shape), affine)
    except GeometryError as error:
        return Problem(frames[0].label, str(error).rstrip("."))
    if geometry.is_sheared:
        across = step / np.linalg.norm(step)
        tilt = np.degrees(np.arccos(min(1.0, abs(float(across @ np.cross(cosines[0], cosines[1]))))))
        warnings.append(
            f"Gantry tilt: the slices are shifted against each other by {tilt:.1f} degrees (a sheared grid). The "
            "shear is kept: positions are correct, and the scan is resampled where a right-angled grid is needed."
        )
    return Stack(tuple(frames), geometry, frames[0].pixel_spacing is not None, tuple(warnings), sampling=sampling)


def _gap_problem(frames: list[Frame]) -> Problem | None:
    """Name the two files between which the spacing breaks, if it does."""
    gaps = np.diff([frame.depth for frame in frames])
    typical = float(np.median(gaps))
    wrong = np.flatnonzero(np.abs(gaps - typical) > gap_tolerance(typical))
    if len(wrong) == 0:
        return None
    worst = int(wrong[np.argmax(np.abs(gaps[wrong] - typical))])
    cause = (
        f"the slices are not evenly spaced: the gap between {frames[worst].label} and {frames[worst + 1].label} is "
        f"{gaps[worst]:.3f} mm, expected {typical:.3f} mm ({len(wrong)} of {len(gaps)} gaps differ)"
    )
    advice = f"slices may be missing, or two scans may be mixed: export it again, or {READ_ANYWAY}"
    return Problem("", cause[0].upper() + cause[1:], advice)


def _notes(frames: Sequence[Frame]) -> list[str]:
    """Return what the frames themselves have to say, once each, and whether they share a frame of reference."""
    said = list(dict.fromkeys(note for frame in frames for note in frame.notes))
    references = {text(frame.tags, "FrameOfReferenceUID") for frame in frames}
    if len(references) > 1:
        said.append(
            f"The slices have {len(references)} different frames of reference (FrameOfReferenceUID), but their "
            "positions form one regular stack: they are shown as one volume. Check it before you rely on it."
        )
    return said


# -- no grid ------------------------------------------------------------------------------------------------------


def _unplaced_stacks(frames: Sequence[Frame]) -> list[Stack]:
    """Return volumes of frames that do not say where they lie: slices of CT and the like stacked, others one by one."""
    by_file: dict[Any, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_file[frame.path].append(frame)
    sets: list[tuple[list[Frame], list[str]]] = []
    single = [group[0] for group in by_file.values() if len(group) == 1]
    sets += [(group, []) for group in by_file.values() if len(group) > 1]
    sizes: dict[Any, list[Frame]] = defaultdict(list)
    for n, frame in enumerate(single):
        alone = _modality(frame) not in _SLICED or _are_mosaics([frame])
        sizes[n if alone else (image_size(frame.instance), frame.pixel_spacing)].append(frame)
    for group in sizes.values():
        numbers = [text(frame.tags, "InstanceNumber") for frame in group]
        if len(group) == 1:
            sets.append((group, []))
        elif len(set(numbers)) == len(group) and all(n.lstrip("+-").isdigit() for n in numbers):
            order = sorted(group, key=lambda frame: int(text(frame.tags, "InstanceNumber")))
            sets.append((order, ["The slices are ordered by InstanceNumber."]))
        else:
            order = sorted(group, key=lambda frame: frame.path.name)
            sets.append((order, ["InstanceNumber does not order the slices: they are ordered by file name."]))
    many = len(sets) > 1
    return [
        _unplaced(group, order_warnings, str(n + 1) if many else "") for n, (group, order_warnings) in enumerate(sets)
    ]


def _unplaced(frames: list[Frame], order_warnings: list[str], label: str) -> Stack:
    first = frames[0]
    between = first.slice_spacing
    rows, columns = first.pixel_spacing or (1.0, 1.0)
    warnings = [*_notes(frames), *order_warnings]
    if len(frames) > 1 or _modality(first) in _SLICED:
        warnings.append(
            "The geometry is unknown: the file has no position and orientation; directions in the patient and the "
            "slice spacing are guesses."
        )
    geometry = Geometry.from_parts((len(frames), *first.shape), (between or 1.0, rows, columns))
    return Stack(tuple(frames), geometry, first.pixel_spacing is not None, tuple(dict.fromkeys(warnings)), label)


# -- small helpers ------------------------------------------------------------------------------------------------


def _noted(stack: Stack, warnings: Sequence[str], label: str | None = None) -> Stack:
    label = stack.label if label is None else label
    return replace(stack, warnings=(*stack.warnings, *warnings), label=label)


def _modality(frame: Frame) -> str:
    return text(frame.instance.tags, "Modality")


def _are_mosaics(frames: Sequence[Frame]) -> bool:
    return all({"MOSAIC", "VFRAME"} & set(texts(frame.tags, "ImageType")) for frame in frames)


def _is_localizer(frame: Frame) -> bool:
    return "LOCALIZER" in texts(frame.tags, "ImageType")


def _position(frame: Frame) -> npt.NDArray[np.float64]:
    assert frame.position is not None
    return frame.position


def _cosines(frame: Frame) -> npt.NDArray[np.float64]:
    assert frame.cosines is not None
    return frame.cosines
