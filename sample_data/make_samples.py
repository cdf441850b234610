"""Write the sample files anew: ``python sample_data/make_samples.py``. The same bytes come out every time."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import head, oblique_geometry, world_field
from napari_radcnn.volume import Volume

HERE = Path(__file__).parent
#: An arbitrary root of our own in the UUID range that anyone may use (DICOM PS3.5, B.2).
UID_ROOT = "2.25.281470681743401"


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a volume without the time that gzip would store; NIfTI's world is RAS and its index order (i, j, k)."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.geometry.affine @ np.eye(4)[[2, 1, 0, 3]]
    image = nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    plain = io.BytesIO()
    image.to_stream(plain)
    path.write_bytes(gzip.compress(plain.getvalue(), compresslevel=9, mtime=0))


def write_dicom(volume: Volume, folder: Path) -> None:
    """Write a volume as one MR series, a file a slice; the names say nothing about the order of the slices."""
    folder.mkdir(exist_ok=True)
    geometry = volume.geometry
    order = np.random.default_rng(7).permutation(geometry.shape[0])
    for name, k in enumerate(int(k) for k in order):
        slice_ = Dataset()
        slice_.SOPClassUID, slice_.SOPInstanceUID = MRImageStorage, f"{UID_ROOT}.3.{k + 1}"
        slice_.StudyInstanceUID, slice_.SeriesInstanceUID = f"{UID_ROOT}.1", f"{UID_ROOT}.2"
        slice_.FrameOfReferenceUID = f"{UID_ROOT}.4"
        slice_.Modality, slice_.SeriesNumber, slice_.InstanceNumber = "MR", 3, k + 1
        slice_.SeriesDescription = "coronal head phantom"
        slice_.PatientName, slice_.PatientID = "Phantom", "phantom"
        slice_.StudyDate, slice_.StudyTime = "20260101", "120000"
        slice_.ImagePositionPatient = [f"{value:.6g}" for value in geometry.to_world((k, 0, 0))]
        row, column = geometry.direction[:, 2], geometry.direction[:, 1]  # of the row's and the column's own run
        slice_.ImageOrientationPatient = [f"{value:.6g}" for value in (*row, *column)]
        slice_.PixelSpacing = [f"{step:.6g}" for step in geometry.spacing[1:]]
        slice_.SliceThickness = f"{geometry.spacing[0]:.6g}"
        slice_.Rows, slice_.Columns = geometry.shape[1:]
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.PixelData = volume.array[k].astype("<i2").tobytes()
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, slice_.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = f"{UID_ROOT}.5"
        slice_.file_meta, slice_.preamble = meta, b"\0" * 128
        dcmwrite(folder / f"IM{name:04d}", slice_, enforce_file_format=True)


def facts(volume: Volume) -> dict:
    """Return what a reader must find."""
    shape = np.array(volume.geometry.shape)
    indices = [(0, 0, 0), tuple(shape // 2), tuple(shape - 1), (1, int(shape[1]) - 2, 3)]
    voxels = [{"index": [int(n) for n in i], "value": round(float(volume.array[i]), 3)} for i in indices]
    return {"shape": shape.tolist(), "affine": np.round(volume.geometry.affine, 6).tolist(), "voxels": voxels}


def main() -> None:
    """Write all files and ``expected.json``."""
    field = world_field(oblique_geometry())
    axial_head = head(Geometry.from_parts((36, 48, 42), (5.4, 4.0, 4.7), (-96.35, -94.0, -94.5)))
    small = Geometry.from_parts((24, 32, 28), (8.0, 6.0, 7.0), (-94.5, -93.0, -92.0))
    coronal = head(small.reoriented(small.axis_map("PIL")))
    write_nifti(field, HERE / "oblique_field.nii.gz")
    write_nifti(axial_head, HERE / "head_phantom.nii.gz")
    write_dicom(coronal, HERE / "coronal_head_dicom")
    expected = {
        "oblique_field.nii.gz": facts(field),
        "head_phantom.nii.gz": facts(axial_head),
        "coronal_head_dicom": facts(coronal),
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
