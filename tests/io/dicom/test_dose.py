"""RT Dose: gray only by the factor that the file gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.volume import Volume

GRID = Geometry.from_parts((3, 6, 8), (2.5, 3.0, 2.0), (-20.0, -30.0, 50.0))
STORED = (np.arange(144) * 301 % 65536).astype(np.uint16).reshape(GRID.shape)


def write_dose(folder: Path, **tags: Any) -> Path:
    one = Volume(STORED[:1], Geometry((1, 6, 8), GRID.affine))
    given = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2",
        "NumberOfFrames": 3,
        "GridFrameOffsetVector": [0.0, 2.5, 5.0],
        "DoseUnits": "GY",
        "DoseGridScaling": "0.0015",
        "RescaleSlope": None,
        "RescaleIntercept": None,
        "PixelData": STORED.tobytes(),
    }
    (path,) = write_dicom_series(folder, one, modality="RTDOSE", **(given | tags))
    return path


def test_scaled(tmp_path: Path) -> None:
    (volume,) = read(write_dose(tmp_path))
    assert np.allclose(volume.array, STORED * 0.0015)
    assert volume.metadata.units == "Gy"
    assert volume.geometry.is_close(GRID)


@pytest.mark.parametrize(
    ("scaling", "word"),
    [(None, "missing"), ("", "missing"), ("0", "0, expected"), ("-0.5", "-0.5, expected")],
    ids=["missing", "empty", "zero", "negative"],
)
def test_no_dose_without_scaling(tmp_path: Path, scaling: str | None, word: str) -> None:
    path = write_dose(tmp_path, DoseGridScaling=scaling, RescaleSlope=2, RescaleIntercept=0)
    with pytest.raises(ReadError, match=rf"{path.name} frame 1: DoseGridScaling is {word}.*export the dose again"):
        read(path)


def test_relative_dose_has_no_unit(tmp_path: Path) -> None:
    (volume,) = read(write_dose(tmp_path, DoseUnits="RELATIVE"))
    assert np.allclose(volume.array, STORED * 0.0015)
    assert volume.metadata.units == ""
