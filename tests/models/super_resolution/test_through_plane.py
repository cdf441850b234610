"""Where thin slices lie, and the spline through thick ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_radcnn.models.super_resolution.through_plane import ThroughPlane, unit_value
from napari_radcnn.phantom import oblique_geometry


@pytest.mark.parametrize(("count", "factor"), [(7, 2.0), (5, 3.0), (9, 2.6), (2, 5.0), (3, 1.5), (1, 4.0)])
def test_the_spline_is_scipys(count, factor):
    thick = np.random.default_rng(count).normal(size=(count, 3, 2))
    slabs = ThroughPlane(count, factor)
    expected = np.empty((slabs.thin_count, 3, 2))
    for j in range(3):
        for i in range(2):
            expected[:, j, i] = ndimage.map_coordinates(thick[:, j, i], [slabs.positions()], order=3, mode="reflect")
    np.testing.assert_allclose(slabs.cubic(thick), expected, atol=1e-6)


@pytest.mark.parametrize(("count", "factor", "thin"), [(10, 5.0, 50), (7, 2.5, 17), (3, 1.5, 4), (4, 1.7, 7)])
def test_thin_slices_are_those_with_centers_in_the_slabs(count, factor, thin):
    slabs = ThroughPlane(count, factor)
    assert slabs.thin_count == thin
    assert slabs.positions()[0] > -0.5
    assert slabs.positions()[-1] < count - 0.5
    assert slabs.positions()[-1] + 1 / factor >= count - 0.5 - 1e-9


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_grid_begins_at_the_edge_of_the_first_slab_not_at_its_center(axis):
    geometry = oblique_geometry((6, 5, 7))
    fine = ThroughPlane(geometry.shape[axis], 3.0).grid(geometry, axis)
    shape = list(geometry.shape)
    shape[axis] *= 3
    assert fine.shape == tuple(shape)
    edge = [0.0, 0.0, 0.0]
    edge[axis] = -0.5
    np.testing.assert_allclose(fine.to_world(edge), geometry.to_world(edge), atol=1e-9)
    end, fine_end = [2.0, 3.0, 4.0], [2.0, 3.0, 4.0]
    end[axis], fine_end[axis] = geometry.shape[axis] - 0.5, shape[axis] - 0.5
    np.testing.assert_allclose(fine.to_world(fine_end), geometry.to_world(end), atol=1e-9)
    assert fine.spacing[axis] == pytest.approx(geometry.spacing[axis] / 3)


def test_a_grid_of_a_broken_factor_has_its_slices_where_the_spline_is_taken():
    geometry = oblique_geometry((6, 5, 7))
    slabs = ThroughPlane(6, 2.3)
    fine = slabs.grid(geometry, 0)
    centers = np.stack([slabs.positions(), np.full(slabs.thin_count, 4.0), np.full(slabs.thin_count, 1.0)], 1)
    own = np.stack([np.arange(slabs.thin_count), np.full(slabs.thin_count, 4), np.full(slabs.thin_count, 1)], 1)
    np.testing.assert_allclose(fine.to_world(own), geometry.to_world(centers), atol=1e-9)


def test_what_the_network_is_told():
    told = ThroughPlane(4, 6.0, 0.8).conditions()
    assert told.shape == (4, 24)
    np.testing.assert_allclose(told[0], 0.8)
    np.testing.assert_allclose(told[1], 1)
    middle = ThroughPlane(4, 3.0).conditions()[2:, 4]  # the middle third of a slab is centered on its slice
    np.testing.assert_allclose(middle, [1, 0], atol=1e-6)


def test_the_unit_of_an_mr_does_not_see_a_masked_background():
    values = np.random.default_rng(0).uniform(100, 200, (6, 10, 10))
    masked = np.zeros((6, 10, 30))
    masked[..., :10] = values
    assert unit_value(masked, "MR") == pytest.approx(unit_value(values, "MR"))
    assert 195 < unit_value(values, "MR") < 200
    assert unit_value(-values, "MR") == 0
    assert unit_value(values, "CT") == 1000
