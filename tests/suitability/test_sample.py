"""What the rules look at: some voxels, upright, never a whole store."""

from __future__ import annotations

import numpy as np
import pytest

import napari_radcnn as radcnn
from drawn_scans import chest_ct
from napari_radcnn.geometry import Geometry
from napari_radcnn.io.omezarr import read as reading
from napari_radcnn.suitability import what_is
from napari_radcnn.suitability.sample import take_sample
from napari_radcnn.volume import Volume


def field(shape, spacing):
    z, y, x = np.indices(shape)
    return Volume((100 * z + 10 * y + x).astype(np.float32), Geometry.from_parts(shape, spacing, (5.0, -7.0, 9.0)))


def test_voxels_are_taken_about_every_2_mm_upright():
    volume = field((30, 40, 50), (1.0, 0.5, 3.0))
    sample = take_sample(volume)
    assert sample.spacing == (2.0, 2.0, 3.0)
    assert np.array_equal(sample.values, volume.array[1::2, 2::4, :])
    turned = take_sample(volume.reoriented("RAI"))
    assert np.array_equal(turned.values.shape, sample.values.shape)
    assert turned.extent == pytest.approx(sample.extent)


def test_small_voxels_are_means():
    sample = take_sample(field((8, 8, 8), (2.0, 2.0, 2.0)))
    values, spacing = sample.small
    assert spacing == (4.0, 4.0, 4.0)
    assert values[1, 2, 3] == sample.values[2:4, 4:6, 6:8].mean()


def test_a_large_scan_is_thinned():
    big = Volume(
        np.broadcast_to(np.float32(1), (900, 900, 900)), Geometry.from_parts((900,) * 3, (2, 2, 2.1), (0, 0, 0))
    )
    assert take_sample(big).values.size <= 3_000_000


def test_what_is_no_number_is_counted():
    values = np.zeros((4, 6, 5), np.float32)
    values[0] = np.inf
    sample = take_sample(Volume(values, Geometry.from_parts((4, 6, 5), (3.0, 2.0, 2.5), (0, 0, 0))))
    assert sample.missing == pytest.approx(0.25)
    assert sample.finite.size == 90


def test_a_scan_in_a_store_is_not_loaded_and_is_told_for_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 0)
    radcnn.write(chest_ct(), tmp_path / "scan.ome.zarr")
    (stored,) = radcnn.read(tmp_path / "scan.ome.zarr")
    scan, expected = what_is(stored), what_is(chest_ct())
    assert not stored.is_loaded
    assert scan.modality.value == expected.modality.value == "CT"
    assert scan.regions.value == expected.regions.value


def test_of_a_large_store_some_slices_are_read(tmp_path, monkeypatch):
    from napari_radcnn.suitability import sample as module

    monkeypatch.setattr(module, "_STORE_BYTES", 1000)
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 0)
    radcnn.write(chest_ct(), tmp_path / "scan.ome.zarr")
    (stored,) = radcnn.read(tmp_path / "scan.ome.zarr")
    values = take_sample(stored).values
    assert not stored.is_loaded
    assert values.shape[0] <= 13
    assert take_sample(stored).extent == pytest.approx(take_sample(chest_ct()).extent, rel=0.01)
