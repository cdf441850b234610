"""Maps of a brain's structures as several teachers agree on them: what `brain-structures` learns.

Each teacher is asked about the head and, where its classes have no sides, about its mirror image; the mean of their
probabilities is more like what all of them learned from, FreeSurfer's maps (Fischl et al. 2002), than any answer alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.brain_structures.network import CLASSES
from napari_radcnn.training.meshnet import MeshNet, turned, turned_back

Array = npt.NDArray[np.float32]

#: Folder of each teacher in the folder of all, what its answer weighs, and whether the mirror image is asked, too.
_TEACHERS = (("model30chan18cls", 1.0, True), ("model18cls", 0.5, True), ("model21_104class", 0.7, False))
#: The quantile of a head's gray values that is 1: its maximum, but for a few voxels of vessels.
_BRIGHTEST = 0.9995
#: Voxels of air that they are shown beyond a side that the head reaches, and its mean gray value that is no air.
_BEYOND, _AIR = 32, 0.05
#: Names of the teachers that are others here.
_NAMES = {
    "Cerebral-White-Matter": "white matter",
    "Cerebral-Cortex": "cortex",
    "Lateral-Ventricle": "lateral ventricle",
    "Inferior-Lateral-Ventricle": "inferior lateral ventricle",
    "Inf-Lat-Vent": "inferior lateral ventricle",
    "Cerebellum-White-Matter": "cerebellar white matter",
    "Cerebellum-Cortex": "cerebellar cortex",
    "Thalamus-Proper*": "thalamus",
    "3rd-Ventricle": "third ventricle",
    "4th-Ventricle": "fourth ventricle",
    "Brain-Stem": "brain stem",
    "Accumbens-area": "accumbens",
    "VentralDC": "ventral diencephalon",
}


def class_of(name: str) -> int:
    """Return the class of a teacher's name for it, 0 for fluid and what is no brain."""
    if name.startswith("ctx-"):
        return CLASSES.index("cortex")
    if name.startswith("CC_"):  # the corpus callosum
        return CLASSES.index("white matter")
    name = name.removeprefix("Left-").removeprefix("Right-")
    name = _NAMES.get(name, name.lower())
    return CLASSES.index(name) if name in CLASSES else 0


def ask(image: Array, folder: Path, threads: int = 1) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """Return the class of each voxel of a head, and how sure the teachers are together.

    Parameters
    ----------
    image : (i, j, k) array of float32
        T1-weighted, at 1 mm; axes point to the right, to the front and up.
    folder : Path
        Of the teachers.
    threads : int
        Of torch.

    Returns
    -------
    labels : (i, j, k) array of uint8
        Index in `CLASSES`.
    certainty : (i, j, k) array of float16
        Probability of that class, 0..1.
    """
    bright = float(np.quantile(image[image > image.min()], _BRIGHTEST))
    shown = np.clip((image - image.min()) / (bright - image.min()), 0, 1)
    pads = [tuple(_BEYOND * _shows_tissue(shown, axis, end) for end in (0, -1)) for axis in range(3)]
    shown = turned(np.pad(shown, pads))
    total = np.zeros((len(CLASSES), *shown.shape), np.float32)
    weight = 0.0
    for name, share, mirrored in _TEACHERS:
        teacher = MeshNet(folder / name, threads)
        total += share * _shares(teacher, shown)
        weight += share
        if mirrored:
            total += share * _shares(teacher, np.ascontiguousarray(shown[::-1]))[:, ::-1]
            weight += share
    labels = total.argmax(0)
    certainty = np.take_along_axis(total, labels[None], 0)[0] / weight
    inside = tuple(slice(low, low + n) for (low, _), n in zip(pads, image.shape, strict=True))
    return turned_back(labels.astype(np.uint8))[inside], turned_back(certainty.astype(np.float16))[inside]


def _shows_tissue(shown: Array, axis: int, end: int) -> bool:
    """Return whether a head reaches a side of its scan: the teachers were taught with air around it."""
    return bool(shown.take(end, axis).mean() > _AIR)


def _shares(teacher: MeshNet, shown: Array) -> Array:
    """Return the probability of each of our classes: theirs, added up."""
    logits = teacher.logits(shown)
    logits -= logits.max(0)
    np.exp(logits, out=logits)
    logits /= logits.sum(0)
    shares = np.zeros((len(CLASSES), *shown.shape), np.float32)
    for name, share in zip(teacher.classes, logits, strict=True):
        shares[class_of(name)] += share
    return shares
