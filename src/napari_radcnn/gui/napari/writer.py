"""The writers behind napari's File > Save: scans and labels on the scan's own grid, findings; with their manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_radcnn.gui.findings.layer import findings_from_layer
from napari_radcnn.gui.layers.layers import label_map_from_layer, volume_from_layer
from napari_radcnn.gui.layers.unsaved import note_written
from napari_radcnn.io.with_manifest import write_with_manifest


def write_image(path: str, data: Any, arguments: dict[str, Any]) -> list[str]:
    """Write an Image layer; napari's dialog has asked already whether an existing file may be replaced.

    Raises
    ------
    RadcnnError
        If the layer is no volume, or the file cannot be written.
    """
    from napari.layers import Layer

    layer = Layer.create(data, arguments, "image")
    written = write_with_manifest(volume_from_layer(layer), Path(path), overwrite=True)
    note_written(arguments, layer)
    return [str(each) for each in written]


def write_labels(path: str, data: Any, arguments: dict[str, Any]) -> list[str]:
    """Write a Labels layer; see `write_image`."""
    from napari.layers import Layer

    layer = Layer.create(data, arguments, "labels")
    written = write_with_manifest(label_map_from_layer(layer), Path(path), overwrite=True)
    note_written(arguments, layer)
    return [str(each) for each in written]


def write_findings(path: str, data: Any, arguments: dict[str, Any]) -> list[str]:
    """Write those findings of a layer that are neither rejected nor below the score; see `write_image`.

    For ``.csv`` napari takes its own writer of points unless ours is chosen in its dialog.

    Raises
    ------
    RadcnnError
        If the layer holds other points, or the file cannot be written.
    """
    from napari.layers import Layer

    layer = Layer.create(data, arguments, "points")
    written = write_with_manifest(findings_from_layer(layer), Path(path), overwrite=True)
    note_written(arguments, layer)
    return [str(each) for each in written]
