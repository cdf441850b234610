"""A foreign detector, run on a whole scan, on windows of it or on each of its slices, in float32."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import permutations
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.shown import as_shown
from napari_radcnn.foreign.detection.decoding import from_maps, from_rows, split_maps
from napari_radcnn.foreign.detection.described import Boxes, Detecting
from napari_radcnn.foreign.detection.memory import fitting_windows
from napari_radcnn.foreign.detection.suppression import Found, suppressed, together, without_parts
from napari_radcnn.foreign.detection.windows import starts_of, stitched
from napari_radcnn.foreign.processing.input import RecipeInput, grid_change, turned_axes, turned_scans
from napari_radcnn.foreign.processing.resizing import resized_shape
from napari_radcnn.foreign.processing.steps import Resize
from napari_radcnn.foreign.requested import check_scans, network_of
from napari_radcnn.geometry import Shape
from napari_radcnn.inference.backends import Predictor, late_warnings
from napari_radcnn.inference.backends.apart.predictor import open_file_network
from napari_radcnn.inference.cost.costs import keeping_budget
from napari_radcnn.inference.patches.positions import patch_box
from napari_radcnn.inference.patches.stream import read_padded
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.networks.files import open_network
from napari_radcnn.networks.outputs import unpack
from napari_radcnn.progress import Monitor
from napari_radcnn.results import Detection
from napari_radcnn.spec.patches import Sampling

_Floats = npt.NDArray[np.float64]
#: The least side of a box that an anchor was moved to, within the picture, voxels: as MONAI's `clip_boxes_to_image`.
_LEAST_SIDE = 1.0
#: How near to the end of its window a box is taken for cut off, voxels.
_TOUCHES = 1.0
#: Findings of which a manifest keeps score, place and size, beside how many there are.
_MOST_COMPARED = 16


def plan(request: Request) -> Plan:
    """Return the cost: a window is a patch."""
    how = _detecting(request)
    scans = turned_scans(request.volumes, how)
    shape = scans.shape
    for step in how.steps:
        if isinstance(step, Resize):
            shape = resized_shape(step, shape)
            continue
        change = grid_change(step, shape, request.volume.name, turned_axes(scans))
        shape = shape if change is None else change.after
    slices, padded = _slices(how, shape, request), _divided(how, shape)
    sampling, network, besides, told = fitting_windows(request, how, _sampling(how, padded), shape, padded)
    count = slices * len(starts_of(_one(how, padded), sampling))
    return Plan(request.spec.name, count, sampling.patch, network + besides, warnings=told, network_bytes=network)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Run the network; centers and sizes are in the patient, LPS mm.

    Raises
    ------
    ModelError
        If the scan does not become what the network takes, or its answer is not what its description says.
    """
    how, shown = _detecting(request), request.spec.name
    monitor.say("preparing the scan")
    seen = RecipeInput(
        [as_shown(volume, how.is_as_stored) for volume in request.volumes], how, keeping_budget(), monitor
    )
    slices = _slices(how, seen.shape, request)
    padded = _divided(how, seen.shape)
    sampling, *_ = fitting_windows(request, how, _sampling(how, padded), seen.shape, padded)
    monitor.total = slices * len(starts_of(_one(how, padded), sampling))
    parts: list[Found] = []
    outside, is_cut = 0, False
    with _opened(request, how, sampling, monitor) as (predictor, facts):
        for k in range(slices):
            window = _Windows(seen, how, sampling, padded, k, predictor, monitor, shown)
            found, beyond = window.found()
            best, more = suppressed(found, how.boxes.overlap, how.boxes.most)
            parts.append(_with_slice(best, k, how.boxes) if how.spatial_dims == 2 else best)
            outside, is_cut = outside + beyond, is_cut or more
        facts["late"] = late_warnings([predictor])
        bare = Outcome(
            predictor.device,
            predictor.precision,
            facts={"backend": predictor.backend, "network_shape": list(sampling.patch), "windows": monitor.total},
            warnings=(*facts["told"], *facts["late"]),
            opening_seconds=facts["seconds"],
        )
    found = together(parts, 3)
    if slices > 1:
        order = np.argsort(-found.scores, kind="stable")
        is_cut = is_cut or len(order) > how.boxes.most
        found = found.only(order[: how.boxes.most])
    found = found.only(found.scores >= request.options.threshold)
    detections, lost = _placed(found, how.boxes, seen)
    return replace(
        bare,
        detections=detections,
        numbers=_numbers(detections),
        warnings=(*bare.warnings, *_told(how.boxes, outside + lost, is_cut, shown)),
    )


class _Windows:
    """The windows of a scan, or of one of its slices."""

    def __init__(
        self,
        seen: RecipeInput,
        how: Detecting,
        sampling: Sampling,
        padded: Shape,
        number: int,
        predictor: Predictor,
        monitor: Monitor,
        shown: str,
    ) -> None:
        self._seen, self._how, self._sampling, self._shown = seen, how, sampling, shown
        self._number, self._predictor, self._monitor = number, predictor, monitor
        self._shape, self._whole = _one(how, padded), _one(how, seen.shape)

    def found(self) -> tuple[Found, int]:
        """Return the boxes of all windows, clipped to the scan, and how many the network puts outside of a window."""
        how, first = self._how, 3 - self._how.spatial_dims
        if how.boxes.form == "anchor-maps":
            maps = stitched(self._maps, self._shape, self._sampling, self._shown)
            maps = maps if first == 0 else [one[:, 0] for one in maps]
            found = from_maps(maps, how.boxes, self._shape[first:], self._shown)
            return found.clipped(self._whole[first:], _LEAST_SIDE), 0
        parts, outside = [], 0
        cut: list[npt.NDArray[Any]] = [np.zeros(0, bool)]
        dims, whole = how.spatial_dims, np.array(self._whole[first:])
        patch = self._sampling.patch[first:]
        for start in starts_of(self._shape, self._sampling):
            found, beyond = from_rows(self._answer(start), how.boxes, patch, self._shown)
            box = patch_box(start, self._shape, self._sampling.patch)[first:]
            offset = np.tile([float(side.start) for side in box], 2)
            found = found.clipped(patch)
            found = Found(found.corners + offset, found.scores, found.classes).clipped(self._whole[first:])
            low, high = found.corners[:, :dims], found.corners[:, dims:]
            starts, stops = offset[:dims], offset[:dims] + patch
            at_start, at_stop = (low <= starts + _TOUCHES) & (starts > 0), (high >= stops - _TOUCHES) & (stops < whole)
            cut.append(np.any(at_start | at_stop, axis=1))
            parts.append(found)
            outside += beyond
        return without_parts(together(parts, dims), np.concatenate(cut)), outside

    def _answer(self, start: Shape) -> list[npt.NDArray[np.floating]]:
        box = patch_box(start, self._shape, self._sampling.patch)

        def read(inside: tuple[slice, slice, slice]) -> npt.NDArray[np.float32]:
            k, j, i = inside
            if self._how.spatial_dims == 2:
                k = slice(self._number, self._number + 1)
            kept = [slice(min(s.start, n), min(s.stop, n)) for s, n in zip((k, j, i), self._seen.shape, strict=True)]
            if any(side.start >= side.stop for side in kept):
                return np.zeros((self._how.channels, *(s.stop - s.start for s in (k, j, i))), np.float32)
            values = self._seen.read((kept[0], kept[1], kept[2]))
            missing = [(s.stop - s.start) - (a.stop - a.start) for s, a in zip((k, j, i), kept, strict=True)]
            return np.pad(values, [(0, 0), *((0, m) for m in missing)]) if any(missing) else values

        given = read_padded(read, box, self._shape, self._sampling.padding_value)
        row = np.asarray(self._predictor(given)).copy()
        self._monitor.step("computing")
        return unpack(row)

    def _maps(self, start: Shape) -> list[_Floats]:
        maps = split_maps(self._answer(start), self._how.boxes, self._how.spatial_dims, self._shown)
        return maps if self._how.spatial_dims == 3 else [one[:, None] for one in maps]


# -- the network ------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(
    request: Request, how: Detecting, sampling: Sampling, monitor: Monitor
) -> Iterator[tuple[Predictor, dict[str, Any]]]:
    started = time.perf_counter()
    network = open_network(request.spec.files[0], channels=how.channels, spatial_dims=how.spatial_dims)
    settings = request.settings
    if settings.precision == "auto":  # few digits move a box, and change which of two is kept
        settings = replace(settings, precision="float32")
    predictor, told = open_file_network(
        network, sampling.patch, settings, threads=request.threads, outputs="answer", monitor=monitor
    )
    try:
        yield predictor, {"told": told, "seconds": time.perf_counter() - started}
    finally:
        predictor.close()


def _detecting(request: Request) -> Detecting:
    how = network_of(request, Detecting)
    check_scans(request, how.scans)
    return how


def _slices(how: Detecting, shape: Shape, request: Request) -> int:
    """Return how many slices are looked at, one by one; 1 in three dimensions."""
    if how.spatial_dims == 3:
        return 1
    if shape[0] > 1 and how.slices == "one":
        raise ModelError(
            f"'{request.spec.name}' takes a single picture, but '{request.volume.name}' has {shape[0]} slices: choose "
            'one, or set "slices" to "each" in its model.json.'
        )
    return shape[0]


def _one(how: Detecting, shape: Shape) -> Shape:
    """Return the shape that windows are taken of: that of a slice in two dimensions."""
    return (1, *shape[1:]) if how.spatial_dims == 2 else shape


def _divided(how: Detecting, shape: Shape) -> Shape:
    """Return a shape with zeros added at the end, so that the network's maps fit it."""
    k, j, i = (-(-n // d) * d for n, d in zip(shape, how.divisible, strict=True))
    return k, j, i


def _sampling(how: Detecting, shape: Shape) -> Sampling:
    """Return how windows are taken; without windows one that holds everything."""
    whole = _one(how, shape)
    if how.sampling is None or (how.is_whole_below and prod(whole) < prod(how.sampling.patch)):
        return Sampling(whole, 0.0, "monai", "constant")
    return how.sampling


# -- in the patient ---------------------------------------------------------------------------------------------------


def _with_slice(found: Found, k: int, boxes: Boxes) -> Found:
    """Return boxes of a slice as boxes as thick as that slice."""
    low = np.full((len(found), 1), k if boxes.starts_at == "edge" else k - 0.5)
    high = low + 1
    corners = np.concatenate([low, found.corners[:, :2], high, found.corners[:, 2:]], 1)
    return Found(corners, found.scores, found.classes)


def _placed(found: Found, boxes: Boxes, seen: RecipeInput) -> tuple[tuple[Detection, ...], int]:
    """Return the findings in the patient, and how many were left out because they lie outside of the scan.

    A box keeps its sides: of an oblique scan each is taken along the axis of the patient that it is nearest to.
    """
    shift = np.array([0.5 if boxes.starts_at == "edge" else 0.0] * 3)
    centers = (found.corners[:, :3] + found.corners[:, 3:]) / 2 - shift
    sides = found.corners[:, 3:] - found.corners[:, :3]
    scan = seen.scans.volumes[0]
    unit = scan.geometry.to_world(seen.indices_of(np.concatenate([np.zeros((1, 3)), np.eye(3)])))
    axes = (unit[1:] - unit[0]).T  # columns: one voxel of the network along each of its axes, mm in the patient
    lengths = np.linalg.norm(axes, axis=0)
    nearest = max(permutations(range(3)), key=lambda order: sum(abs(axes[order[n], n]) / lengths[n] for n in range(3)))
    indices = seen.indices_of(centers) if len(centers) else centers
    inside = np.ones(len(centers), bool)
    if len(centers):
        ends = [seen.indices_of(corners - shift) for corners in (found.corners[:, :3], found.corners[:, 3:])]
        low, high = np.minimum(*ends), np.maximum(*ends)
        inside = np.all((high > -0.5) & (low < np.array(scan.shape) - 0.5), axis=1)
    world = scan.geometry.to_world(indices) if len(centers) else centers
    detections = []
    for number in np.flatnonzero(inside).tolist():
        size = [0.0, 0.0, 0.0]
        for axis in range(3):
            size[nearest[axis]] = float(sides[number, axis] * lengths[axis])
        x, y, z = map(float, world[number])
        detections.append(
            Detection(
                boxes.names[int(found.classes[number])],
                float(found.scores[number]),
                (x, y, z),
                (size[0], size[1], size[2]),
            )
        )
    return tuple(detections), int((~inside).sum())


def _numbers(detections: tuple[Detection, ...]) -> dict[str, float]:
    """Return what a replay compares."""
    numbers = {"findings": float(len(detections))}
    for number, one in enumerate(detections[:_MOST_COMPARED], 1):
        values = zip(("score", "x", "y", "z", "dx", "dy", "dz"), (one.score, *one.center, *one.size), strict=True)
        numbers |= {f"{number} {name}": value for name, value in values}
    return numbers


def _told(boxes: Boxes, outside: int, is_cut: bool, shown: str) -> tuple[str, ...]:
    told = []
    if outside:
        told.append(
            f"'{shown}' placed {outside} {'box' if outside == 1 else 'boxes'} outside the scan; they are left out."
        )
    if is_cut:
        told.append(
            f"'{shown}' detected more than {boxes.most} boxes; only the {boxes.most} with the highest scores are "
            "listed: the scan may differ from its training data."
        )
    return tuple(told)
