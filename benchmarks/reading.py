"""How fast scans are opened, and how much memory that takes, beside SimpleITK on the same files."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK

import napari_radcnn as radcnn
from benchmarks.common import side_by_side, table
from napari_radcnn.io import list_series

_SHAPE = (400, 512, 512)
_SPACING = (1.0, 0.7, 0.7)
_HEADERS = 2000
#: What reading takes over what was there before, in the arrays that come out of it.
_MEMORY = """
import sys, threading, psutil, napari_radcnn
if sys.argv[2:]:
    import SimpleITK
else:
    napari_radcnn.read(sys.argv[1] + "/../warm-up")
process, peak, done = psutil.Process(), 0, threading.Event()
before = process.memory_info().rss
def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, process.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
if sys.argv[2:]:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(sys.argv[1]))
    image = reader.Execute()
    size = image.GetNumberOfPixels() * 2
    array = SimpleITK.GetArrayFromImage(image)
else:
    size = sum(volume.array.nbytes for volume in napari_radcnn.read(sys.argv[1]))
done.set()
watcher.join()
print((peak - before) / size)
"""


def report() -> str:
    """Return the figures as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        series, warm_up, nifti, headers = (root / name for name in ("series", "warm-up", "scan.nii.gz", "headers"))
        array = _scan()
        write_series(series, array)
        write_series(warm_up, array[:3])
        _write_nifti(nifti, array)
        write_series(headers, np.resize(array, (_HEADERS, *_SHAPE[1:])))
        seconds = side_by_side(
            {
                "series": lambda: radcnn.read(series),
                "series, SimpleITK": lambda: _series_with_simpleitk(series),
                "nifti": lambda: radcnn.read(nifti),
                "nifti, SimpleITK": lambda: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(nifti))),
            },
            rounds=5,
        )
        # 2,000 files of this size fill the computer's file cache slowly: a first look at each, then turns
        seconds |= side_by_side(
            {"headers": lambda: list_series(headers), "all of 2,000": lambda: radcnn.read(headers)}, rounds=3
        )
        memory = [_memory(series, *extra) for extra in ((), ("SimpleITK",))]
    rows = [
        _row("DICOM series to array", seconds["series"], "SimpleITK's series reader", seconds["series, SimpleITK"]),
        _row(".nii.gz to array", seconds["nifti"], "SimpleITK", seconds["nifti, SimpleITK"]),
        _row(f"list a folder of {_HEADERS:,} slices", seconds["headers"], "reading them", seconds["all of 2,000"]),
    ]
    memory_row = ("peak memory while a series is read, in sizes of its array", f"{memory[0]:.2f}")
    return (
        "A CT of 400 slices of 512 x 512 (int16, 210 MB, uncompressed), files in the cache of the operating system; "
        "medians of runs in turns.\n\n"
        + table(("", "here", "compared with", "", "times as fast"), rows)
        + "\n\n"
        + table(("", "here", "SimpleITK"), [(*memory_row, f"{memory[1]:.2f}")])
    )


def _row(what: str, ours: float, other_name: str, other: float) -> tuple[str, ...]:
    return what, f"{ours:.2f} s", other_name, f"{other:.2f} s", f"{other / ours:.1f}"


def _scan() -> np.ndarray:
    """Return a body of soft tissue in air, with the noise of a CT: it compresses as a scan does."""
    random = np.random.default_rng(0)
    k, j, i = np.ogrid[tuple(slice(-1, 1, complex(0, n)) for n in _SHAPE)]
    body = (j / 0.7) ** 2 + (i / 0.9) ** 2 + 0 * k < 1
    noise = random.normal(0, 12, (16, *_SHAPE[1:])).astype(np.int16)
    return np.where(body, np.int16(40), np.int16(-1000)) + np.resize(noise, _SHAPE)


def write_series(folder: Path, array: np.ndarray) -> None:
    """Write a CT, one file a slice; only what differs from slice to slice is encoded again."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir()
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.Modality, dataset.SeriesNumber, dataset.PatientName = "CT", 3, "PHANTOM"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = list(_SPACING[1:]), _SPACING[0]
    dataset.Rows, dataset.Columns = array.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    for k, pixels in enumerate(array):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = [-179.2, -179.2, k * _SPACING[0]]
        dataset.PixelData = pixels.tobytes()
        dataset.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)


def _write_nifti(path: Path, array: np.ndarray) -> None:
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(_SPACING[::-1])
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def _series_with_simpleitk(folder: Path) -> np.ndarray:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return SimpleITK.GetArrayFromImage(reader.Execute())


def _memory(folder: Path, *extra: str) -> float:
    found = subprocess.run([sys.executable, "-c", _MEMORY, folder, *extra], capture_output=True, text=True, check=True)
    return float(found.stdout)
