"""napari with scans, the panel and the radiological view, from a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_radcnn.errors import ReadError
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.scans.opening import hand_over
from napari_radcnn.io.contents import SHOWN, format_of, kind_of


def open_viewer(paths: Sequence[Path]) -> None:
    """Show `paths` in a new viewer with the panel, as a drop does, and return when it is closed.

    Raises
    ------
    ReadError
        If a path is not there, or holds nothing that is shown; no viewer is opened then.
    """
    for path in paths:
        if kind_of(path) not in SHOWN:
            if not path.is_dir():
                format_of(path)  # raises with the reason
            raise ReadError(f"{path}: contains nothing that can be shown.")
    import napari

    viewer = napari.Viewer(title="RadCNN")
    panel_of(viewer).open("Scans")
    if paths:
        hand_over(viewer, [path.absolute() for path in paths])
    napari.run()
