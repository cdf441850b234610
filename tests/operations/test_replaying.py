"""Results made again from their manifests, in Python: the same voxels, and a clear word where they cannot be."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from grids import oblique
from napari_radcnn.errors import CancelledError, ModelError, ReadError
from napari_radcnn.io.with_manifest import write_with_manifest
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.play import play


@pytest.fixture
def scan(tmp_path):
    return radcnn.read(radcnn.write(world_field(oblique()), tmp_path / "scan.nii.gz"))[0]


def test_a_result_is_the_same_again(monkeypatch, tmp_path, scan):
    fake_models.register(monkeypatch)
    first = radcnn.segment(scan, "fake")
    _, beside = write_with_manifest(first, tmp_path / "out.nii.gz")
    seen = []
    again = radcnn.replay(beside, progress=lambda done, total, message: seen.append(message))
    assert again.is_same is True
    assert np.array_equal(again.result.array, first.array)
    assert again.result.labels == first.labels
    assert again.manifest["output"] == "out.nii.gz"
    assert [volume.name for volume in again.scans] == ["scan"]
    assert "step 8" in seen
    assert radcnn.replay(first.provenance).is_same is True


def test_another_result_is_told_from_it(monkeypatch, tmp_path, scan):
    _, pipeline = fake_models.register(monkeypatch, "denoising")
    provenance = radcnn.denoise(scan, "fake").provenance
    run = pipeline.run
    pipeline.run = lambda request, monitor: run(request.__class__(**{**vars(request), "volume": other}), monitor)
    other = scan.with_array(scan.array + 1)
    assert radcnn.replay(provenance).is_same is False


def test_the_number_of_threads_is_that_of_the_manifest(monkeypatch, scan):
    fake_models.register(monkeypatch)
    provenance = {**radcnn.segment(scan, "fake", threads=3).provenance}
    assert radcnn.replay(provenance).result.provenance["threads"] == 3


def test_what_speaks_against_it_is_said_before(monkeypatch, scan):
    _, pipeline = fake_models.register(monkeypatch, modalities=("PT",))
    provenance = dict(radcnn.segment(scan, "fake").provenance)
    provenance["model"] = {**provenance["model"], "version": "0.0.1"}
    steps = pipeline.steps_done
    told = []
    radcnn.replay(provenance, warn=lambda lines: told.append((pipeline.steps_done, list(lines))))
    ((done, lines),) = told
    assert done == steps
    assert any("0.0.1" in line for line in lines)


def test_an_interactive_result_is_the_same_again(tmp_path):
    scan = world_field(oblique_geometry((10, 16, 20)))
    (scan,) = radcnn.read(radcnn.write(scan, tmp_path / "scan.nii.gz"))
    place = scan.geometry.to_world((5, 8, 9)).tolist()
    result = play(scan, {"steps": [{"object": "a", "prompt": {"kind": "point", "points_mm": [place]}}]})
    _, beside = write_with_manifest(result, tmp_path / "out.nii.gz")
    for source in (beside, result.provenance):
        again = radcnn.replay(source)
        assert again.is_same is True
        assert np.array_equal(again.result.array, result.array)


def test_a_scan_that_is_another_now_is_refused(monkeypatch, tmp_path, scan):
    fake_models.register(monkeypatch)
    provenance = radcnn.segment(scan, "fake").provenance
    radcnn.write(scan.with_array(scan.array + 1, source=None), tmp_path / "scan.nii.gz", overwrite=True)
    with pytest.raises(ReadError, match="no longer match the manifest"):
        radcnn.replay(provenance)
    (tmp_path / "scan.nii.gz").unlink()
    with pytest.raises(ReadError, match="no such file"):
        radcnn.replay(provenance)


def test_a_model_that_is_not_there_is_refused(monkeypatch, scan):
    fake_models.register(monkeypatch)
    provenance = dict(radcnn.segment(scan, "fake").provenance)
    provenance["model"] = {**provenance["model"], "name": "gone"}
    with pytest.raises(ModelError, match="gone"):
        radcnn.replay(provenance)


def test_a_replay_can_be_cancelled(monkeypatch, scan):
    fake_models.register(monkeypatch)
    provenance = radcnn.segment(scan, "fake").provenance
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        radcnn.replay(provenance, cancel=cancel)


def test_a_manifest_of_a_newer_schema_is_refused(tmp_path, monkeypatch, scan):
    fake_models.register(monkeypatch)
    provenance = {**radcnn.segment(scan, "fake").provenance, "schema": "radcnn-manifest/2"}
    path = tmp_path / "x.radcnn.json"
    path.write_text(json.dumps(provenance))
    for source in (path, provenance):
        with pytest.raises(ReadError, match="update napari-radcnn"):
            radcnn.replay(source)
