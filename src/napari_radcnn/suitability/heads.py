"""What the shape on a scan's background tells of a head: whole or stripped, upright or not, cut off or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from napari_radcnn.suitability.head import Shape
from napari_radcnn.suitability.traits import UNKNOWN, Trait, Traits

#: mm towards S, P, L, and liters, of a whole head and of a brain alone, from children to large adults.
_HEAD = ((100.0, 290.0), (155.0, 250.0), (125.0, 195.0), (1.9, 6.5))
_BRAIN = ((95.0, 170.0), (130.0, 200.0), (95.0, 165.0), (0.7, 2.2))
#: The share of a face of the scan from which what touches it is cut off there.
_CUT = 0.15
_LETTERS = "ISAPRL"


def head_traits(found: Traits, shape: Shape) -> Traits:
    """Return traits with what the shape tells; of a shape that is no head only whether gray values are inverted."""
    found = replace(
        found,
        inverted=Trait(shape.is_inverted, "voxels", 0.85 if shape.background > 0.2 or abs(shape.level) > 0.9 else 0.5),
    )
    which = _which(shape)
    if which is None:
        return found
    cut = [letter for letter, share in zip(_LETTERS, shape.faces, strict=True) if share > _CUT]
    turned = _turned(shape, which, cut)
    contrast = _contrast(shape)
    known = found.modality
    return replace(
        found,
        # a brain without the contrast of an MR may be one of a CT
        modality=known if known.is_known or not contrast.is_known else Trait("MR", "voxels", 0.8),
        regions=Trait(["head"], "voxels", 0.9 if contrast.is_known or which == "whole" else 0.5),
        stripped=Trait(which == "stripped", "voxels", 0.85),
        contrast=contrast,
        cut_off=Trait([one for one in cut if which == "stripped" or one != "I"], "voxels", 0.85),
        turned=turned,
    )


def _which(shape: Shape) -> Literal["whole", "stripped"] | None:
    """Return whether it is a head, or a brain alone; None for neither."""
    if max(shape.symmetry[1:]) < 0.55 or (shape.level > -0.01 and not shape.is_inverted):
        return None
    is_plain = shape.background > 0.3
    if is_plain and _fits(shape, _BRAIN) and 0.72 < shape.fill < 0.98 and max(shape.faces) < _CUT:
        return "stripped"
    if _fits(shape, _HEAD) and 0.9 < shape.fill < 1.3 and max(shape.faces) > _CUT:
        return "whole"
    return None


def _fits(shape: Shape, limits: tuple[tuple[float, float], ...]) -> bool:
    """Return whether the extents fit in one of the ways that a head can be turned, and the liters do."""
    low, high = limits[3]
    if not low <= shape.liters <= high:
        return False
    s, p, left = shape.extent
    turns = ((s, p, left), (p, s, left), (s, left, p))
    return any(all(a <= v <= b for v, (a, b) in zip(one, limits[:3], strict=True)) for one in turns)


def _turned(shape: Shape, which: str, cut: list[str]) -> Trait:
    s, p, _ = shape.extent
    if shape.symmetry[1] > shape.symmetry[2] + 0.08:
        return Trait("its left and right look like front and back", "voxels", 0.85)
    if which == "stripped":
        if s > 1.06 * p:
            return Trait("the brain is higher than long", "voxels", 0.85)
        if shape.areas[1] + shape.areas[0] > 1.4 * (shape.areas[8] + shape.areas[9]):
            return Trait("it stands on its head", "voxels", 0.8)
    elif "I" not in cut:
        if "S" in cut:
            return Trait("it stands on its head", "voxels", 0.9)
        if "A" in cut or "P" in cut:
            return Trait("the neck is in front or behind", "voxels", 0.9)
    low, top = shape.centers
    is_behind = low < 0.42 if which == "stripped" else top < 0.485 and shape.unevenness < 0.95
    if is_behind:
        return Trait("front and back are exchanged", "voxels", 0.8)
    return Trait(False, "voxels", 0.7)


def _contrast(shape: Shape) -> Trait:
    if shape.is_inverted:
        return UNKNOWN
    if shape.core < 0.45 and shape.tail > 0.65:
        return Trait("T2", "voxels", 0.8)
    if shape.core > shape.shell + 0.06:
        return Trait("T1", "voxels", 0.6)
    if shape.core > shape.shell:
        return Trait("FLAIR", "voxels", 0.3)
    return UNKNOWN
