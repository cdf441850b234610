"""Names that may be given away: those of the classes of models and of codes, never what a person may have typed.

A name is judged by itself and by what the models on the list call their classes, not by the manifest it comes with: the
manifest of an interactive result names a model, too, and its objects have the names that somebody gave them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from napari_radcnn.io.dicom_results.codes import LABEL_CODES
from napari_radcnn.results import Label
from napari_radcnn.tasks import load

#: The list of models stands above this package, and is looked at only where something is given away.
_CLASSES = "napari_radcnn.models.registry:class_names"
_CHOICES = "napari_radcnn.models.registry:option_choices"

#: Units that our readers give besides UCUM's.
_UNITS = {"", "HU", "counts", "g/ml", "um2/s"}


def model_name(manifest: Mapping[str, Any]) -> str:
    """Return the name of the model that a manifest names, empty where it names none."""
    model = manifest.get("model")
    return str(model.get("name") or "") if isinstance(model, Mapping) else ""


def known_choices(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Return the words that the options of a manifest's model may be."""
    return frozenset(load(_CHOICES)(model_name(manifest)) or ())


def is_listed(model: str) -> bool:
    """Return whether a model of this name ships or is installed."""
    return load(_CHOICES)(model) is not None


def is_public(name: str, manifest: Mapping[str, Any]) -> bool:
    """Return whether a name is that of a class of a model that ships or is installed, or that of a code."""
    return _is_code(name) or name in _classes(manifest)


def public_labels(labels: Mapping[int, Label], manifest: Mapping[str, Any]) -> dict[int, Label]:
    """Return labels whose names may be given away; others are called by their value."""
    classes = _classes(manifest)
    return {
        value: label if label.name in classes or _is_code(label.name) else Label(f"label {value}", label.color)
        for value, label in labels.items()
    }


def public_names(names: Iterable[str], manifest: Mapping[str, Any], word: str) -> dict[str, str]:
    """Return for each name what may be given away instead: itself, or the word and a number, in order."""
    classes = _classes(manifest)
    found: dict[str, str] = {}
    typed = 0
    for name in dict.fromkeys(names):
        is_kept = name in classes or _is_code(name)
        typed += not is_kept
        found[name] = name if is_kept else f"{word} {typed}"
    return found


def is_unit(text: str) -> bool:
    """Return whether a unit is one of ours or of UCUM: a file may hold anything in its place."""
    from pydicom.sr.codedict import codes

    known = {getattr(codes.UCUM, keyword).value for keyword in codes.UCUM.dir()} | _UNITS
    return re.sub(r"^10[*^]?-?\d+[.]", "", text) in known


def _classes(manifest: Mapping[str, Any]) -> frozenset[str]:
    found: frozenset[str] = load(_CLASSES)(model_name(manifest))
    return found


def _is_code(name: str) -> bool:
    """Whether the name is that of a part of the body, a side included, or of a term of SNOMED CT."""
    from pydicom.sr.codedict import codes

    words = name.lower().replace("_", " ").replace("-", " ").split()
    if " ".join(word for word in words if word not in ("left", "right")) in LABEL_CODES:
        return True
    keyword = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name))
    # a term of one word may be somebody's name, as Brown and Long are
    return len(words) > 1 and keyword.isidentifier() and _meaning(codes.SCT, keyword) == name.lower()


def _meaning(scheme: Any, keyword: str) -> str:
    try:
        return str(getattr(scheme, keyword).meaning).lower()
    except (AttributeError, KeyError, RuntimeError):  # no such term, or several versions of it
        return ""
