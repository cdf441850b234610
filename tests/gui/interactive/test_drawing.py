"""What the mouse draws is where it is in the patient, in every plane, on turned and on oblique scans."""

import numpy as np
import pytest

from costly import few_together
from napari_radcnn.gui.layers.layers import to_display, to_patient
from napari_radcnn.interactive.rasterize import rasterize
from napari_radcnn.phantom import FIELD_COEFFICIENTS, head
from played import ORDERS, RIGHT, Played, center_of, oblique_scan, scan, use_engine

pytestmark = pytest.mark.gui

SCANS = {"turned": scan, "oblique": oblique_scan}
#: World axis (0 x, 1 y, 2 z) across each plane.
ACROSS = {"axial": 2, "coronal": 1, "sagittal": 0}


def in_plane(plane, middle, right, down):
    """Return a position some mm from the middle, to the right and down in the plane's own axes."""
    slower, faster = ORDERS[plane][1:]
    world = np.array(to_display(middle))
    world[faster] += right
    world[slower] += down
    return to_patient(world)


@pytest.mark.parametrize(
    ("kind", "plane"), few_together([("turned", "sagittal"), ("oblique", "coronal")], SCANS, ORDERS)
)
def test_every_tool_draws_where_the_mouse_is(make_napari_viewer, qtbot, monkeypatch, kind, plane):
    engine = use_engine(monkeypatch)
    engine.radius = 4.0
    volume = SCANS[kind]()
    geometry = volume.geometry
    played = Played(make_napari_viewer, qtbot, volume).start()
    place = played.editing.shown.place
    middle = geometry.to_world([(n - 1) / 2 for n in geometry.shape])
    middle = place.shown.to_world(np.rint(place.shown.to_index(middle)))  # of a slice that is shown
    played.show(plane, middle)
    pixel_mm = 1 / played.viewer.scene.camera.zoom

    def last():
        assert not played.warning
        return played.session.prompts(played.session.active)[-1]

    # a click
    clicked = in_plane(plane, middle, 2.3, -1.4)
    played.click(clicked)
    played.idle()
    assert not played.warning
    assert np.allclose(last().points[0], clicked, atol=pixel_mm)
    assert last().points[0][ACROSS[plane]] == pytest.approx(middle[ACROSS[plane]], abs=1e-9)
    voxel = tuple(np.rint(geometry.to_index(clicked)).astype(int))
    labels = played.session.labels
    assert labels[voxel] == 1
    assert np.allclose(center_of(labels == 1), voxel, atol=0.5)  # the engine's ball is round what was clicked
    value = np.dot(FIELD_COEFFICIENTS, clicked)
    assert volume.array[voxel] == pytest.approx(value, abs=np.dot(FIELD_COEFFICIENTS, np.array(geometry.spacing)))
    drawn = played.editing.labels_layer
    assert drawn.get_value(to_display(clicked), world=True) == 1  # and it is seen there
    on_screen = np.asarray(drawn.data)[tuple(np.rint(place.shown.to_index(clicked)).astype(int))]
    assert on_screen == 1

    # a box, with the right button: negative
    played.dock.palette_box.choose("box")
    start, stop = in_plane(plane, middle, -3, -2), in_plane(plane, middle, 2.5, 3)
    played.drag([start, in_plane(plane, middle, 0, 1), stop], RIGHT)
    played.idle()
    box = last()
    assert (box.kind, box.positive, len(box.points)) == ("box", False, 3)
    assert np.allclose(box.points[0], start, atol=pixel_mm)
    opposite = np.sum(box.points[1:], axis=0) - box.points[0]
    assert np.allclose(opposite, stop, atol=2 * pixel_mm)
    covered = rasterize(box, geometry)
    found = geometry.to_world(np.argwhere(covered.mask) + [extent.start for extent in covered.box])
    assert np.linalg.norm(found - middle, axis=1).min() <= np.linalg.norm(geometry.spacing) / 2

    # a scribble and a lasso
    played.dock.palette_box.choose("scribble")
    line = [in_plane(plane, middle, x, x / 2) for x in np.linspace(-3, 3, 7)]
    played.drag(line)
    played.idle()
    scribble = last()
    assert (scribble.kind, scribble.positive, scribble.radius) == ("scribble", True, 2.0)
    assert np.allclose([scribble.points[0], scribble.points[-1]], [line[0], line[-1]], atol=pixel_mm)
    played.dock.palette_box.choose("lasso")
    around = [in_plane(plane, middle, 3 * np.cos(a), 2.5 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 13)]
    played.drag(around)
    played.idle()
    assert last().kind == "lasso"
    assert np.allclose(np.mean(last().points[:-1], axis=0), middle, atol=0.3)
    assert np.ptp(np.array(last().points)[:, ACROSS[plane]]) == 0  # it stays on its slice

    # a stroke is seen while it is drawn, and is one step
    played.dock.add_object()
    played.idle()
    played.dock.palette_box.choose("brush")
    played.dock.palette_box.radius_spin.setValue(1.2)
    preview = next(layer for layer in played.viewer.layers if layer.name.endswith("stroke"))
    n_asked, n_steps = len(engine.requests), len(played.session.history)
    step = place.shown.spacing[ORDERS[plane][2]]
    stroke = [in_plane(plane, middle, n * step, 0) for n in range(-2, 3)]  # over the middles of voxels on the screen
    played.press(stroke[0])
    for position in stroke[1:]:
        played.move(position)
    assert preview.visible
    assert preview.get_value(to_display(stroke[2]), world=True) == 1
    assert not (labels == 2).any()
    played.release(stroke[-1])
    played.idle()
    assert not preview.visible
    assert not np.asarray(preview.data).any()
    for position in stroke:
        assert drawn.get_value(to_display(position), world=True) == 2
    if kind == "turned":
        assert all(labels[tuple(np.rint(geometry.to_index(position)).astype(int))] == 2 for position in stroke)
    assert len(engine.requests) == n_asked
    assert len(played.session.history) == n_steps + 1
    mark = labels.copy()
    played.undo()
    assert not (labels == 2).any()
    played.redo()
    assert np.array_equal(labels, mark)
    assert np.array_equal(volume.array, SCANS[kind]().array)  # the scan itself is as it was


def test_the_right_button_erases_and_a_range_of_values_holds(make_napari_viewer, qtbot, monkeypatch):
    use_engine(monkeypatch)
    volume = scan()
    played = Played(make_napari_viewer, qtbot, volume).start()
    middle = volume.geometry.to_world([7, 8, 8])
    played.show("axial", middle)
    palette = played.dock.palette_box
    palette.choose("brush")
    palette.radius_spin.setValue(5)
    value = float(volume.array[7, 8, 8])
    palette.range_check.setChecked(True)
    palette.low_spin.setValue(value - 8)
    palette.high_spin.setValue(value + 8)
    played.click(middle)
    played.idle()
    labels = played.session.labels
    painted = labels == 1
    assert painted[7, 8, 8]
    assert np.abs(volume.array[painted] - value).max() <= 8.1
    palette.range_check.setChecked(False)
    palette.ball_check.setChecked(True)
    played.click(middle)
    played.idle()
    ball = labels == 1
    assert len({*np.argwhere(ball)[:, 0]}) > 1
    assert len({*np.argwhere(ball)[:, 1]}) > 1
    palette.radius_spin.setValue(0)
    palette.ball_check.setChecked(False)
    played.click(middle, RIGHT)
    played.idle()
    assert (labels == 1).sum() == ball.sum() - 1
    assert labels[7, 8, 8] == 0


def test_a_box_with_depth_reaches_to_both_sides_of_its_slice(make_napari_viewer, qtbot, monkeypatch):
    use_engine(monkeypatch)
    volume = scan()
    played = Played(make_napari_viewer, qtbot, volume).start()
    middle = volume.geometry.to_world([7, 8, 8])
    played.show("sagittal", middle)
    played.dock.palette_box.choose("box")
    played.dock.palette_box.depth_spin.setValue(8)
    played.drag([in_plane("sagittal", middle, -3, -3), in_plane("sagittal", middle, 3, 3)])
    played.idle()
    (box,) = played.session.prompts(1)
    assert len(box.points) == 4
    sides = np.array(box.points[1:]) - box.points[0]
    assert np.allclose(sorted(np.linalg.norm(sides, axis=1)), [6, 6, 8], atol=0.3)
    assert np.allclose(np.array(box.points[0]) + sides.sum(0) / 2, middle, atol=0.3)


def test_a_box_without_sides_and_a_lasso_of_two_points_are_no_prompts(make_napari_viewer, qtbot, monkeypatch):
    engine = use_engine(monkeypatch)
    volume = scan()
    played = Played(make_napari_viewer, qtbot, volume).start()
    middle = volume.geometry.to_world([7, 8, 8])
    played.show("axial", middle)
    for tool in ("box", "lasso"):
        played.dock.palette_box.choose(tool)
        played.click(middle)
        played.idle()
        assert "drag" in played.dock.message_label.text()
    assert not engine.requests


def test_the_region_engine_outlines_what_is_clicked(make_napari_viewer, qtbot):
    volume = head()
    played = Played(make_napari_viewer, qtbot, volume).start()
    mass = np.array([-28.0, 20.0, 30.0])
    played.show("coronal", mass)
    played.click(mass)
    played.idle()
    assert not played.warning
    index = np.stack(np.meshgrid(*map(np.arange, volume.geometry.shape), indexing="ij"), axis=-1)
    truth = np.linalg.norm(volume.geometry.to_world(index) - mass, axis=-1) <= 12
    found = played.session.mask(1)
    assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.8
