"""Planes and slabs against a closed form, NumPy and SimpleITK."""

from __future__ import annotations

from itertools import product
from threading import Event

import numpy as np
import pytest
import SimpleITK as sitk

import napari_radcnn as radcnn
from grids import ALL
from napari_radcnn.errors import CancelledError, GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import FIELD_COEFFICIENTS, disks, rotation, world_field
from napari_radcnn.reformatting import Plane, reformat, sample, sample_labels, slab_depths
from napari_radcnn.reformatting.sampling import COARSE_DEPTHS
from napari_radcnn.volume import Volume, VolumeMetadata
from sources import CountingSource

N_PLANES = 200
SHAPE = (9, 11, 13)
SCANS = {name: world_field(Geometry(SHAPE, make().affine)) for name, make in ALL.items()}
NUMPY = {"maximum": np.nanmax, "minimum": np.nanmin, "mean": np.nanmean}


def turned(random, geometry, shape=(17, 23), spacing=(0.45, 0.6)):
    """Return a plane in any direction through some voxel."""
    center = geometry.to_world(random.uniform(0, np.array(geometry.shape) - 1))
    turn = rotation(*random.uniform(-180, 180, 3))
    return Plane.centered(center, turn[:, 0], turn[:, 1], spacing, shape)


def pixels(plane):
    return plane.to_world(np.stack(np.meshgrid(*map(np.arange, plane.shape), indexing="ij"), axis=-1))


def between_centers(geometry, positions):
    index = geometry.to_index(positions)
    return ((index >= 0) & (index <= np.array(geometry.shape) - 1)).all(-1)


@pytest.mark.parametrize("name", ALL)
def test_a_linear_field_is_itself_on_any_plane(name):
    scan, random, n_inside = SCANS[name], np.random.default_rng(3), 0
    for _ in range(N_PLANES):
        plane = turned(random, scan.geometry)
        found = sample(scan.array, scan.geometry, plane)
        positions = pixels(plane)
        inside = between_centers(scan.geometry, positions)
        assert np.abs(found - positions @ FIELD_COEFFICIENTS)[inside].max(initial=0) < 1e-3
        index = scan.geometry.to_index(positions)
        outside = ((index < -0.51) | (index > np.array(SHAPE) - 0.49)).any(-1)
        assert np.isnan(found[outside]).all()
        assert not np.isnan(found[inside]).any()
        n_inside += inside.sum()
    assert n_inside > 10 * N_PLANES


@pytest.mark.parametrize("kind", NUMPY)
@pytest.mark.parametrize("name", ALL)
def test_a_slab_is_numpys_of_the_same_samples(name, kind):
    random = np.random.default_rng(5)
    grid = SCANS[name].geometry
    values = random.integers(-1000, 1000, grid.shape).astype(np.int16)
    for n in range(20):
        plane = turned(random, grid)
        thickness = random.uniform(1, 8)
        depths = slab_depths(grid, plane, thickness)
        assert n == 0 or len(depths) > 1 or thickness < 5.5
        stack = np.stack([sample(values, grid, plane.moved(depth)) for depth in depths])
        seen = ~np.isnan(stack).all(0)
        found = sample(values, grid, plane, thickness=thickness, kind=kind)
        np.testing.assert_allclose(found[seen], NUMPY[kind](stack[:, seen], axis=0), atol=1e-3)
        assert np.isnan(found[~seen]).all()


@pytest.mark.parametrize("name", ["axial", "left_handed", "sagittal"])
def test_an_upright_slab_takes_whole_slices(name):
    grid = SCANS[name].geometry
    values = np.random.default_rng(1).integers(0, 4000, grid.shape, np.int16)
    k, j, i = (grid.affine[:3, n] for n in range(3))
    for n_slices, thickness in ((1, 4.9), (3, 5.0), (5, 12.0)):  # slices lie 2.5 mm apart
        plane = Plane(grid.to_world((4, 0, 0)), i, j, grid.spacing[1:], grid.shape[1:])
        half = n_slices // 2
        part = values[4 - half : 5 + half]
        for kind, of in NUMPY.items():
            found = sample(values, grid, plane, thickness=thickness, kind=kind)
            np.testing.assert_allclose(found, of(part, axis=0), atol=1e-3)
    across = Plane(grid.to_world((0, 5, 0)), i, k, (grid.spacing[0], grid.spacing[2]), (grid.shape[0], grid.shape[2]))
    np.testing.assert_array_equal(sample(values, grid, across), values[:, 5])


def test_it_agrees_with_simpleitk():
    scan, _ = disks(20.0)
    plane = Plane.centered((-3, 2, 0.5), rotation(7, -25, 11)[:, 0], rotation(7, -25, 11)[:, 1], (0.7, 0.4), (60, 90))
    image = sitk.GetImageFromArray(scan.array)
    image.SetSpacing(scan.geometry.spacing[::-1])
    image.SetOrigin(scan.geometry.origin)
    reference = sitk.Image(90, 60, 1, sitk.sitkFloat32)
    reference.SetSpacing((0.4, 0.7, 1.0))
    reference.SetOrigin(plane.origin.tolist())
    reference.SetDirection(np.column_stack([plane.right, plane.down, plane.normal]).ravel().tolist())
    theirs = sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear, np.nan))[0]
    ours = sample(scan.array, scan.geometry, plane)
    inside = between_centers(scan.geometry, pixels(plane))
    assert inside.mean() > 0.5
    assert np.abs(ours - theirs)[inside].max() < 0.01


def test_labels_are_those_of_the_voxel():
    grid, random = SCANS["oblique"].geometry, np.random.default_rng(2)
    labels = random.integers(0, 2**32 - 1, grid.shape, np.uint32)
    for _ in range(20):
        plane = turned(random, grid)
        found = sample_labels(labels, grid, plane)
        index = np.rint(grid.to_index(pixels(plane))).astype(int)
        inside = ((index >= 0) & (index < np.array(grid.shape))).all(-1)
        assert found.dtype == np.uint32
        np.testing.assert_array_equal(found[inside], labels[tuple(index[inside].T)])
        assert not found[~inside].any()


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">i2", np.float16, np.float64, np.int64])
def test_all_types_of_voxels(dtype):
    grid = SCANS["sheared"].geometry
    values = np.random.default_rng(4).integers(0, 2, grid.shape).astype(dtype)
    plane = Plane(grid.to_world((4, 0, 0)), grid.affine[:3, 2], grid.affine[:3, 1], grid.spacing[1:], grid.shape[1:])
    turned_views = values[::-1, :, ::-1].transpose(1, 2, 0)
    inverted = grid.reoriented(radcnn.Geometry(SHAPE, grid.affine).axis_map(grid.orientation))
    assert inverted.is_close(grid)
    np.testing.assert_allclose(sample(values, grid, plane), values[4].astype(float), atol=1e-6)
    back = turned_views.transpose(2, 0, 1)[::-1, :, ::-1]
    np.testing.assert_allclose(sample(back, grid, plane), values[4].astype(float), atol=1e-6)


def test_distances_in_a_plane_are_those_in_the_patient():
    random = np.random.default_rng(9)
    for _ in range(N_PLANES):
        plane = turned(random, SCANS["oblique"].geometry)
        first, second = random.uniform(-40, 40, (2, 2))
        apart = (second - first) * plane.spacing
        between = np.linalg.norm(plane.to_world(second) - plane.to_world(first))
        assert between == pytest.approx(np.linalg.norm(apart), abs=1e-6)
        assert plane.to_pixel(plane.to_world(first) + 3 * plane.normal) == pytest.approx(first, abs=1e-6)


def test_a_slab_thicker_than_the_scan_takes_all_of_it_and_no_more():
    scan, random = SCANS["oblique"], np.random.default_rng(6)
    for _ in range(20):
        plane = turned(random, scan.geometry)
        depths = slab_depths(scan.geometry, plane, 1e9)
        edges = np.array(list(product(*((-0.5, n - 0.5) for n in SHAPE))))
        reach = np.ptp(scan.geometry.to_world(edges) @ plane.normal)
        assert np.ptp(depths) < reach + 4 * np.diff(depths).max()
        thick = sample(scan.array, scan.geometry, plane, thickness=1e9, kind="minimum")
        np.testing.assert_array_equal(thick, sample(scan.array, scan.geometry, plane, thickness=1e4, kind="minimum"))


def test_a_plane_outside_of_the_scan():
    scan = SCANS["oblique"]
    plane = turned(np.random.default_rng(1), scan.geometry).moved(500)
    assert np.isnan(sample(scan.array, scan.geometry, plane)).all()
    assert np.isnan(sample(scan.array, scan.geometry, plane, thickness=30, kind="mean")).all()
    assert not sample_labels(np.ones(SHAPE, np.uint8), scan.geometry, plane).any()
    with pytest.raises(GeometryError, match="outside of the scan 'world field'"):
        reformat(scan, plane)
    inside = reformat(scan, plane, thickness=1100, kind="mean")  # reaches it
    assert not np.isnan(inside.array).all()


def test_values_that_are_none_count_for_nothing():
    grid = SCANS["axial"].geometry
    values = np.full(SHAPE, 5.0, np.float32)
    values[3] = np.nan
    plane = Plane(grid.to_world((4, 0, 0)), (1, 0, 0), (0, 1, 0), grid.spacing[1:], grid.shape[1:])
    for kind in NUMPY:
        assert (sample(values, grid, plane, thickness=6, kind=kind) == 5).all()


def test_a_scan_of_one_slice():
    grid = Geometry.from_parts((1, 8, 9), (4.0, 0.5, 0.6), (3, 4, 5))
    values = np.arange(72, dtype=np.int16).reshape(1, 8, 9)
    plane = Plane(grid.origin, (1, 0, 0), (0, 1, 0), (0.5, 0.6), (8, 9))
    np.testing.assert_array_equal(sample(values, grid, plane.moved(1.9)), values[0])
    assert np.isnan(sample(values, grid, plane.moved(2.1))).all()
    np.testing.assert_array_equal(sample(values, grid, plane, thickness=100, kind="maximum"), values[0])


def test_many_pixels_are_those_of_few():
    scan = SCANS["sheared"]
    plane = turned(np.random.default_rng(8), scan.geometry, (240, 260), (0.05, 0.05))
    rows = [
        sample(
            scan.array, scan.geometry, Plane(plane.to_world((n, 0)), plane.right, plane.down, (0.05, 0.05), (1, 260))
        )
        for n in range(0, 240, 13)
    ]
    np.testing.assert_allclose(sample(scan.array, scan.geometry, plane)[::13], np.concatenate(rows), atol=1e-3)


def test_a_reformatted_scan_lies_where_it_was_cut(tmp_path):
    scan = SCANS["left_handed"]
    center = scan.geometry.to_world((4, 5, 6))
    turn = rotation(20, -10, 30)
    plane = Plane.centered(center, turn[:, 0], turn[:, 1], (0.5, 0.4), (8, 9))
    found = radcnn.reformat(scan, plane, n_slices=3, distance=0.75)
    assert found.shape == (3, 8, 9)
    assert found.geometry.spacing == pytest.approx((0.75, 0.5, 0.4))
    index = np.stack(np.meshgrid(*map(np.arange, found.shape), indexing="ij"), axis=-1)
    positions = found.geometry.to_world(index)
    inside = between_centers(scan.geometry, positions)
    assert inside.any()
    np.testing.assert_allclose(found.array[inside], (positions @ FIELD_COEFFICIENTS)[inside], atol=1e-3)
    radcnn.write(found, tmp_path / "cut.nii.gz")
    assert radcnn.read(tmp_path / "cut.nii.gz")[0].geometry.is_close(found.geometry)


def test_of_a_scan_on_the_disk_only_a_part_is_read():
    whole = SCANS["oblique"]
    source = CountingSource(whole.array)
    scan = Volume.lazy(source, whole.geometry, VolumeMetadata(padding_value=-7.0))
    middle = whole.geometry.to_world((4, 5, 6))
    across, along = whole.geometry.affine[:3, 2], whole.geometry.affine[:3, 1]
    found = reformat(scan, Plane.centered(middle, across, along, (0.8, 0.7), (5, 40)), thickness=3)
    assert not scan.is_loaded
    assert (found.array == -7).any()
    assert (found.array != -7).any()


def test_colors():
    grid = SCANS["axial"].geometry
    colors = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    plane = Plane(grid.to_world((4, 0, 0)), (1, 0, 0), (0, 1, 0), grid.spacing[1:], grid.shape[1:])
    np.testing.assert_array_equal(reformat(Volume(colors, grid), plane).array[0], colors[4])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"right": (1, 0, 0.1)}, "right angles"),
        ({"right": (0, 0, 0)}, "right angles"),
        ({"down": (0, np.nan, 1)}, "finite"),
        ({"origin": (1, 2)}, "three finite numbers"),
        ({"spacing": (0.5, 0)}, "spacing"),
        ({"spacing": (0.5, np.inf)}, "spacing"),
        ({"shape": (0, 4)}, "at least one row"),
    ],
)
def test_planes_that_are_none(change, words):
    good = {"origin": (0, 0, 0), "right": (1, 0, 0), "down": (0, 0, -2), "spacing": (1, 2), "shape": (3, 4)}
    assert np.linalg.norm(Plane(**good).down) == 1
    with pytest.raises(GeometryError, match=words):
        Plane(**(good | change))


@pytest.mark.parametrize(
    "wrong",
    [{"thickness": -1}, {"thickness": np.nan}, {"kind": "median"}, {"n_slices": 0}, {"distance": 0}, {"distance": -2}],
)
def test_numbers_out_of_range(wrong):
    scan = SCANS["axial"]
    with pytest.raises(GeometryError):
        reformat(scan, turned(np.random.default_rng(0), scan.geometry), **wrong)


@pytest.mark.parametrize("kind", NUMPY)
def test_a_coarse_slab_is_numpys_of_some_of_its_planes(kind):
    random, grid = np.random.default_rng(8), SCANS["oblique"].geometry
    values = random.integers(-1000, 1000, grid.shape).astype(np.int16)
    plane = turned(random, grid)
    depths = slab_depths(grid, plane, 60.0)
    assert len(depths) > COARSE_DEPTHS
    taken = depths[:: -(-len(depths) // COARSE_DEPTHS)]
    assert 2 <= len(taken) <= COARSE_DEPTHS
    stack = np.stack([sample(values, grid, plane.moved(depth)) for depth in taken])
    seen = ~np.isnan(stack).all(0)
    found = sample(values, grid, plane, thickness=60.0, kind=kind, is_coarse=True)
    np.testing.assert_allclose(found[seen], NUMPY[kind](stack[:, seen], axis=0), atol=1e-3)
    exact = sample(values, grid, plane, thickness=60.0, kind=kind)
    assert np.nanmax(np.abs(found - exact)) > 10


def test_sampling_stops_when_asked():
    scan = SCANS["oblique"]
    stop = Event()
    stop.set()
    with pytest.raises(CancelledError):
        sample(scan.array, scan.geometry, turned(np.random.default_rng(1), scan.geometry), cancel=stop)
