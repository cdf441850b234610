"""The card of a model: what it does, what it was trained and measured on, where it fails."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from napari_radcnn.spec.model import ModelSpec


def own_card(spec: ModelSpec) -> str | None:
    """Return the card that comes with one of our models, Markdown; None for somebody else's."""
    if not spec.card or spec.origin is not None or spec.package is not None:
        return None
    card = resources.files("napari_radcnn") / spec.card
    return card.read_text(encoding="utf-8") if card.is_file() else None


def pack_card(spec: ModelSpec) -> str | None:
    """Return the card in somebody else's pack or package, whatever its length; None without a readable one."""
    if not spec.card or (spec.origin is None and spec.package is None):
        return None
    try:
        place = Path(spec.card) if spec.package is None else resources.files(spec.package.module) / spec.card
        return place.read_text(encoding="utf-8")
    except (OSError, ValueError):  # gone, or no text: what else is known of the model is told all the same
        return None
