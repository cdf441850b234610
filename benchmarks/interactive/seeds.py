"""Grow from seeds: organs from a few simulated strokes, beside a random walker and GrowCut on the same strokes.

Every organ gets strokes inside it, on slices spread over it, as a hand would draw them: lines up to 25 mm long along
its thickest part. The background gets a ring around each organ on its middle slice, 6 to 9 mm away.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import random_walker

import napari_radcnn as radcnn
from benchmarks.common import RESULTS, machine, table
from napari_radcnn.files import atomic_path
from napari_radcnn.geometry import Box
from napari_radcnn.interactive.tools import GrowFromSeeds
from napari_radcnn.interactive.tools.base import ToolState, padded, reach
from napari_radcnn.interactive.update import box_of
from napari_radcnn.metrics import dice
from napari_radcnn.progress import Monitor
from napari_radcnn.session import SegmentedObject
from napari_radcnn.volume import Volume

_SCAN = "ct_totalsegmentator/example_ct.nii.gz"
_LABELS = "ct_totalsegmentator/example_seg_fast_force_split.nii.gz"
_RESULT = RESULTS / "seeds.md"
#: Of the label map of TotalSegmentator.
_ORGANS = {1: "spleen", 2: "right kidney", 3: "left kidney", 5: "liver", 6: "stomach"}
_STROKES, _LENGTH_MM = 5, 25.0
#: Where the rings of the background lie, mm from their organ, and from every organ at least.
_RING, _AWAY = (6.0, 9.0), 4.0
_MARGIN = 20.0
#: HU that the rivals see, which know no window by themselves; weight of edges, and sweeps of GrowCut at most.
_WINDOW, _BETA, _SWEEPS = (-200.0, 300.0), 130.0, 150

Labels = npt.NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Case:
    """A scan, its organs numbered from 1, and strokes in them; the highest number is the background."""

    scan: Volume
    truth: Labels
    seeds: Labels
    names: Sequence[str]

    @property
    def background(self) -> int:
        """The number of the background's strokes."""
        return len(self.names) + 1

    @property
    def box(self) -> Box:
        """The crop that all methods work in."""
        found = box_of(self.seeds > 0)
        if found is None:
            raise ValueError("no strokes")
        return padded(found, reach(self.scan.geometry, _MARGIN), self.seeds.shape)


def case_of(scan: Volume, segmentation: Volume) -> Case:
    """Return the organs of a scan with simulated strokes."""
    present = {value: name for value, name in _ORGANS.items() if (segmentation.array == value).any()}
    truth = np.zeros(scan.shape, np.uint16)
    for number, value in enumerate(present, 1):
        truth[segmentation.array == value] = number
    spacing = np.array(scan.geometry.spacing)
    seeds = np.zeros(scan.shape, np.uint16)
    away = ndimage.distance_transform_edt(truth == 0, sampling=spacing)
    for number in range(1, len(present) + 1):
        own = truth == number
        rows = np.flatnonzero(own.any(axis=(1, 2)))
        for part in (np.arange(_STROKES) + 0.5) / _STROKES:
            row = rows[int(part * len(rows))]
            seeds[row][_stroke(own[row], spacing[1:])] = number
        row = rows[len(rows) // 2]
        distance = ndimage.distance_transform_edt(~own[row], sampling=spacing[1:])
        ring = (distance >= _RING[0]) & (distance < _RING[1]) & (away[row] > _AWAY)
        seeds[row][ring & (seeds[row] == 0)] = len(present) + 1
    return Case(scan, truth, seeds, tuple(present.values()))


def _stroke(mask: npt.NDArray[np.bool_], spacing: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return the pixels of a line along the thickest part of an area."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1]
    middle = np.array(np.unravel_index(depth.argmax(), depth.shape))
    parts, _ = ndimage.label(depth >= 0.5 * depth.max(), np.ones((3, 3)))
    inner = np.argwhere(parts == parts[tuple(middle)])
    near = inner[np.linalg.norm((inner - middle) * spacing, axis=1) <= _LENGTH_MM / 2]
    start = near[np.linalg.norm((near - middle) * spacing, axis=1).argmax()]
    end = near[np.linalg.norm((near - start) * spacing, axis=1).argmax()]
    steps = np.linspace(0, 1, 4 * int(np.abs(end - start).max()) + 1)[:, None]
    drawn = np.zeros(mask.shape, bool)
    drawn[tuple(np.rint(start + steps * (end - start)).astype(int).T)] = True
    return np.asarray(drawn & mask)


def grow_from_seeds(case: Case) -> Labels:
    """Return what the tool gives."""
    objects = [SegmentedObject(n, name, (1.0, 0.0, 0.0)) for n, name in enumerate((*case.names, "background"), 1)]
    tool = GrowFromSeeds(case.background, _MARGIN)
    update = tool.apply(ToolState(case.scan, case.seeds, 1, objects), Monitor(1))
    labels = case.seeds.copy()
    if update is not None:
        labels[update.box] = update.labels
    return labels


def walk(case: Case) -> Labels:
    """Return what scikit-image's random walker gives in the same crop."""
    image = np.clip(case.scan.array[case.box].astype(np.float32), *_WINDOW)
    image = (image - image.mean()) / image.std()
    relative = np.array(case.scan.geometry.spacing) / min(case.scan.geometry.spacing)
    seeds = case.seeds[case.box].astype(np.int32)
    found = random_walker(image, seeds, beta=_BETA, mode="cg_j", tol=1e-3, prob_tol=1, spacing=relative)
    return _placed(case, found)


def grow_cut(case: Case) -> Labels:
    """Return what GrowCut gives in the same crop (Vezhnevets and Konouchine 2005, GraphiCon)."""
    image = np.clip(case.scan.array[case.box].astype(np.float32), *_WINDOW)
    labels = case.seeds[case.box].astype(np.int32)
    strength = (labels > 0).astype(np.float32)
    for _ in range(_SWEEPS):
        changed = False
        for axis in range(3):
            keeps = 1 - np.abs(np.diff(image, axis=axis)) / (_WINDOW[1] - _WINDOW[0])
            for to, of in (((1, None), (0, -1)), ((0, -1), (1, None))):
                mine = tuple(slice(*to) if n == axis else slice(None) for n in range(3))
                theirs = tuple(slice(*of) if n == axis else slice(None) for n in range(3))
                attack = keeps * strength[theirs]
                wins = attack > strength[mine] + 1e-6
                changed |= bool(wins.any())
                labels[mine][wins] = labels[theirs][wins]
                strength[mine][wins] = attack[wins]
        if not changed:
            break
    return _placed(case, labels)


def _placed(case: Case, found: npt.NDArray[np.integer]) -> Labels:
    labels = np.zeros(case.seeds.shape, np.uint16)
    labels[case.box] = np.where(found == case.background, 0, found)
    return labels


_METHODS: dict[str, Callable[[Case], Labels]] = {
    "grow from seeds": grow_from_seeds,
    "random walker (scikit-image)": walk,
    "GrowCut": grow_cut,
}


def text(case: Case, title: str) -> str:
    """Return Dice and CPU seconds, which other work on the machine does not lengthen, of every method as Markdown."""
    rows = []
    for name, method in _METHODS.items():
        started = time.process_time()
        labels = method(case)
        seconds = time.process_time() - started
        each = [dice(labels == n, case.truth == n) for n in range(1, len(case.names) + 1)]
        rows.append((name, *(f"{value:.2f}" for value in each), f"{np.mean(each):.3f}", f"{seconds:.1f}"))
    crop = " x ".join(str(extent.stop - extent.start) for extent in case.box)
    counts = np.bincount(case.seeds.ravel(), minlength=case.background + 1)[1:]
    lines = [
        f"{title}: {_STROKES} strokes in each organ, {counts[:-1].sum()} voxels in all, and a ring of the background "
        f"around each on one slice, {counts[-1]} voxels; a crop of {crop} voxels.",
        table(("method", *case.names, "mean Dice", "CPU seconds"), rows),
    ]
    return "\n\n".join(lines)


def main() -> None:
    """Measure on the CT of the folder, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interactive.seeds", description=__doc__)
    data = os.environ.get("RADCNN_DATA")
    parser.add_argument("--data", type=Path, default=data, help="folder of the scans (default: RADCNN_DATA)")
    parser.add_argument("-o", type=Path, default=_RESULT, help=f"where the table is kept (default: {_RESULT.name})")
    parsed = parser.parse_args()
    if parsed.data is None or not parsed.data.is_dir():
        parser.error(f"--data must be a folder, got {parsed.data}; or set RADCNN_DATA")
    (scan,), (segmentation,) = (radcnn.read(parsed.data / name) for name in (_SCAN, _LABELS))
    told = f"# Grow from seeds\n\n{text(case_of(scan, segmentation), scan.name)}\n\nMeasured on: {machine()}."
    print(told)
    with atomic_path(parsed.o, overwrite=True) as path:
        path.write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
