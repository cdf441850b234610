"""`read` and `write` at the edges: nothing there, nothing allowed, disk full, name taken."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import grids
from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError, WriteError
from napari_radcnn.files import atomic_path, write_error, write_text
from napari_radcnn.io import list_series, read, sniff, write
from napari_radcnn.phantom import head, world_field
from napari_radcnn.results import Classification, Detection, Detections

SCAN = world_field(grids.oblique())


def refusal(path: Path) -> str:
    with pytest.raises(ReadError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_to_read(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.nii")
    (tmp_path / "empty.nii").touch()
    assert "empty.nii: the file is empty" in refusal(tmp_path / "empty.nii")
    (tmp_path / "folder").mkdir()
    assert "folder: the folder is empty" in refusal(tmp_path / "folder")
    (tmp_path / "folder" / "notes.txt").write_text("hello")
    assert "folder: contains no readable image" in refusal(tmp_path / "folder")
    assert ".nii.gz" in refusal(tmp_path / "folder" / "notes.txt")
    with pytest.raises(ReadError, match="no such"):
        list_series(tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permission_denied(tmp_path: Path) -> None:
    path = write(SCAN, tmp_path / "a.nii")
    path.chmod(0)
    assert "permission denied" in refusal(path)
    path.chmod(0o600)
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="permission denied"):
        write(SCAN, tmp_path / "b.nii")
    tmp_path.chmod(0o700)


def test_permission_denied_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(SCAN, tmp_path / "a.nii")
    real = Path.open

    def guarded(self: Path, *args: object, **options: object) -> object:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", guarded)
    assert "permission denied" in refusal(path)


def test_folder_of_other_formats(tmp_path: Path) -> None:
    write(SCAN, tmp_path / "a.nii.gz")
    write(SCAN, tmp_path / "b.mhd")
    (tmp_path / "c.nrrd").write_text("NRRD0004\nrubbish\n\n")
    volumes = read(tmp_path)
    assert [volume.name for volume in volumes] == ["a", "b"]
    assert all(any("Left out: c.nrrd" in line for line in volume.warnings) for volume in volumes)
    found = sniff(tmp_path)
    assert found is not None
    assert found.name in ("NIfTI", "MetaImage", "NRRD")


def test_folder_with_dicom_and_others_at_once(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "deep" / "er", head(grids.oblique()))
    write(SCAN, tmp_path / "a.nii.gz")
    assert sorted(volume.name for volume in read(tmp_path)) == ["MR 1", "a"]


def test_images_one_folder_down(tmp_path: Path) -> None:
    (tmp_path / "t1").mkdir()
    write(SCAN, tmp_path / "t1" / "a.nii.gz")
    assert [volume.name for volume in read(tmp_path)] == ["a"]


@pytest.mark.parametrize("name", ["a", "a.png", "a.dcm", "a.nii.zip", ".nii", ".nii.gz"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(WriteError, match=r"\.nii\.gz"):
        write(SCAN, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_suffix_that_does_not_fit_the_object(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"\.json, \.csv"):
        write(Detections(()), tmp_path / "a.nii")
    with pytest.raises(WriteError, match=r"\.json, \.csv"):
        write(Classification({}), tmp_path / "a.nrrd")
    with pytest.raises(WriteError, match="cannot be written"):
        write("text", tmp_path / "a.nii")  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mhd", ".ome.zarr"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, suffix: str) -> None:
    for stem, told in (
        ("a" * 250, "the name is too long"),
        ("a\0b", "null character"),
        ("\ud800", "file names cannot have"),
    ):
        with pytest.raises(WriteError, match=told) as caught:
            write(SCAN, tmp_path / f"{stem}{suffix}")
        assert len(str(caught.value)) < 200 + len(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    write(SCAN, tmp_path / ("a" * (190 - len(suffix)) + suffix))


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode on this system")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".mhd", ".ome.zarr"])
def test_a_name_with_a_byte_that_is_not_utf8_is_written_or_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / (os.fsdecode(b"\xff") + suffix)
    if suffix in (".nrrd", ".mha", ".mhd"):
        with pytest.raises(WriteError, match="not UTF-8"):
            write(SCAN, path)
        assert list(tmp_path.iterdir()) == []
        return
    write(SCAN, path)
    assert np.array_equal(read(path)[0].array, SCAN.array)


@pytest.mark.parametrize("overwrite", [False, True])
def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool) -> None:
    path = tmp_path / "a.json"
    result = Classification({"normal": 0.2})
    before = {}
    if overwrite:
        write(result, path)
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="disk is full"):
        write(result, path, overwrite=overwrite)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
def test_a_full_disk_that_simpleitk_does_not_notice_is_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    import SimpleITK

    def writes_nothing(image: object, path: str, **options: object) -> None:
        Path(path).write_bytes(b"")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(SimpleITK, "WriteImage", writes_nothing)
    with pytest.raises(WriteError, match="cannot be read back"):  # there is room: it is something else
        write(SCAN, tmp_path / f"a{suffix}")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="the disk is full"):
        write(SCAN, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.EROFS, "the disk is read-only"), (errno.EACCES, "permission denied"), (errno.ENOSPC, "the disk is full")],
)
def test_each_cause_has_its_words(number: int, told: str) -> None:
    assert told in str(write_error(Path("a.nii"), OSError(number, os.strerror(number))))


def test_interrupted_block_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with atomic_path(tmp_path / "a.nii.gz") as temporary:
            assert temporary.name.endswith(".nii.gz")
            assert temporary.parent == tmp_path
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_name_taken_meanwhile(tmp_path: Path) -> None:
    def late() -> None:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("mine")
            (tmp_path / "a.txt").write_text("theirs")

    with pytest.raises(WriteError, match="already exists"):
        late()
    assert (tmp_path / "a.txt").read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_write_text(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.json", "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    with pytest.raises(WriteError):
        write_text(path, "b")
    write_text(path, "b", overwrite=True)
    assert path.read_text() == "b"


def test_detections(tmp_path: Path) -> None:
    boxes = (
        Detection("nodule", 0.93, (1.0, -2.5, 3.0), (4.0, 5.0, 6.0)),
        Detection("nodule, small", 0.5, (0, 0, 0), (1, 1, 1)),
    )
    document = json.loads(write(Detections(boxes), tmp_path / "a.json").read_text())
    assert document["detections"][0] == {
        "label": "nodule",
        "score": 0.93,
        "center_mm": [1.0, -2.5, 3.0],
        "size_mm": [4.0, 5.0, 6.0],
    }
    rows = list(csv.reader(write(Detections(boxes), tmp_path / "a.csv").read_text().splitlines()))
    assert rows[1] == ["nodule", "0.93", "1.0", "-2.5", "3.0", "4.0", "5.0", "6.0"]
    assert rows[2][0] == "nodule, small"


def test_classification(tmp_path: Path) -> None:
    path = write(Classification({"normal": np.float32(0.25), "pneumonia": 0.75}), tmp_path / "a.json")
    assert json.loads(path.read_text()) == {"probabilities": {"normal": 0.25, "pneumonia": 0.75}}


def test_importing_loads_no_heavy_library() -> None:
    code = (
        "import sys, napari_radcnn.io; "
        "print([m for m in ('pydicom', 'SimpleITK', 'nibabel', 'torch', 'napari') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
