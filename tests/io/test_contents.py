"""What a path holds: what is listed of a folder is what is read of it, and every kind of file is told apart."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.fileset import FileSet

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from mixed_folders import FIELD, FINDINGS, every_kind, field, junk, labels_on, mixed, pair, zipped
from napari_radcnn.errors import ReadError
from napari_radcnn.io import Kind, find_scans, kind_of, list_series, read_series
from napari_radcnn.volume import Volume


def one_by_one(path: Path) -> list[Volume]:
    """Read what is found at a path, one series and one image at a time."""
    found = find_scans(path)
    series = [volume for info in found.series if info.n_volumes for volume in read_series(info)]
    images: list[Volume] = []
    for image in found.images:
        with suppress(ReadError):  # told by the whole folder, see `test_a_mixed_folder_is_read_as_it_is_listed`
            images += radcnn.read(image)
    return series + images


def described(volumes: list[Volume]) -> list[tuple[object, ...]]:
    return sorted(
        (
            volume.name,
            volume.metadata.source_format,
            volume.geometry.affine.round(4).tobytes(),
            np.asarray(volume.array).tobytes(),
            volume.metadata.is_label,
        )
        for volume in volumes
    )


def assert_same(path: Path, n: int) -> None:
    whole = radcnn.read(path)
    assert len(whole) == n
    assert described(one_by_one(path)) == described(whole)


# -- scans ------------------------------------------------------------------------------------------------------------


def test_a_mixed_folder_is_read_as_it_is_listed(tmp_path: Path) -> None:
    folder = mixed(tmp_path)
    found = find_scans(folder)
    assert [path.name for path in found.images] == [
        "LOUD.HDR",
        "a store of another name",
        "broken.nrrd",
        "field.nii.gz",
        "meta.mhd",
        "pair.hdr",
        "squeezed.hdr.gz",
        "store.ome.zarr",
    ]
    assert sorted(info.modality for info in found.series) == ["CT", "MR", "SEG"]
    assert [problem.file for problem in found.dicom.problems] == ["broken.dcm"]
    assert_same(folder, 10)
    left_out = [text for text in radcnn.read(folder)[0].warnings if text.startswith("Left out: ")]
    assert [text.split(":")[1].strip() for text in left_out] == ["broken.nrrd", "broken.dcm"]


def test_the_two_halves_of_a_pair_are_one_image(tmp_path: Path) -> None:
    pair(tmp_path, 1)
    pair(tmp_path, 2, "squeezed.hdr.gz", "squeezed.img.gz")
    assert [path.name for path in find_scans(tmp_path).images] == ["pair.hdr", "squeezed.hdr.gz"]
    assert_same(tmp_path, 2)
    for half in ("pair.img", "squeezed.img.gz"):  # each half opens the whole, where it is asked for by name
        assert find_scans(tmp_path / half).images == (tmp_path / half,)
        assert_same(tmp_path / half, 1)
    (tmp_path / "pair.hdr").unlink()
    (tmp_path / "squeezed.img.gz").unlink()
    assert [path.name for path in find_scans(tmp_path).images] == ["pair.img", "squeezed.hdr.gz"]
    with pytest.raises(ReadError, match=r"pair\.hdr is missing.*squeezed\.img\.gz is missing"):
        radcnn.read(tmp_path)


def test_a_store_and_a_folder_of_stores(tmp_path: Path) -> None:
    store = radcnn.write(field(1), tmp_path / "a.ome.zarr")
    radcnn.write(field(2), tmp_path / "b.zarr")
    assert find_scans(store).images == (store,)
    assert_same(store, 1)
    assert [path.name for path in find_scans(tmp_path).images] == ["a.ome.zarr", "b.zarr"]
    assert_same(tmp_path, 2)
    assert list_series(tmp_path) == []


def test_files_in_a_store_are_no_slices_of_the_folder(tmp_path: Path) -> None:
    store = radcnn.write(field(1), tmp_path / "a.ome.zarr").rename(tmp_path / "a store")
    write_dicom_series(store / "hidden in it", FIELD)
    assert find_scans(tmp_path).images == (store,)
    assert find_scans(tmp_path).series == list_series(tmp_path) == []
    assert_same(tmp_path, 1)


def test_an_archive_is_opened_by_its_name_and_left_alone_in_a_folder(tmp_path: Path) -> None:
    files = write_dicom_series(tmp_path / "s", FIELD)
    path = zipped(tmp_path / "export.zip", [*files, radcnn.write(field(1), tmp_path / "a.nii")])
    assert find_scans(path).images == (path,)
    assert_same(path, 2)
    assert [image.name for image in find_scans(tmp_path).images] == ["a.nii"]
    assert_same(tmp_path, 2)


def test_images_one_folder_down_only_where_there_is_nothing_above(tmp_path: Path) -> None:
    for name in ("t1", "t2"):
        (tmp_path / name).mkdir()
    radcnn.write(field(1), tmp_path / "t1" / "a.nii.gz")
    radcnn.write(field(2), tmp_path / "t2" / "b.ome.zarr")
    pair(tmp_path / "t2", 3, "c.hdr.gz", "c.img.gz")
    assert [path.name for path in find_scans(tmp_path).images] == ["a.nii.gz", "b.ome.zarr", "c.hdr.gz"]
    assert_same(tmp_path, 3)
    radcnn.write(field(4), tmp_path / "top.nrrd")
    assert [path.name for path in find_scans(tmp_path).images] == ["top.nrrd"]
    assert_same(tmp_path, 1)


def test_a_disc_lists_what_its_table_names(tmp_path: Path) -> None:
    files = FileSet()
    for path in write_dicom_series(tmp_path / "s", FIELD, PatientName="A", StudyID="1"):
        files.add(path)
    files.write(tmp_path / "disc")
    write_dicom_series(tmp_path / "disc" / "more", field(1))
    (info,) = find_scans(tmp_path / "disc" / "DICOMDIR").series
    assert info.shape == FIELD.geometry.shape
    assert_same(tmp_path / "disc" / "DICOMDIR", 1)
    assert_same(tmp_path / "disc", 2)


def test_labels_of_a_series_in_another_folder_lie_on_its_grid(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "ct", FIELD, series_number=3)
    (tmp_path / "labels").mkdir()
    labels_on(tmp_path / "ct", tmp_path / "labels" / "x.seg.dcm")
    picture, labels = list_series(tmp_path)
    assert (labels.modality, set(labels.beside)) == ("SEG", set(picture.files))
    (volume,) = read_series(labels)
    assert volume.geometry.is_close(FIELD.geometry, 1e-3)
    assert volume.warnings == ()
    (alone,) = read_series(replace(labels, beside=()))
    assert alone.geometry.shape == (1, *FIELD.geometry.shape[1:])  # all slices that the file itself holds
    assert "is not in the folder" in alone.warnings[0]


def test_a_series_in_two_folders_has_the_folder_above_as_its_source(tmp_path: Path) -> None:
    for n, path in enumerate(write_dicom_series(tmp_path / "s", FIELD)):
        (tmp_path / f"part{n % 2}").mkdir(exist_ok=True)
        path.rename(tmp_path / f"part{n % 2}" / path.name)
    (volume,) = read_series(list_series(tmp_path)[0])
    assert volume.metadata.source == tmp_path
    assert volume.geometry.is_close(FIELD.geometry, 1e-3)


def test_nothing_to_list(tmp_path: Path) -> None:
    junk(tmp_path)
    found = find_scans(tmp_path)
    assert (found.images, found.series, found.dicom.problems) == ((), [], [])
    with pytest.raises(ReadError, match="no readable image"):
        radcnn.read(tmp_path)
    for name, words in (("notes.txt", "not an image"), ("none", "no such file"), ("empty.nii", "is empty")):
        for function in (find_scans, radcnn.read):
            with pytest.raises(ReadError, match=words):
                function(tmp_path / name)


# -- kinds ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def kinds(tmp_path: Path) -> dict[Path, Kind | None]:
    return every_kind(tmp_path)


def test_every_kind_is_told_apart(kinds: dict[Path, Kind | None]) -> None:
    found = {path.name: kind_of(path) for path in kinds}
    assert found == {path.name: kind for path, kind in kinds.items()}
    assert set(found.values()) == {*Kind, None}


def test_what_is_no_image_is_refused_by_its_name(kinds: dict[Path, Kind | None]) -> None:
    for path, kind in kinds.items():
        if not path.is_file() or kind in (Kind.IMAGES, Kind.REPORT) or path.name.endswith(".zip"):
            continue
        wanted = "not an image in a supported format" if kind is None else f"{kind}, not an image; `radcnn info`"
        if path.stat().st_size == 0:
            wanted = "is empty"
        with pytest.raises(ReadError, match=wanted):
            radcnn.read(path)
    pack = next(path for path, kind in kinds.items() if kind is Kind.PACK)
    with pytest.raises(ReadError, match=r"a model pack, not a scan; install it: radcnn models install m\.radcnn"):
        radcnn.read(pack)


def test_errors_of_the_disk_count_as_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = radcnn.write(FINDINGS, tmp_path / "found.json")

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    assert kind_of(path) is Kind.FINDINGS
    monkeypatch.setattr(Path, "open", refuse)
    assert kind_of(path) is None
