"""Windows on the real screen: by key, by mouse, by the file, against the pixels of a ramp."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import Qt

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.reading import windowing
from napari_radcnn.voi import VoiWindow
from napari_radcnn.volume import Volume, VolumeMetadata
from reading_room import ALT, RIGHT, SHIFT, Reading
from screens import screenshot

pytestmark = pytest.mark.gui

#: Values from -200 to 1072, three to a column of the ramp.
RAMP = np.arange(-200, 1072, 12, dtype=np.int16)
GRID = Geometry.from_parts((2, 30, len(RAMP)), (3.0, 2.0, 2.0), (-11.0, 7.5, 20.25))


def ramp(**metadata):
    array = np.broadcast_to(RAMP, GRID.shape).copy()
    return Volume(array, GRID, VolumeMetadata(name="ramp", modality="CT", units="HU", **metadata))


def grays(reading):
    """Return how bright each column of the ramp is on the screen, from 0 to 1."""
    for overlay in reading.viewer.canvas.overlays.values():
        overlay.visible = False
    image = screenshot(reading.viewer)
    scale = image.shape[1] / reading.canvas.width()
    x0, y0, _ = GRID.to_world((0, 15, 0))
    columns = [reading.pixel((x0 + 2.0 * n, y0, 0.0)) for n in range(len(RAMP))]
    return np.array([image[int(y * scale), int(x * scale)] for x, y in columns]) / 255


TABLE = tuple((np.linspace(0, 1, 400) ** 0.5).tolist())


WINDOWS = (
    VoiWindow(40, 400, "a", "LINEAR"),
    VoiWindow(40, 400, "a", "LINEAR_EXACT"),
    VoiWindow(300, 350, "a", "SIGMOID"),
    VoiWindow.of_limits((-50, 700), "a", "TABLE", TABLE),
)


def test_the_screen_shows_the_function_of_the_file(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot)
    for window, is_inverted in product(WINDOWS, (False, True)):
        reading.show(ramp(windows=(window,), is_inverted=is_inverted))
        expected = window.brightness(RAMP)
        expected = 1 - expected if is_inverted else expected
        found = grays(reading)
        assert np.abs(found - expected).max() < 2.5 / 255, (window, is_inverted)
        assert np.ptp(found) > 0.9
        assert np.array_equal(np.asarray(reading.layers[0].data)[0, 0], RAMP)  # the voxels are those of the scan
        shown = windowing.present_window(reading.layers[0])
        assert (shown.center, shown.width) == pytest.approx((window.center, window.width))
        assert (shown.name, shown.function) == ("a", window.function)
    # the slider reaches the range of the scan
    reading.show(ramp(windows=(VoiWindow(40, 80, "a"),)))
    assert reading.layers[0].contrast_limits == pytest.approx([0, 79])
    assert reading.layers[0].contrast_limits_range == [RAMP.min(), RAMP.max()]


def test_keys_choose_windows_and_the_canvas_says_which(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, ramp(windows=(VoiWindow(30, 61, "HEAD"),)))
    layer = reading.layers[0]
    for key, limits, words in (
        (Qt.Key.Key_1, (-160, 240), "Abdomen · W 400 C 40 HU"),
        (Qt.Key.Key_3, (-500, 1300), "Bone · W 1800 C 400 HU"),
        (Qt.Key.Key_7, (-125, 225), "Mediastinum · W 350 C 50 HU"),
        (Qt.Key.Key_0, (-0.5, 59.5), "HEAD · W 61 C 30 HU"),
    ):
        reading.key(key, ALT)
        assert layer.contrast_limits == pytest.approx(limits)
        assert reading.room._own_corners().top_right[0] == words
    reading.key(Qt.Key.Key_9, ALT)  # there is no ninth
    assert layer.contrast_limits == pytest.approx((-0.5, 59.5))
    entries = reading.room.window_entries()
    assert [(text, key, is_shown) for text, key, is_shown, _ in entries][:2] == [
        ("HEAD · W 61 C 30 HU (of the file)", "Alt+0", True),
        ("Abdomen · W 400 C 40 HU", "Alt+1", False),
    ]
    entries[2][3]()
    assert layer.contrast_limits == pytest.approx((-1350, 150))


def test_a_drag_changes_center_and_width(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot)
    for button, modifiers in ((Qt.MouseButton.LeftButton, SHIFT), (RIGHT, None)):
        reading.show(ramp())
        check_drag(reading, button, modifiers)


def check_drag(reading, button, modifiers):
    layer = reading.layers[0]
    center, zoom = tuple(reading.viewer.scene.camera.center), reading.viewer.scene.camera.zoom
    reading.drag([(300, 200), (320, 200), (350, 200)], button, *([modifiers] if modifiers else []))
    shown = windowing.present_window(layer)
    assert shown.width == pytest.approx(400 * 1.25)
    assert (shown.center, shown.name) == (pytest.approx(40), "")
    reading.drag([(300, 200), (300, 160)], button, *([modifiers] if modifiers else []))  # up: brighter
    shown = windowing.present_window(layer)
    assert shown.center == pytest.approx(40 - 500 * 0.2)
    assert tuple(reading.viewer.scene.camera.center) == center
    assert reading.viewer.scene.camera.zoom == zoom
    reading.drag([(600, 200), (3, 200)], button, *([modifiers] if modifiers else []))
    assert 0 < windowing.present_window(layer).width < 2


def test_a_plain_left_drag_pans_and_a_right_drag_of_a_painting_layer_is_left_to_it(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, ramp())
    before = list(reading.layers[0].contrast_limits)
    center = tuple(reading.viewer.scene.camera.center)
    reading.drag([(300, 200), (350, 240)])
    assert tuple(reading.viewer.scene.camera.center) != center
    labels = reading.viewer.add_layer(
        Labels(np.zeros(GRID.shape, np.uint8), scale=GRID.spacing, translate=GRID.origin[::-1])
    )
    labels.mode = "paint"
    reading.drag([(300, 200), (350, 240)], RIGHT)
    assert list(reading.layers[0].contrast_limits) == before


def test_layers_from_elsewhere_are_shown_and_only_their_window_is_changed_when_asked(make_napari_viewer, qtbot):
    reading = Reading(make_napari_viewer, qtbot, ramp())
    viewer = reading.viewer
    array = np.arange(480.0).reshape(6, 8, 10)
    others = [
        viewer.add_layer(Image(array, name="plain", scale=(3, 2, 1))),
        viewer.add_layer(Image(array, name="turned", rotate=(0, 0, 25))),
        viewer.add_layer(Image(np.zeros((8, 10, 3), np.uint8), rgb=True, name="rgb")),
        viewer.add_layer(Image(np.arange(960.0).reshape(2, 6, 8, 10), name="series")),
        viewer.add_layer(Image(np.full((6, 8, 10), np.nan), name="nan", contrast_limits=(0, 1))),
    ]
    before = [(each.scale.copy(), each.translate.copy(), str(each.units)) for each in others]
    limits = [list(each.contrast_limits) for each in others]
    for each in others:
        viewer.layers.selection.active = each
        assert isinstance(reading.room._own_corners().top_left, tuple)
        reading.hover((300, 200))
        reading.wheel(-1)
    assert [list(each.contrast_limits) for each in others] == limits
    viewer.layers.selection.active = others[0]
    reading.key(Qt.Key.Key_3, ALT)  # the middle 80 % of its values
    assert others[0].contrast_limits == pytest.approx([47.9, 431.1], abs=0.1)
    viewer.layers.selection.active = others[3]
    reading.key(Qt.Key.Key_1, ALT)
    after = [(each.scale.copy(), each.translate.copy(), str(each.units)) for each in others]
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(before, after, strict=True))


def test_the_viewer_may_be_closed_in_the_middle_of_a_drag(make_napari_viewer, qtbot):
    from qtpy.QtCore import QEvent

    reading = Reading(make_napari_viewer, qtbot, ramp())
    reading.mouse(QEvent.Type.MouseButtonPress, (300, 200), modifiers=SHIFT)
    reading.mouse(QEvent.Type.MouseMove, (340, 200), Qt.MouseButton.NoButton, modifiers=SHIFT)
    reading.viewer.close()
    assert reading.layers[0].contrast_limits[1] > 240
