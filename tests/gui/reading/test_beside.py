"""Scans side by side in the real viewer: what is linked and let loose, by mouse and by keys alone."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_radcnn.gui.layers.belonging import identity, made_of
from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data, to_display
from napari_radcnn.gui.layers.view import letters
from napari_radcnn.gui.reading import planes
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.results import Label, LabelMap
from reading_room import ALT, CONTROL, PLAIN, RIGHT, SHIFT, canvas_of
from screens import pump
from side_by_side import ALT_SHIFT, APART, BEFORE, NOW, SideBySide, moved, scan

pytestmark = pytest.mark.gui

JANE = {"patient_name": "Doe^Jane", "patient_id": "1"}


def of_one_frame(**known):
    prior = scan(BEFORE, "CT 1", frame_of_reference_uid="1.2", study_uid="s1", study_date="2024-02-03", **JANE, **known)
    return prior, scan(NOW, "CT 2", frame_of_reference_uid="1.2", study_uid="s2", study_date="2025-06-07", **JANE)


def slack(layer):
    """Return half a voxel along x, y, z."""
    return np.array(layer.metadata["radcnn"]["place"].shown.spacing)[::-1] / 2 + 0.01


def test_one_frame_of_reference_links_position_zoom_and_window_until_let_loose(make_napari_viewer, qtbot):
    reading = SideBySide(make_napari_viewer, qtbot, *of_one_frame())
    prior, now = reading.layers
    side, bar, viewer = reading.side, reading.beside.bar, reading.viewer
    assert [layer.name for layer in side.model.layers] == ["CT 1"]
    assert side.model.layers[0].data is prior.data
    assert (now.visible, prior.visible, side.model.layers[0].visible) == (True, False, True)
    assert letters(side.model) == letters(viewer)
    assert "Linked: one frame of reference" in reading.message()
    corners = reading.room._corners(side.model)
    assert corners.top_left == ("CT 1 · 2024-02-03",)
    assert corners.private[0] == "Doe^Jane · 1"
    assert corners.warnings == ()
    assert reading.room._own_corners().top_left == ("▸ CT 2 · 2025-06-07",)
    # position: from the first to the other one, and back, by the wheel and by a click
    place = BEFORE.to_world((5, 4, 6))
    reading.go(place)
    assert np.abs(reading.there() - reading.here()).max() < max(slack(prior)) + 0.01
    assert (np.abs(reading.there() - place) <= slack(prior)).all()
    reading.wheel(-1)
    assert (np.abs(reading.there() - reading.here()) <= slack(prior) + slack(now)).all()
    step = side.model.dims.current_step[0]
    reading.wheel(-1, canvas=reading.side_canvas)
    assert side.model.dims.current_step[0] == step - 1
    assert abs(reading.here()[2] - reading.there()[2]) <= slack(now)[2]
    target = side.model.dims.point[0]
    reading.click_side((place[0] + 4.0, place[1] - 3.0, target))
    assert np.allclose(reading.there()[:2], (place[0] + 4.0, place[1] - 3.0), atol=0.5)  # a pixel is a part of a mm
    assert (np.abs(reading.here() - reading.there()) <= slack(now)).all()
    # zoom and pan: one scale, and the same part of the patient
    assert viewer.scene.camera.zoom == pytest.approx(side.model.scene.camera.zoom)
    reading.wheel(2, CONTROL, canvas=reading.side_canvas)
    reading.drag([(60, 60), (80, 75)], Qt.MouseButton.MiddleButton)
    assert viewer.scene.camera.zoom == pytest.approx(side.model.scene.camera.zoom)
    assert np.allclose(viewer.scene.camera.center[-2:], side.model.scene.camera.center[-2:])
    # the plane goes along
    reading.key(Qt.Key.Key_F4)
    assert planes.plane_of(side.model) == planes.plane_of(viewer) == "Sagittal"
    reading.key(Qt.Key.Key_F2)
    # one window
    reading.key(Qt.Key.Key_3, ALT)
    assert list(now.contrast_limits) == list(prior.contrast_limits) == [-500, 1300]
    assert list(side.model.layers[0].contrast_limits) == [-500, 1300]
    reading.drag([(60, 60), (90, 60)], RIGHT, canvas=reading.side_canvas)
    assert list(now.contrast_limits) == list(prior.contrast_limits) != [-500, 1300]
    # each let loose: by its button, and by its key
    reading.press(bar.link_buttons["window"])
    limits = list(now.contrast_limits)
    reading.drag([(60, 60), (40, 60)], RIGHT, canvas=reading.side_canvas)
    assert list(now.contrast_limits) == limits != list(prior.contrast_limits)
    reading.key(Qt.Key.Key_W, ALT_SHIFT)
    assert list(now.contrast_limits) == list(prior.contrast_limits) == limits  # that of the first
    reading.key(Qt.Key.Key_Z, ALT_SHIFT)
    assert not bar.link_buttons["zoom"].isChecked()
    zoom = viewer.scene.camera.zoom
    reading.wheel(1, CONTROL, canvas=reading.side_canvas)
    assert viewer.scene.camera.zoom == zoom != side.model.scene.camera.zoom
    reading.press(bar.link_buttons["zoom"])
    assert side.model.scene.camera.zoom == pytest.approx(zoom)
    reading.press(bar.link_buttons["position"])
    there = reading.there()
    reading.wheel(-2)
    assert np.allclose(reading.there(), there)
    here = reading.here()
    reading.wheel(1, canvas=reading.side_canvas)
    assert np.allclose(reading.here(), here)
    assert "Loose" in reading.message()
    reading.key(Qt.Key.Key_P, ALT_SHIFT)
    assert (np.abs(reading.there() - here) <= slack(prior)).all()
    # what is under the mouse at the side is that scan's
    reading.hover(reading.pixel(reading.there(), side.model, reading.side_canvas), canvas=reading.side_canvas)
    assert " HU · " in viewer.status
    # and one scan again
    reading.key(Qt.Key.Key_F5)
    assert not reading.beside.is_on
    assert bar.isHidden()
    assert not side.widget.isVisible()
    assert (now.visible, prior.visible) == (True, False)


def test_scans_without_a_common_place_are_linked_by_keys_alone(make_napari_viewer, qtbot):
    prior = scan(moved(BEFORE, APART), "CT 1", frame_of_reference_uid="1", **JANE)
    now = scan(NOW, "CT 2", frame_of_reference_uid="2", patient_name="Roe^Ann", patient_id="2")
    reading = SideBySide(make_napari_viewer, qtbot, prior, now)
    side, beside, bar = reading.side, reading.beside, reading.beside.bar
    first, second = reading.layers[1], reading.layers[0]
    assert "Not linked" in reading.message()
    assert "color" in reading.message()
    assert "Two different patients" in reading.message()
    assert reading.room._corners(side.model).warnings == ("Another patient", "Not linked")
    assert not bar.link_buttons["position"].isEnabled()
    before = reading.there()
    reading.wheel(-1)
    assert np.allclose(reading.there(), before)
    # to the same place in both: the arrows and slices of the first view, then of the other one
    wanted, theirs = NOW.to_world((4, 6, 8)), BEFORE.to_world((6, 5, 7)) + APART
    walk(reading, 0, wanted, first)
    reading.key(Qt.Key.Key_V, ALT_SHIFT)
    assert beside.keyed == 1
    assert reading.room._corners(side.model).top_left[0].startswith("▸ ")
    walk(reading, 1, theirs, second)
    one, two = beside.place[::-1].copy(), side.place[::-1].copy()
    assert (np.abs(one - wanted) <= 2 * slack(first)).all()
    assert (np.abs(two - theirs) <= 2 * slack(second)).all()
    reading.key(Qt.Key.Key_F11, SHIFT)
    assert "Linked: same place" in reading.message()
    assert bar.link_buttons["position"].isChecked()
    # from now on both go along: what is between them stays
    reading.key(Qt.Key.Key_V, ALT_SHIFT)
    assert beside.keyed == 0
    for n in range(3):
        reading.key((Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_PageUp)[n], (SHIFT, SHIFT, ALT_SHIFT)[n])
        assert np.allclose(side.place[::-1] - beside.place[::-1], two - one)
        shown = np.array(side.model.dims.point)[0]
        assert abs(shown - side.place[0]) <= slack(second)[2]
        assert np.allclose(reading.there()[:2], side.place[::-1][:2])
    center = np.array(reading.viewer.scene.camera.center[-2:]) + (two - one)[::-1][1:]
    assert np.allclose(side.model.scene.camera.center[-2:], center)
    reading.key(Qt.Key.Key_F12, SHIFT)
    assert "Not linked" in reading.message()
    there = side.place.copy()
    reading.key(Qt.Key.Key_Right, SHIFT)
    assert np.array_equal(side.place, there)
    reading.press(bar.same_button)
    assert beside.link_to(second) is not None
    reading.press(bar.undo_button)
    assert beside.link_to(second) is None
    assert not bar.undo_button.isEnabled()


def walk(reading, number, wanted, layer):
    """Go to a place, LPS mm, in a view, by keys alone."""
    spacing = np.array(layer.metadata["radcnn"]["place"].shown.spacing)[::-1]
    dims = reading.viewer.dims if number == 0 else reading.side.model.dims
    step = np.array([each.step for each in dims.range])[-3:][::-1]
    place = reading.beside.place if number == 0 else reading.side.place
    n_right, n_down, n_up = np.rint((wanted - place[::-1]) / step).astype(int)
    for n, forth, back, how in (
        (n_right, Qt.Key.Key_Right, Qt.Key.Key_Left, SHIFT),
        (n_down, Qt.Key.Key_Down, Qt.Key.Key_Up, SHIFT),
        (n_up, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, ALT_SHIFT),
    ):
        for _ in range(abs(n)):
            reading.key(forth if n > 0 else back, how)
    assert (spacing > 0).all()


def test_labels_are_seen_through_the_link_and_copied(make_napari_viewer, qtbot):
    prior = scan(moved(BEFORE, APART), "CT 1", **JANE)
    reading = SideBySide(make_napari_viewer, qtbot, prior, scan(NOW, "CT 2", **JANE))
    viewer, beside, side = reading.viewer, reading.beside, reading.side
    old, new = reading.layers
    array = np.zeros(BEFORE.shape, np.uint8)
    array[3:9, 2:8, 4:11] = 3
    labels = LabelMap(array, prior.geometry, {3: Label("lesion", (1.0, 0.0, 0.0))}, "drawn")
    drawn = add_to_viewer(viewer, made_of(layer_data(labels), identity(old)))
    pump()
    assert not drawn.visible  # not over the other scan, whose place is another one
    assert [layer.name for layer in side.model.layers] == ["CT 1", "drawn"]
    assert side.model.layers[1].visible
    drawn.visible = True  # by the eye in the list of layers
    assert (drawn.visible, side.model.layers[1].visible) == (False, False)
    drawn.visible = True
    assert (drawn.visible, side.model.layers[1].visible) == (False, True)
    here, there = NOW.to_world((4, 6, 8)), BEFORE.to_world((6, 5, 7)) + APART
    reading.go(here)
    beside.move_to(old, to_display(there))
    between = side.place[::-1] - beside.place[::-1]
    reading.key(Qt.Key.Key_F11, SHIFT)
    reading.key(Qt.Key.Key_L, ALT_SHIFT)
    (picture,) = reading.room._own_corners().pictures
    shown = drawn.metadata["radcnn"]["place"].shown
    corner = shown.to_world(np.array((0.0, 0.0, 0.0)) - 0.5) - between  # of the labels' array, in the first scan
    expected = np.array(reading.pixel(corner)) - np.array((reading.canvas.width(), reading.canvas.height())) / 2
    assert np.allclose((picture.left, picture.top), expected, atol=0.01)
    zoom = viewer.scene.camera.zoom
    assert picture.width == pytest.approx(shown.shape[2] * shown.spacing[2] * zoom)
    index = round((beside.place[0] + between[2] - shown.origin[2]) / shown.spacing[0])
    cut = np.asarray(drawn.data)[index] == 3
    assert cut.any()
    red = np.array(
        [
            [picture.image.pixelColor(x, y).getRgb() == (255, 0, 0, 255) for x in range(cut.shape[1])]
            for y in range(cut.shape[0])
        ]
    )
    assert (red <= cut).all()
    rows, columns = np.nonzero(cut)
    assert red[rows.min()].sum() == cut[rows.min()].sum()
    assert red[:, columns.max()].sum() == cut[:, columns.max()].sum()
    # copied: on the grid of the other scan, belongs to it, and is taken back
    (entry,) = [each for each in beside.copy_entries() if each[0].startswith("drawn")]
    assert entry[0] == "drawn to CT 2"
    entry[3]()
    qtbot.waitUntil(lambda: beside.copies.job is None)
    made = viewer.layers["drawn (from CT 1)"]
    assert made.visible
    found = label_map_from_layer(made)
    assert found.geometry.is_close(NOW)
    voxels = np.stack(np.meshgrid(*map(np.arange, NOW.shape), indexing="ij"), -1)
    back = np.rint(prior.geometry.to_index(NOW.to_world(voxels) + between)).astype(int)
    inside = ((back >= 0) & (back < BEFORE.shape)).all(-1)
    where = tuple(np.where(inside[..., None], back, 0).reshape(-1, 3).T)
    assert np.array_equal(found.array, np.where(inside, array[where].reshape(NOW.shape), 0))
    assert found.array.any()
    assert [layer.name for layer in side.model.layers] == ["CT 1", "drawn"]
    reading.press(beside.bar.undo_button)
    assert "drawn (from CT 1)" not in viewer.layers
    # one that was painted in stays
    entry[3]()
    qtbot.waitUntil(lambda: beside.copies.job is None)
    made = viewer.layers["drawn (from CT 1)"]
    made.data_setitem((np.array([1]), np.array([1]), np.array([1])), np.array([3]))
    reading.key(Qt.Key.Key_F12, SHIFT)
    assert made in viewer.layers
    assert "changed since" in reading.message()
    reading.key(Qt.Key.Key_F5)
    assert not drawn.visible
    new.visible, old.visible = False, True  # shown alone: its labels come back with it
    assert drawn.visible


def test_two_planes_of_each_and_three_scans(make_napari_viewer, qtbot):
    third = scan(NOW, "CT 3", frame_of_reference_uid="1.2", **JANE)
    reading = SideBySide(make_napari_viewer, qtbot, third, *of_one_frame(), key=(Qt.Key.Key_F9, SHIFT))
    layouts, beside = reading.room.layouts, reading.beside
    assert layouts.name == "grid"
    models = [reading.viewer, layouts.panes[0].model, *(pane.model for pane in beside.panes)]
    assert [planes.plane_of(model) for model in models] == ["Axial", "Coronal", "Axial", "Coronal"]
    assert [model.layers[-1].name for model in models[1:]] == ["CT 2", "CT 1", "CT 1"]
    place = BEFORE.to_world((5, 4, 6))
    coronal = layouts.panes[0]
    reading.click(reading.pixel(place, coronal.model, canvas_of(coronal)), canvas=canvas_of(coronal))
    for number in range(2):
        assert (np.abs(reading.there(number) - reading.here()) <= slack(reading.layers[1]) + 0.5).all()
    pane = beside.panes[1]
    reading.click(reading.pixel(place, pane.model, canvas_of(pane)), canvas=canvas_of(pane))
    assert np.abs(np.array(beside.panes[0].place) - pane.place).max() < 1e-9
    reading.key(Qt.Key.Key_F3)
    assert [planes.plane_of(model) for model in models] == ["Coronal", "Axial", "Coronal", "Axial"]
    reading.key(Qt.Key.Key_F2)
    # another scan at the side: by a key, and by the list
    assert beside.bar.combos[1].isHidden()
    reading.key(Qt.Key.Key_N, ALT_SHIFT)
    assert [pane.scan.name for pane in beside.panes] == ["CT 3", "CT 3"]
    combo = beside.bar.combos[0]
    combo.setCurrentIndex(1 - combo.currentIndex())
    assert [pane.scan.name for pane in beside.panes] == ["CT 1", "CT 1"]
    reading.key(Qt.Key.Key_F8, CONTROL | SHIFT)
    assert layouts.name == "row"
    assert [pane.scan.name for pane in beside.panes] == ["CT 1", "CT 3"]
    assert [widget.isVisible() for widget in (beside.panes[0].widget, beside.panes[1].widget)] == [True, True]
    assert not layouts._planes[0].widget.isVisible()
    reading.go(NOW.to_world((3, 5, 6)))
    assert np.allclose(beside.panes[0].place, beside.panes[1].place)
    reading.key(Qt.Key.Key_F7)
    assert [planes.plane_of(model) for model in layouts.models[:3]] == ["Axial", "Coronal", "Sagittal"]
    assert not beside.is_on


def test_a_scan_that_is_closed_or_chosen_meanwhile(make_napari_viewer, qtbot):
    third = scan(NOW, "CT 3", frame_of_reference_uid="1.2", **JANE)
    reading = SideBySide(make_napari_viewer, qtbot, third, *of_one_frame())
    viewer, beside = reading.viewer, reading.beside
    three, prior, now = reading.layers
    assert (beside.first, beside.others) == (now, [prior])
    now.visible, prior.visible = False, True  # as a click in the list of scans does
    assert (beside.first, beside.others) == (prior, [now])
    assert (prior.visible, now.visible) == (True, False)
    assert reading.side.model.layers[0].name == "CT 2"
    three.visible = True  # is the first now, and the other one stays
    pump()
    assert beside.first in (three, prior)
    viewer.layers.remove(beside.others[0])
    pump()
    assert not beside.is_on
    assert "was closed" in reading.room.said
    assert sum(layer.visible for layer in viewer.layers) == 1
    reading.key(Qt.Key.Key_F8, SHIFT)
    assert beside.is_on
    viewer.layers.remove(beside.first)
    pump()
    assert not beside.is_on
    (left,) = viewer.layers
    assert left.visible
    reading.key(Qt.Key.Key_F8, SHIFT)
    assert not beside.is_on
    assert "Only one scan is open" in reading.room.said
    viewer.layers.clear()
    reading.key(Qt.Key.Key_F8, SHIFT)
    assert not beside.is_on


def test_no_overlap_other_modalities_and_pictures_without_a_place(make_napari_viewer, qtbot):
    far = scan(moved(BEFORE, (0.0, 0.0, 400.0)), "MR 1", modality="MR", units="", frame_of_reference_uid="1.2")
    film = scan(NOW, "DX 1", modality="DX", units="", is_placed=False)
    reading = SideBySide(make_napari_viewer, qtbot, film, far, scan(NOW, "CT 2", frame_of_reference_uid="1.2"))
    beside, bar = reading.beside, reading.beside.bar
    beside.choose_other(0, reading.layers[1])
    assert "No overlap" in reading.message()
    assert "CT beside MR" in reading.message()
    assert reading.room._corners(reading.side.model).warnings == ("No overlap",)
    assert not bar.link_buttons["window"].isEnabled()
    limits = list(reading.layers[1].contrast_limits)
    reading.key(Qt.Key.Key_3, ALT)
    assert list(reading.layers[1].contrast_limits) == limits
    camera = np.array(reading.side.model.scene.camera.center[-2:])
    reading.drag([(60, 60), (80, 75)], Qt.MouseButton.MiddleButton)
    assert np.allclose(reading.side.model.scene.camera.center[-2:], camera)  # it would be out of sight
    beside.choose_other(0, reading.layers[0])
    assert "without a place" in reading.message()
    assert not bar.link_buttons["position"].isEnabled()
    assert reading.room._corners(reading.side.model).cross is None
    reading.key(Qt.Key.Key_F11, SHIFT)
    assert beside.links.declared == {}
    assert not bar.link_buttons["position"].isEnabled()


def test_slices_beyond_the_other_scan_are_said(make_napari_viewer, qtbot):
    low = scan(moved(BEFORE, (0.0, 0.0, -20.0)), "CT 1", frame_of_reference_uid="1.2")
    reading = SideBySide(make_napari_viewer, qtbot, low, scan(NOW, "CT 2", frame_of_reference_uid="1.2"))
    shown = reading.layers[0].metadata["radcnn"]["place"].shown
    top = shown.origin[2] + (shown.shape[0] - 0.5) * shown.spacing[0]
    for _ in range(60):
        reading.wheel(1)
    past = reading.beside.place[0] - top
    assert past > 5
    (line,) = reading.room._corners(reading.side.model).warnings
    assert line == f"{past:.1f} mm beyond this scan".replace(".0 mm", " mm")


def _n_canvases():
    pump(3)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # as the event loop of a program does
    gc.collect()
    return len(QtViewer._instances)


def n_callbacks(viewer):
    owners = [*viewer.layers, viewer.scene.camera, viewer.dims]
    return sum(len(emitter.callbacks) for owner in owners for emitter in owner.events.emitters.values())


def go_round(room):
    for name in ("two", "grid", "row", "one"):
        room.choose_layout(name)
        pump()


def test_nothing_is_left_behind(make_napari_viewer, qtbot):
    reading = SideBySide(make_napari_viewer, qtbot, *of_one_frame(), key=None)
    viewer, beside = reading.viewer, reading.beside

    go_round(reading.room)
    go_round(reading.room)
    _n_canvases()
    n_widgets, n_heard = len(reading.canvas.window().findChildren(QWidget)), n_callbacks(viewer)
    go_round(reading.room)
    assert _n_canvases() == 1 + len(reading.room.layouts._planes) + len(beside._pool)
    assert len(reading.canvas.window().findChildren(QWidget)) <= n_widgets
    assert n_callbacks(viewer) <= n_heard
    # scans that are closed while they are side by side
    reading.key(Qt.Key.Key_F9, SHIFT)
    copies = [layer for pane in beside.panes for layer in pane.model.layers]
    # no scan has a name here: napari looks at those of this function when it names a layer, and Python keeps them
    gone = [weakref.ref(each) for layer in (*reading.layers, *copies) for each in (layer, layer.data)]
    copies.clear()
    reading.layers.clear()
    viewer.layers.clear()
    qtbot.waitUntil(lambda: _n_canvases() > 0 and not any(each() is not None for each in gone))
    views = [weakref.ref(each) for pane in beside._pool for each in (pane, pane.model, pane.widget, pane.overlay)]
    viewer.close()
    del beside, reading, viewer
    qtbot.waitUntil(lambda: _n_canvases() == 0)
    assert [each() for each in views] == [None] * len(views)


def test_closing_the_window_while_scans_are_side_by_side(make_napari_viewer, qtbot):
    reading = SideBySide(make_napari_viewer, qtbot, *of_one_frame())
    views = [weakref.ref(each) for pane in reading.beside._pool for each in (pane, pane.model, pane.widget)]
    reading.viewer.close()
    del reading
    qtbot.waitUntil(lambda: _n_canvases() == 0)
    assert [each() for each in views] == [None] * len(views)


def test_plain_keys_do_nothing_while_one_scan_is_shown(make_napari_viewer, qtbot):
    reading = SideBySide(make_napari_viewer, qtbot, *of_one_frame(), key=None)
    for key, how in ((Qt.Key.Key_F11, SHIFT), (Qt.Key.Key_V, ALT_SHIFT), (Qt.Key.Key_P, ALT_SHIFT)):
        reading.key(key, how)
    assert reading.beside.links.wanted == {"position": True, "zoom": True, "window": True}
    assert reading.beside.links.declared == {}
    reading.key(Qt.Key.Key_F2, PLAIN)
    assert not reading.beside.is_on
