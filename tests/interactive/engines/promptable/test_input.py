"""What the network is shown: sampling, channels, clicks."""

import numpy as np
import pytest
from scipy import ndimage

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.promptable.input import (
    CLICK_RADIUS,
    CLICKED,
    Grid,
    inner_core,
    mark,
    near_channel,
    resample,
    wide_channel,
)

SHAPE, SPACING = (40, 50, 60), (2.5, 0.8, 0.7)


def oblique(shape=SHAPE, spacing=SPACING):
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    return Geometry.from_parts(shape, spacing, (-31.0, 12.0, 5.0), turn @ np.eye(3)[:, [2, 1, 0]])


def field(shape):
    return np.fromfunction(lambda k, j, i: 3 * k + 5 * j + 7 * i, shape).astype(np.float32)


@pytest.mark.parametrize("spacing", [0.5, 1.0, 1.7])
def test_a_linear_field_is_sampled_at_its_place(spacing):
    scan = oblique()
    grid = Grid(scan, (20.3, 25.2, 30.1), spacing, 12)
    index = scan.to_index(grid.geometry.to_world(np.argwhere(np.ones((12, 12, 12)))))
    expected = index @ (3, 5, 7)
    # A triangle whose width is no whole number of voxels has its middle up to a twentieth of a voxel off.
    assert np.abs(grid.sample(field(SHAPE)).ravel() - expected).max() < (2e-3 if spacing < 0.7 else 0.05 * (3 + 5 + 7))


def test_a_coarse_look_averages_what_it_does_not_show():
    scan = Geometry.from_parts((60, 60, 60), (1, 1, 1))
    board = np.indices((60, 60, 60)).sum(0) % 2
    assert np.ptp(Grid(scan, (30.5, 30.5, 30.5), 1.0, 8).sample(board)) == 1
    assert np.abs(Grid(scan, (30, 30, 30), 4.0, 8).sample(board) - 0.5).max() < 0.05


def test_what_lies_outside_the_scan_is_continued_or_filled():
    scan = Geometry.from_parts((10, 10, 10), (1, 1, 1))
    grid = Grid(scan, (0, 5, 5), 1.0, 8)
    continued, filled = grid.sample(field((10, 10, 10))), grid.sample(field((10, 10, 10)), outside=-9)
    np.testing.assert_allclose(continued[0], continued[3])  # rows 0..3 lie at k = -3.5..-0.5
    assert (filled[:3] == -9).all()
    assert (filled[4:] != -9).all()


@pytest.mark.parametrize("spacing", [0.6, 1.0, 2.2])
def test_an_answer_comes_back_to_its_place_in_the_scan(spacing):
    scan = oblique()
    grid = Grid(scan, (18.0, 26.0, 33.0), spacing, 16)
    index = scan.to_index(grid.geometry.to_world(np.argwhere(np.ones((16, 16, 16))))).reshape(16, 16, 16, 3)
    box, values = grid.to_scan((index @ np.array([3.0, 5.0, 7.0])).astype(np.float32))
    margin = [int(np.ceil(1.5 * step)) if step > 1 else 1 for step in grid.steps]
    inner = tuple(slice(m, -m) if n > 2 * m else slice(0, 0) for m, n in zip(margin, values.shape, strict=True))
    expected = field(SHAPE)[box]
    assert [e.start for e in box] == [
        max(0, int(np.ceil(f - s / 2))) for f, s in zip(grid.first, grid.steps, strict=True)
    ]
    if values[inner].size:
        assert np.abs(values[inner] - expected[inner]).max() < 0.05 * (3 + 5 + 7)


def test_a_cube_outside_the_scan_has_no_answer():
    grid = Grid(Geometry.from_parts((5, 5, 5), (1, 1, 1)), (50, 2, 2), 1.0, 8)
    assert grid.box is None
    assert grid.to_scan(np.zeros((8, 8, 8), np.float32)) is None


def test_a_scan_is_averaged_down():
    values = np.arange(12 * 4 * 6, dtype=np.float32).reshape(12, 4, 6)
    made = resample(values, (6, 4, 6))
    assert made.shape == (6, 4, 6)
    # In the middle a triangle two voxels wide around the middle of a pair.
    np.testing.assert_allclose(made[2, 1, 1], (values[3:7, 1, 1] * (0.25, 0.75, 0.75, 0.25)).sum() / 2, rtol=1e-5)


def test_a_click_is_a_bump_cut_at_the_border():
    channel = np.zeros((20, 20, 20), np.float32)
    mark(channel, (9, 10, 11))
    assert np.count_nonzero(channel > CLICKED) == 33  # lattice points within 2 of the middle
    assert channel[9, 10, 11] == 1
    assert ndimage.center_of_mass(channel) == pytest.approx((9, 10, 11))
    mark(channel, (0, 0, 19))
    assert channel[0, 0, 19] == channel[9, 10, 11] == 1
    before = channel.copy()
    mark(channel, (20 + CLICK_RADIUS, 5, 5))
    np.testing.assert_array_equal(channel, before)


def test_channels_do_not_depend_on_units():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (16, 16, 16)).astype(np.float32)
    clicked = np.zeros(image.shape)
    clicked[8, 8, 8] = clicked[8, 8, 9] = 1
    wide, extent = wide_channel(image)
    scaled, scaled_extent = wide_channel(image * 250 - 1000)
    np.testing.assert_allclose(wide, scaled, atol=1e-3)
    near = near_channel(image, extent, clicked)
    np.testing.assert_allclose(near, near_channel(image * 250 - 1000, scaled_extent, clicked), atol=1e-2)
    assert np.abs(near[clicked > 0]).max() < np.abs(near).max() == 1
    assert abs(float(np.median(near[clicked > 0]))) < 0.5


def test_a_constant_patch_says_nothing():
    image = np.full((8, 8, 8), 7.0, np.float32)
    wide, extent = wide_channel(image)
    assert extent == 0
    assert not wide.any()
    assert not near_channel(image, extent, np.ones(image.shape)).any()


def test_the_core_of_an_outline_is_its_middle():
    area = np.zeros((1, 30, 30), bool)
    area[0, 5:25, 3:20] = True
    core = inner_core(area)
    assert core.any()
    assert (core <= area).all()
    assert not core[0, 5:9].any()
    assert core[0, 15, 11]
    assert not inner_core(np.zeros((3, 3, 3), bool)).any()
