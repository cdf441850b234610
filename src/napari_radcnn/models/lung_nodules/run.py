"""Nodules of the lung: find the lungs, 1.25 mm, point at places, look at each again, and say where they lie."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError, ModelError
from napari_radcnn.evidence.ensemble import KINDS
from napari_radcnn.geometry import Box, Geometry, Shape
from napari_radcnn.inference.backends import late_warnings
from napari_radcnn.inference.cost.costs import blending_budget
from napari_radcnn.inference.cost.growth import check_own_spacing
from napari_radcnn.inference.devices import computing, torch_device
from napari_radcnn.inference.opening import open_shipped
from napari_radcnn.inference.patches.positions import patch_count
from napari_radcnn.inference.patches.stream import read_padded, run_patches
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models.hounsfield import check_hounsfield
from napari_radcnn.models.lung_nodules.chest import Chest, Mask, cell_shape, prepare_chest
from napari_radcnn.models.lung_nodules.evidence import MOST, evidence, judge
from napari_radcnn.models.lung_nodules.network import ANSWERS, FOLD, SPACING, build_finder, build_second
from napari_radcnn.models.lung_nodules.places import Places, cubes, find_places, fold, fused, in_lung
from napari_radcnn.models.lung_nodules.points import Point, chosen_point
from napari_radcnn.models.lung_nodules.spec import LABEL
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.preprocessing import resample
from napari_radcnn.progress import Monitor
from napari_radcnn.results import Detection
from napari_radcnn.spec.patches import Sampling
from napari_radcnn.spec.shipped import about_weights

Floats = npt.NDArray[np.float32]

#: Of a patch on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 0.2
#: Said with every result.
SYNTHETIC = (
    "lung-nodules was trained on synthetic nodules only and not tested on annotated patients: it may miss real "
    "nodules, and what it marks may not be a nodule."
)
#: Sides of a patch, cells: the largest, and what they are multiples of, so that few shapes are compiled.
_SIDE, _STEP = 80, 16
_OVERLAP = 0.15
#: What a cell without a patch answers.
_EMPTY = (-20.0, 0.0, 0.0, 0.0, 0.0)
#: Places that are looked at again, how many at once, and how many of the best in mirror images, too.
PLACES, _AT_ONCE, _MIRRORED = 250, 10, 60
#: Mirror images over which the second network's answers are averaged.
_VIEWS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (4,))
#: Slices and mm that a scan must have along each axis.
_LEAST_SLICES, _LEAST_MM = 8, 40.0
#: Liters of air-holding lung below which the user is told.
_LITTLE_LUNG = 0.8
#: Peak memory: libraries; a cell of a patch; a voxel of the scan; a voxel of 1.25 mm of the chest.
_LIBRARIES, _PATCH_BYTES, _SCAN_BYTES, _VOXEL_BYTES = 500 << 20, 500, 6, 8


def plan(request: Request) -> Plan:
    """Return the cost if the lungs filled the scan; they take fewer patches.

    Raises
    ------
    GeometryError
        If the scan has too few slices.
    ModelError
        If its voxels are so large that the network's spacing is out of all proportion.
    """
    geometry = request.volume.geometry
    _refuse_shape(request)
    shape = cell_shape([n * s for n, s in zip(geometry.shape, geometry.spacing, strict=True)])
    sampling = _sampling(shape)
    memory = _LIBRARIES + _PATCH_BYTES * math.prod(sampling.patch) + _SCAN_BYTES * request.volume.size
    memory += _VOXEL_BYTES * FOLD**3 * math.prod(shape)
    k, j, i = (FOLD * n for n in sampling.patch)
    warnings = tuple(_doubts(request))
    steps = patch_count(shape, sampling) + 2 + _evidence_steps(request)
    return Plan(request.spec.name, steps, (k, j, i), memory, warnings=warnings)


def _refuse_shape(request: Request) -> None:
    geometry = request.volume.geometry
    for count, spacing in zip(geometry.shape, geometry.spacing, strict=True):
        if count < _LEAST_SLICES or count * spacing < _LEAST_MM:
            raise GeometryError(
                f"'{request.volume.name}' has {count} slices over {count * spacing:.0f} mm along one axis: "
                f"'{request.spec.name}' needs a chest in three dimensions, at least {_LEAST_SLICES} slices and "
                f"{_LEAST_MM:.0f} mm. Choose the series with thin slices, or open all slices of it together."
            )
    check_own_spacing(request.volume, SPACING)


def _doubts(request: Request) -> list[str]:
    volume = request.volume
    told = []
    if not volume.metadata.is_calibrated:
        told.append("The voxel size of the scan is unknown, but nodules are recognized by their size.")
    return told


def run(request: Request, monitor: Monitor) -> Outcome:
    """Find nodules; centers and sizes are in the patient, LPS mm.

    Raises
    ------
    ModelError
        If the values are no Hounsfield units, or no lung is found.
    """
    _refuse_shape(request)
    check_hounsfield(request.volume)
    chest = prepare_chest(request.volume, monitor)
    answer, facts, told, opening = _answered(request, chest, monitor)
    places = in_lung(chest.voxels, find_places(answer, chest.region, PLACES))
    monitor.step("re-examining each candidate")
    scores, precision = _scores(request, chest.voxels, places, monitor)
    point = chosen_point(request.spec, request.options.operating_point)
    best = _best(request, places, scores, point)
    maps = _evidence(request, chest, places.centers[best], monitor) if request.options.explain else {}
    monitor.step("done")
    warnings = [SYNTHETIC, *told, *([point.sentence()] if point else [])]
    if point:
        facts |= {"operating_point": asdict(point)}
    if chest.liters < _LITTLE_LUNG:
        warnings.append(
            f"Only {chest.liters:.2f} liters of lung were detected: check that the scan shows a whole chest."
        )
    return Outcome(
        str(facts.pop("device")),
        precision,
        detections=_detections(chest.grid, places, scores, best),
        facts=facts | {"lung_liters": round(chest.liters, 3), "places": len(scores)},
        warnings=tuple(dict.fromkeys(warnings)),
        opening_seconds=opening,
        maps=maps,
    )


# -- the networks -----------------------------------------------------------------------------------------------------


def _sampling(shape: Shape) -> Sampling:
    """Return patches that cover so many cells with little to spare."""
    sides = []
    for n in shape:
        count = max(1, math.ceil((n - _OVERLAP * _SIDE) / (_SIDE * (1 - _OVERLAP))))
        side = n / (1 + (count - 1) * (1 - _OVERLAP))
        sides.append(min(_SIDE, _STEP * math.ceil(side / _STEP)))
    return Sampling((sides[0], sides[1], sides[2]), _OVERLAP, "nnunet", "monai", padding_value=0.0)


def _answered(
    request: Request, chest: Chest, monitor: Monitor
) -> tuple[Floats, dict[str, Any], tuple[str, ...], float]:
    """Return the finder's answer for every cell, facts for the manifest, warnings, and what opening took."""
    started = time.perf_counter()
    shape = _shape(chest.region)
    sampling = _sampling(shape)
    monitor.total = patch_count(shape, sampling) + 2 + _evidence_steps(request)

    def read(box: Box) -> Floats:
        return fold(chest.voxels[tuple(slice(FOLD * side.start, FOLD * side.stop) for side in box)])

    middle = [slice((n - p) // 2, (n - p) // 2 + p) for n, p in zip(shape, sampling.patch, strict=True)]
    predictor, told = open_shipped(
        request,
        build_finder,
        sampling.patch,
        monitor,
        channels=FOLD**3,
        spatial_dims=3,
        sample=read_padded(read, (middle[0], middle[1], middle[2]), shape, 0.0),
        outputs="values",
    )
    opening = time.perf_counter() - started
    answer = np.empty((ANSWERS, *shape), np.float32)
    try:
        stream = run_patches(
            [predictor],
            read,
            shape,
            sampling,
            classes=ANSWERS,
            budget_bytes=blending_budget(),
            monitor=monitor,
            skip=lambda box: not chest.region[box].any(),
            empty=_EMPTY,
        )
        done = 0
        for final, blend in stream:
            planes = (slice(done, final), slice(0, shape[1]), slice(0, shape[2]))
            answer[(slice(None), *planes)] = blend.read(planes)
            done = final
            blend.release(final)
        told = (*told, *late_warnings([predictor]))
        facts = {
            "device": predictor.device,
            "network_shape": list(shape),
            "backend": predictor.backend,
            "agreement_with_float32": predictor.agreement,
            "agreement_measured_on": predictor.measured_on,
            "finder_precision": predictor.precision,
        }
    finally:
        predictor.close()
    return answer, facts, told, opening


def _shape(mask: Mask) -> Shape:
    k, j, i = mask.shape
    return k, j, i


def _scores(request: Request, voxels: Floats, places: Places, monitor: Monitor) -> tuple[npt.NDArray[np.float64], str]:
    """Return what both networks together say of each place, 0..1, and the second one's precision.

    The best places are looked at in mirror images, too.
    """
    import torch

    module = ShippedNetwork.of(request.spec, build_second, 3, 2, index=1).torch_module()
    device = torch_device(request.settings)
    calibration = _calibration(request)

    def look(numbers: npt.NDArray[np.int_], views: tuple[tuple[int, ...], ...]) -> npt.NDArray[np.float64]:
        found = []
        for start in range(0, len(numbers), _AT_ONCE):
            monitor.check()
            centers = places.centers[numbers[start : start + _AT_ONCE]]
            seen = torch.from_numpy(cubes(voxels, centers)).to(device)
            logits = [module(seen.flip(axes) if axes else seen)[:, 0].float() for axes in views]
            found.append(torch.stack(logits).mean(0).cpu().numpy())
        return np.concatenate([np.zeros(0), *found])

    with computing(request.settings, device, request.threads) as precision:
        module = module.to(device)
        second = look(np.arange(len(places.logits)), _VIEWS[:1])
        best = np.argsort(-fused(places.logits, second, calibration), kind="stable")[:_MIRRORED]
        second[best] = look(best, _VIEWS)
    return fused(places.logits, second, calibration), precision


def _calibration(request: Request) -> dict[str, float]:
    """Return what the answers of both networks count, which was found in training."""
    stored = about_weights(request.spec).get("calibration")
    if not isinstance(stored, dict):
        raise ModelError(f"The calibration of '{request.spec.name}' is missing: install napari-radcnn again.")
    return stored


def _best(request: Request, places: Places, scores: npt.NDArray[np.float64], point: Point | None) -> list[int]:
    """Return the numbers of the places that are findings, best first."""
    options = request.options
    kept = (scores >= (point.threshold if point else options.threshold)) & (places.diameters >= options.smallest)
    return [int(number) for number in np.argsort(-scores, kind="stable") if kept[number]][: options.most]


def _detections(
    grid: Geometry, places: Places, scores: npt.NDArray[np.float64], best: list[int]
) -> tuple[Detection, ...]:
    found = []
    for number in best:
        x, y, z = (float(value) for value in grid.to_world(places.centers[number]))
        size = float(places.diameters[number])
        found.append(Detection(LABEL, float(scores[number]), (x, y, z), (size, size, size)))
    return tuple(found)


# -- the evidence -----------------------------------------------------------------------------------------------------


def _evidence_steps(request: Request) -> int:
    return MOST * len(KINDS) if request.options.explain else 0


def _evidence(
    request: Request, chest: Chest, centers: npt.NDArray[np.float64], monitor: Monitor
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the maps around the best findings, on the scan's grid; computed in float32 on the processor."""
    networks = [
        ShippedNetwork.of(request.spec, build_finder, 3, FOLD**3).torch_module(),
        ShippedNetwork.of(request.spec, build_second, 3, 2, index=1).torch_module(),
    ]
    finder, second = (network.cpu().float() for network in networks)
    found = evidence(judge(finder, second, _calibration(request)), chest.voxels, list(centers), monitor)
    return {
        kind: resample(values, chest.grid, request.volume.geometry, interpolation="linear")
        for kind, values in found.items()
    }
