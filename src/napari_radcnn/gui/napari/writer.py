"""The writers behind napari's File > Save: scans and labels on the scan's own grid, findings; with their manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_radcnn.gui.findings.layer import findings_from_layer
from napari_radcnn.gui.layers.layers import label_map_from_layer, volume_from_layer
from napari_radcnn.io.with_manifest import write_with_manifest


def write_image(path: str, data: Any, arguments: dict[str, Any]) -> list[str]:
    """Write an Image layer; napari's dialog has asked already whether an existing file may be replaced.

    Raises
    ------
    RadcnnError
        If the layer is no volume, or the file cannot be written.
    """
    from napari.layers import Layer

    volume = volume_from_layer(Layer.create(data, arguments, "image"))
    return [str(written) for written in write_with_manifest(volume, Path(path), overwrite=True)]


def write_labels(path: str, data: Any, arguments: dict[str, Any]) -> list[str]:
    """Write a Labels layer; see `write_image`."""
    from napari.layers import Layer

    label_map = label_map_from_layer(Layer.create(data, arguments, "labels"))
    return [str(written) for written in write_with_manifest(label_map, Path(path), overwrite=True)]


def write_findings(path: str, data: Any, arguments: dict[str, Any]) -> list[str]:
    """Write those findings of a layer that are neither rejected nor below the score; see `write_image`.

    For ``.csv`` napari takes its own writer of points unless ours is chosen in its dialog.

    Raises
    ------
    RadcnnError
        If the layer holds other points, or the file cannot be written.
    """
    from napari.layers import Layer

    found = findings_from_layer(Layer.create(data, arguments, "points"))
    return [str(written) for written in write_with_manifest(found, Path(path), overwrite=True)]
