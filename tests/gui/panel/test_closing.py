"""Results that are not saved: a question before the viewer closes, and a way back for a layer that was removed."""

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QMessageBox

import fake_models
from models_dock import choose, click, docked, tiny_head, wait_for_end
from napari_radcnn.gui.layers.unsaved import unsaved
from napari_radcnn.gui.panel.closing import CloseGuard
from napari_radcnn.gui.panel.panel import panel_of
from screens import pump

pytestmark = pytest.mark.gui


def with_result(make_napari_viewer, qtbot, monkeypatch):
    fake_models.register(monkeypatch)
    viewer, dock = docked(make_napari_viewer, tiny_head().with_metadata(name="A"))
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    return viewer, dock, viewer.layers[-1]


def close_by_user(window, monkeypatch):
    """Close the window as the window system does; return the question."""
    monkeypatch.setattr(CloseGuard, "is_asked_by_user", staticmethod(lambda _event: True))
    event = QCloseEvent()
    QApplication.sendEvent(window, event)
    pump()
    monkeypatch.undo()
    return window.findChild(QMessageBox, "radcnn_unsaved"), event


def test_what_is_lost_is_named_before_the_viewer_closes(make_napari_viewer, qtbot, monkeypatch, tmp_path):
    viewer, dock, mask = with_result(make_napari_viewer, qtbot, monkeypatch)
    window = dock.window()
    assert unsaved(viewer.layers) == [mask]
    box, event = close_by_user(window, monkeypatch)
    assert box is not None
    assert mask.name in box.text()
    assert not event.isAccepted()
    keep = next(button for button in box.buttons() if button.text() == "Keep open")
    assert box.defaultButton() is keep
    qtbot.mouseClick(keep, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.findChild(QMessageBox, "radcnn_unsaved") is None)
    assert window.isVisible()

    mask.save(str(tmp_path / "mask.nii.gz"), plugin="napari-radcnn")
    assert unsaved(viewer.layers) == []
    mask.data_setitem((np.array([1]), np.array([1]), np.array([1])), 5)
    assert unsaved(viewer.layers) == [mask]  # painted in since
    _, export = viewer.window.add_plugin_dock_widget("napari-radcnn", "Export")
    assert export.layer_combo.layer is mask
    export.path_line.selectAll()
    qtbot.keyClicks(export.path_line, str(tmp_path / "again.nii.gz"))
    click(qtbot, export.panel.start_button)
    qtbot.waitUntil(lambda: export.panel.job is None, timeout=20_000)
    assert unsaved(viewer.layers) == []
    mask.data_setitem((np.array([1]), np.array([1]), np.array([2])), 4)
    assert unsaved(viewer.layers) == [mask]
    viewer.layers.save(str(tmp_path / "all"), plugin="napari-radcnn")
    assert unsaved(viewer.layers) == []
    viewer.add_labels(np.ones((3, 4, 5), np.uint8), name="not ours")
    assert unsaved(viewer.layers) == []


def test_keys_that_close_the_window_ask_too_and_a_program_is_not_asked(make_napari_viewer, qtbot, monkeypatch):
    _, dock, _ = with_result(make_napari_viewer, qtbot, monkeypatch)
    monkeypatch.setattr(get_settings().application, "confirm_close_window", False)  # napari's own names nothing
    window = dock.window()
    for key in (Qt.Key.Key_Q, Qt.Key.Key_W):
        window.activateWindow()
        qtbot.waitUntil(window.isActiveWindow)
        qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: window.findChild(QMessageBox, "radcnn_unsaved") is not None)
        box = window.findChild(QMessageBox, "radcnn_unsaved")
        qtbot.keyClick(box, Qt.Key.Key_Escape)
        qtbot.waitUntil(lambda: window.findChild(QMessageBox, "radcnn_unsaved") is None)
        assert window.isVisible()
    assert not CloseGuard.is_asked_by_user(QCloseEvent())  # as a program's own call would be


def test_a_removed_result_can_be_put_back(make_napari_viewer, qtbot, monkeypatch):
    viewer, dock, mask = with_result(make_napari_viewer, qtbot, monkeypatch)
    bar = panel_of(viewer).put_back
    assert bar.isHidden()
    viewer.layers.remove(mask)
    assert not bar.isHidden()
    assert mask.name in bar.label.text()
    click(qtbot, bar.button)
    assert viewer.layers[-1] is mask
    assert bar.isHidden()
    viewer.layers.remove(mask)
    click(qtbot, bar.close_button)
    assert bar.isHidden()
    viewer.layers.remove("A")  # a scan is on the disk, or where it came from
    assert bar.isHidden()
    assert dock.layer is None
