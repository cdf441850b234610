"""The parts of the Interactive segmentation dock, one by one."""

from threading import Event

import numpy as np
import pytest

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.interactive.corrections import Corrections
from napari_radcnn.gui.interactive.display import ShownLabels
from napari_radcnn.gui.interactive.marks import outline
from napari_radcnn.gui.interactive.steps import Step, Steps
from napari_radcnn.gui.layers.layers import to_display, to_patient
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.preprocessing import resample
from patience import PATIENCE

pytestmark = pytest.mark.gui


def turned_geometry():
    usual = Geometry.from_parts((6, 8, 10), (3.0, 1.5, 2.0), (-11.0, 7.5, 20.25))
    return usual.reoriented(usual.axis_map("AIL"))


def test_positions_go_to_naparis_order_and_back():
    positions = np.array([[1.0, 2.0, 3.0], [-4.0, 5.0, 6.5]])
    assert to_display(positions).tolist() == [[3, 2, 1], [6.5, 5, -4]]
    assert to_patient(to_display(positions)).tolist() == positions.tolist()
    assert to_patient((99.0, 3.0, 2.0, 1.0)).tolist() == [1, 2, 3]  # an axis before the patient's is none of them


def test_labels_of_an_aligned_scan_are_shown_without_a_copy():
    geometry = turned_geometry()
    labels = np.zeros(geometry.shape, np.uint16)
    shown = ShownLabels(labels, geometry)
    assert np.shares_memory(shown.data, labels)
    labels[2, 3, 4] = 7
    (index,) = np.argwhere(shown.data)
    assert np.allclose(shown.place.shown.to_world(index), geometry.to_world((2, 3, 4)))


def test_labels_of_an_oblique_scan_are_redrawn_where_they_changed():
    geometry = oblique_geometry((9, 20, 24))
    random = np.random.default_rng(3)
    labels = np.zeros(geometry.shape, np.uint16)
    shown = ShownLabels(labels, geometry)
    for _ in range(12):
        start = [int(random.integers(0, n - 1)) for n in geometry.shape]
        stop = [int(random.integers(a + 1, n + 1)) for a, n in zip(start, geometry.shape, strict=True)]
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        labels[box] = random.integers(0, 9, labels[box].shape)
        shown.redraw(box)
    whole = resample(labels, geometry, shown.place.shown, interpolation="nearest", antialias=False)
    assert whole.any()
    assert np.array_equal(shown.data, whole)


@pytest.mark.parametrize("geometry", [turned_geometry(), oblique_geometry()])
def test_a_position_lies_on_the_slice_that_is_shown(geometry):
    shown = ShownLabels(np.zeros(geometry.shape, np.uint16), geometry)
    grid = shown.place.shown
    world = to_display(grid.to_world((2.3, 3.4, 1.2)))
    assert np.allclose(grid.to_index(shown.on_slice(world, (1, 2))), (2, 3.4, 1.2))
    assert np.allclose(grid.to_index(shown.on_slice(world, (0, 2))), (2.3, 3, 1.2))
    assert np.allclose(grid.to_index(shown.on_slice((5.0, *world), (0, 1))), (2.3, 3.4, 1))


def test_outlines_run_along_their_prompts_and_negative_ones_have_gaps():
    corners = [(0.0, 0.0, 5.0), (30.0, 0.0, 5.0), (0.0, 12.0, 5.0)]
    box = outline(Prompt.box(*corners), 0.5)
    assert len(box) > 100
    on_edge = np.isclose(box[:, 0] % 30, 0) | np.isclose(box[:, 1] % 12, 0)
    assert on_edge.all()
    assert (box.min(0).tolist(), box.max(0).tolist()) == ([0, 0, 5], [30, 12, 5])
    deep = outline(Prompt.box(*corners, (0.0, 0.0, 9.0)), 0.5)
    assert set(np.unique(np.round(deep[:, 2], 6))) >= {5.0, 9.0}
    line = [(0.0, 0.0, 0.0), (10.0, 0.0, 0.0), (10.0, 10.0, 0.0)]
    full, dashed = (outline(Prompt.scribble(line, positive=positive), 0.5) for positive in (True, False))
    gaps = np.linalg.norm(np.diff(dashed, axis=0), axis=1)
    assert np.linalg.norm(np.diff(full, axis=0), axis=1).max() < 0.51
    assert gaps.max() > 1.4
    closed = outline(Prompt.lasso(line), 0.1)
    assert np.linalg.norm(closed[0] - closed[-1]) < 0.3
    assert len(closed) <= 155
    assert outline(Prompt.point((1, 2, 3)), 0.5).shape == (0, 3)


class Listener:
    def __init__(self, steps):
        self.said = []
        steps.done.connect(lambda step, result: self.said.append(("done", step.title, result)))
        steps.failed.connect(lambda step, line: self.said.append(("failed", step.title, line)))
        steps.dropped.connect(lambda step: self.said.append(("dropped", step.title, None)))


def returning(value):
    return lambda _progress, _cancel: value


def test_steps_are_done_in_order_and_a_failure_stops_none_after_it(qtbot):
    steps = Steps()
    listener = Listener(steps)

    def broken(_progress, _cancel):
        raise ModelError("no weights")

    def defect(_progress, _cancel):
        raise KeyError("x")

    for title, work in (("a", returning(1)), ("b", broken), ("c", defect), ("d", returning(4))):
        steps.add(Step(title, work))
    qtbot.waitUntil(lambda: not steps.unfinished)
    assert [(kind, title) for kind, title, _ in listener.said] == [
        ("done", "a"),
        ("failed", "b"),
        ("failed", "c"),
        ("done", "d"),
    ]
    assert listener.said[1][2] == "no weights"
    assert "please report" in listener.said[2][2]
    assert steps.close(lambda: None, 10)


def test_undo_takes_back_only_changes_and_cancel_only_what_may_be(qtbot):
    steps, gate = Steps(), Event()
    listener = Listener(steps)

    def waits(_progress, cancel):
        assert gate.wait(PATIENCE)
        if cancel.is_set():
            from napari_radcnn.errors import CancelledError

            raise CancelledError

    steps.add(Step("first", waits, True, True, value=1))
    steps.add(Step("second", returning(2), True, True, value=2))
    steps.add(Step("rename", returning(3)))
    assert not steps.drop_last()  # a name is no change of voxels: the session's own undo takes it back
    steps.add(Step("third", returning(4), True, True, value=1))
    assert steps.drop_last()
    steps.cancel(value=1)
    assert steps.is_cancelling
    gate.set()
    qtbot.waitUntil(lambda: not steps.unfinished)
    assert [(kind, title) for kind, title, _ in listener.said] == [
        ("dropped", "third"),
        ("dropped", "first"),
        ("done", "second"),
        ("done", "rename"),
    ]
    assert steps.close(lambda: None, 10)


def test_closing_does_what_must_be_done_and_then_the_last_thing(qtbot):
    steps, gate, order = Steps(), Event(), []

    def waits(_progress, _cancel):
        assert gate.wait(PATIENCE)
        order.append("running")

    steps.add(Step("running", waits))
    steps.add(Step("asked", lambda _p, _c: order.append("asked"), True, True))
    steps.add(Step("rename", lambda _p, _c: order.append("rename")))
    with qtbot.waitSignal(steps.closed, timeout=20_000):
        assert not steps.close(lambda: order.append("last"), 0.0)
        gate.set()
    assert order == ["running", "rename", "last"]
    steps.add(Step("late", lambda _p, _c: order.append("late")))
    assert not steps.unfinished


def test_no_two_corrections_lie_over_each_other(make_napari_viewer):
    corrections = Corrections(make_napari_viewer())
    grid = corrections.layout()
    taken: dict[tuple[int, int], str] = {}
    for number in range(grid.count()):
        row, column, rows, columns = grid.getItemPosition(number)
        widget = grid.itemAt(number).widget()
        for cell in ((row + r, column + c) for r in range(rows) for c in range(columns)):
            assert cell not in taken, f"{widget!r} lies over {taken[cell]} in {cell}"
            taken[cell] = repr(widget)
    assert len(taken) > 20
