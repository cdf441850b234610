"""The table of segments by real clicks: what is listed, what a click does, and that each change can be taken back."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication, QColorDialog, QFileDialog, QLineEdit, QScrollArea

from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data, to_display
from napari_radcnn.gui.measure.dock import MeasureDock
from napari_radcnn.gui.measure.tree import COLOR, EYE, LOCK, NAME
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.measure import Ruler, segments
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap

pytestmark = pytest.mark.gui
GRID = oblique_geometry((16, 24, 20))
LEFT = Qt.MouseButton.LeftButton


def labels() -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    array[2:6, 3:9, 4:12] = 1
    array[8:14, 4:20, 5:16] = 2
    array[2:5, 14:20, 4:8] = 5
    named = {1: Label("liver", (0.8, 0.2, 0.1)), 2: Label("spleen"), 5: Label("cyst"), 7: Label("absent")}
    return LabelMap(array, GRID, named, "CT · organs")


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    for one in (world_field(GRID), labels()):
        add_to_viewer(viewer, layer_data(one))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    assert isinstance(dock, MeasureDock)
    wait(qtbot, dock)
    return viewer, dock


def wait(qtbot, dock):
    qtbot.waitUntil(lambda: dock.panel.job is None and dock.table is not None and not dock._is_due, timeout=180_000)


def place(dock, name, column):
    (item,) = dock.tree.findItems(name, Qt.MatchFlag.MatchExactly, NAME)
    dock.tree.scrollToItem(item)
    return QPoint(dock.tree.columnViewportPosition(column) + 8, dock.tree.visualItemRect(item).center().y())


def click(qtbot, dock, name, column=NAME, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.mouseClick(dock.tree.viewport(), LEFT, modifier, place(dock, name, column))


def press(qtbot, button):
    assert button.isEnabled()
    qtbot.mouseClick(button, LEFT)


def listed(dock):
    return [dock.tree.topLevelItem(n).text(NAME) for n in range(dock.tree.topLevelItemCount())]


def test_what_is_listed_sorted_and_jumped_to(opened, qtbot):
    viewer, dock = opened
    # the numbers of the command line, without labels that have no voxel
    expected = {row["name"]: row for row in segments(labels(), world_field(GRID))["labels"]}
    assert listed(dock) == sorted(expected) == ["cyst", "liver", "spleen"]
    for n, name in enumerate(listed(dock)):
        row, columns = expected[name], (("volume_ml", 2), ("mean", 1), ("sd", 1), ("longest_diameter_mm", 1))
        for column, (key, digits) in enumerate(columns, NAME + 1):
            shown = dock.tree.topLevelItem(n).text(column)
            coarsest = max(0.5 * 10**-digits, 5e-4 * abs(row[key]))  # four digits, or as many behind the point
            assert float(shown) == pytest.approx(row[key], abs=1.001 * coarsest)
    assert not dock.tree.horizontalScrollBar().maximum()  # all columns are seen on a small screen
    header = dock.tree.header()
    for order in (["cyst", "liver", "spleen"], ["spleen", "liver", "cyst"]):
        there = QPoint(header.sectionViewportPosition(NAME + 1) + 8, 6)
        qtbot.mouseClick(header.viewport(), LEFT, pos=there)
        assert listed(dock) == order
    click(qtbot, dock, "spleen")
    center = to_display([expected["spleen"][f"centroid_{axis}_mm"] for axis in "xyz"])
    steps = np.array(viewer.dims.range)[:, 2]
    assert np.abs(np.array(viewer.dims.point) - center)[-3:].max() <= steps.max()


def test_each_change_and_the_way_back(opened, qtbot, tmp_path, monkeypatch):
    _, dock = opened
    layer, tree = dock.layer_combo.layer, dock.tree
    before = np.array(layer.data)
    click(qtbot, dock, "liver", EYE)
    assert (layer.colormap.map(1)[3], layer.colormap.map(2)[3]) == (0, 1)
    assert dock.undo_button.text() == "Undo hide"
    press(qtbot, dock.undo_button)
    assert tuple(layer.colormap.map(1)) == pytest.approx((0.8, 0.2, 0.1, 1.0))
    # another color, in the layer and in what is written of it
    click(qtbot, dock, "liver", COLOR)
    dialog = dock.findChild(QColorDialog, "radcnn_color")
    dialog.setCurrentColor(QColor.fromRgbF(0.0, 0.5, 1.0))
    dialog.accept()
    assert tuple(layer.colormap.map(1)[:3]) == pytest.approx((0.0, 0.5, 1.0), abs=0.01)
    assert label_map_from_layer(layer).labels[1].color == pytest.approx((0.0, 0.5, 1.0), abs=0.01)
    # a double click renames
    click(qtbot, dock, "cyst")
    qtbot.mouseDClick(tree.viewport(), LEFT, pos=place(dock, "cyst", NAME))
    editor = tree.findChild(QLineEdit)
    qtbot.keyClicks(editor, "hemangioma")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "hemangioma" in listed(dock))
    assert label_map_from_layer(layer).labels[5].name == "hemangioma"
    # a name is shown as it is, whatever markup it holds
    dock.edits.rename(5, "<b>cyst</b>")
    dock._show()
    (item,) = tree.findItems("<b>cyst</b>", Qt.MatchFlag.MatchExactly, NAME)
    assert "&lt;b&gt;cyst" in item.toolTip(NAME)
    press(qtbot, dock.undo_button)
    assert "hemangioma" in listed(dock)
    # a locked label is not deleted
    click(qtbot, dock, "liver", LOCK)
    click(qtbot, dock, "liver")
    press(qtbot, dock.delete_button)
    assert np.array_equal(layer.data, before)
    # two become one; the numbers follow; undo by its key
    click(qtbot, dock, "spleen")
    click(qtbot, dock, "hemangioma", modifier=Qt.KeyboardModifier.ControlModifier)
    kept, lost = tree.selected
    press(qtbot, dock.merge_button)
    assert not (layer.data == lost).any()
    assert (layer.data == kept).sum() == np.isin(before, (2, 5)).sum()
    wait(qtbot, dock)
    assert len(listed(dock)) == 2
    qtbot.keyClick(tree, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)
    wait(qtbot, dock)
    click(qtbot, dock, "spleen")
    press(qtbot, dock.delete_button)
    assert not (layer.data == 2).any()
    wait(qtbot, dock)
    press(qtbot, dock.undo_button)
    wait(qtbot, dock)
    assert np.array_equal(layer.data, before)
    # the selected row for a spreadsheet, and all in a file, with all columns
    click(qtbot, dock, "hemangioma")
    press(qtbot, dock.copy_button)
    (row,) = csv.DictReader(io.StringIO(QApplication.clipboard().text()), delimiter="\t")
    (wanted,) = (one for one in segments(labels())["labels"] if one["label"] == 5)
    assert float(row["volume_ml"]) == wanted["volume_ml"]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "t.csv"), ""))
    press(qtbot, dock.csv_button)
    with (tmp_path / "t.csv").open(newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == {"liver", "spleen", "hemangioma"}
    # what is painted is measured again
    middle = np.argwhere(layer.data == 2).mean(axis=0).astype(int)[:, None] + np.indices((3, 3, 3)).reshape(3, -1)
    layer.data_setitem(tuple(middle), 9)
    qtbot.waitUntil(lambda: len(listed(dock)) == 4, timeout=30_000)


def test_a_pet_is_measured_in_suv_or_in_its_own_unit(make_napari_viewer, qtbot):
    """The numbers of Python and of the shell, in the unit that the page says."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    pet = replace(world_field(GRID).with_metadata(name="PT 4", modality="PT", units="Bq/ml"), suvbw_factor=0.004)
    for one in (pet, labels()):
        add_to_viewer(viewer, layer_data(one))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    wait(qtbot, dock)
    center = tuple(GRID.to_world((8, 12, 10)).tolist())
    ball = Ruler("sphere", (center, (center[0] + 6, *center[1:])))
    dock.rulers.book.add([ball])
    for unit, suv in (("SUVbw", True), ("Bq/ml", False)):
        assert dock.table == segments(labels(), pet, suv)
        assert dock.about_label.text() == f"Mean and SD of 'PT 4' in {unit}."
        assert dock.rulers.measured == [ball.measure(pet, suv)]
        assert dock.rulers.list.topLevelItem(0).text(1).endswith(unit)
        assert not dock.suv_box.isHidden()
        # nothing is cut off at the right of a narrow panel
        area = dock.findChild(QScrollArea)
        assert area.widget().width() <= area.viewport().width()
        qtbot.mouseClick(dock.suv_box, LEFT, pos=QPoint(8, dock.suv_box.height() // 2))
        assert dock.suv_box.isChecked() != suv
        wait(qtbot, dock)
    dock.rulers.book.delete([0])
    # another scan that becomes active is what rulers are measured on; the labels stay on their own
    add_to_viewer(viewer, layer_data(world_field(oblique_geometry((9, 11, 13))).with_metadata(name="CT 1")))
    viewer.layers.selection.active = viewer.layers["CT 1"]
    assert dock.scan_combo.layer.name == "CT 1"
    assert dock.scan.name == "PT 4"
    assert dock.suv_box.isHidden()


def test_labels_from_elsewhere_and_those_of_a_session(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    assert "Open a label map" in dock.about_label.text()
    array = np.zeros((6, 8, 10), np.int32)
    array[2:4, 3:6, 2:9] = 3
    layer = viewer.add_labels(array, scale=(2.5, 0.8, 0.7))
    wait(qtbot, dock)
    assert dock.table["labels"][0]["volume_ml"] == pytest.approx(42 * 1.4 / 1000)
    assert dock.about_label.text() == "No scan: volumes and diameters only."
    layer.metadata = {**layer.metadata, "radcnn": {"is_session": True}}
    dock.tree.selectAll()
    assert not dock.delete_button.isEnabled()
    assert "session" in dock.edits.why_fixed
    viewer.layers.clear()
    assert dock.tree.topLevelItemCount() == 0
