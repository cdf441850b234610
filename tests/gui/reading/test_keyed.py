"""The point that all views show is moved by keys, as it is seen on the screen."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from napari_radcnn.gui.layers.layers import to_patient
from napari_radcnn.gui.reading import planes
from reading_room import CONTROL, SCANS, SHIFT, Reading, field
from screens import pump

pytestmark = pytest.mark.gui
#: Of each key, what it does on the screen: right, down.
WAYS = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}
#: Of each plane, the patient's axis right and down on the screen, LPS, and its sign.
SCREEN = {
    "Axial": ((0, 1), (1, 1)),
    "Coronal": ((0, 1), (2, -1)),
    "Sagittal": ((1, 1), (2, -1)),
}


def test_arrows_move_it_as_it_is_seen(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot)
    for name in ("axial", "flipped"):
        reading.show(field(SCANS[name]))
        for plane in SCREEN:
            check_arrows(reading, plane)


def check_arrows(reading, plane):
    viewer, layer = reading.viewer, reading.layers[0]
    planes.show_plane(viewer, plane)
    steps = to_patient(np.array(layer.scale))
    for key, (right, down) in WAYS.items():
        before = to_patient(np.array(viewer.dims.point))
        reading.key(getattr(Qt.Key, f"Key_{key}"), SHIFT)
        moved = (to_patient(np.array(viewer.dims.point)) - before) / steps
        wanted = np.zeros(3)
        (across, sign), (along, other) = SCREEN[plane]
        wanted[across] += right * sign
        wanted[along] += down * other
        assert moved == pytest.approx(wanted), (layer.name, plane, key)
    assert reading.room.shows_cross


def test_control_goes_ten_steps_and_the_edge_holds(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["axial"]))
    dims = reading.viewer.dims
    dims.set_current_step(2, 3)
    reading.key(Qt.Key.Key_Right, SHIFT | CONTROL)
    assert dims.current_step[2] == 13
    reading.key(Qt.Key.Key_Right, SHIFT | CONTROL)
    assert dims.current_step[2] == dims.nsteps[2] - 1 == 16
    check_cross(reading)


def check_cross(reading):
    """See that the cross of a single view goes with the next press of the mouse."""
    reading.show(field(SCANS["axial"]))
    reading.drag([(200, 200), (210, 205)])
    assert reading.room._own_corners().cross is None
    reading.key(Qt.Key.Key_Down, SHIFT)
    right, down = planes.offset_of(reading.viewer, reading.viewer.dims.point)
    assert reading.room._own_corners().cross == pytest.approx((right, down))
    reading.drag([(200, 200), (210, 205)])
    assert reading.room._own_corners().cross is None


def test_the_same_keys_select_text_where_text_is_typed(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["axial"]))
    line = QLineEdit("0.125")
    reading.viewer.window.add_dock_widget(line, name="line")
    line.setFocus()
    pump()
    before = tuple(reading.viewer.dims.point)
    QTest.keyClick(line, Qt.Key.Key_Left, SHIFT)
    assert line.selectedText() == "5"
    assert tuple(reading.viewer.dims.point) == before
