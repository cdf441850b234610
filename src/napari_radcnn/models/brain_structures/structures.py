"""What `brain-structures` names, with its colors, and which of the network's classes it is."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.models.brain_structures.network import CLASSES
from napari_radcnn.results import Label


@dataclass(frozen=True)
class Structure:
    """A structure of the result.

    Attributes
    ----------
    name : str
        Of the network's class.
    color : tuple of int
        As FreeSurfer's table of colors has it.
    has_sides : bool
        Whether it is told apart into left and right.
    """

    name: str
    color: tuple[int, int, int]
    has_sides: bool = True


STRUCTURES = (
    Structure("white matter", (245, 245, 245)),
    Structure("cortex", (205, 62, 78)),
    Structure("lateral ventricle", (120, 18, 134)),
    Structure("inferior lateral ventricle", (196, 58, 250)),
    Structure("cerebellar white matter", (220, 248, 164)),
    Structure("cerebellar cortex", (230, 148, 34)),
    Structure("thalamus", (0, 118, 14)),
    Structure("caudate", (122, 186, 220)),
    Structure("putamen", (236, 13, 176)),
    Structure("pallidum", (12, 48, 255)),
    Structure("hippocampus", (220, 216, 20)),
    Structure("amygdala", (103, 255, 255)),
    Structure("accumbens", (255, 165, 0)),
    Structure("ventral diencephalon", (165, 42, 42)),
    Structure("third ventricle", (204, 182, 142), has_sides=False),
    Structure("fourth ventricle", (42, 204, 164), has_sides=False),
    Structure("brain stem", (119, 159, 176), has_sides=False),
)
#: Classes that lie in pairs, away from the middle: what says where the middle is.
PAIRED = ("lateral ventricle", "thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala")


def _numbered() -> tuple[dict[int, Label], dict[int, tuple[int, int]]]:
    labels: dict[int, Label] = {}
    values: dict[int, tuple[int, int]] = {}
    for structure in STRUCTURES:
        red, green, blue = (round(part / 255, 3) for part in structure.color)
        first = len(labels) + 1
        names = [f"{side} {structure.name}" for side in ("left", "right")] if structure.has_sides else [structure.name]
        for name in names:
            labels[len(labels) + 1] = Label(name, (red, green, blue))
        values[CLASSES.index(structure.name)] = (first, len(labels))
    return labels, values


#: LABELS are the values of the result; VALUES say for each class of the network which value it has on the left and on
#: the right.
LABELS, VALUES = _numbered()
