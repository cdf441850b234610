"""What a scan is: drawn patients are told for what they are, and what is no patient for that; unknown stays unknown."""

from __future__ import annotations

import numpy as np
import pytest

from drawn_scans import chest_ct, head_mr
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import world_field
from napari_radcnn.suitability import Traits, trait_lines, what_is
from napari_radcnn.volume import Volume

GRID = Geometry.from_parts((20, 48, 40), (3.0, 1.5, 1.6), (-10.0, 20.0, 30.0))


def made(values, **metadata):
    shape = values.shape
    return Volume(values, Geometry.from_parts(shape, (3.0, 1.5, 1.6), (-10.0, 20.0, 30.0))).with_metadata(**metadata)


def test_a_chest_is_told_by_its_values_alone():
    scan = what_is(chest_ct())
    assert (scan.modality.value, scan.modality.source, scan.modality.is_sure) == ("CT", "voxels", True)
    assert "chest" in scan.regions.value
    assert scan.regions.is_sure
    assert scan.hounsfield.value is True
    assert scan.turned.value is False


def test_a_trunk_without_lungs_is_no_chest():
    assert "chest" not in what_is(chest_ct(lungs=False)).regions.value


@pytest.mark.parametrize("offset", [1000, 1024])
def test_a_ct_before_its_rescaling_is_told_with_what_to_add(offset):
    volume = chest_ct()
    scan = what_is(volume.with_array((volume.array + offset).clip(0).astype(np.uint16)))
    assert scan.hounsfield.value is False
    assert scan.modality.value == "CT"
    assert scan.offset.value == pytest.approx(-offset, abs=30)


@pytest.mark.parametrize("lung", [-830, -780, -720])
def test_lung_that_fills_a_crop_is_no_air_without_its_intercept(lung):
    rng = np.random.default_rng(4)
    k, j, i = np.indices((24, 48, 44))
    values = np.where(i < 30 + 4 * np.sin(j / 7 + k / 9), lung, 45) + rng.normal(0, 12, k.shape)
    values = np.where((i > 38) & (j > 30), 250.0 + rng.normal(0, 12, k.shape), values)
    scan = what_is(made(values.astype(np.float32)))
    assert not scan.offset.is_known
    assert not (scan.hounsfield.is_sure and scan.hounsfield.value is False)


@pytest.mark.parametrize("orientation", ["SPL", "RAI", "LIP", "PSR"])
def test_the_order_of_the_axes_makes_no_difference(orientation):
    first, second = (what_is(volume) for volume in (chest_ct(), chest_ct().reoriented(orientation)))
    assert first.regions.value == second.regions.value
    assert first.modality == second.modality


def test_a_body_whose_axes_are_exchanged_is_noticed():
    volume = chest_ct()
    values = np.ascontiguousarray(np.swapaxes(volume.array, 0, 1))
    lying = Volume(values, Geometry.from_parts(values.shape, (4.0, 5.0, 4.5), (0.0, 0.0, 0.0)))
    assert what_is(lying).turned.value


def test_a_head_is_told_from_a_brain_alone():
    whole, brain = what_is(head_mr()), what_is(head_mr(stripped=True))
    assert whole.regions.value == brain.regions.value == ["head"]
    assert (whole.stripped.value, brain.stripped.value) == (False, True)
    assert brain.contrast.value == "T1"
    assert whole.modality.value == "MR"


@pytest.mark.parametrize("axis", [0, 1])
def test_a_head_that_is_turned_round_is_noticed(axis):
    volume = head_mr()
    turned = what_is(volume.with_array(np.flip(volume.array, axis).copy()))
    assert turned.turned.value if axis == 0 else turned.regions.value == ["head"]


def test_inverted_gray_is_noticed():
    volume = head_mr(stripped=True)
    assert what_is(volume.with_array(volume.array.max() - volume.array)).inverted.value is True
    assert what_is(volume).inverted.value is False


def test_half_a_head_is_cut_off():
    volume = head_mr()
    box = [slice(None), slice(None), slice(0, 30)]
    half = volume.with_array(volume.array[tuple(box)].copy(), volume.geometry.cropped(box))
    scan = what_is(half)
    assert not scan.regions.is_sure or "L" in scan.cut_off.value


def test_voxels_win_over_a_header_that_says_something_else_and_the_contradiction_is_told():
    scan = what_is(chest_ct().with_metadata(modality="MR"))
    assert scan.modality.value == "CT"
    assert scan.contradictions == ("The header says MR, but the values are those of a CT.",)
    scan = what_is(chest_ct().with_metadata(modality="CT", acquisition={"body_part": "KNEE"}))
    assert "chest" in scan.regions.value
    assert any("knee" in line for line in scan.contradictions)


def test_a_header_tells_what_voxels_do_not():
    noise = np.random.default_rng(0).normal(size=(12, 30, 32)).cumsum(1).cumsum(2)
    scan = what_is(made(noise, modality="MR", acquisition={"body_part": "PROSTATE"}))
    assert (scan.modality.value, scan.regions.value, scan.regions.source) == ("MR", ["pelvis"], "header")
    assert not scan.regions.is_sure


@pytest.mark.parametrize(
    ("times", "contrast"),
    [
        ((500, 12, 0), "T1"),
        ((2100, 4, 900), "T1"),
        ((4500, 95, 0), "T2"),
        ((9000, 110, 2400), "FLAIR"),
        ((3000, 20, 0), None),
    ],
)
def test_times_of_an_mr_make_its_contrast(times, contrast):
    stated = dict(zip(("repetition_time", "echo_time", "inversion_time"), map(str, times), strict=True))
    noise = np.random.default_rng(0).normal(size=(12, 30, 32)).cumsum(1).cumsum(2)
    assert what_is(made(noise, modality="MR", acquisition=stated)).contrast.value == contrast


RNG = np.random.default_rng(5)
NO_PATIENTS = {
    "noise": RNG.normal(-300, 500, GRID.shape),
    "constant": np.full(GRID.shape, 7.0),
    "no numbers": np.full(GRID.shape, np.nan, np.float32),
    "label map": np.kron(RNG.integers(0, 5, (5, 6, 5)), np.ones((4, 8, 8), int)),
    "drawing": np.where(np.indices(GRID.shape)[1] > 20, 40, -1000),
    "probability map": np.clip(
        4 * np.kron(RNG.normal(-0.2, 0.4, (5, 6, 5)), np.ones((4, 8, 8))) + RNG.normal(0, 0.1, GRID.shape), 0, 1
    ),
}


@pytest.mark.parametrize("kind", NO_PATIENTS)
def test_what_is_no_patient_is_told(kind):
    assert what_is(made(NO_PATIENTS[kind])).kind.value == kind


def test_a_field_that_rises_evenly_is_a_gradient():
    assert what_is(world_field(GRID)).kind.value == "gradient"


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (2, 3, 4), (1, 300, 2), (2, 64, 64), (300, 3, 3), (6, 6, 6)],
    ids=lambda shape: "x".join(map(str, shape)),
)
def test_odd_shapes_are_no_crash_and_nothing_is_claimed(shape):
    values = np.random.default_rng(1).normal(size=shape).cumsum(-1)
    scan = what_is(made(values))
    assert isinstance(scan, Traits)
    assert not scan.modality.is_known
    assert not scan.regions.is_known


def test_a_color_picture_and_gaps_are_told():
    color = Volume(np.zeros((2, 9, 8, 3), np.uint8), Geometry.from_parts((2, 9, 8), (1, 1, 1), (0, 0, 0)))
    assert what_is(color).kind.value == "color"
    values = chest_ct().array.astype(np.float32)
    values[:10] = np.nan
    assert what_is(chest_ct().with_array(values)).missing.value == pytest.approx(0.2, abs=0.05)


def test_it_is_told_in_words_and_as_json_types():
    lines = list(trait_lines(what_is(chest_ct())))
    assert "modality: CT (voxels, sure)" in lines
    told = what_is(chest_ct()).to_dict()
    assert told["modality"] == {"value": "CT", "source": "voxels", "sure": 0.95}
    assert told["contradictions"] == []


def test_an_answer_is_kept_by_all_that_is_looked_at():
    volume = chest_ct()
    first = what_is(volume)
    assert what_is(volume.with_array(volume.array.copy())) is first
    changed = volume.array.copy()
    changed[25, 35, 42] += 500
    assert what_is(volume.with_array(changed)) is not first
    assert what_is(volume.with_metadata(modality="CT")).modality.source == "header and voxels"


@pytest.mark.parametrize("far", [1e7, -1e12, 1e17])
def test_values_far_from_those_of_any_ct_are_no_ct(far: float) -> None:
    values = far + np.abs(far) * 1e-3 * np.random.default_rng(0).normal(size=(20, 30, 24))
    geometry = Geometry.from_parts(values.shape, (2.0, 1.0, 1.2), (3.0, -7.0, 11.0), np.eye(3)[:, ::-1])
    assert what_is(Volume(values.astype(np.float32), geometry)).modality.value != "CT"
