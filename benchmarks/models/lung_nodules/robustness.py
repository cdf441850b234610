"""Whether `lung-nodules` finds the same when the scan changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import napari_radcnn as radcnn
from benchmarks.models.adversary import Step, attacked, missed
from benchmarks.models.changes import ct_changes
from benchmarks.models.lung_nodules import measure
from benchmarks.models.lung_nodules.synthetic import insert, look_at
from benchmarks.models.panels import AXES
from benchmarks.models.robustness import Row, Trial
from napari_radcnn.models.lung_nodules.network import FOLD, HIGHEST, LOWEST
from napari_radcnn.results import Detection
from napari_radcnn.volume import Volume

#: HU, against the first of the two networks: towards missing what it points at.
_STEP = Step(
    "a step of 10 HU against the first network",
    10.0,
    (1 / (HIGHEST - LOWEST),) * FOLD**3,
    missed,
    (0.0, 1.0),
)
#: Copies of the scan, nodules in each, and the seed.
_COPIES, _NODULES, _SEED = 1, 12, 5
#: Share of the nodules found without a change from which it hardly matters, and below which it breaks.
_HOLDS, _BREAKS = 0.9, 0.6


def trial(data: Path) -> Trial:
    """Return how many of the nodules that are found in a held-out scan are found after each change."""
    (scan,) = radcnn.read(data / measure.PULMONARY)
    scan = scan.reoriented(AXES)
    lungs = look_at(scan, radcnn.segment(scan, "ct-tissues", {"dense_lung": False}).array == 1)
    copies = []
    for number in range(_COPIES):
        worse, put = insert(scan, lungs, _NODULES, np.random.default_rng([_SEED, number]))
        copies.append((worse, [one.detection for one in put]))
    plain = [_found(worse) for worse, _ in copies]
    hits, alarms = _counted([put for _, put in copies], plain)
    return Trial(
        f"The held-out CT angiography with {sum(len(put) for _, put in copies)} synthetic nodules put in",
        "At the default threshold; *again* is the share of the nodules found without a change that are found with it. "
        f"Without a change: {hits} nodules and {alarms} false findings.",
        "again",
        _HOLDS,
        _BREAKS,
        _rows(copies, plain),
    )


def _rows(copies: Sequence[tuple[Volume, list[Detection]]], plain: list[list[Detection]]) -> Iterator[Row]:
    put = [nodules for _, nodules in copies]
    known = [[one for one in nodules if _is_found(one, boxes)] for nodules, boxes in zip(put, plain, strict=True)]
    for made in zip(*(ct_changes(scan) for scan, _ in copies), strict=True):
        found = [
            [replace(box, center=tuple(one.position_back(np.array(box.center)))) for box in _found(one.scan)]
            for one in made
        ]
        yield _row(made[0].title, put, known, found)
    with attacked(_STEP):
        found = [_found(scan) for scan, _ in copies]
    yield _row(_STEP.title, put, known, found)


def _row(title: str, put: list[list[Detection]], known: list[list[Detection]], found: list[list[Detection]]) -> Row:
    again, _ = _counted(known, found)
    hits, alarms = _counted(put, found)
    count = sum(len(each) for each in known)
    return {"change": title, "again": again / count, "nodules": hits, "false findings": alarms}


def _found(scan: Volume) -> list[Detection]:
    return list(radcnn.detect(scan, "lung-nodules", anyway=True).boxes)


def _is_found(nodule: Detection, boxes: list[Detection]) -> bool:
    return any(measure.is_hit(box, nodule) for box in boxes)


def _counted(put: list[list[Detection]], found: list[list[Detection]]) -> tuple[int, int]:
    """Return how many nodules are found, and how many findings are no nodule."""
    hits = sum(_is_found(one, boxes) for nodules, boxes in zip(put, found, strict=True) for one in nodules)
    alarms = sum(
        not any(measure.is_hit(box, one) for one in nodules)
        for nodules, boxes in zip(put, found, strict=True)
        for box in boxes
    )
    return hits, alarms


#: What tries each model.
ROBUSTNESS = {"lung-nodules": trial}
