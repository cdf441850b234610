"""What answers of networks from elsewhere hang on: a network that looks at one corner only."""

from __future__ import annotations

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import PATCH, answer_with, describe_answer, open_trusted, risk_keys, scan, value_keys, write_network
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.evidence import covers, occlusion

CORNER = (slice(0, 2), slice(4, 7), slice(3, 5))


def corner_of(patch):
    """Return a number that hangs on one corner of the patch alone."""
    return np.array([10 * patch[0][CORNER].mean(dtype=np.float64)])


def asked(folder, answer, monkeypatch, run=radcnn.regress, answers=1, **keys):
    answer_with(monkeypatch, answer)
    path = write_network(folder / "net.ts", [[0.0]] * answers, [0.0] * answers)
    describe_answer(folder / "net.json", **(keys or value_keys()))
    return run(scan(), open_trusted(path), {"explain": True}, device="cpu")


def test_every_voxel_is_covered_and_each_axis_in_two_dimensions_but_that_of_slices():
    for shape, dims in (((6, 7, 5), 3), ((1, 64, 50), 2), ((1, 1, 3), 2)):
        count = np.zeros(shape)
        for place in covers(shape, dims):
            count[place] += 1
        assert count.min() >= 1


def test_a_closed_form():
    given = np.zeros((1, 1, 28, 28), np.float32)
    given[0, 0, 10:14, 6:10] = 1
    found = occlusion(lambda patch: float(patch[0, 0, 10, 6]), given, 2)
    assert found[0, 10, 6] == pytest.approx(1 - 16 / 784)
    assert found[0, 20, 20] == 0


@pytest.mark.parametrize("run", [radcnn.regress, radcnn.survival])
def test_what_a_number_hangs_on_lies_in_its_place_in_the_scan(tmp_path, monkeypatch, run):
    keys = risk_keys() if run is radcnn.survival else value_keys()
    found = asked(tmp_path, corner_of, monkeypatch, run, **keys)
    (image,) = found.maps
    assert image.name.endswith("occlusion")
    assert image.geometry.is_close(scan().geometry)
    strength = np.abs(image.array)
    # the corner of the patch is that of the scan, whose sides are twice as long
    inside = strength[0:4, 8:14, 6:10]
    assert inside.min() > 0
    assert strength[8:, :, :].max() == 0
    assert strength[:, :4, :].max() == 0
    assert strength.max() == inside.max()


def test_what_a_class_hangs_on(tmp_path, monkeypatch):
    def answer(patch):
        return np.array([0.0, 0.5 + 10 * abs(patch[0][CORNER].mean()), 0.2])

    found = asked(tmp_path, answer, monkeypatch, radcnn.classify, 3, kind="exclusive")
    assert found.decided == ("middle",)
    (image,) = found.evidence
    assert image.array[:4, 8:, 6:].max() > 0
    assert np.abs(image.array[8:]).max() == 0


def test_the_shell_writes_the_map_and_manifest_and_replay_hold_it(tmp_path, monkeypatch):
    answer_with(monkeypatch, corner_of)
    path = write_network(tmp_path / "net.onnx", [[0.0]], [0.0])
    describe_answer(tmp_path / "net.json", **value_keys())
    place, out = radcnn.write(scan(), tmp_path / "scan.nii.gz"), tmp_path / "out.json"
    assert main(["run", str(path), str(place), "-o", str(out), "--evidence", str(tmp_path / "maps")]) == 0
    (written,) = (one for one in (tmp_path / "maps").iterdir() if one.name.endswith(".nii.gz"))
    (image,) = radcnn.read(written)
    assert np.abs(image.array).max() > 0
    again = radcnn.replay(tmp_path / "out.json.radcnn.json")
    assert again.is_same is True
    np.testing.assert_allclose(again.result.maps[0].array, image.array, atol=1e-5)


def test_several_slices_have_none_and_landmarks_no_such_setting(tmp_path, monkeypatch):
    answer_with(monkeypatch, lambda patch: np.array([patch.mean()]))
    path = write_network(tmp_path / "net.onnx", [[1.0]], [0.0], PATCH[1:])
    describe_answer(tmp_path / "net.json", **value_keys(spatial_dims=2, patch=list(PATCH[1:]), slices="mean"))
    found = radcnn.regress(scan(0.3, (4, 14, 10)), radcnn.open_model(path), {"explain": True}, device="cpu")
    assert found.maps == ()
    assert any("not of several slices" in text for text in found.warnings)
    keys = {"task": "landmarks", "landmarks": ["tip"], "form": "coordinates", "classes": ...}
    path = write_network(tmp_path / "net.onnx", [[0.0]] * 3, [0.0] * 3)
    describe_answer(tmp_path / "net.json", **keys)
    place = radcnn.write(scan(), tmp_path / "scan.nii.gz")
    assert main(["run", str(path), str(place), "-o", str(tmp_path / "o.json"), "--evidence", str(tmp_path)]) == 4
    with pytest.raises(ModelError, match="is for landmarks"):
        radcnn.regress(scan(), radcnn.open_model(path))
