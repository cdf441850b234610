"""What the list of scans says of series that cannot be shown as they are, or not at all."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.scans.folder import list_paths, load, repaired
from napari_radcnn.phantom import head

pytestmark = pytest.mark.gui
GRID = Geometry.from_parts((6, 12, 10), (8.0, 5.0, 6.0), (-80.0, -90.0, -40.0))


def written(path, change=None):
    files = write_dicom_series(path, head(GRID), modality="CT")
    for file in files if change is not None else ():
        dataset = pydicom.dcmread(file)
        change(dataset)
        dataset.save_as(file)
    return files


def drop(*keywords):
    def change(dataset):
        for keyword in keywords:
            if keyword in dataset:
                delattr(dataset, keyword)

    return change


def in_color(dataset):
    drop("RescaleSlope", "RescaleIntercept")(dataset)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    values = np.arange(dataset.Rows * dataset.Columns * 3) % 251
    dataset.PixelData = values.astype(np.uint8).tobytes()


def as_document(dataset):
    drop("PixelData", "Rows", "Columns")(dataset)
    dataset.Modality = "DOC"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"


def row(path):
    (found,) = list_paths([path]).scans
    return found


def test_an_irregular_series_says_why_and_that_something_can_be_done(tmp_path):
    written(tmp_path)[3].unlink()
    found = row(tmp_path)
    assert "not evenly spaced" in found.problem
    assert "expected 8.000 mm" in found.problem
    assert "press *Interpolate to an even grid* or *Open its even parts*." in found.problem
    assert "on_irregular" not in found.problem
    assert not found.can_open
    assert found.can_be_repaired


def test_a_series_that_no_even_grid_fits_names_the_button_that_is_left(tmp_path):
    files = written(tmp_path)
    datasets = [pydicom.dcmread(file) for file in files]
    top = max(range(len(files)), key=lambda n: datasets[n].ImagePositionPatient[2])
    datasets[top].ImagePositionPatient[2] += 500.0
    datasets[top].save_as(files[top])
    found = row(tmp_path)
    with pytest.raises(ReadError, match=r"press \*Open its even parts\*") as refused:
        load([repaired(found, "resample")])
    assert "on_irregular" not in str(refused.value)


def test_what_is_no_image_says_what_it_is(tmp_path):
    for file in written(tmp_path, as_document)[1:]:
        file.unlink()
    found = row(tmp_path)
    assert "not an image: a document" in found.problem
    assert not found.can_open


def test_one_slice_opens_as_one(tmp_path):
    for file in written(tmp_path)[1:]:
        file.unlink()
    found = row(tmp_path)
    assert "1 slice" in found.details
    assert found.can_open
    (data,) = load([found])
    assert data[0].shape == (1, 12, 10)


def test_color_opens_in_color(tmp_path):
    written(tmp_path, in_color)
    (data,) = load([row(tmp_path)])
    assert data[1]["rgb"]
    assert data[0].shape[-1] == 3


def test_a_series_without_a_place_opens_with_a_word_on_it(tmp_path):
    written(tmp_path, drop("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
    found = row(tmp_path)
    assert "mm" not in found.details
    data = load([found])
    assert data
    told = [line for each in data for line in each[1]["metadata"]["radcnn"]["warnings"]]
    assert any("position" in line.lower() or "spacing" in line.lower() for line in told)
