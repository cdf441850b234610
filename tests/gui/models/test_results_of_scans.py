"""Results belong to their scan: nothing that a model answered of one patient stays beside another."""

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt

import fake_models
from models_dock import choose, click, docked, tiny_head, wait_for_end
from napari_radcnn.gui.layers.belonging import identity, scan_of
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.gui.scans.showing import show_alone
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome
from napari_radcnn.results import Detection
from patience import PATIENCE
from screens import pump, wait_for_plan

pytestmark = pytest.mark.gui


@pytest.fixture
def two(make_napari_viewer):
    """A viewer with two scans, the first of them active, and the dock."""

    def make():
        viewer, dock = docked(make_napari_viewer, tiny_head().with_metadata(name="A", description="thorax"))
        first = viewer.layers[0]
        second = tiny_head("RAS").with_metadata(name="B")
        add_to_viewer(viewer, layer_data(second))
        viewer.layers.selection.active = first
        assert dock.layer is first
        return viewer, dock, first, viewer.layers[1]

    return make


def card(dock):
    return dock.page("classification").widget


def seen(dock):
    """Return everything that the dock says of a result or of a scan."""
    labels = (dock.answers.title, dock.panel.message_label, dock.warning_label)
    texts = [label.text() for label in labels if not label.isHidden()]
    texts += [row[0] + row[1] for row in card(dock).rows if not card(dock).isHidden()]
    return "\n".join(texts)


def test_a_card_goes_with_its_scan_and_comes_back(two, qtbot, monkeypatch):
    fake_models.register(monkeypatch, "classification")
    viewer, dock, first, second = two()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    assert "pneumonia0.92" in seen(dock)
    title = dock.answers.title.text().split(" · ")
    assert title[:3] == ["A", "thorax", "Fake"]
    assert len(title[3]) == len("12:34")
    first.name = "A renamed"
    assert dock.answers.title.text().startswith("A renamed · thorax")

    viewer.layers.selection.active = second
    assert dock.layer is second
    assert card(dock).isHidden()
    assert dock.answers.title.isHidden()
    assert not dock.panel.message_label.text()
    viewer.layers.move(0, 2)  # below or above another: whose result it is does not change
    viewer.layers.selection.active = first
    assert "pneumonia0.92" in seen(dock)
    assert "Done" in dock.panel.message_label.text()

    viewer.layers.remove(first)
    assert dock.layer is second
    assert "pneumonia" not in seen(dock)
    viewer.layers.append(first)
    assert dock.layer is first
    assert "pneumonia" not in seen(dock)  # it went when the scan was closed


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_a_scan_chosen_while_a_model_runs_on_another_does_not_get_its_result(two, qtbot, monkeypatch, task):
    _, pipeline = fake_models.register(monkeypatch, task)
    pipeline.may_go_on.clear()
    viewer, dock, first, second = two()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    viewer.layers.selection.active = second
    assert dock.layer is first  # it does not jump, and says what it does
    assert dock.pin.status.text() == "A model is running on this scan; 'B' is active"
    pipeline.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert dock.layer is second
    assert viewer.layers.selection.active is second  # nor does the viewer turn away from what is looked at
    assert card(dock).isHidden()
    assert dock.results.isHidden()
    assert dock.answers.title.isHidden()
    viewer.layers.selection.active = first
    assert ("pneumonia0.92" in seen(dock)) == (task == "classification")
    assert dock.results.isHidden() == (task == "classification")
    assert dock.answers.title.text().startswith("A · thorax · Fake")


def test_a_scan_chosen_by_hand_during_a_run_hears_of_the_other_by_name_only(two, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch, "classification")
    pipeline.may_go_on.clear()
    viewer, dock, first, second = two()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    dock.layer_combo.choose(second)
    dock.layer_combo.activated.emit(dock.layer_combo.currentIndex())  # as by a click in the list
    assert viewer.layers.selection.active is second
    assert dock.panel.message_label.text().startswith("A · Fake: ")
    pipeline.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text() == "Done: Fake on 'A'. Choose that scan and model to see the result."
    assert "pneumonia" not in seen(dock)
    viewer.layers.selection.active = first
    assert "pneumonia0.92" in seen(dock)


def test_a_scan_closed_during_a_run_leaves_no_answer_beside_the_next(two, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch, "classification")
    pipeline.may_go_on.clear()
    viewer, dock, first, second = two()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    viewer.layers.remove(first)
    assert dock.layer is second
    pipeline.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text() == "'A' was closed: the result of Fake is not shown."
    assert "pneumonia" not in seen(dock)
    viewer.layers.append(first)
    assert "pneumonia" not in seen(dock)


def test_a_scan_renamed_moved_and_pinned_during_a_run_gets_its_result(two, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch, "segmentation")
    pipeline.may_go_on.clear()
    viewer, dock, first, second = two()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    first.name = "A renamed"
    viewer.layers.move(viewer.layers.index(first), len(viewer.layers))
    add_to_viewer(viewer, layer_data(tiny_head("PIR").with_metadata(name="C")))
    qtbot.mouseClick(dock.pin.button, Qt.MouseButton.LeftButton)
    viewer.layers.selection.active = second
    assert dock.layer is first
    assert dock.pin.status.text() == "Pinned; 'B' is active"
    pipeline.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert dock.layer is first  # still pinned
    (made,) = [layer for layer in viewer.layers if layer not in (first, second) and not layer.name.startswith("C")]
    assert scan_of(made, viewer.layers) is first
    assert np.array_equal(made.extent.world, first.extent.world)
    assert viewer.layers.selection.active is second
    assert dock.answers.title.text().startswith("A renamed · thorax · Fake")
    qtbot.mouseClick(dock.pin.button, Qt.MouseButton.LeftButton)
    assert dock.layer is second
    assert dock.answers.title.isHidden()


def test_a_layer_closed_while_its_cost_is_computed_leaves_no_cost_and_no_warning(two, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch, "classification", modalities=("CT",))
    asked, may_answer = threading.Event(), threading.Event()

    def slow_plan(request):
        if request.volume.name == "A":
            asked.set()
            may_answer.wait(PATIENCE)
            return Plan(request.spec.name, 8, (4, 4, 4), 1000, warnings=("only of A",))
        return Plan(request.spec.name, 8, (4, 4, 4), 1000, warnings=("only of B",))

    pipeline.plan = slow_plan
    viewer, dock, first, second = two()
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("fake"))
    dock.update_plan()
    qtbot.waitUntil(asked.is_set)
    viewer.layers.remove(first)
    assert dock.layer is second
    may_answer.set()
    wait_for_plan(dock)
    assert "only of B" in dock.warning_label.text()
    assert "only of A" not in dock.warning_label.text()
    viewer.layers.selection.active = None
    add_to_viewer(viewer, layer_data(tiny_head().with_metadata(name="A")))
    assert dock.warning_label.isHidden()  # from the moment that another scan is chosen, not when its cost is known
    assert "8" not in dock.plan_label.text()


def test_findings_are_listed_beside_their_scan_only(two, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch, "detection")
    box = Detection("nodule", 0.9, (1.0, -2.0, 3.0), (4.0, 5.0, 6.0))
    pipeline.run = lambda *_: Outcome("cpu", "float32", detections=(box,), warnings=("of A",))
    viewer, dock, first, second = two()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    findings, layer = dock.page("detection").widget, viewer.layers[-1]
    assert scan_of(layer, viewer.layers) is first
    assert not findings.isHidden()
    assert dock.layer is first
    viewer.layers.selection.active = second
    assert findings.isHidden()
    viewer.layers.selection.active = first
    assert not findings.isHidden()
    assert findings.layer is layer
    dock.pin.button.click()
    viewer.layers.selection.active = second
    assert not findings.isHidden()  # pinned: still those of the chosen scan
    viewer.layers.remove(first)
    assert findings.isHidden()


# -- which scan the dock is about ----------------------------------------------------------------------------------


def test_the_dock_follows_the_active_layer_until_it_is_pinned(two, qtbot):
    viewer, dock, first, second = two()
    choose(dock, "nlm-denoise")
    viewer.layers.selection.active = second
    assert dock.layer is second
    assert dock.pin.status.text() == "Follows the active layer"
    viewer.layers.move(1, 0)
    assert dock.layer is second
    qtbot.mouseClick(dock.pin.button, Qt.MouseButton.LeftButton)
    viewer.layers.selection.active = first
    second.name = "renamed"
    pump()
    assert dock.layer is second
    assert dock.pin.status.text() == "Pinned; 'A' is active"
    qtbot.mouseClick(dock.pin.button, Qt.MouseButton.LeftButton)
    assert dock.layer is first
    viewer.layers.selection.active = None
    assert dock.layer is first
    qtbot.mouseClick(dock.pin.button, Qt.MouseButton.LeftButton)
    viewer.layers.remove(first)
    assert dock.layer is second  # what was pinned is gone


def test_what_was_made_of_a_scan_leads_to_the_scan(two, qtbot, monkeypatch):
    fake_models.register(monkeypatch)
    viewer, dock, first, second = two()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    mask = viewer.layers[-1]
    assert viewer.layers.selection.active is mask
    assert dock.layer is first
    viewer.layers.selection.active = second
    assert dock.layer is second
    viewer.layers.selection.active = mask
    assert dock.layer is first
    assert mask.metadata["radcnn_scan"] == identity(first)
    viewer.add_labels(np.zeros((3, 4, 5), np.uint8), name="of nobody")
    assert dock.layer is first


# -- where a result lies that comes late ---------------------------------------------------------------------------


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_mask_that_comes_while_another_scan_is_seen_does_not_lie_on_it(two, qtbot, monkeypatch, is_closed):
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.may_go_on.clear()
    viewer, dock, first, second = two()
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    show_alone(viewer, [second])  # as by a click in the list of scans
    assert (first.visible, second.visible) == (False, True)
    if is_closed:
        viewer.layers.remove(first)
    pipeline.may_go_on.set()
    wait_for_end(qtbot, dock)
    (mask,) = [layer for layer in viewer.layers if layer not in (first, second)]
    assert not mask.visible
    assert viewer.layers.selection.active is second
    if is_closed:
        assert dock.panel.message_label.text() == f"Done: layer '{mask.name}', hidden: another scan is shown"
        return
    show_alone(viewer, [first])
    assert (first.visible, second.visible, mask.visible) == (True, False, True)
