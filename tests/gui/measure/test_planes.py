"""Each ruler drawn with the mouse in each plane, alone and in four views, on awkward grids: it lies in the patient."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from costly import few_of
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data, to_display, to_patient
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import oblique_geometry, world_field
from reading_room import Reading, canvas_of
from screens import pump

pytestmark = pytest.mark.gui
LEFT = Qt.MouseButton.LeftButton
SHAPE = (24, 40, 36)
#: Anisotropic, left-handed (its third axis runs against the other two), oblique.
SCANS = {
    "anisotropic": Geometry.from_parts(SHAPE, (3.0, 1.1, 0.9), (-12.0, 7.0, 90.0)),
    "left-handed": Geometry(
        SHAPE,
        np.array([[0.0, 0.0, 1.2, -20.0], [0.0, 1.1, 0.0, 5.0], [-2.5, 0.0, 0.0, 60.0], [0.0, 0.0, 0.0, 1.0]]),
    ),
    "oblique": oblique_geometry(SHAPE),
}
#: LPS axes of a plane, and across.
PLANES = {"Axial": (0, 1, 2), "Coronal": (0, 2, 1), "Sagittal": (1, 2, 0)}
#: Strokes of each tool as shares of the field; the last is where the next begins.
STROKES = {
    "distance": [[(-0.3, -0.2), (0.2, 0.25)]],
    "angle": [[(-0.3, 0.0), (0.0, 0.0)], [(0.1, 0.3), (0.1, 0.3)]],
    "cobb": [[(-0.3, -0.2), (0.3, -0.1)], [(-0.3, 0.2), (0.3, 0.3)]],
    "bidirectional": [[(-0.3, 0.0), (0.3, 0.05)], [(0.0, -0.2), (0.05, 0.2)]],
    "ellipse": [[(-0.25, -0.2), (0.25, 0.2)]],
    "rectangle": [[(-0.2, -0.25), (0.25, 0.2)]],
    "freehand": [[(-0.2, -0.2), (0.2, -0.2), (0.25, 0.1), (0.0, 0.25), (-0.2, 0.1)]],
    "sphere": [[(0.0, 0.0), (0.2, 0.1)]],
}


def places(plane, center, half, flat):
    """Return positions in the patient of shares of the field around a center."""
    first, second, _ = PLANES[plane]
    found = np.tile(np.array(center, float), (len(flat), 1))
    for row, (a, b) in zip(found, flat, strict=True):
        row[first] += a * half[first]
        row[second] += b * half[second]
    return found


def drawing(make_napari_viewer, qtbot, name):
    """Return a viewer with a scan, the section of rulers, and what draws some in a view and checks each."""
    scan = world_field(SCANS[name]).with_metadata(
        name="CT 1", modality="CT", units="HU", frame_of_reference_uid="1.2.3"
    )
    reading = Reading(make_napari_viewer, qtbot, scan)
    _, dock = reading.viewer.window.add_plugin_dock_widget("napari-radcnn", "Measure")
    section, book = dock.rulers, dock.rulers.book
    low, high = (np.array(each)[-3:][::-1] for each in np.asarray(reading.layers[0].extent.world))
    half = (high - low) / 2
    drawn = 0

    def draw(kinds, plane, model, canvas):
        nonlocal drawn
        center = to_patient(np.array(model.dims.point)[-3:])
        step = 2.5 / model.scene.camera.zoom
        for kind in kinds:
            strokes = STROKES[kind]
            qtbot.mouseClick(section.tools[kind], LEFT)
            wanted = [places(plane, center, half * 0.8, flat) for flat in strokes]
            for stroke in wanted:
                reading.drag([reading.pixel(place, model, canvas) for place in stroke], canvas=canvas)
            drawn += 1
            assert len(book.rulers) == drawn, (plane, kind, section.message_label.text())
            ruler = book.rulers[-1]
            assert ruler.kind == kind
            assert ruler.frame_of_reference_uid == "1.2.3"
            # in the plane that is seen, and where the mouse was
            assert np.allclose(ruler.positions[:, PLANES[plane][2]], center[PLANES[plane][2]], atol=1e-6)
            ends = {"angle": [*wanted[0], wanted[1][-1:][0]] if len(wanted) > 1 else []}.get(
                kind, [place for stroke in wanted for place in stroke]
            )
            if kind in ("distance", "angle", "cobb", "freehand", "sphere"):
                assert np.abs(ruler.positions - np.array(ends)).max() < step, (plane, kind)
            elif kind == "bidirectional":
                assert np.abs(ruler.positions[:2] - wanted[0]).max() < step
                one, two = (ruler.positions[n + 1] - ruler.positions[n] for n in (0, 2))
                assert abs(one @ two) < 1e-6 * np.linalg.norm(one) * np.linalg.norm(two)
            else:  # the box between two corners, along the patient's axes
                box = np.sort(wanted[0], axis=0)
                assert np.abs(ruler.positions.min(0) - box[0]).max() < step, (plane, kind)
                assert np.abs(ruler.positions.max(0) - box[1]).max() < step, (plane, kind)
            # the numbers are those of Python on the scan as it was read
            assert section.measured[-1] == ruler.measure(scan)

    return reading, section, draw


@pytest.mark.parametrize("name", few_of(SCANS, "oblique"))
def test_each_ruler_in_each_plane(name, make_napari_viewer, qtbot):
    reading, section, draw = drawing(make_napari_viewer, qtbot, name)
    scan, drawn = section.scan, 24
    for plane in PLANES:
        reading.room.show_plane(plane)
        pump()
        draw(STROKES, plane, reading.viewer, reading.canvas)
    reading.room.show_plane("Axial")
    pump()
    own = section.shown.layer
    # another scan of the same frame: the rulers stay where they were in the patient
    before = [np.array(own.data_to_world(point)) for shape in own.data for point in shape]
    other = world_field(Geometry.from_parts((10, 21, 23), (7.0, 2.2, 1.9), tuple(scan.geometry.corners.min(0))))
    add_to_viewer(
        reading.viewer, layer_data(other.with_metadata(name="CT 2", modality="CT", frame_of_reference_uid="1.2.3"))
    )
    reading.viewer.layers.selection.active = reading.viewer.layers["CT 2"]
    pump()
    assert section.scan.name == "CT 2"
    layer = section.shown.layer
    after = [np.array(layer.data_to_world(point)) for shape in layer.data for point in shape]
    assert np.allclose(before, after, atol=1e-6)
    assert np.allclose(layer.scale, reading.viewer.layers["CT 2"].scale)  # no slices between its own
    assert len(section.list.findItems("", Qt.MatchFlag.MatchContains)) == drawn == 24
    first = to_display(section.book.rulers[0].positions)
    assert np.allclose([layer.data_to_world(point) for point in layer.data[0]], first, atol=1e-6)
    # and in one of another frame they are listed, and not drawn
    add_to_viewer(
        reading.viewer, layer_data(other.with_metadata(name="CT 3", modality="CT", frame_of_reference_uid="9.9"))
    )
    reading.viewer.layers.selection.active = reading.viewer.layers["CT 3"]
    pump()
    assert len(section.shown.layer.data) == 0
    assert section.list.topLevelItemCount() == drawn
    assert "another patient space" in section.list.topLevelItem(0).toolTip(1)


def test_each_ruler_in_four_views(make_napari_viewer, qtbot):
    """Drawn in any of four views, on an oblique scan: in its plane, and seen in all of them at the same place."""
    reading, section, draw = drawing(make_napari_viewer, qtbot, "oblique")
    reading.room.layouts.choose("four")
    pump()
    panes = {pane.plane: pane for pane in reading.room.layouts.panes if pane.plane in PLANES}
    assert len(panes) == 2
    draw(["distance", "sphere"], "Axial", reading.viewer, reading.canvas)
    for kinds, (plane, pane) in zip((["cobb"], ["ellipse"]), panes.items(), strict=True):
        draw(kinds, plane, pane.model, canvas_of(pane))
    own = section.shown.layer
    for pane in panes.values():
        (clone,) = (layer for layer in pane.model.layers if layer.name == "Rulers")
        assert len(clone.data) == len(own.data)
        for one, other in zip(clone.data, own.data, strict=True):
            assert np.array_equal(one, other)
