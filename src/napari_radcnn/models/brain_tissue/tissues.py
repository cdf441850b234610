"""Tissue from what the network of brains answers: from its tissues, and from the structures that are made of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.brain_structures.answer import softmax
from napari_radcnn.models.brain_structures.network import CLASSES, TISSUES

Array = npt.NDArray[np.float32]

#: The tissues, as the network's first outputs and as the values of the result.
BACKGROUND, FLUID, GRAY, WHITE = range(TISSUES)
#: Below this, probabilities do not say whether it is background or fluid.
_LEAST = np.float32(1e-6)
_OF_FLUID = ("lateral ventricle", "inferior lateral ventricle", "third ventricle", "fourth ventricle")
_OF_WHITE = ("white matter", "cerebellar white matter", "brain stem", "ventral diencephalon")
#: Structures that anatomy tells from what is around them better than their gray values do.
_BY_ANATOMY = (
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "accumbens",
    "amygdala",
    "hippocampus",
    "ventral diencephalon",
    "brain stem",
)
#: Outputs of `tissue_shares`: the tissues, and how probable a structure of those is.
OUTPUTS = TISSUES + 1


def _tissue_of(structure: str) -> int:
    if structure in _OF_FLUID:
        return FLUID
    return WHITE if structure in _OF_WHITE else GRAY


#: Places in `CLASSES` of the structures that each tissue consists of.
STRUCTURES_OF = {
    tissue: [n for n, name in enumerate(CLASSES) if n and _tissue_of(name) == tissue] for tissue in (FLUID, GRAY, WHITE)
}


def tissue_shares(logits: Array) -> Array:
    """Return the probability of each tissue: the mean of what the network says of tissues and of structures.

    It learned the two from different references, and where both say the same it is more often right than each alone.
    What is no structure is fluid or background as the tissues have it.

    Parameters
    ----------
    logits : (22, k, j, i) array of float32
        Of the network.

    Returns
    -------
    (5, k, j, i) array of float32
        Background, fluid, gray and white matter, the sum of which is 1; then the probability of a deep nucleus or the
        brain stem, whose tissue anatomy says rather than the gray value.
    """
    tissues, structures = softmax(logits[:TISSUES]), softmax(logits[TISSUES:])
    nothing = (tissues[BACKGROUND] + _LEAST) / (tissues[BACKGROUND] + tissues[FLUID] + 2 * _LEAST)
    grouped = np.empty_like(tissues)
    for tissue, places in STRUCTURES_OF.items():
        grouped[tissue] = structures[places].sum(0)
    grouped[BACKGROUND] = structures[0] * nothing
    grouped[FLUID] += structures[0] * (1 - nothing)
    by_anatomy = structures[[CLASSES.index(name) for name in _BY_ANATOMY]].sum(0)
    return np.concatenate([(tissues + grouped) / 2, by_anatomy[None]])
