"""napari with scans, the panel and the radiological view, from a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_radcnn.gui.napari.reader import layers_at
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.show import add_to_viewer


def open_viewer(paths: Sequence[Path]) -> None:
    """Read `paths`, show them in a new viewer with the panel, and return when it is closed.

    Raises
    ------
    RadcnnError
        If a path cannot be read; no viewer is opened then.
    """
    found = [layer for path in paths for layer in layers_at(path)]
    import napari

    viewer = napari.Viewer(title="RadCNN")
    panel_of(viewer).open("Models" if paths else "Scans")
    for data in found:
        add_to_viewer(viewer, data)
    napari.run()
