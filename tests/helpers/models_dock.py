"""The Models dock in tests: opened, set and watched by real clicks."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QPushButton

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.models.dock import ModelsDock
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import head
from screens import wait_for_plan


def tiny_head(orientation="LIP"):
    usual = Geometry.from_parts((12, 16, 14), (16, 12, 14), (-91, -90, -88))
    return head(usual.reoriented(usual.axis_map(orientation)))


def docked(make_napari_viewer, volume=None):
    viewer = make_napari_viewer(show=True)
    if volume is not None:
        add_to_viewer(viewer, layer_data(volume))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    assert isinstance(dock, ModelsDock)
    return viewer, dock


def choose(dock, name):
    dock.model_combo.setCurrentIndex(dock.model_combo.findData(name))
    wait_for_plan(dock)


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_for_end(qtbot, dock):
    qtbot.waitUntil(lambda: dock.job is None, timeout=20_000)


def answer(qtbot, dock, button_text):
    """Answer the question that Run asks where a model was not made for the scan, and return it."""
    qtbot.waitUntil(lambda: dock.findChild(QMessageBox, "radcnn_anyway") is not None)
    box = dock.findChild(QMessageBox, "radcnn_anyway")
    text = box.text()
    click(qtbot, next(button for button in box.findChildren(QPushButton) if button.text() == button_text))
    qtbot.waitUntil(lambda: dock.findChild(QMessageBox, "radcnn_anyway") is None)
    return text
