"""Several paths as one, and what series one slice belongs to."""

import numpy as np
import pytest

from dicom_factory import write_dicom_series
from films import read_film, waves
from napari_radcnn import io
from napari_radcnn.errors import ReadError
from napari_radcnn.io.several import find_scans_of, read_together, series_beside, slice_of
from napari_radcnn.phantom import oblique_geometry, world_field


def scan(k=0):
    field = world_field(oblique_geometry((6, 5, 4)))
    return field.with_array(np.rint(field.array * 10).astype(np.int16) + k)


def test_slices_from_two_folders_are_one_series(tmp_path):
    files = write_dicom_series(tmp_path / "a", scan())
    moved = tmp_path / "b"
    moved.mkdir()
    for path in files[::2]:
        path.rename(moved / path.name)
    (volume,) = read_together([tmp_path / "a", moved])
    assert np.array_equal(volume.array, scan().array)
    assert volume.geometry.is_close(scan().geometry, tolerance=1e-3)


def test_a_file_named_twice_counts_once(tmp_path):
    files = write_dicom_series(tmp_path / "a", scan())
    (volume,) = read_together([tmp_path / "a", *files, files[0]])
    assert volume.shape == (6, 5, 4)


def test_series_without_a_uid_stay_apart(tmp_path):
    for name, k in (("a", 0), ("b", 9)):
        write_dicom_series(tmp_path / name, scan(k), SeriesInstanceUID=None)
    found = find_scans_of([tmp_path / "a", tmp_path / "b"])
    assert len(found.series) == 2


def test_patients_are_counted_over_all_paths(tmp_path):
    for n in (1, 2):
        write_dicom_series(tmp_path / f"p{n}", scan(), PatientID=f"ID{n}", PatientName=f"A^B{n}")
    found = find_scans_of([tmp_path / "p1", tmp_path / "p2"])
    assert sorted(info.patient for info in found.series) == [1, 2]


def test_images_of_other_formats_come_with_them(tmp_path):
    files = write_dicom_series(tmp_path / "a", scan())
    io.write(world_field(oblique_geometry()), tmp_path / "x.nii.gz")
    dicom, other = read_together([*files, tmp_path / "x.nii.gz"])
    assert dicom.metadata.source_format == "DICOM"
    assert other.metadata.source_format == "NIfTI"


def test_what_is_left_out_is_said(tmp_path):
    files = write_dicom_series(tmp_path / "a", scan())
    (tmp_path / "bad.dcm").write_bytes(bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0")
    (volume,) = read_together([*files, tmp_path / "bad.dcm"])
    assert any("bad.dcm" in warning for warning in volume.warnings)
    with pytest.raises(ReadError, match=r"missing\.nii"):
        read_together([*files, tmp_path / "missing.nii"])


def test_a_slice_knows_the_series_beside_it(tmp_path):
    files = write_dicom_series(tmp_path / "a", scan())
    write_dicom_series(tmp_path / "a", scan(9), prefix="other")
    found = series_beside(files[3])
    assert found is not None
    assert sorted(found.series.files) == sorted(files)
    assert found.series.shape == (6, 5, 4)
    assert slice_of(files[3]) == found.series.series_uid


def test_what_is_no_slice_has_none(tmp_path):
    read_film(tmp_path / "film", waves())
    files = write_dicom_series(tmp_path / "a", scan())
    for other in files[1:]:
        other.unlink()
    io.write(world_field(oblique_geometry()), tmp_path / "x.nii.gz")
    (film,) = (tmp_path / "film").iterdir()
    for path in (film, tmp_path / "x.nii.gz", tmp_path / "a", tmp_path / "missing.dcm"):
        assert slice_of(path) is None
        assert series_beside(path) is None
    assert slice_of(files[0])
    assert series_beside(files[0]) is None  # no other slice is there
