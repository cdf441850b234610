"""Names and colors of labels in the attributes of a label image (``image-label``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from napari_radcnn.volume import Label

_MOST = 1000
#: Characters of a name.
_LONGEST = 200


def image_label(labels: Mapping[int, Label]) -> dict[str, Any]:
    """Return what the attributes of a store say of its labels."""
    found: dict[str, Any] = {}
    colors = [
        {"label-value": int(value), "rgba": [*(round(255 * part) for part in label.color), 255]}
        for value, label in labels.items()
        if label.color is not None
    ]
    if colors:
        found["colors"] = colors
    if labels:
        found["properties"] = [{"label-value": int(value), "name": label.name} for value, label in labels.items()]
    return found


def labels_of(ome: Mapping[str, Any]) -> dict[int, Label]:
    """Return the labels that an image gives names or colors; what is damaged is left out."""
    colors = {value: color for value, item in _items(ome, "colors") if (color := _color(item.get("rgba"))) is not None}
    names = {
        value: item["name"][:_LONGEST]
        for value, item in _items(ome, "properties")
        if isinstance(item.get("name"), str) and item["name"].isprintable()
    }
    listed = sorted(names.keys() | {value for value in colors if value})[:_MOST]  # 0 is background
    return {value: Label(names.get(value, f"label {value}"), colors.get(value)) for value in listed}


def _items(ome: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give the entries of a list that say which value they are of."""
    said = ome.get("image-label")
    listed = said.get(key) if isinstance(said, dict) else None
    for item in listed if isinstance(listed, list) else []:
        value = item.get("label-value") if isinstance(item, dict) else None
        if type(value) is int:
            yield value, item


def _color(rgba: object) -> tuple[float, float, float] | None:
    """Return red, green, blue in 0..1 of four bytes; None for a label that is not to be seen, or a damaged color."""
    if not isinstance(rgba, list) or len(rgba) != 4 or not all(type(part) is int and 0 <= part <= 255 for part in rgba):
        return None
    red, green, blue, alpha = rgba
    return (red / 255, green / 255, blue / 255) if alpha else None
