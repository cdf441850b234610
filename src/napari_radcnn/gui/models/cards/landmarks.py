"""The list of landmarks in the Models dock: a click goes to one."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_radcnn.gui.findings.view import go_to
from napari_radcnn.results import Landmarks

_MOST_HEIGHT = 220


class LandmarksList(QTreeWidget):
    """A row for each landmark with its score and place; hidden while there is none.

    Parameters
    ----------
    viewer : napari.Viewer
        What goes to the landmark that is clicked, or chosen by keys.
    """

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._positions: list[tuple[float, float, float]] = []
        self.setHeaderLabels(["Landmark", "Score", "x y z, mm"])
        self.setRootIsDecorated(False)
        self.setToolTip("Click a landmark to go to it.")
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.currentItemChanged.connect(self._on_current)
        self.hide()

    def show_result(self, result: Landmarks | None) -> None:
        """Replace what is listed; None, or a result without landmarks, hides the list."""
        self.blockSignals(True)
        self.clear()
        points = () if result is None else result.points
        self._positions = [point.position for point in points]
        for point in points:
            score = "" if math.isnan(point.score) else f"{point.score:.2f}"
            item = QTreeWidgetItem([point.name, score, " ".join(f"{value:.1f}" for value in point.position)])
            for column in (1, 2):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            item.setToolTip(0, point.name)
            self.addTopLevelItem(item)
        self.setColumnHidden(1, all(math.isnan(point.score) for point in points))
        self.setCurrentItem(None)  # type: ignore[arg-type]  # Qt's way to choose none, so that any click goes there
        self.blockSignals(False)
        # its own height: the dock scrolls, and would squeeze it to nothing
        rows = sum(self.sizeHintForRow(0) for _ in points)
        self.setFixedHeight(min(_MOST_HEIGHT, self.header().sizeHint().height() + rows + 2 * self.frameWidth()))
        self.setVisible(bool(points))

    def _on_current(self, item: QTreeWidgetItem | None, _before: QTreeWidgetItem | None) -> None:
        if item is not None:
            go_to(self._viewer, self._positions[self.indexOfTopLevelItem(item)])
