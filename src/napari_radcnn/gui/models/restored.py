"""What a restored scan is shown with: what was changed, as a layer of its own, and its noise before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np

from napari_radcnn.gui.layers.layers import LayerData, layer_data
from napari_radcnn.memory import free_memory
from napari_radcnn.progress import Progress
from napari_radcnn.volume import Volume

#: Percentile of the size of all changes that is the end of the color scale, so that single voxels do not set it.
_FULL_COLOR = 99.9
#: Voxels that are looked at for it.
_MOST_SAMPLES = 1_000_000


def beside_restored(
    restored: Volume, scan: Volume, progress: Progress, cancel: Event
) -> tuple[tuple[LayerData, ...], tuple[str, ...]]:
    """Return the further layers of a restored scan, and what is told of it.

    Parameters
    ----------
    restored, scan : Volume
        What a model returned, and what it was given.
    progress, cancel
        See `layer_data`.

    Returns
    -------
    layers : tuple of LayerData
        Restored minus scan, hidden until it is asked for; none where the restored scan has a grid of its own, as one
        with thinner slices, or where memory is short.
    notes : tuple of str
        Its noise before and after, where the model says so; and that memory was short.
    """
    notes = [line for line in [noise_line(restored.metadata.provenance)] if line]
    if not restored.geometry.is_close(scan.geometry):
        return (), tuple(notes)
    copies = 1 if scan.geometry.is_axis_aligned else 2
    if 4 * copies * scan.size > free_memory() // 2:
        return (), (*notes, "No layer of the difference was added: not enough memory.")
    return (_difference_layer(restored, scan, progress, cancel),), tuple(notes)


def _difference_layer(restored: Volume, scan: Volume, progress: Progress, cancel: Event) -> LayerData:
    change = np.subtract(restored.array, scan.array, dtype=np.float32)
    image = replace(restored, warnings=()).with_array(
        change,
        name=f"{restored.name} · difference",
        padding_value=0.0,
        provenance={**restored.metadata.provenance, "map": "difference"},
    )
    array, options, kind = layer_data(image, progress=progress, cancel=cancel)
    most = _full_color(change)
    return array, {**options, "contrast_limits": (-most, most), "colormap": "PiYG", "visible": False}, kind


def noise_line(provenance: Mapping[str, Any]) -> str:
    """Return such as ``"noise 31 HU before, 12 HU after"`` where the manifest of a run says so; else nothing."""
    facts = provenance.get("facts", {})
    before, after = facts.get("noise_before_hu", 0.0), facts.get("noise_after_hu", 0.0)
    return f"noise {_rounded(before)} HU before, {_rounded(after)} HU after" if before else ""


def _full_color(change: Any) -> float:
    sample = change.ravel()[:: max(1, change.size // _MOST_SAMPLES)]
    sizes = np.abs(sample[np.isfinite(sample)])
    return (float(np.percentile(sizes, _FULL_COLOR)) or float(sizes.max()) or 1.0) if sizes.size else 1.0


def _rounded(noise: float) -> str:
    return f"{noise:.0f}" if noise >= 10 else f"{noise:.1f}"
