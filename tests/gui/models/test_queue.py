"""Runs that wait for each other, the moving bar, and the list of models by how they suit the scan."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

import fake_models
from drawn_scans import chest_ct, head_mr
from models_dock import choose, click, docked, tiny_head, wait_for_end
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.models.suited import REASON_ROLE
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.operations import models_for
from screens import pump, wait_for_plan

pytestmark = pytest.mark.gui


def waiting(dock):
    return [dock.queue.list.item(row).text() for row in range(dock.queue.list.count())]


def test_runs_wait_in_a_queue_that_is_seen_and_emptied(make_napari_viewer, qtbot, monkeypatch):
    _, first = fake_models.register(monkeypatch)
    first.may_go_on.clear()
    fake_models.register(monkeypatch, "segmentation", "second")
    fake_models.register(monkeypatch, "segmentation", "third")
    viewer, dock = docked(make_napari_viewer, tiny_head().with_metadata(name="A"))
    assert dock.queue.isHidden()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(first.started.is_set)
    wait_for_plan(dock)
    assert not dock.panel.start_button.isEnabled()  # the same run twice would be a mistake
    for name in ("second", "third", "nlm-denoise"):
        choose(dock, name)
        assert dock.panel.start_button.text() == "Add to queue"
        click(qtbot, dock.panel.start_button)
        wait_for_plan(dock)
        assert not dock.panel.start_button.isEnabled()
    assert not dock.queue.isHidden()
    assert waiting(dock) == ["Second · A", "Third · A", f"{dock.spec.title} · A"]
    dock.queue.list.setCurrentRow(1)
    click(qtbot, dock.queue.remove_button)
    assert waiting(dock) == ["Second · A", f"{dock.spec.title} · A"]
    dock.queue.list.setCurrentRow(1)
    qtbot.keyClick(dock.queue.list, Qt.Key.Key_Delete)
    assert waiting(dock) == ["Second · A"]
    first.may_go_on.set()
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=20_000)
    wait_for_end(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ["A", "A · fake", "A · second"]
    assert dock.queue.isHidden()
    wait_for_plan(dock)
    assert dock.panel.start_button.text() == "Run"


def test_cancel_begins_the_next_and_empty_leaves_none(make_napari_viewer, qtbot, monkeypatch):
    _, first = fake_models.register(monkeypatch)
    _, second = fake_models.register(monkeypatch, "segmentation", "second")
    first.may_go_on.clear()
    second.may_go_on.clear()
    viewer, dock = docked(make_napari_viewer, tiny_head().with_metadata(name="A"))
    add_to_viewer(viewer, layer_data(tiny_head("RAS").with_metadata(name="B")))
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(first.started.is_set)
    choose(dock, "second")
    click(qtbot, dock.panel.start_button)
    dock.layer_combo.choose(viewer.layers["A"])
    wait_for_plan(dock)
    click(qtbot, dock.panel.start_button)
    assert waiting(dock) == ["Second · B", "Second · A"]
    viewer.layers.remove("A")  # what waits for a scan goes with it
    assert waiting(dock) == ["Second · B"]
    click(qtbot, dock.panel.cancel_button)
    first.may_go_on.set()
    qtbot.waitUntil(second.started.is_set)
    assert waiting(dock) == []
    choose(dock, "nlm-denoise")
    click(qtbot, dock.panel.start_button)
    assert len(waiting(dock)) == 1
    click(qtbot, dock.queue.empty_button)
    assert dock.queue.isHidden()
    second.may_go_on.set()
    wait_for_end(qtbot, dock)
    pump()
    assert dock.job is None
    assert [layer.name for layer in viewer.layers] == ["B", "B · second"]


def test_the_bar_moves_while_no_step_is_done(make_napari_viewer, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.may_go_on.clear()
    _, dock = docked(make_napari_viewer, tiny_head())
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    qtbot.wait(100)
    bar = dock.panel.progress_bar
    assert (bar.minimum(), bar.maximum()) == (0, 0)  # as while a network is compiled
    dock.job.progressed.emit(3, 8, "step 3")
    assert (bar.maximum(), bar.value()) == (8, 3)
    dock.job.progressed.emit(3, 8, "preparing the model for openvino")
    assert bar.maximum() == 0
    dock.job.progressed.emit(4, 8, "step 4")
    assert (bar.maximum(), bar.value()) == (8, 4)
    pipeline.may_go_on.set()
    wait_for_end(qtbot, dock)


def test_models_that_fit_the_scan_are_listed_first_and_the_others_with_the_reason(make_napari_viewer, qtbot):
    volume = head_mr().with_metadata(name="T1")
    viewer, dock = docked(make_napari_viewer, volume)
    choose(dock, "lung-nodules")

    def rows():
        combo = dock.model_combo
        return [(combo.itemData(row), combo.itemData(row, REASON_ROLE)) for row in range(combo.count())]

    expected = models_for(volume)
    states = {spec.name: suits.state for spec, suits in expected}
    assert set(states.values()) >= {"fits", "refused"}
    qtbot.waitUntil(lambda: any(reason for _, reason in rows()), timeout=20_000)
    listed = [(key, reason) for key, reason in rows() if key in states]
    order = [["fits", "doubtful", "refused"].index(states[key]) for key, _ in listed]
    assert order == sorted(order)
    for spec, suits in expected:
        reason = dict(listed)[spec.name]
        assert bool(reason) == (suits.state != "fits")
        assert all(one in reason for one in suits.reasons)
        assert reason.startswith({"fits": "", "doubtful": "Doubtful: ", "refused": "Not for this scan: "}[suits.state])
    assert dock.spec.name == "lung-nodules"  # what was chosen stays chosen
    dock.model_combo.showPopup()
    pump()
    dock.model_combo.hidePopup()
    add_to_viewer(viewer, layer_data(chest_ct().with_metadata(name="CT", modality="CT")))
    assert not any(reason for _, reason in rows())  # nothing of the other scan
    wait_for_plan(dock)
    qtbot.waitUntil(lambda: any(reason for _, reason in rows()), timeout=20_000)
    assert not dict(rows())["lung-nodules"].startswith("Not for")
    assert np.all(np.isfinite(chest_ct().array))
