"""Evidence from Python and from the shell, with networks of fresh weights in place of those that ship."""

from __future__ import annotations

import numpy as np
import pytest

import napari_radcnn as radcnn
import small_classifier
from napari_radcnn.cli import main
from napari_radcnn.evidence.ensemble import KINDS


@pytest.fixture
def model(monkeypatch):
    return small_classifier.register(monkeypatch)


@pytest.fixture
def radiograph():
    """A picture wider than high, 2 x 1.5 mm, with a bright spot low on one side."""
    rows, columns = np.mgrid[:60, :90]
    picture = 100 + 40 * np.sin(columns / 9) + 120.0 * ((rows - 45) ** 2 + (columns - 62) ** 2 < 60)
    direction = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float)
    grid = radcnn.Geometry.from_parts((1, 60, 90), (1.0, 2.0, 1.5), (-30.0, 17.0, 200.0), direction)
    return radcnn.Volume(picture[None].astype(np.float32), grid, radcnn.VolumeMetadata(name="chest", modality="DX"))


def test_maps_lie_over_the_scan_and_are_named(model, radiograph):
    result = radcnn.classify(radiograph, model, {"explain": True}, device="cpu")
    assert [image.name for image in result.evidence] == [f"chest · cxr-pneumonia · {kind}" for kind in KINDS]
    assert all(image.geometry.is_close(radiograph.geometry) for image in result.evidence)
    assert all(np.isfinite(image.array).all() and image.array.any() for image in result.evidence)
    # Only the middle square was seen.
    assert not result.evidence[1].array[0, :, :15].any()
    assert not result.evidence[1].array[0, :, 75:].any()
    likeliest = max(result.probabilities, key=result.probabilities.get)
    assert result.provenance["facts"]["evidence_for"] == likeliest
    assert set(result.provenance["result"]["maps"]) == set(KINDS)


def test_no_maps_unless_they_are_asked_for(model, radiograph):
    plain = radcnn.classify(radiograph, model, device="cpu")
    assert plain.evidence == ()
    asked = radcnn.classify(radiograph, model, {"explain": True}, device="cpu")
    assert asked.probabilities == plain.probabilities


def test_a_mirrored_scan_has_the_same_map_in_the_patient(model, radiograph):
    # Stored the other way round, the picture stands upright before the network all the same.
    turned = radiograph.reoriented(radiograph.geometry.orientation.translate(str.maketrans("LR", "RL")))
    assert turned.geometry.orientation != radiograph.geometry.orientation
    first, second = (radcnn.classify(one, model, {"explain": True}, device="cpu") for one in (radiograph, turned))
    for before, after in zip(first.evidence, second.evidence, strict=True):
        back = radiograph.geometry.axis_map(turned.geometry.orientation).invert(after.array)
        assert np.allclose(back, before.array, atol=1e-4 * np.abs(before.array).max())


def test_the_shell_writes_them(model, radiograph, tmp_path, capsys):
    scan, out, folder = tmp_path / "chest.nii.gz", tmp_path / "answer.json", tmp_path / "why" / "here"
    radcnn.write(radiograph, scan)
    words = ["run", model.name, str(scan), "-o", str(out), "--device", "cpu", "--evidence", str(folder)]
    assert main(words) == 0
    names = ["answer.grad-cam", "answer.occlusion", "answer.prediction-difference", "answer.saliency"]
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.nii.gz" for name in names]
    (image,) = radcnn.read(folder / "answer.grad-cam.nii.gz")
    assert image.geometry.is_close(radiograph.geometry)
    assert float(image.array.max()) <= 1.0001
    assert f"written: {folder / 'answer.grad-cam.nii.gz'}" in capsys.readouterr().out
    out.unlink()
    (tmp_path / "answer.json.radcnn.json").unlink(missing_ok=True)
    assert main(words) != 0  # the maps are in the way
    assert not out.exists()


def test_a_model_without_evidence_says_so(radiograph, tmp_path, capsys):
    scan = tmp_path / "chest.nii.gz"
    radcnn.write(radiograph, scan)
    words = ["run", "nlm-denoise", str(scan), "-o", str(tmp_path / "x.nii.gz"), "--evidence", str(tmp_path)]
    assert main(words) == 4
    assert "does not make evidence maps" in capsys.readouterr().err
