"""How sure a segmentation is: the map's values, its place, and that it follows what the network says."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

import fake_models
import napari_radcnn as radcnn
from grids import ALL, axial
from napari_radcnn.cli import main
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.inference.settings import RunSettings
from napari_radcnn.inference.uncertainty import MAPS, entropy, maps_of
from napari_radcnn.models import get_model
from napari_radcnn.models.brain_extraction import deepbet, run as brain_extraction
from napari_radcnn.phantom import world_field
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.options import CheckedOptions, option
from napari_radcnn.volume import Volume

SHARES = np.random.default_rng(0).dirichlet((0.4, 1, 2), (3, 4, 5)).transpose(3, 0, 1, 2)


def test_entropy_against_scipy():
    assert np.allclose(entropy(SHARES), scipy_entropy(SHARES, axis=0) / np.log(3), atol=1e-5)
    assert entropy(SHARES).dtype == np.float32


def test_entropy_runs_from_sure_to_undecided():
    sure = np.stack([np.ones((1, 1, 2)), np.zeros((1, 1, 2))])
    assert entropy(sure) == pytest.approx(0, abs=1e-5)
    assert entropy(np.full((4, 1, 2, 3), 0.25)) == pytest.approx(1)
    found = maps_of(SHARES)
    assert tuple(found) == MAPS
    assert np.allclose(found["probability"], SHARES.max(0))


@pytest.fixture
def unsure(monkeypatch):
    """Register a model whose entropy is its scan, scaled; only where it is asked for."""

    @dataclass(frozen=True)
    class Options(CheckedOptions):
        uncertainty: bool = option(False, title="Show uncertainty", help="maps")

    _, pipeline = fake_models.register(monkeypatch, options=Options)

    def run(request, monitor):
        array = np.asarray(request.volume.array, np.float32)
        share = (array - array.min()) / np.ptp(array)
        maps = {"probability": 1 - share / 2, "entropy": share} if request.options.uncertainty else {}
        return Outcome("cpu", "float32", array=(share > 0.5).astype(np.uint8), maps=maps)

    monkeypatch.setattr(pipeline, "run", run)


@pytest.mark.parametrize("name", ALL)
def test_maps_lie_where_their_scan_lies(unsure, name):
    volume = world_field(ALL[name]())
    labels = radcnn.segment(volume, "fake", {"uncertainty": True})
    assert [image.name for image in labels.maps] == [f"{labels.name} · {kind}" for kind in MAPS]
    sure = labels.maps[1]
    assert sure.geometry is volume.geometry
    assert np.unravel_index(sure.array.argmax(), sure.shape) == np.unravel_index(volume.array.argmax(), volume.shape)
    assert labels.provenance["result"]["maps"].keys() == set(MAPS)
    assert radcnn.segment(volume, "fake").maps == ()
    assert "maps" not in radcnn.segment(volume, "fake").provenance["result"]


def test_the_command_line_writes_maps_beside_the_labels(unsure, tmp_path, capsys):
    volume = world_field(axial())
    radcnn.write(volume, tmp_path / "scan.nii.gz")
    words = ["run", "fake", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "out.nii.gz"), "--uncertainty"]
    assert main(words) == 0
    assert f"written: {tmp_path / 'out.entropy.nii.gz'}" in capsys.readouterr().out
    (written,) = radcnn.read(tmp_path / "out.entropy.nii.gz")
    assert written.geometry.is_close(volume.geometry)
    assert written.array.max() == pytest.approx(1)
    (tmp_path / "out.nii.gz").unlink()
    (tmp_path / "out.nii.gz.radcnn.json").unlink()
    assert main(words) == 3  # before the run: a map of another one is in the way
    assert "out.probability.nii.gz already exists" in capsys.readouterr().err
    assert not (tmp_path / "out.nii.gz").exists()
    assert main([*words, "--overwrite"]) == 0
    manifest = json.loads((tmp_path / "out.nii.gz.radcnn.json").read_text())
    assert manifest["options"] == {"uncertainty": True}


def _ball():
    grid = Geometry.from_parts((40, 44, 36), (2.0, 2.2, 2.5), (-40.0, -30.0, 10.0))
    k, j, i = np.indices(grid.shape)
    inside = ((k - 20) / 13) ** 2 + ((j - 22) / 15) ** 2 + ((i - 18) / 11) ** 2 <= 1
    noise = np.random.default_rng(0).normal(0, 5, grid.shape)
    return Volume((inside * 100 + noise).astype(np.float32), grid)


def test_brain_extraction_averages_over_the_mirror_image(monkeypatch):
    """With networks that see only one side, the mean is undecided and the entropy is 1 in the whole brain."""
    scan = _ball()
    spec = get_model("brain-extraction")

    def load(number):
        def predict(patch):
            found = (patch > patch.mean()).astype(np.float32)
            if number == 1:
                found[: len(found) // 2] = 0  # nothing in one half, left and right of the network's first axis
            return found

        return predict

    steps = []
    monitor = Monitor(3, lambda done, total, message: steps.append(done), None)
    request = Request(spec, scan, spec.options(method="deepbet", uncertainty=True), RunSettings("cpu", "float32"), 1)
    mean = deepbet._probabilities(request, load, monitor)
    alone = deepbet._probabilities(replace(request, options=spec.options()), load, Monitor(2))
    brain = np.asarray(scan.array) > 60
    assert np.median(mean[brain]) == pytest.approx(0.5, abs=0.01)
    assert np.mean(np.abs(alone[brain] - 0.5) > 0.4) > 0.8  # one half is sure of it, the other one is not
    assert abs(float(alone[brain].mean()) - float(mean[brain].mean())) < 0.05
    sure = brain_extraction._maps(mean)["entropy"]
    assert float(np.median(sure[brain])) == pytest.approx(1, abs=0.01)
    assert float(sure[0].max()) < 0.01
    assert brain_extraction.plan(request).patches == 3
    assert max(steps) <= 3
