"""Zipped exports and discs: read like folders; what is unsafe is refused before it is written."""

from __future__ import annotations

import stat
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from dicom_factory import write_dicom_series
from napari_radcnn.errors import CancelledError, ReadError
from napari_radcnn.io import archive, read, sniff, write
from napari_radcnn.phantom import head, oblique_geometry, world_field

GRID = oblique_geometry((3, 9, 11))


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where archives are unpacked; empty again after each test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def zipped(path: Path, members: dict[str, bytes], **kinds: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = kinds.get(name, stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(info, data)
    return path


def slices(folder: Path) -> dict[str, bytes]:
    paths = write_dicom_series(folder, head(GRID))
    return {f"study/series 1/{path.name}": path.read_bytes() for path in paths}


def test_series_and_images(tmp_path: Path, unpacked: Path) -> None:
    field = world_field(GRID)
    image = write(field, tmp_path / "a.nii.gz").read_bytes()
    members = {**slices(tmp_path / "s"), "scan.nii.gz": image, "__MACOSX/._scan.nii.gz": b"x", "note.txt": b"hello"}
    path = zipped(tmp_path / "export.zip", {**members, "inner.zip": zipped(tmp_path / "i.zip", members).read_bytes()})
    assert sniff(path).name == "ZIP archive"  # type: ignore[union-attr]
    volumes = read(path)
    assert sorted(volume.metadata.source_format for volume in volumes) == ["DICOM", "NIfTI"]
    for volume in volumes:
        assert volume.metadata.source == path
        assert volume.geometry.is_close(GRID, 1e-3)
        assert float(np.asarray(volume.array).max()) > 0
    assert list(unpacked.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil.dcm", "a/../../evil.dcm", "/evil.dcm", "C:\\evil.dcm", "..\\evil.dcm"])
def test_names_that_lead_out(tmp_path: Path, unpacked: Path, name: str) -> None:
    path = zipped(tmp_path / "x.zip", {**slices(tmp_path / "s"), name: b"evil"})
    with pytest.raises(ReadError, match=r"x\.zip.*points outside the archive"):
        read(path)
    assert not list(tmp_path.rglob("*evil*"))
    assert list(unpacked.iterdir()) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices(tmp_path: Path, unpacked: Path, kind: int) -> None:
    path = zipped(tmp_path / "x.zip", {**slices(tmp_path / "s"), "link": b"/etc/passwd"}, link=kind | 0o777)
    with pytest.raises(ReadError, match=r"x\.zip.*link or a device"):
        read(path)


def test_ratio(tmp_path: Path, unpacked: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a.dcm": bytes(30 << 20)})
    with pytest.raises(ReadError, match=r"x\.zip.*100 times"):
        read(path)


def test_directory_that_lies_about_sizes(tmp_path: Path, unpacked: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a.dcm": bytes(30 << 20)})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2")
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ReadError, match=r"x\.zip"):
        read(path)
    assert list(unpacked.iterdir()) == []


def test_limit_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "x.zip", {"a.dcm": bytes(30 << 20)})
    monkeypatch.setattr(archive, "_check_members", lambda *_: None)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ReadError, match="100 times"):
        archive.unpack(path, folder)
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 4 << 20


def test_too_many_members_and_bytes(tmp_path: Path, unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "x.zip", slices(tmp_path / "s"))
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    with pytest.raises(ReadError, match=r"x\.zip.*3 files, expected at most 2"):
        read(path)
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    with pytest.raises(ReadError, match=r"x\.zip.*expected at most 1000 bytes"):
        read(path)


def test_damaged_encrypted_empty(tmp_path: Path, unpacked: Path) -> None:
    path = zipped(tmp_path / "x.zip", slices(tmp_path / "s"))
    whole = path.read_bytes()
    flags = whole.replace(b"PK\1\2\x14\x03\x14\0\0\0", b"PK\1\2\x14\x03\x14\0\1\0")
    assert flags != whole
    for data, word in (
        (whole[:-100], "damaged"),
        (b"PK\3\4", "damaged"),
        (whole[:200] + b"\xff" * 50 + whole[250:], "damaged"),
        (flags, "encrypted"),
        (zipped(tmp_path / "e.zip", {}).read_bytes(), "empty"),
        (zipped(tmp_path / "t.zip", {"a.txt": b"words"}).read_bytes(), "no readable image"),
        (zipped(tmp_path / "n.zip", {"a.zip": whole}).read_bytes(), "no readable image"),
    ):
        path.write_bytes(data)
        with pytest.raises(ReadError, match=rf"x\.zip.*{word}"):
            read(path)
        assert list(unpacked.iterdir()) == []


def test_can_be_stopped(tmp_path: Path, unpacked: Path) -> None:
    from threading import Event

    cancel = Event()
    cancel.set()
    with pytest.raises(CancelledError):
        read(zipped(tmp_path / "x.zip", slices(tmp_path / "s")), cancel=cancel)
    assert list(unpacked.iterdir()) == []


# -- discs ------------------------------------------------------------------------------------------------------------


def disc(folder: Path) -> Path:
    """Write a series as a disc with its table of contents."""
    files = FileSet()
    for path in write_dicom_series(folder / "s", head(GRID), PatientName="A", StudyID="1"):
        files.add(path)
    files.write(folder / "disc")
    return folder / "disc"


def test_dicomdir_opens_what_it_names(tmp_path: Path) -> None:
    folder = disc(tmp_path)
    write_dicom_series(folder / "other", head(oblique_geometry((2, 4, 5))))
    assert sniff(folder / "DICOMDIR").name == "DICOMDIR"  # type: ignore[union-attr]
    (volume,) = read(folder / "DICOMDIR")
    assert volume.geometry.is_close(GRID)
    assert np.array_equal(volume.array, head(GRID).array)
    assert volume.warnings == ()
    assert len(read(folder)) == 2


def test_dicomdir_of_missing_files(tmp_path: Path) -> None:
    folder = disc(tmp_path)
    first = next(path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "DICOMDIR")
    content = first.read_bytes()
    first.unlink()
    (volume,) = read(folder / "DICOMDIR")  # the outer two of three slices, or two neighbors: evenly spaced both
    assert volume.geometry.shape[0] == 2
    assert any(first.name in line and "listed in DICOMDIR are missing" in line for line in volume.warnings)
    first.write_bytes(content)
    data = (folder / "DICOMDIR").read_bytes()
    (folder / "DICOMDIR").write_bytes(data[:700])
    (volume,) = read(folder / "DICOMDIR")
    assert volume.geometry.is_close(GRID)


def test_dicomdir_does_not_lead_out(tmp_path: Path) -> None:
    folder = disc(tmp_path)
    (secret,) = write_dicom_series(tmp_path, head(oblique_geometry((1, 4, 5))), prefix="SECRET")
    import pydicom

    table: Dataset = pydicom.dcmread(folder / "DICOMDIR")
    for record in table.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            record.ReferencedFileID = ["..", secret.name]
    table.save_as(folder / "DICOMDIR")
    (volume,) = read(folder / "DICOMDIR")
    assert volume.array.shape == GRID.shape
