"""The tools of a session with a real mouse in each of three linked planes, on scans that lie in all ways."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.gui.layers.layers import to_display, to_patient
from napari_radcnn.gui.reading import planes, words
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.interactive.rasterize import rasterize
from played import RIGHT, Played, oblique_scan, scan, use_engine
from reading_room import canvas_of
from screens import pump

pytestmark = pytest.mark.gui

#: Anisotropic; "flipped" runs backwards along two axes.
KINDS = {
    "turned": scan,
    "flipped": lambda: scan(orientation="IAR"),
    "left_handed": lambda: scan(orientation="SAL"),
    "oblique": oblique_scan,
}


class Views:
    """A session in a layout, and a mouse over one of its planes at a time."""

    def __init__(self, make_napari_viewer, qtbot, volume, layout):
        self.played = Played(make_napari_viewer, qtbot, volume).start()
        self.room = open_room(self.played.viewer)
        self.room.choose_layout(layout)
        pump()
        self.viewer, own = self.played.viewer, self.played.canvas
        panes = self.room.layouts.panes[:2]
        self.canvases = {
            planes.plane_of(self.viewer): (self.viewer, own),
            **{pane.plane: (pane.model, canvas_of(pane)) for pane in panes},
        }
        assert set(self.canvases) == set(words.PLANES)
        place = self.played.editing.shown.place.shown
        self.middle = place.to_world((np.array(place.shape) - 1) // 2)

    def enter(self, plane):
        """Move the mouse over a plane, all planes through the middle, and return a function of mm in it to LPS."""
        self.viewer.dims.set_point([0, 1, 2], to_display(self.middle).tolist())
        pump()
        model, self.played.canvas = self.canvases[plane]
        self.played.viewer = model
        slower, faster = words.PLANES[plane][1:]

        def at(right, down):
            world = to_display(self.middle).copy()
            world[faster] += right
            world[slower] += down
            return to_patient(world)

        return at

    @property
    def own(self):
        return self.canvases[planes.plane_of(self.viewer)][1]

    def seen(self, position, plane):
        """Return what a plane shows of the session's labels at an LPS position of its slice.

        What every plane shows of it, each on its own slice, must be the nearest voxel of the scan's own grid.
        """
        place, labels = self.played.editing.shown.place, self.played.session.labels
        name = self.played.editing.labels_layer.name
        found = {}
        for each, (model, _) in self.canvases.items():
            world, across = to_display(position).copy(), words.PLANES[each][0]
            world[across] = model.dims.point[across]
            index = np.rint(place.shown.to_index(to_patient(world)))  # of the voxel of the screen
            native = np.rint(place.native.to_index(place.shown.to_world(index))).astype(int)
            is_inside = ((native >= 0) & (native < labels.shape)).all()
            found[each] = model.layers[name].get_value(tuple(world), world=True) or 0
            assert found[each] == (labels[tuple(native)] if is_inside else 0), each
        return found[plane]

    def last(self):
        self.played.idle()
        assert not self.played.warning
        session = self.played.session
        return session.prompts(session.active)[-1]


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        pytest.param("turned", "four", marks=pytest.mark.slow),
        pytest.param("flipped", "three", marks=pytest.mark.slow),
        pytest.param("left_handed", "four", marks=pytest.mark.slow),
        ("oblique", "three"),
    ],
)
def test_prompts_and_strokes_land_under_the_mouse_in_every_plane(make_napari_viewer, qtbot, monkeypatch, kind, layout):
    use_engine(monkeypatch).radius = 3.0
    volume = KINDS[kind]()
    views = Views(make_napari_viewer, qtbot, volume, layout)
    played, geometry = views.played, volume.geometry
    palette, labels = played.dock.palette_box, played.session.labels
    states = [labels.copy()]

    def voxel(position):
        return tuple(np.rint(geometry.to_index(position)).astype(int))

    for plane, (model, _) in views.canvases.items():
        at = views.enter(plane)
        across = planes.PATIENT_AXIS[words.PLANES[plane][0]]
        pixel_mm = 1 / model.scene.camera.zoom
        # a click, and one with the right button that takes voxels away
        palette.choose("point")
        clicked = at(2.1, -1.3)
        played.click(clicked)
        point = views.last()
        assert (point.kind, point.positive) == ("point", True)
        assert np.allclose(point.points[0], clicked, atol=pixel_mm)
        assert point.points[0][across] == pytest.approx(views.middle[across], abs=1e-9)
        assert labels[voxel(clicked)] == played.session.active
        assert views.seen(clicked, plane) == played.session.active
        states.append(labels.copy())
        windows = [layer.contrast_limits for layer in played.scans]
        played.click(clicked, RIGHT)
        assert views.last().positive is False
        assert [layer.contrast_limits for layer in played.scans] == windows  # the right button is the tool's
        assert labels[voxel(clicked)] == 0
        assert views.seen(clicked, plane) == 0
        states.append(labels.copy())
        # a box from corner to corner, flat in the plane
        palette.choose("box")
        start, stop = at(-3, -2), at(2.5, 3)
        played.drag([start, at(0, 1), stop])
        box = views.last()
        assert (box.kind, len(box.points)) == ("box", 3)
        assert np.allclose(box.points[0], start, atol=pixel_mm)
        assert np.allclose(np.sum(box.points[1:], axis=0) - box.points[0], stop, atol=2 * pixel_mm)
        assert np.ptp(np.array(box.points)[:, across]) == pytest.approx(0, abs=1e-9)
        covered = rasterize(box, geometry)
        inside = geometry.to_world(np.argwhere(covered.mask) + [extent.start for extent in covered.box])
        assert np.linalg.norm(inside - views.middle, axis=1).min() <= np.linalg.norm(geometry.spacing) / 2
        states.append(labels.copy())
        # a scribble and a lasso
        palette.choose("scribble")
        line = [at(x, x / 2) for x in np.linspace(-3, 3, 7)]
        played.drag(line)
        scribble = views.last()
        assert scribble.kind == "scribble"
        assert np.allclose([scribble.points[0], scribble.points[-1]], [line[0], line[-1]], atol=pixel_mm)
        states.append(labels.copy())
        palette.choose("lasso")
        played.drag([at(3 * np.cos(a), 2.5 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 13)])
        lasso = views.last()
        assert lasso.kind == "lasso"
        assert np.allclose(np.mean(lasso.points[:-1], axis=0), views.middle, atol=0.3)
        assert np.ptp(np.array(lasso.points)[:, across]) == 0
        states.append(labels.copy())
        # a stroke as a new object; the eraser takes its middle away
        played.dock.add_object()
        played.idle()
        palette.choose("brush")
        palette.radius_spin.setValue(2.5)  # of its disk, every voxel of the screen is then that of a painted one
        ends = [at(-2.2, 1.0), at(2.2, 1.0)]
        played.drag([ends[0], at(0, 1.0), ends[1]])
        played.idle()
        for position in (*ends, at(0, 1.0)):
            assert labels[voxel(position)] == played.session.active
            assert views.seen(position, plane) == played.session.active
        states.append(labels.copy())
        palette.choose("eraser")
        played.click(at(0, 1.0))
        played.idle()
        assert labels[voxel(at(0, 1.0))] == 0
        states.append(labels.copy())
    # one undo for what was done in all planes
    played.viewer, played.canvas = views.viewer, views.own
    for state in reversed(states[:-1]):
        while not np.array_equal(labels, state):
            assert played.editing.state.undo_title
            played.undo()
    assert not labels.any()
    assert views.seen(views.middle, "Axial") == 0
    assert np.array_equal(volume.array, KINDS[kind]().array)


def test_the_right_button_sets_the_window_while_no_tool_is_chosen(make_napari_viewer, qtbot, monkeypatch):
    engine = use_engine(monkeypatch)
    views = Views(make_napari_viewer, qtbot, scan(), "three")
    played = views.played
    for plane in views.canvases:
        at = views.enter(plane)
        played.dock.palette_box.choose("navigate")
        before = list(played.scans[0].contrast_limits)
        played.drag([at(0, 0), at(3, 0)], RIGHT)
        played.idle()
        assert list(played.scans[0].contrast_limits) != before
        assert not engine.requests
        shown = {tuple(model.layers[0].contrast_limits) for model, _ in views.canvases.values()}
        assert len(shown) == 1
