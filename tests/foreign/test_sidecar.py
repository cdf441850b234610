"""The examples of the documentation open and run; every wrong value is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import compute_here, scan as scan_of, write_network
from model_factory import UNET, describe, unet, write_onnx, write_safetensors
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.foreign.sidecar.input import INTENSITY
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume, VolumeMetadata
from onnx_file import boxes_onnx, several_means_onnx

DOCUMENT = Path(__file__).parents[2] / "docs" / "model_json.md"
BLOCKS = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)]
#: The last block is of a bundle's metadata.
EXAMPLES = [block for block in BLOCKS if "schema" in block]


def _scan() -> Volume:
    array = np.random.default_rng(0).normal(60, 120, (11, 24, 19)).astype(np.float32)
    return Volume(array, oblique_geometry(array.shape), VolumeMetadata("scan", modality="CT"))


def test_the_documented_segmentation_runs(tmp_path):
    example = EXAMPLES[0]
    write_safetensors(tmp_path / example["weights"], unet(2).state_dict())
    (tmp_path / "model.json").write_text(json.dumps(example))
    spec = radcnn.open_model(tmp_path)
    assert (spec.name, spec.title, spec.licence, spec.body_part) == (
        "two-organs",
        "Liver and spleen",
        "CC BY 4.0",
        "abdomen",
    )
    assert spec.labels[1].color == (0.87, 0.51, 0.4)
    labels = radcnn.segment(_scan(), spec, device="cpu", precision="float32")
    assert set(np.unique(labels.array)) == {0, 1, 2}


def test_the_documented_denoiser_runs(tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "slices.json").write_text(json.dumps(EXAMPLES[1]))
    write_onnx(tmp_path / "slices.onnx", np.array([[0.5]]), np.array([0.25]), (64, 64))
    scan = _scan()
    restored = radcnn.denoise(scan, radcnn.open_model(tmp_path / "slices.onnx"), device="cpu", precision="float32")
    # y = (v + 1024) / 4095; half of it and a quarter; back: v / 2 + 1024 / 2 + 4095 / 4 - 1024
    assert np.allclose(restored.array, scan.array / 2 - 512 + 4095 / 4, atol=0.01)


def test_the_documented_classifier_of_findings_runs(tmp_path, monkeypatch):
    compute_here(monkeypatch, [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, -1.0]], [0.0, 0.5, 0.0])
    (tmp_path / "chest.json").write_text(json.dumps(EXAMPLES[2]))
    write_network(tmp_path / "chest.onnx", [[0.0] * 3] * 3, [0.0] * 3, (64, 64))
    scan = scan_of(shape=(1, 80, 90)).with_metadata(modality="DX")
    found = radcnn.classify(scan, radcnn.open_model(tmp_path / "chest.onnx"), anyway=True)
    assert found.probabilities["pneumothorax"] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert (found.threshold("pneumothorax"), found.threshold("mass")) == (0.25, 0.5)


def test_the_documented_grades_are_told(tmp_path):
    from monai.networks.nets import DenseNet

    example = EXAMPLES[3]
    network = DenseNet(**example["architecture"]["arguments"])
    write_safetensors(tmp_path / example["weights"], network.state_dict())
    (tmp_path / "model.json").write_text(json.dumps(example))
    found = radcnn.classify(scan_of(), radcnn.open_model(tmp_path), device="cpu")
    assert (found.kind, list(found.probabilities)) == ("ordinal", ["F0", "F1", "F2", "F3"])
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_the_documented_value_has_an_interval(tmp_path, monkeypatch):
    compute_here(monkeypatch, [[1.0], [0.0]], [0.2, -4.0])
    (tmp_path / "age.json").write_text(json.dumps(EXAMPLES[4]))
    write_network(tmp_path / "age.onnx", [[0.0]] * 2, [0.0] * 2, (64, 64))
    scan = scan_of(0.3, (1, 64, 64)).with_metadata(modality="DX")
    found = radcnn.regress(scan, radcnn.open_model(tmp_path / "age.onnx"), anyway=True)
    assert found.value == pytest.approx(120, abs=1e-3)
    assert found.interval == pytest.approx(
        (120 - 1.644854 * 240 * np.exp(-2), 120 + 1.644854 * 240 * np.exp(-2)), abs=1e-3
    )


def test_the_documented_landmarks_are_found(tmp_path):
    example = EXAMPLES[5]
    write_safetensors(tmp_path / example["weights"], unet(2).state_dict())
    (tmp_path / "model.json").write_text(json.dumps(example))
    scan = scan_of().with_metadata(modality="MR")
    found = radcnn.landmarks(scan, radcnn.open_model(tmp_path), device="cpu", anyway=True)
    assert {point.name for point in found.points} <= set(example["landmarks"])


def test_the_documented_synthesis_has_its_own_values(tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "ct.json").write_text(json.dumps(EXAMPLES[6]))
    write_onnx(tmp_path / "ct.onnx", np.array([[0.5]]), np.array([0.25]), (8, 8, 8))
    array = np.random.default_rng(0).normal(60, 120, (11, 24, 19)).astype(np.float32)
    scan = Volume(array, oblique_geometry(array.shape), VolumeMetadata("T1", modality="MR", window_center=60.0))
    spec = radcnn.open_model(tmp_path / "ct.onnx")
    made = radcnn.synthesize(scan, spec, device="cpu", precision="float32")
    shown = (array - array.mean()) / array.std()
    np.testing.assert_allclose(made.array, 1000 * (shown / 2 + 0.25), atol=1)
    assert (made.metadata.units, made.modality, made.name) == ("HU", "CT", "T1 · ct-of-t1")
    assert (made.metadata.window_center, made.metadata.window_width) == (1200.0, 4600.0)
    share = np.mean(1000 * (shown / 2 + 0.25) < -1100)
    assert share > 0
    outside = f"{share:.1%} of the voxels lie outside the range of the model's output, -1100 to 3500 HU"
    assert any(outside in text for text in made.warnings)
    assert made.geometry.is_close(scan.geometry)
    with pytest.raises(ModelError, match="is for synthesis, not for denoising"):
        radcnn.denoise(scan, spec)


def test_the_documented_detector_of_radiographs_finds_what_its_network_lists(tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "two.json").write_text(json.dumps(EXAMPLES[8]))
    corners = [[10.0, 20, 30, 24], [40, 5, 50, 25], [11, 20, 31, 24]]
    (tmp_path / "two.onnx").write_bytes(boxes_onnx(corners, [2.0, 1.0, 0.0], [1, 2, 1], (64, 64)))
    scan = scan_of(shape=(1, 64, 64)).with_metadata(modality="DX")
    found = radcnn.detect(scan, radcnn.open_model(tmp_path / "two.onnx"), device="cpu", anyway=True)
    assert [one.label for one in found.boxes] == ["nodule", "fracture"]
    np.testing.assert_allclose(found.boxes[0].center, scan.geometry.to_world(np.array([0, 21.5, 19.5])), atol=1e-4)


def test_the_documented_detector_of_nodules_opens(tmp_path):
    from napari_radcnn.networks.retinanet import RetinaNet

    example = EXAMPLES[9]
    write_safetensors(tmp_path / example["weights"], RetinaNet(**example["architecture"]["arguments"]).state_dict())
    (tmp_path / "model.json").write_text(json.dumps(example))
    spec = radcnn.open_model(tmp_path)
    assert (spec.task, spec.classes, spec.patch) == ("detection", ("nodule",), (64, 64, 32))


def test_the_documented_survival_tells_a_group(tmp_path, monkeypatch):
    compute_here(monkeypatch, [[1.0]], [0.7])
    (tmp_path / "risk.json").write_text(json.dumps(EXAMPLES[10]))
    write_network(tmp_path / "risk.onnx", [[0.0]], [0.0], (16, 16, 16))
    found = radcnn.survival(scan_of(0.3, (16, 16, 16)), radcnn.open_model(tmp_path / "risk.onnx"))
    assert (found.group, found.risk) == ("high", pytest.approx(0.8))
    assert dict(found.event_free)[60] == pytest.approx(np.exp(-0.4 * np.exp(0.8)))


def test_the_documented_views_and_clinical_values_are_given(tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "two.json").write_text(json.dumps(EXAMPLES[11]))
    (tmp_path / "two.onnx").write_bytes(several_means_onnx([[10.0], [5.0]], [8.0, 2.0], 90.0, (64, 64)))
    spec = radcnn.open_model(tmp_path / "two.onnx")
    films = [scan_of(mean, (1, 64, 64), name).with_metadata(modality="DX") for mean, name in ((0.3, "a"), (0.1, "b"))]
    found = radcnn.regress(films, spec, {"age": 14, "sex": "M"}, device="cpu", anyway=True)
    assert found.value == pytest.approx(90 + 3 + 0.5 + 8 + 2, abs=1e-3)
    assert radcnn.regress(films, spec, {"sex": "F"}, anyway=True).value == pytest.approx(93.5, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"unit": ...}, "'unit' is missing"),
        ({"unit": ""}, "'unit' must not be empty"),
        ({"scale": {"slope": 0}}, "the slope must not be 0"),
        ({"limits": [5]}, "'limits' must be two numbers"),
        ({"keep_scale": True}, "'keep_scale' is not supported"),
        ({"classes": ["a"]}, "a model for synthesis has no 'classes'"),
    ],
)
def test_wrong_values_of_a_synthesis_are_named(tmp_path, changes, told):
    write_onnx(tmp_path / "ct.onnx", np.array([[0.5]]), np.array([0.25]), (8, 8, 8))
    described = {key: value for key, value in (EXAMPLES[6] | changes).items() if value is not ...}
    (tmp_path / "ct.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match=told):
        radcnn.open_model(tmp_path / "ct.onnx")


def test_every_key_and_step_is_documented():
    text = DOCUMENT.read_text()
    for example in [*EXAMPLES, *(block["radcnn"] for block in BLOCKS if "radcnn" in block)]:
        for key in example:
            assert f"| `{key}`" in text or f", `{key}`" in text, key
    for step in INTENSITY:
        assert f"| `{step}` |" in text, step


def _refusal(folder: Path, **changes: Any) -> str:
    if not (folder / "a.safetensors").exists():
        write_safetensors(folder / "a.safetensors", unet().state_dict())
    description = {"architecture": {"name": "UNet", "arguments": UNET}} | changes
    describe(folder / "a.json", **description)
    with pytest.raises(ModelError) as caught:
        radcnn.open_model(folder / "a.safetensors")
    assert str(caught.value).startswith(("a.json: ", "a.json, line ", "a.safetensors: "))
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema": "radcnn-model/9"}, "this version reads radcnn-model/2"),
        ({"task": "magic"}, "task='magic'"),
        ({"task": ...}, "task=None"),
        ({"typo": 1}, "'typo' is not supported"),
        ({"inputs": []}, "'inputs'"),
        ({"inputs": [{"name": "CT", "typo": 1}]}, "an entry of 'inputs'"),
        ({"inputs": [{"name": "CT", "modalities": "CT"}]}, "DICOM codes"),
        ({"classes": ...}, "'classes' is missing"),
        ({"classes": ["a", 1]}, "'classes'"),
        ({"orientation": "SPX"}, "not an orientation"),
        ({"orientation": "SSP"}, "not an orientation"),
        ({"spacing": [1, 1]}, "three numbers"),
        ({"spacing": [1, 1, -1]}, "three numbers"),
        ({"spacing": [1, 1, float("nan")]}, "three numbers"),
        ({"patch": [16, 16]}, "3 whole numbers"),
        ({"patch": [16, 16, 0]}, "positive numbers of voxels"),
        ({"patch": ...}, "'patch' is missing"),
        ({"overlap": 1}, "overlap"),
        ({"overlap": "half"}, "'overlap' must be a number"),
        ({"blend": "nice"}, "blend='nice'"),
        ({"mirror_axes": [3]}, "mirror_axes"),
        ({"activation": "relu"}, "activation='relu'"),
        ({"colors": {"kidney": [1, 1, 1]}}, "'colors'"),
        ({"colors": {"liver": [1, 1, 2]}}, "0 to 1"),
        ({"keep_largest": ["kidney"]}, "'keep_largest'"),
        ({"weights": "../a.safetensors"}, "own folder"),
        ({"weights": "missing.pt"}, "not beside it"),
        ({"architecture": {"name": "os.system", "arguments": {"command": "true"}}}, "not on the list"),
        ({"architecture": {"name": "UNet", "arguments": {"spatial_dims": "$3"}}}, "is an expression"),
        ({"architecture": {"name": "UNet", "arguments": {"act": {"_target_": "os.system"}}}}, "os.system"),
        ({"architecture": {"name": "UNet", "arguments": {**UNET, "channels": [4]}}}, "cannot be built"),
        ({"architecture": ...}, "must name the 'architecture'"),
        ({"intensity": [{"step": "magic"}]}, "'magic' is not supported"),
        ({"intensity": [{"step": "range", "low": 0}]}, "'high' is missing"),
        ({"intensity": [{"step": "range", "low": 5, "high": 5}]}, "low < high"),
        ({"intensity": [{"step": "percentiles", "low": 5, "high": 500}]}, "between 0 and 100"),
        ({"intensity": [{"step": "normalize", "std": 0}]}, "must not be 0"),
        ({"intensity": [{"step": "normalize", "typo": 0}]}, "'typo'"),
        ({"intensity": {"step": "range"}}, "a list of steps"),
        ({"task": "denoising"}, "has no 'classes'"),
    ],
)
def test_wrong_values_are_named(tmp_path, changes, told):
    assert told in _refusal(tmp_path, **changes)


def _two_outputs(path: Path) -> Path:
    """Write an ONNX file whose outputs are 2 x + 1 (\"aux\") and 5 - 3 x (\"main\")."""
    from onnx_file import two_affine_onnx

    path.write_bytes(two_affine_onnx({"aux": (2.0, 1.0), "main": (-3.0, 5.0)}))
    return path


DENOISER = {"task": "denoising", "classes": ..., "orientation": None, "spacing": None, "intensity": []}


@pytest.mark.parametrize(("chosen", "scale", "shift"), [("aux", 2, 1), ("main", -3, 5), (0, 2, 1), (1, -3, 5)])
def test_an_output_is_chosen_by_name_or_number(tmp_path, chosen, scale, shift):
    pytest.importorskip("openvino")
    path = _two_outputs(tmp_path / "two.onnx")
    describe(tmp_path / "two.json", **DENOISER, patch=[8, 9, 10], output=chosen)
    scan = _scan()
    restored = radcnn.denoise(scan, radcnn.open_model(path), device="cpu", precision="float32")
    np.testing.assert_allclose(restored.array, scale * scan.array + shift, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (..., r"two.onnx has 2 outputs: 0 'aux' \(.*1 'main' \(.*Add \"output\""),
        ("other", r"two.onnx has no output 'other'; its outputs are: 0 'aux'"),
        (2, "two.onnx has no output 2"),
        (-1, "two.json, line 1: 'output' must be"),
        (True, "two.json, line 1: 'output' must be"),
    ],
)
def test_several_outputs_without_a_choice_are_refused_when_the_model_is_opened(tmp_path, chosen, told):
    path = _two_outputs(tmp_path / "two.onnx")
    describe(tmp_path / "two.json", **DENOISER, patch=[8, 9, 10], output=chosen)
    with pytest.raises(ModelError, match=told):
        radcnn.open_model(path)


def test_intensity_steps_become_steps_of_the_recipe(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", unet().state_dict())
    given = [
        {"step": "percentiles", "low": 1, "high": 99, "to_low": -1, "to_high": 1, "clip": True, "channel_wise": True},
        {"step": "clip-percentiles", "low": 2, "high": None},
        {"step": "bounds"},
        {"step": "normalize", "mean": [3.5], "std": 2, "nonzero": True},
        {"step": "multiply", "factor": 3},
        {"step": "threshold", "value": 0.5, "above": False},
    ]
    describe(
        tmp_path / "a.json",
        intensity=given,
        architecture={"name": "UNet", "arguments": UNET},
        orientation=None,
        spacing=None,
    )
    processing = radcnn.open_model(tmp_path / "a.safetensors").network
    assert isinstance(processing, steps.Processing)
    assert processing.steps == (
        steps.ScalePercentiles(1, 99, -1, 1, clip=True, channel_wise=True),
        steps.ClipPercentiles(2, None),
        steps.ScaleBounds(),
        steps.Normalize((3.5,), (2.0,), nonzero=True),
        steps.Multiply(3),
        steps.Threshold(0.5, above=False),
    )
