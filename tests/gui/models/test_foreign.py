"""Foreign models in the Models dock, by real clicks and drops: opened, refused, trusted, cancelled, remembered."""

import json
import os
import pickle
import shutil
import threading

import numpy as np
import pytest
import torch
from qtpy.compat import isalive
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QMessageBox, QPushButton

import napari_radcnn as radcnn
import nnunet_folder
from model_factory import UNET, describe, unet, write_bundle, write_safetensors
from napari_radcnn import operations
from napari_radcnn.foreign.pack import installed, pack
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data
from napari_radcnn.gui.models import foreign
from napari_radcnn.gui.models.dialogs import LocalModelsDialog
from napari_radcnn.gui.models.dock import ModelsDock
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import head, oblique_geometry
from patience import PATIENCE
from screens import wait_for_plan

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def _own_memory(tmp_path, monkeypatch):
    """Begin without models of earlier tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    foreign.forget_session()
    yield
    foreign.forget_session()


@pytest.fixture
def shown(monkeypatch):
    """Return the lines that napari was asked to show as errors."""
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_error", lines.append)
    return lines


def docked(make_napari_viewer, *volumes):
    viewer = make_napari_viewer(show=True)
    for volume in volumes:
        add_to_viewer(viewer, layer_data(volume))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    assert isinstance(dock, ModelsDock)
    return viewer, dock


def drop(dock, path):
    """Let go of a file over the middle of the dock."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    dock.dropEvent(
        QDropEvent(
            QPointF(dock.rect().center()),
            Qt.DropAction.CopyAction,
            data,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
    )


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait_for_end(qtbot, dock):
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)


def small_model(folder, **described):
    """Write a network of random weights that works on the scan's own grid of any modality."""
    folder.mkdir(parents=True, exist_ok=True)
    channels = len(described.get("inputs", [0]))
    write_safetensors(folder / "weights.safetensors", unet(in_channels=channels).state_dict())
    architecture = {"name": "UNet", "arguments": {**UNET, "in_channels": channels}}
    return describe(
        folder / "model.json",
        **{"weights": "weights.safetensors", "architecture": architecture, "spacing": ..., **described},
    )


def scan(name="scan", **metadata):
    volume = head(Geometry.from_parts((18, 20, 22), (9, 8, 7), (-70, -80, -60)))
    return volume.with_array(volume.array, name=name, **metadata)


# -- opening ------------------------------------------------------------------------------------------------------


def test_a_dropped_folder_is_opened_chosen_and_run(make_napari_viewer, qtbot):
    volume = nnunet_folder.scan()
    viewer, dock = docked(make_napari_viewer, volume)
    before = dock.model_combo.count()
    drop(dock, nnunet_folder.folder())
    assert dock.job is not None
    wait_for_end(qtbot, dock)
    assert dock.model_combo.count() == before + 1
    assert dock.spec.pipeline == "napari_radcnn.foreign.nnunet.run"
    assert "license: not stated" in dock.about.text()
    assert dock.panel.message_label.text() == f"Opened: {dock.spec.title}"
    dock.settings_form.editors["precision"].setCurrentText("float32")
    dock.options_form.editors["folds"].setText("0")
    dock.options_form.editors["mirroring"].setChecked(False)  # a sixteenth of the work
    wait_for_plan(dock)
    assert "patches" in dock.plan_label.text()
    assert "memory" in dock.plan_label.text()
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    options = {"folds": "0", "mirroring": False}
    expected = operations.run(volume, radcnn.open_model(nnunet_folder.folder()), options, precision="float32")
    assert np.count_nonzero(expected.array) > 0
    assert np.array_equal(label_map_from_layer(viewer.layers[-1]).array, expected.array)
    assert "about" in _planned(dock)  # how long it takes is known now
    assert not dock.results.isHidden()
    dock.model_combo.setCurrentIndex(0)
    assert dock.results.isHidden()  # numbers of another model


def test_a_click_on_run_counts_right_after_typing(make_napari_viewer, qtbot):
    _, dock = docked(make_napari_viewer, nnunet_folder.scan())
    drop(dock, nnunet_folder.folder())
    wait_for_end(qtbot, dock)
    folds = dock.options_form.editors["folds"]
    folds.activateWindow()
    folds.setFocus()
    qtbot.waitUntil(folds.hasFocus)
    qtbot.keyClicks(folds, "1")
    qtbot.waitUntil(lambda: dock.panel.start_button.isEnabled() and not dock.is_planning, timeout=20_000)
    assert folds.hasFocus()
    click(qtbot, dock.panel.start_button)
    assert dock.job is not None
    dock.job.cancel()
    wait_for_end(qtbot, dock)


def _planned(dock):
    wait_for_plan(dock)
    return dock.plan_label.text()


def test_the_same_model_is_in_the_list_once(make_napari_viewer, qtbot, tmp_path):
    path = small_model(tmp_path / "m", licence="CC-BY-NC-4.0")
    _, dock = docked(make_napari_viewer)
    for _ in range(2):
        dock.chooser.open_path(path)
        wait_for_end(qtbot, dock)
    titles = [dock.model_combo.itemText(row) for row in range(dock.model_combo.count())]
    assert titles.count("Two Organs") == 1
    assert "license: CC-BY-NC-4.0" in dock.about.text()
    shutil.rmtree(tmp_path / "m")
    small_model(tmp_path / "m", licence="MIT")
    dock.chooser.open_path(path)
    wait_for_end(qtbot, dock)
    assert "license: MIT" in dock.about.text()


def test_a_foreign_models_words_are_shown_as_they_are(make_napari_viewer, qtbot, tmp_path):
    path = small_model(tmp_path / "m", summary="<b>Certified</b> for diagnosis", title="<h1>Big</h1>")
    _, dock = docked(make_napari_viewer)
    dock.chooser.open_path(path)
    wait_for_end(qtbot, dock)
    assert dock.about.textFormat() == Qt.TextFormat.PlainText
    assert dock.about.text().startswith("<b>Certified</b>")
    assert "<h1>" not in dock.model_combo.itemData(dock.model_combo.currentIndex(), Qt.ItemDataRole.ToolTipRole)
    click(qtbot, dock.card_button)
    card = dock.findChild(QMessageBox, "radcnn_card")
    assert card.textFormat() == Qt.TextFormat.PlainText
    assert "License: not stated" in card.text()
    assert "This model has no model card" in card.text()
    assert radcnn.open_model(path).files[0].sha256 in card.text()
    card.close()


class _Payload:
    def __init__(self, target):
        self._target = target

    def __reduce__(self):
        return os.mkdir, (str(self._target),)


def test_a_pickle_that_would_run_code_is_refused_in_one_line(make_napari_viewer, qtbot, tmp_path, shown):
    path, mark = tmp_path / "model.pt", tmp_path / "PWNED"
    path.write_bytes(pickle.dumps({"weight": _Payload(mark)}))
    describe(tmp_path / "model.json", architecture={"name": "UNet", "arguments": UNET})
    _, dock = docked(make_napari_viewer)
    before = dock.model_combo.count()
    drop(dock, path)
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text().startswith("model.pt: refused")
    assert "\n" not in dock.panel.message_label.text()
    assert shown == []  # it stands on the page, which is seen
    assert dock.model_combo.count() == before
    assert not mark.exists()
    assert foreign.recent_paths() == []


def test_cancel_while_a_model_is_opened_leaves_none(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    path = small_model(tmp_path / "m")
    started, may_go_on = threading.Event(), threading.Event()

    def slowly(path, trust=None, may_install=False):
        started.set()
        may_go_on.wait(PATIENCE)
        return radcnn.open_model(path, trust=trust)

    monkeypatch.setattr(foreign, "open_or_ask", slowly)
    _, dock = docked(make_napari_viewer)
    before = dock.model_combo.count()
    drop(dock, path)
    qtbot.waitUntil(started.is_set)
    click(qtbot, dock.panel.cancel_button)
    may_go_on.set()
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text() == "Cancelled; no model was opened."
    assert dock.model_combo.count() == before
    assert not foreign.opened()
    assert foreign.recent_paths() == []


# -- code ---------------------------------------------------------------------------------------------------------


def torchscript(folder):
    folder.mkdir()
    torch.jit.save(torch.jit.script(unet()), folder / "net.ts")
    describe(folder / "net.json", spacing=...)
    return folder / "net.ts"


def answer(qtbot, dock, wanted):
    """Press the button with this text in the question about trust; return what the question said."""

    def asked():  # not the one before, which may be there still
        return [box for box in dock.findChildren(QMessageBox, "radcnn_trust") if box.isVisible()]

    qtbot.waitUntil(lambda: bool(asked()))
    (box,) = asked()
    said = f"{box.text()}\n{box.informativeText()}"
    assert box.defaultButton().text() == "Do not open"
    click(qtbot, next(button for button in box.findChildren(QPushButton) if button.text() == wanted))
    qtbot.waitUntil(lambda: not isalive(box) or not box.isVisible())
    return said


def test_a_program_is_opened_only_if_the_user_says_so(make_napari_viewer, qtbot, tmp_path, shown):
    path = torchscript(tmp_path / "m")
    _, dock = docked(make_napari_viewer, scan())
    before = dock.model_combo.count()
    drop(dock, path)
    wait_for_end(qtbot, dock)
    said = answer(qtbot, dock, "Do not open")
    with pytest.raises(radcnn.errors.TrustError) as caught:
        radcnn.open_model(path)
    assert caught.value.sha256 in said.replace("\n", "")
    assert "a TorchScript file is a program" in said
    assert dock.panel.message_label.text() == "net.ts was not opened."
    assert dock.model_combo.count() == before
    assert foreign.recent_paths() == []

    drop(dock, path)
    wait_for_end(qtbot, dock)
    answer(qtbot, dock, "Open and run its code")
    wait_for_end(qtbot, dock)
    assert dock.spec.files[0].kind == "torchscript"
    assert foreign.recent_paths() == [path]

    drop(dock, path)  # trusted for once, not for good
    wait_for_end(qtbot, dock)
    answer(qtbot, dock, "Do not open")
    assert shown == []


def test_what_a_bundle_would_run_is_named_and_not_run(make_napari_viewer, qtbot, tmp_path):
    path = write_bundle(tmp_path / "bundle", x=f"$__import__('os').mkdir('{tmp_path / 'PWNED'}')")
    _, dock = docked(make_napari_viewer)
    drop(dock, path)
    wait_for_end(qtbot, dock)
    said = answer(qtbot, dock, "Do not open")
    assert "__import__('os')" in said
    assert not (tmp_path / "PWNED").exists()


def test_a_program_that_changed_after_the_question_is_not_opened(make_napari_viewer, qtbot, tmp_path):
    path = torchscript(tmp_path / "m")
    _, dock = docked(make_napari_viewer)
    before = dock.model_combo.count()
    drop(dock, path)
    wait_for_end(qtbot, dock)
    torch.jit.save(torch.jit.script(unet(seed=1)), path)
    answer(qtbot, dock, "Open and run its code")
    wait_for_end(qtbot, dock)
    assert dock.model_combo.count() == before
    answer(qtbot, dock, "Do not open")  # it asks again, about the other one


# -- packs --------------------------------------------------------------------------------------------------------


def test_a_pack_is_installed_only_if_the_user_says_so(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    source = radcnn.open_model(
        small_model(tmp_path / "m", licence="CC-BY-NC-4.0", inputs=[{"name": "image", "modalities": ["MR"]}])
    )
    path = pack(source, tmp_path / "two.zip", licence="Not for sale.", card="# Two organs\nTrained on **nothing**.")
    volume = scan()
    viewer, dock = docked(make_napari_viewer, volume)
    before = dock.model_combo.count()
    for wanted in ("Do not install", "Install"):
        drop(dock, path)
        wait_for_end(qtbot, dock)
        box = dock.findChild(QMessageBox, "radcnn_install")
        assert "Two Organs" in box.text()
        assert "CC-BY-NC-4.0" in box.text()
        click(qtbot, next(button for button in box.findChildren(QPushButton) if button.text() == wanted))
        qtbot.wait(20)
        wait_for_end(qtbot, dock)
        assert dock.model_combo.count() == before + (wanted == "Install")
        assert len(installed()) == (wanted == "Install")
    assert dock.panel.message_label.text() == "Installed: Two Organs"
    click(qtbot, dock.card_button)
    card = dock.findChild(QMessageBox, "radcnn_card")
    assert "Trained on **nothing**." in card.text()  # as it is: it is not our text
    assert card.textFormat() == Qt.TextFormat.PlainText
    card.close()
    dock.settings_form.editors["precision"].setCurrentText("float32")
    wait_for_plan(dock)
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    expected = operations.run(volume, source, precision="float32")
    assert np.array_equal(label_map_from_layer(viewer.layers[-1]).array, expected.array)


# -- remembered ---------------------------------------------------------------------------------------------------


def recent(dock):
    dock.chooser.menu.aboutToShow.emit()
    return [action for action in dock.chooser.menu.actions() if hasattr(action.data(), "parts")]


def test_opened_models_are_offered_again(make_napari_viewer, qtbot, tmp_path):
    path = small_model(tmp_path / "m")
    viewer, dock = docked(make_napari_viewer)
    drop(dock, path)
    wait_for_end(qtbot, dock)
    assert [action.text() for action in recent(dock)] == ["m/model.json"]
    viewer.window.remove_dock_widget(dock.native)
    _, again = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    assert again.model_combo.findText("Two Organs") >= 0  # of this session: at once
    foreign.forget_session()
    viewer.window.remove_dock_widget(again.native)
    _, later = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    assert later.model_combo.findText("Two Organs") < 0  # of an earlier one: opened, and so verified, when chosen
    (action,) = recent(later)
    action.trigger()
    wait_for_end(qtbot, later)
    assert later.spec.title == "Two Organs"


def test_a_remembered_path_that_vanished_is_told_and_forgotten(make_napari_viewer, qtbot, tmp_path, shown):
    kept, gone = small_model(tmp_path / "kept"), small_model(tmp_path / "gone")
    _, dock = docked(make_napari_viewer)
    for path in (kept, gone):
        drop(dock, path)
        wait_for_end(qtbot, dock)
    assert foreign.recent_paths() == [gone, kept]
    shutil.rmtree(tmp_path / "gone")
    recent(dock)[0].trigger()
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text() == f"{gone}: no such file or folder."
    assert shown == []
    assert foreign.recent_paths() == [kept]


def test_ten_paths_are_kept_and_damage_is_survived(tmp_path):
    for n in range(12):
        foreign.remember_path(tmp_path / f"{n}")
    foreign.remember_path(tmp_path / "5")
    names = [path.name for path in foreign.recent_paths()]
    assert names == ["5", "11", "10", "9", "8", "7", "6", "4", "3", "2"]
    (file,) = tmp_path.rglob("recent-models.json")
    for content in ("[", '{"a": 1}', "", json.dumps([1, None, "relative/path", str(tmp_path)])):
        file.write_text(content)
        assert foreign.recent_paths() == ([tmp_path] if str(tmp_path) in content else [])
    foreign.remember_path(tmp_path / "1")
    assert foreign.recent_paths() == [tmp_path / "1", tmp_path]


def test_a_home_that_cannot_be_written_to_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    foreign.remember_path(tmp_path)
    assert foreign.recent_paths() == []


def test_what_is_on_the_computer_is_listed_with_its_licence(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    results = tmp_path / "results"
    for dataset in ("Dataset291_TotalSegmentator_part1_organs_1559subj", "Dataset481_tissue_1559subj"):
        folder = results / dataset / nnunet_folder.folder().name / "fold_0"
        folder.mkdir(parents=True)
        (folder / "checkpoint_final.pth").write_bytes(b"not loaded")
        (folder.parent / "plans.json").write_text("{}")
    shutil.copytree(nnunet_folder.DATASET, results / nnunet_folder.DATASET.name)
    monkeypatch.setenv("nnUNet_results", str(results))
    _, dock = docked(make_napari_viewer)
    dock.chooser.menu.aboutToShow.emit()
    next(a for a in dock.chooser.menu.actions() if a.text().startswith("Found on")).trigger()
    wait_for_end(qtbot, dock)
    dialog = dock.findChild(LocalModelsDialog)
    rows = [[dialog.tree.topLevelItem(n).text(c) for c in range(3)] for n in range(dialog.tree.topLevelItemCount())]
    assert ["total (291)", "3d_fullres", "Apache-2.0 (TotalSegmentator)"] in rows
    (tissue,) = (row for row in rows if row[0].startswith("tissue"))
    assert "non-commercial" in tissue[2]
    assert not dialog.open_button.isEnabled()
    fixture = next(n for n, row in enumerate(rows) if row[0] == "Dataset904_Fixture" and row[1] == "3d_fullres")
    dialog.tree.setCurrentItem(dialog.tree.topLevelItem(fixture))
    click(qtbot, dialog.open_button)
    wait_for_end(qtbot, dock)
    assert dock.spec.origin == results / "Dataset904_Fixture" / nnunet_folder.folder().name


def test_where_nothing_is_found_the_dock_says_where_it_looked(make_napari_viewer, qtbot, monkeypatch):
    for name in ("nnUNet_results", "TOTALSEG_WEIGHTS_PATH", "TOTALSEG_HOME_DIR"):
        monkeypatch.delenv(name, raising=False)
    _, dock = docked(make_napari_viewer)
    dock.chooser.show_local_models()
    wait_for_end(qtbot, dock)
    assert "nnUNet_results" in dock.panel.message_label.text()
    assert dock.findChild(LocalModelsDialog) is None


# -- several inputs -----------------------------------------------------------------------------------------------

TWO = [{"name": "T1", "modalities": ["MR"]}, {"name": "FLAIR", "modalities": ["MR"]}]


def two_scans():
    first = scan("patient t1", modality="MR")
    coarse = head(oblique_geometry((14, 16, 18)))
    return first, coarse.with_array(coarse.array[...] * 2, name="patient flair", modality="MR")


def opened(make_napari_viewer, qtbot, tmp_path, *volumes):
    path = small_model(tmp_path / "two", inputs=TWO)
    viewer, dock = docked(make_napari_viewer, *volumes)
    drop(dock, path)
    wait_for_end(qtbot, dock)
    wait_for_plan(dock)
    return viewer, dock, path


def chosen(dock):
    return [None if layer is None else layer.name for layer in dock.inputs.layers]


def test_two_inputs_give_the_voxels_of_the_operation(make_napari_viewer, qtbot, tmp_path):
    first, flair = two_scans()
    viewer, dock, path = opened(make_napari_viewer, qtbot, tmp_path, flair, first)
    assert chosen(dock) == ["patient t1", "patient flair"]
    assert "Resampled onto the grid of 'patient t1': patient flair" in dock.warning_label.text()
    dock.settings_form.editors["precision"].setCurrentText("float32")
    wait_for_plan(dock)
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    expected = operations.run({"FLAIR": flair, "T1": first}, radcnn.open_model(path), precision="float32")
    shown = label_map_from_layer(viewer.layers[-1])
    assert 0 < np.count_nonzero(expected.array) < expected.array.size
    assert np.array_equal(shown.array, expected.array)
    assert shown.geometry.is_close(first.geometry)
    assert shown.provenance["inputs"] == expected.provenance["inputs"]


def test_a_missing_scan_is_named_and_nothing_can_be_run(make_napari_viewer, qtbot, tmp_path):
    first, flair = two_scans()
    viewer, dock, _ = opened(make_napari_viewer, qtbot, tmp_path, first)
    assert chosen(dock) == ["patient t1", None]
    assert dock.plan_label.text() == "Missing: a scan for FLAIR."
    assert not dock.panel.start_button.isEnabled()
    dock.run()
    assert dock.job is None
    layer = add_to_viewer(viewer, layer_data(flair))
    qtbot.waitUntil(dock.panel.start_button.isEnabled)
    assert chosen(dock) == ["patient t1", "patient flair"]
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: "Missing" in dock.plan_label.text())
    assert chosen(dock) == ["patient t1", None]


def test_one_scan_for_two_inputs_is_refused(make_napari_viewer, qtbot, tmp_path):
    _, dock, _ = opened(make_napari_viewer, qtbot, tmp_path, *two_scans())
    dock.inputs.combos[1].choose(dock.inputs.combos[0].layer)
    wait_for_plan(dock)
    assert dock.plan_label.text() == "'patient t1' is chosen for both T1 and FLAIR."
    assert not dock.panel.start_button.isEnabled()


def test_an_input_that_the_user_emptied_stays_empty(make_napari_viewer, qtbot, tmp_path):
    viewer, dock, _ = opened(make_napari_viewer, qtbot, tmp_path, *two_scans())
    combo = dock.inputs.combos[1]
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Home)
    assert chosen(dock) == ["patient t1", None]
    add_to_viewer(viewer, layer_data(scan("other")))
    assert chosen(dock) == ["patient t1", None]


def test_another_modality_and_patient_space_are_warned_of(make_napari_viewer, qtbot, tmp_path):
    first = scan("t1", modality="MR", frame_of_reference_uid="1.2")
    flair = scan("flair", modality="CT", frame_of_reference_uid="1.3")
    _, dock, _ = opened(make_napari_viewer, qtbot, tmp_path, first, flair)
    assert chosen(dock) == ["t1", None]  # a CT does not go to an MR's input by itself
    dock.inputs.combos[1].setCurrentIndex(dock.inputs.combos[1].findText("flair"))
    wait_for_plan(dock)
    assert "The input FLAIR is CT, but 'two-organs' was made for MR." in dock.warning_label.text()
    assert "different frames of reference" in dock.warning_label.text()
    assert dock.panel.start_button.isEnabled()


def test_models_of_one_and_of_two_inputs_take_turns(make_napari_viewer, qtbot, tmp_path):
    _, dock, path = opened(make_napari_viewer, qtbot, tmp_path, *two_scans())
    assert [combo.isVisible() for combo in dock.inputs.combos] == [True, True]
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("nlm-denoise"))
    wait_for_plan(dock)
    assert [combo.isVisible() for combo in dock.inputs.combos] == [True, False]
    assert dock.inputs.combos[0].findText("(choose a scan)") < 0
    assert len(dock.inputs.layers) == 1
    assert dock.panel.start_button.isEnabled()
    dock.model_combo.setCurrentIndex(dock.model_combo.findData(str(path)))
    wait_for_plan(dock)
    assert chosen(dock) == ["patient t1", "patient flair"]


def test_an_installed_model_that_cannot_be_used_is_listed_with_the_reason(make_napari_viewer, tmp_path, monkeypatch):
    folder = tmp_path / "napari-radcnn" / "models" / "of-tomorrow"
    folder.mkdir(parents=True)
    (folder / "pack.json").write_text('{"schema": "radcnn-pack/7"}')
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    _, dock = docked(make_napari_viewer)
    combo = dock.chooser.combo
    row = combo.findText("of-tomorrow (cannot be used)")
    assert row >= 0
    assert "written by a newer version of napari-radcnn" in combo.itemData(row, Qt.ItemDataRole.ToolTipRole)
    assert not combo.model().item(row).isEnabled()
    assert combo.currentIndex() != row
