"""Clinical values and several views beside one scan: closed forms, what is missing or out of range; wrong orders."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from answering import PATCH, compute_here, describe_answer, open_trusted, scan, value_keys, write_network
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, OptionError
from napari_radcnn.foreign.pack import pack
from napari_radcnn.io.dicom_results.deidentify import public_manifest
from napari_radcnn.models.registry import find_model, install_pack
from onnx_file import several_means_onnx

AGE = {"name": "age", "title": "Age", "unit": "a", "limits": [0, 120], "mean": 50, "std": 10}
SEX = {"name": "sex", "choices": {"F": 0, "M": 1}, "missing": 0.5}
#: Of the mean of the scan, of the age in standard deviations, and of the sex.
WEIGHTS, BIAS = (20.0, 2.0, 5.0), 1.0


def expected(mean, age, sex):
    return BIAS + 20 * mean + 2 * (age - 50) / 10 + 5 * sex


class WithRow(torch.nn.Module):
    """Answers as `several_means_onnx` does."""

    def forward(self, x: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        return 1.0 + 20.0 * x.flatten(2).mean(2) + row @ torch.tensor([[2.0], [5.0]])


def write(folder, suffix=".onnx", **changes):
    path = folder / f"net{suffix}"
    if suffix == ".onnx":
        path.write_bytes(several_means_onnx([[20.0]], [2.0, 5.0], BIAS, PATCH))
    else:
        torch.jit.script(WithRow()).save(str(path))
    describe_answer(folder / "net.json", **value_keys(values=[AGE, SEX], **changes))
    return path


@pytest.mark.parametrize("suffix", [".onnx", ".ts"])
def test_values_are_an_input_of_their_own(tmp_path, suffix):
    if suffix == ".onnx":
        pytest.importorskip("openvino")
    spec = open_trusted(write(tmp_path, suffix))
    for options, age, sex in (({"age": 63, "sex": "M"}, 63, 1), ({"age": "41.5", "sex": "F"}, 41.5, 0)):
        found = radcnn.regress(scan(), spec, options, device="cpu")
        assert found.value == pytest.approx(expected(0.3, age, sex), abs=1e-4)
        assert found.provenance["options"] == {"explain": False, "age": str(age), "sex": options["sex"]}


def test_values_can_be_channels_of_the_image(tmp_path, monkeypatch):
    compute_here(monkeypatch, [list(WEIGHTS)], [BIAS])
    path = write_network(tmp_path / "net.ts", [list(WEIGHTS)], [BIAS])
    describe_answer(tmp_path / "net.json", **value_keys(values=[AGE, SEX], values_as="channels"))
    found = radcnn.regress(scan(), open_trusted(path), {"age": 20, "sex": "M"}, device="cpu")
    assert found.value == pytest.approx(expected(0.3, 20, 1), abs=1e-4)


def test_what_is_not_known_is_told_or_refused(tmp_path):
    pytest.importorskip("openvino")
    spec = open_trusted(write(tmp_path))
    plan = radcnn.plan(scan(), spec)
    assert any("'Age' is missing, but the model needs it" in text for text in plan.warnings)
    assert any("'sex' is not known: the model uses 0.5 instead" in text for text in plan.warnings)
    with pytest.raises(OptionError, match=r"'age' is missing, but the model needs it: enter it, such as --age 120"):
        radcnn.regress(scan(), spec, device="cpu")
    found = radcnn.regress(scan(), spec, {"age": 50}, device="cpu")
    assert found.value == pytest.approx(expected(0.3, 50, 0.5), abs=1e-4)
    assert any("'sex' is not known" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"age": 130}, "'age' must be between 0 and 120 a, got 130: check the value and its unit"),
        ({"age": -1}, "'age' must be between 0 and 120 a"),
        ({"age": "old"}, "'age' must be a number, got 'old'"),
        ({"age": "inf"}, "'age' must be a finite number"),
        ({"age": 50, "sex": "X"}, "'sex' must be one of , F, M, got 'X'"),
        ({"weight": 70}, "Unknown option 'weight'; the options of this model are: explain, age, sex"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path, options, told):
    with pytest.raises(OptionError, match=told):
        radcnn.regress(scan(), open_trusted(write(tmp_path)), options, device="cpu")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"values": {"age": 3}}, "'values' must be a list such as"),
        ({"values": [{"name": "Age", "unit": "a"}]}, "'name' must be small letters"),
        ({"values": [{"name": "device", "unit": "a"}]}, "no setting of its own"),
        ({"values": [AGE, AGE]}, "'age' is named twice"),
        ({"values": [{"name": "age"}]}, "either a 'unit' or 'choices'"),
        ({"values": [{"name": "sex", "choices": {"F": 0}}]}, "two or more words"),
        ({"values": [AGE | {"std": 0}]}, "'std' must be more than 0"),
        ({"values": [AGE | {"limits": [9, 3]}]}, "'limits' must be two numbers"),
        ({"values": [AGE | {"mode": 3}]}, "'mode' is not supported"),
        ({"values": [AGE]}, "the last input has shape any x 2, but net.json names 1 clinical values"),
        ({"values": [AGE, SEX], "values_as": "channels"}, "has 2 inputs; one input with channels is expected"),
        ({"values": []}, "has 2 inputs; one input with channels is expected"),
        ({"scans_as": "inputs"}, "one scan is one input"),
        ({"views": True}, "'views' are two or more 'inputs'"),
    ],
)
def test_wrong_descriptions_are_named(tmp_path, changes, told):
    path = write(tmp_path)
    describe_answer(tmp_path / "net.json", **(value_keys(values=[AGE, SEX]) | changes))
    with pytest.raises(ModelError, match=told) as caught:
        radcnn.open_model(path)
    assert str(caught.value).startswith("net.")


def test_shell_manifest_replay_and_pack_say_the_same(tmp_path, capsys, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path, place, out = write(tmp_path), radcnn.write(scan(), tmp_path / "scan.nii.gz"), tmp_path / "out.json"
    words = ["run", str(path), str(place), "-o", str(out), "--device", "cpu"]
    assert main([*words, "--age", "63", "--sex", "M"]) == 0
    assert f"bone age: {expected(0.3, 63, 1):.4g} mo" in capsys.readouterr().out
    assert json.loads(out.read_text())["value"] == pytest.approx(expected(0.3, 63, 1), abs=1e-4)
    assert radcnn.replay(tmp_path / "out.json.radcnn.json").is_same is True
    assert main([*words, "--overwrite", "--age", "163"]) == 2
    assert "'age' must be between 0 and 120 a, got 163" in capsys.readouterr().err
    made = pack(radcnn.open_model(path), tmp_path / "a.radcnn-model.zip", licence="CC0", card="A card.")
    installed = find_model(install_pack(made))
    found = radcnn.regress(scan(), installed, {"age": 63, "sex": "M"}, device="cpu")
    assert found.value == pytest.approx(expected(0.3, 63, 1), abs=1e-4)
    # neither leaves with a result without patient data
    assert public_manifest(found)["options"] == {"explain": False}


# -- views ------------------------------------------------------------------------------------------------------------


VIEWS = [{"name": "PA", "view": "frontal"}, {"name": "lateral", "view": "lateral"}]


def films():
    """Return two pictures of different sizes and means, elsewhere in space."""
    first, second = scan(0.3, (1, 14, 10), "first"), scan(-0.2, (1, 21, 20), "second")
    affine = np.array(second.geometry.affine)
    affine[:3, 3] += 5000
    return first, second.with_array(second.array, radcnn.Geometry(second.array.shape, affine))


@pytest.mark.parametrize("scans_as", ["inputs", "channels"])
def test_each_view_is_brought_to_the_patch_by_itself(tmp_path, scans_as):
    pytest.importorskip("openvino")
    weights = [[20.0], [7.0]] if scans_as == "inputs" else [[20.0, 7.0]]
    (tmp_path / "net.onnx").write_bytes(several_means_onnx(weights, [], BIAS, PATCH[1:]))
    keys = value_keys(inputs=VIEWS, views=True, scans_as=scans_as, spatial_dims=2, patch=list(PATCH[1:]))
    describe_answer(tmp_path / "net.json", **keys)
    spec, (first, second) = radcnn.open_model(tmp_path / "net.onnx"), films()
    found = radcnn.regress([first, second], spec, device="cpu", anyway=True)
    assert found.value == pytest.approx(BIAS + 20 * 0.3 - 7 * 0.2, abs=1e-4)
    found = radcnn.regress({"lateral": first, "PA": second}, spec, device="cpu", anyway=True)
    assert found.value == pytest.approx(BIAS - 20 * 0.2 + 7 * 0.3, abs=1e-4)
    assert not any("Resampled" in text for text in radcnn.plan([first, second], spec).warnings)
    with pytest.raises(ModelError, match="missing: lateral"):
        radcnn.regress([first], spec)


def test_views_in_the_wrong_order_are_told(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(several_means_onnx([[20.0], [7.0]], [], BIAS, PATCH[1:]))
    keys = value_keys(inputs=VIEWS, views=True, scans_as="inputs", spatial_dims=2, patch=list(PATCH[1:]))
    describe_answer(tmp_path / "net.json", **keys)
    spec, (first, second) = radcnn.open_model(tmp_path / "net.onnx"), films()
    views = {"first": "frontal", "second": "lateral"}

    def looks(volume):
        return SimpleNamespace(view=SimpleNamespace(is_known=True, value=views[volume.name]))

    monkeypatch.setattr("napari_radcnn.foreign.answers.run.what_is", looks)
    told = "'second' looks like a lateral view, but 'PA' is frontal: the views may be in the wrong order"
    assert not any("wrong order" in text for text in radcnn.plan([first, second], spec).warnings)
    assert any(told in text for text in radcnn.plan([second, first], spec).warnings)


def test_a_file_with_another_number_of_inputs_is_refused(tmp_path):
    (tmp_path / "net.onnx").write_bytes(several_means_onnx([[20.0]] * 3, [], BIAS, PATCH[1:]))
    keys = value_keys(inputs=VIEWS, views=True, scans_as="inputs", spatial_dims=2, patch=list(PATCH[1:]))
    describe_answer(tmp_path / "net.json", **keys)
    with pytest.raises(ModelError, match=r"has 3 inputs \(x0, x1, x2\), but net.json gives 2: 2 with voxels"):
        radcnn.open_model(tmp_path / "net.onnx")
