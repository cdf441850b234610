"""The windows and tables of files, against what was written into them."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_factory import write_dicom_series
from napari_radcnn.geometry import Geometry
from napari_radcnn.io import read
from napari_radcnn.phantom import head
from napari_radcnn.voi import VoiWindow

GRID = Geometry.from_parts((4, 9, 7), (3.0, 1.5, 2.0), (-11.0, 7.5, 20.25))


def written(folder, **tags):
    write_dicom_series(folder, head(GRID), **tags)
    return read(folder)[0].metadata


def table(n=300, first=-20, bits=12, name="gamma"):
    item = Dataset()
    item.LUTDescriptor, item.LUTExplanation = [n, first, bits], name
    item["LUTDescriptor"].VR = "SS"
    item.LUTData = (np.linspace(0, 1, n) ** 2 * ((1 << bits) - 1)).astype(np.uint16).tolist()
    item["LUTData"].VR = "US"
    return item


def test_all_windows_are_read_by_name_with_their_function(tmp_path):
    found = written(
        tmp_path,
        WindowCenter=[40, -600],
        WindowWidth=[400, 1500],
        WindowCenterWidthExplanation=["ABDOMEN", "LUNG"],
        VOILUTFunction="LINEAR_EXACT",
    )
    assert found.windows == (
        VoiWindow(40, 400, "ABDOMEN", "LINEAR_EXACT"),
        VoiWindow(-600, 1500, "LUNG", "LINEAR_EXACT"),
    )
    assert (found.window_center, found.window_width) == (40, 400)


def test_without_a_function_a_window_is_linear_and_without_a_window_there_is_none(tmp_path):
    assert written(tmp_path / "a", WindowCenter="5", WindowWidth="9").windows == (VoiWindow(5, 9),)
    assert written(tmp_path / "b", WindowCenter=None, WindowWidth=None).windows == ()


def test_a_table_comes_after_the_windows(tmp_path):
    found = written(tmp_path, WindowCenter="5", WindowWidth="9", VOILUTSequence=[table()]).windows
    assert [window.function for window in found] == ["LINEAR", "TABLE"]
    assert found[1].name == "gamma"
    assert found[1].limits == (-20, 279)
    assert found[1].brightness([-500, -20, 129.5, 279, 900]) == pytest.approx([0, 0, 0.25, 1, 1], abs=2e-3)


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": "5", "WindowWidth": "0"},
        {"WindowCenter": "5", "WindowWidth": "-3"},
        {"WindowCenter": "5", "WindowWidth": "0.5"},  # a LINEAR one is at least 1 wide
        {"WindowCenter": None, "WindowWidth": None, "VOILUTSequence": [table(1)]},
    ],
)
def test_a_window_that_cannot_be_is_left_out(tmp_path, tags):
    assert written(tmp_path, **tags).windows == ()


@pytest.mark.parametrize(
    ("photometric", "shape", "is_inverted"),
    [
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),  # the same again, not back
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
    ],
)
def test_inverse_presentation(tmp_path, photometric, shape, is_inverted):
    found = written(tmp_path, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert found.is_inverted is is_inverted
