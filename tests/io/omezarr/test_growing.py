"""A label image that grows block by block: the same store as one written at once, resumed after a kill, never half."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

import grids
from napari_radcnn.errors import WriteError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read, write
from napari_radcnn.io.omezarr import growing, progress
from napari_radcnn.io.omezarr.growing import GrowingLabels
from napari_radcnn.results import Label, LabelMap

LABELS = {1: Label("liver", (0.8, 0.2, 0.1)), 7: Label("spleen")}
#: Larger than two chunks along an axis, so that there are coarser levels and chunks that hold no label.
SHAPE = (150, 40, 270)


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch):
    monkeypatch.setattr(progress, "_LONG_SECONDS", 1e9)


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
    grown.close()
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
    assert len(again.notes) == (change != "store")
    assert all("computed from the start" in note for note in again.notes)


def left(tmp_path, labels, reached=150):
    """Leave the part of a run that was killed; return its folder."""
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    write_to(grown, labels, 0, reached)
    return grown.folder


def write_to(grown, labels, first, reached):
    for box in boxes(30):
        if first <= box[0].start < reached:
            grown.write(box, labels.array[box])
            if box[2].stop == SHAPE[2]:
                grown.mark(box[0].stop)


def gone_on(tmp_path, labels):
    """Go on with it, as far as it says that it must; return where it began and what it told."""
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    begun = grown.mark_reached
    write_to(grown, labels, begun, 150)
    grown.finish()
    assert np.array_equal(read(tmp_path / "a.ome.zarr")[0].array, labels.array)
    return begun, grown.notes


def missing(file):
    file.unlink()


def truncated(file):
    file.write_bytes(file.read_bytes()[:-9])


def one_bit(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def of_another_run(file):
    """Sound for its own checksum, but other labels: what two runs in one folder left."""
    level = zarr.open_array(store=zarr.storage.LocalStore(file.parents[4]), path="0", mode="r+")
    box = tuple(slice(int(n) * c, (int(n) + 1) * c) for n, c in zip(file.parts[-3:], level.chunks, strict=True))
    level[box] = 8 - level[box]


@pytest.mark.parametrize("damage", [missing, truncated, one_bit, of_another_run])
@pytest.mark.parametrize(("chunk", "at_most"), [("0/0/1", 0), ("1/0/2", 120)])
def test_what_is_missing_or_damaged_is_computed_again(tmp_path, labels, damage, chunk, at_most):
    """Chunks are 128 voxels long, so that the second one along k holds planes from 128 on."""
    folder = left(tmp_path, labels)
    damage(folder / "0" / "c" / chunk)
    begun, notes = gone_on(tmp_path, labels)
    assert begun == at_most
    assert len(notes) == 1
    assert "missing or damaged" in notes[0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_what_was_written_after_the_last_mark_does_not_count(tmp_path, labels):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    write_to(grown, labels, 0, 60)
    grown.write((slice(60, 150), slice(0, 40), slice(0, 270)), np.full((90, 40, 270), 7))
    folder = grown.folder
    del grown
    truncated(folder / "0" / "c" / "1" / "0" / "0")  # the power ended before it was on the disk
    assert gone_on(tmp_path, labels) == (60, ())


def test_coarser_levels_of_a_run_that_was_killed_near_its_end_are_made_anew(tmp_path, labels):
    folder = left(tmp_path, labels)
    (folder / "1" / "c" / "0" / "0").mkdir(parents=True)
    (folder / "1" / "c" / "0" / "0" / "0").write_bytes(b"half")
    assert gone_on(tmp_path, labels) == (150, ())


def test_a_part_without_checksums_is_not_gone_on_with(tmp_path, labels):
    folder = left(tmp_path, labels)
    state = json.loads((folder / "radcnn-progress.json").read_text())
    del state["marks"]
    (folder / "radcnn-progress.json").write_text(json.dumps(state))
    assert gone_on(tmp_path, labels)[0] == 0


def test_chunks_are_on_the_disk_before_the_progress_that_names_them(tmp_path, labels, monkeypatch):
    happened = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        happened.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def replaced(self, target):
        happened.append(("name", str(target)))
        return replace(self, target)

    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    box = (slice(120, 150), slice(0, 40), slice(130, 230))
    grown.write(box, labels.array[box])
    grown.mark(150)
    named = happened.index(("name", str(grown.folder / "radcnn-progress.json")))
    for chunk in ("0/0/1", "1/0/1"):
        path = grown.folder / "0" / "c" / chunk
        written = happened.index(("name", str(path)))
        assert written < happened.index(("sync", str(path))) < named
        for folder in [parent for parent in path.parents if parent.is_relative_to(grown.folder)]:
            assert written < happened.index(("sync", str(folder))) < named
    assert ("sync", str(grown.folder)) in happened[named:]


def test_one_run_at_a_time_grows_a_store(tmp_path, labels):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    with pytest.raises(WriteError, match="this program is writing this file now"):
        GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    with pytest.raises(WriteError, match="this program is writing this file now"):
        write(labels, tmp_path / "a.ome.zarr")
    other = GrowingLabels(tmp_path / "b.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    fill(grown, labels)
    grown.finish()
    other.discard()
    assert np.array_equal(read(tmp_path / "a.ome.zarr")[0].array, labels.array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_a_slow_disk_is_not_waited_for_at_every_mark(tmp_path, labels, monkeypatch):
    grown = GrowingLabels(tmp_path / "a.ome.zarr", labels.geometry, labels.labels, fingerprint="f")
    clock = [0.0]
    monkeypatch.setattr(progress, "_LONG_SECONDS", 0.05)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    honest = progress.replace_text

    def slow(path, text):
        clock[0] += 0.5
        honest(path, text)

    monkeypatch.setattr(progress, "replace_text", slow)
    noted = []
    for reached in range(1, 101):
        clock[0] += 0.1
        grown.mark(reached)
        noted.append(json.loads((grown.folder / "radcnn-progress.json").read_text())["reached"])
    assert sorted(set(noted)) == [1, 52]  # the next one 5 s later, ten times what it took


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
