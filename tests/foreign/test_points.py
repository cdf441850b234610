"""Landmarks by networks from elsewhere: in their place in the patient, whatever the grid, and in every form."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_radcnn as radcnn
from answering import answer_with, describe_answer, open_trusted, write_network
from model_factory import write_onnx
from napari_radcnn.cli import main
from napari_radcnn.errors import ModelError, ReadError
from napari_radcnn.foreign.answers.described import Points
from napari_radcnn.foreign.answers.points import places_of
from napari_radcnn.io.reports import read_landmarks
from napari_radcnn.phantom import oblique_geometry

SHAPE = (8, 12, 10)
#: Where a voxel is bright and where one is dark, (k, j, i).
BRIGHT, DARK = (6, 3, 8), (1, 9, 2)


def _scan(block=1):
    """Return an oblique CT of noise with a bright and a dark block of so many voxels a side."""
    array = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    for place, value in ((BRIGHT, 50), (DARK, -50)):
        array[tuple(slice(n - n % block, n - n % block + block) for n in place)] = value
    return radcnn.Volume(array, oblique_geometry(SHAPE), radcnn.VolumeMetadata("scan", modality="CT"))


def _keys(**changes):
    names = {"landmarks": ["tip", "base"], "classes": ...}
    return {"task": "landmarks", "name": "Places", "patch": list(SHAPE), "fit": "exact"} | names | changes


def _maps(patch):
    """Return a map that is greatest where it is bright, and one where it is dark."""
    return np.concatenate([patch, -patch])


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Return a function that finds the landmarks of a scan."""

    def run(scan, answer=_maps, **changes):
        answer_with(monkeypatch, answer)
        path = write_network(tmp_path / "net.ts", [[1.0]], [0.0])
        describe_answer(tmp_path / "net.json", **_keys(**changes))
        return radcnn.landmarks(scan, open_trusted(path), device="cpu")

    return run


def _check(result, scan, atol=1e-3):
    for point, name, index in zip(result.points, ("tip", "base"), (BRIGHT, DARK), strict=True):
        assert point.name == name
        np.testing.assert_allclose(point.position, scan.geometry.to_world(index), atol=atol)


@pytest.mark.parametrize("axes", ["SPL", "IAR", "LPS", "PRI"])
@pytest.mark.parametrize("orientation", [None, "SPL", "RAS"])
def test_the_place_is_that_of_the_patient_on_every_grid(found, axes, orientation):
    scan = _scan()
    turned = scan.reoriented(axes)
    wanted = scan if orientation is None else scan.reoriented(orientation)
    patch = list(turned.shape if orientation is None else wanted.shape)
    _check(found(turned, orientation=orientation, patch=patch), scan)


def test_the_place_is_found_behind_every_change_of_the_grid(found):
    """Blocks of two voxels become one by the mean of areas: the place is the middle of the block."""
    scan = _scan(block=2)
    half = [n // 2 for n in SHAPE]
    result = found(scan, fit="area", patch=half)
    for point, index in zip(result.points, (BRIGHT, DARK), strict=True):
        middle = [n - n % 2 + 0.5 for n in index]
        np.testing.assert_allclose(point.position, scan.geometry.to_world(middle), atol=1e-3)
    _check(found(_scan(), fit="center", patch=[10, 11, 14]), scan)
    spacing = [s / 2 for s in _scan().geometry.spacing]
    shape = [2 * n - 1 for n in SHAPE]
    _check(found(_scan(), spacing=spacing, patch=shape, fit="center"), scan, atol=0.8)


def test_a_picture_has_its_landmarks_in_its_plane(found):
    flat = _scan().array[6:7]
    scan = radcnn.Volume(flat, oblique_geometry(flat.shape), radcnn.VolumeMetadata("scan", modality="CT"))
    answer = found(scan, lambda patch: patch, spatial_dims=2, patch=list(SHAPE[1:]), landmarks=["tip"])
    np.testing.assert_allclose(answer.points[0].position, scan.geometry.to_world((0, *BRIGHT[1:])), atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        ({"coordinates": "voxel"}, [BRIGHT, DARK]),
        ({"coordinates": "voxel", "order": "reversed"}, [BRIGHT[::-1], DARK[::-1]]),
        ({"coordinates": "fraction"}, [(np.array(p) + 0.5) / SHAPE for p in (BRIGHT, DARK)]),
        ({"coordinates": "signed"}, [(np.array(p) + 0.5) / SHAPE * 2 - 1 for p in (BRIGHT, DARK)]),
    ],
)
def test_coordinates_of_every_kind(found, changes, numbers):
    scan = _scan()
    result = found(scan, lambda _: np.ravel(numbers), form="coordinates", **changes)
    _check(result, scan)
    assert np.isnan([point.score for point in result.points]).all()


def test_scores_decide_what_was_found(found):
    scan = _scan()
    row = [*BRIGHT, 2.0, *DARK, -2.0]
    changes = {"form": "coordinates", "scores": True, "activation": "sigmoid", "least_score": 0.5}
    result = found(scan, lambda _: row, **changes)
    assert [point.name for point in result.points] == ["tip"]
    assert result.points[0].score == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    assert "'base' was not detected: its score is 0.12, below 0.5." in result.warnings


def test_a_place_outside_of_the_scan_is_no_landmark(found):
    scan = _scan()
    result = found(scan, lambda _: [*BRIGHT, 3, 12.6, 3], form="coordinates")
    assert [point.name for point in result.points] == ["tip"]
    assert any("'base' was not detected: the network places it outside" in text for text in result.warnings)


def test_maps_have_a_peak_or_a_mean():
    """A normal distribution around a place between voxels has its mean there; coarse cells cover several voxels."""
    place = np.array([3.25, 5.5, 4.0])
    squares = ((np.indices((8, 12, 10)).reshape(3, -1) - place[:, None]) ** 2).sum(0).reshape(1, 8, 12, 10)
    logits = -squares / (2 * 0.9**2)
    mean = Points(("a",), "heat-maps", "softmax", "mean")
    assert places_of(logits, mean, SHAPE, 3)[0][0] == pytest.approx(place, abs=2e-3)
    peak, score = places_of(np.exp(logits), Points(("a",)), SHAPE, 3)
    assert np.abs(peak[0] - place).max() <= 0.5
    assert score[0] == pytest.approx(np.exp(logits).max())
    coarse = np.zeros((1, 2, 3, 5))
    coarse[0, 1, 2, 0] = 1
    assert places_of(coarse, Points(("a",)), SHAPE, 3)[0][0] == pytest.approx([5.5, 9.5, 0.5])


@pytest.mark.parametrize(
    ("answer", "changes", "told"),
    [
        (lambda patch: patch, {}, r"returns 1 x 8 x 12 x 10 numbers, but .* expects 2 maps of 3 dimensions"),
        (lambda _: np.zeros(6), {}, "returns 6 numbers, but its description expects 2 maps"),
        (lambda _: np.zeros(5), {"form": "coordinates"}, "expects 6 for 2 landmarks of 3 coordinates"),
        (lambda patch: _maps(patch) * np.nan, {}, "returned NaN"),
    ],
)
def test_an_answer_that_does_not_fit_is_no_place(found, answer, changes, told):
    with pytest.raises(ModelError, match=f"places: .*{told}"):
        found(_scan(), answer, **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"landmarks": ...}, "'landmarks' must be a list of names"),
        ({"landmarks": ["a", "a"]}, "none twice"),
        ({"form": "text"}, "form='text'"),
        ({"position": "middle"}, "position='middle'"),
        ({"least_score": 2}, "'least_score' must be between 0 and 1"),
        ({"form": "coordinates", "least_score": 0.2}, "without 'scores'"),
        ({"form": "coordinates", "coordinates": "mm"}, "coordinates='mm'"),
        ({"slices": "mean", "spatial_dims": 2, "patch": [8, 9]}, "detected in one slice"),
    ],
)
def test_wrong_values_are_named(tmp_path, changes, told):
    path = write_network(tmp_path / "net.onnx", [[1.0]], [0.0])
    describe_answer(tmp_path / "net.json", **_keys(**changes))
    with pytest.raises(ModelError, match=told) as caught:
        radcnn.open_model(path)
    assert str(caught.value).startswith("net.json")


def test_weights_of_the_list_answer_with_maps_or_are_refused(tmp_path):
    from model_factory import UNET, unet, write_safetensors

    path = write_safetensors(tmp_path / "net.safetensors", unet().state_dict())
    architecture = {"name": "UNet", "arguments": UNET}
    keys = _keys(architecture=architecture, patch=[16, 16, 16], fit="linear", landmarks=["a", "b", "c"])
    describe_answer(tmp_path / "net.json", **keys)
    result = radcnn.landmarks(_scan(), radcnn.open_model(path), device="cpu")
    assert [point.name for point in result.points] == ["a", "b", "c"]
    describe_answer(tmp_path / "net.json", **(keys | {"landmarks": ["a", "b"]}))
    with pytest.raises(ModelError, match=r"returns 3 x 16 x 16 x 16 numbers, but net\.json expects 2 maps"):
        radcnn.open_model(path)
    describe_answer(tmp_path / "net.json", **(keys | {"form": "coordinates"}))
    with pytest.raises(ModelError, match="'UNet' returns an output for every voxel; one with a single output per scan"):
        radcnn.open_model(path)


def test_shell_file_manifest_and_replay_say_the_same(tmp_path, capsys):
    pytest.importorskip("openvino")
    path = write_onnx(tmp_path / "net.onnx", np.array([[0.01], [-0.01]]), np.array([0.2, 0.3]), SHAPE)
    describe_answer(tmp_path / "net.json", **_keys())
    scan = _scan()
    place, out = radcnn.write(scan, tmp_path / "scan.nii.gz"), tmp_path / "out.json"
    assert main(["run", str(path), str(place), "-o", str(out), "--device", "cpu"]) == 0
    x, y, z = scan.geometry.to_world(BRIGHT)
    assert f"tip: {x:.1f} {y:.1f} {z:.1f} mm (0.70)" in capsys.readouterr().out
    first, second = json.loads(out.read_text())["landmarks"]
    assert (first["name"], second["name"]) == ("tip", "base")
    assert first["position_mm"] == pytest.approx([x, y, z], abs=1e-3)
    assert (first["score"], second["score"]) == (pytest.approx(0.7, abs=1e-4), pytest.approx(0.8, abs=1e-4))
    assert main(["replay", f"{out}.radcnn.json", "-o", str(tmp_path / "again.json")]) == 0
    assert "identical: the numbers of out.json" in capsys.readouterr().out
    _check(read_landmarks(tmp_path / "again.json"), scan)
    assert main(["info", str(out)]) == 0
    assert "out · 2 landmarks" in capsys.readouterr().out


def test_landmarks_are_written_read_and_compared(tmp_path):
    from napari_radcnn.operations import evaluate

    truth = radcnn.Landmarks((radcnn.Landmark("a", (1.0, 2.0, 3.0)), radcnn.Landmark("b", (0.0, 0.0, 9.0), 0.5)))
    said = radcnn.Landmarks((radcnn.Landmark("a", (1.0, 5.0, 7.0), 0.9),))
    for name, result in (("truth", truth), ("said", said)):
        (tmp_path / name).mkdir()
        radcnn.write(result, tmp_path / name / "case.json")
    again = read_landmarks(tmp_path / "truth" / "case.json")
    assert again.points[1] == truth.points[1]
    assert np.isnan(again.points[0].score)
    table = radcnn.write(truth, tmp_path / "a.csv").read_text()
    assert table == "name,score,x_mm,y_mm,z_mm\na,,1.0,2.0,3.0\nb,0.5,0.0,0.0,9.0\n"
    for pair in (("truth", "said"), ("truth/case.json", "said/case.json")):
        figures = evaluate(tmp_path / pair[0], tmp_path / pair[1], tolerance_mm=6)["landmarks"]
        assert (figures["mean_mm"], figures["within_tolerance"], figures["missing"]) == (5.0, 1.0, 1)
        assert figures["each"]["b"]["mean_mm"] is None
    (tmp_path / "bad.json").write_text('{"landmarks": [{"name": "a", "position_mm": [1, 2, NaN]}]}')
    with pytest.raises(ReadError, match="no valid landmarks"):
        read_landmarks(tmp_path / "bad.json")
