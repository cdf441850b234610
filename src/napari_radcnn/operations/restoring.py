"""Denoising and super-resolution: a better image of the same scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from napari_radcnn.inference.align import Inputs
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.models import ModelSpec
from napari_radcnn.operations.outcomes import voxels_of
from napari_radcnn.operations.running import RunKeywords, expect, run
from napari_radcnn.volume import Volume


def denoise(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Volume:
    """Remove noise; parameters and errors as in `run`. The result is float32 in the scan's own units."""
    return expect(run(volume, model, options, task="denoising", **how), Volume)


def super_resolve(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Volume:
    """Make thin slices out of thick ones; parameters and errors as in `run`.

    The result is float32 in the scan's own units, on a grid of its own: the slabs of the thick slices, divided evenly.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import disks
    >>> scan, _ = disks()
    >>> scan.geometry.spacing
    (2.0, 0.9, 0.8)
    >>> radcnn.super_resolve(scan, "ct-super-resolution", {"factor": 2}).geometry.spacing
    (1.0, 0.9, 0.8)
    """
    return expect(run(volume, model, options, task="super-resolution", **how), Volume)


def restored(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Volume:
    """Return the image that a model made of a scan, on the scan's grid or a finer one."""
    volume = request.volume
    geometry = volume.geometry if outcome.geometry is None else outcome.geometry
    warned = replace(volume, warnings=(*volume.warnings, *warnings))
    return warned.with_array(voxels_of(request, outcome), geometry, name=name, provenance=provenance)
