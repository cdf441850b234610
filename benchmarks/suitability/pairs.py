"""Every scan with every model: whether they belong together, and which pairs are kept sealed while rules are made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from benchmarks.suitability.scans import ANY, CXR, GLAND, Scan
from napari_radcnn.models import models
from napari_radcnn.spec.model import ModelSpec

Truth = Literal["right", "wrong", "unclear"]


def pairs_of(scan: Scan) -> Iterator[tuple[ModelSpec, Truth]]:
    """Yield the models that a scan is judged with, and what is true of each."""
    for spec in models():
        if not spec.origin and spec.task != "interactive":
            yield spec, truth(scan, spec.name)


def truth(scan: Scan, model: str) -> Truth:
    """Return whether a model was made for a scan."""
    if model in scan.right or (model == ANY and scan.is_image):
        return "right"
    is_color = scan.modality and not scan.is_image and scan.modality != "SEG"
    return "unclear" if model in scan.unclear or (model == ANY and not is_color) else "wrong"


def is_sealed(scan: str, model: str) -> bool:
    """Return whether a pair is one of the third that no rule was made with, by a hash of its name."""
    return hashlib.sha256(f"{scan} + {model}".encode()).digest()[0] % 3 == 0


def is_kept(scan: Scan, model: str) -> bool:
    """Return whether a pair is counted: of many pictures of a kind, those with the model they could be taken for."""
    if scan.name.startswith("radiograph "):
        return model == CXR or scan.name == "radiograph 0"
    if scan.name.startswith("gland "):
        return model == GLAND or scan.name == "gland 0"
    return True
