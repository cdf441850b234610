"""The scans that the interactive engines are measured on, their objects, and which were held out of training.

Label maps of TotalSegmentator are the output of a network (3 mm), not drawn by hand; those of the spinal cord are.
The names of the label values are TotalSegmentator's (version 2, tasks "total" and "total_mr").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import napari_radcnn as radcnn
from napari_radcnn.interactive.update import Mask, box_of
from napari_radcnn.preprocessing import resample
from napari_radcnn.volume import Volume

#: Smaller objects are left out.
FEWEST_VOXELS = 50

_SIDES = ("left", "right")
_VERTEBRAE = (
    "S1",
    *(f"L{n}" for n in range(5, 0, -1)),
    *(f"T{n}" for n in range(12, 0, -1)),
    *(f"C{n}" for n in range(7, 0, -1)),
)
_ABDOMEN = "spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right adrenal_gland_left"
_PAIRED_CT = "humerus scapula clavicula femur hip"
_PAIRED_MUSCLES = "gluteus_maximus gluteus_medius gluteus_minimus autochthon iliopsoas"


def _names(names: str) -> list[str]:
    return names.split()


def _pairs(names: str) -> list[str]:
    return [f"{name}_{side}" for name in names.split() for side in _SIDES]


#: From label value 1 on.
TOTAL = (
    *_ABDOMEN.split(),
    *_names("lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right"),
    *_names("lung_lower_lobe_right esophagus trachea thyroid_gland small_bowel duodenum colon urinary_bladder"),
    *_names("prostate kidney_cyst_left kidney_cyst_right sacrum"),
    *(f"vertebrae_{name}" for name in _VERTEBRAE),
    *_names("heart aorta pulmonary_vein brachiocephalic_trunk subclavian_artery_right subclavian_artery_left"),
    *_names("common_carotid_artery_right common_carotid_artery_left brachiocephalic_vein_left"),
    *_names("brachiocephalic_vein_right atrial_appendage_left superior_vena_cava inferior_vena_cava"),
    "portal_vein_and_splenic_vein",
    *_pairs("iliac_artery iliac_vena"),
    *_pairs(_PAIRED_CT),
    "spinal_cord",
    *_pairs(_PAIRED_MUSCLES),
    *_names("brain skull"),
    *(f"rib_{side}_{n}" for side in _SIDES for n in range(1, 13)),
    *_names("sternum costal_cartilages"),
)
TOTAL_MR = (
    *_ABDOMEN.split(),
    *_names("lung_left lung_right esophagus small_bowel duodenum colon urinary_bladder prostate sacrum vertebrae"),
    *_names("intervertebral_discs spinal_cord heart aorta inferior_vena_cava portal_vein_and_splenic_vein"),
    *_pairs("iliac_artery iliac_vena"),
    *_pairs(_PAIRED_CT),
    *_pairs(_PAIRED_MUSCLES),
    "brain",
)

#: The group of an object is the first of these one of whose words begins its name.
GROUPS: Mapping[str, str] = {
    "abdominal organs": _ABDOMEN + " small_bowel duodenum colon urinary_bladder prostate kidney",
    "vertebrae": "vertebrae intervertebral_discs",
    "ribs and other bones": "rib sacrum sternum skull costal_cartilages " + _PAIRED_CT,
    "vessels": "aorta pulmonary_artery pulmonary_vein brachiocephalic subclavian common_carotid superior_vena_cava "
    "inferior_vena_cava portal_vein iliac_artery iliac_vena",
    "lungs": "lung trachea",
    "muscles": _PAIRED_MUSCLES,
    "heart": "heart atrial_appendage",
    "brain tissue": "brain",
    "spinal cord": "spinal_cord",
    "lesions": "lesion",
    "others": "",
}


def group_of(name: str) -> str:
    """Return the group of an object's name."""
    return next(group for group, words in GROUPS.items() if name.startswith(tuple(words.split()) or ("",)))


@dataclass(frozen=True)
class Masks:
    """A file of objects.

    Attributes
    ----------
    path : str
        In the data folder.
    names : tuple of str
        Of the values 1, 2, ... in it.
    above : float or None
        For a file of fractions: one object, the largest connected piece of the voxels above this value.
    """

    path: str
    names: tuple[str, ...]
    above: float | None = None


@dataclass(frozen=True)
class Scan:
    """A scan and its objects.

    Attributes
    ----------
    name : str
        What the tables call it.
    path : str
        File or folder in the data folder.
    masks : tuple of Masks
        Its objects.
    also : tuple of str
        Other files, without suffix, that show the same patient: whoever trained on one has seen this scan.
    """

    name: str
    path: str
    masks: tuple[Masks, ...]
    also: tuple[str, ...] = ()

    def is_seen(self, trained_on: list[str]) -> bool:
        """Whether one of `trained_on`, stems or paths of files or folders, is of this patient or holds such a file."""
        entries = [_without_suffix(entry.strip("/")) for entry in trained_on]
        paths = (_without_suffix(self.path), *self.also)
        return self.name in entries or any(_is_or_holds(entry, path) for entry in entries for path in paths)


def _is_or_holds(entry: str, path: str) -> bool:
    """Whether an entry is a path or a folder that it lies in, from the data folder or from further up, or its name."""
    if "/" not in entry:
        return entry in path.split("/")
    return path == entry or path.startswith(f"{entry}/") or entry.endswith(f"/{path}")


def _without_suffix(path: str) -> str:
    return path.removesuffix(".gz").removesuffix(".nii")


_TS = "ct_totalsegmentator"
_CTA = (f"{_TS}/aorta_cta/ct_cropped", f"{_TS}/pulmonary_cta/ct_cropped")
_CORD = ("t1/t1w", "t2/t2", "t2s/t2s", "t2s/t2s_uncropped", "dmri/dmri")
_CORD_ALSO = tuple(f"mr_spinal_cord/{path}" for path in _CORD)

SCANS = (
    Scan(
        "example_ct",
        f"{_TS}/example_ct.nii.gz",
        (Masks(f"{_TS}/example_seg_fast_force_split.nii.gz", TOTAL),),
        also=(f"{_TS}/example_ct_sm",),
    ),
    Scan("example_ct_dicom", f"{_TS}/example_ct_dicom", (Masks(f"{_TS}/example_seg_dicom.nii.gz", TOTAL),)),
    Scan("example_mr_sm", f"{_TS}/example_mr_sm.nii.gz", (Masks(f"{_TS}/example_seg_mr.nii.gz", TOTAL_MR),)),
    Scan(
        "aorta_cta",
        f"{_TS}/aorta_cta/ct_cropped.nii.gz",
        (
            Masks(f"{_TS}/aorta_cta/aorta.nii.gz", ("aorta",)),
            Masks(f"{_TS}/aorta_cta/T716_aorta_true_false_lumen.nii.gz", ("aorta_true_lumen", "aorta_false_lumen")),
            Masks(f"{_TS}/aorta_cta/vertebrae_T12.nii.gz", ("vertebrae_T12",)),
        ),
        also=_CTA,
    ),
    Scan(
        "pulmonary_cta",
        f"{_TS}/pulmonary_cta/ct_cropped.nii.gz",
        (
            Masks(f"{_TS}/pulmonary_cta/pulmonary_artery.nii.gz", ("pulmonary_artery",)),
            Masks(f"{_TS}/pulmonary_cta/heart.nii.gz", ("heart",)),
        ),
        also=_CTA,
    ),
    Scan(
        "cord_t1",
        "mr_spinal_cord/t1/t1w.nii.gz",
        (Masks("mr_spinal_cord/t1/t1w_seg-manual.nii.gz", ("spinal_cord",)),),
        also=_CORD_ALSO,
    ),
    Scan(
        "cord_t2",
        "mr_spinal_cord/t2/t2.nii.gz",
        (Masks("mr_spinal_cord/t2/t2_seg-manual.nii.gz", ("spinal_cord",)),),
        also=_CORD_ALSO,
    ),
    Scan(
        "cord_t2s",
        "mr_spinal_cord/t2s/t2s.nii.gz",
        (Masks("mr_spinal_cord/t2s/t2s_gmseg_manual.nii.gz", ("spinal_cord_gray_matter",)),),
        also=_CORD_ALSO,
    ),
    Scan(
        "cord_t2_lesion",
        "mr_spinal_cord/t2/t2_fake_lesion.nii.gz",
        (Masks("mr_spinal_cord/t2/t2_fake_lesion_lesion_seg.nii.gz", ("lesion_artificial",)),),
    ),
    Scan(
        "mr_t1_fast",
        "mr_t1_fast/bet.nii.gz",
        (
            Masks("mr_t1_fast/pve_1.nii.gz", ("brain_gray_matter",), above=0.5),
            Masks("mr_t1_fast/pve_2.nii.gz", ("brain_white_matter",), above=0.5),
        ),
    ),
)


def read_scan(scan: Scan, data: Path) -> Volume:
    """Return the image, in memory."""
    volume = radcnn.read(data / scan.path)[0]
    volume.load()
    return volume


def truths(scan: Scan, data: Path, volume: Volume) -> Iterator[tuple[str, Mask]]:
    """Yield name and mask of each object on the scan's grid.

    Left out are objects with fewer than `FEWEST_VOXELS` voxels and those that are one voxel thick along an axis.
    """
    for masks in scan.masks:
        found = radcnn.read(data / masks.path)[0].reoriented(volume.geometry.orientation)
        labels = np.asarray(found.array)
        if masks.above is not None:
            labels = _largest(labels > masks.above).astype(np.uint8)
        if not found.geometry.is_close(volume.geometry, tolerance=0.1):
            labels = resample(labels, found.geometry, volume.geometry, interpolation="nearest")
        for value, name in enumerate(masks.names, 1):
            mask = labels == value
            box = box_of(mask)
            if box and np.count_nonzero(mask) >= FEWEST_VOXELS and min(e.stop - e.start for e in box) > 1:
                yield name, mask


def _largest(mask: Mask) -> Mask:
    from scipy import ndimage

    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def trained_on(card: Path | None = None) -> list[str]:
    """Return the files that our networks were trained on, from what lies beside their weights.

    Parameters
    ----------
    card : Path, optional
        Such a JSON file; by default those in the package. Without one, nothing was trained on.
    """
    cards = [card] if card else network_cards()
    return sorted({entry for path in cards for entry in _entries(path)})


def _entries(card: Path) -> list[str]:
    entries: Any = json.loads(card.read_text(encoding="utf-8")).get("trained_on")
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise SystemExit(f"{card}: 'trained_on' must be a list of names of files or folders, got {entries!r}")
    return entries


def network_cards() -> list[Path]:
    """Return the JSON files beside the weights of the interactive networks in the package."""
    folder = Path(radcnn.__file__).parent / "interactive" / "engines"
    return sorted(folder.rglob("promptable-3d.json")) + sorted(folder.rglob("few-clicks.json"))
