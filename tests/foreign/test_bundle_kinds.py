"""Bundles of each kind of answer: closed forms, or the numbers of MONAI's own transforms and network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_radcnn as radcnn
from answering import scan
from bundled_answers import LOAD, RESIZED, SHAPE, bundle, dense, regressor, spot
from model_factory import METADATA, unet, write_bundle
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, TrustError

DOCUMENT = Path(__file__).parents[2] / "docs" / "model_json.md"


def by_monai(path, network, before=RESIZED):
    """Return what MONAI's own transforms show of a file, and what the network says of it."""
    from monai import transforms

    made = [
        getattr(transforms, entry["_target_"])(**{k: v for k, v in entry.items() if k != "_target_"})
        for entry in before
    ]
    shown = transforms.Compose(made)({"image": str(path)})["image"]
    with torch.inference_mode():
        return shown, network(shown.as_tensor()[None].float())[0].numpy()


# -- a value ----------------------------------------------------------------------------------------------------------


def test_a_value_in_closed_form_and_the_same_from_shell_manifest_and_file(tmp_path, capsys):
    count = int(np.prod(SHAPE))
    made = regressor([[1 / count] * count, [0.0] * count], [0.05, np.log(0.04)])
    (documented,) = re.findall(r"```json\n(\{\n  \"version.*?)```", DOCUMENT.read_text(), re.DOTALL)
    stated = json.loads(documented)["radcnn"] | {"scale": {"slope": 100, "intercept": 3}}
    assert stated["interval"] == {"kind": "log-variance", "level": 0.9}
    place = radcnn.write(scan(0.3, SHAPE[::-1]), tmp_path / "scan.nii.gz")
    folder = bundle(tmp_path / "bundle", made, stated, before=LOAD)
    spec = radcnn.open_model(folder)
    assert (spec.task, spec.patch) == ("regression", SHAPE)
    found = radcnn.regress(radcnn.read(place)[0], spec, device="cpu")
    value, reach = 3 + 100 * (0.05 + 2 * 0.3), 100 * 0.2 * 1.6448536269514722
    assert found.value == pytest.approx(value, abs=1e-4)
    assert found.interval == pytest.approx((value - reach, value + reach), abs=1e-4)
    assert (found.unit, found.quantity, found.level, found.limits) == ("mo", "bone age", 0.9, (0, 240))

    out = tmp_path / "out.json"
    assert main(["run", str(folder), str(place), "-o", str(out), "--device", "cpu", "--anyway"]) == 0
    assert "bone age: 68 mo\n90 % interval: 35.1 to 100.9 mo" in capsys.readouterr().out
    assert json.loads(out.read_text())["value"] == pytest.approx(value, abs=1e-4)
    again = radcnn.replay(tmp_path / "out.json.radcnn.json")
    assert again.is_same is True
    assert again.result.value == pytest.approx(value, abs=1e-4)


def test_a_value_by_a_network_of_monais_as_monai_has_it(tmp_path):
    made = dense(1)
    path = radcnn.write(scan(shape=(30, 41, 37)), tmp_path / "scan.nii.gz")
    stated = {"task": "regression", "quantity": "brain age", "unit": "a", "scale": {"slope": 30, "intercept": 50}}
    spec = radcnn.open_model(bundle(tmp_path / "bundle", made, stated))
    found = radcnn.regress(radcnn.read(path)[0], spec, device="cpu")
    expected = 50 + 30 * float(by_monai(path, made[0])[1][0])
    assert found.value == pytest.approx(expected, abs=1e-4)
    assert abs(found.value - 50) > 0.1  # it does depend on the scan


# -- landmarks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["points", "axes"])
def test_coordinates_in_closed_form(tmp_path, layout):
    """Weights that are the place of each voxel answer with the place of the only bright one; a second is its mirror."""
    place = np.stack(np.indices(SHAPE)).reshape(3, -1).astype(float)  # i, j, k
    rows = np.stack([place, -place], 0)  # landmarks, axes, voxels
    offsets = np.stack([np.zeros(3), np.array(SHAPE) - 1.0])
    if layout == "axes":
        rows, offsets = rows.transpose(1, 0, 2), offsets.T
    made = regressor(rows.reshape(6, -1), offsets.ravel(), out_shape=rows.shape[:2], scale=1.0)
    stated = {"task": "landmarks", "landmarks": ["here", "mirrored"], "form": "coordinates", "layout": layout}
    spec = radcnn.open_model(bundle(tmp_path / "bundle", made, stated, before=LOAD))
    index = (7, 2, 4)  # k, j, i
    volume = spot(index)
    read = radcnn.read(radcnn.write(volume, tmp_path / "scan.nii.gz"))[0]
    here, mirrored = radcnn.landmarks(read, spec, device="cpu").points
    assert (here.name, mirrored.name) == ("here", "mirrored")
    np.testing.assert_allclose(here.position, volume.geometry.to_world(np.array(index, float)), atol=1e-3)
    other = np.array(volume.shape) - 1.0 - np.array(index)
    np.testing.assert_allclose(mirrored.position, volume.geometry.to_world(other), atol=1e-3)


@pytest.mark.parametrize("shape", [[3, 2], [2, 3]])
def test_points_of_monais_metadata_need_no_further_word(tmp_path, capsys, shape):
    """Format "points": a row for each landmark as specified, or one for each axis as in the published bundle."""
    place = np.stack(np.indices(SHAPE[:2])).reshape(2, -1).astype(float)
    rows = np.stack([place, 0.5 * place, 0 * place + 1.5])
    if shape == [2, 3]:
        rows = rows.transpose(1, 0, 2)
    made = regressor(rows.reshape(6, -1), np.zeros(6), SHAPE[:2], shape, scale=1.0)
    output = {"type": "tuples", "format": "points", "num_channels": 2, "spatial_shape": shape}
    more = {"coordinate_meanings": {"0": "septal", "2": "free wall"}}
    folder = bundle(tmp_path / "bundle", made, before=LOAD, output=output, more=more)
    volume = spot((0, 5, 2), (1, 8, 6))
    path = radcnn.write(volume, tmp_path / "scan.nii.gz")
    read = radcnn.read(path)[0]
    marks = radcnn.landmarks(read, radcnn.open_model(folder), device="cpu").points
    found = {mark.name: mark.position for mark in marks}
    expected = {"septal": (0, 5, 2), "landmark 2": (0, 2.5, 1), "free wall": (0, 1.5, 1.5)}
    assert list(found) == list(expected)
    for name, index in expected.items():
        np.testing.assert_allclose(found[name], volume.geometry.to_world(np.array(index, float)), atol=1e-3)
    out = tmp_path / "out.json"
    assert main(["run", str(folder), str(path), "-o", str(out), "--device", "cpu", "--anyway"]) == 0
    assert [one["name"] for one in json.loads(out.read_text())["landmarks"]] == list(expected)
    assert radcnn.replay(tmp_path / "out.json.radcnn.json").is_same is True


def test_peaks_of_maps_lie_where_monai_has_them(tmp_path):
    network = unet(out_channels=2)
    described = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8]}
    described |= {"strides": [2], "norm": "batch"}
    before = [*RESIZED[:3], {"_target_": "Resized", "keys": "image", "spatial_size": [16, 12, 20]}]
    stated = {"task": "landmarks", "landmarks": ["AC", "PC"]}
    after = [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]
    spec = radcnn.open_model(bundle(tmp_path / "bundle", (network, described), stated, before, after=after))
    path = radcnn.write(scan(shape=(30, 41, 37)), tmp_path / "scan.nii.gz")
    shown, maps = by_monai(path, network, before)
    marks = radcnn.landmarks(radcnn.read(path)[0], spec, device="cpu").points
    assert [mark.name for mark in marks] == ["AC", "PC"]
    for mark, values in zip(marks, maps, strict=True):
        peak = np.unravel_index(values.argmax(), values.shape)
        right, anterior, superior = (np.asarray(shown.affine) @ [*peak, 1])[:3]
        np.testing.assert_allclose(mark.position, (-right, -anterior, superior), atol=2e-3)
        assert mark.score == pytest.approx(1 / (1 + np.exp(-values.max())), abs=1e-4)


# -- classes, risks, vectors, images ----------------------------------------------------------------------------------


def test_grades_take_names_and_activation_from_the_rest_of_the_bundle(tmp_path):
    made = dense(3)
    stated = {"task": "classification", "kind": "ordinal", "thresholds": {"F2": 0.6}}
    output = {"format": "classes", "num_channels": 3, "channel_def": {"0": "F0", "1": "F1", "2": "F2"}}
    after = [{"_target_": "Activationsd", "keys": "pred", "softmax": True}]
    spec = radcnn.open_model(bundle(tmp_path / "bundle", made, stated, output=output, after=after))
    path = radcnn.write(scan(shape=(30, 41, 37)), tmp_path / "scan.nii.gz")
    found = radcnn.classify(radcnn.read(path)[0], spec, device="cpu")
    logits = torch.as_tensor(by_monai(path, made[0])[1])
    np.testing.assert_allclose(list(found.probabilities.values()), torch.softmax(logits, 0), atol=1e-4)
    assert (list(found.probabilities), found.kind, found.threshold("F2")) == (["F0", "F1", "F2"], "ordinal", 0.6)


def test_a_risk_and_a_latent_vector_are_those_of_monai(tmp_path):
    made = dense(4)
    path = radcnn.write(scan(shape=(30, 41, 37)), tmp_path / "scan.nii.gz")
    volume, (_, said) = radcnn.read(path)[0], by_monai(path, made[0])
    stated = {"task": "survival", "event": "death", "form": "intervals", "times": [1, 2, 3, 5], "unit": "a"}
    risk = radcnn.survival(volume, radcnn.open_model(bundle(tmp_path / "risk", made, stated)), device="cpu")
    np.testing.assert_allclose([p for _, p in risk.event_free], np.cumprod(1 - 1 / (1 + np.exp(-said))), atol=1e-4)
    output = {"type": "tuples", "format": "latent", "num_channels": 4}
    vector = radcnn.embed(volume, radcnn.open_model(bundle(tmp_path / "latent", made, output=output)), device="cpu")
    np.testing.assert_allclose(vector.vector, said, atol=1e-4)


def test_an_image_in_a_unit_of_its_own_is_that_of_monai(tmp_path):
    network = unet(out_channels=1)
    described = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1, "channels": [4, 8]}
    described |= {"strides": [2], "norm": "batch"}
    stated = {"task": "synthesis", "unit": "HU", "modality": "CT", "scale": {"slope": 500, "intercept": -20}}
    spec = radcnn.open_model(bundle(tmp_path / "bundle", (network, described), stated, RESIZED[:3]))
    path = radcnn.write(scan(shape=(16, 20, 12)), tmp_path / "scan.nii.gz")
    made = radcnn.synthesize(radcnn.read(path)[0], spec, device="cpu", precision="float32")
    assert (made.metadata.units, made.metadata.modality) == ("HU", "CT")
    _, said = by_monai(path, network, RESIZED[:3])
    written, _ = by_monai(radcnn.write(made, tmp_path / "made.nii.gz"), network, RESIZED[:3])
    np.testing.assert_allclose(written[0], -20 + 500 * said[0], atol=500 * 1e-4)


# -- what is refused --------------------------------------------------------------------------------------------------

VALUE = {"task": "regression", "quantity": "age", "unit": "a"}


@pytest.mark.parametrize(
    ("stated", "changes", "told"),
    [
        (None, {}, r'its quantity and unit are not stated: add to metadata.json "radcnn"'),
        (None, {"output": {"format": "value"}}, "its quantity and unit are not stated"),
        ({"task": "regression", "quantity": "age"}, {}, r"""metadata\.json, line \d+: "radcnn": 'unit' is missing"""),
        (VALUE | {"intervals": 1}, {}, r"'intervals' is not supported; did you mean 'interval'\?"),
        ({"task": "segmentation"}, {}, "task='segmentation' is not supported"),
        ([], {}, '"radcnn" must be a mapping'),
        (VALUE, {"after": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]}, "'Activate' in the post"),
        (VALUE | {"interval": {"kind": "quantiles"}}, {}, "returns 1 numbers, but .* expects 3"),
        ({"task": "landmarks", "landmarks": ["a"], "form": "coordinates"}, {}, "expects 3 for 1 landmarks"),
        ({"task": "landmarks", "landmarks": ["a"]}, {}, "a map for each landmark is expected"),
        (None, {"output": {"format": "points", "spatial_shape": [4, 5]}}, "do not fit 3 dimensions"),
        (None, {"output": {"format": "points"}}, "must be their number and 3 coordinates"),
        (None, {"output": {"format": "latent"}}, "must be the number of its values"),
    ],
)
def test_what_is_not_said_or_does_not_fit_is_refused_when_the_bundle_is_opened(tmp_path, stated, changes, told):
    made = regressor([[0.0] * int(np.prod(SHAPE))], [0.0])
    with pytest.raises(ModelError, match=told):
        radcnn.open_model(bundle(tmp_path / "bundle", made, stated, **({"before": LOAD} | changes)))


def test_a_map_of_classes_is_no_answer_whatever_word_the_metadata_have_for_it(tmp_path):
    """MONAI's specification calls the output of a segmentation "labels"."""
    pred = METADATA["network_data_format"]["outputs"]["pred"] | {"format": "labels", "type": "image"}
    formats = METADATA["network_data_format"] | {"outputs": {"pred": pred}}
    spec = radcnn.open_model(write_bundle(tmp_path / "bundle", metadata=METADATA | {"network_data_format": formats}))
    assert spec.task == "segmentation"


def test_a_network_of_the_bundles_own_is_still_code(tmp_path):
    network, described = regressor([[0.0] * int(np.prod(SHAPE))], [0.0])
    described["_target_"] = "scripts.points.PointRegressor"
    with pytest.raises(TrustError, match="PointRegressor"):
        radcnn.open_model(bundle(tmp_path / "bundle", (network, described), VALUE, before=LOAD))
