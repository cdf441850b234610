"""Planes by key, slices by wheel, and the line below the picture, on scans that lie in all ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

import grids
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers import view
from napari_radcnn.gui.reading import planes, words
from napari_radcnn.phantom import FIELD_COEFFICIENTS, world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.sides import Sides
from napari_radcnn.volume import Volume, VolumeMetadata
from reading_room import CONTROL, Reading
from screens import pump

pytestmark = pytest.mark.gui

KEYS = {"Axial": Qt.Key.Key_F2, "Coronal": Qt.Key.Key_F3, "Sagittal": Qt.Key.Key_F4}
LETTERS = {
    "Axial": {"top": "A", "bottom": "P", "left": "R", "right": "L"},
    "Coronal": {"top": "S", "bottom": "I", "left": "R", "right": "L"},
    "Sagittal": {"top": "S", "bottom": "I", "left": "A", "right": "P"},
}


def field(geometry, **metadata):
    volume = world_field(geometry)
    return replace(volume, metadata=VolumeMetadata(name="field", modality="CT", units="HU", **metadata))


def test_each_plane_is_one_key_away_and_upright(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot)
    for grid in grids.ALL.values():
        reading.show(field(grid()))
        check_planes(reading)


def check_planes(reading):
    viewer, shown = reading.viewer, reading.layers[0].metadata["radcnn"]["place"].shown
    for plane, key in [*KEYS.items(), ("Coronal", KEYS["Coronal"])]:
        reading.key(key)
        assert planes.plane_of(viewer) == plane
        assert view.letters(viewer) == LETTERS[plane]
        assert [name for name, button in reading.room.bar.plane_buttons.items() if button.isChecked()] == [plane]
        # the upper left corner of the picture lies towards the letters of its edges
        deep = words.PLANES[plane][0]
        assert f"{plane} · " in reading.room._own_corners().bottom_left[0]
        assert f" of {shown.shape[deep]} · " in reading.room._own_corners().bottom_left[0]
        # what is under the cursor has the value and the place of the closed form
        for dx, dy in ((3, 5), (17, -12), (-23, 9)):
            pixel = (reading.canvas.width() // 2 + dx, reading.canvas.height() // 2 + dy)
            reading.hover(pixel)
            place = placed(reading, pixel)
            expected = words.position(place)
            line = viewer.status
            assert line.endswith(expected), (line, place)
            value = float(line.split(" HU")[0])
            index = np.rint(shown.to_index(place)).astype(int)
            assert value == pytest.approx(float(np.asarray(reading.layers[0].data)[tuple(index)]), rel=1e-3, abs=0.06)
            if reading.layers[0].metadata["radcnn"]["place"].axis_map is not None:
                assert value == pytest.approx(np.dot(FIELD_COEFFICIENTS, shown.to_world(index)), rel=1e-3, abs=0.06)


def test_napari_s_own_line_stands_nowhere_beside_a_scan(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(grids.oblique()))
    viewer = reading.viewer
    lines = []
    viewer.events.status.connect(lambda event: lines.append(event.value), position="first")
    viewer.mouse_over_canvas = True  # as after a drop, before the mouse has moved
    viewer.update_status_from_cursor()
    assert any(isinstance(line, dict) for line in lines)
    assert viewer.status == ""
    reading.hover((200, 150))
    assert " HU · " in viewer.status
    viewer.layers.clear()
    viewer.add_image(np.arange(60.0).reshape(3, 4, 5))
    viewer.update_status_from_cursor()
    assert isinstance(viewer.status, dict)


def placed(reading, pixel):
    """Return the LPS position of a pixel by the closed form: on the slice that is shown."""
    viewer = reading.viewer
    camera, displayed = viewer.scene.camera, list(viewer.dims.displayed)
    point = np.array(viewer.dims.point, float)
    middle = np.array([reading.canvas.height() / 2, reading.canvas.width() / 2])
    signs = [-1 if str(side) in ("up", "left") else 1 for side in camera.orientation[1:]]
    point[displayed] = np.array(camera.center)[-2:] + (np.array(pixel)[::-1] - middle) / camera.zoom * np.array(signs)
    return point[::-1]


def test_the_wheel_scrolls_to_the_feet_the_back_and_the_left_and_zooms_with_control(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(Geometry.from_parts((7, 8, 9), (2.5, 0.8, 0.7), (-3, 2, 5))))
    viewer = reading.viewer
    for plane, axis, sign in (("Axial", 0, -1), ("Coronal", 1, 1), ("Sagittal", 2, 1)):
        reading.key(KEYS[plane])
        viewer.dims.set_current_step(axis, 3)
        zoom = viewer.scene.camera.zoom
        reading.wheel(-2)
        assert viewer.dims.current_step[axis] == 3 + 2 * sign
        reading.wheel(1)
        assert viewer.dims.current_step[axis] == 3 + sign
        assert viewer.scene.camera.zoom == zoom
        reading.wheel(-30)  # at the end it stays there
        assert viewer.dims.current_step[axis] == (0 if sign < 0 else viewer.dims.nsteps[axis] - 1)
        reading.wheel(2, CONTROL)
        assert viewer.scene.camera.zoom != zoom
        assert viewer.dims.current_step[axis] == (0 if sign < 0 else viewer.dims.nsteps[axis] - 1)


def test_the_line_names_the_label_and_the_suv(make_napari_viewer, qtbot):
    grid = Geometry.from_parts((4, 9, 11), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))
    pet = Volume(np.full(grid.shape, 9000, np.int16), grid, VolumeMetadata("PET", "PT", "Bq/ml"), (), 0.0005)
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, :, 6:] = 3
    reading = Reading(make_napari_viewer, qtbot, pet, LabelMap(labels, grid, {3: Label("left lung")}))
    assert reading.layers[0].colormap.name == "gray_r"
    assert reading.layers[0].contrast_limits == pytest.approx([0, 14000])
    middle = grid.to_world((1, 4, 8))
    reading.viewer.dims.set_point(0, middle[2])
    pump()
    reading.hover(reading.pixel(middle))
    assert reading.viewer.status.startswith("4.5 SUVbw · left lung · R 25")
    reading.hover(reading.pixel(grid.to_world((1, 4, 2))))
    assert reading.viewer.status.startswith("4.5 SUVbw · R 29")
    reading.hover((3, 3))  # beside the scan
    assert reading.viewer.status.startswith("R ")
    assert np.asarray(reading.layers[0].data).max() == 9000


def test_a_picture_without_a_place_has_no_planes_and_no_sides(make_napari_viewer, qtbot):
    grid = Geometry.from_parts((1, 40, 30), (1.0, 0.2, 0.2))
    film = Volume(
        np.arange(1200, dtype=np.int16).reshape(grid.shape),
        grid,
        VolumeMetadata("DX", "DX", is_placed=False, sides=Sides("L", "I")),
    )
    reading = Reading(make_napari_viewer, qtbot, film)
    assert not any(button.isEnabled() for button in reading.room.bar.plane_buttons.values())
    order = tuple(reading.viewer.dims.order)
    reading.key(KEYS["Coronal"])
    assert tuple(reading.viewer.dims.order) == order
    reading.hover((reading.canvas.width() / 2, reading.canvas.height() / 2))
    assert " · x " in reading.viewer.status
    assert reading.room._own_corners().bottom_left == ("1 of 1",)


def test_scans_of_one_slice_and_of_odd_voxels_can_be_read_in_each_plane(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot)
    for shape, spacing in (((1, 20, 30), (5.0, 0.7, 0.7)), ((3, 400, 8), (2000.0, 0.5, 2.0))):
        reading.show(field(Geometry.from_parts(shape, spacing, (-31.0, 17.5, 40.25))))
        for plane, key in KEYS.items():
            reading.key(key)
            reading.wheel(-1)
            reading.hover((reading.canvas.width() / 2, reading.canvas.height() / 2))
            assert planes.plane_of(reading.viewer) == plane
            assert " HU · " in reading.viewer.status


def test_napari_keeps_its_own_line_where_no_scan_of_ours_is_seen(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(grids.axial()))
    reading.layers[0].visible = False
    from napari_radcnn.gui.reading.cursor import under_cursor

    assert under_cursor(reading.viewer) == ""
    reading.layers[0].visible = True
    reading.viewer.dims.ndisplay = 3
    assert under_cursor(reading.viewer) == ""
