"""The pages of the panel, in their order: add a row and an entry in the manifest to add one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtWidgets import QWidget

from napari_radcnn.tasks import load


@dataclass(frozen=True)
class PageEntry:
    """A page of the panel.

    Attributes
    ----------
    name : str
        ``display_name`` of its widget in the manifest: that is how napari asks for it.
    title : str
        Below its icon: one short word.
    icon : str
        Which drawing of `napari_radcnn.gui.panel.icons`.
    tip : str
        What it is for.
    widget : str
        ``"module:Class"``; made with the viewer when the page is first turned to.
    """

    name: str
    title: str
    icon: str
    tip: str
    widget: str

    def make(self, viewer: object) -> QWidget:
        """Return the page's widget."""
        made = load(self.widget)(viewer)
        if not isinstance(made, QWidget):
            raise TypeError(f"Page '{self.name}' is made by {self.widget}, which gives no widget.")
        return made


PAGES: Sequence[PageEntry] = (
    PageEntry("Scans", "Scans", "scans", "Open scans from a folder", "napari_radcnn.gui.scans.dock:ScansDock"),
    PageEntry("Models", "Models", "models", "Run a model on a scan", "napari_radcnn.gui.models.dock:ModelsDock"),
    PageEntry(
        "Interactive segmentation",
        "Segment",
        "segment",
        "Segment by clicks and strokes",
        "napari_radcnn.gui.interactive.dock:InteractiveDock",
    ),
    PageEntry("Measure", "Measure", "measure", "Segments in numbers", "napari_radcnn.gui.measure.dock:MeasureDock"),
    PageEntry("Fusion", "Fusion", "fusion", "Overlay one scan on another", "napari_radcnn.gui.fusion.dock:FusionDock"),
    PageEntry("Cohort", "Cohort", "cohort", "Run a model on many cases", "napari_radcnn.gui.cohort.dock:CohortDock"),
    PageEntry("Export", "Export", "export", "Write a layer to a file", "napari_radcnn.gui.export.dock:ExportDock"),
)


def entry(name: str) -> PageEntry:
    """Return the page of a name.

    Raises
    ------
    LookupError
        If there is none.
    """
    for each in PAGES:
        if each.name == name:
            return each
    raise LookupError(f"No page '{name}'; there are {', '.join(each.name for each in PAGES)}.")
