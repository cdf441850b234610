"""Thick slices to thin ones: a cubic B-spline through the slices, and what a network adds to it.

The network looks at planes across the slices: at all that hold the slices' direction and the rows' (coronal ones of an
axial scan), and at all that hold theirs and the columns' (sagittal ones). What it adds in the two is averaged (after
Zhao et al. 2021, SMORE, IEEE TMI). The spline is computed in float32 whatever the network's precision.

Where each slab is divided into a whole number of thin slices, what their mean is off from the thick slice is put right
in all of them alike: the least change that makes them agree with what was measured, and one that brings them nearer to
any thin slices that do. Steps between thin slices are then made as large where a slab ends as within it; see
`napari_radcnn.models.super_resolution.steps`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.backends.base import Predictor
from napari_radcnn.inference.opening import open_shipped
from napari_radcnn.inference.patches.windows import Windows
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models.super_resolution.network import CHANNELS, MULTIPLE, build_network
from napari_radcnn.models.super_resolution.spec import HIGHEST_FACTOR, LOWEST_FACTOR
from napari_radcnn.models.super_resolution.steps import even_share, evened
from napari_radcnn.models.super_resolution.through_plane import Array, ThroughPlane, unit_value
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Of a voxel of the scan on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = {"ct-super-resolution": 3.0e-6, "mr-super-resolution": 3.9e-6}
_AXES = "kji"
#: Fewer slices hold nothing to interpolate.
_FEWEST_SLICES = 3
#: Planes that are interpolated at a time; a side of what the network sees; how much of it is only for context.
_PLANES, _SIDE, _HALO = 16, 320, 24
#: Bytes of libraries and network; a voxel of the result, and of the slab of planes that is under way.
_FIXED_BYTES, _RESULT_BYTES, _SLAB_BYTES = 500 << 20, 5, 28
#: What training showed: thickness over distance.
_THICKNESS = (0.5, 1.5)
#: A piece whose values spread less than this (of the network's unit) is left to the spline.
_FLAT = 2e-3
#: Values the network sees are clipped to these; what it adds goes to the values as they are.
_RANGE = {"CT": (-1.1, 3.1), "MR": (-1.0, 4.0)}


@dataclass(frozen=True)
class _Task:
    """What is to be done: the axis through the slices, and the slices along it."""

    geometry: Geometry
    axis: int
    slabs: ThroughPlane

    @cached_property
    def grid(self) -> Geometry:
        """Where the result lies."""
        return self.slabs.grid(self.geometry, self.axis)

    @property
    def across(self) -> tuple[int, int]:
        """Voxels along the two other axes."""
        first, second = (n for axis, n in enumerate(self.geometry.shape) if axis != self.axis)
        return first, second

    @cached_property
    def windows(self) -> tuple[Windows, Windows, Windows]:
        """Pieces through the slices, along the first of the other axes, and along the second; of one size there."""
        through = Windows.over(self.slabs.thin_count, _SIDE, _HALO, MULTIPLE)
        wide = Windows.over(max(self.across), _SIDE, _HALO, MULTIPLE)
        first, second = (Windows(n, wide.side, _HALO) for n in self.across)
        return through, first, second

    @property
    def steps(self) -> int:
        """Slabs of planes, in both directions."""
        return sum(-(-n // _PLANES) for n in self.across)


def plan(request: Request) -> Plan:
    """Return the cost: slabs of planes, first along one axis across the slices, then along the other."""
    task = _task(request)
    through, first, _ = task.windows
    thin = int(np.prod(task.grid.shape))
    slab = task.slabs.thin_count * max(task.across) * (_PLANES + 2)
    copied = 4 if task.axis else 0  # the result is put back into the scan's order
    memory = _FIXED_BYTES + (_RESULT_BYTES + copied) * thin + _SLAB_BYTES * slab + 12 * request.volume.size
    patch = (through.side, first.side, 1)
    return Plan(request.spec.name, task.steps, patch, memory, warnings=tuple(_domain_warnings(request, task)))


def run(request: Request, monitor: Monitor) -> Outcome:
    """Make thin slices; the result is float32 in the image's own units, on a grid of its own."""
    task = _task(request)
    values = np.moveaxis(np.asarray(request.volume.array), task.axis, 0)
    missing = _missing(request.volume, values)
    if missing is not None:
        if missing.all():
            raise ModelError(f"'{request.volume.name}' has no values: every voxel is missing.")
        values = np.where(missing, values[~missing].min(), values)
    modality = request.spec.modalities[0]
    unit = unit_value(values, modality)
    is_flat = unit == 0 or float(values.min()) == float(values.max())
    work = _Work(task, values, unit, _RANGE[modality])
    thin = np.empty((task.slabs.thin_count, *task.across), np.float32)
    if is_flat:
        work.interpolate(thin, monitor)
        found: dict[str, Any] = {"backend": "none"}
        told: tuple[str, ...] = ("The image has one value throughout: only the number of slices changed.",)
        ran, opening = ("cpu", "float32"), 0.0
    else:
        began = time.perf_counter()
        predictor, told = _open(request, work, monitor)
        opening = time.perf_counter() - began
        try:
            work.fill(thin, predictor, monitor)
            found = {
                "backend": predictor.backend,
                "agreement": predictor.agreement,
                "agreement_measured_on": predictor.measured_on,
                "steps_evened": round(work.evened, 4),
            }
            ran = (predictor.device, predictor.precision)
        finally:
            predictor.close()
    if missing is not None:
        nearest = np.clip(np.rint(task.slabs.positions()).astype(int), 0, task.slabs.count - 1)
        left = np.moveaxis(np.asarray(request.volume.array), task.axis, 0)
        for row, source in enumerate(nearest):
            thin[row][missing[source]] = left[source][missing[source]]
    facts = found | {
        "factor": round(task.slabs.factor, 6),
        "axis": _AXES[task.axis],
        "thickness_over_distance": round(task.slabs.thickness, 4),
        "value_of_1": round(unit, 4),
    }
    array = np.ascontiguousarray(np.moveaxis(thin, 0, task.axis))
    return Outcome(*ran, array=array, facts=facts, warnings=told, opening_seconds=opening, geometry=task.grid)


# -- what is asked ----------------------------------------------------------------------------------------------------


def _task(request: Request) -> _Task:
    """Return what is to be done.

    Raises
    ------
    GeometryError
        If there are too few slices.
    ModelError
        If it holds labels, or its voxels are about as deep as wide already and no factor was given.
    """
    geometry, options, name = request.volume.geometry, request.options, request.volume.name
    if request.volume.metadata.is_label:
        raise ModelError(f"'{name}' contains labels, but '{request.spec.name}' needs an image.")
    axis = int(np.argmax(geometry.spacing)) if options.axis == "coarsest" else _AXES.index(options.axis)
    if geometry.shape[axis] == 1 or min(geometry.shape) == 1:
        raise GeometryError(f"'{name}' is a single slice, but '{request.spec.name}' needs a stack of slices.")
    if geometry.shape[axis] < _FEWEST_SLICES:
        raise GeometryError(
            f"'{name}' has {geometry.shape[axis]} slices along its axis {_AXES[axis]}: '{request.spec.name}' needs at "
            f"least {_FEWEST_SLICES}."
        )
    deep = geometry.spacing[axis]
    wide = max(spacing for n, spacing in enumerate(geometry.spacing) if n != axis)
    factor = options.factor or min(deep / wide, HIGHEST_FACTOR)
    if factor < LOWEST_FACTOR:
        raise ModelError(
            f"The voxels of '{name}' are {deep:.2f} mm deep and {wide:.2f} mm wide, already nearly the same: there "
            "is nothing to do. Set the factor to make them even thinner."
        )
    thickness = options.thickness_mm / deep if options.thickness_mm else 1.0
    return _Task(geometry, axis, ThroughPlane(geometry.shape[axis], factor, thickness))


def _domain_warnings(request: Request, task: _Task) -> list[str]:
    """Return what of the scan lies outside of what the network was trained on."""
    geometry, name = request.volume.geometry, request.volume.name
    deep = geometry.spacing[task.axis]
    across = [spacing for n, spacing in enumerate(geometry.spacing) if n != task.axis]
    found = []
    if not request.options.factor and deep / max(across) > HIGHEST_FACTOR * 1.001:
        found.append(
            f"'{name}' would need {deep / max(across):.1f} thin slices for each thick one to get isotropic voxels; "
            f"{HIGHEST_FACTOR:g} are made."
        )
    if deep < max(geometry.spacing) * 0.999:
        found.append(f"Axis {_AXES[task.axis]} is not the coarsest axis of '{name}'.")
    low, high = _THICKNESS
    if not low <= task.slabs.thickness <= high:
        found.append(
            f"Slices are {request.options.thickness_mm:g} mm thick at a spacing of {deep:.2f} mm: the network was "
            f"trained with slices {low:g} to {high:g} times as thick as their spacing."
        )
    return found


def _missing(volume: Volume, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Return which voxels are padding, which holds nothing that was measured; None if none is."""
    padding = volume.metadata.padding_value
    missing = None if padding is None else values == padding
    return missing if missing is not None and missing.any() else None


def _open(request: Request, work: _Work, monitor: Monitor) -> tuple[Predictor, tuple[str, ...]]:
    monitor.say("loading the network")
    through, first, _ = work.task.windows
    return open_shipped(
        request,
        build_network,
        (1, through.side, first.side),
        monitor,
        channels=CHANNELS,
        spatial_dims=2,
        sample=work.sample(),
        outputs="values",
    )


# -- the work ---------------------------------------------------------------------------------------------------------


class _Work:
    """A stack of thick slices on its way.

    Parameters
    ----------
    task : _Task
    values : (count, first, second) array
        Thick slices first.
    unit : float
        The value that the network sees as 1.
    bounds : tuple of float
        What it sees is clipped to these.
    """

    def __init__(self, task: _Task, values: npt.NDArray[Any], unit: float, bounds: tuple[float, float]) -> None:
        self.task = task
        self._values, self._unit, self._bounds = values, unit, bounds
        self._conditions = task.slabs.conditions()
        self.evened = 0.0

    def interpolate(self, thin: Array, monitor: Monitor) -> None:
        """Fill `thin` with the spline alone."""
        for first in range(0, self.task.across[0], _PLANES):
            planes = slice(first, first + _PLANES)
            thin[:, planes] = self.task.slabs.cubic(self._values[:, planes])
        for _ in range(monitor.total):
            monitor.step("interpolating")

    def fill(self, thin: Array, predictor: Predictor, monitor: Monitor) -> None:
        """Fill `thin`: half of what the network adds in each of the two directions."""
        for first in range(0, self.task.across[0], _PLANES):
            stop = min(first + _PLANES, self.task.across[0])
            spline = self._slab(self._values, first, stop)
            thin[:, first:stop] = spline[:, 1:-1]
            thin[:, first:stop] += self._added(spline, self.task.windows[2], predictor, monitor)
            monitor.step(f"planes {stop} of {sum(self.task.across)}")
        turned, values = thin.swapaxes(1, 2), self._values.swapaxes(1, 2)
        for first in range(0, self.task.across[1], _PLANES):
            stop = min(first + _PLANES, self.task.across[1])
            spline = self._slab(values, first, stop)
            turned[:, first:stop] += self._added(spline, self.task.windows[1], predictor, monitor)
            monitor.step(f"planes {self.task.across[0] + stop} of {sum(self.task.across)}")
        self._put_right(thin)

    def _put_right(self, thin: Array) -> None:
        """Make the mean of a slab's thin slices the thick one, where they fill it exactly, and steps equally large."""
        slabs = self.task.slabs
        thick = self._values if slabs.divides_evenly else None
        for first in range(0, self.task.across[0], _PLANES):
            planes = slice(first, first + _PLANES)
            if thick is not None:
                thin[:, planes] = slabs.with_means(thin[:, planes], thick[:, planes])
        self.evened = even_share(slabs, thin, thick)
        if self.evened == 0:
            return
        for first in range(0, self.task.across[0], _PLANES):
            planes = slice(first, first + _PLANES)
            mean = None if thick is None else thick[:, planes]
            thin[:, planes] = evened(slabs, thin[:, planes], self.evened, mean)

    def _slab(self, values: npt.NDArray[Any], first: int, stop: int) -> Array:
        """Return the spline in some planes and the two beside them; the scan's last planes stand for those beyond."""
        planes = np.clip(np.arange(first - 1, stop + 1), 0, values.shape[1] - 1)
        return self.task.slabs.cubic(values[:, planes])

    def sample(self) -> Array:
        """Return what the network sees in the middle of the scan, to compare backends with."""
        middle = self.task.across[0] // 2
        through, _, across = self.task.windows
        rows, columns = through.pieces[len(through.pieces) // 2], across.pieces[len(across.pieces) // 2]
        return self._shown(self._slab(self._values, middle, middle + 1), 0, rows.taken, columns.taken)

    def _shown(self, spline: Array, plane: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Array:
        """Return ``(7, 1, row, column)`` of one plane's piece."""
        shown = np.empty((CHANNELS, 1, len(rows), len(columns)), np.float32)
        piece = spline[:, plane : plane + 3][rows][:, :, columns]
        np.clip(piece.transpose(1, 0, 2) / np.float32(self._unit), *self._bounds, out=shown[:3, 0])
        shown[3:, 0] = self._conditions[:, rows, None]
        return shown

    def _added(self, spline: Array, across: Windows, predictor: Predictor, monitor: Monitor) -> Array:
        """Return half of what the network adds to all planes of a slab but the outermost two."""
        through = self.task.windows[0]
        added = np.zeros((spline.shape[0], spline.shape[1] - 2, spline.shape[2]), np.float32)
        for plane in range(added.shape[1]):
            monitor.check()
            for rows in through.pieces:
                for columns in across.pieces:
                    shown = self._shown(spline, plane, rows.taken, columns.taken)
                    if np.ptp(shown[1]) < _FLAT:
                        continue
                    found = predictor(shown)[0, 0]
                    kept = found[rows.inside, columns.inside]
                    added[rows.kept, plane, columns.kept] = kept * np.float32(0.5 * self._unit)
        return added
