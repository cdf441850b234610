"""Turned planes and slabs: the values of the scan, the same point and true distances, with a real mouse and keys."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QInputDialog

from costly import few_of
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data, to_display, to_patient
from napari_radcnn.gui.reading import planes, words
from napari_radcnn.gui.reading.cuts.frames import Frame, side_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import FIELD_COEFFICIENTS
from napari_radcnn.reformatting import slab_depths
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata
from played import use_engine
from reading_room import ALT, CONTROL, LEFT, NONE, RIGHT, SCANS, SHIFT, Reading, field
from screens import pump
from turned_planes import Cutting

pytestmark = pytest.mark.gui


def grays_of(cutting, view, thickness=0.0, kind="maximum"):
    """Return the gray values of a closed form in a covered view, and which pixels lie well within the scan."""
    layer, grid = cutting.layers[0], view.grid(1)
    geometry = layer.metadata["radcnn"]["place"].native
    pixels = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))
    index = geometry.to_index(pixels)
    inside = ((index >= 0) & (index <= np.array(geometry.shape) - 1)).all(-1)
    low, high = layer.contrast_limits
    values = pixels @ FIELD_COEFFICIENTS
    if thickness:
        depths = slab_depths(geometry, grid, thickness)
        deep = pixels[..., None, :] + depths[:, None] * grid.normal
        index = geometry.to_index(deep)
        inside = ((index >= 0) & (index <= np.array(geometry.shape) - 1)).all((-1, -2))
        across = deep @ FIELD_COEFFICIENTS
        values = {"maximum": across.max(-1), "minimum": across.min(-1), "mean": across.mean(-1)}[kind]
    return np.clip((values - low) / (high - low), 0, 1) * 255, inside


def check_picture(cutting, plane, thickness=0.0, kind="maximum"):
    cutting.settle()
    view = cutting.view(plane)
    wanted, inside = grays_of(cutting, view, thickness, kind)
    assert view.shown.shape == (view.height(), view.width(), 4)
    assert inside.sum() > 200
    found = view.shown[..., 0].astype(float)
    assert np.abs(found - wanted)[inside].max() < 1.2
    return found


def check_cross_hairs(cutting):
    """See that the same point of the patient is under every cross-hair."""
    for plane in words.PLANES:
        view = cutting.view(plane)
        right, down = cutting.room._corners(cutting.model(plane)).cross
        if view is not None:
            assert view.position(right, down) == pytest.approx(cutting.cuts.center, abs=0.01)
        else:
            found = to_patient(planes.point_at(cutting.model(plane), right, down))
            flat = [axis for axis in range(3) if axis != planes.PATIENT_AXIS[words.PLANES[plane][0]]]
            assert found[flat] == pytest.approx(cutting.cuts.center[flat], abs=0.01)


@pytest.mark.parametrize("name", few_of(SCANS, "oblique", "left_handed"))
def test_turned_planes_show_the_values_of_the_scan(make_napari_viewer, qtbot, name):
    cutting = Cutting(make_napari_viewer, qtbot, field(SCANS[name]))
    shown = cutting.layers[0].metadata["radcnn"]["place"].shown
    center = shown.to_world((np.array(shown.shape) - 1) / 2)
    cutting.viewer.dims.set_point([0, 1, 2], to_display(center).tolist())
    assert not cutting.desk.awake
    cutting.turn("Axial", 30)
    assert cutting.view("Axial") is None
    reached = cutting.cuts.degrees("Coronal")
    for plane in ("Coronal", "Sagittal"):
        # the mouse stands on whole pixels, of which the ring has a hundred and more to each radian
        assert cutting.cuts.degrees(plane) == pytest.approx(30, abs=0.5)
        assert cutting.cuts.degrees(plane) == pytest.approx(reached, abs=1e-6)
        check_picture(cutting, plane)
    # the line of the coronal plane in the axial one is what was dragged: to the left and back of the patient
    assert cutting.cuts.frames["Coronal"].right == pytest.approx(
        [np.cos(np.radians(reached)), np.sin(np.radians(reached)), 0], abs=2e-3
    )
    check_cross_hairs(cutting)
    cutting.turn("Coronal", -20)
    for plane in words.PLANES:
        check_picture(cutting, plane)
    check_cross_hairs(cutting)
    # a click in a turned plane: all go there, and the picture that was clicked in stays where it was
    before = check_picture(cutting, "Sagittal")
    place, wanted = cutting.at("Sagittal", 1.5, -1.0)
    cutting.drag([place], canvas=cutting.view("Sagittal"))
    assert cutting.cuts.center == pytest.approx(wanted, abs=0.01)
    assert np.array_equal(check_picture(cutting, "Sagittal"), before)
    check_cross_hairs(cutting)
    for plane in words.PLANES:
        check_picture(cutting, plane)
    # the planes are at right angles to each other
    normals = np.stack([frame.normal for frame in cutting.cuts.frames.values()])
    assert normals @ normals.T == pytest.approx(np.eye(3), abs=1e-9)
    # and all of it can be taken back
    cutting.key(Qt.Key.Key_F8)
    assert not cutting.desk.awake
    assert not cutting.cuts.is_turned


def test_what_is_under_the_mouse(make_napari_viewer, qtbot):
    grid = Geometry.from_parts((20, 60, 50), (3.0, 1.5, 1.5), (-40.0, -50.0, 10.0))
    cutting = Cutting(make_napari_viewer, qtbot, field(grid))
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, 30:] = 1
    add_to_viewer(cutting.viewer, layer_data(LabelMap(labels, grid, {1: Label("back")})))
    pump()
    cutting.turn("Axial", 40)
    for right, down in ((4, 3), (-9, 8), (12, -7)):
        pixel, place = cutting.at("Coronal", right, down)
        view = cutting.view("Coronal")
        cutting.mouse(QEvent.Type.MouseMove, pixel, NONE, NONE, canvas=view)
        cutting.qtbot.wait(50)
        value, *rest = cutting.viewer.status.split(" · ")
        assert float(value.removesuffix(" HU")) == pytest.approx(place @ FIELD_COEFFICIENTS, abs=0.06)
        is_back = grid.to_index(place)[1] > 29.5
        assert rest == (["back"] if is_back else []) + [words.position(place.tolist())]
    cutting.desk.show_slab(12.0, "maximum")
    view = cutting.view("Coronal")
    pixel, place = cutting.at("Coronal", 4, 3)
    cutting.mouse(QEvent.Type.MouseMove, pixel, NONE, NONE, canvas=view)
    cutting.qtbot.wait(50)
    depths = slab_depths(grid, view.grid(1), 12.0)
    highest = max((place + depth * view.frame.normal) @ FIELD_COEFFICIENTS for depth in depths)
    assert float(cutting.viewer.status.split(" HU")[0]) == pytest.approx(highest, abs=0.06)
    cutting.qtbot.wait(10)


def test_slabs_in_upright_and_turned_planes(make_napari_viewer, qtbot):
    cutting = Cutting(make_napari_viewer, qtbot, field(SCANS["oblique"]))
    for degrees in (0, 25):
        if degrees:
            cutting.turn("Sagittal", degrees)
        for kind in ("maximum", "minimum", "mean"):
            cutting.desk.show_slab(5.0, kind)
            for plane in words.PLANES:
                check_picture(cutting, plane, 5.0, kind)
            corners = [cutting.room._corners(each).bottom_left[-1] for each in cutting.room.layouts.models]
            assert [text.endswith(" 5 mm") for text in corners] == [True] * 3
        check_cross_hairs(cutting)


def test_keys_and_menu(make_napari_viewer, qtbot, monkeypatch):
    cutting = Cutting(make_napari_viewer, qtbot, field(SCANS["left_handed"]))
    room, cuts = cutting.room, cutting.cuts
    cutting.key(Qt.Key.Key_F5)
    cutting.key(Qt.Key.Key_PageDown, SHIFT)
    cutting.key(Qt.Key.Key_PageDown, SHIFT | CONTROL)
    assert [round(cuts.degrees(plane), 3) for plane in words.PLANES] == [0, 11, 11]
    assert room._own_corners().arms[0] == pytest.approx((np.cos(np.radians(11)), np.sin(np.radians(11))))
    assert room._own_corners().reach == 0  # of one view: nothing else could be seen to turn
    cutting.key(Qt.Key.Key_F3)
    assert cutting.view("Coronal") is not None
    assert room._own_corners().bottom_left == ("Coronal, turned 11°",)
    cutting.key(Qt.Key.Key_PageUp, SHIFT)
    assert cuts.degrees("Axial") == pytest.approx(1)
    for _ in range(3):
        cutting.key(Qt.Key.Key_PageUp, ALT)
    assert (cuts.thickness, cuts.kind) == (5.0, "maximum")
    cutting.key(Qt.Key.Key_PageDown, ALT)
    cutting.key(Qt.Key.Key_Home, ALT)
    assert (cuts.thickness, cuts.kind) == (3.0, "minimum")
    assert room._own_corners().bottom_left[-1].endswith("MinIP 3 mm")
    assert room.bar.upright_button.isEnabled()
    cutting.qtbot.mouseClick(room.bar.upright_button, LEFT)
    assert not cuts.is_turned
    assert cuts.thickness == 3.0
    assert not room.bar.upright_button.isEnabled()
    entries = {text: act for text, _, _, act in room.slab_entries()}
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (7.5, True))
    entries["Another thickness…"]()
    assert cuts.thickness == 7.5
    assert [text for text, _, is_on, _ in room.slab_entries() if is_on] == ["MinIP: the minimum", "Another thickness…"]
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (3.0, False))
    entries["Another thickness…"]()
    assert cuts.thickness == 7.5
    entries["None: planes without thickness"]()
    assert not cutting.desk.awake


def test_wheel_zoom_pan_and_window(make_napari_viewer, qtbot):
    grid = SCANS["axial"]
    cutting = Cutting(make_napari_viewer, qtbot, field(grid))
    cutting.turn("Axial", 35)
    view = cutting.view("Coronal")
    center, normal = cutting.cuts.center, view.frame.normal
    step = float(slab_depths(grid, view.grid(1), 1e3)[1] - slab_depths(grid, view.grid(1), 1e3)[0])
    cutting.wheel(-2, canvas=view)
    assert cutting.cuts.center == pytest.approx(center + 2 * step * normal)  # to the back
    check_picture(cutting, "Coronal")
    check_cross_hairs(cutting)
    cutting.wheel(2, canvas=view)
    assert cutting.cuts.center == pytest.approx(center)
    side = cutting.view("Sagittal")
    cutting.wheel(-1, canvas=side)
    assert (cutting.cuts.center - center) @ (1, 0, 0) > 0  # to the left
    cutting.wheel(1, canvas=side)
    # enlarged about the mouse
    where = view.rect().center().x() - view.width() / 2, view.rect().center().y() - view.height() / 2
    zoom, under = view.zoom, view.position(*where)
    cutting.wheel(2, CONTROL, canvas=view)
    assert view.zoom == pytest.approx(zoom * 1.15**2)
    assert view.position(*where) == pytest.approx(under)
    check_picture(cutting, "Coronal")
    # the middle button moves the picture, the right one the window
    under = view.position(10, 20)
    cutting.drag([(60, 60), (80, 75)], Qt.MouseButton.MiddleButton, canvas=view)
    assert view.position(30, 35) == pytest.approx(under)
    assert cutting.cuts.center == pytest.approx(center)
    limits = list(cutting.layers[0].contrast_limits)
    cutting.drag([(60, 60), (30, 60)], RIGHT, canvas=view)
    narrow = list(cutting.layers[0].contrast_limits)
    assert narrow != limits
    cutting.drag([(60, 60), (90, 70)], LEFT, SHIFT, canvas=view)
    assert list(cutting.layers[0].contrast_limits) != narrow
    check_picture(cutting, "Coronal")
    # upright slabs scroll by slices
    cutting.key(Qt.Key.Key_F8)
    cutting.desk.show_slab(3.0)
    before = cutting.viewer.dims.current_step
    cutting.wheel(-1, canvas=cutting.view("Axial"))
    assert np.subtract(cutting.viewer.dims.current_step, before).tolist() == [-1, 0, 0]
    cutting.wheel(-1, canvas=cutting.view("Sagittal"))
    assert np.subtract(cutting.viewer.dims.current_step, before).tolist() == [-1, 0, 1]
    check_picture(cutting, "Axial", 3.0)


def test_one_view_is_moved_with_the_left_button(make_napari_viewer, qtbot):
    cutting = Cutting(make_napari_viewer, qtbot, field(SCANS["axial"]), layout="one")
    cutting.desk.show_slab(3.0)
    view, center = cutting.view("Axial"), cutting.cuts.center
    under = view.position(0, 0)
    cutting.drag([(60, 60), (85, 75)], canvas=view)
    assert view.position(25, 15) == pytest.approx(under)
    assert cutting.cuts.center == pytest.approx(center)
    cutting.viewer.reset_view()
    assert view.position(0, 0)[:2] == pytest.approx(under[:2], abs=0.5)


def test_letters_at_the_edges(make_napari_viewer, qtbot):
    cutting = Cutting(make_napari_viewer, qtbot, field(SCANS["axial"]))
    room = cutting.room
    cutting.turn("Axial", 40)
    assert room._corners(cutting.model("Coronal")).letters == {"top": "S", "bottom": "I", "left": "RA", "right": "LP"}
    sides = room._corners(cutting.model("Sagittal")).letters
    assert {edge: set(letters) for edge, letters in sides.items()} == {
        "top": {"S"},
        "bottom": {"I"},
        "left": {"A", "L"},
        "right": {"P", "R"},
    }
    cutting.turn("Axial", 50)  # on to 90 degrees: what was coronal is sagittal
    assert room._corners(cutting.model("Coronal")).letters == {"top": "S", "bottom": "I", "left": "A", "right": "P"}
    # of the viewer's own canvas, below which napari's letters are
    cutting.key(Qt.Key.Key_F8)
    assert room._own_corners().letters == {}
    cutting.turn("Coronal", 20)
    assert room._own_corners().letters == {"top": "A", "bottom": "P", "left": "R", "right": "L"}
    assert side_of(np.array([0.2, -0.9, 0.35])) == "A"
    assert side_of(np.array([0.7, -0.1, -0.71])) == "IL"


def test_rulers_in_a_turned_plane_have_their_length_in_the_patient(make_napari_viewer, qtbot):
    grid = Geometry.from_parts((20, 60, 50), (3.0, 1.5, 1.5), (-40.0, -50.0, 10.0))
    cutting = Cutting(make_napari_viewer, qtbot, field(grid))
    cutting.viewer.window.resize(1500, 900)
    _, dock = cutting.viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    section = dock.rulers
    cutting.turn("Axial", 33)
    cutting.turn("Coronal", 21)
    random = np.random.default_rng(3)
    cutting.qtbot.mouseClick(section.tools["distance"], LEFT)
    for plane in ("Axial", "Coronal", "Sagittal"):
        view = cutting.view(plane)
        for _ in range(4):
            ends = random.uniform(40, np.array([view.width(), view.height()]) - 40, (2, 2)).round()
            cutting.drag([tuple(end) for end in ends], canvas=view)
            ruler = section.book.rulers[-1]
            first, second = (np.array(position) for position in ruler.positions)
            on_screen = np.linalg.norm(ends[1] - ends[0]) / view.zoom
            assert section.measured[-1]["length_mm"] == pytest.approx(on_screen, abs=0.01)
            assert np.linalg.norm(second - first) == pytest.approx(on_screen, abs=0.01)
            for position in (first, second):  # in the plane
                assert (position - cutting.cuts.center) @ view.frame.normal == pytest.approx(0, abs=1e-6)
            assert any(np.allclose(mark.points, [first, second]) for mark in cutting.desk.marks(plane))
    # the axes of an area lie along the screen
    cutting.qtbot.mouseClick(section.tools["rectangle"], LEFT)
    view = cutting.view("Sagittal")
    corners = (np.array([60, 70]), np.array([160, 130]))
    cutting.drag([tuple(corner) for corner in corners], canvas=view)
    area = np.prod(np.abs(corners[1] - corners[0])) / view.zoom**2
    assert section.measured[-1]["area_mm2"] == pytest.approx(area, rel=1e-6)
    assert cutting.cuts.is_turned  # nothing was moved


def test_painting_is_refused_with_a_word(make_napari_viewer, qtbot, monkeypatch):
    use_engine(monkeypatch).radius = 3.0
    grid = Geometry.from_parts((20, 60, 50), (3.0, 1.5, 1.5), (-40.0, -50.0, 10.0))
    cutting = Cutting(make_napari_viewer, qtbot, field(grid))
    _, dock = cutting.viewer.window.add_plugin_dock_widget("napari-radcnn", "Interactive segmentation")
    cutting.turn("Axial", 30)
    dock.engine_combo.setCurrentIndex(dock.engine_combo.findData("region"))  # a ball, here
    dock.start()
    cutting.qtbot.waitUntil(lambda: dock.editing is not None and dock.editing.is_open, timeout=60_000)
    cutting.qtbot.waitUntil(lambda: not dock.editing.steps.unfinished, timeout=60_000)
    session, palette = dock.editing.session, dock.palette_box
    center = cutting.cuts.center
    view = cutting.view("Coronal")
    for tool in ("brush", "scribble", "lasso", "box", "eraser"):
        palette.choose(tool)
        pixel, _ = cutting.at("Coronal", 5, 4)
        cutting.drag([pixel, (pixel[0] + 20, pixel[1] + 9)], canvas=view)
        cutting.qtbot.waitUntil(lambda: not dock.editing.steps.unfinished, timeout=60_000)
        assert not session.labels.any()
        assert "only points" in dock.message_label.text()
    palette.choose("point")
    pixel, place = cutting.at("Coronal", 6, -3)
    cutting.drag([pixel], canvas=view)
    cutting.qtbot.waitUntil(lambda: not dock.editing.steps.unfinished and session.labels.any(), timeout=60_000)
    assert session.labels[tuple(np.rint(grid.to_index(place)).astype(int))] == session.active
    assert np.array(session.prompts(session.active)[-1].points[0]) == pytest.approx(place, abs=0.01)
    assert cutting.cuts.center == pytest.approx(center)


def test_naparis_own_tools(make_napari_viewer, qtbot):
    grid = Geometry.from_parts((20, 60, 50), (3.0, 1.5, 1.5), (-40.0, -50.0, 10.0))
    cutting = Cutting(make_napari_viewer, qtbot, field(grid))
    drawn = add_to_viewer(cutting.viewer, layer_data(LabelMap(np.zeros(grid.shape, np.uint8), grid, {1: Label("a")})))
    cutting.turn("Axial", 30)
    cutting.viewer.layers.selection.active = drawn
    drawn.mode, drawn.selected_label = "paint", 1
    view, center = cutting.view("Coronal"), cutting.cuts.center
    pixel, place = cutting.at("Coronal", 5, 4)
    cutting.drag([pixel, (pixel[0] + 20, pixel[1] + 9)], canvas=view)
    assert not np.asarray(drawn.data).any()
    assert "cannot be painted on" in cutting.room._corners(cutting.model("Coronal")).bottom_left[0]
    assert cutting.cuts.center == pytest.approx(center)
    points = cutting.viewer.add_layer(Points(ndim=3, scale=(2, 1, 1), name="dots"))
    points.mode = "add"
    pump()
    pixel, place = cutting.at("Coronal", 5, 4)
    cutting.drag([pixel], canvas=view)
    assert to_patient(points.data_to_world(points.data[0])) == pytest.approx(place, abs=0.01)
    cutting.settle()
    assert len(cutting.desk.marks("Coronal")) == 1


def test_bad_planes_and_slabs(make_napari_viewer, qtbot):
    grid = SCANS["oblique"]
    cutting = Cutting(make_napari_viewer, qtbot, field(grid))
    viewer, desk = cutting.viewer, cutting.desk
    cutting.turn("Axial", 30)
    desk.move_to(np.array([4000.0, -4000.0, 500.0]))  # far outside: to the edge of what there is
    low, high = (np.array([getattr(each, end) for each in viewer.dims.range])[::-1] for end in ("start", "stop"))
    assert (cutting.cuts.center >= low - 1e-6).all()
    assert (cutting.cuts.center <= high + 1e-6).all()
    cutting.settle()
    assert (cutting.view("Coronal").shown[..., :3] == 0).any()
    desk.show_slab(1000.0, "mean")  # thicker than the scan
    cutting.settle()
    assert cutting.view("Coronal").shown[..., 0].any()
    # a plane through nothing: black, and nothing is said of values
    cutting.cuts.center = cutting.cuts.center + 1e4
    desk.cuts.thickness = 0.0
    desk._redraw()
    cutting.settle()
    assert not cutting.view("Coronal").shown[..., :3].any()
    assert "HU" not in desk.line(cutting.model("Coronal"), (3.0, 4.0))
    # 3-D has no planes to turn
    cutting.key(Qt.Key.Key_F8)
    cutting.key(Qt.Key.Key_F5)
    viewer.dims.ndisplay = 3
    cutting.key(Qt.Key.Key_PageDown, SHIFT)
    assert not cutting.cuts.is_turned
    viewer.dims.ndisplay = 2
    # without layers, and with the next ones
    desk.show_slab(3.0)
    assert desk.awake
    viewer.layers.clear()
    pump()
    assert not desk.awake
    desk.turn(viewer, 10)
    desk.show_slab(5.0)
    assert not cutting.cuts.is_turned
    add_to_viewer(viewer, layer_data(field(SCANS["axial"])))
    pump()


def test_a_radiograph_has_no_planes(make_napari_viewer, qtbot):
    film = Volume(np.zeros((1, 30, 40), np.uint8), Geometry.from_parts((1, 30, 40), (1, 0.2, 0.2)))
    film = Volume(film.array, film.geometry, VolumeMetadata(name="film", modality="DX", is_placed=False))
    reading = Reading(make_napari_viewer, qtbot, film)
    reading.key(Qt.Key.Key_PageDown, SHIFT)
    reading.key(Qt.Key.Key_PageUp, ALT)
    assert not reading.room.desk.is_used
    assert not reading.room.bar.slab_button.isEnabled()


def test_layers_are_seen_as_napari_blends_them(make_napari_viewer, qtbot):
    grid = Geometry.from_parts((20, 60, 50), (3.0, 1.5, 1.5), (-40.0, -50.0, 10.0))
    flat = Volume(np.full(grid.shape, 50, np.int16), grid, VolumeMetadata(name="CT", modality="CT", units="HU"))
    cutting = Cutting(make_napari_viewer, qtbot, flat)
    base = cutting.layers[0]
    base.contrast_limits = (0, 100)
    labels = np.zeros(grid.shape, np.uint8)
    labels[:, :, 25:] = 2
    marked = add_to_viewer(cutting.viewer, layer_data(LabelMap(labels, grid, {2: Label("left", (1.0, 0.0, 0.0))})))
    marked.opacity = 0.4
    cutting.desk.show_slab(4.0)
    cutting.settle()
    view = cutting.view("Axial")

    def color(place):
        right, down = (view.pixel(place) + np.array([view.width(), view.height()]) / 2).astype(int)
        return view.shown[down, right, :3].tolist()

    right_side, left_side = np.array([-20, 0, 40.0]), np.array([20, 0, 40.0])
    assert color(right_side) == pytest.approx([127.5] * 3, abs=1.1)
    assert color(left_side) == pytest.approx([127.5 * 0.6 + 255 * 0.4, 127.5 * 0.6, 127.5 * 0.6], abs=1.1)
    base.visible = False
    cutting.settle()
    assert color(right_side) == [0, 0, 0]
    assert color(left_side) == pytest.approx([102, 0, 0], abs=1.1)
    marked.contour = 1
    cutting.settle()
    assert color(left_side) == [0, 0, 0]
    base.visible, marked.visible = True, False
    base.colormap, base.gamma = "red", 2.0
    cutting.settle()
    assert color(left_side) == pytest.approx([255 / 4, 0, 0], abs=1.1)
    hot = cutting.viewer.add_image(np.full(grid.shape, 1.0), scale=grid.spacing, translate=grid.origin[::-1])
    hot.blending, hot.colormap, hot.contrast_limits, hot.units = "additive", "green", (0, 2), "mm"
    pump()
    cutting.settle()
    assert color(left_side) == pytest.approx([255 / 4, 127.5, 0], abs=1.1)


def test_turned_planes_leave_nothing_behind(make_napari_viewer, qtbot):
    cutting = Cutting(make_napari_viewer, qtbot, field(SCANS["oblique"]), layout="four")
    cutting.turn("Axial", 20)
    cutting.key(Qt.Key.Key_F5)
    assert not cutting.desk.awake  # the axial plane is upright
    cutting.key(Qt.Key.Key_F7)
    assert len(cutting.desk.awake) == 2
    gone = [weakref.ref(cutting.desk), weakref.ref(cutting.cuts), *map(weakref.ref, cutting.desk.awake)]
    cutting.viewer.close()
    del cutting

    def left():
        pump(3)
        gc.collect()
        return [each for each in gone if each() is not None]

    qtbot.waitUntil(lambda: not left(), timeout=5000)


def test_a_frame_keeps_its_right_angles():
    frame, random = Frame.upright("Coronal"), np.random.default_rng(1)
    for _ in range(2000):
        axis = random.normal(size=3)
        frame = frame.turned(axis / np.linalg.norm(axis), random.uniform(-5, 5))
    assert frame.right @ frame.down == pytest.approx(0, abs=1e-12)
    assert np.linalg.norm(frame.right) == pytest.approx(1, abs=1e-12)
    own = frame.turned(frame.normal, 90)
    assert own.right == pytest.approx(frame.down)
