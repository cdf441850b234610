"""Denoising and super-resolution: a better image of the same scan; synthesis: another image made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from napari_radcnn.errors import ModelError
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


def synthesize(
    volume: Inputs, model: str | Path | ModelSpec, options: object = None, **how: Unpack[RunKeywords]
) -> Volume:
    """Make another image of a scan, such as a CT of an MR; parameters and errors as in `run`.

    The result is float32 on the scan's grid, in the unit that the model states; its values are the network's, nobody
    measured them.

    Examples
    --------
    >>> import napari_radcnn as radcnn
    >>> from napari_radcnn.phantom import head
    >>> radcnn.synthesize(head(), "nlm-denoise")
    Traceback (most recent call last):
        ...
    napari_radcnn.errors.ModelError: The model 'nlm-denoise' is for denoising, not for synthesis.
    """
    return expect(run(volume, model, options, task="synthesis", **how), Volume)


def synthesized(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Volume:
    """Return the image that a model made of a scan, with its own unit and modality.

    Raises
    ------
    ModelError
        If the model does not say what its values are.
    """
    made = outcome.facts.get("made")
    if not isinstance(made, Mapping):
        raise ModelError(f"The pipeline of '{request.spec.name}' does not say what the values of its image are.")
    image = restored(request, outcome, name, provenance, warnings)
    center = width = None
    if made.get("limits"):
        low, high = made["limits"]
        center, width = (low + high) / 2, high - low
    return image.with_metadata(
        window_center=center,
        window_width=width,
        units=str(made["unit"]),
        modality=str(made.get("modality") or request.volume.modality),
        windows=(),
        is_inverted=False,
        padding_value=None,
        acquisition={},
    )


def restored(
    request: Request, outcome: Outcome, name: str, provenance: Mapping[str, Any], warnings: tuple[str, ...]
) -> Volume:
    """Return the image that a model made of a scan, on the scan's grid or a finer one."""
    volume = request.volume
    geometry = volume.geometry if outcome.geometry is None else outcome.geometry
    warned = replace(volume, warnings=(*volume.warnings, *warnings))
    return warned.with_array(voxels_of(request, outcome), geometry, name=name, provenance=provenance)
