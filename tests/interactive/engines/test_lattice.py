"""Values that are carried between grids of one scan: a field that is linear in the patient stays that field."""

import numpy as np
import pytest

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.lattice import Lattice, carried, thinned

SHAPE = (14, 22, 31)
SPACING = (2.5, 0.8, 1.1)


def _field(at: np.ndarray) -> np.ndarray:
    return 3 * at[..., 0] - 5 * at[..., 1] + 0.5 * at[..., 2] + 7


def _places(lattice: Lattice) -> np.ndarray:
    """Return the index in the scan of every voxel, from the definition."""
    return np.moveaxis(np.indices(lattice.shape), 0, -1) * lattice.steps + lattice.first


def _geometry() -> Geometry:
    return Geometry.from_parts(SHAPE, SPACING, (4.0, -9.0, 2.0), np.eye(3)[:, ::-1])


@pytest.mark.parametrize("zoom", [0.4, 0.8, 2.0])
def test_a_linear_field_stays_one(zoom: float) -> None:
    source = Lattice.whole(SHAPE)
    target = Lattice.cube(_geometry(), (6.3, 11.2, 15.9), zoom, 8)
    found = carried(_field(_places(source)), source, target)
    places = _places(target)
    inside = ((places >= 2.5) & (places <= np.array(SHAPE) - 3.5)).all(-1)  # no triangle reaches beyond a face
    assert inside.any()
    np.testing.assert_allclose(found[inside], _field(places)[inside], atol=0.1)


def test_there_and_back_is_where_it_was() -> None:
    lattice = Lattice((1.5, -2.0, 3.25), (2.0, 1.0, 0.5), (4, 5, 6))
    at = np.array([[0, 0, 0], [3, 2, 5], [1.5, 4, 2.25]])
    np.testing.assert_allclose(lattice.index(lattice.back(at)), at)
    np.testing.assert_allclose(lattice.back((1, 2, 3)), (3.5, 0.0, 4.75))


def test_a_coarser_grid_averages() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (40, 40, 40))
    source = Lattice.whole(noise.shape)
    coarse = Lattice((1.5, 1.5, 1.5), (4.0, 4.0, 4.0), (10, 10, 10))
    assert carried(noise, source, coarse).std() < 0.2


def test_what_lies_outside_is_marked() -> None:
    source = Lattice.whole((5, 6, 7))
    target = Lattice((-2.0, 0.0, 0.0), (1.0, 1.0, 1.0), (5, 6, 9))
    found = carried(np.ones(source.shape), source, target, outside=-4.0)
    assert (found[:2] == -4).all()
    assert (found[2:, :, :7] == 1).all()
    assert (found[:, :, 7:] == -4).all()


def test_a_working_grid_covers_its_box_with_voxels_that_are_nearly_cubes() -> None:
    box = (slice(2, 12), slice(3, 21), slice(0, 30))
    lattice = Lattice.over(box, SPACING, 12)
    sides = np.asarray(lattice.steps) * SPACING
    assert np.prod(lattice.shape) <= 1.2 * 12**3
    assert sides.max() / sides.min() < 1.5
    first = lattice.back((-0.5, -0.5, -0.5)) + 0.5
    past = lattice.back(np.asarray(lattice.shape) - 0.5) + 0.5
    np.testing.assert_allclose(first, (2, 3, 0), atol=1e-9)
    np.testing.assert_allclose(past, (12, 21, 30), atol=1e-9)


def test_a_small_box_keeps_the_voxels_of_the_scan() -> None:
    box = (slice(2, 5), slice(3, 9), slice(1, 8))
    lattice = Lattice.over(box, (1.0, 1.0, 1.0), 56)
    assert lattice.is_fine
    assert lattice.shape == (3, 6, 7)
    assert lattice.first == (2.0, 3.0, 1.0)


def test_places_outside_of_a_grid_have_no_voxel() -> None:
    lattice = Lattice((2.0, 2.0, 2.0), (2.0, 1.0, 1.0), (3, 4, 5))
    voxels = lattice.voxels(np.array([[2.9, 2.4, 2.6], [0.0, 2.0, 2.0], [6.0, 5.0, 6.0], [8.0, 2.0, 2.0]]))
    assert voxels.tolist() == [[0, 0, 1], [2, 3, 4]]


def test_a_mask_is_thinned_to_the_share_of_it_in_every_voxel() -> None:
    mask = np.zeros((24, 40, 48), bool)
    mask[6:18, 10:30, 12:36] = True
    target = Lattice((2.0, 2.0, 2.0), (5.0, 5.0, 5.0), (4, 8, 9))
    found = thinned(mask, target)
    assert found.min() >= 0
    assert found.max() <= 1.0001
    assert found[2, 4, 4] == pytest.approx(1)
    assert found[0].max() < 0.15  # a triangle reaches as far as the next voxel
    assert found.sum() * 125 == pytest.approx(mask.sum(), rel=0.1)
