"""What a scan is shown as: its unit, its windows, and which is first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.look import CT_WINDOWS, Look, look_of
from napari_radcnn.phantom import disks
from napari_radcnn.voi import VoiWindow
from napari_radcnn.volume import Volume, VolumeMetadata

GRID = Geometry.from_parts((6, 8, 10), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))


def volume(values=None, factor=None, warnings=(), **metadata):
    array = np.arange(480, dtype=np.float32).reshape(GRID.shape) if values is None else np.asarray(values)
    return Volume(array, GRID, VolumeMetadata(**metadata), warnings, factor)


def test_a_ct_has_its_presets_in_the_order_of_their_keys():
    look = look_of(volume(modality="CT", units="HU"))
    assert [(p.name, p.window.center, p.window.width) for p in look.presets] == list(CT_WINDOWS)
    assert look.window.limits == (-160, 240)
    assert (look.unit, look.is_inverted, look.reach) == ("HU", False, (0, 479))


def test_the_files_own_windows_come_first_and_are_shown_first():
    own = (VoiWindow(30, 60, "HEAD"), VoiWindow(7, 9, function="SIGMOID"))
    look = look_of(volume(modality="CT", units="HU", windows=own))
    assert [p.name for p in look.presets[:3]] == ["HEAD", "As stored 2", "Abdomen"]
    assert [p.is_own for p in look.presets[:3]] == [True, True, False]
    assert (look.first, look.window.limits) == (0, own[0].limits)


def test_a_ct_without_a_modality_is_recognized_by_its_values():
    ct = disks()[0]
    bare = replace(ct, metadata=VolumeMetadata(name="x"))
    look = look_of(bare)
    assert (look.kind, look.is_recognized, look.unit) == ("CT", True, "HU")
    assert look.presets[0].name == "Abdomen"


def test_a_ct_whose_values_are_shifted_has_its_windows_moved_along_and_no_unit():
    ct = disks()[0]
    look = look_of(Volume(ct.array + 1024, ct.geometry, VolumeMetadata(name="x")))
    assert (look.kind, look.unit) == ("CT", "")
    assert look.presets[0].window.center == pytest.approx(40 + 1024, abs=12)
    assert "HU too high" in look.note


def test_what_is_no_ct_is_not_taken_for_one():
    assert look_of(volume()).kind == ""
    assert look_of(volume(modality="MR")).presets[0].name == "Middle 99 %"
    assert look_of(volume(units="mm2/s")).unit == "mm2/s"


def test_pet_is_in_suv_inverted_from_0_to_7():
    look = look_of(volume(factor=0.0005, modality="PT", units="Bq/ml", windows=(VoiWindow(500, 1000),)))
    assert look.unit == "SUVbw"
    assert look.is_inverted
    assert look.window.limits == pytest.approx((0, 14000))
    assert look.written(14000) == pytest.approx(7)
    written = look.written_window(look.window)
    assert (written.center, written.width) == pytest.approx((3.5, 7))


def test_pet_without_suv_is_in_its_unit_with_the_reason():
    reason = "SUV is not available: PatientWeight is missing. The values are shown as stored."
    look = look_of(volume(modality="PT", units="Bq/ml", warnings=("other", reason)))
    assert (look.unit, look.is_inverted, look.factor) == ("Bq/ml", True, 1.0)
    assert look.note == "SUV is not available: PatientWeight is missing."


@pytest.mark.parametrize(
    "values",
    [
        np.full(GRID.shape, 7, np.int16),
        np.full(GRID.shape, np.nan, np.float32),
        np.where(np.arange(480).reshape(GRID.shape) % 3, np.float32(np.inf), np.float32(2.5)),
    ],
    ids=["constant", "nan", "infinite"],
)
@pytest.mark.parametrize("modality", ["", "CT", "MR", "PT"])
def test_a_scan_without_a_range_has_a_window_all_the_same(values, modality):
    look = look_of(volume(values, modality=modality))
    low, high = look.window.limits
    assert low < high
    assert np.isfinite([low, high, *look.reach]).all()
    assert look.reach[0] < look.reach[1]


def test_the_default_look_can_be_used():
    assert Look().window.limits == (0, 1)
