"""Whether a backend says the same as PyTorch in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_radcnn.inference.backends.base import Patch

#: What a network's outputs are: classes that exclude each other, channels that may overlap, gray values, or one answer
#: for the whole input, which is not compared.
Outputs = Literal["classes", "channels", "values", "answer"]
#: Fewer voxels off the commonest label than this say nothing about the others.
_FEWEST = 100
#: Off the commonest label, this many times as many voxels may differ: structures are thin, and differ at their rim.
_RIM = 10.0


@dataclass(frozen=True)
class Agreement:
    """How well two outputs for the same patch agree.

    Attributes
    ----------
    voxels : float
        Fraction of voxels with the same label; of gray values the part of their mean square that is the same.
    structures : float or None
        Differing voxels as a fraction of those that do not carry the commonest label, subtracted from 1; a backend
        that found nothing at all in an almost empty patch has 0 here. None where there are too few to tell.
    """

    voxels: float
    structures: float | None

    def reaches(self, tolerance: float) -> bool:
        """Return whether at least `tolerance` of the voxels agree, and the structures do not differ much more."""
        if self.voxels < tolerance:
            return False
        return self.structures is None or 1.0 - self.structures <= _RIM * (1.0 - tolerance)


def compare(output: Patch, reference: Patch, outputs: Outputs = "classes") -> Agreement:
    """Compare the labels that follow from two outputs.

    Parameters
    ----------
    output, reference : (classes, k, j, i) array of float32
        What a backend and what PyTorch in float32 gave for the same patch. A voxel with a number that is not finite
        agrees with nothing.
    outputs : str
        ``"classes"``: the label is the largest of them, of a single one whether it is above its middle: 0, or 0.5
        where the network ends in a sigmoid. ``"channels"``: each is compared by itself, and the worst counts.
        ``"values"``: there are no labels; the mean square of the difference is held against that of the reference.

    Returns
    -------
    Agreement
        `Agreement.voxels` is 0 where the shapes differ.
    """
    if output.shape != reference.shape:
        return Agreement(0.0, None)
    if outputs == "values":
        return Agreement(_same_part(output, reference), None)
    if outputs == "channels" and len(reference) > 1:
        each = [compare(output[n : n + 1], reference[n : n + 1]) for n in range(len(reference))]
        told = [one.structures for one in each if one.structures is not None]
        return Agreement(min(one.voxels for one in each), min(told) if told else None)
    middle = 0.5 if reference.min() >= 0 and reference.max() <= 1 else 0.0
    expected = _labels(reference, middle)
    differ = (_labels(output, middle) != expected) | ~np.isfinite(output).all(axis=0)
    wrong = int(np.count_nonzero(differ))
    others = expected.size - int(np.bincount(expected.ravel()).max())
    structures = None if others < _FEWEST else max(0, others - wrong) / others
    return Agreement((expected.size - wrong) / expected.size, structures)


def _same_part(output: Patch, reference: Patch) -> float:
    """Return 1 where two outputs are the same, 0 where they differ as much as the reference from nothing, or more."""
    wrong = float(np.mean((output.astype(np.float64) - reference) ** 2))
    whole = float(np.mean(reference.astype(np.float64) ** 2))
    if not np.isfinite(wrong):
        return 0.0
    if whole == 0:
        return float(wrong == 0)
    return max(0.0, 1 - wrong / whole)


def _labels(output: Patch, middle: float) -> npt.NDArray[np.intp]:
    if len(output) == 1:
        return (output[0] > middle).astype(np.intp)
    return np.asarray(output.argmax(axis=0))
