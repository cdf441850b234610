"""Segmentations of radiographs lie on the picture that they name, and have its sides."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest

import napari_radcnn as radcnn
from contour_files import box, write_contours
from film_segmentation import film_with_segments
from films import corner_picture, read_film
from napari_radcnn.errors import ReadError


def test_labels_lie_on_the_film_and_have_its_sides(tmp_path):
    film, path = film_with_segments(tmp_path, corner_picture(), PatientOrientation=["R", "F"], ViewPosition="AP")
    read_film(tmp_path / "film" / "another", corner_picture()[:, ::-1], PatientOrientation=["L", "F"])
    shutil.copy(path, tmp_path / "film" / path.name)
    (labels,) = (volume for volume in radcnn.read(tmp_path / "film") if volume.metadata.is_label)
    assert np.array_equal(labels.array[0] > 0, corner_picture() > 500)
    assert labels.geometry.is_close(film.geometry)
    assert not labels.metadata.is_placed
    assert labels.metadata.sides == film.metadata.sides
    assert labels.metadata.acquisition == film.metadata.acquisition
    assert [label.name for label in labels.labels.values()] == ["liver"]


def test_without_their_film_or_on_one_of_another_size_they_are_refused(tmp_path):
    _, path = film_with_segments(tmp_path, corner_picture())
    with pytest.raises(ReadError, match="the radiograph that it was made of is not beside it"):
        radcnn.read(path)
    shutil.copy(path, tmp_path / "film" / path.name)
    (header,) = (tmp_path / "film").glob("IM*")
    dataset = pydicom.dcmread(header)
    dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows
    dataset.save_as(header)
    volumes = radcnn.read(tmp_path / "film")
    assert [volume.metadata.is_label for volume in volumes] == [False]
    assert any("40 x 60 pixels, but the radiograph that it was made of 60 x 40" in line for line in volumes[0].warnings)


def test_contours_of_a_film_say_why_they_cannot_be_drawn(tmp_path):
    film = read_film(tmp_path / "film", corner_picture())
    write_contours(tmp_path / "film" / "rs.dcm", film, {"Lung": [box(film.geometry, 0, (2.5, 2.5), (9.5, 9.5))]})
    (volume,) = radcnn.read(tmp_path / "film")
    assert any("radiograph, which has no place in the patient" in line for line in volume.warnings)
