"""Small scans, models and files under the names that the documentation uses, so that its examples can be run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import napari_radcnn as radcnn
import nnunet_folder
from dicom_factory import write_dicom_series
from model_factory import METADATA, UNET, inference_config, unet, write_bundle, zipped
from napari_radcnn.cli import main
from napari_radcnn.phantom import head, oblique_geometry

_MODALITIES = ("T1", "T1c", "T2", "FLAIR")
_DIGITAL_X_RAY = "1.2.840.10008.5.1.4.1.1.1.1"


def _head(path: Path) -> None:
    radcnn.write(head(), path)


def _small_head(path: Path) -> None:
    radcnn.write(head(oblique_geometry((9, 14, 12))), path)


def _ct(path: Path) -> None:
    radcnn.write(nnunet_folder.scan(), path)


def _series(folder: Path) -> None:
    write_dicom_series(folder, head(oblique_geometry((5, 12, 10))), modality="MR")


def _segments(path: Path) -> None:
    """Write labels on the grid of `_series`."""
    scan = head(oblique_geometry((5, 12, 10)))
    array = np.zeros(scan.geometry.shape, np.uint8)
    array[1:4, 3:8, 2:7], array[2:4, 8:11, 7:9] = 1, 2
    radcnn.write(scan.with_array(array, is_label=True), path)


def _pet(folder: Path) -> None:
    """Write a PET on the same grid: 70 kg, 370 MBq of F-18 an hour before the scan."""
    from pydicom import Dataset

    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = "370000000", "6586.2"
    drug.RadiopharmaceuticalStartTime = "091500"
    scan = head(oblique_geometry((5, 12, 10)))
    tags = {"Units": "BQML", "DecayCorrection": "START", "CorrectedImage": ["ATTN", "DECY"], "PatientWeight": "70"}
    write_dicom_series(folder, scan, modality="PT", RadiopharmaceuticalInformationSequence=[drug], **tags)


def _cohort_scan(folder: Path, patient: str) -> None:
    write_dicom_series(folder, head(oblique_geometry((20, 40, 36))), modality="MR", PatientID=patient)


def _radiograph(path: Path) -> None:
    """Write a frontal picture: two dark lungs of different sizes, a heart on the patient's left."""
    rows, columns = np.mgrid[:96, :120]
    picture = np.full((96, 120), 900.0)
    for row, column, high, wide, value in ((45, 35, 34, 20, 250), (48, 86, 30, 17, 280), (60, 68, 16, 14, 800)):
        picture[((rows - row) / high) ** 2 + ((columns - column) / wide) ** 2 < 1] = value
    direction = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float)
    grid = radcnn.Geometry.from_parts((1, *picture.shape), (1.0, 3.2, 3.0), (-180.0, 17.0, 200.0), direction)
    noise = np.random.default_rng(3).normal(0, 15, picture.shape)
    scan = radcnn.Volume((picture + noise)[None].astype(np.int16), grid, radcnn.VolumeMetadata(modality="DX"))
    (written,) = write_dicom_series(path.parent / "radiograph", scan, SOPClassUID=_DIGITAL_X_RAY)
    written.rename(path)


def _film(path: Path) -> None:
    """Write a picture whose pixels have no known size."""
    Image.fromarray(np.arange(12 * 15, dtype=np.uint8).reshape(12, 15)).save(path)


def _bundle_of_four(folder: Path) -> None:
    inputs = {"modality": "MR", "num_channels": 4, "channel_def": {str(n): name for n, name in enumerate(_MODALITIES)}}
    described = METADATA["network_data_format"] | {"inputs": {"image": inputs}}
    shape = UNET | {"in_channels": len(_MODALITIES)}
    network = inference_config()["network_def"] | shape
    write_bundle(folder, unet(**shape), METADATA | {"network_data_format": described}, network_def=network)


def _findings(path: Path) -> None:
    radcnn.write(radcnn.Detections((radcnn.Detection("nodule", 1.0, (1.0, -2.0, 3.0), (4.0, 5.0, 6.0)),)), path)


def _manifest(path: Path) -> None:
    """Write a result, and with it its manifest."""
    scan = path.with_name("small_head.nii.gz")
    _small_head(scan)
    assert main(["run", "nlm-denoise", str(scan), "-o", str(path).removesuffix(".radcnn.json")]) == 0


def _text(path: Path) -> None:
    path.write_text("Stands in for a text.\n", encoding="utf-8")


#: What each name is made by; a name that ends with a slash is looked for with it.
MAKERS: dict[str, Callable[[Path], object]] = {
    "head.nii.gz": _head,
    "ct.nii.gz": _ct,
    "huge.ome.zarr": _ct,
    "t1.nii.gz": _small_head,
    "t1c.nii.gz": _small_head,
    "t2.nii.gz": _small_head,
    "flair.nii.gz": _small_head,
    "chest.dcm": _radiograph,
    "film.png": _film,
    "scan/": _series,
    "segments.nii.gz": _segments,
    "pet/": _pet,
    "scans/*/": lambda folder: [_series(folder.parent / name) for name in ("first", "second one")],
    "cohort list scans": lambda place: [_cohort_scan(place.with_name("scans") / name, name) for name in ("p1", "p2")],
    "reference.json": _findings,
    "denoised.nii.gz.radcnn.json": _manifest,
    "LICENCE": _text,
    "card.md": _text,
    "nnUNetTrainer__nnUNetPlans__3d_fullres": lambda folder: shutil.copytree(nnunet_folder.folder(), folder),
    "spleen_ct_segmentation.zip": lambda path: zipped(write_bundle(path.parent / "spleen_ct_segmentation"), path),
    "tumor-bundle": _bundle_of_four,
}


def lay_out(text: str, folder: Path) -> None:
    """Make in `folder` whatever `text` names and `MAKERS` knows."""
    for name, make in MAKERS.items():
        if name in text:
            make(folder / name)
