"""FreeSurfer's MGH and MGZ against nibabel and SimpleITK-independent arithmetic."""

import gzip
import struct

import nibabel
import numpy as np
import pytest

import grids
from napari_radcnn.errors import ReadError
from napari_radcnn.interop import flipped_world
from napari_radcnn.io import find_scans, read, sniff
from napari_radcnn.phantom import FIELD_COEFFICIENTS, world_field

FIELD = world_field(grids.oblique())


def written(path, volume=FIELD, dtype=np.float32):
    data = np.asarray(volume.array, dtype).transpose(2, 1, 0)
    nibabel.MGHImage(data, flipped_world(volume.geometry.affine)).to_filename(path)
    return path


@pytest.mark.parametrize("name", ["T1.mgz", "T1.mgh"])
def test_voxels_lie_where_they_were(tmp_path, name):
    path = written(tmp_path / name)
    assert sniff(path).name == "MGH"
    (volume,) = read(path)
    assert volume.geometry.is_close(FIELD.geometry, tolerance=1e-3)
    world = volume.geometry.to_world((1, 2, 3))
    assert volume.array[1, 2, 3] == pytest.approx(np.dot(world, FIELD_COEFFICIENTS), abs=1e-2)
    assert volume.array.dtype == np.float32
    assert volume.array.dtype.isnative
    assert (volume.name, volume.metadata.source_format, volume.warnings) == ("T1", "MGH", ())


def test_frames_are_volumes(tmp_path):
    data = np.arange(2 * 60, dtype=np.int32).reshape(2, 3, 4, 5).transpose(3, 2, 1, 0)
    nibabel.MGHImage(data, np.diag([0.7, 0.8, 2.5, 1.0])).to_filename(tmp_path / "a.mgz")
    first, second = read(tmp_path / "a.mgz")
    assert (first.name, second.name) == ("a · 1", "a · 2")
    assert np.array_equal(second.array, np.arange(60, 120).reshape(3, 4, 5))
    assert second.geometry.spacing == pytest.approx((2.5, 0.8, 0.7))


def test_a_file_without_a_place_says_so(tmp_path):
    path = written(tmp_path / "a.mgh", dtype=np.int16)
    raw = bytearray(path.read_bytes())
    raw[28:30] = struct.pack(">h", 0)
    path.write_bytes(raw)
    (volume,) = read(path)
    assert "does not state its place" in volume.warnings[0]


@pytest.mark.parametrize("keep", [10, 40, 300])
def test_a_damaged_file_is_refused_by_name(tmp_path, keep):
    path = written(tmp_path / "a.mgh")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ReadError, match=r"a\.mgh"):
        read(path)
    squeezed = tmp_path / "b.mgz"
    squeezed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ReadError, match=r"b\.mgz"):
        read(squeezed)


def test_a_header_that_asks_for_too_much_is_refused(tmp_path):
    path = written(tmp_path / "a.mgh")
    raw = bytearray(path.read_bytes())
    raw[4:16] = struct.pack(">3i", 60000, 60000, 6000)
    path.write_bytes(raw)
    with pytest.raises(ReadError, match=r"a\.mgh: .*asks for"):
        read(path)


def test_other_files_with_the_same_first_bytes_are_not_taken(tmp_path):
    (tmp_path / "video").write_bytes(b"\0\0\0\1" + bytes(range(200)))
    assert sniff(tmp_path / "video") is None


def test_a_folder_of_them_is_listed(tmp_path):
    written(tmp_path / "T1.mgz")
    written(tmp_path / "aseg.mgz", dtype=np.int32)
    assert [path.name for path in find_scans(tmp_path).images] == ["T1.mgz", "aseg.mgz"]
