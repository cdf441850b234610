"""A label image that grows block by block: the same store as one written at once, resumed after a kill, never half."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

import grids
from napari_radcnn.errors import WriteError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read, write
from napari_radcnn.io.omezarr import growing
from napari_radcnn.io.omezarr.growing import GrowingLabels
from napari_radcnn.results import Label, LabelMap

LABELS = {1: Label("liver", (0.8, 0.2, 0.1)), 7: Label("spleen")}
#: Larger than two chunks along an axis, so that there are coarser levels and chunks that hold no label.
SHAPE = (150, 40, 270)


@pytest.fixture
def labels():
    array = np.zeros(SHAPE, np.uint8)
    array[3:140, 5:33, 130:269] = 1
    array[100:150, 0:7, 201:270] = 7
    return LabelMap(array, grids.oblique().with_shape(SHAPE), LABELS)


def boxes(step):
    for k in range(0, SHAPE[0], step):
        for i in range(0, SHAPE[2], 101):
            yield slice(k, min(k + step, SHAPE[0])), slice(0, SHAPE[1]), slice(i, min(i + 101, SHAPE[2]))


def fill(grown, labels, first=0):
    for box in boxes(37):
        if box[0].start >= first:
            grown.write(box, labels.array[box])
            grown.mark(box[0].stop)


def test_it_is_the_store_that_is_written_at_once(tmp_path, labels):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    fill(grown, labels)
    counts = grown.finish()
    write(labels, tmp_path / "b.ome.zarr")
    first, second = (zarr.open_group(tmp_path / name, mode="r") for name in ("a.ome.zarr", "b.ome.zarr"))
    assert {**first.attrs["ome"]["multiscales"][0], "name": labels.name} == second.attrs["ome"]["multiscales"][0]
    assert first.attrs["ome"]["image-label"] == second.attrs["ome"]["image-label"]
    assert first.attrs["radcnn"] == second.attrs["radcnn"]
    names = sorted(second.array_keys())
    assert len(names) > 1
    assert sorted(first.array_keys()) == names
    for name in names:
        assert np.array_equal(first[name][...], second[name][...])
    values, numbers = np.unique(labels.array, return_counts=True)
    assert counts == dict(zip(values.tolist(), numbers.tolist(), strict=True))


def test_what_nothing_was_written_to_is_background_and_not_lost(tmp_path, labels):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    box = (slice(130, 149), slice(1, 3), slice(260, 270))
    grown.write(box, np.full((19, 2, 10), 7))
    assert grown.finish() == {0: 150 * 40 * 270 - 380, 7: 380}
    (volume,) = read(tmp_path / "a.ome.zarr")
    assert volume.metadata.label_names == {1: "liver", 7: "spleen"}
    assert volume.array[box].min() == 7
    assert np.count_nonzero(volume.array) == 380
    assert volume.geometry.is_close(labels.geometry)


def test_nothing_has_the_name_before_the_end(tmp_path, labels):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    fill(grown, labels)
    assert not (tmp_path / "a.ome.zarr").exists()
    grown.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_goes_on_where_it_was(tmp_path, labels):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    for box in boxes(37):
        if box[0].stop <= 74:
            grown.write(box, labels.array[box])
    grown.mark(74)
    del grown  # as a kill leaves it
    again = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    assert again.mark_reached == 74
    fill(again, labels, first=74)
    again.finish()
    assert np.array_equal(read(tmp_path / "a.ome.zarr")[0].array, labels.array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.zarr"]


@pytest.mark.parametrize("change", ["fingerprint", "shape", "progress", "store"])
def test_another_run_or_a_damaged_rest_starts_anew(tmp_path, labels, change):
    target = tmp_path / "a.ome.zarr"
    grown = GrowingLabels(target, labels.geometry, labels.labels, fingerprint="f")
    grown.write((slice(0, 9), slice(0, 9), slice(0, 9)), np.full((9, 9, 9), 7))
    grown.mark(37)
    geometry = labels.geometry
    if change == "shape":
        geometry = Geometry((SHAPE[0] + 1, *SHAPE[1:]), geometry.affine)
    elif change == "progress":
        (grown.folder / "radcnn-progress.json").write_text("{")
    elif change == "store":
        shutil.rmtree(grown.folder / "0")
    again = GrowingLabels(target, geometry, labels.labels, fingerprint="g" if change == "fingerprint" else "f")
    assert again.mark_reached == 0
    assert again.finish() == {0: int(np.prod(geometry.shape))}


def test_a_target_in_the_way_is_refused_before_the_run(tmp_path, labels):
    target = tmp_path / "a.ome.zarr"
    write(labels, target)
    with pytest.raises(WriteError, match="already exists"):
        GrowingLabels(target, labels.geometry, labels.labels, fingerprint="f")
    grown = GrowingLabels(target, labels.geometry, labels.labels, fingerprint="f", overwrite=True)
    assert np.array_equal(read(target)[0].array, labels.array)  # the old one is there until the new one is whole
    grown.finish()
    assert not read(target)[0].array.any()
    with pytest.raises(WriteError, match="does not exist"):
        GrowingLabels(tmp_path / "no" / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")


def test_labels_above_255_take_two_bytes(tmp_path, labels):
    many = {**LABELS, 300: Label("rib")}
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, many, fingerprint="f")
    grown.write((slice(0, 2), slice(0, 2), slice(0, 2)), np.full((2, 2, 2), 300))
    assert grown.finish()[300] == 8
    assert read(tmp_path / "a.ome.zarr")[0].array.dtype == np.uint16
    with pytest.raises(WriteError, match="16 bits"):
        GrowingLabels(tmp_path / "b.ome.zarr", labels.geometry, {70000: Label("x")}, fingerprint="f")


def test_a_store_that_reads_back_wrong_is_removed(tmp_path, labels, monkeypatch):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    fill(grown, labels)
    honest = growing.read_omezarr

    def mirrored(*arguments):
        (volume,) = honest(*arguments)
        return [type(volume)(np.where(volume.array == 7, 1, volume.array), volume.geometry, volume.metadata)]

    monkeypatch.setattr(growing, "read_omezarr", mirrored)
    with pytest.raises(WriteError, match="read back differs"):
        grown.finish()
    assert list(tmp_path.iterdir()) == []


def test_progress_is_a_small_json_beside_the_chunks(tmp_path, labels):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    grown.mark(12)
    assert json.loads((grown.folder / "radcnn-progress.json").read_text())["reached"] == 12
    grown.finish()
    assert not list((tmp_path / "a.ome.zarr").glob("radcnn*"))
