"""The real scans that `ct-super-resolution` and `mr-super-resolution` learn from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.io import read
from napari_radcnn.models.super_resolution.through_plane import unit_value
from napari_radcnn.training.physics.thick_slices import Array, Scan

#: Scan, axes along which its voxels are thin enough, how often it is drawn. The two angiographies are held out.
CT: tuple[tuple[str, tuple[int, ...], float], ...] = (
    ("ct_chest_thin/ct_hu.nii.gz", (0, 1, 2), 6.0),
    ("ct_totalsegmentator/example_ct.nii.gz", (0, 1, 2), 2.0),
    ("ct_totalsegmentator/example_ct_dicom", (1, 2), 1.0),
    ("ct_totalsegmentator/ct_brain_atlas_1mm.nii.gz", (0, 1, 2), 0.3),
)
#: Single slices, 58 of 12 subjects, and how often any of them is drawn.
SLICES, _SLICES_WEIGHT = "ct_slices/covid_ny_sbu_slices.npz", 2.5
#: Scan, how often it is drawn; along every axis. ``mr_head`` and the spinal cords are held out.
MR: tuple[tuple[str, float], ...] = (
    ("mr_stroke_t1_t2_flair/T1.nii.gz", 1.0),
    ("mr_stroke_t1_t2_flair/T2.nii.gz", 1.5),
    ("mr_stroke_t1_t2_flair/FLAIR.nii.gz", 1.5),
    ("mr_t1_fast/bet.nii.gz", 1.0),
)
#: Scans that no training sees, all with voxels as deep as wide.
HELD_OUT: Mapping[str, tuple[str, ...]] = {
    "ct-super-resolution": (
        "ct_totalsegmentator/aorta_cta/ct_cropped.nii.gz",
        "ct_totalsegmentator/pulmonary_cta/ct_cropped.nii.gz",
    ),
    "mr-super-resolution": (
        "mr_head/MR.nii.gz",
        "mr_spinal_cord/t1/t1w.nii.gz",
        "mr_spinal_cord/t2/t2.nii.gz",
    ),
}
#: Not in the data folder: Colin27's whole head, of Debian's package mricron-data. Left out where it is not installed.
COLIN = Path("/usr/share/mricron/templates/ch2.nii.gz")


def load_ct(data: Path) -> list[Scan]:
    """Read the CT scans in a folder, in thousands of HU."""
    scans = [Scan(name, _ct(read(data / name)[0].array), axes, weight, False) for name, axes, weight in CT]
    with np.load(data / SLICES, allow_pickle=False) as file:
        slices = file["hu"]
    weight = _SLICES_WEIGHT / len(slices)
    names = [f"{SLICES}, slice {n}" for n in range(len(slices))]
    return scans + [Scan(name, _ct(hu[None]), (1, 2), weight, False) for name, hu in zip(names, slices, strict=True)]


def load_mr(data: Path) -> list[Scan]:
    """Read the MR scans in a folder; 1 is nearly their brightest tissue."""
    scans = [Scan(name, _mr(read(data / name)[0].array), (0, 1, 2), weight, True) for name, weight in MR]
    if COLIN.exists():
        scans.append(Scan("Colin27 (mricron-data)", _mr(read(COLIN)[0].array), (0, 1, 2), 4.0, True))
    return scans


def load_held_out(data: Path, name: str) -> list[Scan]:
    """Read the scans in a folder that a model is tested on; those that are missing are left out."""
    scaled = _ct if name.startswith("ct") else _mr
    paths = [path for path in HELD_OUT[name] if (data / path).exists()]
    return [Scan(path, scaled(read(data / path)[0].array), (0, 1, 2), 1.0, not name.startswith("ct")) for path in paths]


def _ct(hu: npt.NDArray[Any]) -> Array:
    return np.clip(hu.astype(np.float32) / np.float32(unit_value(hu, "CT")), -1.1, 3.1)


def _mr(values: npt.NDArray[Any]) -> Array:
    return np.clip(values.astype(np.float32) / np.float32(unit_value(values, "MR")), -1, 4)
