"""The Models dock by real clicks: the same voxels as the operation, and every way a run can end."""

import dataclasses

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtWidgets import QDoubleSpinBox

import fake_models
from drawn_scans import chest_ct, head_mr
from models_dock import answer, choose, click, docked, tiny_head, wait_for_end
from napari_radcnn import operations
from napari_radcnn.errors import ResourceError
from napari_radcnn.gui.layers.layers import label_map_from_layer, volume_from_layer
from napari_radcnn.gui.models.run import ModelRun
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import describe, get_model, models
from napari_radcnn.phantom import head, oblique_geometry
from napari_radcnn.results import Classification
from napari_radcnn.spec.domain import Domain
from screens import wait_for_plan

pytestmark = pytest.mark.gui


@pytest.fixture
def shown(monkeypatch):
    """Return the lines that napari was asked to show as errors."""
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_error", lines.append)
    return lines


def test_one_dock_offers_says_and_shows_each_model(make_napari_viewer, qtbot, monkeypatch, shown):
    """One viewer for all: what is offered, what is said before a run, and how each kind of run ends."""
    fake_models.register(monkeypatch)
    fake_models.register(monkeypatch, name="absent", requires=("no_such_package_here",), extra="models")
    fake_models.register(monkeypatch, name="of-ct", modalities=("CT",))
    fake_models.register(monkeypatch, "classification", "sorter")
    _, failing = fake_models.register(monkeypatch, name="failing")
    _, held = fake_models.register(monkeypatch, name="held")
    viewer, dock = docked(make_napari_viewer, tiny_head())
    check_offers_and_forms(dock)
    check_what_is_said(dock)
    check_a_classification_is_shown_as_a_card(viewer, dock, qtbot)
    check_an_error_is_one_line(viewer, dock, qtbot, failing)
    assert shown == []  # and no notification besides
    check_after_cancel_no_layer_is_left(viewer, dock, qtbot, held)
    check_a_segmentation_becomes_named_labels_with_volumes(viewer, dock, qtbot)


def check_offers_and_forms(dock):
    """See that engines that answer prompts are not offered, and that each form is the model's own dataclass."""
    offered = {dock.model_combo.itemData(index) for index in range(dock.model_combo.count())}
    assert "brain-extraction" in offered
    assert offered.isdisjoint({spec.name for spec in models("interactive")})
    for row in range(dock.model_combo.count()):
        dock.model_combo.setCurrentIndex(row)
        assert type(dock.options_form.value()) is dock.spec.options
        assert dock.options_form.value() == dock.spec.options()
        assert list(dock.options_form.editors) == [field.name for field in describe(dock.spec.options)]


def check_what_is_said(dock):
    """See that a missing extra is told and cannot be run, and that a scan of another kind is warned of."""
    choose(dock, "absent")
    assert "pip install 'napari-radcnn[models]'" in dock.install_label.text()
    assert not dock.install_label.isHidden()
    assert not dock.panel.start_button.isEnabled()
    choose(dock, "nlm-denoise")
    assert dataclasses.asdict(dock.spec) == dataclasses.asdict(get_model("nlm-denoise"))
    assert dock.install_label.isHidden()
    assert dock.panel.start_button.isEnabled()
    choose(dock, "of-ct")
    assert "was made for CT" in dock.warning_label.text()


def check_a_classification_is_shown_as_a_card(viewer, dock, qtbot):
    choose(dock, "sorter")
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    assert isinstance(operations.run(tiny_head(), "sorter"), Classification)
    (first, second) = dock.page("classification").widget.rows
    assert first[:2] == ("pneumonia", "0.92")
    assert second[:2] == ("normal", "0.08")
    assert not dock.page("classification").widget.isHidden()
    assert dock.results.isHidden()
    assert len(viewer.layers) == 1
    choose(dock, "nlm-denoise")
    assert dock.page("classification").widget.isHidden()


def check_an_error_is_one_line(viewer, dock, qtbot, pipeline):
    pipeline.error = ResourceError("The device went away: use --device cpu.")
    choose(dock, "failing")
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text() == "The device went away: use --device cpu."
    assert len(viewer.layers) == 1
    qtbot.waitUntil(dock.panel.start_button.isEnabled)


def check_after_cancel_no_layer_is_left(viewer, dock, qtbot, pipeline):
    pipeline.may_go_on.clear()
    choose(dock, "held")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    assert dock.panel.cancel_button.isEnabled()
    click(qtbot, dock.panel.cancel_button)
    pipeline.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert len(viewer.layers) == 1
    assert "ancelled" in dock.panel.message_label.text()
    assert pipeline.steps_done < fake_models.STEPS
    qtbot.waitUntil(dock.panel.start_button.isEnabled)


def check_a_segmentation_becomes_named_labels_with_volumes(viewer, dock, qtbot):
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    layer = viewer.layers[-1]
    assert isinstance(layer, Labels)
    expected = operations.run(tiny_head(), "fake")
    assert np.array_equal(label_map_from_layer(layer).array, expected.array)
    item = dock.results.topLevelItem(0)
    assert item.text(0) == "bright"
    assert item.text(1) == f"{expected.volume_ml(1):.1f} ml"
    assert not dock.results.isHidden()


@pytest.mark.parametrize("volume", [tiny_head(), head(oblique_geometry((8, 10, 12)))], ids=["aligned", "oblique"])
def test_a_run_gives_the_voxels_of_the_operation(make_napari_viewer, qtbot, volume):
    viewer, dock = docked(make_napari_viewer, volume)
    choose(dock, "nlm-denoise")
    strength = dock.options_form.editors["strength"]
    assert isinstance(strength, QDoubleSpinBox)
    strength.setValue(1.2)
    wait_for_plan(dock)
    assert "memory" in dock.plan_label.text()
    click(qtbot, dock.panel.start_button)
    assert not dock.panel.start_button.isEnabled()
    wait_for_end(qtbot, dock)
    expected = operations.run(volume, "nlm-denoise", {"strength": 1.2})
    layer = viewer.layers[-1]
    assert isinstance(layer, Image)
    assert layer.name == f"{volume.name} · nlm-denoise"
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    back = volume_from_layer(layer)
    assert np.array_equal(back.array, expected.array)
    assert back.geometry.is_close(volume.geometry)
    assert layer.metadata["radcnn"]["provenance"]["options"]["strength"] == 1.2
    assert np.allclose(layer.scale, viewer.layers[0].scale)
    assert np.allclose(layer.translate, viewer.layers[0].translate)
    assert np.array_equal(volume_from_layer(viewer.layers[0]).array, volume.array)


def test_labels_are_offered_only_to_a_model_that_takes_masks(make_napari_viewer, monkeypatch):
    fake_models.register(monkeypatch, "classification")
    masks, _ = fake_models.register(monkeypatch, "classification", "masks", modalities=("SEG",))
    viewer, dock = docked(make_napari_viewer, tiny_head())
    mask = (tiny_head().array > 0).astype(np.uint8)
    layer = viewer.add_labels(mask, name="outline")
    choose(dock, "fake")
    assert layer not in dock.layer_combo.layers
    choose(dock, "masks")
    assert layer in dock.layer_combo.layers
    given = ModelRun(masks, (layer,), None, RunSettings()).volumes()[0]
    assert (given.modality, given.metadata.is_label) == ("SEG", True)
    assert np.array_equal(given.array, mask)
    choose(dock, "fake")
    assert layer not in dock.layer_combo.layers


def test_only_volumes_can_be_run_and_the_rest_is_told_why(make_napari_viewer):
    viewer, dock = docked(make_napari_viewer)
    choose(dock, "brain-extraction")  # a model of masks would take the labels
    assert "Open a scan" in dock.plan_label.text()
    assert not dock.panel.start_button.isEnabled()
    viewer.add_labels(np.zeros((3, 4, 5), np.uint8))
    assert dock.layer_combo.count() == 0
    viewer.add_image(np.zeros((4, 5)), name="flat")
    wait_for_plan(dock)
    assert "2 axes" in dock.plan_label.text()
    assert not dock.panel.start_button.isEnabled()


def test_the_list_of_scans_follows_the_viewer(make_napari_viewer):
    viewer, dock = docked(make_napari_viewer, tiny_head())
    second = viewer.add_image(np.zeros((3, 4, 5)), name="second")
    dock.layer_combo.setCurrentIndex(1)
    second.name = "renamed"
    assert [dock.layer_combo.itemText(n) for n in range(2)] == ["head phantom", "renamed"]
    assert dock.layer is second
    viewer.layers.remove(viewer.layers[0])
    assert dock.layer_combo.count() == 1
    assert dock.layer is second


def test_removing_the_layer_during_a_run_is_no_harm(make_napari_viewer, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.may_go_on.clear()
    viewer, dock = docked(make_napari_viewer, tiny_head())
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    viewer.layers.clear()
    pipeline.may_go_on.set()
    wait_for_end(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ["head phantom · fake"]


def test_closing_the_viewer_during_a_run_cancels_it(make_napari_viewer, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.may_go_on.clear()
    viewer, dock = docked(make_napari_viewer, tiny_head())
    choose(dock, "fake")
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(pipeline.started.is_set)
    job = dock.job
    viewer.close()
    qtbot.waitUntil(lambda: job._cancel.is_set())
    pipeline.may_go_on.set()
    qtbot.wait(200)
    assert pipeline.steps_done < fake_models.STEPS


def head_model(monkeypatch):
    """Register a model of head MR; return it and its recipe."""
    return fake_models.register(
        monkeypatch, modalities=("MR",), domain=Domain(regions=("head",), layout="volume", thickest_mm=5.0)
    )


def test_a_model_that_fits_runs_without_a_question(make_napari_viewer, qtbot, monkeypatch):
    head_model(monkeypatch)
    viewer, dock = docked(make_napari_viewer, head_mr())
    choose(dock, "fake")
    assert dock.suitability_label.isHidden()
    assert dock.panel.start_button.text() == "Run"
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    assert viewer.layers[-1].metadata["radcnn"]["provenance"]["suitability"] == {"state": "fits", "reasons": []}


def test_a_doubt_is_told_and_the_model_runs(make_napari_viewer, qtbot, monkeypatch):
    head_model(monkeypatch)
    volume = tiny_head()  # slices 16 mm apart, and a phantom
    viewer, dock = docked(make_napari_viewer, volume)
    choose(dock, "fake")
    expected = operations.plan(volume, "fake").suitability
    assert expected.state == "doubtful"
    assert "doubtful" in dock.suitability_label.text()
    assert all(reason in dock.warning_label.text() for reason in expected.reasons)
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    assert viewer.layers[-1].metadata["radcnn"]["provenance"]["suitability"] == expected.to_dict()


def test_what_is_refused_runs_only_when_the_question_is_answered_so(make_napari_viewer, qtbot, monkeypatch):
    _, pipeline = head_model(monkeypatch)
    viewer, dock = docked(make_napari_viewer, chest_ct())
    choose(dock, "fake")
    expected = operations.plan(chest_ct(), "fake").suitability
    assert expected.state == "refused"
    assert "not made for such a scan" in dock.suitability_label.text()
    assert dock.panel.start_button.text() == "Run anyway …"
    click(qtbot, dock.panel.start_button)
    assert expected.reasons[0] in answer(qtbot, dock, "Do not run")
    assert dock.job is None
    assert pipeline.steps_done == 0
    click(qtbot, dock.panel.start_button)
    answer(qtbot, dock, "Run anyway")
    wait_for_end(qtbot, dock)
    layer = viewer.layers[-1]
    assert layer.name.endswith("fake (not made for this scan)")
    assert layer.metadata["radcnn"]["provenance"]["suitability"] == expected.to_dict()
    choose(dock, "nlm-denoise")
    assert dock.panel.start_button.text() == "Run"
