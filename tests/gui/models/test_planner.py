"""The cost line: found out beside the viewer, the newest question answered, none that was withdrawn."""

import threading

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

import fake_models
from napari_radcnn.errors import ModelError
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.models.planner import Planner
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.inference.plan import Plan
from napari_radcnn.phantom import head, oblique_geometry
from patience import PATIENCE
from screens import wait_for_plan


@pytest.fixture
def planner(qtbot):
    """Return a planner whose answers, and the questions it wants asked, are kept in lists."""
    widget = QWidget()
    qtbot.addWidget(widget)
    asked = []
    planner = Planner(widget, lambda: asked.append("asked"))
    planner.asked, planner.answers, planner.slow = asked, [], []
    planner.answered.connect(planner.answers.append)
    planner.failed.connect(planner.answers.append)
    planner.is_slow.connect(lambda: planner.slow.append(True))
    return planner


def wait(qtbot, planner):
    qtbot.waitUntil(lambda: not planner.is_busy, timeout=10_000)


def held(answer):
    """Return work that waits until it is let go, and the events for it."""
    started, may_end = threading.Event(), threading.Event()

    def work():
        started.set()
        may_end.wait(PATIENCE)
        return answer

    return work, started, may_end


def test_only_the_newest_question_is_answered(qtbot, planner):
    first, started, may_end = held("first")
    planner.start(first)
    qtbot.waitUntil(started.is_set)
    planner.start(lambda: "second")
    planner.start(lambda: "third")
    assert planner.is_busy
    may_end.set()
    wait(qtbot, planner)
    assert planner.answers == ["third"]


def test_a_withdrawn_question_is_not_answered(qtbot, planner):
    work, started, may_end = held("old")
    planner.start(work)
    qtbot.waitUntil(started.is_set)
    planner.drop()
    may_end.set()
    wait(qtbot, planner)
    assert planner.answers == []


def test_many_edits_are_one_question(qtbot, planner):
    for _ in range(5):
        planner.settle()
    assert planner.is_busy
    qtbot.waitUntil(lambda: planner.asked == ["asked"])


def test_what_takes_long_is_told_and_what_does_not_is_not(qtbot, planner):
    usual = planner._slow.interval()
    planner._slow.setInterval(PATIENCE * 1000)  # a loaded computer is slow at what is quick
    planner.start(lambda: "quick")
    wait(qtbot, planner)
    assert planner.slow == []
    assert not planner._slow.isActive()
    planner._slow.setInterval(usual)
    work, _, may_end = held("late")
    planner.start(work)
    qtbot.waitUntil(lambda: planner.slow == [True])
    may_end.set()
    wait(qtbot, planner)
    assert planner.answers == ["quick", "late"]


def test_an_error_is_one_line(qtbot, planner):
    def work():
        raise ModelError("The model is damaged.")

    planner.start(work)
    wait(qtbot, planner)
    assert planner.answers == ["The model is damaged."]


@pytest.mark.gui
def test_the_viewer_waits_neither_for_the_voxels_nor_for_the_plan(make_napari_viewer, qtbot, monkeypatch):
    import dask.array

    _, pipeline = fake_models.register(monkeypatch)
    computed_in, planned_in = [], []

    def block(block_info=None):
        computed_in.append(threading.current_thread())
        return np.ones((3, 4, 5), np.float32)

    def plan(request):
        planned_in.append(threading.current_thread())
        return Plan("fake", 8, (4, 4, 4), 1000)

    monkeypatch.setattr(pipeline, "plan", plan)
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("fake"))
    add_to_viewer(viewer, layer_data(head(oblique_geometry((8, 10, 12)))))
    array = dask.array.map_blocks(block, chunks=((3,), (4,), (5,)), dtype=np.float32, meta=np.empty(0, np.float32))
    layer = viewer.add_image(array, contrast_limits=(0, 1), visible=False)
    computed_in.clear()
    dock.layer_combo.choose(layer)
    wait_for_plan(dock)
    assert dock.plan_label.text().startswith("8 patches")
    main = threading.main_thread()
    assert computed_in
    assert planned_in
    assert main not in computed_in
    assert main not in planned_in
