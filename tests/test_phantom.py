from __future__ import annotations

import numpy as np

from grids import ALL
from napari_radcnn.phantom import disks, head, world_field


def test_the_field_is_the_position():
    for grid in ALL.values():
        volume = world_field(grid())
        x, y, z = volume.geometry.to_world((2, 1, 3))
        assert abs(volume.array[2, 1, 3] - (3 * x + 5 * y + 7 * z)) < 1e-3


def test_the_head_has_no_symmetry():
    volume = head()
    for axis in range(3):
        assert np.abs(volume.array - np.flip(volume.array, axis)).max() > 300


def test_the_head_has_its_parts_where_it_says():
    volume = head()

    def value(position):
        k, j, i = np.round(volume.geometry.to_index(position)).astype(int)
        return volume.array[k, j, i]

    assert value((-28, 20, 30)) > 800  # mass: right, behind, above
    assert value((28, 20, 30)) < 800
    assert value((84, 5, -10)) > 300  # ear: left only
    assert value((-84, 5, -10)) < 100
    assert value((0, -96, -15)) > 300  # nose: in front only
    assert value((0, 96, -15)) < 100


def test_disks_differ_by_the_noise_that_was_asked_for():
    noisy, clean = disks(noise=15.0)
    assert abs((noisy.array - clean.array).std() - 15.0) < 0.3
    assert noisy.geometry.is_close(clean.geometry)
