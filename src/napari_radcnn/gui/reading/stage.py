"""Where the bar and the views lie in the window of a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtWidgets import QApplication, QGridLayout, QMainWindow, QVBoxLayout, QWidget

from napari_radcnn.gui.reading.time.bar import TimeBar


def put_on_stage(qt_viewer: Any, bars: Sequence[QWidget], grid: QGridLayout, time_bar: TimeBar) -> None:
    """Put the viewer's widget into a grid below the bars, and above the curve, where it is in its window."""
    center = qt_viewer.parentWidget()
    layout = center.layout()
    stage = QWidget(center)
    whole = QVBoxLayout(stage)
    whole.setContentsMargins(0, 0, 0, 0)
    whole.setSpacing(0)
    for bar in bars:
        whole.addWidget(bar)
    whole.addWidget(time_bar)
    whole.addLayout(grid, 1)
    whole.addWidget(time_bar.curve_view)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(2)
    layout.insertWidget(max(layout.indexOf(qt_viewer), 0), stage)
    grid.addWidget(qt_viewer, 0, 0)
    for each in (layout, whole):
        each.activate()  # now, so that the first scan is fitted to the canvas as it is with the bar
    if len(qt_viewer.viewer.layers) == 1:
        qt_viewer.viewer.reset_view()


def viewer_widget_of(viewer: Any) -> Any | None:
    """Return the widget that shows a viewer in a main window; plugins get the viewer wrapped."""
    from napari.qt import QtViewer

    real = getattr(viewer, "__wrapped__", viewer)
    for window in QApplication.topLevelWidgets():
        if isinstance(window, QMainWindow):
            found = next((each for each in window.findChildren(QtViewer) if each.viewer is real), None)
            if found is not None:
                return found
    return None
