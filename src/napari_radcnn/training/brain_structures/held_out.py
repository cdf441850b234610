"""How well the network does on heads that it does not learn from, and whether it says the same in each contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.metrics import dice
from napari_radcnn.models.brain_structures.network import CLASSES, MULTIPLE, OUTSIDE, TISSUES
from napari_radcnn.models.brain_structures.stripped import has_bright_fluid, scaled_inside
from napari_radcnn.training.brain_structures.heads import HELD_OUT, asked
from napari_radcnn.training.brain_structures.teacher import Array
from napari_radcnn.training.meshnet import upright
from napari_radcnn.training.run import mixed_precision

if TYPE_CHECKING:
    import torch

#: One patient in three contrasts, the brain cut out: file of each in the data folder.
_CONTRASTS = {name: f"mr_stroke_t1_t2_flair/{name}.nii.gz" for name in ("T1", "T2", "FLAIR")}
#: mm of fluid around the brain that are shown, and around that which are shown empty.
_FLUID, _MARGIN = 2, 4


@dataclass(frozen=True, eq=False)
class Case:
    """A head as the network sees it.

    Attributes
    ----------
    name : str
        Of the head.
    picture : (i, j, k) array of float32
        Scaled, the brain cut out; sides are multiples of 16.
    labels : (i, j, k) array of uint8 or None
        What the teachers say, where they were asked.
    """

    name: str
    picture: Array
    labels: npt.NDArray[np.uint8] | None = None


def load_cases(data: Path, cache: Path, threads: int = 1) -> list[Case]:
    """Return the heads that are tested on."""
    cases = []
    for name, file in HELD_OUT.items():
        image = upright(data / file)
        labels = asked(name, image, data, cache, threads).labels
        brain = ndimage.binary_fill_holes(ndimage.binary_dilation(_largest(labels > 0), iterations=_FLUID))
        cases.append(make_case(name, image, np.asarray(brain), labels))
    return cases + same_place({name: upright(data / file) for name, file in _CONTRASTS.items()})


def same_place(images: Mapping[str, Array]) -> list[Case]:
    """Return brains that were cut out of scans on one grid, in one box, so that what is found can be compared."""
    brains = {  # resampling dims the rim
        name: np.asarray(ndimage.binary_erosion(ndimage.binary_fill_holes(_largest(image > 0))))
        for name, image in images.items()
    }
    around = np.any(list(brains.values()), 0)
    return [make_case(name, image, brains[name], around=around) for name, image in images.items()]


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    parts, _ = ndimage.label(mask)
    return np.asarray(parts == int(np.bincount(parts.ravel())[1:].argmax()) + 1)


def make_case(
    name: str,
    image: Array,
    brain: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.uint8] | None = None,
    around: npt.NDArray[np.bool_] | None = None,
) -> Case:
    """Return a head as the network sees it, in the box around its brain, or around another mask."""
    box = ndimage.find_objects((brain if around is None else around).astype(np.uint8))[0]
    shape = [-(-(s.stop - s.start + 2 * _MARGIN) // MULTIPLE) * MULTIPLE for s in box]
    image, brain = image[box], brain[box]
    shown = scaled_inside(-image if has_bright_fluid(image, brain) else image, brain, OUTSIDE)
    pads = [(_MARGIN, n - shown.shape[axis] - _MARGIN) for axis, n in enumerate(shape)]
    kept = None if labels is None else np.pad(np.where(brain, labels[box], 0), pads)
    return Case(name, np.pad(shown, pads, constant_values=OUTSIDE), kept)


def test(network: torch.nn.Module, cases: Sequence[Case]) -> dict[str, float]:
    """Return the mean Dice of the structures of each head, of contrasts with T1, and each structure's of the heads.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode.
    cases : sequence of Case
        Of `load_cases`.
    """
    found = {case.name: find_structures(network, case.picture) for case in cases}
    figures: dict[str, float] = {}
    by_head = {case.name: _each(found[case.name], case.labels) for case in cases if case.labels is not None}
    for name, values in by_head.items():
        figures[name] = float(np.mean(list(values.values())))
    for name in list(_CONTRASTS)[1:]:
        if name in found:
            figures[f"T1 and {name}"] = float(np.mean(list(_each(found[name], found["T1"]).values())))
    for structure in CLASSES[1:]:
        figures[structure] = float(np.mean([values[structure] for values in by_head.values()]))
    return figures


def _each(labels: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> dict[str, float]:
    return {name: dice(labels == n, others == n) for n, name in enumerate(CLASSES) if n}


def find_structures(network: torch.nn.Module, picture: Array) -> npt.NDArray[np.uint8]:
    """Return the likeliest structure of each voxel of a brain that was prepared."""
    import torch

    shown = torch.from_numpy(np.ascontiguousarray(picture))[None, None]
    with torch.inference_mode(), mixed_precision():
        logits = network(shown.contiguous(memory_format=torch.channels_last_3d))[0, TISSUES:]
    return np.asarray(logits.argmax(0).numpy().astype(np.uint8))
