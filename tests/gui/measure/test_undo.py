"""UndoList of the page of measurements: taken back and done again by keys, refused by locks, asked for when closing."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.layers.unsaved import unsaved
from napari_radcnn.gui.measure.undo import UndoList, UndoStep, last_of, next_of
from napari_radcnn.gui.panel.closing import CloseGuard
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.gui.scans.reading import layers_at
from napari_radcnn.io.dicom_results import write_detection_report, write_ruler_report
from napari_radcnn.measure import Ruler
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.results import Detection, Detections, Label, LabelMap
from reading_room import Reading
from screens import pump

pytestmark = pytest.mark.gui
GRID = oblique_geometry((16, 24, 20))
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
SPACE = "1.2.826.0.1.3680043.8.498.77"


def scan(space=SPACE):
    return world_field(GRID).with_metadata(name="CT 1", modality="CT", units="HU", frame_of_reference_uid=space)


def labels():
    array = np.zeros(GRID.shape, np.uint8)
    array[2:6, 3:9, 4:12] = 1
    array[8:14, 4:20, 5:16] = 2
    array[2:5, 14:20, 4:8] = 5
    return LabelMap(array, GRID, {1: Label("liver", (0.8, 0.2, 0.1)), 2: Label("spleen"), 5: Label("cyst")}, "organs")


def rulers(space=SPACE):
    x, y, z = GRID.to_world((8, 12, 10)).tolist()
    return [
        Ruler("distance", ((x - 3, y, z), (x + 3, y, z)), "liver 1", "2026-01", True, False, space),
        Ruler("sphere", ((x, y, z), (x, y + 4, z)), "node 1", "2026-01", frame_of_reference_uid=space),
        Ruler("bidirectional", ((x, y, z), (x + 5, y, z), (x, y, z), (x, y + 3, z)), "n", "", True, True, space),
    ]


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, scan())
    add_to_viewer(reading.viewer, layer_data(labels()))
    _, dock = reading.viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    settled(qtbot, dock)
    return reading, dock


def settled(qtbot, dock):
    qtbot.waitUntil(
        lambda: dock.panel.job is None and dock.table is not None and not dock._is_due and not dock._quiet.isActive(),
        timeout=180_000,
    )


def press(reading, *modifiers):
    both = CONTROL
    for each in modifiers:
        both |= each
    reading.canvas.window().activateWindow()
    reading.qtbot.waitUntil(reading.canvas.window().isActiveWindow)
    reading.canvas.setFocus()
    QTest.keyClick(reading.canvas, Qt.Key.Key_Z, both)
    pump(5)


def select(dock, *values):
    dock.tree.clearSelection()
    for n in range(dock.tree.topLevelItemCount()):
        item = dock.tree.topLevelItem(n)
        item.setSelected(item.data(3, Qt.ItemDataRole.UserRole) in values)


def test_lists_know_together_which_step_came_last():
    said, one, two = [], UndoList(), UndoList()
    for steps, name in ((one, "a"), (two, "b"), (one, "c")):
        steps.add(UndoStep(name, lambda name=name: said.append(f"-{name}"), lambda name=name: said.append(f"+{name}")))
    assert last_of([one, two]) is one
    last_of([one, two]).undo()
    assert last_of([one, two]) is two
    last_of([one, two]).undo()
    assert next_of([one, two]) is two
    next_of([one, two]).redo()
    next_of([one, two]).redo()
    assert said == ["-c", "-b", "+b", "+c"]
    one.undo()
    two.add(UndoStep("d", lambda: None, lambda: None))
    assert next_of([one, two]) is None  # something was done since
    assert last_of([]) is None


def test_keys_take_steps_back_in_their_order(opened):
    reading, dock = opened
    layer, book = dock.layer_combo.layer, dock.rulers.book
    before = np.array(layer.data)
    press(reading)  # nothing to take back: napari's own
    book.add(rulers()[:1])
    select(dock, 2, 5)
    dock.merge_button.click()
    settled(reading.qtbot, dock)
    merged = np.array(layer.data)
    book.add(rulers()[1:2])
    layer.mode = "paint"
    layer.data_setitem(tuple(np.array([[1], [1], [1]])), 7)  # a stroke of napari's brush
    painted = np.array(layer.data)
    layer.mode = "pan_zoom"
    dock.edits.hide([1], True)
    dock._show()
    assert layer.colormap.map(1)[3] == 0
    for expected, n, alpha in ((painted, 2, 1), (merged, 2, 1), (merged, 1, 1), (before, 1, 1), (before, 0, 1)):
        press(reading)
        assert np.array_equal(layer.data, expected)
        assert (len(book.rulers), layer.colormap.map(1)[3]) == (n, alpha)
    for expected, n, alpha in ((before, 1, 1), (merged, 1, 1), (merged, 2, 1), (painted, 2, 1), (painted, 2, 0)):
        press(reading, SHIFT)
        assert np.array_equal(layer.data, expected)
        assert (len(book.rulers), layer.colormap.map(1)[3]) == (n, alpha)
    press(reading, SHIFT)  # there is no more
    assert dock.undo_button.text() == "Undo hide"
    # on another page the keys are the layer's: its own steps go back in their order, rulers stay
    panel_of(reading.viewer).open("Export")
    reading.viewer.layers.selection.active = layer
    pump()
    press(reading)
    assert layer.colormap.map(1)[3] == 1
    press(reading)
    assert np.array_equal(layer.data, merged)
    assert len(book.rulers) == 2


def test_the_key_of_a_session_is_its_own(opened, qtbot):
    reading, dock = opened
    dock.rulers.book.add(rulers()[:1])
    reading.viewer.layers.selection.active = reading.layers[0]
    panel_of(reading.viewer).open("Interactive segmentation")
    page = panel_of(reading.viewer).page
    page.engine_combo.setCurrentIndex(page.engine_combo.findData("region"))  # no network has to be read
    page.start()
    qtbot.waitUntil(lambda: page.editing is not None and page.editing.is_open, timeout=30_000)
    page.editing.edit("New", lambda session: session.add_object("lesion"))
    qtbot.waitUntil(lambda: not page.editing.steps.unfinished, timeout=30_000)
    n = len(page.editing.state.objects)
    press(reading)
    qtbot.waitUntil(lambda: len(page.editing.state.objects) == n - 1, timeout=30_000)
    assert len(dock.rulers.book.rulers) == 1
    panel_of(reading.viewer).open("Measure")
    pump()
    press(reading)
    assert dock.rulers.book.rulers == ()


def test_locked_labels_are_refused(opened, qtbot):
    _, dock = opened
    layer = dock.layer_combo.layer
    before = np.array(layer.data)
    dock._lock(1)
    for values, button in (([1, 2], dock.merge_button), ([1], dock.delete_button), ([1, 5], dock.delete_button)):
        select(dock, *values)
        dock.panel.message_label.clear()
        button.click()
        assert dock.panel.message_label.text() == "⚠ 'liver' is locked: click on its lock first."
        assert np.array_equal(layer.data, before)
    dock._ask_color(1)
    dock._rename(1, "other")
    assert dock.edits.names[1] == "liver"
    # a stroke over it stays out of it, and with it paints nothing
    inside, outside = np.argwhere(before == 1)[:3], np.argwhere(before == 0)[:3]
    both = tuple(np.concatenate([inside, outside]).T)
    layer.data_setitem(both, 2)
    qtbot.waitUntil(lambda: (layer.data == before).sum() == before.size - 3)
    assert (layer.data[tuple(outside.T)] == 2).all()
    assert (layer.data[tuple(inside.T)] == 1).all()
    assert "'liver' is locked" in dock.panel.message_label.text()
    dock.undo()
    assert np.array_equal(layer.data, before)
    dock.redo()
    assert (layer.data == before).sum() == before.size - 3
    dock.undo()
    layer.data_setitem(tuple(outside.T), 1)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, before))
    layer.data_setitem(tuple(outside.T), 5)
    qtbot.waitUntil(lambda: (layer.data == before).sum() == before.size - 3)
    dock._lock(1)
    dock.panel.message_label.clear()
    select(dock, 1)
    dock.delete_button.click()
    assert not (layer.data == 1).any()
    settled(qtbot, dock)


def test_rulers_that_are_not_saved_are_asked_for(opened, qtbot, tmp_path, monkeypatch):
    reading, dock = opened
    section, window = dock.rulers, reading.canvas.window()
    viewer = reading.viewer
    assert unsaved(viewer.layers) == []
    section.book.add(rulers())
    (lost,) = unsaved(viewer.layers)
    assert lost is section.shown.layer
    monkeypatch.setattr(CloseGuard, "is_asked_by_user", staticmethod(lambda _event: True))
    event = QCloseEvent()
    QApplication.sendEvent(window, event)
    pump()
    box = window.findChild(QMessageBox, "radcnn_unsaved")
    assert "Rulers" in box.text()
    assert not event.isAccepted()
    keep = next(button for button in box.buttons() if button.text() == "Keep open")
    qtbot.mouseClick(keep, Qt.MouseButton.LeftButton)
    monkeypatch.undo()
    section.save(tmp_path / "r.csv")
    assert unsaved(viewer.layers) == []
    section.book.change(0, name="liver 2")
    assert unsaved(viewer.layers) == [lost]
    section.book.steps.undo()
    assert unsaved(viewer.layers) == []
    section.book.delete([0])
    assert unsaved(viewer.layers) == [lost]
    # the layer removed: its rulers go with it, and come back with it
    kept = section.book.rulers
    viewer.layers.remove(lost)
    assert section.book.rulers == ()
    bar = panel_of(viewer).put_back
    assert "Rulers" in bar.label.text()
    qtbot.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: section.book.rulers == kept)
    assert unsaved(viewer.layers) == [lost]
    section.book.delete(range(2))
    assert unsaved(viewer.layers) == []  # nothing is left to be lost


@pytest.fixture
def study(tmp_path):
    write_dicom_series(tmp_path / "ct", scan(), modality="CT", frame_of_reference_uid=SPACE)
    (read,) = radcnn.read(tmp_path / "ct")
    write_ruler_report(rulers(), tmp_path / "rulers.sr.dcm", read)
    write_detection_report(
        Detections((Detection("nodule", 0.9, rulers()[0].center, (6.0, 6.0, 6.0)),)),
        tmp_path / "found.sr.dcm",
        reference=read,
    )
    return tmp_path


def test_a_report_of_rulers_brings_them_back_beside_its_scan(make_napari_viewer, qtbot, study):
    reading = Reading(make_napari_viewer, qtbot, radcnn.read(study / "ct")[0])
    viewer = reading.viewer
    panel_of(viewer).open("Scans")
    scans = panel_of(viewer).page
    scans.open_paths([study / "rulers.sr.dcm"])
    qtbot.waitUntil(lambda: panel_of(viewer).name == "Measure", timeout=30_000)
    section = panel_of(viewer).page.rulers
    qtbot.waitUntil(lambda: len(section.book.rulers) == 3, timeout=30_000)
    qtbot.waitUntil(lambda: scans.job is None, timeout=30_000)
    found = section.book.rulers
    assert [(one.name, one.kind, one.visit, one.is_target, one.is_node) for one in found] == [
        (one.name, one.kind, one.visit, one.is_target, one.is_node) for one in rulers()
    ]
    assert [layer.name for layer in viewer.layers] == [reading.layers[0].name, "Rulers"]
    assert len(section.shown.layer.data) == 1 + 3 + 2
    assert section.message_label.text() == "3 rulers from 'rulers.sr.dcm'."
    assert viewer.dims.point[0] == pytest.approx(found[0].center[2], abs=GRID.spacing[0])
    assert unsaved(viewer.layers) == []
    assert section.measured[1] == found[1].measure(section.scan)
    # findings of a model are no rulers
    assert layers_at(study / "found.sr.dcm")[0][2] == "points"


@pytest.mark.parametrize(("space", "told"), [(None, "No scan is open"), ("9.8.7", "None of the open scans")])
def test_a_report_of_rulers_without_its_scan_says_so(make_napari_viewer, qtbot, study, space, told):
    viewer = make_napari_viewer(show=True)
    if space is not None:
        add_to_viewer(viewer, layer_data(scan(space)))
    viewer.open(str(study / "rulers.sr.dcm"), plugin="napari-radcnn")  # a program: before the page is there
    assert viewer.layers[-1].name == "rulers.sr.dcm"
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    qtbot.waitUntil(lambda: len(dock.rulers.book.rulers) == 3, timeout=30_000)
    assert told in dock.rulers.message_label.text()
    assert "rulers.sr.dcm" not in [layer.name for layer in viewer.layers]
    n = 0 if space is not None else 6
    assert len(dock.rulers.shown.layer.data) == n
