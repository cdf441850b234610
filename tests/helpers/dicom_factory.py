"""Write a volume as a classic DICOM series, so that tests know the answer before they read it."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from napari_radcnn.geometry import Geometry
from napari_radcnn.volume import Volume

NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_SOP_CLASS = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}

#: A lossless HTJ2K code stream of `htj2k_values`, written with OpenJPH 0.26.3: nothing that is installed encodes them.
HTJ2K_STREAM = base64.b64decode(
    "/0//UQApQAAAAAAKAAAADAAAAAAAAAAAAAAACgAAAAwAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJ"
    "CQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAGkAAf+TwAAmd/0Ch3QAAMAAEsAAEwC0AQd0AHj+Agd0AMAAEcAAEoAB"
    "EwBz/jIzAMAAEcAAFSAT4wCkpKTAIQH+tgDAACqgABWAlIgS/dr9fst2AEgEQZD0BEYQgey4AP/Z"
)

#: The name of the patient in every file: no reader may show it.
PATIENT_NAME = "TEST^PATIENT"
PATIENT_ID = "ID-SECRET-1"


def write_dicom_series(
    folder: str | Path,
    volume: Volume,
    *,
    shuffle: bool = True,
    series_number: int = 1,
    transfer_syntax: str = ExplicitVRLittleEndian,
    modality: str | None = None,
    prefix: str = "IM",
    study_uid: str | None = None,
    series_uid: str | None = None,
    frame_of_reference_uid: str | None = None,
    **overrides: Any | Callable[[int], Any],
) -> list[Path]:
    """Write every slice ``volume.array[k]`` as one file of a series and return the files in the order of k.

    Parameters
    ----------
    folder : path
        Created if missing.
    volume : Volume
        Integers are stored as they are (16 bits, rescale 1 and 0); floats with a rescale slope over 16 bits.
    shuffle : bool
        File names, instance numbers and the order on disk then say nothing about the position.
    series_number : int
        SeriesNumber.
    transfer_syntax : str
        A native one, or one that pydicom can encode (RLE, JPEG-LS lossless; JPEG 2000 lossless from 64 x 64 pixels).
    modality : str, optional
        By default the volume's, or ``"CT"``.
    prefix : str
        Of the file names.
    study_uid, series_uid, frame_of_reference_uid : str, optional
        By default new ones.
    **overrides
        DICOM keywords with the value to put in every file, or a function of k; None deletes the attribute.
        ``PixelData`` may be overridden too.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    modality = modality or volume.modality or "CT"
    stored, slope, intercept = _stored_values(np.asarray(volume.array))
    identifiers = {
        "StudyInstanceUID": study_uid or generate_uid(),
        "SeriesInstanceUID": series_uid or generate_uid(),
        "FrameOfReferenceUID": frame_of_reference_uid or generate_uid(),
    }
    numbers = list(range(1, len(stored) + 1))
    if shuffle:
        random.Random(len(stored)).shuffle(numbers)
    paths = []
    for k, pixels in enumerate(stored):
        dataset = _slice(volume, k, pixels, modality, (slope, intercept))
        for keyword, value in identifiers.items():
            setattr(dataset, keyword, value)
        dataset.SeriesNumber = series_number
        dataset.InstanceNumber = numbers[k]
        _override(dataset, overrides, k)
        path = folder / f"{prefix}{numbers[k]:04d}.dcm"
        save(dataset, path, transfer_syntax)
        paths.append(path)
    return paths


def write_enhanced(
    path: Path,
    volumes: list[Volume],
    order: np.ndarray,
    slopes: Callable[[int], float] = lambda k: 1.0,
    groups: Callable[[int, int], dict[str, Any]] | None = None,
    dimensions: Sequence[int] = (0x00209128, 0x00209057),
    indices: Callable[[int, int], Sequence[int]] = lambda n, k: (n + 1, k + 1),
    **tags: Any,
) -> Path:
    """Write volumes as one enhanced MR whose frames stand in the given order; one dimension index is the volume.

    Parameters
    ----------
    path : Path
        The file.
    volumes : list of Volume
        All on the grid of the first.
    order : array of int
        Which frames are written, and in what order, counted through the volumes.
    slopes : callable
        RescaleSlope of slice k.
    groups : callable, optional
        What stands in the functional groups of slice k of volume n, beside place and rescale: by the keyword of the
        sequence the tags of its item, which may be sequences again.
    dimensions : sequence of int
        The tags that DimensionIndexValues count.
    indices : callable
        DimensionIndexValues of slice k of volume n.
    **tags
        DICOM keywords with the value to put in; None deletes the attribute.
    """
    geometry = volumes[0].geometry
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = EnhancedMRImageStorage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "MR", 5, 1
    dataset.Rows, dataset.Columns = geometry.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.DimensionIndexSequence = [
        _item({"DimensionIndexPointer": pointer, "FunctionalGroupPointer": 0x00209111}) for pointer in dimensions
    ]
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    direction = np.concatenate([geometry.direction[:, 2], geometry.direction[:, 1]])
    orientation.ImageOrientationPatient = [f"{v:.10f}" for v in direction]
    measures.PixelSpacing, measures.SliceThickness = list(geometry.spacing[1:]), 99
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames, pixels = [], []
    for number in order:
        n, k = divmod(int(number), geometry.shape[0])
        group, content, position, rescale = Dataset(), Dataset(), Dataset(), Dataset()
        content.DimensionIndexValues = list(indices(n, k))
        position.ImagePositionPatient = [f"{v:.8f}" for v in geometry.to_world((k, 0, 0))]
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = slopes(k), 0, "US"
        group.FrameContentSequence, group.PlanePositionSequence = [content], [position]
        group.PixelValueTransformationSequence = [rescale]
        for keyword, values in (groups(n, k) if groups else {}).items():
            if keyword in group:
                group[keyword].value[0].update(_item(values))
            else:
                setattr(group, keyword, [_item(values)])
        frames.append(group)
        pixels.append(np.round(volumes[n].array[k] / slopes(k)).astype("<i2"))
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.NumberOfFrames = len(frames)
    dataset.add_new("PixelData", "OW", np.stack(pixels).tobytes())
    for keyword, value in tags.items():
        delattr(dataset, keyword) if value is None else setattr(dataset, keyword, value)
    return save(dataset, path)


def _item(values: dict[str, Any]) -> Dataset:
    """Return an item with these tags; those that are tags themselves are sequences of one item."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, [_item(value)] if isinstance(value, dict) else value)
    return item


def htj2k_values() -> np.ndarray:
    """Return the slice of 12 x 10 pixels, below and above 0, that `HTJ2K_STREAM` holds."""
    return np.add.outer(37 * np.arange(12), 11 * np.arange(10)).astype(np.int16) - np.int16(900)


def write_htj2k(folder: Path, transfer_syntax: str, stream: bytes = HTJ2K_STREAM) -> Path:
    """Write a file whose one slice is compressed as HTJ2K."""
    scan = Volume(htj2k_values()[None], Geometry.from_parts((1, 12, 10), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25)))
    (path,) = write_dicom_series(folder, scan)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.add_new("PixelData", "OB", encapsulate([stream]))
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return path


def save(dataset: Dataset, path: Path, transfer_syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a dataset with a proper file meta header in the given transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax if transfer_syntax in NATIVE else ExplicitVRLittleEndian
    out = Dataset(dataset)
    out.file_meta, out.preamble = meta, b"\0" * 128
    if transfer_syntax == ExplicitVRBigEndian and "PixelData" in out and out.BitsAllocated == 16:
        out.PixelData = np.frombuffer(out.PixelData, "<u2").astype(">u2").tobytes()
    if transfer_syntax not in NATIVE:
        out.compress(transfer_syntax, generate_instance_uid=False)
    dcmwrite(path, out, enforce_file_format=True)
    return path


def _slice(volume: Volume, k: int, pixels: np.ndarray, modality: str, rescale: tuple[float, float]) -> Dataset:
    """Return the dataset of slice k; UIDs of study and series are put in later."""
    geometry = volume.geometry
    dataset = Dataset()
    dataset.SOPClassUID = _SOP_CLASS.get(modality, SecondaryCaptureImageStorage)
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = modality
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, PATIENT_ID
    dataset.PatientBirthDate, dataset.PatientSex = "19500102", "O"
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "", ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240102"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesDescription = "phantom"
    dataset.Manufacturer = "none"
    dataset.AcquisitionNumber = 1
    dataset.ImagePositionPatient = [_decimal(v) for v in geometry.to_world((k, 0, 0))]
    direction = geometry.direction
    dataset.ImageOrientationPatient = [_decimal(v) for v in (*direction[:, 2], *direction[:, 1])]
    dataset.PixelSpacing = [_decimal(geometry.spacing[1]), _decimal(geometry.spacing[2])]
    dataset.SliceThickness = _decimal(geometry.spacing[0])
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    is_color = pixels.ndim == 3
    dataset.SamplesPerPixel = 3 if is_color else 1
    dataset.PhotometricInterpretation = "RGB" if is_color else "MONOCHROME2"
    if is_color:
        dataset.PlanarConfiguration = 0
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if not is_color:
        dataset.RescaleSlope, dataset.RescaleIntercept = _decimal(rescale[0]), _decimal(rescale[1])
    data = pixels.tobytes()
    dataset.add_new("PixelData", "OW" if bits > 8 else "OB", data + b"\0" * (len(data) % 2))
    return dataset


def _stored_values(array: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return integers and the rescale slope and intercept that give back `array`."""
    if array.dtype in (np.uint8, np.int16, np.uint16):
        return array, 1.0, 0.0
    if np.issubdtype(array.dtype, np.integer):
        return array.astype(np.int16), 1.0, 0.0
    low, high = float(array.min()), float(array.max())
    slope = float(_decimal(max(high - low, 1e-6) / 60000))
    intercept = float(_decimal((low + high) / 2))
    return np.round((array - intercept) / slope).astype(np.int16), slope, intercept


def _override(dataset: Dataset, overrides: dict[str, Any], k: int) -> None:
    for keyword, given in overrides.items():
        value = given(k) if callable(given) else given
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        elif keyword == "PixelData":
            dataset.PixelData = value
        else:
            setattr(dataset, keyword, value)


def _decimal(value: float) -> str:
    """Return a DICOM decimal string of at most 16 characters."""
    for digits in range(14, 3, -1):
        text = f"{float(value):.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError(f"{value} does not fit a decimal string")
