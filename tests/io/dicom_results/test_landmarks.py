"""Landmarks as a report: points where they were found, read back by us, highdicom and dcmqi, and valid."""

from __future__ import annotations

import highdicom
import numpy as np
import pytest
from pydicom import dcmread

import dcmqi_reader
import napari_radcnn as radcnn
from dciodvfy import errors_in
from dicom_factory import write_dicom_series
from grids import oblique
from napari_radcnn.errors import WriteError
from napari_radcnn.io import read_report
from napari_radcnn.phantom import world_field
from napari_radcnn.results import Landmark, Landmarks

POINT = highdicom.sr.GraphicTypeValues3D.POINT
MARKS = Landmarks(
    (
        Landmark("anterior commissure", (12.5, -3.25, 41.75), 0.875),
        Landmark("Kante größer", (-7.125, 88.5, -20.25), float("nan")),
    )
)


@pytest.fixture
def report(tmp_path):
    write_dicom_series(tmp_path / "series", world_field(oblique()))
    return radcnn.write(MARKS, tmp_path / "marks.sr.dcm", reference=tmp_path / "series")


def test_points_and_scores_are_read_back(report):
    found = read_report(report).findings
    assert [one.label for one in found] == ["anterior commissure", "Kante größer"]
    for one, mark in zip(found, MARKS.points, strict=True):
        np.testing.assert_allclose(one.box.center, mark.position, atol=1e-4)
        assert one.box.size == (0, 0, 0)
    assert [[(m.name, m.value, m.unit) for m in one.measurements] for one in found] == [
        [("Probability", 0.875, "1")],
        [],
    ]
    assert (
        read_report(report).frame_of_reference_uid
        == dcmread(next((report.parent / "series").iterdir())).FrameOfReferenceUID
    )


def test_highdicom_reads_points_in_the_frame_of_reference_of_the_scan(report):
    groups = highdicom.sr.srread(report).content.get_planar_roi_measurement_groups(graphic_type=POINT)
    assert len(groups) == 2
    for group, mark in zip(groups, MARKS.points, strict=True):
        np.testing.assert_allclose(group.roi.value, [mark.position], atol=1e-4)
        assert group.finding_type.meaning == mark.name
        assert group.finding_category.meaning == "Spatial and Relational Concept"


def test_the_file_is_valid_and_dcmqi_reads_the_score(report, tmp_path):
    assert errors_in(report) == set()
    (tmp_path / "dcmqi").mkdir()
    first, _ = dcmqi_reader.groups_in(report, tmp_path / "dcmqi")
    assert dcmqi_reader.numbers_in(first) == {("Probability", ""): (0.875, "1")}


def test_what_cannot_be_reported_is_told(tmp_path):
    with pytest.raises(WriteError, match="no landmarks to report"):
        radcnn.write(Landmarks(()), tmp_path / "a.sr.dcm")
    with pytest.raises(WriteError, match=r"original DICOM series.*\.json instead"):
        radcnn.write(MARKS, tmp_path / "a.sr.dcm")
    write_dicom_series(tmp_path / "series", world_field(oblique()))
    for path in (tmp_path / "series").iterdir():
        dataset = dcmread(path)
        del dataset.FrameOfReferenceUID
        dataset.save_as(path)
    with pytest.raises(WriteError, match=r"lacks FrameOfReferenceUID.*\.json instead"):
        radcnn.write(MARKS, tmp_path / "b.sr.dcm", reference=tmp_path / "series")
    assert not list(tmp_path.glob("*.sr.dcm"))
