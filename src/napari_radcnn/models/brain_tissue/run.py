"""Tissue of the brain: outline the brain, scale its gray values, 1 mm, network, and back to the scan's grid."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Box, Geometry, Shape
from napari_radcnn.inference.backends import late_warnings
from napari_radcnn.inference.cost.costs import blending_budget
from napari_radcnn.inference.cost.growth import check_own_spacing
from napari_radcnn.inference.opening import open_shipped
from napari_radcnn.inference.patches.positions import patch_count
from napari_radcnn.inference.patches.stream import read_padded, run_patches
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.inference.uncertainty import maps_of
from napari_radcnn.models.brain_extraction import run as brain_extraction
from napari_radcnn.models.brain_extraction.spec import SPEC as EXTRACTION
from napari_radcnn.models.brain_tissue.network import CLASSES, OUTSIDE, build_network
from napari_radcnn.models.brain_tissue.stripped import Mask, has_bright_fluid, is_stripped, scaled_inside, shown_mask
from napari_radcnn.preprocessing import Crop, Reorient, resample
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import Sampling

if TYPE_CHECKING:
    from napari_radcnn.inference.backends.base import Predictor

#: Of a patch on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 10.0
#: The network's orientation, its voxels in mm, and how far from that a scan's own may be without being resampled: it
#: was trained with heads of 0.8 to 1.2 times their size.
_ORIENTATION, _SPACING, _AS_IT_IS = "RAS", 1.0, (0.8, 1.2)
#: The largest patch, which holds most brains; smaller brains get multiples of `_STEP`, so that few shapes are compiled.
_PATCH, _STEP = (160, 192, 160), 32
_OVERLAP = 0.25
#: Voxels around the brain that the network sees.
_MARGIN = 4
#: Slices and mm that a scan must have along each axis.
_LEAST_SLICES, _LEAST_MM = 8, 40.0
#: Peak memory beside the scan: libraries; a voxel of the patch; a voxel of the scan.
_LIBRARIES, _BYTES_A_PATCH_VOXEL, _BYTES_A_VOXEL = 600 << 20, 160, 40
#: Liters of gray and white matter together, and white to gray, from children to large adults; else the user is told.
_PLAUSIBLE_LITERS, _PLAUSIBLE_RATIO = (0.5, 2.0), (0.4, 1.6)


def plan(request: Request) -> Plan:
    """Return the cost of a brain that fits into the largest patch; smaller ones and fewer patches cost less.

    Raises
    ------
    GeometryError
        If the scan has too few slices.
    ModelError
        If its voxels are so large that 1 mm is out of all proportion.
        If the brain must be cut out first and what that needs is not installed.
    """
    _refuse_shape(request)
    memory = _LIBRARIES + _BYTES_A_PATCH_VOXEL * int(np.prod(_PATCH)) + _BYTES_A_VOXEL * request.volume.size
    if request.options.brain == "whole-head":
        _require_extraction(request)
        memory = max(memory, brain_extraction.plan(_extraction_request(request)).memory_bytes)
    return Plan(request.spec.name, 1, _PATCH, memory)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Name the tissue of every voxel of the brain: 1 fluid, 2 gray, 3 white matter."""
    _refuse_shape(request)
    monitor.say("detecting the brain")
    values = np.array(request.volume.array, np.float32)
    brain = _find_brain(request, values, monitor)
    prepared = _prepare(request, values, brain.mask)
    tissue = _Tissue(request, prepared, monitor)
    labels = tissue.run()
    labels[~brain.mask] = 0
    for values in tissue.maps.values():
        values[~brain.mask] = 0
    if not (labels > 1).any():
        raise ModelError(
            f"No brain tissue was detected in '{request.volume.name}'. Check that it is an MR of the brain, and "
            "check its orientation."
        )
    told = (*brain.warnings, *tissue.warnings, *_implausible(labels, request.volume.geometry))
    return Outcome(
        tissue.device,
        tissue.precision,
        array=labels,
        maps=tissue.maps,
        facts=tissue.facts | {"brain": brain.source, "gray_values_reversed": prepared.is_reversed},
        warnings=tuple(dict.fromkeys(told)),
        opening_seconds=tissue.opening_seconds,
    )


def _refuse_shape(request: Request) -> None:
    geometry = request.volume.geometry
    for count, spacing in zip(geometry.shape, geometry.spacing, strict=True):
        if count < _LEAST_SLICES or count * spacing < _LEAST_MM:
            raise GeometryError(
                f"'{request.volume.name}' has {count} slices over {count * spacing:.0f} mm along one axis: "
                f"'{request.spec.name}' needs a scan of the brain in three dimensions, at least {_LEAST_SLICES} slices "
                f"and {_LEAST_MM:.0f} mm. Choose the 3-D series, or open all slices of it together."
            )
    check_own_spacing(request.volume, _SPACING)


# -- where the brain is -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Brain:
    """The outline, where it comes from, and what must be told of it."""

    mask: Mask
    source: str
    warnings: tuple[str, ...] = ()


def _find_brain(request: Request, values: npt.NDArray[np.float32], monitor: Monitor) -> _Brain:
    scan = request.volume
    if float(values.max()) == float(values.min()):
        raise ModelError(f"'{scan.name}' has the same value everywhere: it shows nothing.")
    mask, share = shown_mask(scan, values)
    wanted = request.options.brain
    if wanted == "stripped" or (wanted == "auto" and is_stripped(scan, mask, share)):
        return _Brain(mask, "as shown")
    _require_extraction(request)
    monitor.say("extracting the brain")
    found = brain_extraction.run(_extraction_request(request), _Within(monitor))
    if found.array is None:
        raise ModelError(f"'{EXTRACTION.name}' returned no brain mask of '{scan.name}'.")
    told = (
        f"The brain was extracted with '{EXTRACTION.name}', which was made for T1-weighted scans: check its border. "
        "If the scan already shows only the brain, set brain to stripped.",
        *found.warnings,
    )
    return _Brain(found.array > 0, EXTRACTION.name, told)


class _Within(Monitor):
    """Passes on what another model's pipeline says within this one's only step, and cancels with it."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(monitor.total)
        self._monitor = monitor

    def check(self) -> None:
        self._monitor.check()

    def say(self, message: str) -> None:
        self._monitor.say(message)


def _require_extraction(request: Request) -> None:
    if not EXTRACTION.is_available:
        raise ModelError(
            f"'{request.volume.name}' shows the whole head, and extracting the brain needs deepbet, which is not "
            f"installed: {EXTRACTION.install_command}, or use a skull-stripped scan. If it already is one, set brain "
            "to stripped."
        )


def _extraction_request(request: Request) -> Request:
    return replace(request, spec=EXTRACTION, options=EXTRACTION.options(), sink=None, streams=False)


def _implausible(labels: npt.NDArray[np.uint8], geometry: Geometry) -> tuple[str, ...]:
    gray, white = (np.count_nonzero(labels == n) * geometry.voxel_volume / 1e6 for n in (2, 3))
    liters, ratio = gray + white, white / max(gray, 1e-6)
    if _PLAUSIBLE_LITERS[0] <= liters <= _PLAUSIBLE_LITERS[1] and _PLAUSIBLE_RATIO[0] <= ratio <= _PLAUSIBLE_RATIO[1]:
        return ()
    return (
        f"The result has {gray:.2f} liters of gray and {white:.2f} of white matter, which is implausible for a whole "
        "brain: check the labels before relying on them.",
    )


# -- what the network sees, and its answer ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Prepared:
    """The brain as the network sees it, and where that lies."""

    picture: npt.NDArray[np.float32]
    crop: Crop
    upright: Geometry
    grid: Geometry
    is_reversed: bool


def _prepare(request: Request, values: npt.NDArray[np.float32], mask: Mask) -> _Prepared:
    if not mask.any():
        raise ModelError(f"'{request.volume.name}' is empty.")
    turn = Reorient(_ORIENTATION)
    head = turn.apply(request.volume.with_array(values))
    brain = turn.apply(request.volume.with_array(mask)).array
    shape = [_count(n, s) for n, s in zip(head.geometry.shape, head.geometry.spacing, strict=True)]
    grid = head.geometry
    seen: npt.NDArray[Any] = head.array
    if tuple(shape) != grid.shape:
        grid = head.geometry.with_shape(shape)
        seen = resample(seen, head.geometry, grid, interpolation="linear", fill=float(values.min()))
        share = resample(brain.astype(np.float32), head.geometry, grid, interpolation="linear")
        brain = share > 0.5
        if not brain.any():
            raise ModelError(f"'{request.volume.name}' shows too little to segment.")
    crop = Crop(_box_around(brain))
    box = tuple(slice(*ends) for ends in crop.box)
    seen, brain = seen[box], brain[box]
    is_reversed = has_bright_fluid(seen, brain)
    picture = scaled_inside(-seen if is_reversed else seen, brain, OUTSIDE)
    return _Prepared(picture, crop, head.geometry, grid, is_reversed)


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


def _sampling(shape: tuple[int, ...], mirrored: bool) -> Sampling:
    k, j, i = (min(most, -(-n // _STEP) * _STEP) for n, most in zip(shape, _PATCH, strict=True))
    axes = (0,) if mirrored else ()  # of the network's orientation: left to right
    return Sampling((k, j, i), _OVERLAP, "monai", "monai", padding_value=OUTSIDE, mirror_axes=axes)


class _Tissue:
    """One run of the network."""

    def __init__(self, request: Request, prepared: _Prepared, monitor: Monitor) -> None:
        self._request, self._prepared, self._monitor = request, prepared, monitor
        k, j, i = prepared.picture.shape
        self._shape: Shape = (k, j, i)
        self._sampling = _sampling(self._shape, request.options.mirrored)
        self.device = self.precision = ""
        self.warnings: list[str] = []
        self.facts: dict[str, Any] = {}
        self.maps: dict[str, npt.NDArray[np.float32]] = {}
        self.opening_seconds = 0.0

    def run(self) -> npt.NDArray[np.uint8]:
        """Return the labels on the scan's grid."""
        self._monitor.total = patch_count(self._shape, self._sampling)
        predictor = self._open()
        try:
            shares = self._shares(predictor)
            self.warnings += late_warnings([predictor])
        finally:
            predictor.close()
        self._monitor.say("resampling the result to the scan")
        if self._request.options.uncertainty:
            self.maps = {name: self._image_placed(values) for name, values in maps_of(shares).items()}
        return self._placed(shares)

    def _read(self, box: Box) -> npt.NDArray[np.float32]:
        return self._prepared.picture[(None, *box)]

    def _open(self) -> Predictor:
        started = time.perf_counter()
        patch = self._sampling.patch
        k, j, i = (slice((n - p) // 2, (n - p) // 2 + p) for n, p in zip(self._shape, patch, strict=True))
        sample = read_padded(self._read, (k, j, i), self._shape, OUTSIDE)
        predictor, told = open_shipped(
            self._request, build_network, patch, self._monitor, channels=1, spatial_dims=3, sample=sample
        )
        self.warnings += told
        self.device, self.precision = predictor.device, predictor.precision
        self.facts = {
            "patches": self._monitor.total,
            "network_shape": list(self._shape),
            "backend": predictor.backend,
            "agreement_with_float32": predictor.agreement,
            "agreement_measured_on": predictor.measured_on,
        }
        self.opening_seconds = time.perf_counter() - started
        return predictor

    def _shares(self, predictor: Predictor) -> npt.NDArray[np.float16]:
        """Return the probability of each class, on the network's grid within the box around the brain."""
        shares = np.zeros((CLASSES, *self._shape), np.float16)
        stream = run_patches(
            [predictor],
            self._read,
            self._shape,
            self._sampling,
            classes=CLASSES,
            budget_bytes=blending_budget(),
            monitor=self._monitor,
        )
        done = 0
        for final, blend in stream:
            for start in range(done, final, _STEP):
                box = (slice(start, min(start + _STEP, final)), slice(0, self._shape[1]), slice(0, self._shape[2]))
                logits = np.array(blend.read(box))
                power = np.exp(logits - logits.max(0))
                shares[(slice(None), *box)] = power / power.sum(0)
            done = final
            blend.release(final)
        return shares

    def _image_placed(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return an image of the network's grid on the scan's."""
        crop, grid, upright = self._prepared.crop, self._prepared.grid, self._prepared.upright
        if grid is upright:
            placed = crop.invert(values, upright)
        else:
            small = grid.cropped([slice(*ends) for ends in crop.box])
            placed = resample(values, small, upright, interpolation="linear", antialias=False)
        return np.array(Reorient(_ORIENTATION).invert(placed, self._request.volume.geometry), np.float32)

    def _placed(self, shares: npt.NDArray[np.float16]) -> npt.NDArray[np.uint8]:
        """Return the most probable class of each voxel of the scan."""
        crop, grid, upright = self._prepared.crop, self._prepared.grid, self._prepared.upright
        labels = np.zeros(upright.shape, np.uint8)
        if grid is upright:
            labels = crop.invert(shares.argmax(0).astype(np.uint8), upright)
        else:
            best = np.zeros(upright.shape, np.float32)
            small = grid.cropped([slice(*ends) for ends in crop.box])
            for value in range(CLASSES):
                share = resample(
                    shares[value].astype(np.float32), small, upright, interpolation="linear", antialias=False
                )
                labels[share > best] = value
                np.maximum(best, share, out=best)
        back = Reorient(_ORIENTATION).invert(labels, self._request.volume.geometry)
        return np.ascontiguousarray(back)
