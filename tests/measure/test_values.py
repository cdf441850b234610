"""Values within labels: SimpleITK's filter, closed forms, and what a user may hand in by mistake."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from napari_radcnn.errors import CancelledError, GeometryError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.measure import segments
from napari_radcnn.measure.peak import RADIUS_MM, peaks
from napari_radcnn.volume import Volume, VolumeMetadata
from solids import center_of, ellipsoid, grids, labels, positions

GRIDS = grids()
PET = Geometry.from_parts((32, 40, 36), (4.0, 3.1, 3.3), (-50.0, 20.0, 400.0))


def ct(array: np.ndarray, grid: Geometry, **metadata) -> Volume:
    return Volume(array, grid, VolumeMetadata(**{"name": "CT 3", "modality": "CT", "units": "HU", **metadata}))


def pet(array: np.ndarray, factor: float | None = 0.002, warnings: tuple[str, ...] = ()) -> Volume:
    metadata = VolumeMetadata(name="PT 4", modality="PT", units="Bq/ml")
    return Volume(array.astype(np.float32), PET, metadata, warnings, factor)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_against_simpleitk(dtype):
    """Whole numbers are counted and others sorted: both must say the same as ITK."""
    grid = GRIDS["oblique"]
    rng = np.random.default_rng(3)
    array = np.zeros(grid.shape, np.uint16)
    array[2:20, 5:60, 10:70] = rng.integers(0, 4, (18, 55, 60)) * 300
    scan = ct(rng.normal(-30, 200, grid.shape).astype(dtype), grid)
    table = segments(Volume(array, grid, VolumeMetadata(name="labels")), scan)
    oracle = sitk.LabelIntensityStatisticsImageFilter()
    oracle.SetNumberOfBins(1 << 16)
    mask = sitk.Cast(Volume(array, grid).to_simpleitk(), sitk.sitkUInt32)
    oracle.Execute(mask, sitk.Cast(scan.to_simpleitk(), sitk.sitkFloat64))
    assert table["unit"] == "HU"
    assert [row["label"] for row in table["labels"]] == [300, 600, 900]
    for row in table["labels"]:
        value, n = row["label"], row["voxels"]
        assert row["mean"] == pytest.approx(oracle.GetMean(value), abs=1e-6)
        assert row["sd"] == pytest.approx(oracle.GetStandardDeviation(value) * np.sqrt((n - 1) / n), rel=1e-6)
        assert row["min"] == oracle.GetMinimum(value)
        assert row["max"] == oracle.GetMaximum(value)
        assert row["skewness"] == pytest.approx(oracle.GetSkewness(value), abs=1e-3)
        assert row["kurtosis"] == pytest.approx(oracle.GetKurtosis(value), abs=1e-3)
        inside = scan.array[array == value].astype(float)
        levels = [10, 25, 50, 75, 90]
        assert [row[key] for key in ("p10", "p25", "median", "p75", "p90")] == pytest.approx(
            np.percentile(inside, levels), rel=1e-6
        )
        # ITK's center of gravity is weighted by the values as well
        shift = np.linalg.norm(np.array(oracle.GetCenterOfGravity(value)) - oracle.GetCentroid(value))
        assert row["center_of_mass_shift_mm"] == pytest.approx(shift, rel=1e-4)


def test_the_peak_of_a_known_blob():
    """Of a linear field the mean of a ball is the value at its center; of a hot ball larger than 1 ml it is its own."""
    place = positions(PET)
    center = center_of(PET)
    ball = np.linalg.norm(place - center, axis=-1)
    hot = pet(np.where(ball <= 20, 9000.0, 1000.0))
    (row,) = segments(labels(ball <= 20, PET), hot, suv=True)["labels"]
    assert row["suv_peak"] == pytest.approx(18.0)
    assert row["suv_max"] == pytest.approx(18.0)
    assert row["mtv_ml"] == pytest.approx(4 / 3 * np.pi * 20**3 / 1000, rel=0.02)
    assert row["tlg"] == pytest.approx(row["mtv_ml"] * 18.0)
    # a Gaussian: the mean of a ball around its top, by integration over the radius
    sigma = 9.0
    blob = np.exp(-(ball**2) / 2 / sigma**2)
    radii = np.linspace(0, RADIUS_MM, 2001)
    wanted = np.trapezoid(radii**2 * np.exp(-(radii**2) / 2 / sigma**2), radii) / (RADIUS_MM**3 / 3)
    fine = Geometry.from_parts((50, 60, 55), (1.1, 0.9, 1.0), center - 25.0)
    ball = np.linalg.norm(positions(fine) - center, axis=-1)
    blob = np.exp(-(ball**2) / 2 / sigma**2)
    best, local = peaks(blob, ball <= 10, fine.affine[:3, :3], (0, 0, 0))
    assert best == pytest.approx(wanted, rel=0.005)
    assert local <= best


def test_peaks_are_means_of_spheres_one_by_one():
    rng = np.random.default_rng(5)
    array = rng.normal(5, 3, PET.shape)
    array[4, 5, 6] = np.nan
    mask = np.zeros(PET.shape, bool)
    mask[0:6, 2:9, 3:9] = rng.random((6, 7, 6)) < 0.6
    mask[0, 2, 3] = mask[5, 8, 8] = True
    place = positions(PET)
    means = {
        tuple(index): np.nanmean(array[np.linalg.norm(place - place[tuple(index)], axis=-1) <= RADIUS_MM])
        for index in np.argwhere(mask & np.isfinite(array))
    }
    box = (slice(0, 6), slice(2, 9), slice(3, 9))
    best, local = peaks(array, mask[box], PET.affine[:3, :3], (0, 2, 3))
    assert best == pytest.approx(max(means.values()))
    assert local == pytest.approx(means[max(means, key=lambda index: array[index])])
    # padding is no value either
    array[4, 5, 6] = -2000.0
    assert peaks(array, mask[box], PET.affine[:3, :3], (0, 2, 3), -2000.0) == pytest.approx((best, local))


def test_metabolic_volume_at_a_threshold():
    array = np.full(PET.shape, 500.0)
    array[10:14, 10:14, 10:14] = np.arange(64).reshape(4, 4, 4) * 100.0
    mask = labels(array != 500.0, PET)
    mask.array[10:14, 10:14, 10:14] = 1
    (row,) = segments(mask, pet(array), suv=True)["labels"]
    inside = np.arange(64) * 0.2
    hot = inside[inside >= 0.41 * inside.max()]
    assert row["mtv_threshold"] == pytest.approx(0.41 * 12.6)
    assert row["mtv_ml"] == pytest.approx(len(hot) * PET.voxel_volume / 1000)
    assert row["tlg"] == pytest.approx(hot.sum() * PET.voxel_volume / 1000)
    (row,) = segments(mask, pet(array), suv=True, mtv_threshold=10.0)["labels"]
    assert row["mtv_ml"] == pytest.approx((inside >= 10).sum() * PET.voxel_volume / 1000)
    (row,) = segments(mask, pet(array), suv=True, mtv_threshold=99.0)["labels"]
    assert (row["mtv_ml"], row["tlg"]) == (0, 0)


def test_pet_without_suv():
    mask = labels(ellipsoid(PET, (20.0,) * 3, np.eye(3)), PET)
    scan = pet(np.full(PET.shape, 1234.0), None, ("SUV is not available: the patient's weight is missing.",))
    table = segments(mask, scan)
    assert table["unit"] == "Bq/ml"
    assert table["labels"][0]["suv_peak"] == pytest.approx(1234.0)
    with pytest.raises(OptionError, match=r"weight is missing.*without SUV"):
        segments(mask, scan, suv=True)
    with pytest.raises(OptionError, match="SUV needs a scan"):
        segments(mask, suv=True)
    assert segments(mask, pet(np.full(PET.shape, 1234.0)), suv=True)["unit"] == "SUVbw"


def test_what_is_no_number_is_left_out():
    grid = GRIDS["axial"]
    mask = np.zeros(grid.shape, np.uint8)
    mask[2:6, 3:9, 4:10] = 1
    mask[10:12, 3:9, 4:10] = 2
    scan = np.full(grid.shape, 7.0, np.float32)
    scan[2, 3, 4:8], scan[3, 3, 4] = np.nan, np.inf
    scan[10:12] = -2000
    table = segments(labels(mask, grid), ct(scan, grid, padding_value=-2000.0))
    first, second = table["labels"]
    assert (first["voxels"], first["mean"], first["sd"]) == (4 * 6 * 6, 7.0, 0.0)
    assert (first["skewness"], first["kurtosis"], first["coefficient_of_variation"]) == (0, 0, 0)
    assert second["voxels"] == 2 * 6 * 6
    assert second["mean"] is None
    assert second["longest_diameter_mm"] > 0
    assert table["warnings"][0].startswith("label 1: 5 voxels of the scan are not finite")
    assert table["warnings"][1].startswith("label 2: 72 voxels")


def test_labels_on_another_grid():
    fine, coarse = GRIDS["axial"], Geometry.from_parts((20, 30, 30), (4.0, 2.1, 2.2), (-31.0, 17.5, 40.25))
    mask = labels(ellipsoid(fine, (20.0, 15.0, 12.0), np.eye(3)), fine)
    x, y, z = np.moveaxis(positions(coarse), -1, 0)
    table = segments(mask, ct((3 * x + 5 * y + 7 * z).astype(np.float32), coarse))
    (row,) = table["labels"]
    assert row["mean"] == pytest.approx(center_of(fine) @ (3, 5, 7), abs=5)
    assert row["volume_ml"] == mask.array.sum() * fine.voxel_volume / 1000
    assert "on another grid" in table["warnings"][0]
    far = replace(coarse, affine=coarse.affine + np.eye(4, 4, 3) * 0 + np.pad([[500.0]], ((0, 3), (3, 0))))
    with pytest.raises(GeometryError, match="do not overlap"):
        segments(mask, ct(np.zeros(coarse.shape), far))
    with pytest.raises(GeometryError, match="different frames of reference"):
        segments(
            mask.with_metadata(frame_of_reference_uid="1.2"),
            ct(np.zeros(coarse.shape), coarse, frame_of_reference_uid="1.3"),
        )


def test_slabs_do_not_matter(monkeypatch):
    """Labels, values and peaks are gone through in parts: the cuts must not show."""
    place = positions(PET)
    away = np.linalg.norm(place - center_of(PET), axis=-1)
    array = np.where(away <= 30, 1, 0) + np.where((away > 12) & (away < 19), 1, 0)  # a ball in a shell, in a shell
    scan = pet(np.random.default_rng(4).normal(5000, 900, PET.shape))
    whole = segments(labels(array, PET), scan, suv=True)["labels"]
    monkeypatch.setattr("napari_radcnn.measure.regions._SLAB", 2000)
    monkeypatch.setattr("napari_radcnn.measure.peak._VOXELS", 2000)
    parts = segments(labels(array, PET), scan, suv=True)["labels"]
    assert [row["voxels"] for row in parts] == [(array == 1).sum(), (array == 2).sum()]
    for one, other in zip(parts, whole, strict=True):
        assert one == {key: value if key == "name" else pytest.approx(value) for key, value in other.items()}


def test_numbers_beyond_a_float_and_thresholds_that_are_none():
    grid = GRIDS["axial"]
    mask = ellipsoid(grid, (9.0, 7.0, 8.0), np.eye(3))
    (row,) = segments(labels(mask, grid), ct(np.full(grid.shape, 1e300), grid))["labels"]
    assert (row["energy"], row["max"]) == (None, 1e300)
    for threshold in (np.nan, np.inf):
        with pytest.raises(OptionError, match="threshold of the metabolic volume"):
            segments(labels(mask, grid), ct(np.zeros(grid.shape), grid), mtv_threshold=threshold)
    # 41 % of nothing is no threshold
    cold = np.full(PET.shape, -3.0)
    (row,) = segments(labels(ellipsoid(PET, (9.0, 7.0, 8.0), np.eye(3)), PET), pet(cold))["labels"]
    assert (row["suv_max"], row["mtv_threshold"], row["mtv_ml"], row["tlg"]) == (-3.0, None, None, None)
    # each label has its warning, but not a thousand of them
    array = np.zeros(grid.shape, np.int32)
    array[::2, ::8, ::9] = np.arange(1, 1501).reshape(15, 10, 10)
    told = segments(Volume(array, grid), ct(np.full(grid.shape, np.nan), grid))["warnings"]
    assert len(told) == 21
    assert told[-1] == "… and 1480 further warnings like these."


def test_the_axis_order_of_the_scan_does_not_matter():
    grid = GRIDS["left-handed"]
    mask = labels(ellipsoid(grid, (20.0, 15.0, 12.0), np.eye(3)), grid)
    scan = ct(np.random.default_rng(1).normal(0, 90, grid.shape), grid)
    assert segments(mask, scan.reoriented("PIR")) == segments(mask, scan)


def test_without_a_scan_and_without_labels():
    grid = GRIDS["axial"]
    table = segments(labels(np.zeros(grid.shape), grid))
    assert table["labels"] == []
    mask = labels(np.ones(grid.shape), grid)
    assert "mean" not in segments(mask)["labels"][0]


def test_what_is_no_label_map_is_refused():
    grid = GRIDS["axial"]
    for array, message in (
        (np.full(grid.shape, 0.5), "not all whole numbers"),
        (np.full(grid.shape, -1, np.int16), "below 0"),
        (np.full(grid.shape, 1e30), "not all whole numbers"),
        (np.full(grid.shape, np.nan), "not all whole numbers"),
        (np.full(grid.shape, -2.0), "below 0"),
        (np.arange(np.prod(grid.shape)).reshape(grid.shape), "connected components"),
        (np.zeros((*grid.shape, 3), np.uint8), "colors"),
    ):
        with pytest.raises(OptionError, match=message):
            segments(Volume(array, grid, VolumeMetadata(name="labels")))
    # whole numbers as floats are labels
    floats = np.zeros(grid.shape, np.float32)
    floats[3:9, 4:20, 5:30] = 300
    assert [(row["label"], row["voxels"]) for row in segments(Volume(floats, grid))["labels"]] == [(300, 6 * 16 * 25)]
    # a scan in the place of labels is told
    scan = ct(np.arange(np.prod(grid.shape)).reshape(grid.shape) % 50, grid)
    assert segments(scan)["warnings"] == ["'CT 3' is a scan (CT): each of its values is taken for a label."]
    # large values of few labels are no reason to refuse them
    sparse = np.zeros(grid.shape, np.int64)
    sparse[3, 4, 5] = 2_000_000_000
    assert [row["label"] for row in segments(Volume(sparse, grid))["labels"]] == [2_000_000_000]
    with pytest.raises(OptionError, match="colors"):
        segments(labels(np.ones(grid.shape), grid), Volume(np.zeros((*grid.shape, 3), np.uint8), grid))


def test_cancel_and_progress():
    grid = GRIDS["axial"]
    mask = np.zeros(grid.shape, np.uint8)
    mask[1:3], mask[5:8] = 1, 2
    told = []

    class Stop:
        def is_set(self) -> bool:
            return len(told) > 1

    with pytest.raises(CancelledError):
        segments(labels(mask, grid), progress=lambda *step: told.append(step), cancel=Stop())
    assert told[:2] == [(0, 2, "label 1"), (1, 2, "label 1")]
