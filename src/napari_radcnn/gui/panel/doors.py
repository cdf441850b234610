"""What the manifest names for each page: calling one gives the page of the viewer's panel.

napari takes a class here, since it gives its viewer to no function that is called from a menu.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

from napari_radcnn.gui.panel.panel import panel_of


class _Door(QWidget):
    """Gives a page instead of an instance of its own.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose panel.
    """

    _page = ""

    def __new__(cls, napari_viewer: Any) -> Any:
        """Return the page of the viewer's panel, which is turned to it."""
        return panel_of(napari_viewer).turn(cls._page)

    def __init__(self, napari_viewer: Any) -> None:
        """Name the viewer for napari, which looks here; not called, since no instance is made."""


class Scans(_Door):
    """Opens the panel on its page of scans."""

    _page = "Scans"


class Models(_Door):
    """Opens the panel on its page of models."""

    _page = "Models"


class Segment(_Door):
    """Opens the panel on its page of interactive segmentation."""

    _page = "Interactive segmentation"


class Measure(_Door):
    """Opens the panel on its page of measurements."""

    _page = "Measure"


class Fusion(_Door):
    """Opens the panel on its page of fusion."""

    _page = "Fusion"


class Cohort(_Door):
    """Opens the panel on its page of cohorts."""

    _page = "Cohort"


class Export(_Door):
    """Opens the panel on its page of export."""

    _page = "Export"
