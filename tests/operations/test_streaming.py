"""Labels streamed to disk: the same voxels and manifest as in memory, resumed after a kill, nothing left otherwise."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import fake_models
import napari_radcnn as radcnn
from grids import axial, oblique
from napari_radcnn.errors import CancelledError, ModelError, WriteError
from napari_radcnn.inference.request import Outcome
from napari_radcnn.io.omezarr import progress
from napari_radcnn.operations import run, segment_to
from napari_radcnn.phantom import world_field
from napari_radcnn.volume import Volume
from sources import CountingSource


def bright(array):
    return (np.rint(array).astype(int) % 7 > 3).astype(np.uint8)


@pytest.fixture
def streaming(monkeypatch):
    """Register a model that labels slice by slice; return its recipe."""
    monkeypatch.setattr(progress, "_LONG_SECONDS", 1e9)  # every mark is followed, however slow the disk is
    _, pipeline = fake_models.register(monkeypatch)
    pipeline.STREAMS = True
    pipeline.first_slices, pipeline.dies_at = [], None

    def slices(request, monitor):
        volume, sink = request.volume, request.sink
        array = None if sink else np.zeros(volume.shape, np.uint8)
        first = sink.mark_reached if sink else 0
        pipeline.first_slices.append(first)
        for k in range(first, volume.shape[0]):
            monitor.step(f"slice {k}")
            if k == pipeline.dies_at:
                raise KeyboardInterrupt
            box = (slice(k, k + 1), slice(None), slice(None))
            found = bright(volume.read_block(box))
            if sink:
                sink.write(box, found)
                sink.mark(k + 1)
            else:
                array[box] = found
        return Outcome("cpu", "float32", array=array, warnings=("not for diagnosis",))

    monkeypatch.setattr(pipeline, "run", slices)
    return pipeline


@pytest.mark.parametrize("grid", [axial, oblique])
def test_streamed_labels_are_those_of_a_run_in_memory(streaming, tmp_path, grid):
    volume = world_field(grid())
    whole = run(volume, "fake")
    written = segment_to(volume, "fake", tmp_path / "a.ome.zarr")
    assert 0 < np.count_nonzero(whole.array) < whole.array.size
    assert np.array_equal(written.array, whole.array)
    assert written.geometry.is_close(whole.geometry)
    assert written.name == whole.name
    assert written.warnings == whole.warnings
    manifest = json.loads((tmp_path / "a.ome.zarr.radcnn.json").read_text())
    assert manifest["volumes_ml"] == whole.provenance["volumes_ml"]
    assert manifest["input"] == whole.provenance["input"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ome.zarr", "a.ome.zarr.radcnn.json"]


def test_every_block_is_told_when_it_is_written(streaming, tmp_path):
    volume = world_field(oblique())
    seen = np.full(volume.shape, 9, np.uint8)

    def keep(box, labels):
        seen[box] = labels

    written = segment_to(volume, "fake", tmp_path / "a.ome.zarr", each_block=keep)
    assert np.array_equal(seen, written.array)


def test_a_scan_on_disk_is_not_loaded(streaming, tmp_path):
    field = world_field(oblique())
    scan = Volume.lazy(CountingSource(field.array), field.geometry, field.metadata)
    written = segment_to(scan, "fake", tmp_path / "a.ome.zarr")
    assert not scan.is_loaded
    assert np.array_equal(written.array, bright(field.array))


@pytest.mark.parametrize("lies_on_disk", [False, True])
def test_gaps_are_background_in_streamed_labels_too(streaming, tmp_path, lies_on_disk):
    field = world_field(oblique())
    values = np.array(field.array, np.float32)
    gaps = np.zeros(values.shape, bool)
    gaps[1, ::3] = gaps[-1, :, 2] = True
    assert bright(values)[gaps].any()
    values[gaps] = np.nan
    scan = field.with_array(values)
    if lies_on_disk:
        scan = Volume.lazy(CountingSource(values), field.geometry, field.metadata)
    written = segment_to(scan, "fake", tmp_path / "a.ome.zarr")
    assert scan.is_loaded != lies_on_disk
    assert np.array_equal(written.array, np.where(gaps, 0, bright(field.array)))
    assert any(f"{gaps.sum()} voxels" in text for text in written.warnings)


def test_a_killed_run_goes_on_where_it_was(streaming, tmp_path):
    volume = world_field(axial())
    streaming.dies_at = 2
    with pytest.raises(KeyboardInterrupt):
        segment_to(volume, "fake", tmp_path / "a.ome.zarr")
    assert not (tmp_path / "a.ome.zarr").exists()
    streaming.dies_at = None
    written = segment_to(volume, "fake", tmp_path / "a.ome.zarr")
    assert streaming.first_slices == [0, 2]
    assert np.array_equal(written.array, run(volume, "fake").array)


def test_another_scan_or_option_does_not_go_on_with_it(streaming, tmp_path):
    volume = world_field(axial())
    streaming.dies_at = 2
    for other in (volume, volume.with_array(volume.array + 1), world_field(oblique())):
        with pytest.raises(KeyboardInterrupt):
            segment_to(other, "fake", tmp_path / "a.ome.zarr")
    assert streaming.first_slices == [0, 0, 0]


def test_labels_are_streamed_into_the_store_of_their_scan(streaming, tmp_path):
    store = radcnn.write(world_field(oblique()), tmp_path / "scan.ome.zarr")
    (store / "note.txt").write_text("mine")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    (scan,) = radcnn.read(store)
    target = store / "labels" / "bright"
    streaming.dies_at = 2
    with pytest.raises(KeyboardInterrupt):
        segment_to(scan, "fake", target)
    assert not (store / "labels").exists()
    streaming.dies_at = None
    written = segment_to(scan, "fake", target)
    assert streaming.first_slices == [0, 2]
    assert {path: path.read_bytes() for path in before} == before
    new = {path.relative_to(store).parts[0] for path in store.rglob("*") if path.is_file() and path not in before}
    assert new == {"labels"}
    _, found = radcnn.read(store)
    assert np.array_equal(found.array, bright(scan.array))
    assert np.array_equal(written.array, found.array)
    assert found.metadata.label_names == {1: "bright"}
    node = json.loads((target / "zarr.json").read_text())
    assert node["attributes"]["ome"]["image-label"]["source"] == {"image": "../../"}
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["scan.ome.zarr", "scan.ome.zarr.bright.radcnn.json"]
    with pytest.raises(WriteError, match="already exists"):
        segment_to(scan, "fake", target)
    segment_to(scan, "fake", target, overwrite=True)
    with pytest.raises(WriteError, match="the grid of the labels differs"):
        segment_to(world_field(axial()), "fake", store / "labels" / "other")


def test_what_was_lost_is_told_with_the_result(streaming, tmp_path):
    volume = world_field(axial())
    streaming.dies_at = 2
    with pytest.raises(KeyboardInterrupt):
        segment_to(volume, "fake", tmp_path / "a.ome.zarr")
    streaming.dies_at = None
    for chunk in (tmp_path / ".radcnn-partial-a.ome.zarr" / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    written = segment_to(volume, "fake", tmp_path / "a.ome.zarr")
    assert streaming.first_slices == [0, 0]
    assert any("missing or damaged" in text for text in written.warnings)
    assert np.array_equal(written.array, run(volume, "fake").array)


def test_a_cancelled_run_leaves_nothing(streaming, tmp_path):
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        segment_to(
            world_field(axial()),
            "fake",
            tmp_path / "a.ome.zarr",
            cancel=cancel,
            progress=lambda done, total, message: cancel.set() if done == 2 else None,
        )
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_streamed_is_refused_before_the_run(streaming, monkeypatch, tmp_path):
    volume = world_field(axial())
    with pytest.raises(WriteError, match=r"only be streamed to OME-Zarr"):
        segment_to(volume, "fake", tmp_path / "a.nii.gz")
    radcnn.write(run(volume, "fake"), tmp_path / "a.ome.zarr")
    with pytest.raises(WriteError, match="already exists"):
        segment_to(volume, "fake", tmp_path / "a.ome.zarr")
    streaming.STREAMS = False
    with pytest.raises(ModelError, match="whole scan in memory"):
        segment_to(volume, "fake", tmp_path / "b.ome.zarr")
    assert streaming.first_slices == [0]
