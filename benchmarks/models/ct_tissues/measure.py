"""How well `ct-tissues` agrees with a network's labels of an abdomen, and what of lung made dense it still finds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from benchmarks.models.ct_organs.cases import angiographies, answer, is_class, tested_folds, whole_cases, with_fold
from napari_radcnn.metrics import dice
from napari_radcnn.models.ct_tissues import spec as labels

#: The models whose figures `evaluate` returns.
NAMES = ("ct-tissues",)
#: Names of TotalSegmentator's labels that are bone.
_BONE = re.compile(r"(sacrum|vertebrae|humerus|scapula|clavicula|femur|hip|skull|rib)(_.*)?|sternum")
_LUNG = re.compile(r"lung_.*")
#: What organs and vessels must not be called, and the ml of them that a scan must show.
_WRONG = {
    "aorta": labels.BONE,
    "heart": labels.BONE,
    "liver": labels.MUSCLE,
    "spleen": labels.MUSCLE,
    "kidneys": labels.MUSCLE,
}
_FEWEST_ML = 15.0
#: HU of consolidated lung and of an effusion, and of the noise in them.
_CONSOLIDATION, _EFFUSION, _NOISE = 40.0, 10.0, 25.0


def evaluate(data: Path) -> dict[str, Any]:
    """Return every figure of the card, by the model's name.

    Parameters
    ----------
    data : Path
        Folder that holds ``ct_totalsegmentator`` and ``ct_chest_thin``.
    """
    folder = data / "ct_totalsegmentator"
    figures = {
        "reference": _against_network(folder),
        "tissue_types": _tissue_types(folder),
        "organs": _organs(data),
        "dense": _dense(data),
    }
    return {"ct-tissues": figures}


def _run(volume: radcnn.Volume, **options: Any) -> npt.NDArray[np.uint8]:
    return radcnn.segment(volume, "ct-tissues", options).array


def _unseen(volume: radcnn.Volume, **options: Any) -> npt.NDArray[np.uint8]:
    """Return the classes of the abdomen, with a network that never saw it."""
    return radcnn.segment(volume, with_fold("ct-tissues", "abdomen"), options, anyway=True).array


def _organs(data: Path) -> list[dict[str, Any]]:
    """Return what organs and vessels are called, by rules alone and with the network that never saw the scan."""
    rows = []
    for case in [*whole_cases(data), *angiographies(data)]:
        if case.fold not in tested_folds():
            continue
        ml = case.scan.geometry.voxel_volume / 1000
        ruled = radcnn.segment(case.scan, "ct-tissues", {"organs": False}, anyway=True).array
        asked = answer(case, "ct-tissues")
        for name, wrong in _WRONG.items():
            where = is_class(case.classes, name)
            if np.count_nonzero(where) * ml >= _FEWEST_ML:
                rules, both = (round(float(np.mean(found[where] == wrong)), 4) for found in (ruled, asked))
                called = {labels.BONE: "bone", labels.MUSCLE: "muscle"}[wrong]
                row = {"scan": case.title, "organ": name, "called": called, "rules": rules, "asked": both}
                rows.append(row)
    return rows


def _against_network(folder: Path) -> dict[str, Any]:
    """Lung and bone of the abdomen scan, with TotalSegmentator's fast model."""
    (scan,), (reference,) = (
        radcnn.read(folder / "example_ct.nii.gz"),
        radcnn.read(folder / "example_seg_fast_force_split.nii.gz"),
    )
    names = _names(folder / "example_seg_fast_force_split.nii.gz")
    found = _unseen(scan)
    rules = _unseen(scan, organs=False)
    theirs = np.asarray(reference.array)
    bone = np.isin(theirs, _values(names.items(), _BONE))
    lung = np.isin(theirs, _values(names.items(), _LUNG))
    inside = theirs > 0
    return {
        "scans": 1,
        "spacing_mm": [round(step, 3) for step in scan.geometry.spacing],
        "lung": _agreement(lung, found == labels.LUNG, scan),
        "bone": _agreement(bone, found == labels.BONE, scan),
        "bone_by_rules": _agreement(bone, rules == labels.BONE, scan),
        "body_holds_labels": round(float(np.mean(found[inside] > 0)), 4),
        "muscle_of_named_muscles": round(float(np.mean(found[_muscles(theirs, names)] == labels.MUSCLE)), 4),
    }


def _names(path: Path) -> dict[int, str]:
    """Return the names of labels, which TotalSegmentator writes into an extension of the NIfTI header."""
    import nibabel

    text = b"".join(entry.get_content() for entry in nibabel.load(path).header.extensions)
    pairs = re.findall(rb'Key="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([a-zA-Z0-9_]+)', text)
    return {int(value): name.decode() for value, name in pairs}


def _muscles(theirs: npt.NDArray[Any], names: Any) -> npt.NDArray[np.bool_]:
    return np.isin(theirs, _values(names.items(), re.compile(r"(gluteus|autochthon|iliopsoas).*")))


def _values(names: Iterable[tuple[int, str]], pattern: re.Pattern[str]) -> list[int]:
    return [value for value, name in names if pattern.fullmatch(name)]


def _agreement(reference: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_], scan: radcnn.Volume) -> dict[str, float]:
    voxel_ml = scan.geometry.voxel_volume / 1000
    return {
        "dice": round(dice(reference, found), 4),
        "reference_ml": round(np.count_nonzero(reference) * voxel_ml, 1),
        "found_ml": round(np.count_nonzero(found) * voxel_ml, 1),
    }


def _tissue_types(folder: Path) -> dict[str, Any]:
    """Muscle and fat of 30 slices of the same scan, with TotalSegmentator's model of tissue types."""
    (scan,) = radcnn.read(folder / "example_ct_sm.nii.gz")
    found, rules = _unseen(scan), _unseen(scan, organs=False)
    types = folder / "example_seg_tissue_types"

    def theirs(name: str) -> npt.NDArray[np.bool_]:
        return np.asarray(radcnn.read(types / f"{name}.nii.gz")[0].array) > 0

    fat = theirs("subcutaneous_fat") | theirs("torso_fat")
    return {
        "slices": min(scan.geometry.shape),
        "muscle": _agreement(theirs("skeletal_muscle"), found == labels.MUSCLE, scan),
        "muscle_by_rules": _agreement(theirs("skeletal_muscle"), rules == labels.MUSCLE, scan),
        "fat": _agreement(fat, found == labels.FAT, scan),
    }


def _dense(data: Path) -> dict[str, Any]:
    """Lung made dense in the chest scan, with the lungs found before."""
    (scan,) = radcnn.read(data / "ct_chest_thin" / "ct_hu.nii.gz")
    before = _run(scan, organs=False) == labels.LUNG
    cases = []
    for name, (where, level) in _cases(before).items():
        values = np.asarray(scan.array).astype(np.float32)
        noise = np.random.default_rng(0).normal(level, _NOISE, np.count_nonzero(where))
        values[where] = noise
        worse = scan.with_array(np.round(values).astype(np.int16))
        kept, lost = (_run(worse, organs=False, dense_lung=on) == labels.LUNG for on in (True, False))
        figures = {
            "title": name,
            "dense_part": round(np.count_nonzero(where) / np.count_nonzero(before), 4),
            "dice": round(dice(before, kept), 4),
            "dice_without": round(dice(before, lost), 4),
            "dense_found": round(float(np.mean(kept[where])), 4),
            "wrongly_lung_ml": round(np.count_nonzero(kept & ~before) * scan.geometry.voxel_volume / 1000, 1),
        }
        cases.append(figures)
    clean = np.count_nonzero(before) * scan.geometry.voxel_volume / 1000
    return {"clean_ml": round(clean, 1), "cases": cases}


def _cases(lung: npt.NDArray[np.bool_]) -> dict[str, tuple[npt.NDArray[np.bool_], float]]:
    """Return which voxels are made dense, and their HU; axes run towards S, P, L."""
    k, j, i = np.nonzero(lung)
    middle = (i.min() + i.max()) / 2
    level = (k - k.min()) / np.ptp(k)
    depth = (j - j.min()) / np.ptp(j)
    right, left = i < middle, i > middle
    chosen = {
        "consolidation behind, middle level, right": (
            right & (depth > 0.6) & (level > 0.3) & (level < 0.65),
            _CONSOLIDATION,
        ),
        "consolidation of the upper part, left": (left & (level > 0.6), _CONSOLIDATION),
        "effusion behind, left": (left & (depth > 0.7), _EFFUSION),
        "effusion behind, both sides": (depth > 0.75, _EFFUSION),
        "whole right lung": (right, _CONSOLIDATION),
    }
    cases = {}
    for name, (rows, value) in chosen.items():
        mask = np.zeros(lung.shape, bool)
        mask[k[rows], j[rows], i[rows]] = True
        cases[name] = (mask, value)
    return cases
