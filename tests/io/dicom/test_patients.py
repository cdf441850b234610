"""Several patients in one folder, files that part from their series, and folders that cannot be read: all is said."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicom_factory import PATIENT_ID, PATIENT_NAME, write_dicom_series
from napari_radcnn.errors import ReadError
from napari_radcnn.gui.scans.folder import list_folder
from napari_radcnn.io import list_series, read, read_series
from napari_radcnn.phantom import head, oblique_geometry
from napari_radcnn.volume import Volume

SCAN = head(oblique_geometry((4, 9, 11)))
TWO = "This folder contains scans of 2 patients"


def write_two(folder: Path, one: dict[str, Any], other: dict[str, Any], **uids: Any) -> None:
    write_dicom_series(folder / "a", SCAN, series_number=1, **one, **uids)
    write_dicom_series(folder / "b", SCAN, series_number=2, **other, **uids)


def said(volume: Volume, *words: str) -> bool:
    return any(all(word in line for word in words) for line in volume.warnings)


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ({"PatientID": "SECRET-2"}, "PatientID differs"),
        ({"PatientBirthDate": "19610203"}, "PatientBirthDate differs"),
        ({"PatientName": "OTHER^SECRET"}, "PatientName differs"),
        ({"PatientID": "SECRET-2", "PatientName": "OTHER^SECRET"}, "PatientID and PatientName differ"),
    ],
)
def test_two_patients(tmp_path: Path, other: dict[str, Any], kind: str) -> None:
    write_two(tmp_path, {}, other)
    volumes = read(tmp_path)
    assert len(volumes) == 2
    for n, volume in enumerate(volumes):
        assert said(volume, TWO, kind, f"patient {n + 1}")
        assert not any(
            word in line for line in volume.warnings for word in ("SECRET", PATIENT_NAME, PATIENT_ID, "1961")
        )
    infos = list_series(tmp_path)
    assert sorted(info.patient for info in infos) == [1, 2]
    for info in infos:
        assert said(read_series(info)[0], TWO, f"patient {info.patient}")
    groups = sorted(row.group for row in list_folder(tmp_path))  # studies are counted in the order of their UIDs
    assert [group.split(":")[0] for group in groups] == ["Patient 1", "Patient 2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({}, {"PatientName": "Test^Patient^^^"}),
        ({}, {"PatientID": None}),
        ({"PatientBirthDate": None}, {"PatientName": None}),
    ],
    ids=["same", "name written otherwise", "no ID", "nothing to compare"],
)
def test_one_patient(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    write_two(tmp_path, one, other)
    assert not any(said(volume, "patients") for volume in read(tmp_path))
    assert [info.patient for info in list_series(tmp_path)] == [0, 0]


def test_two_patients_with_one_series_uid(tmp_path: Path) -> None:
    write_two(tmp_path, {}, {"PatientID": "SECRET-2"}, study_uid="1.2.3", series_uid="1.2.3.4")
    for volume in read(tmp_path):
        assert said(volume, TWO)
        assert said(volume, "of the same series", "a different or missing PatientID")


@pytest.mark.parametrize(
    ("keyword", "value"), [("PatientID", None), ("StudyInstanceUID", "1.2.3.99"), ("Modality", "OT")]
)
def test_a_slice_that_parts_from_its_series_is_named(tmp_path: Path, keyword: str, value: str | None) -> None:
    from pydicom import dcmread

    paths = write_dicom_series(tmp_path, SCAN)
    dataset = dcmread(paths[3])  # at the end: without it, the others are an even stack
    delattr(dataset, keyword) if value is None else setattr(dataset, keyword, value)
    dataset.save_as(paths[3])
    whole = next(volume for volume in read(tmp_path) if volume.array.shape[0] == 3)
    assert said(whole, paths[3].name, "of the same series", keyword, "may be a part of this one")


def test_a_slice_of_another_birth_date(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path, SCAN, PatientBirthDate=lambda k: "19610203" if k == 1 else "19500102")
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, SCAN.array)
    assert said(volume, paths[1].name, "PatientBirthDate differs")


# -- folders that cannot be read -------------------------------------------------------------------------------------


@pytest.fixture
def deny(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Let the system refuse to list folders, also where the tests run as root."""
    scandir, listdir = os.scandir, os.listdir
    denied: set[str] = set()

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".") -> Any:
            if os.fspath(path) in denied:
                raise PermissionError(13, "Permission denied", os.fspath(path))
            return real(path)

        return call

    with pytest.MonkeyPatch.context() as patch:  # undone before the folder of the test goes
        patch.setattr(os, "scandir", guarded(scandir))
        patch.setattr(os, "listdir", guarded(listdir))
        yield lambda path: denied.add(os.fspath(path))


@pytest.mark.parametrize("where", [".", "inner"])
def test_an_unreadable_folder_beside_a_scan_is_named(tmp_path: Path, where: str, deny: Callable[[Path], None]) -> None:
    write_dicom_series(tmp_path / where, SCAN)
    closed = tmp_path / where / "closed"
    closed.mkdir()
    deny(closed)
    (volume,) = read(tmp_path)
    assert said(volume, "closed: the folder cannot be read", "slices may be missing")
    assert any("closed" in str(row.problem) for row in list_folder(tmp_path))


def test_an_unreadable_folder_beside_another_image(tmp_path: Path, deny: Callable[[Path], None]) -> None:
    from napari_radcnn.io import write

    (tmp_path / "inner").mkdir()
    (tmp_path / "closed").mkdir()
    write(SCAN, tmp_path / "inner" / "scan.nii.gz")
    deny(tmp_path / "closed")
    (volume,) = read(tmp_path)
    assert np.array_equal(volume.array, SCAN.array)
    assert said(volume, "closed: the folder cannot be read")


def test_nothing_but_an_unreadable_folder(tmp_path: Path, deny: Callable[[Path], None]) -> None:
    (tmp_path / "closed").mkdir()
    deny(tmp_path / "closed")
    with pytest.raises(ReadError, match=r"closed: the folder cannot be read \(Permission denied\).*ask its owner"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "characters", "words"),
    [
        ("Doe^Jane^M^Dr^MD", "ISO_IR 100", "Doe, Jane"),
        ("Müller^Jörg", "ISO_IR 100", "Müller, Jörg"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192", "Yamada, Tarou"),
        ("=王^小東", "ISO_IR 192", "王, 小東"),
        ("^", "ISO_IR 100", ""),
    ],
)
def test_the_screen_knows_whose_scan_it_is_and_files_do_not(
    tmp_path: Path, name: str, characters: str, words: str
) -> None:
    from napari_radcnn.io import write

    write_dicom_series(tmp_path / "scan", SCAN, PatientName=name, SpecificCharacterSet=characters)
    (volume,) = read(tmp_path / "scan")
    assert (volume.metadata.patient_name, volume.metadata.patient_id) == (words, PATIENT_ID)
    assert PATIENT_ID not in repr(volume)
    (tmp_path / "out").mkdir()
    for suffix in (".nii.gz", ".nrrd", ".mha", ".ome.zarr"):
        write(volume, tmp_path / "out" / f"scan{suffix}")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) > 4
    for path in files:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert PATIENT_ID.encode() not in data
    assert read(tmp_path / "out" / "scan.nii.gz")[0].metadata.patient_id == ""


@pytest.mark.parametrize(
    ("stored", "date"), [("20260314", "2026-03-14"), ("2026.03.14", "2026-03-14"), ("", ""), ("20261399", "")]
)
def test_a_scan_knows_the_day_of_its_study(tmp_path: Path, stored: str, date: str) -> None:
    write_dicom_series(tmp_path, SCAN, StudyDate=stored)
    (volume,) = read(tmp_path)
    assert volume.metadata.study_date == date
