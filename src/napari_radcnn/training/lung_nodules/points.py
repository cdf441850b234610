"""Choose the operating points of `lung-nodules`: ``python -m napari_radcnn.training.lung_nodules.points DIR FACTS``.

Nodules are put into the part of a scan that is never learned from, the model looks for them, and the points go into the
file of facts beside its weights, ``lung-nodules.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.metrics.findings import Hits, match
from napari_radcnn.models.lung_nodules.points import Point
from napari_radcnn.models.lung_nodules.spec import LABEL, POINTS
from napari_radcnn.results import Detection
from napari_radcnn.training.lung_nodules.samples import put_nodule
from napari_radcnn.training.lung_nodules.scans import KEPT_OUT, NOWHERE, STEP, Floats, make_chest
from napari_radcnn.training.lung_nodules.shapes import draw_diameter, draw_nodule
from napari_radcnn.volume import Volume

#: The scan, copies of it, and nodules that are tried to be put into each.
_SCAN, _COPIES, _NODULES = "ct_chest_thin/ct_hu.nii.gz", 8, 14
#: Voxels of a side of what nodules are put into; liters of a chest; all findings are wanted.
_SIDE, _CHEST, _EVERYTHING = 240, 5.0, {"threshold": 0.01, "most": 100}
#: False findings per chest of the balanced point, and sensitivities of the others.
_BALANCED, _SENSITIVITIES = 1.0, (0.8, 0.9)


def choose(hits: Hits, chests: float) -> tuple[Point, ...]:
    """Return the points: with at most one false finding per chest, and those that find enough.

    Parameters
    ----------
    hits : Hits
        Findings on what was put in.
    chests : float
        Chests of five liters that were looked through, all scans together.

    Raises
    ------
    ValueError
        If there is nothing to find, or no score is high enough.
    """
    if not hits.present or not hits.scores.size:
        raise ValueError("Operating points need nodules and findings.")
    found = np.cumsum(hits.is_hit) / hits.present
    false = np.cumsum(~hits.is_hit) / chests
    last = np.flatnonzero(np.r_[hits.scores[1:] != hits.scores[:-1], True])  # equal scores come in at once

    def point(name: str, number: int) -> Point:
        following = hits.scores[number + 1] if number + 1 < hits.scores.size else 0.0
        threshold = (hits.scores[number] + following) / 2  # between two findings, so that neither lies on it
        return Point(name, round(float(threshold), 4), round(float(found[number]), 4), round(float(false[number]), 3))

    few = last[false[last] <= _BALANCED]
    if not few.size:
        raise ValueError("The best finding is a false one.")
    chosen = [point(POINTS[0], int(few[-1]))]
    for name, wanted in zip(POINTS[1:], _SENSITIVITIES, strict=True):
        enough = last[found[last] >= wanted]
        chosen.append(point(name, int(enough[0]) if enough.size else int(last[-1])))
    return tuple(chosen)


def copies_of(scan: Volume, name: str, count: int, nodules: int) -> list[tuple[Volume, list[Detection], float]]:
    """Return copies of a scan with nodules in what is kept out of training, the nodules, and liters of lung there."""
    chest = make_chest(scan)
    upright = scan.reoriented("SPL")
    grid = upright.geometry.with_shape(chest.hu.shape)
    depth = np.where(_inside(grid, KEPT_OUT[name]), chest.depth, NOWHERE).astype(np.float32)
    lung = depth > 0
    middle = np.argwhere(lung).mean(0)
    sides = [min(_SIDE, *chest.hu.shape)] * 3
    first = [int(np.clip(m - s / 2, 0, n - s)) for m, s, n in zip(middle, sides, chest.hu.shape, strict=True)]
    cube = tuple(slice(f, f + s) for f, s in zip(first, sides, strict=True))
    made: list[tuple[Volume, list[Detection], float]] = []
    for number in range(count):
        rng = np.random.default_rng([7, number])
        hu: Floats = chest.hu.copy()
        taken = np.zeros(hu[cube].shape, bool)
        put = [
            put_nodule(rng, hu[cube], depth[cube], taken, draw_nodule(rng, draw_diameter(rng), STEP))
            for _ in range(nodules)
        ]
        boxes = [
            Detection(LABEL, 1.0, _place(grid, one.center + first), (one.diameter,) * 3)
            for one in put
            if one is not None and one.counts
        ]
        noisy = hu + rng.normal(0, rng.uniform(0, 30), hu.shape)
        volume = Volume(np.rint(noisy).astype(np.int16), grid, scan.metadata)
        made.append((volume, boxes, float(np.count_nonzero(lung)) * grid.voxel_volume / 1e6))
    return made


def _place(grid: Geometry, index: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in grid.to_world(index))
    return x, y, z


def _inside(grid: Geometry, box: Sequence[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    """Return which voxels lie in a box of the patient; axes run along S, P, L."""
    inside = np.ones(grid.shape, bool)
    for axis, (low, high) in enumerate(box):
        along = 2 - axis
        at = grid.origin[axis] + np.arange(grid.shape[along]) * grid.spacing[along]
        inside &= ((at >= low) & (at <= high)).reshape([-1 if n == along else 1 for n in range(3)])
    return inside


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Choose the operating points of lung-nodules.")
    parser.add_argument("data", type=Path, help="folder of the scans")
    parser.add_argument("facts", type=Path, help="lung-nodules.json beside the weights that ship")
    return parser


def main(data: Path, facts: Path) -> None:
    """Choose the points with the weights that ship and write them beside those."""
    copies = copies_of(read(data / _SCAN)[0], _SCAN, _COPIES, _NODULES)
    found = []
    for volume, _, _ in copies:
        boxes = radcnn.detect(volume, "lung-nodules", _EVERYTHING, anyway=True).boxes
        kept = KEPT_OUT[_SCAN]
        found.append([b for b in boxes if all(low <= c <= high for c, (low, high) in zip(b.center, kept, strict=True))])
    hits = match([put for _, put, _ in copies], found)
    points = choose(hits, sum(liters for _, _, liters in copies) / _CHEST)
    about = json.loads(facts.read_text(encoding="utf-8"))
    about |= {"operating_points": [asdict(point) for point in points], "points_from": hits.present}
    facts.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    given = make_parser().parse_args()
    main(given.data, given.facts)
