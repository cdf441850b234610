"""What a scan is, in words."""

from __future__ import annotations

from collections.abc import Iterator

from napari_radcnn.suitability.traits import SURE, Trait, Traits

_NAMES = {
    "kind": "holds",
    "modality": "modality",
    "layout": "layout",
    "regions": "region",
    "view": "view",
    "contrast": "contrast",
    "stripped": "skull stripped",
    "contrast_agent": "contrast medium",
    "hounsfield": "Hounsfield units",
    "offset": "offset to Hounsfield units",
    "slice_mm": "slice spacing",
    "noise": "noise",
    "cut_off": "cut off towards",
    "turned": "orientation differs from the header",
    "normalized": "z-scored intensities",
    "inverted": "inverted gray scale",
    "missing": "NaN or infinite",
    "milliliters": "volume of the mask",
}
_UNITS = {"slice_mm": " mm", "milliliters": " ml"}


def trait_lines(scan: Traits) -> Iterator[str]:
    """Yield a line for each trait that is known, such as ``"modality: CT (voxels, sure)"``, then contradictions."""
    for name, trait in scan.each().items():
        if trait.is_known and not (name in ("missing", "cut_off") and not trait.value):
            yield f"{_NAMES[name]}: {_value(name, trait)} ({trait.source}{_how_sure(trait)})"
    for name in ("modality", "regions"):
        if not scan.each()[name].is_known and scan.kind.value == "image":
            yield f"{_NAMES[name]}: unknown"
    for line in scan.contradictions:
        yield f"contradiction: {line}"


def _value(name: str, trait: Trait) -> str:
    value = trait.value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if name == "missing":
        return f"{value:.1%}"
    return (f"{value:g}" if isinstance(value, float) else str(value)) + _UNITS.get(name, "")


def _how_sure(trait: Trait) -> str:
    return ", sure" if trait.sure >= SURE else ", likely" if trait.sure >= 0.5 else ", a guess"
