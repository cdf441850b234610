"""What a header says of how a scan was made: codes and numbers only."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from grids import axial
from napari_radcnn.io.dicom.acquisition import acquisition_of
from napari_radcnn.phantom import world_field


def stated(**tags):
    return dict(acquisition_of(SimpleNamespace(tags=tags)))


def test_codes_and_numbers_are_kept():
    assert stated(BodyPartExamined="Chest", ViewPosition="PA", EchoTime="3.5", RepetitionTime=2000) == {
        "body_part": "CHEST",
        "view": "PA",
        "echo_time": "3.5",
        "repetition_time": "2000",
    }
    assert stated(ContrastBolusAgent="Name of a drug") == {"contrast_agent": "yes"}
    assert stated(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]) == {"is_localizer": "yes"}


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"BodyPartExamined": "Doe^Jane, born 1970"},
        {"BodyPartExamined": ""},
        {"EchoTime": "fast"},
        {"EchoTime": "nan"},
        {"ImageType": ["ORIGINAL"]},
    ],
)
def test_what_somebody_typed_is_not(tags):
    assert stated(**tags) == {}


def test_a_series_is_read_with_it(tmp_path):
    write_dicom_series(tmp_path / "scan", world_field(axial()), BodyPartExamined="KNEE", EchoTime="12")
    (volume,) = radcnn.read(tmp_path / "scan")
    assert volume.metadata.acquisition["body_part"] == "KNEE"
    assert volume.metadata.acquisition["echo_time"] == "12"
