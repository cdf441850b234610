"""Sessions in the real viewer: keys, queue, what goes wrong, and that nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from napari.layers import Points
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtTest import QTest

from costly import few_of
from napari_radcnn.gui.layers.layers import label_map_from_layer, to_patient, volume_from_layer
from napari_radcnn.interactive.tools import Grow, ToolState
from napari_radcnn.progress import Monitor
from napari_radcnn.session import PromptSession
from patience import PATIENCE
from played import CONTROL, LEFT, RIGHT, SHIFT, Played, oblique_scan, scan, use_engine
from screens import pump

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Keep the sessions of a test in a folder of its own."""
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))
    return tmp_path / "sessions"


@pytest.fixture
def engine(monkeypatch):
    return use_engine(monkeypatch)


@pytest.fixture
def slow(engine):
    """An engine that answers only when it is let."""
    event = engine.go_on = Event()
    yield engine
    event.set()


def started(make_napari_viewer, qtbot, volume=None):
    volume = scan() if volume is None else volume
    played = Played(make_napari_viewer, qtbot, volume).start()
    played.middle = volume.geometry.to_world([7, 8, 8])
    played.show("axial", played.middle)
    return played


def moved(played, x, y=0.0):
    return played.middle + np.array([x, y, 0.0])


def test_undo_and_redo_keys_serve_the_session_and_leave_other_labels_alone(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    viewer, session = played.viewer, played.session
    own = viewer.add_labels(np.zeros((4, 5, 6), np.uint8), name="mine")
    own.data_setitem((np.array([1]), np.array([1]), np.array([1])), 7)
    assert [str(layer.mode) for layer in viewer.layers if not layer.editable] == ["pan_zoom"] * 4
    seen = []
    for layer in (played.scans[0], played.editing.labels_layer, None):
        viewer.layers.selection.active = layer
        played.click(played.middle)
        played.idle()
        seen.append(session.labels.copy())
        played.undo()
        assert not session.labels.any()
        assert not session.objects
        played.redo()
        assert np.array_equal(session.labels, seen[-1])
        played.undo()
    viewer.layers.selection.active = own  # napari's own keys come first here
    played.click(played.middle)
    played.idle()
    played.undo()
    assert not own.data.any()
    assert session.labels.any()
    played.qtbot.mouseClick(played.dock.undo_button, LEFT)
    played.idle()
    assert not session.labels.any()


def test_a_slice_without_prompts_shows_none(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle)
    played.idle()
    marks = next(layer for layer in played.viewer.layers if isinstance(layer, Points))
    assert len(marks.data) == 1
    played.show("axial", played.middle + np.array([0.0, 0.0, 20.0]))
    pump()
    with_marks = played.viewer.screenshot(canvas_only=True, flash=False)
    marks.visible = False
    pump()
    np.testing.assert_array_equal(played.viewer.screenshot(canvas_only=True, flash=False), with_marks)


def test_keys_are_bound_for_a_session_only(make_napari_viewer, qtbot, engine):
    played = Played(make_napari_viewer, qtbot, scan())
    layer = played.scans[0]
    mine = []
    layer.bind_key("N", lambda _layer: mine.append("n"))
    before = dict(layer.keymap), dict(played.viewer.keymap), list(played.viewer.mouse_double_click_callbacks)
    played.start()
    for key, text, tool in ((Qt.Key.Key_B, "b", "box"), (Qt.Key.Key_D, "d", "brush"), (Qt.Key.Key_H, "h", "navigate")):
        played.key(key, text=text)
        assert played.dock.palette_box.tool == tool
    played.key(Qt.Key.Key_N, text="n")
    played.key(Qt.Key.Key_N, text="n")
    played.idle()
    assert [item.name for item in played.session.objects] == ["object 1", "object 2"]
    played.key(Qt.Key.Key_1, text="1")
    played.idle()
    assert played.session.active == 1
    assert layer.mode == "pan_zoom"
    radius = played.dock.palette_box.radius_spin.value()
    played.key(Qt.Key.Key_BracketRight, text="]")
    assert played.dock.palette_box.radius_spin.value() > radius
    played.qtbot.mouseClick(played.dock.end_button, LEFT)
    played.wait(lambda: played.editing is None)
    assert (layer.keymap, played.viewer.keymap, list(played.viewer.mouse_double_click_callbacks)) == before
    assert not mine
    played.key(Qt.Key.Key_N, text="n")
    assert mine == ["n"]


def test_the_view_moves_without_a_tool_and_while_space_is_held(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    camera = played.viewer.scene.camera

    def center_after_drag():
        where = played.middle + np.array([4.0, 3.0, 0.0])
        before = camera.center
        played.drag([played.middle, (played.middle + where) / 2, where])
        pump()
        return before, camera.center

    before, after = center_after_drag()  # a tool draws
    assert np.allclose(before, after)
    played.idle()
    assert len(engine.requests) == 1
    played.key_down(Qt.Key.Key_Space, text=" ")
    before, after = center_after_drag()
    played.key_up(Qt.Key.Key_Space, text=" ")
    assert not np.allclose(before, after)
    played.dock.palette_box.choose("navigate")
    before, after = center_after_drag()
    assert not np.allclose(before, after)
    played.dock.palette_box.choose("point")
    zoom, step = camera.zoom, played.viewer.dims.current_step
    played.wheel(played.middle, 3)
    assert played.viewer.dims.current_step != step
    assert camera.zoom == pytest.approx(zoom)
    played.wheel(played.middle, 3, CONTROL)
    assert camera.zoom != pytest.approx(zoom)
    played.drag([played.middle, moved(played, 2)], modifiers=SHIFT)
    played.idle()
    assert len(engine.requests) == 1


def test_two_quick_clicks_are_two_prompts_and_no_zoom(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    zoom = played.viewer.scene.camera.zoom
    played.click(played.middle)
    played.mouse(QEvent.Type.MouseButtonDblClick, played.middle, LEFT, LEFT)
    played.release(played.middle)
    played.idle()
    assert len(played.session.prompts(1)) == 2
    assert played.viewer.scene.camera.zoom == pytest.approx(zoom)


def test_what_is_asked_while_it_computes_waits_in_order_and_is_seen_at_once(make_napari_viewer, qtbot, slow):
    played = started(make_napari_viewer, qtbot)
    places = [played.middle, moved(played, 4), moved(played, -4)]
    marks = next(layer for layer in played.viewer.layers if layer.name.endswith("prompts"))
    for n, place in enumerate(places):
        played.click(place, RIGHT if n == 1 else LEFT)
    played.wait(lambda: len(marks.data) == 3)
    assert [str(symbol) for symbol in marks.symbol] == ["cross", "hbar", "cross"]
    assert not played.session.labels.any()
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(len(slow.requests)))
    timer.start(1)
    played.wait(lambda: len(ticks) >= 20)  # the viewer goes on while the engine is at work
    timer.stop()
    assert set(ticks[-15:]) == {1}
    assert not played.dock.progress_bar.isHidden()
    played.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier, "\x1a")  # takes the last one back
    assert len(played.editing.steps.unfinished) == 2
    slow.go_on.set()
    played.idle()
    given = played.session.prompts(1)
    assert [prompt.positive for prompt in given] == [True, False]
    assert np.allclose([prompt.points[0] for prompt in given], places[:2], atol=0.3)
    assert len(marks.data) == 2


def test_cancel_empties_the_queue_and_changes_nothing(make_napari_viewer, qtbot, slow):
    played = started(make_napari_viewer, qtbot)
    for x in (0, 3, 5):
        played.click(moved(played, x))
    played.wait(slow.entered.is_set)
    qtbot.mouseClick(played.dock.cancel_button, LEFT)
    slow.go_on.set()
    played.idle()
    assert not played.session.labels.any()
    assert not played.session.history
    slow.go_on = None
    played.click(played.middle)
    played.idle()
    assert played.session.labels.any()


def test_an_object_deleted_while_it_is_computed_stays_deleted(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle)
    played.idle()
    played.dock.add_object()
    played.idle()
    engine.go_on = Event()
    engine.entered.clear()
    played.click(moved(played, 5))
    played.click(moved(played, 6))
    played.wait(engine.entered.is_set)
    qtbot.mouseClick(played.dock.objects.remove_button, LEFT)
    engine.go_on.set()
    played.idle()
    assert [item.value for item in played.session.objects] == [1]
    assert set(np.unique(played.session.labels)) == {0, 1}
    assert not played.warning
    assert played.dock.objects.tree.topLevelItemCount() == 1


@pytest.mark.parametrize("which", few_of(["scan", "labels", "all"], "labels"))
def test_a_layer_removed_while_it_computes_ends_the_session_and_nothing_is_lost(
    make_napari_viewer, qtbot, engine, which
):
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle)
    played.idle()
    mask = played.session.labels == 1
    engine.go_on = Event()
    engine.entered.clear()
    played.click(moved(played, 5))
    played.wait(engine.entered.is_set)
    layers = played.viewer.layers
    if which == "all":
        layers.clear()
    else:
        layers.remove(played.scans[0] if which == "scan" else played.editing.labels_layer)
    assert played.editing is None
    assert "saved" in played.dock.message_label.text()
    engine.go_on.set()
    played.wait(lambda: [layer.name for layer in layers] == ([] if which != "labels" else ["T1"]))
    played.wait(lambda: len(PromptSession.unfinished()) == 1)
    engine.go_on = None
    with PromptSession.resume(PromptSession.unfinished()[0], scan()) as again:
        assert np.array_equal(again.labels == 1, mask)


def test_two_sessions_in_one_viewer_are_two(make_napari_viewer, qtbot, engine):
    first, second = scan(), oblique_scan()
    played = Played(make_napari_viewer, qtbot, first, second)
    dock = played.dock
    for number, volume in enumerate((first, second)):
        dock.layer_combo.choose(played.scans[number])
        assert dock.start_button.isEnabled()
        played.start()
        middle = volume.geometry.to_world([(n - 1) / 2 for n in volume.geometry.shape])
        played.show("axial", middle)
        played.click(middle)
        played.idle()
        assert not played.warning
        assert played.session.volume.geometry.is_close(volume.geometry)
    one, two = (dock.sessions.of(layer) for layer in played.scans)
    assert one.session.labels.any()
    assert two.session.labels.any()
    played.viewer.layers.selection.active = one.labels_layer  # the layer says which session is meant
    assert played.editing is one
    played.undo()
    assert not one.session.labels.any()
    assert two.session.labels.any()
    assert len(engine.requests) == 2


KILLED = """
import os, sys
sys.path[:0] = {paths!r}
from played import scan
from toy_engine import BallEngine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.session import PromptSession
volume = scan()
session = PromptSession(volume, engine=BallEngine(radius=4, name="region"))
session.add(Prompt.point(volume.geometry.to_world([7, 8, 8])))
session.rename(1, "liver")
os._exit(1)
"""


def test_after_a_crash_the_session_is_offered_for_its_scan(make_napari_viewer, qtbot, engine, folder):
    program = KILLED.format(paths=[str(Path(__file__).parents[2] / "helpers")])
    subprocess.run([sys.executable, "-c", program], env=dict(os.environ), timeout=PATIENCE)
    other = scan((9, 12, 10), name="other")
    played = Played(make_napari_viewer, qtbot, other)
    saved = played.dock.saved
    assert not saved.isHidden()
    assert "another scan, 'T1'" in saved.label.text()
    assert not saved.resume_button.isEnabled()
    from napari_radcnn.gui.layers.layers import layer_data
    from napari_radcnn.gui.reading.show import add_to_viewer

    add_to_viewer(played.viewer, layer_data(scan()))
    played.dock.layer_combo.choose(next(layer for layer in played.viewer.layers if layer.name == "T1"))
    assert "of this scan" in saved.label.text()
    qtbot.mouseClick(saved.resume_button, LEFT)
    played.idle()
    assert [item.name for item in played.session.objects] == ["liver"]
    voxel = tuple(np.argwhere(played.session.labels)[0])
    assert played.session.labels[voxel] == 1
    assert played.editing.labels_layer.get_value((0, 0, 0)) is not None
    assert np.asarray(played.editing.labels_layer.data).sum() == played.session.labels.sum()
    assert saved.isHidden()
    played.undo()
    played.undo()
    assert not played.session.labels.any()


def test_closing_the_viewer_in_the_middle_of_a_stroke_saves_the_session(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle)
    played.idle()
    played.dock.palette_box.choose("brush")
    played.press(played.middle)
    played.move(np.add(played.middle, (4.0, 3.0, 0.0)))
    assert played.dock.sessions.mouse.is_drawing
    played.viewer.close()
    qtbot.waitUntil(lambda: len(PromptSession.unfinished()) == 1, timeout=20_000)


def test_closing_the_dock_saves_the_session_and_takes_its_layers_away(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle)
    played.idle()
    played.viewer.window.remove_dock_widget(played.dock.native)
    qtbot.waitUntil(lambda: [layer.name for layer in played.viewer.layers] == ["T1"], timeout=20_000)
    qtbot.waitUntil(lambda: len(PromptSession.unfinished()) == 1, timeout=20_000)
    assert not played.scans[0].keymap


def test_objects_are_named_locked_colored_and_measured_in_the_list(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle)
    played.idle()
    tree = played.dock.objects.tree
    assert float(tree.topLevelItem(0).text(2)) == pytest.approx(played.session.volume_ml(1), abs=0.005)
    tree.topLevelItem(0).setText(0, "liver")
    played.idle()
    assert played.session.objects[0].name == "liver"
    assert list(played.editing.labels_layer.features["name"]) == ["background", "liver"]
    played.dock.objects.recolored.emit(1, (0.0, 0.0, 1.0))
    played.idle()
    assert np.allclose(played.editing.labels_layer.colormap.map(1), (0, 0, 1, 1))
    tree.topLevelItem(0).setCheckState(1, Qt.CheckState.Checked)
    played.idle()
    assert played.session.objects[0].is_locked
    before = played.session.labels.copy()
    played.click(moved(played, 2))
    played.idle()
    assert "locked" in played.warning
    assert np.array_equal(played.session.labels, before)
    tree.topLevelItem(0).setText(0, "  ")
    assert tree.topLevelItem(0).text(0) == "liver"


def test_corrections_are_those_of_the_tools(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle)
    played.idle()
    session, corrections = played.session, played.dock.corrections
    state = ToolState(session.volume, session.labels.copy(), 1, session.objects)
    expected = session.mask(1)
    update = Grow(3.0).apply(state, Monitor(1))
    expected[update.box] = update.mask
    corrections.distance_spin.setValue(3.0)
    qtbot.mouseClick(corrections.buttons["Grow"], LEFT)
    played.idle()
    assert np.array_equal(session.mask(1), expected)
    played.click(moved(played, 13))
    played.idle()
    both = session.mask(1)
    played.dock.corrections_section.button.setChecked(True)
    qtbot.mouseClick(corrections.buttons["keep"], LEFT)
    played.click(played.middle)
    played.idle()
    assert np.array_equal(session.mask(1), expected)
    assert both.sum() > expected.sum()
    assert not corrections.buttons["keep"].isChecked()
    qtbot.mouseClick(corrections.buttons["reset"], LEFT)
    played.idle()
    assert not session.labels.any()
    assert not session.prompts(1)


def test_the_result_as_a_layer_is_the_label_map_with_its_history(make_napari_viewer, qtbot, engine):
    volume = oblique_scan()
    played = Played(make_napari_viewer, qtbot, volume).start()
    middle = volume.geometry.to_world([(n - 1) / 2 for n in volume.geometry.shape])
    played.show("coronal", middle)
    played.click(middle)
    played.idle()
    qtbot.mouseClick(played.dock.result_button, LEFT)
    played.idle()
    layer = next(layer for layer in played.viewer.layers if layer.name.endswith("result"))
    taken = label_map_from_layer(layer)
    assert np.array_equal(taken.array, played.session.labels)
    assert taken.geometry.is_close(volume.geometry)
    assert taken.labels[1].name == "object 1"
    assert taken.provenance
    assert layer.editable
    assert np.array_equal(volume_from_layer(played.scans[0]).array, volume.array)


def test_in_3d_and_outside_the_scan_a_prompt_is_one_line(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle + np.array([25.0, 0.0, 0.0]))
    played.idle()
    assert "outside" in played.warning
    assert not played.session.history
    played.viewer.dims.ndisplay = 3
    pump()
    played.press(played.middle)
    assert "2-D" in played.dock.message_label.text()
    played.release(played.middle)
    assert len(engine.requests) == 0
    assert not played.editing.labels_layer.editable


def test_an_engine_that_fails_is_one_line_and_the_session_goes_on(make_napari_viewer, qtbot, engine):
    engine.is_broken = True
    played = started(make_napari_viewer, qtbot)
    played.click(played.middle)
    played.idle()
    assert played.warning == "⚠ The engine 'ball' is broken."
    engine.is_broken = False
    played.click(played.middle)
    played.idle()
    assert not played.warning
    assert played.session.labels.any()


def test_keys_move_the_cross_and_prompt_there(make_napari_viewer, qtbot, engine):
    played = started(make_napari_viewer, qtbot)
    played.viewer.layers.selection.active = played.scans[0]
    played.key(Qt.Key.Key_Return)  # where it would be is not seen yet
    assert not played.session.objects
    assert "Return marks there" in played.dock.message_label.text()
    before = to_patient(np.array(played.viewer.dims.point))
    window = played.canvas.window()
    played.canvas.setFocus()
    qtbot.waitUntil(lambda: window.activateWindow() or window.isActiveWindow())  # shortcuts are those of the active one
    for _ in range(2):
        QTest.keyClick(played.canvas, Qt.Key.Key_Right, SHIFT)
    wanted = before + np.array([2 * played.scans[0].scale[2], 0, 0])
    played.key(Qt.Key.Key_Return)
    played.idle()
    QTest.keyClick(played.canvas, Qt.Key.Key_Down, SHIFT)
    played.key(Qt.Key.Key_Return, SHIFT)
    played.idle()
    (prompts,) = played.editing.state.prompts.values()
    assert [prompt.positive for prompt in prompts] == [True, False]
    assert prompts[0].points[0] == pytest.approx(wanted)
    assert prompts[1].points[0] == pytest.approx(wanted + np.array([0, played.scans[0].scale[1], 0]))
    played.dock.palette_box.choose("lasso")
    played.key(Qt.Key.Key_Return)
    assert "drawn with the mouse" in played.dock.message_label.text()
