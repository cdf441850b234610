from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from grids import axial, oblique
from napari_radcnn.errors import GeometryError, OptionError
from napari_radcnn.geometry import Geometry
from napari_radcnn.metrics import compare, dice, surface_distances
from napari_radcnn.phantom import disks, world_field
from napari_radcnn.volume import Volume, VolumeMetadata

SPACING = (2.5, 1.0, 0.5)


def _boxes():
    grid = Geometry.from_parts((8, 12, 20), SPACING, (1.0, 2.0, 3.0))
    first, second = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    first[2:6, 3:9, 4:12] = 1
    second[2:6, 3:9, 6:14] = 1  # moved by 2 voxels = 1 mm along i
    second[0, 0, 0] = 4
    metadata = VolumeMetadata(is_label=True)
    return Volume(first, grid, metadata), Volume(second, grid, metadata)


def test_dice_by_hand():
    assert dice(np.array([1, 1, 0, 0]), np.array([0, 1, 1, 1])) == pytest.approx(2 * 1 / 5)
    assert dice(np.zeros(3), np.zeros(3)) == 1
    assert dice(np.ones(3), np.zeros(3)) == 0


def test_labels_by_hand():
    found = compare(*_boxes())["labels"]
    assert found["1"]["dice"] == pytest.approx(2 * 6 / 16)
    assert found["1"]["volume_ml"] == pytest.approx([4 * 6 * 8 * 1.25 / 1000] * 2)
    assert found["1"]["hausdorff95_mm"] == pytest.approx(1.0)
    assert found["4"]["dice"] == 0
    assert found["4"]["hausdorff95_mm"] is None


def test_surface_distance_is_in_millimeters():
    first, second = np.zeros((9, 9, 9)), np.zeros((9, 9, 9))
    first[4, 4, 4] = 1
    second[6, 4, 5] = 1
    assert surface_distances(first, second, SPACING) == pytest.approx([np.hypot(5.0, 0.5)] * 2)


def test_axis_order_does_not_matter_but_place_does():
    first, second = _boxes()
    assert compare(first, second.reoriented("RAI")) == compare(first, second)
    moved = replace(second, geometry=Geometry.from_parts(second.geometry.shape, SPACING, (1.0, 2.0, 4.0)))
    with pytest.raises(GeometryError, match=r"on different grids.*1\.0 mm apart"):
        compare(first, moved)
    with pytest.raises(GeometryError, match="on different grids"):
        compare(world_field(axial()), world_field(oblique()))


def test_images_against_scikit_image():
    noisy, clean = disks(20.0)
    found = compare(clean, noisy)["image"]
    peak = float(np.ptp(clean.array))
    assert found["psnr_db"] == pytest.approx(
        peak_signal_noise_ratio(clean.array, noisy.array, data_range=peak), abs=1e-3
    )
    assert found["rmse"] == pytest.approx(20, rel=0.02)
    assert found["mean_shift"] == pytest.approx((noisy.array - clean.array).mean(), abs=1e-3)
    assert compare(clean, clean)["image"]["psnr_db"] is None


def unmarked(array: np.ndarray) -> Volume:
    return Volume(array, Geometry.from_parts(array.shape, SPACING, (1.0, 2.0, 3.0)))


def patches(count: int) -> np.ndarray:
    """Return `count` patches of one value each in a background of 0."""
    out = np.zeros((8, 24, 40), np.int16)
    for n in range(count):
        row, column = divmod(n, 10)
        out[2:6, 2 * row : 2 * row + 2, 4 * column : 4 * column + 4] = n + 1
    return out


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("count", [1, 2, 100])
def test_label_maps_are_known_by_their_values(count: int, dtype: type) -> None:
    array = patches(count).astype(dtype)
    found = compare(unmarked(array), unmarked(np.roll(array, 1, axis=2)))
    assert len(found["labels"]) == count
    assert 0.7 < found["labels"]["1"]["dice"] < 1
    assert "image" in compare(unmarked(array), unmarked(array), taken_as="images")


@pytest.mark.parametrize("kind", ["8-bit picture", "negative", "fractions", "many values"])
def test_pictures_are_known_by_their_values(kind: str) -> None:
    random = np.random.default_rng(3)
    arrays = {
        "8-bit picture": random.integers(0, 255, (8, 24, 40)).astype(np.uint8),
        "negative": patches(3) - np.int16(1),
        "fractions": patches(3) * np.float32(0.5),
        "many values": np.arange(8 * 24 * 40, dtype=np.int16).reshape(8, 24, 40),
    }
    assert "image" in compare(unmarked(arrays[kind]), unmarked(arrays[kind]))


def test_what_they_are_taken_as_can_be_given() -> None:
    array = np.random.default_rng(3).integers(0, 200, (4, 6, 10)).astype(np.uint8)
    assert "labels" in compare(unmarked(array), unmarked(array), taken_as="labels")
    with pytest.raises(OptionError, match="no label maps"):
        compare(unmarked(array * np.float32(0.3)), unmarked(array), taken_as="labels")
