"""What the Fusion dock makes: one scan on another's grid, as a layer that lets the other shine through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData, is_ours, layer_data, scan_from_layer
from napari_radcnn.operations import resample_to
from napari_radcnn.progress import CancelEvent, Progress
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume

#: Modalities that show activity rather than anatomy.
_ACTIVITY = ("PT", "NM")


@dataclass(frozen=True)
class Fused:
    """A layer that is ready to be added, and what must be said about it."""

    data: LayerData
    warnings: tuple[str, ...]


def modality_of(layer: Any) -> str:
    """Return DICOM's modality code of a layer's scan, empty where it is unknown."""
    volume = layer.metadata[METADATA_KEY].get("volume") if is_ours(layer) else None
    return volume.modality if isinstance(volume, Volume) else ""


def shows_activity(layer: Any) -> bool:
    """Whether a layer is a PET or another scan of nuclear medicine."""
    return modality_of(layer) in _ACTIVITY


def suv_factor(layer: Any) -> float | None:
    """Return what turns the values of a PET layer into SUVbw; None where that is unknown."""
    return layer.metadata[METADATA_KEY].get("suvbw_factor") if is_ours(layer) else None


def units_of(layer: Any) -> str:
    """Return the units of a layer's values, empty where they are unknown."""
    volume = layer.metadata[METADATA_KEY].get("volume") if is_ours(layer) else None
    return volume.metadata.units if isinstance(volume, Volume) else ""


def fuse(
    overlay_layer: Any,
    base_layer: Any,
    look: dict[str, Any],
    *,
    progress: Progress | None = None,
    cancel: CancelEvent | None = None,
) -> Fused:
    """Return `overlay_layer` on the grid of `base_layer`; both stay as they are.

    Parameters
    ----------
    overlay_layer, base_layer : napari layer
        Image or Labels, of three axes.
    look : dict
        Arguments of the new layer, such as ``colormap`` and ``opacity``.
    progress, cancel : optional
        As in `napari_radcnn.operations.resample_to`.

    Raises
    ------
    RadcnnError
        If a layer is no scan, or the two do not overlap.
    CancelledError
        If `cancel` was set.
    """
    overlay, base = scan_from_layer(overlay_layer), scan_from_layer(base_layer)
    moved = resample_to(overlay, base, progress=progress, cancel=cancel)
    if overlay.geometry.is_close(base.geometry):  # nothing to interpolate: keep the values to the last bit
        values = np.array(overlay.array)
        moved = moved.with_array(values) if isinstance(moved, Volume) else replace(moved, array=values)
    warnings = tuple(dict.fromkeys((*base.warnings, *moved.warnings)))
    name = f"{overlay.name} on {base.name}"
    if isinstance(moved, LabelMap):
        moved = replace(moved, name=name, provenance=_resampled_provenance(moved.provenance, base.name))
    else:
        provenance = _resampled_provenance(moved.metadata.provenance, base.name)
        moved = moved.with_metadata(name=name, provenance=provenance)
    array, arguments, kind = layer_data(moved, progress=progress, cancel=cancel)
    return Fused((array, arguments | look, kind), warnings)


def _resampled_provenance(provenance: Any, onto: str) -> dict[str, Any]:
    """Return the manifest of what was moved, with the move."""
    return {**provenance, "resampled_onto": onto} if provenance else {}
