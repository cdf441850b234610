"""Rulers by a real mouse: each kind is drawn in the patient, listed, taken back, written and read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_radcnn.geometry import Geometry
from napari_radcnn.measure import read_rulers
from napari_radcnn.phantom import world_field
from napari_radcnn.volume import Volume
from reading_room import Reading
from screens import pump

pytestmark = pytest.mark.gui
GRID = Geometry.from_parts((20, 60, 50), (3.0, 1.5, 1.5), (-40.0, -50.0, 10.0))
LEFT = Qt.MouseButton.LeftButton


def scan() -> Volume:
    made = world_field(GRID)
    return replace(made.with_metadata(name="CT 3", modality="CT", units="HU", frame_of_reference_uid="1.2.3"))


@pytest.fixture
def page(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, scan())
    reading.viewer.window.resize(1500, 900)
    _, dock = reading.viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    reading.viewer.reset_view()
    return reading, dock.rulers


def draw(reading, *flat):
    """Drag over places of the axial slice that is shown: (x, y) in mm."""
    z = float(reading.viewer.dims.point[0])
    reading.drag([reading.pixel((x, y, z)) for x, y in flat])
    return z


def choose(reading, section, kind):
    reading.qtbot.mouseClick(section.tools[kind], LEFT)
    assert section.tool() == kind


def freehand(reading, flat):
    z = float(reading.viewer.dims.point[0])
    reading.drag([reading.pixel((x, y, z)) for x, y in flat])


def test_every_tool_draws_in_the_patient(page):
    reading, section = page
    choose(reading, section, "distance")
    z = draw(reading, (-20, -20), (10, 20))
    choose(reading, section, "angle")
    draw(reading, (0, -20), (0, 0))
    draw(reading, (20, 0), (20, 0))
    choose(reading, section, "cobb")
    draw(reading, (-20, 0), (20, 0))
    draw(reading, (-20, 10), (20, 33))
    choose(reading, section, "bidirectional")
    draw(reading, (-15, -10), (15, -10))
    draw(reading, (0, -16), (9, 4))
    choose(reading, section, "ellipse")
    draw(reading, (-10, -8), (14, 6))
    choose(reading, section, "rectangle")
    draw(reading, (-10, -8), (14, 6))
    choose(reading, section, "freehand")
    freehand(reading, [(-10, -10), (10, -10), (10, 10), (0, 10), (0, 0), (-10, 0)])
    choose(reading, section, "sphere")
    draw(reading, (0, 0), (12, 0))
    rulers = section.book.rulers
    assert [ruler.kind for ruler in rulers] == list(section.tools)
    assert all(ruler.frame_of_reference_uid == "1.2.3" for ruler in rulers)
    assert all(np.allclose(ruler.positions[:, 2], z, atol=1e-6) for ruler in rulers)
    # a pixel of the canvas is what a hand is exact to
    step = 2 / reading.viewer.scene.camera.zoom
    sizes = [ruler.sizes for ruler in rulers]
    assert sizes[0]["length_mm"] == pytest.approx(50, abs=step)
    assert sizes[1]["angle_deg"] == pytest.approx(90, abs=3)
    assert sizes[2]["angle_deg"] == pytest.approx(np.degrees(np.arctan2(23, 40)), abs=3)
    assert sizes[3]["long_axis_mm"] == pytest.approx(30, abs=step)
    assert sizes[3]["short_axis_mm"] == pytest.approx(20, abs=step)
    lines = rulers[3].positions
    assert (lines[1] - lines[0]) @ (lines[3] - lines[2]) == pytest.approx(0, abs=1e-6)
    assert sizes[4]["area_mm2"] == pytest.approx(np.pi / 4 * 24 * 14, rel=0.1)
    assert sizes[5]["area_mm2"] == pytest.approx(24 * 14, rel=0.1)
    assert sizes[6]["area_mm2"] == pytest.approx(300, rel=0.1)
    assert sizes[7]["diameter_mm"] == pytest.approx(24, abs=step)
    # the values are those of Python, and stand in the list and beside the ruler
    assert section.measured[5] == rulers[5].measure(scan())
    assert "HU" in section.list.topLevelItem(5).text(1)
    assert "50." in section.list.topLevelItem(0).text(1) or "49." in section.list.topLevelItem(0).text(1)
    layer = section.shown.layer
    assert section.list.topLevelItem(0).text(1) in list(layer.features["label"])
    assert reading.viewer.layers.selection.active is reading.layers[0]
    assert not section.list.horizontalScrollBar().maximum()  # marks and visits are seen beside long values
    # that of two axes stands above the one that reaches highest, which is the short one here
    texts = list(layer.features["label"])
    at = texts.index(section.list.topLevelItem(3).text(1))
    assert np.ptp(np.asarray(layer.data[at])[:, 1]) > np.ptp(np.asarray(layer.data[at])[:, 2])
    # undo, and again
    reading.qtbot.mouseClick(section.undo_button, LEFT)
    assert len(section.book.rulers) == 7
    assert not any("ml" in text for text in layer.features["label"])
    # a click that draws nothing
    before = section.book.rulers
    choose(reading, section, "distance")
    draw(reading, (0, 0), (0, 0))
    assert section.book.rulers == before


def test_the_chosen_ruler_is_told_by_its_width_too(page):
    reading, section = page
    choose(reading, section, "distance")
    draw(reading, (-20, -20), (10, 20))
    draw(reading, (-20, 5), (20, -20))
    reading.qtbot.mouseClick(section.tools["distance"], LEFT)
    tree = section.list
    for chosen in (0, 1):
        row = tree.visualItemRect(tree.topLevelItem(chosen))
        reading.qtbot.mouseClick(tree.viewport(), LEFT, pos=row.center())
        widths = section.shown.layer.edge_width
        assert widths[chosen] == pytest.approx(1.75 * widths[1 - chosen])


def test_lists_names_targets_and_files(page, tmp_path, monkeypatch):
    reading, section = page
    qtbot, tree = reading.qtbot, section.list
    choose(reading, section, "distance")
    draw(reading, (-20, -20), (10, 20))
    draw(reading, (-20, -20), (20, -20))
    reading.qtbot.mouseClick(section.tools["distance"], LEFT)
    assert section.tool() is None

    def at(row, column):
        item = tree.topLevelItem(row)
        return QPoint(tree.columnViewportPosition(column) + 8, tree.visualItemRect(item).center().y())

    # named, marked as targets, and of two visits
    for row, column, text in ((0, 0, "liver 1"), (1, 0, "liver 1"), (0, 4, "2026-01"), (1, 4, "2026-03")):
        tree.scrollToItem(tree.topLevelItem(row))
        tree.horizontalScrollBar().setValue(0 if column == 0 else tree.horizontalScrollBar().maximum())
        qtbot.mouseClick(tree.viewport(), LEFT, pos=at(row, column))
        qtbot.mouseDClick(tree.viewport(), LEFT, pos=at(row, column))
        editor = tree.findChild(QLineEdit)
        assert editor is not None, (row, column)
        editor.selectAll()
        qtbot.keyClicks(editor, text)
        qtbot.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda row=row, column=column, text=text: tree.topLevelItem(row).text(column) == text)
        qtbot.waitUntil(lambda: tree.findChild(QLineEdit) is None)
    for row in (0, 1):
        section.list.topLevelItem(row).setCheckState(2, Qt.CheckState.Checked)
    assert [(ruler.name, ruler.visit, ruler.is_target) for ruler in section.book.rulers] == [
        ("liver 1", "2026-01", True),
        ("liver 1", "2026-03", True),
    ]
    told = section.sum_label.text().splitlines()
    assert told[0].startswith("2026-01: sum ")
    assert told[1].startswith("2026-03: sum ")
    assert "-20 % from baseline" in told[1]
    assert told[1].endswith("SD")
    # a click jumps
    reading.viewer.dims.set_point(0, 12.0)
    tree.horizontalScrollBar().setValue(0)
    qtbot.mouseClick(tree.viewport(), LEFT, pos=at(0, 0))
    assert reading.viewer.dims.point[0] == pytest.approx(section.book.rulers[0].positions[0, 2])
    # written, deleted, read again
    path = tmp_path / "r.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    qtbot.mouseClick(section.save_button, LEFT)
    before = section.book.rulers
    assert read_rulers(path) == list(before)
    tree.selectAll()
    qtbot.mouseClick(section.delete_button, LEFT)
    assert section.book.rulers == ()
    qtbot.mouseClick(section.open_button, LEFT)
    assert section.book.rulers == before
    section.save(tmp_path / "r.sr.dcm")
    assert section.message_label.text().endswith("was not read from DICOM; write .csv instead.")
    assert not (tmp_path / "r.sr.dcm").exists()


def test_a_ruler_drawn_in_a_further_view(page):
    reading, section = page
    reading.room.layouts.choose("three")
    pump()
    coronal = next(pane for pane in reading.room.layouts.panes if pane.plane == "Coronal")
    choose(reading, section, "distance")
    y = float(reading.viewer.dims.point[1])
    canvas = coronal.widget.canvas.native
    points = [reading.pixel(position, coronal.model, canvas) for position in ((-20, y, 20), (10, y, 60))]
    reading.drag(points, canvas=canvas)
    (ruler,) = section.book.rulers
    assert ruler.sizes["length_mm"] == pytest.approx(50, abs=3 / coronal.model.scene.camera.zoom)
    assert np.allclose(ruler.positions[:, 1], y, atol=1e-6)
    (shown,) = (layer for layer in coronal.model.layers if layer.name == "Rulers")
    assert len(shown.data) == 1
    assert list(shown.features["label"]) == [section.list.topLevelItem(0).text(1)]
