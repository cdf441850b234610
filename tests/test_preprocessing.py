from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from grids import ALL, SHAPE, axial
from napari_radcnn.phantom import world_field
from napari_radcnn.preprocessing import Crop, Reorient, Resize, resize, scale_to_range, standardize

STEPS = [Reorient("RAS"), Crop(((1, 3), (0, 3), (2, 5))), Resize((6, 3, 8))]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("name", ALL)
def test_a_step_moves_nothing_in_the_patient(step, name):
    before = world_field(ALL[name]())
    after = step.apply(before)
    inner = tuple(slice(1, -1) if n > 2 else slice(None) for n in after.array.shape)
    if isinstance(step, Resize):  # interpolation repeats the border, where the field goes on
        assert np.abs(after.array - world_field(after.geometry).array)[inner].max() < 1e-2
    else:
        assert np.abs(after.array - world_field(after.geometry).array).max() < 1e-2


@pytest.mark.parametrize("name", ALL)
def test_a_crop_comes_back_where_it_was(name):
    before = world_field(ALL[name]())
    crop = Crop(((1, 3), (0, 3), (2, 5)), fill=-1.0)
    back = crop.invert(crop.apply(before).array, before.geometry)
    assert np.array_equal(back[1:3, 0:3, 2:5], before.array[1:3, 0:3, 2:5])
    assert (back == -1).sum() == back.size - 2 * 3 * 3


@pytest.mark.parametrize("name", ALL)
def test_reorienting_comes_back(name):
    before = world_field(ALL[name]())
    step = Reorient("ARI")
    assert np.array_equal(step.invert(step.apply(before).array, before.geometry), before.array)


@given(st.tuples(*[st.integers(1, 5) for _ in range(3)]))
def test_nearest_up_and_down_again_is_exact(factors):
    array = np.arange(60).reshape(SHAPE)
    larger = resize(array, [n * f for n, f in zip(SHAPE, factors, strict=True)], "nearest")
    assert np.array_equal(resize(larger, SHAPE, "nearest"), array)


def test_nearest_takes_the_voxel_whose_center_is_nearest():
    line = np.arange(6).reshape(1, 1, 6)
    assert resize(line, (1, 1, 4), "nearest").ravel().tolist() == [0, 2, 3, 5]
    assert resize(line, (1, 1, 9), "nearest").ravel().tolist() == [0, 1, 1, 2, 3, 3, 4, 5, 5]


def test_linear_is_exact_on_a_ramp():
    line = np.arange(6, dtype=float).reshape(1, 1, 6)
    assert resize(line, (1, 1, 3), "linear").ravel() == pytest.approx([0.5, 2.5, 4.5])


def test_resizing_keeps_a_single_slice():
    assert resize(np.ones((1, 4, 5)), (1, 8, 10), "linear").shape == (1, 8, 10)


def test_range_and_standardization():
    values = np.array([[-10.0, 0.0, 5.0, 10.0, 99.0]])
    assert scale_to_range(values, 0, 10).ravel() == pytest.approx([0, 0, 0.5, 1, 1])
    assert not scale_to_range(values, 5, 5).any()
    scaled = standardize(values.astype(np.float32), 0.449, 0.226)
    assert (scaled.mean(), scaled.std(ddof=1)) == pytest.approx((0.449, 0.226), rel=1e-5)
    assert np.allclose(standardize(np.full((2, 2), 3, np.float32), 0.449, 0.226), 0.449)


def test_crop_keeps_what_is_known_of_the_scan():
    volume = world_field(axial()).with_array(np.zeros(SHAPE), modality="CT")
    assert Crop(((0, 1), (0, 2), (0, 3))).apply(volume).modality == "CT"
