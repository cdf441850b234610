"""Rigid registration by mutual information: several starts on a coarse grid, the best of them on finer ones.

Mattes et al. 2003, IEEE TMI 22:120, as SimpleITK has it. The scan with the smaller field is the one whose voxels are
looked up in the other, so that of a crop every voxel counts, whichever way round the two were given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.alignment.images import Levels, levels_of
from napari_radcnn.alignment.transform import Alignment, angle_of
from napari_radcnn.errors import CancelledError, GeometryError
from napari_radcnn.progress import CancelEvent, Monitor, Progress
from napari_radcnn.volume import Volume

#: Of each grid, the coarsest first: size of voxels, mm; how many starts go on to it; voxels looked up, at most; and
#: steps of the optimizer, at most.
_LEVELS = ((8.0, 0, 6_000, 40), (4.0, 3, 12_000, 40), (2.0, 1, 30_000, 50))
#: The first starts are turned by so much about each axis, degrees.
_TURN = 14.0
#: Of the histogram of mutual information.
_BINS = 40
#: Steps of the optimizer, mm: the first of the coarsest grid, and where it ends.
_FIRST_STEP, _LAST_STEP = 4.0, 0.01
#: Starts that ended this near to each other are one, mm.
_SAME_MM = 2.0
#: Below these the two scans do not seem to belong together, or above it.
_LEAST_OVERLAP, _LEAST_SIMILARITY, _MOST_RESIDUAL_MM, _MOST_TURN = 0.25, 1.06, 2.0, 45.0
_SEED = 20_231
#: Of the histogram that the similarity is read off, on average at least.
_PAIRS_A_BIN = 10


def align(
    fixed: Volume, moving: Volume, *, progress: Progress | None = None, cancel: CancelEvent | None = None
) -> Alignment:
    """Find where one scan lies in the patient space of another, as a rotation and a translation.

    Neither scan is changed or resampled: the result moves the grid of one. It works across contrasts and modalities
    (T1 and T2, CT and MR), and where one shows only a part of the other. The scans may start up to about 40 mm and 20
    degrees apart; further ones may be found, or not.

    Parameters
    ----------
    fixed : Volume
        The scan whose patient space is kept.
    moving : Volume
        The scan that is moved.
    progress, cancel : optional
        See `napari_radcnn.progress`.

    Returns
    -------
    Alignment
        Of scans that do not seem to belong together it says so in `Alignment.doubts`, and is not to be used.

    Raises
    ------
    GeometryError
        If one of them is no volume with a place in a patient, or all its values are the same.
    CancelledError
        If `cancel` was set.

    Examples
    --------
    >>> from napari_radcnn.phantom import head
    >>> scan = head()
    >>> shift = np.eye(4)
    >>> shift[:3, 3] = (6.0, -4.0, 5.0)
    >>> found = align(scan, Alignment(shift).moved(scan))
    >>> [round(mm) for mm in found.translation_mm]
    [-6, 4, -5]
    """
    steps = _FIRST_STEPS + sum(n for _, n, _, _ in _LEVELS) + 2
    monitor = Monitor(steps, progress, cancel)
    monitor.say("Reading the scans")
    finest = _LEVELS[-1][0]
    one, two = levels_of(fixed, finest), levels_of(moving, finest)
    is_swapped = _extent(fixed) > _extent(moving)
    sampled, looked_up = (two, one) if is_swapped else (one, two)
    found = _search(sampled, looked_up, monitor, cancel)
    halves = _halves(sampled, looked_up, found[0], monitor, cancel)
    matrix = _matrix(found[0].transform)  # from positions of the sampled scan to those of the other
    to_fixed = matrix if is_swapped else np.linalg.inv(matrix).astype(np.float64)
    similarity, overlap, shared = _judged(sampled, looked_up, matrix)
    residual = _apart(halves, shared) if len(halves) == 2 else float("inf")
    x, y, z = fixed.geometry.to_world((np.array(fixed.shape[:3]) - 1) / 2).tolist()
    return Alignment(
        to_fixed,
        residual_mm=residual,
        similarity=similarity,
        overlap=overlap,
        doubts=tuple(_doubts(residual, similarity, overlap, angle_of(matrix))),
        center=(x, y, z),
        fixed=_identity(fixed),
        moving=_identity(moving),
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """Where a start has ended."""

    transform: Any
    value: float


def _search(sampled: Levels, looked_up: Levels, monitor: Monitor, cancel: CancelEvent | None) -> list[_Found]:
    """Return the best ends of all starts, the best first."""
    found: list[_Found] = []
    for level, (spacing, n_kept, most, n_steps) in enumerate(_LEVELS):
        images = sampled.at(spacing), looked_up.at(spacing)
        if level == 0:
            starts = _starts(images)
        else:
            starts = [one.transform for one in _distinct(found, sampled.corners)[:n_kept]]
        ends = []
        for start in starts:
            monitor.step(f"grid of {spacing:g} mm")
            end = _optimized(images, start, spacing, n_steps, most, cancel)
            if end is not None:
                ends.append(end)
        monitor.check()
        if not ends:
            raise GeometryError(
                f"'{sampled.volume.name}' and '{looked_up.volume.name}' have nothing in common where they lie: they "
                "cannot be aligned."
            )
        found = sorted(ends, key=lambda end: end.value)
    return found


_AXES = ((0, 0, 0), *(tuple(sign * (n == axis) for n in range(3)) for axis, sign in product(range(3), (-1, 1))))
_FIRST_STEPS = 2 * len(_AXES)


def _starts(images: tuple[Any, Any]) -> list[Any]:
    """Return where to begin: as the scans lie, with their middles on each other, and both turned about each axis."""
    import SimpleITK as sitk

    fixed, moving = images
    center = _middle(fixed)
    masses = _mass(moving) - _mass(fixed)
    found = []
    for shift, axis in product((np.zeros(3), masses), _AXES):
        transform = sitk.Euler3DTransform()
        transform.SetCenter(center.tolist())
        transform.SetRotation(*(np.radians(_TURN) * np.array(axis, float)).tolist())
        transform.SetTranslation(shift.tolist())
        found.append(transform)
    return found


def _middle(image: Any) -> npt.NDArray[np.float64]:
    return np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))


def _mass(image: Any) -> npt.NDArray[np.float64]:
    """Return the center of mass of the values, LPS mm."""
    import SimpleITK as sitk

    values = sitk.GetArrayViewFromImage(image).astype(np.float64)
    total = values.sum()
    if total <= 0:
        return _middle(image)
    index = [
        float((values.sum(tuple(other for other in range(3) if other != axis)) * np.arange(values.shape[axis])).sum())
        / total
        for axis in (2, 1, 0)
    ]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))


def _optimized(
    images: tuple[Any, Any],
    start: Any,
    spacing: float,
    n_steps: int,
    most: int,
    cancel: CancelEvent | None,
    seed: int = _SEED,
    part: float = 1.0,
) -> _Found | None:
    """Return where the optimizer ends from a start; None where the scans have no voxel in common on its way."""
    import SimpleITK as sitk

    fixed, moving = images
    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(numberOfHistogramBins=_BINS)
    n_voxels = int(np.prod(fixed.GetSize()))
    share = min(part, most / n_voxels)
    if share < 1:
        registration.SetMetricSamplingStrategy(registration.RANDOM)
        registration.SetMetricSamplingPercentage(share, seed)
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetOptimizerAsRegularStepGradientDescent(
        learningRate=_FIRST_STEP * spacing / _LEVELS[0][0],
        minStep=_LAST_STEP * spacing / 2,
        numberOfIterations=n_steps,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-7,
    )
    registration.SetOptimizerScalesFromPhysicalShift()
    transform = sitk.Euler3DTransform(start)
    registration.SetInitialTransform(transform, inPlace=True)
    stop = _stopper(registration, cancel)
    if stop is not None:
        registration.AddCommand(sitk.sitkIterationEvent, stop)
    try:
        registration.Execute(fixed, moving)
    except RuntimeError:  # ITK: too few samples map into the other image
        return None
    if cancel is not None and cancel.is_set():
        raise CancelledError("Aligning")
    return _Found(transform, float(registration.GetMetricValue()))


def _stopper(registration: Any, cancel: CancelEvent | None) -> Callable[[], None] | None:
    if cancel is None:
        return None

    def stop() -> None:
        if cancel.is_set():
            registration.StopRegistration()

    return stop


def _distinct(found: Sequence[_Found], corners: npt.NDArray[np.float64]) -> list[_Found]:
    """Return the ends that lie apart, the best first."""
    kept: list[_Found] = []
    for one in found:
        if all(_apart((one, other), corners) > _SAME_MM for other in kept):
            kept.append(one)
    return kept


def _halves(
    sampled: Levels, looked_up: Levels, best: _Found, monitor: Monitor, cancel: CancelEvent | None
) -> list[_Found]:
    """Return where two halves of the voxels lead that have few in common."""
    spacing, _, most, n_steps = _LEVELS[-1]
    images = sampled.at(spacing), looked_up.at(spacing)
    found = []
    for seed in (_SEED + 1, _SEED + 2):
        monitor.step("residual")
        end = _optimized(images, best.transform, spacing / 2, n_steps // 2, most // 2, cancel, seed, 0.5)
        if end is not None:
            found.append(end)
    return found


def _apart(pair: Sequence[_Found], positions: npt.NDArray[np.float64]) -> float:
    one, two = (_matrix(each.transform) for each in pair)
    apart = (positions @ one[:3, :3].T + one[:3, 3]) - (positions @ two[:3, :3].T + two[:3, 3])
    return float(np.sqrt((apart**2).sum(-1).mean()))


def _matrix(transform: Any) -> npt.NDArray[np.float64]:
    """Return a rigid transform of SimpleITK as a matrix of LPS mm."""
    found = np.eye(4)
    found[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    found[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return found


def _judged(
    sampled: Levels, looked_up: Levels, matrix: npt.NDArray[np.float64]
) -> tuple[float, float, npt.NDArray[np.float64]]:
    """Return similarity and overlap where the scans lie on each other, and positions there."""
    import SimpleITK as sitk

    spacing = _LEVELS[1][0]
    fixed, moving = sampled.at(spacing), looked_up.at(spacing)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    on_fixed = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear, -1.0))
    values = sitk.GetArrayFromImage(fixed)
    inside = on_fixed >= 0
    overlap = float(inside.mean())
    places = np.argwhere(inside)
    if not len(places):
        return 1.0, 0.0, sampled.corners
    step = max(1, len(places) // 500)
    shared = np.array([fixed.TransformIndexToPhysicalPoint([int(n) for n in row[::-1]]) for row in places[::step]])
    bins = int(np.clip(np.sqrt(len(places) / _PAIRS_A_BIN), 4, 32))  # few pairs in many bins seem alike
    return normalized_mutual_information(values[inside], on_fixed[inside], bins), overlap, shared


def normalized_mutual_information(one: npt.NDArray[Any], two: npt.NDArray[Any], bins: int = 32) -> float:
    """Return ``(H(one) + H(two)) / H(one, two)`` of values in pairs, from 1 to 2.

    Parameters
    ----------
    one, two : (n,) array
        Of 0 to 1.
    bins : int
        Of the histogram, along each axis.
    """
    counts, _, _ = np.histogram2d(one, two, bins, ((0, 1), (0, 1)))
    joint = counts / max(counts.sum(), 1)

    def entropy(parts: npt.NDArray[np.float64]) -> float:
        some = parts[parts > 0]
        return float(-(some * np.log(some)).sum())

    both = entropy(joint.ravel())
    return (entropy(joint.sum(0)) + entropy(joint.sum(1))) / both if both > 0 else 1.0


def _doubts(residual: float, similarity: float, overlap: float, turn: float) -> list[str]:
    found = []
    if overlap < _LEAST_OVERLAP:
        found.append(f"Only {overlap:.0%} of the smaller scan lies in the other.")
    if similarity < _LEAST_SIMILARITY:
        found.append(f"The two scans have little in common (similarity {similarity:.3f}).")
    if turn > _MOST_TURN:
        found.append(f"A rotation by {turn:.0f} degrees is beyond the range that is searched.")
    if residual > _MOST_RESIDUAL_MM:
        found.append("Their voxels do not determine the alignment.")
    return found


def _extent(volume: Volume) -> float:
    return float(np.prod(np.array(volume.shape[:3]) * volume.geometry.spacing))


def _identity(volume: Volume) -> dict[str, str]:
    about = volume.metadata
    found = {
        "name": volume.name,
        "series_uid": about.series_uid,
        "frame_of_reference_uid": about.frame_of_reference_uid,
    }
    return {key: value for key, value in found.items() if value}
