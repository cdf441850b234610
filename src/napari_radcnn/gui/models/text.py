"""What the Models dock says about a model."""

from __future__ import annotations

import html

from napari_radcnn.models import ModelSpec
from napari_radcnn.spec.card import own_card, pack_card

__all__ = ["about", "foreign_card", "own_card", "tip"]

#: Longest piece of a foreign model's own text that is shown.
_LONGEST = 400
_LONGEST_CARD = 4000
_NO_CARD = "This model has no model card: its test data, performance and limitations are not stated."


def about(spec: ModelSpec) -> str:
    """Return a few lines: what it does, for what, version and license."""
    made_for = ", ".join((*spec.modalities, *([spec.body_part] if spec.body_part else ())))
    version = f"Version {spec.version} · " if spec.version else ""
    lines = [
        _cut(spec.summary),
        f"{spec.task.capitalize()}, intended for: {_cut(made_for) or ('not stated' if spec.origin else 'any scan')}",
        f"{version}license: {_cut(spec.licence) or 'not stated'}",
    ]
    return "\n".join(line for line in lines if line)


def foreign_card(spec: ModelSpec) -> str:
    """Return what is known of somebody else's model, plain text: the card in its pack, and what it states."""
    labels = ", ".join(label.name for label in spec.labels.values())
    spacing = "" if spec.spacing is None else " x ".join(f"{step:.3g}" for step in spec.spacing)
    rows = [
        ("Task", spec.task),
        ("Version", spec.version or "not stated"),
        ("License", spec.licence or "not stated"),
        ("To cite", spec.citation or "not stated"),
        ("Inputs", ", ".join(slot.name for slot in spec.inputs)),
        (f"{len(spec.labels)} classes", labels),
        ("Works at", f"{spacing} mm (slices, rows, columns)" if spacing else ""),
        ("Opened from", "" if spec.origin is None else str(spec.origin)),
        ("Added by", "" if spec.package is None else f"the package {spec.package}"),
        *((file.path.name, f"SHA-256 {file.sha256}") for file in spec.files),
    ]
    card = (pack_card(spec) or "")[:_LONGEST_CARD].strip()
    told = "\n".join(f"{name}: {_cut(value)}" for name, value in rows if value)
    return f"{_cut(spec.summary)}\n\n{told}\n\n{card or _NO_CARD}".strip()


def suitability_line(state: str) -> str:
    """Return the line above the reasons, by the state of a `Suitability`; empty where the model fits."""
    return {
        "doubtful": "It is doubtful whether this model suits the scan:",
        "refused": "This model was not made for such a scan:",
    }.get(state, "")


def tip(text: str) -> str:
    """Return a tool tip that wraps and shows a foreign text as it is, whatever markup it holds."""
    return f"<qt>{html.escape(_cut(text))}</qt>"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
