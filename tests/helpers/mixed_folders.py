"""Folders as people have them: DICOM, pairs, stores, archives and what is no scan, side by side."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

import nibabel
import numpy as np

import grids
import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from journals import begin
from napari_radcnn.geometry import Geometry
from napari_radcnn.interop import flipped_world
from napari_radcnn.io import Kind
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Classification, Detection, Detections, Label, LabelMap
from napari_radcnn.volume import Volume

FIELD = world_field(grids.oblique())
FINDINGS = Detections((Detection("nodule", 0.75, (12.5, -40.25, 101.0), (8.0, 6.0, 5.0)),))


def field(k: int) -> Volume:
    """The linear field on a grid of its own, so that no two images of a folder are the same."""
    grid = Geometry.from_parts((3, 4 + k, 5), (2.5, 0.8, 0.7), (-31.0 - k, 17.5, 40.25))
    return world_field(grid)


def pair(folder: Path, k: int, header: str = "pair.hdr", voxels: str = "pair.img") -> None:
    """Write a NIfTI pair."""
    volume = field(k)
    image = nibabel.Nifti1Pair(np.asarray(volume.array).T, flipped_world(volume.geometry.affine))
    made = folder / f"made{k}"
    made.mkdir()
    compressed = ".gz" if header.endswith(".gz") else ""
    nibabel.save(image, made / f"a.img{compressed}")
    (made / f"a.hdr{compressed}").rename(folder / header)
    (made / f"a.img{compressed}").rename(folder / voxels)
    made.rmdir()


def junk(folder: Path) -> None:
    """Write what is no scan: notes, findings, a manifest, what systems leave, an empty image."""
    (folder / "notes.txt").write_text("hello")
    (folder / "table.csv").write_text("case,class\np1,ill\n")
    radcnn.write(FINDINGS, folder / "found.json")
    (folder / "found.json.radcnn.json").write_text('{"schema": "radcnn-manifest/1"}')
    (folder / "empty.nii").touch()
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "._field.nii.gz").write_bytes(b"\0\5\x16\7")


def labels_on(series: Path, target: Path) -> None:
    """Write a DICOM segmentation of a series."""
    (scan,) = radcnn.read(series)
    array = np.zeros(scan.geometry.shape, np.uint8)
    array[1, 1:, 2:] = 1
    made = LabelMap(array, scan.geometry, {1: Label("liver")}, metadata=scan.metadata)
    radcnn.write(made, target, reference=series)


def mixed(root: Path) -> Path:
    """Write a folder of everything at once."""
    folder = root / "mixed"
    (folder / "study" / "labels").mkdir(parents=True)
    write_dicom_series(folder / "study" / "ct", FIELD, series_number=3, modality="CT")
    write_dicom_series(folder / "deep" / "er", field(9), series_number=7, modality="MR")
    labels_on(folder / "study" / "ct", folder / "study" / "labels" / "x.seg.dcm")
    (folder / "study" / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0")
    radcnn.write(field(1), folder / "field.nii.gz")
    radcnn.write(field(2), folder / "meta.mhd")
    radcnn.write(field(3), folder / "store.ome.zarr")
    radcnn.write(field(4), folder / "plain.ome.zarr")
    (folder / "plain.ome.zarr").rename(folder / "a store of another name")
    pair(folder, 5)
    pair(folder, 6, "squeezed.hdr.gz", "squeezed.img.gz")
    pair(folder, 7, "LOUD.HDR", "LOUD.IMG")
    shutil.copytree(folder / "store.ome.zarr", folder / ".radcnn-partial-growing.ome.zarr")
    (folder / "broken.nrrd").write_text("NRRD0004\nrubbish\n\n")
    zipped(folder / "export.zip", [folder / "field.nii.gz"])
    junk(folder)
    return folder


def zipped(target: Path, files: Iterable[Path]) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    return target


def every_kind(folder: Path) -> dict[Path, Kind | None]:
    """Write paths of every kind that is told apart."""
    made: dict[Path, Kind | None] = {}

    def add(kind: Kind | None, name: str, content: str | bytes | None = None) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        made[path] = kind
        return path

    series = add(Kind.IMAGES, "series")
    add(Kind.IMAGES, write_dicom_series(series, FIELD)[0].relative_to(folder).as_posix())
    labels_on(series, add(Kind.IMAGES, "x.seg.dcm"))
    radcnn.write(FINDINGS, add(Kind.REPORT, "x.sr.dcm"), reference=series)
    radcnn.write(FIELD, add(Kind.IMAGES, "a.nii.gz"))
    radcnn.write(FIELD, add(Kind.IMAGES, "a.ome.zarr"))
    radcnn.write(FINDINGS, add(Kind.FINDINGS, "found.json"))
    radcnn.write(FINDINGS, add(Kind.FINDINGS, "found.csv"))
    add(Kind.FINDINGS, "by hand.json", '{"who": "me", "detections": []}')
    radcnn.write(Classification({"ill": 0.25, "well": 0.75}), add(Kind.CLASSES, "classes.json"))
    radcnn.write(radcnn.Landmarks((radcnn.Landmark("tip", (1.0, 2.0, 3.0)),)), add(Kind.LANDMARKS, "points.json"))
    radcnn.write(radcnn.Embedding((0.5, -1.0)), add(Kind.EMBEDDING, "known by.json"))
    radcnn.write(radcnn.Survival(0.7, "death"), add(Kind.RISK, "risk.json"))
    radcnn.write(radcnn.Regression(84.0, "mo", (72.0, 96.0), "bone age"), add(Kind.VALUE, "age.json"))
    add(Kind.MANIFEST, "a.nii.gz.radcnn.json", "{}")
    add(Kind.MANIFEST, "moved.json", json.dumps({"schema": "radcnn-manifest/1", "steps": []}))
    add(Kind.MANIFEST, "long.json", json.dumps({"schema": "radcnn-manifest/1", "steps": ["x" * 100] * 20_000}))
    add(Kind.SCRIPT, "script.json", '{"engine": "region", "steps": [{"add": "liver"}]}')
    journal = begin(folder / "sessions")
    journal.close()
    made |= {journal.path: Kind.SESSION, journal.path / "journal.radcnn": Kind.SESSION}
    add(Kind.SESSION, "copied.bin", (journal.path / "journal.radcnn").read_bytes())
    add(Kind.MODEL, "weights.onnx", b"\x08\x07")
    add(Kind.MODEL, "described/model.json", '{"format": "radcnn-model/1"}')
    made[folder / "described"] = Kind.MODEL
    add(None, "bundle/configs/inference.json", "{}")
    made[folder / "bundle"] = Kind.MODEL
    add(None, "other.json", '{"made": {"detections": 1}}')
    add(None, "list.json", '["detections"]')
    add(None, "broken.json", b'{"\xff')
    add(None, "deep.json", '{"a":' * 100_000)
    add(None, "huge.json", '{"a": "' + "x" * (2 << 20) + '", "detections": []}')
    add(None, "found.txt", '{"detections": []}')
    add(None, "table.csv", "case,class\np1,ill\n")
    add(None, "empty.csv", b"")
    add(None, "sessions/notes.txt", "hello")
    made |= {folder / "sessions": None, folder / "missing.json": None}
    for name, inside, kind in (
        ("x.zip", "a.nii.gz", Kind.IMAGES),
        ("m.radcnn-model.zip", "pack.json", Kind.PACK),
        ("bundle.zip", "spleen/configs/inference.json", Kind.MODEL),
        ("deep.zip", "a/b/c/d/plans.json", Kind.IMAGES),
    ):
        with zipfile.ZipFile(add(kind, name), "w") as archive:
            archive.writestr(inside, "{}")
    add(Kind.IMAGES, "damaged.zip", b"PK\3\4")
    return made
