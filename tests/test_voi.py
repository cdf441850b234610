"""Windows against the formulas of DICOM PS3.3, C.11.2, as pydicom implements them, and their shape on a display."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi, apply_windowing

from napari_radcnn.voi import VoiWindow

RAMP = np.arange(-1024, 3072, dtype=np.int16)


def windowed(function, center, width):
    """Return what pydicom makes of the ramp, from 0 to 1."""
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 1
    dataset.BitsStored, dataset.BitsAllocated = 16, 16
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = center, width, function
    out = apply_windowing(RAMP, dataset)
    return (out - -(2**15)) / (2**16 - 1)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(40, 400), (-600, 1500), (35.5, 35), (400, 2)])
def test_brightness_is_that_of_pydicom(function, center, width):
    window = VoiWindow(center, width, function=function)
    expected = windowed(function, center, width)
    assert np.allclose(window.brightness(RAMP), expected, atol=1e-4)
    assert np.ptp(expected) > 0.7


def test_a_table_is_that_of_pydicom():
    entries = (np.linspace(0, 1, 500) ** 2.2 * 4095).astype(np.uint16)
    dataset, item = Dataset(), Dataset()
    dataset.PixelRepresentation, dataset.BitsStored = 1, 16
    item.LUTDescriptor, item.LUTData = [500, -60, 12], entries.tolist()
    item["LUTDescriptor"].VR = "SS"
    dataset.VOILUTSequence = [item]
    window = VoiWindow.of_limits((-60, -60 + 499), "gamma", "TABLE", tuple((entries / 4095).tolist()))
    assert np.allclose(window.brightness(RAMP), apply_voi(RAMP, dataset) / 4095, atol=1e-9)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_limits_go_there_and_back(function):
    window = VoiWindow(41.5, 377, "x", function)
    back = VoiWindow.of_limits(window.limits, "x", function)
    assert (back.center, back.width) == pytest.approx((41.5, 377))
    assert (back.name, back.function) == ("x", function)
    assert window.curve(7)[[0, -1]] == pytest.approx([0, 1], abs=4e-4)
    assert (np.diff(window.curve(64)) > 0).all()


def test_the_limits_of_linear_and_linear_exact_differ_by_one():
    assert VoiWindow(40, 400).limits == (-160, 239)
    assert VoiWindow(40, 400, function="LINEAR_EXACT").limits == (-160, 240)
    low, high = VoiWindow(10, 1).limits
    assert low < 9.5 < high < 10 - 0.49


@pytest.mark.parametrize(
    ("center", "width", "function", "table"),
    [
        (np.nan, 1, "LINEAR", ()),
        (0, 0, "LINEAR", ()),
        (0, -5, "SIGMOID", ()),
        (0, np.inf, "LINEAR_EXACT", ()),
        (0, 1, "TABLE", ()),
        (0, 1, "LINEAR", (0.0, 1.0)),
    ],
)
def test_what_is_no_window_is_refused(center, width, function, table):
    with pytest.raises(ValueError, match="need"):
        VoiWindow(center, width, "", function, table)
