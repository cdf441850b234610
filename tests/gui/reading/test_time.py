"""Reading along time on the real screen: steps, a cine, and the curve of the value under the mouse."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data, volume_from_layer
from napari_radcnn.gui.layers.sequences import layers_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.gui.reading.time.curve import curve_at, values_at
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata
from reading_room import ALT, SCANS, Reading, canvas_of, field
from screens import pump, screenshot

pytestmark = pytest.mark.gui
N = 6


def dynamic(geometry, n=N, name="fmri"):
    base = world_field(geometry)
    return [
        Volume(
            base.array + np.float32(100.0 * k * k),
            geometry,
            VolumeMetadata(name=f"{name} · {k + 1}", modality="MR", units="a.u.", source=Path(name)),
        )
        for k in range(n)
    ]


@pytest.fixture
def reading(make_napari_viewer, qtbot):
    return Reading(make_napari_viewer, qtbot)


def show(reading, *volumes):
    reading.viewer.layers.clear()
    found = [add_to_viewer(reading.viewer, data) for data in layers_of(volumes)]
    pump()
    reading.viewer.reset_view()
    pump()
    return found[0]


def test_the_curve_is_the_data_at_the_mouse(reading):
    for grid in SCANS.values():
        check_curve(reading, dynamic(grid))


def check_curve(reading, given):
    layer = show(reading, *given)
    bar = reading.room.time_bar
    assert bar.isVisible()
    assert not bar.curve_view.isVisible()
    reading.hover((3, 3))  # beside the scan: what is drawn of the one before goes
    reading.key(Qt.Key.Key_F12)
    assert bar.curve_view.isVisible()
    reading.qtbot.waitUntil(lambda: bar.curve_view.curve is None)
    middle = given[0].geometry.to_world((np.array(given[0].shape) - 1) / 2)
    reading.hover(reading.pixel(middle))
    reading.qtbot.waitUntil(lambda: bar.curve_view.curve is not None)
    values = bar.curve_view.curve.values
    steps = values - values[0]
    assert np.allclose(steps, [100.0 * k * k for k in range(N)], atol=0.05)
    if given[0].geometry.is_axis_aligned:
        place = reading.viewer.dims.point
        point = np.array([place[1], *(np.array(middle)[::-1][1:])])
        index = np.rint(given[0].geometry.to_index(point[::-1])).astype(int)
        assert values.tolist() == [float(volume.array[tuple(index)]) for volume in given]
    bar.copy_button.click()
    lines = QApplication.clipboard().text().splitlines()
    assert lines[0] == "time\tvalue (a.u.)"
    assert [float(line.split("\t")[1]) for line in lines[1:]] == values.tolist()
    bar.curve_button.click()
    assert values_at(layer, (0.0, 1e4, 0.0, 0.0)) is None
    assert curve_at(add_to_viewer(reading.viewer, layer_data(field(given[0].geometry))), middle) is None


def test_a_click_on_the_curve_shows_its_time_point(reading):
    layer = show(reading, *dynamic(SCANS["axial"]))
    bar = reading.room.time_bar
    reading.key(Qt.Key.Key_F12)
    reading.hover((reading.canvas.width() / 2, reading.canvas.height() / 2))
    reading.qtbot.waitUntil(lambda: bar.curve_view.curve is not None)
    view = bar.curve_view
    reading.click((view.place_of(4), 60.0), canvas=view)
    assert reading.viewer.dims.point[0] == 4
    assert volume_from_layer(layer).name == "fmri · 5"
    reading.qtbot.waitUntil(lambda: view.curve.now == 4)
    reading.drag([(view.place_of(4), 60.0), (view.place_of(1), 60.0)], canvas=view)
    assert reading.viewer.dims.point[0] == 1


def test_steps_by_key_go_round(reading):
    show(reading, *dynamic(SCANS["axial"]))
    bar, dims = reading.room.time_bar, reading.viewer.dims
    assert bar.label.text() == "time 1 of 6"
    reading.key(Qt.Key.Key_Left, ALT)
    assert dims.point[0] == 5
    assert bar.label.text() == "time 6 of 6"
    reading.key(Qt.Key.Key_Right, ALT)
    reading.key(Qt.Key.Key_Right, ALT)
    assert dims.point[0] == 1
    bar.on_button.click()
    assert dims.point[0] == 2


def test_a_cine_shows_every_time_point_until_it_is_stopped(reading):
    show(reading, *dynamic(SCANS["axial"]))
    bar, dims, seen = reading.room.time_bar, reading.viewer.dims, []
    dims.events.point.connect(lambda _event: seen.append(int(dims.point[0])))
    bar.speed_box.setValue(12)
    reading.key(Qt.Key.Key_F11)
    assert bar.play_button.text() == "Stop"
    reading.qtbot.waitUntil(lambda: set(seen) == set(range(N)), timeout=60_000)
    reading.key(Qt.Key.Key_F11)
    assert not bar.cine.is_playing
    count = len(seen)
    reading.qtbot.wait(200)
    assert len(seen) == count
    reading.key(Qt.Key.Key_F11)
    reading.viewer.layers.clear()
    reading.qtbot.waitUntil(lambda: not bar.cine.is_playing)
    assert not bar.isVisible()


def test_the_picture_is_that_of_the_time_point(reading):
    given = dynamic(SCANS["axial"])
    layer = show(reading, *given)
    layer.contrast_limits = (float(given[0].array.min()), float(given[-1].array.max()))
    brightness = []
    for n in range(N):
        reading.viewer.dims.set_point(0, n)
        pump()
        image = screenshot(reading.viewer)
        brightness.append(image[image.shape[0] // 2 - 20 : image.shape[0] // 2 + 20].mean())
    assert all(later > sooner for sooner, later in pairwise(brightness))


def test_all_planes_show_the_time_point_and_keep_their_slices(reading):
    show(reading, *dynamic(SCANS["sagittal"]))
    reading.key(Qt.Key.Key_F6)
    pump()
    before = tuple(reading.viewer.dims.point[1:])
    reading.key(Qt.Key.Key_Right, ALT)
    for model in reading.room.layouts.models:
        assert model.dims.point[0] == 1
        assert tuple(model.dims.point[1:]) == before or model is not reading.viewer
    pane = reading.room.layouts.panes[0]
    canvas = canvas_of(pane)
    reading.wheel(2, canvas=canvas)
    assert [model.dims.point[0] for model in reading.room.layouts.models] == [1, 1, 1]
    reading.room.time_bar.curve_button.click()
    reading.hover((canvas.width() / 2, canvas.height() / 2), canvas=canvas)
    reading.qtbot.waitUntil(lambda: reading.room.time_bar.curve_view.curve is not None)


def test_the_scan_in_3d_is_that_of_the_time_point(reading):
    given = dynamic(SCANS["axial"])
    show(reading, *given)
    reading.key(Qt.Key.Key_F7)
    solid = reading.room.layouts.panes[-1]
    for n in (0, 4):
        reading.viewer.dims.set_point(0, n)
        reading.qtbot.waitUntil(lambda: solid.is_ready, timeout=20_000)
        (shown,) = solid.model.layers
        assert shown.ndim == 3
        assert np.allclose(np.sort(shown.data.ravel()), np.sort(given[n].array.ravel()))
        assert np.allclose(shown.scale, reading.viewer.layers[0].scale[1:])


def test_a_scan_without_time_has_no_bar_and_one_beside_it_stays_the_same(reading):
    show(reading, field(SCANS["axial"]))
    bar = reading.room.time_bar
    assert not bar.isVisible()
    (data,) = layers_of(dynamic(SCANS["axial"]))
    layer = add_to_viewer(reading.viewer, data)
    labels = LabelMap(np.ones(SCANS["axial"].shape, np.uint8), SCANS["axial"], {})
    drawn = add_to_viewer(reading.viewer, layer_data(labels))
    assert bar.isVisible()
    layer.visible = False
    reading.viewer.layers.selection.active = drawn
    assert not bar.isVisible()
    layer.visible = True
    reading.viewer.dims.set_point(0, 3)
    assert drawn.get_value((3.0, *reading.viewer.dims.point[1:]), world=True) == 1  # labels lie on every time point
    assert volume_from_layer(layer).name == "fmri · 4"


def test_corners_say_which_time_point_is_shown(reading):
    show(reading, *dynamic(oblique_geometry((9, 14, 17))))
    reading.viewer.dims.set_point(0, 2)
    assert reading.room._own_corners().bottom_left[1] == "time 3 of 6"


def test_two_scans_of_other_lengths(reading):
    long, short = dynamic(SCANS["axial"]), dynamic(SCANS["axial"], 3, "short")
    first = show(reading, *long)
    (data,) = layers_of(short)
    second = add_to_viewer(reading.viewer, data)
    reading.viewer.layers.selection.active = first
    reading.viewer.dims.set_point(0, 5)
    assert reading.room.time_bar.label.text() == "time 6 of 6"
    assert volume_from_layer(first).name == "fmri · 6"
    assert volume_from_layer(second).name == "short · 3"


def test_geometry_of_a_clip_without_place(reading):
    grid = Geometry.from_parts((1, 30, 40), (1.0, 0.5, 0.5), (0.0, 0.0, 0.0))
    rng = np.random.default_rng(1)
    about = VolumeMetadata(modality="US", source=Path("clip"), is_placed=False)
    clip = [
        Volume(rng.integers(0, 255, (1, 30, 40, 3), np.uint8), grid, about).with_metadata(name=f"US · {n + 1}")
        for n in range(4)
    ]
    layer = show(reading, *clip)
    assert reading.room.time_bar.isVisible()
    curve = curve_at(layer, (0.0, 0.0, 5.0, 7.0))
    gray = [volume.array[0, 10, 14] @ np.array((0.299, 0.587, 0.114)) for volume in clip]
    assert np.allclose(curve.values, gray)
