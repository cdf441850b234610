"""What every format keeps to, ours and those of installed packages: what it writes is read back, or it is refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import grids
from napari_radcnn.errors import CancelledError, RadcnnError, ReadError, WriteError
from napari_radcnn.files import atomic_path
from napari_radcnn.io import Kind, check_suffix, formats, kind_of, read, readable_suffixes, sniff, write
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

WRITTEN = {suffix: known for known in formats() for suffix in known.writes}
SCAN = world_field(grids.oblique())
#: Types that a program may hold voxels in.
TYPES = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64", "bool", "float16", "int64", ">i2")
#: What types that few formats have are written as.
WIDER = {"bool": np.uint8, "float16": np.float32}
every_suffix = pytest.mark.parametrize("suffix", WRITTEN)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def came_back(obj: Volume | LabelMap, path: Path) -> Volume | None:
    """Return what is read of what was written; None where it was refused in a line, and then nothing is left of it."""
    before = contents(path.parent)
    refusal = refused(lambda: write(obj, path), WriteError)
    if refusal:
        assert path.name in refusal
        assert "line break" not in refusal
        assert contents(path.parent) == before
        return None
    (volume,) = read(path)
    return volume


def refused(work: Callable[[], object], kind: type[RadcnnError]) -> str:
    """Return the one line in which work is refused; empty where it is done."""
    try:
        work()
    except kind as error:
        return str(error).replace("\n", " a line break ")
    return ""


def test_there_are_formats_to_look_at():
    assert len(WRITTEN) >= 7
    assert len({known.name for known in formats()}) == len(list(formats()))


@pytest.mark.parametrize("known", list(formats()), ids=lambda known: known.name)
def test_a_format_says_what_it_is(known):
    assert known.suffixes or known.claims(b"") is False
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in known.suffixes)
    assert set(known.writes) <= set(known.suffixes)
    assert bool(known.writes) == (known.writer is not None)
    assert known.claims(b"") is False
    assert known.claims(b"hello, this is a text" * 20) is False
    for suffix in known.writes:
        assert check_suffix(Volume, Path(f"a{suffix}")) == check_suffix(LabelMap, Path(f"a{suffix}")) == suffix
        assert check_suffix(Volume, Path(f"A{suffix.upper()}")) == suffix


@every_suffix
@pytest.mark.parametrize("grid", grids.ALL.values(), ids=grids.ALL)
def test_voxels_come_back_in_their_place(tmp_path, suffix, grid):
    field = world_field(grid())
    volume = came_back(field, tmp_path / f"scan.v2{suffix}")
    if volume is None:
        assert grid is grids.sheared  # the one grid that a format may be unable to hold
        return
    assert volume.geometry.is_close(field.geometry, 1e-3)
    np.testing.assert_array_equal(volume.array, field.array)
    assert volume.warnings == ()
    assert volume.name == "scan.v2"


@every_suffix
def test_a_shear_is_refused_with_what_to_do_or_kept(tmp_path, suffix):
    field, path = world_field(grids.sheared()), tmp_path / f"a{suffix}"
    refusal = refused(lambda: write(field, path), WriteError)
    if refusal:
        assert "sheared" in refusal
        assert ".nii.gz" in refusal
        assert "line break" not in refusal
    else:
        (volume,) = read(path)
        assert volume.geometry.is_sheared


@every_suffix
@pytest.mark.parametrize("dtype", TYPES)
def test_values_of_every_type_come_back_as_they_are(tmp_path, suffix, dtype):
    array = (np.arange(60).reshape(grids.SHAPE) % 2 * 3).astype(dtype)
    volume = came_back(Volume(array, grids.oblique()), tmp_path / f"a{suffix}")
    assert volume is not None
    np.testing.assert_array_equal(volume.array, array)
    assert volume.array.dtype.isnative
    if dtype not in ("int8", "int64"):  # research formats differ in these
        assert volume.array.dtype in (np.dtype(dtype).newbyteorder("="), WIDER.get(dtype))


@every_suffix
def test_values_that_are_no_numbers_come_back(tmp_path, suffix):
    array = world_field(grids.axial()).array.copy()
    array[0, 1, 2], array[2, 3, 4] = np.nan, np.inf
    volume = came_back(Volume(array, grids.axial()), tmp_path / f"a{suffix}")
    assert volume is not None
    np.testing.assert_array_equal(volume.array, array)


@every_suffix
@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 1, 5), (1, 1, 1)])
def test_flat_grids_come_back(tmp_path, suffix, shape):
    field = world_field(grids.oblique().with_shape(shape))
    volume = came_back(field, tmp_path / f"a{suffix}")
    assert volume is not None
    assert volume.geometry.is_close(field.geometry, 1e-3)
    np.testing.assert_array_equal(volume.array, field.array)


@every_suffix
def test_colors_come_back(tmp_path, suffix):
    array = np.random.default_rng(0).integers(0, 255, (*grids.SHAPE, 3)).astype(np.uint8)
    volume = came_back(Volume(array, grids.oblique()), tmp_path / f"a{suffix}")
    if volume is not None or WRITTEN[suffix].package is None:  # other packages may refuse them
        assert volume.is_color
        np.testing.assert_array_equal(volume.array, array)


@every_suffix
def test_labels_come_back_with_their_own_names_or_none(tmp_path, suffix):
    array = (np.arange(60).reshape(grids.SHAPE) % 4).astype(np.uint16)
    labels = LabelMap(array, grids.oblique(), {1: Label("brain", (1.0, 0.5, 0.0)), 3: Label("left, large")})
    volume = came_back(labels, tmp_path / f"a{suffix}")
    assert volume is not None
    np.testing.assert_array_equal(volume.array, array)
    assert np.issubdtype(volume.array.dtype, np.integer)
    assert volume.geometry.is_close(labels.geometry, 1e-3)
    named = {value: name for value, name in volume.metadata.label_names.items() if value in labels.labels}
    assert named in ({}, {1: "brain", 3: "left, large"})
    if named:
        assert volume.metadata.is_label


@every_suffix
def test_an_order_of_axes_is_no_business_of_the_file(tmp_path, suffix):
    """A view with negative steps is written as what it shows."""
    turned = SCAN.reoriented("LIP")
    volume = came_back(turned, tmp_path / f"a{suffix}")
    assert volume is not None
    assert volume.geometry.is_close(turned.geometry, 1e-3)
    np.testing.assert_array_equal(volume.array, turned.array)


@every_suffix
def test_what_was_written_is_recognized_and_says_its_format_and_file(tmp_path, suffix):
    path = write(SCAN, tmp_path / f"a{suffix}")
    assert sniff(path) == WRITTEN[suffix]
    assert kind_of(path) is Kind.IMAGES
    assert suffix in readable_suffixes()
    (volume,) = read(path)
    assert volume.metadata.source_format
    assert Path(volume.metadata.source) == path
    (same,) = read(tmp_path)  # as part of a folder
    np.testing.assert_array_equal(same.array, SCAN.array)


@every_suffix
def test_a_damaged_file_is_refused_in_a_line_that_names_it(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"")
    with pytest.raises(ReadError, match="the file is empty"):
        read(path)
    path.write_bytes(b"hello, this is a text" * 40)
    with pytest.raises(ReadError, match=f"a{suffix}") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    path.unlink()
    write(SCAN, path)
    if path.is_file():
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
        refusal = refused(lambda: read(path)[0].array, ReadError)
        assert "line break" not in refusal
        if not refusal:  # a header whose voxels lie in another file
            np.testing.assert_array_equal(read(path)[0].array, SCAN.array)


@every_suffix
def test_existing_files_are_kept(tmp_path, suffix):
    path = write(SCAN, tmp_path / f"a{suffix}")
    before = contents(tmp_path)
    other = Volume(SCAN.array + 1, SCAN.geometry)
    with pytest.raises(WriteError, match="--overwrite"):
        write(other, path)
    assert contents(tmp_path) == before
    write(other, path, overwrite=True)
    np.testing.assert_array_equal(read(path)[0].array, other.array)
    assert {name.name for name in tmp_path.iterdir()} <= {path.name, "a.zraw"}


@every_suffix
def test_a_missing_folder_and_a_folder_as_target_are_refused(tmp_path, suffix):
    with pytest.raises(WriteError, match="does not exist"):
        write(SCAN, tmp_path / "none" / f"a{suffix}")
    (tmp_path / f"a{suffix}").mkdir()
    with pytest.raises(WriteError, match="folder"):
        write(SCAN, tmp_path / f"a{suffix}", overwrite=True)
    assert list((tmp_path / f"a{suffix}").iterdir()) == []


@every_suffix
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, suffix, overwrite):
    path = tmp_path / f"a{suffix}"
    if overwrite:
        write(Volume(SCAN.array + 1, SCAN.geometry), path)
    before = contents(tmp_path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="disk is full"):
        write(SCAN, path, overwrite=overwrite)
    assert contents(tmp_path) == before


@every_suffix
def test_what_was_read_is_not_written_over(tmp_path, suffix):
    path = write(SCAN, tmp_path / f"a{suffix}")
    (volume,) = read(path)
    before = contents(tmp_path)
    with pytest.raises(WriteError, match="input"):
        write(volume, path, overwrite=True)
    assert contents(tmp_path) == before


@every_suffix
def test_reading_can_be_cancelled_or_gives_all(tmp_path, suffix):
    path = write(SCAN, tmp_path / f"a{suffix}")

    class Cancelled:
        def is_set(self):
            return True

    try:
        (volume,) = read(path, cancel=Cancelled())
    except CancelledError:
        return
    np.testing.assert_array_equal(volume.array, SCAN.array)


@every_suffix
def test_metadata_of_the_scan_do_not_hinder_writing(tmp_path, suffix):
    metadata = VolumeMetadata("ä · b\n", "MR", "HU", "d" * 3000, padding_value=-1.0, provenance={"a": [1]})
    volume = came_back(Volume(SCAN.array, SCAN.geometry, metadata), tmp_path / f"a{suffix}")
    assert volume is not None
    np.testing.assert_array_equal(volume.array, SCAN.array)
    assert volume.name == "a"


def test_temporary_files_are_no_images(tmp_path):
    """A folder that is read while something is written into it shows what is whole."""
    write(SCAN, tmp_path / "whole.nii.gz")
    with atomic_path(tmp_path / "half.nii.gz") as temporary:
        temporary.write_bytes(b"half")
        assert [volume.name for volume in read(tmp_path)] == ["whole"]
        temporary.write_bytes((tmp_path / "whole.nii.gz").read_bytes())
