"""Scans that are changed for the cards: each change against a closed form, on oblique grids that are no cubes."""

import numpy as np
import pytest

from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.volume import Volume, VolumeMetadata

changes = pytest.importorskip("benchmarks.models.changes", reason="the benchmarks lie in the repository only")
from napari_radcnn.models.ct_denoise.noise import noise_level  # noqa: E402


def _field(geometry):
    """Return 3x + 5y + 7z at the centers of a grid."""
    centers = geometry.to_world(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return (centers @ (3.0, 5.0, 7.0)).astype(np.float32)


def test_thick_slices_have_the_mean_of_theirs_where_they_lie():
    scan = Volume(_field(oblique_geometry()), oblique_geometry(), VolumeMetadata(modality="MR"))
    step = scan.geometry.spacing[0]
    made = changes.thick(scan, 2.9 * step)
    count = scan.geometry.shape[0] // 3
    assert made.scan.geometry.shape == (count, *scan.geometry.shape[1:])
    assert made.title == f"slices of {3 * step:.2g} mm"
    np.testing.assert_allclose(made.scan.array, _field(made.scan.geometry), atol=1e-3)
    numbers = np.arange(1, count + 1, dtype=np.uint8)[:, None, None] * np.ones(scan.geometry.shape[1:], np.uint8)
    back = made.back(numbers)
    assert [int(n) for n in back[:7, 0, 0]] == [1, 1, 1, 2, 2, 2, 3]
    assert made.covered.sum(0).max() == 3 * count


def test_slices_are_made_thicker_by_two_at_least():
    scan = Volume(np.zeros((7, 4, 5), np.float32), oblique_geometry().with_shape((7, 4, 5)), VolumeMetadata())
    assert changes.thick(scan, 0.1).scan.geometry.shape == (3, 4, 5)


def test_a_turned_scan_shows_the_patient_where_the_patient_is():
    scan = Volume(_field(oblique_geometry()), oblique_geometry(), VolumeMetadata(modality="CT"))
    made = changes.turned(scan, -5000.0, degrees=8.0)
    grid = made.scan.geometry
    cosines = np.sum(grid.direction * scan.geometry.direction, axis=0)
    seen = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    assert 0 < seen.max() <= 8.001  # an axis near the long one turns less
    assert grid.direction[2] == pytest.approx(scan.geometry.direction[2])
    middle = (np.array(grid.shape) - 1) / 2
    np.testing.assert_allclose(grid.to_world(middle), scan.geometry.to_world(middle))
    inside = made.scan.array > -4000
    assert 0.5 < inside.mean() < 1
    index = scan.geometry.to_index(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)))
    whole = ((index >= 0) & (index <= np.array(grid.shape) - 1)).all(-1)
    assert whole.mean() > 0.5
    np.testing.assert_allclose(made.scan.array[whole], _field(grid)[whole], rtol=1e-4, atol=0.05)
    assert 0.5 < made.covered.mean() < 1


def test_labels_of_a_turned_scan_are_brought_back_to_where_they_belong():
    geometry = oblique_geometry((12, 24, 30))
    values = np.zeros(geometry.shape, np.float32)
    values[5:8, 2:6, 24:28] = 1
    made = changes.turned(Volume(values, geometry, VolumeMetadata(modality="CT")), 0.0, degrees=20.0)
    there = (np.asarray(made.scan.array) > 0.5).astype(np.uint8)
    wanted, seen, back = (np.argwhere(one).mean(0) for one in (values, there, made.back(there)))
    assert np.abs(back - wanted).max() < 0.6
    assert np.abs(seen - wanted).max() > 2


@pytest.mark.parametrize("letters", ["SPL", "RAS", "ILP"])
def test_left_and_right_are_exchanged_whatever_the_order_of_axes(letters):
    scan = world_field(oblique_geometry()).reoriented(letters)
    made = changes.mirrored(scan)
    axis = next(n for n, letter in enumerate(scan.geometry.orientation) if letter in "LR")
    index = [1, 2, 3]
    other = list(index)
    other[axis] = scan.geometry.shape[axis] - 1 - index[axis]
    assert made.scan.array[tuple(index)] == scan.array[tuple(other)] != scan.array[tuple(index)]
    np.testing.assert_array_equal(made.back(made.scan.array), scan.array)
    found = made.position_back(scan.geometry.to_world(index))
    np.testing.assert_allclose(found, scan.geometry.to_world(other))
    assert made.scan.geometry.is_close(scan.geometry)


def _water():
    """Return a round body of water with noise of its own, 8 slices of 64 x 60 pixels."""
    rng = np.random.default_rng(4)
    j, i = np.indices((64, 60))
    body = np.where(np.hypot((j - 31) / 28, (i - 30) / 26) < 1, 30.0, -1000.0)
    hu = body + rng.normal(0, 12, (8, 64, 60))
    grid = oblique_geometry().with_shape(hu.shape)
    return Volume(hu.astype(np.float32), grid, VolumeMetadata(modality="CT")), body > 0


def test_a_ct_after_each_change():
    scan, body = _water()
    made = {change.title: change for change in changes.ct_changes(scan)}
    assert len(made) == 6
    noisy = made["noise of a quarter of the dose"]
    assert noise_level(noisy.scan.array[4]) == pytest.approx(2 * noise_level(scan.array[4]), rel=0.1)
    assert noisy.reference is scan
    added = (noisy.scan.array - scan.array)[:, body]
    assert abs(added.mean()) < 3
    sharp, soft = made["sharper kernel"], made["softer kernel"]
    spreads = [one.array[:, 20:44, 20:40].std() for one in (soft.scan, scan, sharp.scan)]
    assert spreads == sorted(spreads)
    assert spreads[2] > 1.2 * spreads[1] > 1.4 * spreads[0]
    assert sharp.reference is sharp.scan
    np.testing.assert_allclose(soft.scan.array[:, 25:40, 25:35].mean(), 30, atol=2)


def test_a_ct_without_soft_tissue_gets_no_noise():
    scan = Volume(np.full((4, 32, 30), -1000, np.int16), oblique_geometry().with_shape((4, 32, 30)), VolumeMetadata())
    change = next(iter(changes.ct_changes(scan)))
    np.testing.assert_array_equal(change.scan.array, scan.array)


def test_an_mr_after_each_change():
    shape = (30, 40, 35)
    values = np.full(shape, 200.0, np.float32)
    values[0] = 20
    values[:, :10] = 0
    scan = Volume(values, oblique_geometry().with_shape(shape), VolumeMetadata(modality="MR"))
    made = {change.title: change for change in changes.mr_changes(scan)}
    noisy = made["noise of 5%"]
    assert not noisy.scan.array[:, :10].any()
    inside = noisy.scan.array[1:, 10:]
    assert inside.std() == pytest.approx(10, rel=0.05)
    # of magnitudes, noise makes faint parts brighter: the second moment is that of the signal and both parts' noise
    faint = noisy.scan.array[0, 10:]
    assert (faint**2).mean() == pytest.approx(20**2 + 2 * 10**2, rel=0.1)
    biased = made["bright and dark by 30%, as near a coil"].scan.array / np.where(values, values, 1)
    assert biased[values > 0].min() >= 0.699
    assert biased[values > 0].max() <= 1.301
    steps = [np.abs(np.diff(changes.bias_field(shape), axis=axis)).max() for axis in range(3)]
    assert max(steps) < 0.06
    assert (changes.bias_field(shape).min(), changes.bias_field(shape).max()) == pytest.approx((0.7, 1.3))


def test_radiographs_after_each_change():
    rng = np.random.default_rng(0)
    films = rng.integers(0, 255, (3, 20, 28)).astype(np.uint8)
    made = dict(changes.film_changes(films))
    assert all(one.shape == films.shape and one.dtype == np.uint8 for one in made.values())
    np.testing.assert_array_equal(made["upside down"][:, 0], films[:, -1])
    np.testing.assert_array_equal(made["left and right exchanged"][..., 0], films[..., -1])
    assert int(made["black and white exchanged, unsaid"][1, 2, 3]) + int(films[1, 2, 3]) == 255
    assert made["half of the contrast"].std() == pytest.approx(films.std() / 2, rel=0.02)
    assert made["blurred by one pixel"].std() < 0.5 * films.std()
    np.testing.assert_array_equal(made["moved by a tenth"][:, 2], np.roll(_between(films), 2, 1)[:, 2])


def _between(films):
    """Return films moved by 2.8 columns to the left: a mean of two neighbors, weighted."""
    two, three = np.roll(films, -2, 2).astype(float), np.roll(films, -3, 2).astype(float)
    return np.rint(0.2 * two + 0.8 * three).astype(np.uint8)
