"""Shapes against closed forms, SimpleITK's filters, scikit-image's mesh and IBSI's digital phantom."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.distance import pdist
from skimage.measure import marching_cubes, mesh_surface_area

from napari_radcnn.geometry import Geometry
from napari_radcnn.measure import FEATURES, segments
from napari_radcnn.phantom import rotation
from solids import IBSI_COLUMNS, SPACING, center_of, digital_phantom, ellipsoid, grids, labels, positions

GRIDS = grids()
#: What a diameter may be wrong by: half a voxel's diagonal.
HALF = float(np.linalg.norm(SPACING)) / 2


def measured(mask: np.ndarray, grid: Geometry) -> dict:
    (row,) = segments(labels(mask, grid))["labels"]
    return row


def digits(value: float) -> float:
    """Return half of the last of three significant digits."""
    return 0.5 * 10 ** (np.floor(np.log10(abs(value))) - 2) * (1 + 1e-9)


def test_every_feature_of_the_digital_phantom():
    mask, scan, consensus = digital_phantom()
    table = segments(mask, scan)
    (row,) = table["labels"]
    assert set(consensus) == set(IBSI_COLUMNS)
    wrong = {
        name: (row[column] * scale, consensus[name])
        for name, (column, scale) in IBSI_COLUMNS.items()
        if abs(row[column] * scale - consensus[name]) > digits(consensus[name]) and name != "integrated_intensity"
    }
    assert wrong == {}
    assert row["integrated_intensity"] * 1000 == pytest.approx(consensus["integrated_intensity"], abs=50)  # two digits
    # the output says by which definition
    assert "IBSI RNU0" in table["definitions"]["mesh_volume_ml"]
    assert set(table["definitions"]) <= {feature.name for feature in FEATURES}


@pytest.mark.parametrize("name", GRIDS)
def test_ellipsoids(name):
    grid, turn = GRIDS[name], rotation(31.0, 12.0, -20.0)
    half_axes = (24.0, 17.3, 11.9)
    row = measured(ellipsoid(grid, half_axes, turn), grid)
    assert row["volume_ml"] == pytest.approx(4 / 3 * np.pi * np.prod(half_axes) / 1000, rel=0.005)
    assert row["mesh_volume_ml"] == pytest.approx(4 / 3 * np.pi * np.prod(half_axes) / 1000, rel=0.005)
    assert row["longest_diameter_mm"] == pytest.approx(48.0, abs=HALF)
    assert [row[f"centroid_{axis}_mm"] for axis in "xyz"] == pytest.approx(center_of(grid), abs=0.1)
    # uniform ellipsoids have axes of the square root of 5 standard deviations, IBSI takes 4 of them
    axes = [row[key] * np.sqrt(5) / 2 for key in ("major_axis_mm", "minor_axis_mm", "least_axis_mm")]
    assert axes == pytest.approx([48.0, 34.6, 23.8], rel=0.01)


@pytest.mark.parametrize("name", GRIDS)
def test_balls(name):
    grid = GRIDS[name]
    for radius in (6.1, 14.0, 22.7):
        row = measured(ellipsoid(grid, (radius,) * 3, np.eye(3)), grid)
        if radius > 10:  # a ball of four slices has no volume to half a percent
            assert row["volume_ml"] == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.005)
        for key in ("longest_diameter_mm", "axial_diameter_mm", "axial_perpendicular_mm"):
            assert row[key] == pytest.approx(2 * radius, abs=HALF)


@pytest.mark.parametrize("name", GRIDS)
def test_boxes_along_the_grid(name):
    grid = GRIDS[name]
    mask = np.zeros(grid.shape, bool)
    mask[5:19, 10:71, 20:48] = True
    sides = np.array((14 * 2.5, 61 * 0.8, 28 * 0.7))
    row = measured(mask, grid)
    assert row["volume_ml"] == pytest.approx(sides.prod() / 1000)
    assert row["longest_diameter_mm"] == pytest.approx(np.linalg.norm(sides), abs=HALF)
    assert [row[f"first_{axis}"] for axis in "kji"] == [5, 10, 20]
    assert [row[f"last_{axis}"] for axis in "kji"] == [18, 70, 47]
    axial = sides[[axis for axis in range(3) if axis != grid.axis_map("SPL").order[0]]]
    assert row["axial_diameter_mm"] == pytest.approx(np.linalg.norm(axial), abs=HALF)
    # the longest chord across a rectangle's diagonal
    assert row["axial_perpendicular_mm"] == pytest.approx(axial.min() * np.linalg.norm(axial) / axial.max(), abs=HALF)


def test_a_tilted_ellipse_in_one_slice():
    grid = GRIDS["axial"]
    local = (positions(grid) - center_of(grid)) @ rotation(0.0, 0.0, 33.0)
    mask = (local[..., 0] / 21.0) ** 2 + (local[..., 1] / 8.4) ** 2 <= 1
    mask[:12], mask[13:] = False, False
    row = measured(mask, grid)
    half = float(np.linalg.norm(SPACING[1:])) / 2
    assert row["axial_diameter_mm"] == pytest.approx(42.0, abs=half)
    assert row["axial_perpendicular_mm"] == pytest.approx(16.8, abs=half)


@pytest.mark.parametrize("name", ["axial", "oblique"])
def test_against_simpleitk_and_the_mesh(name):
    """Two regions of noise, one of them hollow and in pieces, that touch each other."""
    grid = Geometry(GRIDS[name].shape, GRIDS[name].affine)
    rng = np.random.default_rng(7)
    array = np.zeros(grid.shape, np.uint8)
    array[4:14, 10:30, 5:40] = rng.integers(0, 3, (10, 20, 35))
    array[6:9, 15:20, 10:30] = 0
    table = segments(labels(array, grid))["labels"]
    oracle = sitk.LabelShapeStatisticsImageFilter()
    oracle.ComputeFeretDiameterOff()
    oracle.Execute(labels(array, grid).to_simpleitk())
    for row in table:
        value = row["label"]
        assert row["voxels"] == oracle.GetNumberOfPixels(value)
        assert row["volume_ml"] * 1000 == pytest.approx(oracle.GetPhysicalSize(value))
        assert [row[f"centroid_{axis}_mm"] for axis in "xyz"] == pytest.approx(oracle.GetCentroid(value))
        i, j, k, *size = oracle.GetBoundingBox(value)
        assert (row["first_k"], row["first_j"], row["first_i"]) == (k, j, i)
        assert row["last_k"] - k + 1 == size[2]
        # ITK's are of the population, and of voxels instead of their centers
        moments = np.array(oracle.GetPrincipalMoments(value)) * row["voxels"] / (row["voxels"] - 1)
        axes = [row[key] for key in ("least_axis_mm", "minor_axis_mm", "major_axis_mm")]
        assert axes == pytest.approx(4 * np.sqrt(moments), rel=0.01)
        mask = np.pad(array == value, 1).astype(np.float32)
        points, faces, _, _ = marching_cubes(mask, 0.5)
        in_patient = (points - 1) @ grid.affine[:3, :3].T
        assert row["surface_mm2"] == pytest.approx(mesh_surface_area(in_patient, faces), rel=1e-5)
        corners = in_patient[faces]
        enclosed = abs(np.einsum("na,na", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6
        assert row["mesh_volume_ml"] * 1000 == pytest.approx(enclosed, rel=1e-5)
        assert row["maximum_3d_diameter_mm"] == pytest.approx(pdist(np.unique(in_patient, axis=0)).max(), rel=1e-6)


def test_the_shape_does_not_depend_on_the_order_of_axes():
    grid = GRIDS["oblique"]
    volume = labels(ellipsoid(grid, (20.0, 9.0, 13.0), rotation(10.0, 50.0, 5.0)), grid)
    (row,) = segments(volume)["labels"]
    (other,) = segments(volume.reoriented("LIA"))["labels"]
    for key, value in row.items():
        if not key.startswith(("first", "last", "name")):
            assert other[key] == pytest.approx(value, rel=1e-9), key


def test_one_voxel_a_line_and_a_plane():
    grid = GRIDS["axial"]
    array = np.zeros(grid.shape, np.uint8)
    array[3, 4, 5] = 1
    array[8, 10, 20:60] = 2
    array[20, 10:50, 20:70] = 3
    one, line, plane = segments(labels(array, grid))["labels"]
    assert one["volume_ml"] == pytest.approx(2.5 * 0.8 * 0.7 / 1000)
    assert one["longest_diameter_mm"] == pytest.approx(HALF)
    assert one["major_axis_mm"] == 0
    assert one["elongation"] is None
    assert line["axial_diameter_mm"] == pytest.approx(40 * 0.7, abs=0.4)
    assert line["axial_perpendicular_mm"] == pytest.approx(0.4)
    assert line["flatness"] == pytest.approx(0)
    assert plane["axial_diameter_mm"] == pytest.approx(np.hypot(40 * 0.8, 50 * 0.7), abs=0.6)
    assert plane["ellipsoid_volume_density"] is None
    assert line["ellipsoid_area_density"] is None
    assert plane["ellipsoid_area_density"] > 0
