"""napari's own tools for labels, in every plane: the voxels under the mouse, one undo for all planes."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from costly import few_of
from napari_radcnn.gui.layers.layers import layer_data, to_display
from napari_radcnn.gui.reading import planes, words
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.results import Label, LabelMap
from played import scan as turned_scan
from reading_room import CONTROL, SCANS, Reading, canvas_of, field
from screens import pump

pytestmark = pytest.mark.gui

GRIDS = {
    "turned": turned_scan().geometry,
    "oblique": oblique_geometry((14, 20, 24)),
    "left_handed": SCANS["left_handed"],
}


def open_labels(make_napari_viewer, qtbot, grid):
    reading = Reading(make_napari_viewer, qtbot, field(grid))
    layer = add_to_viewer(
        reading.viewer, layer_data(LabelMap(np.zeros(grid.shape, np.uint8), grid, {3: Label("vessel")}))
    )
    reading.viewer.layers.selection.active = layer
    layer.selected_label = 3
    return reading, layer


def stroke(reading, pane_model, canvas, positions):
    """Paint through LPS positions."""
    reading.drag([reading.pixel(position, pane_model, canvas) for position in positions], canvas=canvas)


@pytest.mark.parametrize("name", few_of(GRIDS, "oblique"))
def test_a_brush_paints_under_the_mouse_in_each_plane_and_every_stroke_is_undone(make_napari_viewer, qtbot, name):
    reading, layer = open_labels(make_napari_viewer, qtbot, GRIDS[name])
    viewer, room = reading.viewer, reading.room
    reading.key(Qt.Key.Key_F6)
    place = layer.metadata["radcnn"]["place"].shown
    start = place.to_world(np.array(place.shape) // 3)
    end = place.to_world(np.array(place.shape) // 2)
    layer.mode, layer.brush_size = "paint", 1
    states = [layer.data.copy()]
    canvases = [reading.canvas, *map(canvas_of, room.layouts.panes)]
    for model, canvas in zip(room.layouts.models, canvases, strict=True):
        viewer.dims.set_point([0, 1, 2], to_display(end).tolist())
        pump()
        deep = model.dims.not_displayed[0]
        first = np.where(np.arange(3) == planes.PATIENT_AXIS[deep], end, start)
        stroke(reading, model, canvas, [first, (first + end) / 2, end])
        painted = np.argwhere(layer.data != states[-1])
        wanted = np.rint([place.to_index(position) for position in (first, end)]).astype(int)
        axes = [axis for axis in range(3) if axis != deep]
        assert (painted[:, deep] == wanted[1, deep]).all()  # on the slice that is shown, and nowhere else
        if len(states) == 1:
            for index in wanted:
                assert layer.data[tuple(index)] == 3
        assert (painted[:, axes].min(0) >= wanted[:, axes].min(0)).all()
        assert (painted[:, axes].max(0) <= wanted[:, axes].max(0)).all()
        assert len(painted) >= max(abs(wanted[0] - wanted[1])) - 1
        for each in room.layouts.models:
            drawn = each.layers[layer.name]
            assert drawn.data is layer.data
            assert drawn.get_value(tuple(to_display(end)), world=True) == 3
        states.append(layer.data.copy())
    for state in reversed(states[:-1]):
        reading.key(Qt.Key.Key_Z, CONTROL)
        assert np.array_equal(layer.data, state)
    for each in room.layouts.models:
        assert not each.layers[layer.name].get_value(tuple(to_display(end)), world=True)
    layer.redo()
    assert np.array_equal(layer.data, states[1])


def test_tools_of_a_side_plane_erase_fill_and_pick(make_napari_viewer, qtbot):
    grid = GRIDS["turned"]
    reading, layer = open_labels(make_napari_viewer, qtbot, grid)
    reading.key(Qt.Key.Key_F6)
    viewer, (coronal, _) = reading.viewer, reading.room.layouts.panes
    assert coronal.plane == "Coronal"
    place = layer.metadata["radcnn"]["place"].shown
    middle = place.to_world(np.array(place.shape) // 2)
    viewer.dims.set_point([0, 1, 2], to_display(middle).tolist())
    index = tuple(np.rint(place.to_index(middle)).astype(int))
    row = words.PLANES["Coronal"][0]
    layer.mode = "fill"
    reading.click(reading.pixel(middle, coronal.model, canvas_of(coronal)), canvas=canvas_of(coronal))
    assert (layer.data.take(index[row], axis=row) == 3).all()
    assert np.count_nonzero(layer.data) == layer.data.take(0, axis=row).size
    layer.selected_label = 7
    layer.mode, layer.brush_size = "paint", 1
    stroke(reading, coronal.model, canvas_of(coronal), [middle])
    assert layer.data[index] == 7
    layer.selected_label = 1
    layer.mode = "pick"
    reading.click(reading.pixel(middle, coronal.model, canvas_of(coronal)), canvas=canvas_of(coronal))
    assert layer.selected_label == 7
    layer.mode = "erase"
    stroke(reading, coronal.model, canvas_of(coronal), [middle])
    assert layer.data[index] == 0
    assert np.count_nonzero(layer.data == 7) == 0
    reading.key(Qt.Key.Key_Z, CONTROL)
    assert layer.data[index] == 7
    # with no tool a click there moves the point, and changes nothing
    layer.mode = "pan_zoom"
    before = layer.data.copy()
    corner = place.to_world((1, index[1], 2))
    reading.click(reading.pixel(corner, coronal.model, canvas_of(coronal)), canvas=canvas_of(coronal))
    assert viewer.dims.point == pytest.approx(to_display(corner), abs=0.01)
    assert np.array_equal(layer.data, before)
    # a layer that may not be changed is not changed there either
    layer.mode = "paint"
    layer.editable = False
    stroke(reading, coronal.model, canvas_of(coronal), [middle])
    assert np.array_equal(layer.data, before)
    # and in the first view, where S runs up the screen
    layer.editable = True
    layer.mode, layer.selected_label = "paint", 5
    reading.key(Qt.Key.Key_F3)
    assert planes.plane_of(viewer) == "Coronal"
    stroke(reading, viewer, reading.canvas, [corner])
    assert np.argwhere(layer.data == 5).tolist() == [[1, index[1], 2]]
