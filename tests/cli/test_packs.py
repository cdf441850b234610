"""``radcnn models``: packing a model here, installing it there, running it by its name; what lies on the disk."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import napari_radcnn as radcnn
from model_factory import unet, write_bundle
from napari_radcnn.cli import main
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.volume import Volume, VolumeMetadata
from nnunet_folder import DATASET


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "LICENCE").write_text("CC BY 4.0")
    (tmp_path / "card.md").write_text("# Two organs\nTrained on nothing.")
    return ["--licence", str(tmp_path / "LICENCE"), "--card", str(tmp_path / "card.md")]


@pytest.fixture
def packed(tmp_path, texts):
    bundle = write_bundle(tmp_path / "bundle", unet(2))
    pack = tmp_path / "two.radcnn-model.zip"
    assert main(["models", "pack", str(bundle), "-o", str(pack), "--name", "two-organs", *texts]) == 0
    return bundle, pack


def test_a_packed_model_is_installed_and_gives_the_same_labels(packed, tmp_path, capsys):
    bundle, pack = packed
    array = np.random.default_rng(0).normal(60, 120, (11, 24, 19)).astype(np.float32)
    scan = Volume(array, oblique_geometry(array.shape), VolumeMetadata("scan", modality="CT"))
    radcnn.write(scan, tmp_path / "scan.nii.gz")
    assert main(["models", "verify", str(pack)]) == 0
    assert main(["models", "install", str(pack)]) == 0
    assert "installed: two-organs" in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    listed = {model["name"] for model in json.loads(capsys.readouterr().out)["models"]}
    assert {"two-organs", "brain-extraction", "nlm-denoise"} <= listed
    words = ["--device", "cpu", "--precision", "float32"]
    for model, name in ((str(bundle), "a"), ("two-organs", "b")):
        assert main(["run", model, str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / f"{name}.nii.gz"), *words]) == 0
    first, second = (radcnn.read(tmp_path / f"{name}.nii.gz")[0].array for name in "ab")
    assert first.any()
    assert np.array_equal(first, second)
    assert main(["replay", str(tmp_path / "b.nii.gz.radcnn.json")]) == 0
    assert "identical" in capsys.readouterr().out
    assert main(["models", "remove", "two-organs"]) == 0
    assert main(["run", "two-organs", str(tmp_path / "scan.nii.gz"), "-o", str(tmp_path / "c.nii.gz")]) == 4


def test_a_changed_pack_is_refused(packed, tmp_path, capsys):
    _, pack = packed
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 255
    pack.write_bytes(content)
    for word in ("verify", "install"):
        assert main(["models", word, str(pack)]) == 4
        assert pack.name in capsys.readouterr().err
    assert main(["models", "verify", str(tmp_path / "missing.zip")]) in (3, 4)


def test_a_pack_is_not_overwritten_unasked(packed, texts, capsys):
    bundle, pack = packed
    before = pack.read_bytes()
    assert main(["models", "pack", str(bundle), "-o", str(pack), *texts]) == 3
    assert pack.read_bytes() == before


def test_models_on_the_disk_are_found_with_their_licence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert main(["models", "found"]) == 0
    assert "none" in capsys.readouterr().out
    shutil.copytree(DATASET, tmp_path / "results" / DATASET.name)
    assert main(["models", "found"]) == 0
    out = capsys.readouterr().out
    assert f"{DATASET.name} 3d_fullres" in out
    assert "license" in out
    assert main(["models", "found", "--json"]) == 0
    found = {model["configuration"] for model in json.loads(capsys.readouterr().out)["found"]}
    assert found == {path.name.rpartition("__")[2] for path in DATASET.glob("*__*")}
