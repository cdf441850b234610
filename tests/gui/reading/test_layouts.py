"""Linked planes: the same point under every cross-hair, the same layers in every view, and every tool in each plane."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Image, Points, Shapes, Tracks, Vectors
from napari.qt import QtViewer
from napari.settings import get_settings
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication, QWidget

from costly import few_of
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers import view
from napari_radcnn.gui.layers.layers import layer_data, to_display, to_patient
from napari_radcnn.gui.layers.view import letters
from napari_radcnn.gui.reading import planes, words
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import FIELD_COEFFICIENTS
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata
from played import LEFT
from reading_room import ALT, CONTROL, RIGHT, SCANS, SHIFT, Reading, canvas_of, field
from screens import pump

pytestmark = pytest.mark.gui

#: Random points on each of six scans; the slow tests take many.
N_POINTS, N_MANY_POINTS = 9, 1000
LETTERS = {
    "Axial": {"top": "A", "bottom": "P", "left": "R", "right": "L"},
    "Coronal": {"top": "S", "bottom": "I", "left": "R", "right": "L"},
    "Sagittal": {"top": "S", "bottom": "I", "left": "A", "right": "P"},
}


def under_cross_hair(room, model):
    """Return the LPS position under the cross-hair of a view, from where it is painted and the slice that is shown."""
    right, down = room._corners(model).cross
    camera, point = model.scene.camera, np.array(model.dims.point, float)
    signs = [-1 if str(side) in ("up", "left") else 1 for side in camera.orientation[1:]]
    displayed = list(model.dims.displayed)
    point[displayed] = np.array(camera.center)[-2:] + np.array([down, right]) * signs / camera.zoom
    return to_patient(point)


@pytest.mark.parametrize("name", few_of(SCANS, "oblique", "left_handed"))
def test_the_same_point_is_under_every_cross_hair(make_napari_viewer, qtbot, name):
    check_cross_hairs(make_napari_viewer, qtbot, name, N_POINTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCANS)
def test_the_same_of_many_points(make_napari_viewer, qtbot, name):
    check_cross_hairs(make_napari_viewer, qtbot, name, N_MANY_POINTS)


def check_cross_hairs(make_napari_viewer, qtbot, name, n_points):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS[name]))
    reading.key(Qt.Key.Key_F6)
    room, layer = reading.room, reading.layers[0]
    models = room.layouts.models
    assert {planes.plane_of(model) for model in models} == set(words.PLANES)
    for model in models:
        assert view.letters(model) == LETTERS[planes.plane_of(model)]
    shown = layer.metadata["radcnn"]["place"].shown
    random = np.random.default_rng(7)
    for n in range(n_points):
        place = shown.to_world(random.uniform(0, np.array(shown.shape) - 1))
        mover = models[n % 3]
        if n % 3 == 0:
            reading.viewer.dims.set_point([0, 1, 2], place[::-1].tolist())
        else:  # by a slice of another view, and two of the first
            deep = mover.dims.not_displayed[0]
            mover.dims.set_point(deep, place[::-1][deep])
            others = [axis for axis in range(3) if axis != deep]
            reading.viewer.dims.set_point(others, place[::-1][others].tolist())
        found = np.array([under_cross_hair(room, model) for model in models])
        assert np.abs(found - found[0]).max() < 0.01
        assert np.abs(found[0] - place).max() <= max(shown.spacing) / 2 + 0.01
        index = tuple(np.rint(shown.to_index(found[0])).astype(int))
        for model in models:  # and what is drawn there is that voxel
            value = model.layers[0].get_value(tuple(found[0][::-1]), world=True)
            assert value == pytest.approx(float(np.asarray(layer.data)[index]))
            if layer.metadata["radcnn"]["place"].axis_map is not None:
                assert value == pytest.approx(np.dot(FIELD_COEFFICIENTS, shown.to_world(index)), rel=1e-4)


def test_a_click_centers_all_planes_and_a_drag_takes_them_along(make_napari_viewer, qtbot):
    grid = SCANS["sheared"]
    reading = Reading(make_napari_viewer, qtbot, field(grid))
    reading.key(Qt.Key.Key_F7)
    room, viewer = reading.room, reading.viewer
    # the scan in 3-D comes later, and whole: not in between
    qtbot.waitUntil(lambda: room.layouts.panes[2].is_ready, timeout=10_000)
    shown = reading.layers[0].metadata["radcnn"]["place"].shown
    place = shown.to_world((5, 3, 11))
    for model, canvas in zip(
        room.layouts.models[:3], [reading.canvas, *map(canvas_of, room.layouts.panes[:2])], strict=True
    ):
        viewer.dims.set_point([0, 1, 2], shown.to_world((2, 8, 4))[::-1].tolist())
        pump()
        deep = model.dims.not_displayed[0]
        model.dims.set_point(deep, place[::-1][deep])
        start = reading.pixel(shown.to_world((4, 6, 6)), model, canvas)
        center = tuple(model.scene.camera.center)
        reading.drag([start, reading.pixel(place, model, canvas)], canvas=canvas)
        assert to_patient(np.array(viewer.dims.point)) == pytest.approx(place, abs=0.01)
        assert tuple(model.scene.camera.center) == center  # nothing is panned
        for each in room.layouts.models[:3]:
            assert under_cross_hair(room, each) == pytest.approx(place, abs=0.01)
    # the middle button moves the picture, and Shift changes the window, in a plane at the side, too
    side, canvas = room.layouts.panes[0], canvas_of(room.layouts.panes[0])
    center, point = tuple(side.model.scene.camera.center), tuple(viewer.dims.point)
    reading.drag([(60, 60), (80, 75)], Qt.MouseButton.MiddleButton, canvas=canvas)
    assert tuple(side.model.scene.camera.center) != center
    limits = list(reading.layers[0].contrast_limits)
    reading.drag([(60, 60), (80, 60)], LEFT, SHIFT, canvas=canvas)
    assert reading.layers[0].contrast_limits != limits
    assert side.model.layers[0].contrast_limits == reading.layers[0].contrast_limits
    reading.drag([(60, 60), (40, 60)], RIGHT, canvas=canvas)
    assert side.model.layers[0].contrast_limits == reading.layers[0].contrast_limits
    assert tuple(viewer.dims.point) == point
    # the wheel goes through the slices of the plane it is over, in all views; with Control it zooms there alone
    deep = side.model.dims.not_displayed[0]
    step = viewer.dims.current_step[deep]
    reading.wheel(-1, canvas=canvas)
    assert viewer.dims.current_step[deep] == step + planes.towards_feet(side.model)
    zooms = [model.scene.camera.zoom for model in room.layouts.models]
    reading.wheel(1, CONTROL, canvas=canvas)
    assert [model.scene.camera.zoom != zoom for model, zoom in zip(room.layouts.models, zooms, strict=True)] == [
        False,
        True,
        False,
        False,
    ]
    # what is under the cursor of a plane at the side
    reading.hover(reading.pixel(place, side.model, canvas), canvas=canvas)
    place[planes.PATIENT_AXIS[deep]] = viewer.dims.point[deep]
    assert " HU · " in viewer.status
    assert viewer.status.endswith(words.position(place))
    # of moves that come faster than vispy listens, the last one counts
    for where in ((40, 40), (41, 41), reading.pixel(place, side.model, canvas)):
        reading.mouse(QEvent.Type.MouseMove, where, Qt.MouseButton.NoButton, Qt.MouseButton.NoButton, canvas=canvas)
    qtbot.waitUntil(lambda: viewer.status.endswith(words.position(place)))


def test_planes_change_places_and_all_go_away_again(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["axial"]))
    layouts = reading.room.layouts
    reading.key(Qt.Key.Key_F7)
    assert [pane.plane for pane in layouts.panes] == ["Coronal", "Sagittal", ""]
    views = [(pane, pane.model, pane.widget, pane.overlay) for pane in layouts.panes]
    reading.key(Qt.Key.Key_F3)
    assert planes.plane_of(reading.viewer) == "Coronal"
    assert [planes.plane_of(pane.model) for pane in layouts.panes] == ["Axial", "Sagittal", ""]
    assert all(view.letters(model) == LETTERS[planes.plane_of(model)] for model in layouts.models[:3])
    reading.key(Qt.Key.Key_F6)
    assert len(layouts.panes) == 2
    reading.key(Qt.Key.Key_F5)
    assert layouts.panes == []
    assert not any(widget.isVisible() for _, _, widget, _ in views)
    assert reading.room._own_corners().cross is None
    # Canvases of views that went away serve those that come, which show what is shown now.
    reading.key(Qt.Key.Key_F4)
    reading.key(Qt.Key.Key_F7)
    assert [(pane, pane.model, pane.widget, pane.overlay) for pane in layouts.panes] == views
    assert all(widget.isVisible() for _, _, widget, _ in views)
    assert [planes.plane_of(model) for model in layouts.models[:3]] == ["Sagittal", "Axial", "Coronal"]
    assert all(view.letters(model) == LETTERS[planes.plane_of(model)] for model in layouts.models[:3])
    gone = [weakref.ref(each) for parts in views for each in parts]
    reading.viewer.close()
    views.clear()
    del layouts, reading
    qtbot.waitUntil(lambda: _n_canvases() == 0, timeout=5000)
    assert [reference() for reference in gone] == [None] * len(gone)


def _n_canvases():
    pump(3)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # as the event loop of a program does
    gc.collect()
    return len(QtViewer._instances)


def test_views_that_come_and_go_leave_nothing_behind(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["oblique"]))
    # napari's sliders, made anew, each leave a callback in its settings and half a megabyte.
    settings = get_settings().application.events.playback_fps

    def n_left():
        _n_canvases()
        return len(reading.canvas.window().findChildren(QWidget)), len(settings.callbacks)

    def go_round():
        for name in ("four", "three", "one"):
            reading.room.choose_layout(name)
            pump()

    go_round()
    n_widgets, n_callbacks = n_left()
    for _ in range(3):
        go_round()
    # Qt deletes what has gone when it finds the time; what is kept stays.
    qtbot.waitUntil(lambda: n_left()[0] <= n_widgets and n_left()[1] <= n_callbacks, timeout=5000)


@pytest.mark.parametrize("layout", few_of(["four", "one"], "one"))
def test_views_keep_no_scan_that_was_closed(make_napari_viewer, qtbot, layout):
    grid = SCANS["axial"]
    reading = Reading(
        make_napari_viewer, qtbot, field(grid), LabelMap(np.ones(grid.shape, np.uint8), grid, {1: Label("a")})
    )
    reading.room.choose_layout("four")
    solid = reading.room.layouts.panes[2]
    qtbot.waitUntil(lambda: solid.is_ready and len(solid.model.layers) == 2, timeout=10_000)
    copies = [layer for pane in reading.room.layouts.panes for layer in pane.model.layers]
    assert len(copies) == 6
    gone = [weakref.ref(each) for layer in [*reading.layers, *copies] for each in (layer, layer.data)]
    reading.room.choose_layout(layout)
    reading.viewer.layers.clear()
    reading.layers.clear()
    copies.clear()
    qtbot.waitUntil(lambda: solid.is_ready, timeout=10_000)
    qtbot.waitUntil(lambda: _n_canvases() == 4 and not any(each() is not None for each in gone), timeout=5000)
    # and they serve the next one
    add_to_viewer(reading.viewer, layer_data(field(SCANS["sheared"])))
    reading.room.choose_layout("four")
    assert [len(pane.model.layers) for pane in reading.room.layouts.panes[:2]] == [1, 1]
    qtbot.waitUntil(lambda: solid.is_ready and len(solid.model.layers) == 1, timeout=10_000)
    for model in reading.room.layouts.models[:3]:
        assert view.letters(model) == LETTERS[planes.plane_of(model)]
    assert view.letters(solid.model) == {"top": "S", "bottom": "I", "left": "R", "right": "L"}


def test_the_scan_in_3d_is_seen_from_the_front_whenever_it_comes_back(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["axial"]))
    reading.key(Qt.Key.Key_F7)
    solid = reading.room.layouts.panes[2]
    front = {"top": "S", "bottom": "I", "left": "R", "right": "L"}
    qtbot.waitUntil(lambda: solid.is_ready, timeout=10_000)
    solid.model.scene.camera.set_view_direction((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))  # from the right
    assert view.letters(solid.model) != front
    reading.key(Qt.Key.Key_F5)
    reading.viewer.theme = "light"
    reading.key(Qt.Key.Key_F7)
    assert [model.theme for model in reading.room.layouts.models] == ["light"] * 4
    qtbot.waitUntil(lambda: solid.is_ready and len(solid.model.layers) == 1, timeout=10_000)
    assert solid.model.dims.ndisplay == 3
    assert view.letters(solid.model) == front


def test_the_solid_scan_is_seen_from_the_front_with_its_letters(make_napari_viewer, qtbot):
    grid = Geometry.from_parts((40, 300, 20), (2.0, 0.5, 3.0), (-31.0, 17.5, 40.25))
    labels = np.zeros(grid.shape, np.uint8)
    labels[10:20, 100:200, 5:10] = 2
    reading = Reading(make_napari_viewer, qtbot, field(grid), LabelMap(labels, grid, {2: Label("x")}))
    reading.key(Qt.Key.Key_F7)
    solid = reading.room.layouts.panes[2]
    qtbot.waitUntil(lambda: solid.is_ready, timeout=10_000)
    assert view.letters(solid.model) == {"top": "S", "bottom": "I", "left": "R", "right": "L"}
    image, drawn = solid.model.layers
    assert max(image.data.shape) <= 256
    assert image.data.shape == (40, 150, 20)
    for index in ((0, 0, 0), (39, 149, 19)):  # a thinned voxel lies where it lay
        whole = np.array(index) * (1, 2, 1)
        assert np.allclose(image.data_to_world(index), reading.layers[0].data_to_world(whole))
    assert drawn.data.sum() == 2 * 10 * 50 * 5
    reading.layers[1].data[...] = 0
    reading.layers[1].refresh()
    qtbot.waitUntil(lambda: not drawn.data.any(), timeout=10_000)


def test_layers_that_come_go_and_change_do_so_in_every_view(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["left_handed"]))
    reading.key(Qt.Key.Key_F6)
    viewer = reading.viewer
    models = reading.room.layouts.models
    grid = SCANS["left_handed"]
    labels = add_to_viewer(viewer, layer_data(LabelMap(np.zeros(grid.shape, np.uint8), grid, {1: Label("a")})))
    points = viewer.add_layer(Points(np.array([[0.0, 1, 2]]), name="marks"))
    for model in models:
        assert [layer.name for layer in model.layers] == [layer.name for layer in viewer.layers]
        assert model.layers[0].data is reading.layers[0].data  # nothing is copied
        assert model.layers[1].data is labels.data
    points.data = np.array([[0.0, 1, 2], [3, 4, 5]])
    labels.opacity = 0.25
    labels.data[...] = 1
    labels.refresh()
    reading.key(Qt.Key.Key_3, ALT)
    middle = tuple(viewer.dims.point)
    for model in models[1:]:
        assert len(model.layers[2].data) == 2
        assert model.layers[1].opacity == 0.25
        assert model.layers[1].get_value(middle, world=True) == 1
        assert model.layers[0].contrast_limits == [-500, 1300]
    viewer.layers.move(1, 3)
    viewer.layers.remove(reading.layers[0])
    for model in models:
        assert [layer.name for layer in model.layers] == [layer.name for layer in viewer.layers]
    viewer.layers.clear()
    assert [len(model.layers) for model in models] == [0, 0, 0]
    add_to_viewer(viewer, layer_data(field(SCANS["axial"], "again")))
    assert [len(model.layers) for model in models] == [1, 1, 1]


def test_layers_of_other_plugins_are_shown_in_every_view(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["axial"]))
    viewer = reading.viewer
    others = [
        viewer.add_layer(Image(np.zeros((8, 10, 3), np.uint8), rgb=True, name="rgb")),
        viewer.add_layer(Image(np.arange(480.0).reshape(6, 8, 10), rotate=(0, 0, 25), name="turned")),
        viewer.add_layer(Image(np.arange(960.0).reshape(2, 6, 8, 10), name="series")),
    ]
    before = [np.array(layer.data_to_world((1.0,) * layer.ndim)) for layer in others]
    reading.key(Qt.Key.Key_F7)
    assert len(reading.room.layouts.models) == 4
    reading.click((200, 150))
    for model in reading.room.layouts.models[1:3]:
        assert [layer.name for layer in model.layers] == [layer.name for layer in viewer.layers]
    viewer.layers.remove("series")  # from four axes to three
    reading.click((200, 150))
    after = [np.array(layer.data_to_world((1.0,) * layer.ndim)) for layer in others]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def pixel_of(reading, model, canvas, position):
    """Return the color, red, green, blue, of a view's picture at an LPS position of the slice that it shows."""
    widget = next(each for each in QApplication.allWidgets() if isinstance(each, QtViewer) and each.viewer is model)
    picture = widget.screenshot(flash=False)
    scale = picture.shape[1] / canvas.width()
    x, y = reading.pixel(position, model, canvas)
    return picture[round(y * scale), round(x * scale), :3].tolist()


def test_what_others_draw_is_seen_in_each_plane_on_its_slice(make_napari_viewer, qtbot):
    grid = SCANS["left_handed"]
    reading = Reading(make_napari_viewer, qtbot, field(grid))
    reading.key(Qt.Key.Key_F6)
    viewer, room = reading.viewer, reading.room
    canvases = [reading.canvas, *map(canvas_of, room.layouts.panes)]
    shown = reading.layers[0].metadata["radcnn"]["place"].shown
    place, beside = shown.to_world((4, 7, 8)), shown.to_world((4, 9, 5))
    axes = {"scale": shown.spacing, "translate": shown.origin[::-1], "units": "mm", "axis_labels": ("S", "P", "L")}
    points = viewer.add_layer(Points(np.array([[4.0, 7, 8]]), size=2, face_color="red", border_width=0, **axes))
    flat = np.array([[4.0, 8, 4], [4, 8, 6], [4, 10, 6], [4, 10, 4]])  # about `beside`, in an axial plane
    shapes = viewer.add_layer(
        Shapes([flat], shape_type="polygon", face_color="lime", edge_width=0, opacity=1.0, **axes)
    )
    arrows = viewer.add_layer(Vectors(np.array([[[4.0, 7, 8], [1, 2, 3]]]), **axes))
    tracks = viewer.add_layer(Tracks(np.array([[1.0, 3, 7, 8], [1, 4, 7, 8], [1, 5, 6, 8]]), **axes))
    for layer in (arrows, tracks):
        layer.visible = False
    viewer.dims.set_point([0, 1, 2], to_display(place).tolist())
    pump()
    before = [np.array(layer.data, copy=True) for layer in (points, arrows, tracks)]
    for model, canvas in zip(room.layouts.models, canvases, strict=True):
        assert [layer.name for layer in model.layers] == [layer.name for layer in viewer.layers]
        assert pixel_of(reading, model, canvas, place) == [255, 0, 0]
        assert np.array_equal(model.layers[arrows.name].data, arrows.data)
        assert np.array_equal(model.layers[tracks.name].data, tracks.data)
    # a shape lies in one plane; a point leaves a plane with its slice, and stays in the others
    axial, coronal, _ = zip(room.layouts.models, canvases, strict=True)
    assert pixel_of(reading, *axial, beside) == [0, 255, 0]
    viewer.dims.set_point([1, 2], to_display(beside)[1:].tolist())
    pump()
    assert pixel_of(reading, *coronal, beside) != [0, 255, 0]
    viewer.dims.set_point([0, 1, 2], to_display(place).tolist())
    coronal[0].dims.set_point(1, to_display(shown.to_world((4, 9, 8)))[1])
    pump()
    assert pixel_of(reading, *coronal, place) != [255, 0, 0]
    assert pixel_of(reading, *axial, place) == [255, 0, 0]
    viewer.dims.set_point([0, 1, 2], to_display(place).tolist())
    # whatever is changed of them is changed everywhere, a moment later
    points.data = np.array([[4.0, 7, 8], [1, 2, 3]])
    points.face_color = ["blue", "yellow"]
    points.features = {"score": [0.5, 0.75]}
    points.text = "{score}"
    shapes.edge_color = "magenta"
    shapes.add([np.add(flat, (1, 0, 0))], shape_type="polygon", face_color="cyan")
    arrows.edge_color = "green"
    qtbot.wait(100)
    for model, canvas in zip(room.layouts.models, canvases, strict=True):
        assert pixel_of(reading, model, canvas, place) == [0, 0, 255]
        assert model.layers[points.name].text.values.tolist() == ["0.5", "0.75"]
        assert np.array_equal(model.layers[shapes.name].face_color, shapes.face_color)
        assert np.array_equal(model.layers[shapes.name].edge_color, shapes.edge_color)
        assert np.array_equal(model.layers[arrows.name].edge_color, arrows.edge_color)
    points.data = np.zeros((0, 3))
    shapes.data = []
    qtbot.wait(100)
    assert [len(model.layers[points.name].data) for model in room.layouts.models] == [0, 0, 0]
    assert [len(model.layers[shapes.name].data) for model in room.layouts.models] == [0, 0, 0]
    assert np.array_equal(before[1], arrows.data)
    assert np.array_equal(before[2], tracks.data)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((1, 20, 30), (5.0, 0.7, 0.7)), pytest.param((3, 400, 8), (2000.0, 0.5, 2.0), marks=pytest.mark.slow)],
)
def test_scans_of_one_slice_and_of_odd_voxels_have_layouts(make_napari_viewer, qtbot, shape, spacing):
    reading = Reading(make_napari_viewer, qtbot, field(Geometry.from_parts(shape, spacing, (-31.0, 17.5, 40.25))))
    reading.key(Qt.Key.Key_F7)
    reading.click((100, 100))
    found = [under_cross_hair(reading.room, model) for model in reading.room.layouts.models[:3]]
    assert np.abs(np.array(found) - found[0]).max() < 0.01


def test_scans_without_values_constant_ones_and_layers_of_other_units_are_shown(make_napari_viewer, qtbot):
    grid = SCANS["axial"]
    gaps = np.full(grid.shape, np.nan, np.float32)
    gaps[:, :, 9:] = 40.0
    constant = Volume(np.full(grid.shape, 7, np.int16), grid, VolumeMetadata("constant", "MR"))
    reading = Reading(make_napari_viewer, qtbot, constant, Volume(gaps, grid, VolumeMetadata("gaps", "CT", "HU")))
    viewer = reading.viewer
    other = viewer.add_layer(Image(np.arange(480.0).reshape(6, 8, 10), name="cm", units="cm", scale=(0.25, 0.1, 0.1)))
    rotated = viewer.add_layer(Image(np.arange(480.0).reshape(6, 8, 10), name="pixels", shear=[0.2, 0, 0]))
    before = [np.array(layer.data_to_world((1.0, 2.0, 3.0))) for layer in (other, rotated)]
    for layer, says in ((reading.layers[1], ("no value", "40 HU")), (reading.layers[0], ("7", "7"))):
        for each in viewer.layers:
            each.visible = each is layer
        viewer.layers.selection.active = layer
        reading.key(Qt.Key.Key_F7)
        reading.key(Qt.Key.Key_1, ALT)
        width = np.ptp(layer.contrast_limits)
        reading.drag([(60, 60), (90, 60)], LEFT, SHIFT)
        assert np.ptp(layer.contrast_limits) > width > 0
        for index, said in zip(((4, 7, 2), (4, 7, 14)), says, strict=True):
            place = grid.to_world(index)
            viewer.dims.set_point([0, 1, 2], place[::-1].tolist())
            reading.hover(reading.pixel(place))
            assert viewer.status == f"{said} · {words.position(place)}"
        reading.key(Qt.Key.Key_F5)
    for layer in (other, rotated):
        layer.visible = True
    reading.key(Qt.Key.Key_F6)
    after = [np.array(layer.data_to_world((1.0, 2.0, 3.0))) for layer in (other, rotated)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert [str(unit) for unit in other.units] == ["centimeter"] * 3
    assert all(
        [layer.name for layer in model.layers] == ["constant", "gaps", "cm", "pixels"]
        for model in reading.room.layouts.models
    )


def test_a_picture_without_a_place_has_one_view(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot)
    for shape, modality in (((1, 40, 30), "DX"), ((5, 40, 30), "MR")):
        grid = Geometry.from_parts(shape, (1.0, 0.2, 0.2))
        reading.show(Volume(np.zeros(grid.shape, np.int16), grid, VolumeMetadata("A", modality, is_placed=False)))
        reading.key(Qt.Key.Key_F7)
        assert reading.room.layouts.panes == []
        # beside another one, as a lateral film beside a frontal one, but without planes
        offered = [name for name, button in reading.room.bar.layout_buttons.items() if button.isEnabled()]
        assert offered == ["one", "two", "row"]
        assert not any(letters(reading.viewer).values())
        reading.wheel(-1)


def test_the_viewer_may_be_closed_with_all_views_open_in_the_middle_of_a_drag(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["axial"]))
    reading.key(Qt.Key.Key_F7)
    canvas = canvas_of(reading.room.layouts.panes[0])
    reading.mouse(QEvent.Type.MouseButtonPress, (60, 60), canvas=canvas)
    reading.mouse(QEvent.Type.MouseMove, (70, 60), Qt.MouseButton.NoButton, canvas=canvas)
    layouts = reading.room.layouts
    reading.viewer.close()
    assert layouts.panes == []


class Refusing(QObject):
    """Keeps a window open, as a question about unsaved results does."""

    def eventFilter(self, watched, event):  # noqa: N802  Qt's name
        if event.type() == QEvent.Type.Close:
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def test_a_window_that_stays_open_after_a_question_has_its_views_again(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, field(SCANS["axial"]))
    reading.key(Qt.Key.Key_F7)
    window, refusing = reading.canvas.window(), Refusing()
    for each in (refusing, reading.room):  # the last one hears first: planes go before anything is asked
        window.installEventFilter(each)
    assert not window.close()
    assert reading.room.layouts.panes == []
    qtbot.waitUntil(lambda: len(reading.room.layouts.panes) == 3, timeout=5000)
    assert {planes.plane_of(model) for model in reading.room.layouts.models[:3]} == set(words.PLANES)
    assert all(pane.widget.isVisible() for pane in reading.room.layouts.panes)
    window.removeEventFilter(refusing)
    reading.viewer.close()
    qtbot.wait(500)
    assert reading.room.layouts.panes == []
