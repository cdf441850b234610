"""The patient's name and ID: on the screen of the reader, and in no picture that leaves it unless it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import METADATA_KEY
from napari_radcnn.gui.parts.widgets import LayerCombo
from napari_radcnn.volume import Volume, VolumeMetadata
from reading_room import Reading
from screens import pump

pytestmark = pytest.mark.gui

GRID = Geometry.from_parts((3, 40, 50), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))
DOE, ROE = ("Doe, Jane", "4711"), ("Roe, Richard", "0815")


def scan(name, patient, description=""):
    about = VolumeMetadata(name, "CT", "HU", description, patient_name=patient[0], patient_id=patient[1])
    return Volume(np.full(GRID.shape, -1000, np.int16), GRID, about)  # black, so that text is all there is to see


def written(image, n_lines):
    """Return where text is, in the upper left corner of a canvas from its second line down, as a map of True."""
    gray = np.asarray(image, float)[..., :3].mean(-1)
    return gray[22 : 22 + 18 * n_lines, 4:160] > 180


def pixels(image: QImage):
    image = image.convertToFormat(QImage.Format.Format_RGBA8888)
    data = image.constBits()
    data = bytes(data) if isinstance(data, memoryview) else data.asstring(image.sizeInBytes())
    return np.frombuffer(data, np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width()]


def canvas_part(image, reading):
    """Return the canvas out of a picture of its window."""
    corner = reading.canvas.mapTo(reading.canvas.window(), reading.canvas.rect().topLeft())
    return image[corner.y() :, corner.x() :]


def test_the_name_is_on_the_screen_and_in_no_picture_of_it(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, scan("CT 3", DOE, "Abdomen venous"))
    viewer, room, window = reading.viewer, reading.room, reading.canvas.window()
    corners = room._own_corners()
    assert corners.private == ("Doe, Jane · 4711", "Abdomen venous")
    assert corners.top_left == ("CT 3",)

    def on_screen():
        # the screen itself, as the window system has it
        pump()
        place = window.mapToGlobal(window.rect().topLeft())
        whole = pixels(QApplication.primaryScreen().grabWindow(0).toImage())
        return written(canvas_part(whole[place.y() :, place.x() :], reading), 2)

    def in_pictures():
        clip = QApplication.clipboard()
        viewer.window.clipboard(flash=False)
        copied = pixels(clip.image())
        viewer.window.clipboard(flash=False, canvas_only=True)
        taken = viewer.window.screenshot(flash=False, canvas_only=False)
        return {
            "window": written(canvas_part(taken, reading), 2),
            "viewer": written(canvas_part(viewer.screenshot(canvas_only=False, flash=False), reading), 2),
            "copied": written(canvas_part(copied, reading), 2),
            "copied canvas": written(pixels(clip.image()), 2),
            "canvas": written(viewer.screenshot(canvas_only=True, flash=False), 2),
            "grabbed": written(pixels(reading.canvas.grab().toImage()), 2),
        }

    qtbot.waitUntil(lambda: bool(on_screen().any()))
    assert not any(found.any() for found in in_pictures().values())
    assert on_screen().any()  # still there
    entries = room.patient_entries()
    assert [(text, is_marked) for text, _, is_marked, _ in entries] == [
        ("Name and ID on the pictures", True),
        ("In screenshots and copies, too", False),
    ]
    entries[1][3]()
    asked = in_pictures()
    assert asked["window"].any()
    assert asked["copied"].any()
    room.patient_entries()[0][3]()  # none at all
    qtbot.waitUntil(lambda: not on_screen().any())
    assert not any(found.any() for found in in_pictures().values())
    room.patient_entries()[0][3]()  # back on the screen, and not in pictures again
    qtbot.waitUntil(lambda: bool(on_screen().any()))
    assert not in_pictures()["window"].any()


def test_scans_of_two_patients_have_a_line_each_and_those_of_none_have_none(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, scan("CT 3", DOE), scan("CT 5", ROE), scan("CT 6", ("", "")))
    assert reading.room._own_corners().private == ("Roe, Richard · 0815", "Doe, Jane · 4711")
    reading.layers[1].visible = False
    assert reading.room._own_corners().private == ("Doe, Jane · 4711",)


def test_lists_say_which_series_a_scan_is_and_no_picture_of_them_does(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, scan("CT 3", DOE, "Abdomen venous"))
    combo = LayerCombo(reading.viewer, lambda _layer: True)
    combo.setMinimumWidth(400)
    qtbot.addWidget(combo)
    combo.show()
    told = {}
    for description in ("Abdomen venous", ""):
        kept = reading.layers[0].metadata[METADATA_KEY]
        kept["volume"] = kept["volume"].with_metadata(description=description)
        combo.refresh()
        combo.raise_()
        pump(10)
        place = combo.mapToGlobal(combo.rect().topLeft())
        whole = pixels(QApplication.primaryScreen().grabWindow(0).toImage())
        seen = whole[place.y() : place.y() + combo.height(), place.x() : place.x() + combo.width()]
        told[description] = seen.copy(), pixels(combo.grab().toImage()).copy()
    (seen, picture), (seen_without, picture_without) = told["Abdomen venous"], told[""]
    assert np.any(seen != seen_without)
    np.testing.assert_array_equal(picture, picture_without)
    assert combo.currentText() == reading.layers[0].name == "CT 3"
    kept["volume"] = kept["volume"].with_metadata(description="Abdomen venous")
    combo.refresh()
    assert combo.itemData(0, Qt.ItemDataRole.ToolTipRole) == "<qt>CT 3 · Abdomen venous<br>Doe, Jane · 4711</qt>"
