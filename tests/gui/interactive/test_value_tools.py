"""The tools that ask the scan's values, driven by mouse and keys in the real viewer, on a scan that is turned."""

from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_radcnn.gui.interactive import value_tools
from napari_radcnn.gui.interactive.preview import LOST
from napari_radcnn.gui.layers.layers import to_display
from napari_radcnn.gui.parts.widgets import LayerCombo
from napari_radcnn.gui.reading.room import open_room
from napari_radcnn.volume import Volume
from played import LEFT, NONE, RIGHT, Played, oblique_scan, scan, use_engine
from screens import pump

pytestmark = pytest.mark.gui

RETURN, ESCAPE = Qt.Key.Key_Return, Qt.Key.Key_Escape


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Keep the sessions of a test in a folder of its own."""
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))


def _blocks():
    """Two bricks side by side in something darker, with the grid of `scan`: 180 and 120 in 20."""
    grid = scan((14, 20, 22)).geometry
    values = np.full(grid.shape, 20, np.int16)
    values[3:11, 4:10, 5:15] = 180
    values[3:11, 10:16, 5:15] = 120
    return Volume(values, grid, scan().metadata)


def _seen(played):
    """What the preview shows on the slice, as the layer holds it, and all of it."""
    layer = next(layer for layer in played.viewer.layers if layer.name.endswith("preview"))
    return layer, np.asarray(layer.data) if layer.visible else np.zeros(layer.data.shape, np.uint16)


def _upright(played, mask):
    return played.editing.shown.place.axis_map.apply(mask)


def test_every_value_tool_with_the_mouse(make_napari_viewer, qtbot, monkeypatch):
    use_engine(monkeypatch)
    volume = _blocks()
    grid, values = volume.geometry, volume.array
    played = Played(make_napari_viewer, qtbot, volume).start()
    palette, session = played.dock.palette_box, played.session
    first, second, outside = (grid.to_world(at) for at in ((7, 6, 10), (7, 13, 10), (7, 1, 3)))
    plane = next(  # the one whose slices run along k of this grid
        name for name in ("axial", "coronal", "sagittal") if _is_across_k(played, name, first)
    )
    played.show(plane, first)
    place = np.asarray(first)

    # threshold: a drag chooses the range, the preview is there at once, on all slices, and Return applies it
    played.key(Qt.Key.Key_T, text="t")
    assert palette.tool == "threshold"
    played.drag([place, (place + second) / 2, second])
    assert (palette.threshold_box.low_spin.value(), palette.threshold_box.high_spin.value()) == (120, 180)
    codes = _seen(played)[1]
    np.testing.assert_array_equal(codes == 1, _upright(played, values >= 120))
    assert not session.labels.any()
    palette.threshold_box.low_spin.setValue(150)
    np.testing.assert_array_equal(_seen(played)[1] == 1, _upright(played, values == 180))
    played.key(RETURN, text="\r")
    played.idle()
    np.testing.assert_array_equal(session.labels == 1, values == 180)
    assert session.history[-1].startswith("Threshold")
    assert not (_seen(played)[1]).any()  # what is there already is no change

    # two clicks, one slice only, and what would be lost
    palette.threshold_box.slice_check.setChecked(True)
    played.click(outside)
    assert "other end" in played.dock.message_label.text()
    played.click(second)
    assert (palette.threshold_box.low_spin.value(), palette.threshold_box.high_spin.value()) == (20, 120)
    on_slice = np.zeros(grid.shape, bool)
    on_slice[7] = True
    codes = _seen(played)[1]
    np.testing.assert_array_equal(codes == LOST, _upright(played, (values == 180) & on_slice))
    np.testing.assert_array_equal(codes == 1, _upright(played, (values < 180) & on_slice))
    palette.threshold_box.slice_check.setChecked(False)
    played.undo()
    assert not session.labels.any()

    # smart brush: a radius over both bricks paints the one that is clicked
    played.key(Qt.Key.Key_W, text="w")
    palette.ball_check.setChecked(True)
    palette.radius_spin.setValue(30)
    played.click(place)
    played.idle()
    np.testing.assert_array_equal(session.labels == 1, values == 180)
    assert session.history[-1].startswith("Smart brush")
    played.click(place, RIGHT)
    played.idle()
    assert not (session.labels == 1).any()
    palette.ball_check.setChecked(False)

    # level tracing: the contour is seen under the mouse, and a click takes it
    played.key(Qt.Key.Key_V, text="v")
    played.move(second, NONE)
    played.wait(lambda: _seen(played)[1].any())
    brick = (values >= 120) & on_slice
    np.testing.assert_array_equal(_seen(played)[1] == 1, _upright(played, brick))
    played.click(second)
    played.idle()
    np.testing.assert_array_equal(session.labels == 1, brick)

    # scissors: a closed line through the boundary takes the second brick off, through all slices
    played.key(Qt.Key.Key_T, text="t")
    palette.threshold_box.set_range(120, 180)
    played.key(RETURN, text="\r")
    played.idle()
    np.testing.assert_array_equal(session.labels == 1, values >= 120)
    played.key(Qt.Key.Key_C, text="c")
    corners = [grid.to_world((7, j, i)) for j, i in ((9.5, 3), (9.5, 17), (17, 17), (17, 3))]
    played.press(corners[0])
    for place in (a + (b - a) * n / 4 for a, b in pairwise(corners) for n in (1, 2, 3, 4)):
        played.move(place)
    played.release(corners[-1])
    played.idle()
    assert not played.warning
    np.testing.assert_array_equal(session.labels == 1, values == 180)
    played.undo()
    np.testing.assert_array_equal(session.labels == 1, values >= 120)

    # a correction that is previewed first: nothing changes until it is applied, and Esc forgets it
    played.dock.corrections.preview_check.setChecked(True)
    played.dock.palette_box.choose("point")
    before = session.labels.copy()
    qtbot.mouseClick(played.dock.corrections.buttons["Shrink"], LEFT)
    played.idle()
    codes = _seen(played)[1]
    assert (codes == LOST).any()
    np.testing.assert_array_equal(session.labels, before)
    played.key(ESCAPE)
    assert not _seen(played)[1].any()
    qtbot.mouseClick(played.dock.corrections.buttons["Shrink"], LEFT)
    played.idle()
    lost = _seen(played)[1] == LOST
    played.key(RETURN, text="\r")
    played.idle()
    np.testing.assert_array_equal(_upright(played, (before == 1) & (session.labels == 0)), lost)
    assert session.history[-1].startswith("Shrink")


def _is_across_k(played, plane, position):
    played.show(plane, position)
    return played.editing.seen_axis() == "k"


def test_objects_grow_from_strokes_with_a_preview_after_each(make_napari_viewer, qtbot, monkeypatch):
    use_engine(monkeypatch)
    monkeypatch.setattr(value_tools, "_LIVE_SECONDS", np.inf)  # however busy the computer is
    volume = _blocks()
    grid, values = volume.geometry, volume.array
    played = Played(make_napari_viewer, qtbot, volume).start()
    palette, session = played.dock.palette_box, played.session
    first = grid.to_world((7, 6, 10))
    next(name for name in ("axial", "coronal", "sagittal") if _is_across_k(played, name, first))
    played.key(Qt.Key.Key_G, text="g")
    palette.radius_spin.setValue(1.0)
    for row in (6, 13):
        played.key(Qt.Key.Key_N, text="n")
        played.idle()
        played.drag([grid.to_world((7, row, i)) for i in (8, 10, 12)])
        played.idle()
    qtbot.mouseClick(palette.seeds_box.background_button, LEFT)
    played.idle()
    assert palette.seeds_box.background_combo.currentData() == 3
    played.drag([grid.to_world((7, 1, i)) for i in (4, 10, 18)])
    played.idle()
    assert not played.warning
    codes, seeds = _seen(played)[1], session.labels.copy()
    assert (codes == 1).sum() > 100
    assert (codes == 2).sum() > 100
    assert not played.warning
    assert set(np.unique(seeds)) == {0, 1, 2, 3}
    played.key(RETURN, text="\r")
    played.idle()
    for value, gray in ((1, 180), (2, 120)):
        own, truth = session.labels == value, values == gray
        assert 2 * (own & truth).sum() / (own.sum() + truth.sum()) > 0.9
    assert not (session.labels == 3).any()
    assert session.history[-1] == "Grow from seeds"
    played.undo()
    np.testing.assert_array_equal(session.labels, seeds)
    played.wait(lambda: _seen(played)[1].any())  # the preview is back with the strokes


def test_the_preview_of_an_oblique_scan_is_what_the_threshold_gives(make_napari_viewer, qtbot, monkeypatch):
    use_engine(monkeypatch)
    volume = oblique_scan()
    played = Played(make_napari_viewer, qtbot, volume).start()
    box = played.dock.palette_box.threshold_box
    played.dock.palette_box.choose("threshold")
    low, high = (float(n) for n in np.percentile(volume.array, (30, 60)))
    box.set_range(round(low), round(high))
    expected = _seen(played)[1] == 1
    played.key(RETURN, text="\r")
    played.idle()
    shown = np.asarray(played.editing.labels_layer.data) == 1
    assert shown.any()
    assert np.count_nonzero(shown != expected) < 0.001 * np.count_nonzero(shown)  # halves are rounded either way
    played.session.undo()
    wanted = (volume.array >= round(low)) & (volume.array <= round(high))
    played.session.redo()
    np.testing.assert_array_equal(played.session.labels == 1, wanted)


def test_nothing_breaks_where_there_is_nothing(make_napari_viewer, qtbot, monkeypatch):
    """Every tool on air, outside the scan and with no object: a line or nothing, and no error."""
    use_engine(monkeypatch)
    grid = scan((16, 2, 18)).geometry
    volume = Volume(np.zeros(grid.shape, np.uint8), grid, scan().metadata)
    played = Played(make_napari_viewer, qtbot, volume).start()
    middle = grid.to_world([n // 2 for n in grid.shape])
    played.show("axial", middle)
    far = middle + np.array([300.0, 300.0, 0.0])
    for tool in ("smart", "threshold", "seeds", "trace", "scissors"):
        played.dock.palette_box.choose(tool)
        for place in (middle, far):
            played.click(place)
            played.idle()
            played.drag([place, place + 2, place - 3])
            played.idle()
        played.key(RETURN, text="\r")
        played.idle()
        played.key(ESCAPE)
        pump()
    assert played.editing is not None
    assert "report" not in played.warning
    assert to_display(middle).shape == (3,)


def test_buttons_keep_their_place_and_what_is_gone_is_gone(make_napari_viewer, qtbot, monkeypatch):
    """One viewer: buttons under every tool and line, the circle of the brush, the small picture of a removed object."""
    use_engine(monkeypatch)
    volume = _blocks()
    played = Played(make_napari_viewer, qtbot, volume).start()
    palette, layer = played.dock.palette_box, played.editing.labels_layer
    assert not layer.thumbnail[..., :3].any()

    # layers that show what is about to be done are offered nowhere
    combo = LayerCombo(played.viewer, lambda _layer: True)
    assert [each.name.rpartition(" ")[2] for each in combo.layers] == ["T1", "interactive", "prompts"]

    def places():
        pump()
        return {
            name: (button.mapTo(played.dock, button.rect().topLeft()), button.width())
            for name, button in palette.buttons.items()
        }

    before = places()
    for name in palette.buttons:
        palette.choose(name)
        assert places() == before
    played.dock._tell("A line. " * 40)
    assert places() == before
    played.dock._fail("What went wrong. " * 40)
    assert places() == before
    played.dock._tell("")
    assert places() == before

    # the circle of the brush: where the mouse is, as wide as the brush
    middle = volume.geometry.to_world((7, 6, 10))
    played.show("axial", middle)
    room = open_room(played.viewer)
    palette.choose("brush")
    palette.radius_spin.setValue(4.0)
    played.move(middle, NONE)
    pump()
    x, y, radius = room._own_corners().circle
    where = played.pixel(middle)
    assert radius == pytest.approx(4.0 * played.viewer.scene.camera.zoom)
    assert (x, y) == pytest.approx(
        (where.x() - room.overlay.width() / 2, where.y() - room.overlay.height() / 2), abs=1.0
    )
    palette.choose("point")
    assert room._own_corners().circle is None

    # an object that is removed leaves the small picture of the result, too
    palette.choose("brush")
    palette.radius_spin.setValue(8.0)
    palette.ball_check.setChecked(True)
    played.click(middle)
    played.idle()
    layer.refresh(thumbnail=True)  # as napari does when another slice is shown
    assert layer.thumbnail[..., :3].any()
    qtbot.mouseClick(played.dock.objects.remove_button, LEFT)
    played.idle()
    assert not layer.thumbnail[..., :3].any()
