"""What the networks of brains are shown: the brain outlined, its gray values scaled, at 1 mm, upright."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry, Shape
from napari_radcnn.inference.cost.growth import check_own_spacing
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Request
from napari_radcnn.models.brain_extraction import run as brain_extraction
from napari_radcnn.models.brain_extraction.spec import SPEC as EXTRACTION
from napari_radcnn.models.brain_structures.network import OUTSIDE
from napari_radcnn.models.brain_structures.stripped import (
    Mask,
    has_bright_fluid,
    is_stripped,
    scaled_inside,
    shown_mask,
    without_holes,
)
from napari_radcnn.preprocessing import Crop, Reorient, resample
from napari_radcnn.progress import Monitor
from napari_radcnn.suitability.what import what_is

#: The network's orientation, its voxels in mm, and how far from that a scan's own may be without being resampled: it
#: was trained with heads of 0.8 to 1.2 times their size.
ORIENTATION, _SPACING, _AS_IT_IS = "RAS", 1.0, (0.8, 1.2)
#: Voxels around the brain that the network sees.
_MARGIN = 4
#: Peak memory of libraries.
_LIBRARIES = 600 << 20
#: Of what a scan shows on its background, the share that extraction takes for brain is 0.76 to 0.97 in stripped scans
#: and 0.26 to 0.53 in heads of half to all of an adult's size.
_MOSTLY_BRAIN = 0.65
#: Slices and mm that a scan must have along each axis.
_LEAST_SLICES, _LEAST_MM = 8, 40.0


def refuse_shape(request: Request) -> None:
    """Raise a `GeometryError` for too few slices, a `ModelError` for voxels out of all proportion to 1 mm."""
    geometry = request.volume.geometry
    for count, spacing in zip(geometry.shape, geometry.spacing, strict=True):
        if count < _LEAST_SLICES or count * spacing < _LEAST_MM:
            raise GeometryError(
                f"'{request.volume.name}' has {count} slices over {count * spacing:.0f} mm along one axis: "
                f"'{request.spec.name}' needs a scan of the brain in three dimensions, at least {_LEAST_SLICES} slices "
                f"and {_LEAST_MM:.0f} mm. Choose the 3-D series, or open all slices of it together."
            )
    check_own_spacing(request.volume, _SPACING)


def plan_brain(request: Request, patch: Shape, bytes_a_patch_voxel: int, bytes_a_voxel: int) -> Plan:
    """Return the cost of a brain that fits into the largest patch; smaller ones and fewer patches cost less.

    Parameters
    ----------
    request : Request
        The run.
    patch : tuple of int
        Voxels of the largest patch.
    bytes_a_patch_voxel, bytes_a_voxel : int
        Peak memory, a voxel of the patch and of the scan.

    Raises
    ------
    GeometryError
        If the scan has too few slices.
    ModelError
        If its voxels are so large that 1 mm is out of all proportion.
    """
    refuse_shape(request)
    memory = _LIBRARIES + bytes_a_patch_voxel * math.prod(patch) + bytes_a_voxel * request.volume.size
    if request.options.brain == "whole-head":
        memory = max(memory, brain_extraction.plan(extraction_request(request)).memory_bytes)
    return Plan(request.spec.name, 1, patch, memory)


@dataclass(frozen=True, eq=False)
class Brain:
    """The outline, where it comes from, and what must be told of it."""

    mask: Mask
    source: str
    warnings: tuple[str, ...] = ()


def find_brain(request: Request, values: npt.NDArray[np.float32], monitor: Monitor) -> Brain:
    """Return where the brain is: what a stripped scan shows, or what `brain-extraction` returns.

    A small head, such as a child's, is told from a brain by how much of it is brain.
    """
    scan = request.volume
    if float(values.max()) == float(values.min()):
        raise ModelError(f"'{scan.name}' has the same value everywhere: it shows nothing.")
    mask, share = shown_mask(scan, values)
    wanted, seems_stripped = request.options.brain, is_stripped(scan, mask, share)
    known = what_is(scan).stripped
    if wanted == "stripped" or (wanted == "auto" and seems_stripped and known.value is True):
        return Brain(mask, "as shown")
    may_be_stripped = wanted == "auto" and seems_stripped and not known.is_known
    monitor.say("extracting the brain")
    asked = extraction_request(request)
    if may_be_stripped:  # its background may be bright, or far below
        plain = scan.with_array(np.where(mask, values, values[mask].min()))
        asked = replace(asked, volume=plain)
    try:
        found = brain_extraction.run(asked, _Within(monitor))
    except ModelError:
        if may_be_stripped:
            return Brain(mask, "as shown")
        raise
    if found.array is None:
        raise ModelError(f"'{EXTRACTION.name}' returned no brain mask of '{scan.name}'.")
    brain = found.array > 0
    if may_be_stripped and np.count_nonzero(brain & mask) >= _MOSTLY_BRAIN * np.count_nonzero(mask):
        return Brain(mask, "as shown")
    told = (
        f"The brain was extracted with '{EXTRACTION.name}': check its border. "
        "If the scan already shows only the brain, set brain to stripped.",
        *found.warnings,
    )
    return Brain(brain, EXTRACTION.name, told)


class _Within(Monitor):
    """Passes on what another model's pipeline says within this one's only step, and cancels with it."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(monitor.total)
        self._monitor = monitor

    def check(self) -> None:
        self._monitor.check()

    def say(self, message: str) -> None:
        self._monitor.say(message)


def extraction_request(request: Request) -> Request:
    """Return what `brain-extraction` is given of a request."""
    return replace(request, spec=EXTRACTION, options=EXTRACTION.options(), sink=None, streams=False)


@dataclass(frozen=True, eq=False)
class Prepared:
    """The brain as the network sees it, and where that lies."""

    picture: npt.NDArray[np.float32]
    crop: Crop
    upright: Geometry
    grid: Geometry
    is_reversed: bool


def prepare(request: Request, values: npt.NDArray[np.float32], mask: Mask) -> Prepared:
    """Return the brain as the network sees it."""
    if not mask.any():
        raise ModelError(f"'{request.volume.name}' is empty.")
    values = without_holes(values, mask)
    turn = Reorient(ORIENTATION)
    head = turn.apply(request.volume.with_array(values))
    brain = turn.apply(request.volume.with_array(mask)).array
    shape = [_count(n, s) for n, s in zip(head.geometry.shape, head.geometry.spacing, strict=True)]
    grid = head.geometry
    seen: npt.NDArray[Any] = head.array
    if tuple(shape) != grid.shape:
        grid = head.geometry.with_shape(shape)
        lowest = float(values[mask].min())  # a background far from the brain's own values would tint its border
        seen = resample(np.where(brain, seen, lowest), head.geometry, grid, interpolation="linear", fill=lowest)
        share = resample(brain.astype(np.float32), head.geometry, grid, interpolation="linear")
        brain = share > 0.5
        if not brain.any():
            raise ModelError(f"'{request.volume.name}' shows too little to segment.")
    crop = Crop(_box_around(brain))
    box = tuple(slice(*ends) for ends in crop.box)
    seen, brain = seen[box], brain[box]
    is_reversed = has_bright_fluid(seen, brain)
    picture = scaled_inside(-seen if is_reversed else seen, brain, OUTSIDE)
    return Prepared(picture, crop, head.geometry, grid, is_reversed)


def _count(count: int, spacing: float) -> int:
    """Return along an axis how many voxels the network gets."""
    if _AS_IT_IS[0] <= spacing / _SPACING <= _AS_IT_IS[1]:
        return count
    return max(1, round(count * spacing / _SPACING))


def _box_around(mask: Mask) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    box = []
    for axis, size in enumerate(mask.shape):
        rows = np.flatnonzero(mask.any(tuple(n for n in range(3) if n != axis)))
        box.append((max(0, int(rows[0]) - _MARGIN), min(size, int(rows[-1]) + 1 + _MARGIN)))
    return box[0], box[1], box[2]
