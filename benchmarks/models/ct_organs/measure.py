"""How `ct-organs` does on scans that it did not learn from: a fold of the training is tested with those it left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from benchmarks.models.ct_organs.cases import (
    Case,
    angiographies,
    answer,
    is_class,
    learned_from,
    tested_folds,
    whole_cases,
    with_fold,
)
from benchmarks.models.ct_organs.rival import guess
from napari_radcnn.metrics import dice
from napari_radcnn.models.ct_organs.channels import at_3mm
from napari_radcnn.models.ct_organs.network import CHANNELS, CLASSES, SPACING, build_network
from napari_radcnn.models.ct_organs.run import find_classes
from napari_radcnn.models.ct_organs.structures import LABELS, STRUCTURES, Structure
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.training.ct_organs.scans import most_of

#: The models whose figures `evaluate` returns.
NAMES = ("ct-organs",)
#: ml of a structure that a scan must show to be tested with it.
FEWEST_ML = 15.0
#: HU by which contrast medium of the venous phase raises what a scan without any shows.
_VENOUS = {
    "aorta": 110.0,
    "vena cava": 90.0,
    "portal and splenic vein": 110.0,
    "liver": 50.0,
    "spleen": 70.0,
    "kidneys": 150.0,
}


def evaluate(data: Path) -> dict[str, Any]:
    """Return every figure of the card, by the model's name.

    Parameters
    ----------
    data : Path
        Folder of the scans; see `napari_radcnn.training.ct_organs.scans`.
    """
    whole = [case for case in whole_cases(data) if case.fold in tested_folds()]
    cropped = [case for case in angiographies(data) if case.fold in tested_folds()]
    answers = [answer(case) for case in whole]
    rules = [guess(case.scan) for case in whole]
    rows = [_row(structure, whole, answers, rules) for structure in STRUCTURES]
    figures = {
        "folds": {fold: {"trained_on": learned_from(fold)} for fold in tested_folds()},
        "scans": [case.title for case in whole],
        "structures": {row["name"]: row for row in rows if row},
        "hidden": {row["name"]: row for row in _hidden(whole)},
        "angiographies": [_angiography(case) for case in cropped],
        "changed": _changed(whole[0], answers[0]),
    }
    return {"ct-organs": figures}


def _hidden(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Return how the classes are found that are not shown, at 3 mm."""
    shown = {name for structure in STRUCTURES for name in structure.classes} | {"other"}
    named: dict[str, list[float]] = {name: [] for name in CLASSES if name not in shown}
    for case in cases:
        spacing = case.scan.geometry.spacing
        network = ShippedNetwork.of(with_fold("ct-organs", case.fold), build_network, 3, len(CHANNELS)).torch_module()
        found = find_classes(network, at_3mm(case.scan.array, spacing))
        theirs = most_of(case.classes, spacing, found.shape)
        first = round(case.first * spacing[0] / SPACING)
        for name, dices in named.items():
            ours, reference = found == CLASSES.index(name), theirs == CLASSES.index(name)
            if np.count_nonzero(reference) * SPACING**3 / 1000 >= FEWEST_ML and reference[first:].any():
                dices.append(dice(reference[first:], ours[first:]))
    return [{"name": name, "learned_parts": round(float(np.mean(d)), 4)} for name, d in named.items() if d]


def values_of(structure: Structure) -> list[int]:
    """Return the values of a structure, on both sides."""
    names = {structure.name, f"left {structure.name}", f"right {structure.name}"}
    return [value for value, label in LABELS.items() if label.name in names]


def _row(
    structure: Structure,
    cases: Sequence[Case],
    answers: Sequence[npt.NDArray[np.uint8]],
    rules: Sequence[Mapping[str, npt.NDArray[np.bool_]]],
) -> dict[str, Any]:
    """Return how a structure is found, over the scans that show it; empty where none does."""
    dices, learned, errors, rivals = [], [], [], []
    for case, found, guessed in zip(cases, answers, rules, strict=True):
        theirs, ours = is_class(case.classes, *structure.classes), np.isin(found, values_of(structure))
        ml = case.scan.geometry.voxel_volume / 1000
        if np.count_nonzero(theirs) * ml < FEWEST_ML:
            continue
        dices.append(dice(theirs, ours))
        learned.append(dice(theirs[case.first :], ours[case.first :]))
        errors.append(np.count_nonzero(ours) / np.count_nonzero(theirs) - 1)
        rival = guessed.get(structure.name)
        if rival is not None:
            small = most_of(theirs.astype(np.uint8), case.scan.geometry.spacing, rival.shape) > 0
            rivals.append(dice(small, rival))
    if not dices:
        return {}
    return {
        "name": structure.name,
        "tested": len(dices),
        "dice": round(float(np.mean(dices)), 4),
        "learned_parts": round(float(np.mean(learned)), 4),
        "lowest": round(min(dices), 4),
        "highest": round(max(dices), 4),
        "volume_error": round(float(np.mean(np.abs(errors))), 4),
        "rules": round(float(np.mean(rivals)), 4) if rivals else None,
    }


def _angiography(case: Case) -> dict[str, Any]:
    found = answer(case)
    structure = next(each for each in STRUCTURES if is_class(case.classes, *each.classes).any())
    theirs, ours = is_class(case.classes, *structure.classes), np.isin(found, values_of(structure))
    return {"title": case.title, "structure": structure.name, "dice": round(dice(theirs, ours), 4)}


def _changed(case: Case, plain: npt.NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Return how far the answer stays the same where the scan is cut, stored mirrored, or given contrast medium."""
    model, scan = with_fold("ct-organs", case.fold), case.scan
    hu = np.asarray(scan.array).astype(np.float32)
    geometry = scan.geometry
    half = geometry.cropped([slice(_half(case), None), slice(None), slice(None)])
    mirrored = geometry.affine.copy()
    mirrored[:3, 3] += mirrored[:3, 2] * (geometry.shape[2] - 1)
    mirrored[:3, 2] *= -1
    bright = hu.copy()
    for name, more in _VENOUS.items():
        bright[is_class(case.classes, name)] += more

    def run(array: npt.NDArray[np.float32], grid: radcnn.Geometry) -> npt.NDArray[np.uint8]:
        volume = radcnn.Volume(np.round(array).astype(np.int16), grid, scan.metadata)
        return radcnn.segment(volume, model, anyway=True).array

    found = {
        "upper half only": run(hu[_half(case) :], half),
        "stored mirrored": run(hu[:, :, ::-1], radcnn.Geometry(geometry.shape, mirrored))[:, :, ::-1],
        "contrast medium of the venous phase": run(bright, geometry),
    }
    return [{"title": title, **_same(case, plain, array)} for title, array in found.items()]


def _half(case: Case) -> int:
    """Return the first slice of the upper half."""
    return case.scan.geometry.shape[0] // 2


def _same(case: Case, plain: npt.NDArray[np.uint8], found: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Return the Dice to the plain answer, over what that found of at least so many ml."""
    plain = plain[-found.shape[0] :] if found.shape[0] <= _half(case) + 1 else plain[: found.shape[0]]
    ml = case.scan.geometry.voxel_volume / 1000
    values = {structure.name: values_of(structure) for structure in STRUCTURES}
    dices = [
        dice(np.isin(plain, some), np.isin(found, some))
        for some in values.values()
        if np.count_nonzero(np.isin(plain, some)) * ml >= FEWEST_ML
    ]
    return {"dice": round(float(np.mean(dices)), 4), "lowest": round(min(dices), 4), "structures": len(dices)}
