from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from grids import ALL, axial
from napari_radcnn.errors import CancelledError, ExitStatus, ModelError, OptionError, RadcnnError, ResourceError
from napari_radcnn.models import get_model
from napari_radcnn.operations import run, segment_to
from napari_radcnn.phantom import world_field


@pytest.mark.parametrize("name", ALL)
def test_a_label_map_lies_on_the_grid_of_its_scan(monkeypatch, name):
    fake_models.register(monkeypatch)
    volume = world_field(ALL[name]())
    labels = radcnn.segment(volume, "fake")
    assert labels.geometry.is_close(volume.geometry)
    assert np.array_equal(labels.array, volume.array > np.median(volume.array))
    assert labels.name == "world field · fake"
    assert labels.labels[1].name == "bright"


def test_a_restored_image_keeps_what_is_known_of_its_scan(monkeypatch):
    fake_models.register(monkeypatch, "denoising")
    scan = world_field(axial())
    scan = type(scan)(scan.array, scan.geometry, scan.metadata, ("slices 3 and 4 are missing",), 0.5)
    scan = scan.with_array(scan.array, modality="CT", units="HU", series_uid="1.2.3")
    restored = radcnn.denoise(scan, "fake")
    assert np.array_equal(restored.array, scan.array + 1)
    assert restored.geometry.is_close(scan.geometry)
    assert (restored.modality, restored.metadata.units, restored.metadata.series_uid) == ("CT", "HU", "1.2.3")
    assert restored.warnings == ("slices 3 and 4 are missing", "not for diagnosis")
    assert restored.suvbw_factor == 0.5
    assert restored.name == "world field · fake"


def test_detections_come_best_first(monkeypatch):
    fake_models.register(monkeypatch, "detection")
    found = radcnn.detect(world_field(axial()), "fake")
    assert [box.score for box in found.boxes] == [0.75, 0.25]
    assert found.boxes[0].center == (1.0, -2.0, 3.0)


def test_a_classification_has_probabilities(monkeypatch):
    fake_models.register(monkeypatch, "classification")
    assert radcnn.classify(world_field(axial()), "fake").probabilities == {"normal": 0.08, "pneumonia": 0.92}


def test_super_resolution_returns_a_volume(monkeypatch):
    fake_models.register(monkeypatch, "super-resolution")
    assert isinstance(radcnn.super_resolve(world_field(axial()), "fake"), radcnn.Volume)


def test_the_manifest_says_what_made_the_result(monkeypatch):
    spec, _ = fake_models.register(monkeypatch)
    volume = world_field(axial())
    manifest = json.loads(json.dumps(radcnn.segment(volume, "fake", {"strength": 0.5}, precision="float32").provenance))
    assert manifest["model"]["name"] == "fake"
    assert manifest["model"]["version"] == spec.version
    assert manifest["options"]["strength"] == 0.5
    assert manifest["options"]["search_radius_voxels"] == spec.options().search_radius_voxels
    assert manifest["settings"] == {"device": "auto", "precision": "float32"}
    assert (manifest["device"], manifest["precision"]) == ("cpu", "float32")
    assert manifest["facts"] == {"a": 1}
    assert manifest["input"]["shape"] == [3, 4, 5]
    assert manifest["versions"]["napari-radcnn"] == radcnn.__version__
    assert manifest["volumes_ml"] == {"bright": pytest.approx(30 * 2.5 * 0.8 * 0.7 / 1000)}
    assert manifest["seconds"] >= 0


def test_the_manifest_tells_inputs_apart(monkeypatch):
    fake_models.register(monkeypatch)
    volume = world_field(axial())
    changed = volume.array.copy()
    changed[1, 2, 3] += 1
    inputs = [volume, volume.with_array(changed), world_field(ALL["left_handed"]()), volume.with_array(volume.array)]
    hashes = [radcnn.segment(v, "fake").provenance["input"]["sha256"] for v in inputs]
    assert len(set(hashes[:3])) == 3
    assert hashes[3] == hashes[0]


def test_the_hash_does_not_depend_on_the_layout_in_memory(monkeypatch):
    fake_models.register(monkeypatch)
    volume = world_field(axial())
    other = volume.with_array(np.asfortranarray(volume.array))
    hashes = {radcnn.segment(v, "fake").provenance["input"]["sha256"] for v in (volume, other)}
    assert len(hashes) == 1


def test_progress_ends_at_the_planned_number(monkeypatch):
    fake_models.register(monkeypatch)
    told = []
    radcnn.segment(world_field(axial()), "fake", progress=lambda *step: told.append(step))
    assert told[0] == (0, fake_models.STEPS, "starting")
    assert told[-1] == (fake_models.STEPS, fake_models.STEPS, f"step {fake_models.STEPS}")


def test_the_time_a_run_took_is_what_the_next_plan_says(monkeypatch):
    fake_models.register(monkeypatch)
    volume = world_field(axial())
    assert radcnn.plan(volume, "fake").seconds is None
    thread = threading.Thread(target=lambda: radcnn.segment(volume, "fake"))
    thread.start()
    thread.join()
    known = radcnn.plan(volume, "fake").seconds
    assert known is not None
    larger = world_field(type(volume.geometry)((6, 4, 5), volume.geometry.affine))
    assert radcnn.plan(larger, "fake").seconds == pytest.approx(2 * known, rel=0.01)
    assert radcnn.plan(volume, "fake", {"strength": 0.1}).seconds is None


def test_cancel_ends_the_run_at_the_next_patch(monkeypatch):
    _, pipeline = fake_models.register(monkeypatch)
    cancel = threading.Event()

    def progress(done, total, message):
        if done == 3:
            cancel.set()

    with pytest.raises(CancelledError) as caught:
        radcnn.segment(world_field(axial()), "fake", progress=progress, cancel=cancel)
    assert caught.value.exit_status == ExitStatus.CANCELLED == 130
    assert pipeline.steps_done == 4


def test_a_model_for_another_task_is_refused(monkeypatch):
    fake_models.register(monkeypatch)
    with pytest.raises(ModelError, match="'fake' is for segmentation, not for denoising"):
        radcnn.denoise(world_field(axial()), "fake")


def test_what_read_returns_may_be_passed_on_where_it_holds_one_volume(monkeypatch):
    fake_models.register(monkeypatch)
    volume = world_field(axial())
    assert np.array_equal(run([volume], "fake").array, run(volume, "fake").array)
    with pytest.raises(ModelError, match="takes 1 scan, got 2"):
        run([volume, volume], "fake")


@pytest.mark.parametrize("wrong", [np.zeros((3, 4, 5)), [np.zeros((3, 4, 5))], None])
def test_an_array_is_no_volume(wrong):
    with pytest.raises(RadcnnError, match="in the list that `read` returns"):
        run(wrong, "nlm-denoise")


def test_a_misspelled_keyword_is_not_swallowed(monkeypatch):
    fake_models.register(monkeypatch)
    with pytest.raises(OptionError, match="devise"):
        radcnn.segment(world_field(axial()), "fake", devise="cpu")


def test_out_of_memory_is_a_clear_error(monkeypatch):
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.error = MemoryError()
    with pytest.raises(ResourceError, match="not enough free memory") as caught:
        radcnn.segment(world_field(axial()), "fake")
    assert caught.value.exit_status == ExitStatus.RESOURCES == 5


def test_a_missing_recipe_is_a_clear_error(monkeypatch):
    import dataclasses

    spec = dataclasses.replace(get_model("nlm-denoise"), pipeline="nowhere")
    with pytest.raises(ModelError, match="nowhere"):
        run(world_field(axial()), spec)


@pytest.mark.parametrize("operation", [radcnn.segment, radcnn.detect, run])
def test_an_option_given_as_a_keyword_is_refused_and_says_where_it_goes(monkeypatch, operation):
    fake_models.register(monkeypatch)
    with pytest.raises(OptionError, match=r"no keyword 'value': expected device, .*options=\{'value': 300\}"):
        operation(world_field(axial()), "fake", value=300)


def test_streaming_swallows_no_keyword(monkeypatch, tmp_path):
    fake_models.register(monkeypatch)
    with pytest.raises(OptionError, match="no keyword 'devise'"):
        segment_to(world_field(axial()), "fake", tmp_path / "a.ome.zarr", devise="cpu")
    assert list(tmp_path.iterdir()) == []
