"""What `ct-organs` names, and which of the network's classes it is made of."""

from __future__ import annotations

from dataclasses import dataclass

from napari_radcnn.models.ct_organs.network import CLASSES
from napari_radcnn.results import Label

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Structure:
    """A structure of the result.

    Attributes
    ----------
    name : str
        What it is called, as in the codes of `napari_radcnn.io.dicom_results.codes`.
    color : tuple of int
        DICOM's recommended display color as 3D Slicer's terminology gives it for the structure's SNOMED CT code.
    classes : tuple of str
        Of the network.
    has_sides : bool
        Whether it is told apart into left and right, by the spine.
    """

    name: str
    color: RGB
    classes: tuple[str, ...]
    has_sides: bool = False


#: What is shown, in the order of its values: what was found with a Dice of at least 0.7 in scans that the network had
#: not seen, where others show that part of the body. What it also learned, but could not be tested or was found worse,
#: helps it to tell these apart and is not shown.
STRUCTURES = (
    Structure("lung", (197, 165, 145), tuple(name for name in CLASSES if name.startswith("lung")), True),
    Structure("heart", (206, 110, 84), ("heart",)),
    Structure("liver", (221, 130, 101), ("liver",)),
    Structure("spleen", (157, 108, 162), ("spleen",)),
    Structure("vertebrae", (255, 255, 207), ("vertebrae",)),
    Structure("spinal cord", (244, 214, 49), ("spinal cord",)),
    Structure("erector spinae", (171, 85, 68), ("erector spinae",), True),
    Structure("aorta", (224, 97, 76), ("aorta",)),
    Structure("ribs", (253, 232, 158), ("ribs",), True),
    Structure("costal cartilage", (111, 184, 210), ("costal cartilage",), True),
)


def _numbered() -> tuple[dict[int, Label], dict[str, tuple[int, int]]]:
    """Return the labels, and for each class of the network the values on the right and on the left."""
    labels: dict[int, Label] = {}
    values: dict[str, tuple[int, int]] = {}
    for structure in STRUCTURES:
        red, green, blue = (round(part / 255, 3) for part in structure.color)
        names = [f"{side} {structure.name}" for side in ("right", "left")] if structure.has_sides else [structure.name]
        first = len(labels) + 1
        for name in names:
            labels[len(labels) + 1] = Label(name, (red, green, blue))
        for name in structure.classes:
            values[name] = (first, len(labels))
    return labels, values


#: LABELS are the values of the result; VALUES say for each class of the network which value it has on the right and on
#: the left; a class that is missing there is not shown.
LABELS, VALUES = _numbered()
