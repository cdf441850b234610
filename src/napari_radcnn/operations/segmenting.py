"""Segmentation: a class for every voxel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import maps_of, voxels_of
from napari_radcnn.operations.running import RunKeywords, expect, run
from napari_radcnn.results import LabelMap, Result


def segment(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> LabelMap:
    """Give every voxel a class; parameters and errors as in `run`.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import head
    >>> brain = radcnn.segment(head(), "brain-extraction", {"uncertainty": True}, device="cpu")
    >>> 1400 < brain.volume_ml(1) < 1700
    True

    How sure it is, since its options say ``uncertainty``: images on the same grid.

    >>> [image.name for image in brain.maps]
    ['head phantom · brain-extraction · probability', 'head phantom · brain-extraction · entropy']
    """
    return expect(run(volume, model, options, task="segmentation", **how), LabelMap)


def labels(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> LabelMap:
    """Return the labels of a segmentation; those that went to the request's sink take no memory here."""
    spec, volume = request.spec, request.volume
    if request.sink is not None:
        absent = np.broadcast_to(np.uint8(0), volume.geometry.shape)
        return LabelMap(absent, volume.geometry, dict(spec.labels), name, provenance, warnings, volume.metadata)
    array = voxels_of(request, outcome)
    found = LabelMap(array, volume.geometry, dict(spec.labels), name, provenance, warnings, volume.metadata)
    volumes_ml = {label.name: round(found.volume_ml(value), 3) for value, label in spec.labels.items()}
    about = {"volumes_ml": volumes_ml} | ({"asymmetry_percent": sides} if (sides := asymmetries(volumes_ml)) else {})
    return replace(found, maps=maps_of(volume, outcome, name, provenance), provenance={**provenance, **about})


def asymmetries(volumes_ml: Mapping[str, float]) -> dict[str, float]:
    """Return by how much each structure is larger on the left: ``200 (L - R) / (L + R)``, percent.

    Parameters
    ----------
    volumes_ml : mapping of str to float
        By label; pairs are called ``left thalamus`` and ``right thalamus``.

    Returns
    -------
    dict
        By the structure's name, for pairs of which both have a volume.

    Examples
    --------
    >>> asymmetries({"left thalamus": 7.2, "right thalamus": 6.8, "brain stem": 21.0, "left lung": 900.0})
    {'thalamus': 5.7}
    """
    found = {}
    for label, left in volumes_ml.items():
        name = label.removeprefix("left ")
        right = volumes_ml.get(f"right {name}", 0.0)
        if name != label and left > 0 and right > 0:
            found[name] = round(200 * (left - right) / (left + right), 1)
    return found


def volumes(result: Result) -> list[tuple[str, str]]:
    """Return name and volume of each label, as its manifest says, and by how much the left one of a pair is larger."""
    found = result.provenance.get("volumes_ml", {})
    sides = result.provenance.get("asymmetry_percent", {})
    rows = []
    for label, milliliters in found.items():
        name = label.removeprefix("right ")
        more = f", L − R {sides[name]:+.1f} %".replace("-", "−") if name != label and name in sides else ""
        rows.append((label, f"{milliliters:.1f} ml{more}"))
    return rows
