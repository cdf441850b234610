"""Volumes whose voxels stay in a store: nothing is read before it is needed, and then only what is needed."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

import grids
from napari_radcnn import provenance
from napari_radcnn.errors import CancelledError, GeometryError, ResourceError
from napari_radcnn.geometry import Geometry
from napari_radcnn.phantom import FIELD_COEFFICIENTS, world_field
from napari_radcnn.volume import Volume, VolumeMetadata
from napari_radcnn.voxels import Level, box_ends
from patience import PATIENCE
from sources import CountingSource

ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "PA", "SI")) for letters in product(*axes)]


def lazy_field(grid: Geometry, **metadata) -> tuple[Volume, CountingSource]:
    source = CountingSource(world_field(grid).array)
    return Volume.lazy(source, grid, VolumeMetadata(**metadata)), source


def on_field(block: np.ndarray, geometry: Geometry, start=(0, 0, 0)) -> bool:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in block.shape], indexing="ij"), -1) + start
    return np.allclose(block, geometry.to_world(index) @ FIELD_COEFFICIENTS, atol=0.01)


def test_nothing_is_read_until_the_array_is_asked_for():
    volume, source = lazy_field(grids.oblique(), name="a")
    renamed = replace(volume, metadata=replace(volume.metadata, name="b"), warnings=("told",))
    turned = renamed.reoriented("RAS")
    assert (volume.shape, volume.dtype, volume.is_color, volume.is_loaded) == (grids.SHAPE, np.float32, False, False)
    assert volume.size == 60
    assert turned.source is not None
    assert (renamed.name, renamed.warnings, turned.shape) == ("b", ("told",), turned.geometry.shape)
    assert renamed.with_array(np.zeros(grids.SHAPE), name="c").source is None
    assert "Volume(" in repr(volume)
    copy.deepcopy(renamed.geometry)
    assert source.boxes == []
    assert np.array_equal(volume.array, source.array)
    assert renamed.is_loaded
    assert turned.is_loaded
    n_reads = len(source.boxes)
    assert renamed.array is volume.array
    assert np.shares_memory(turned.array, volume.array)
    assert len(source.boxes) == n_reads


@pytest.mark.parametrize("grid", grids.ALL.values(), ids=grids.ALL)
def test_every_reorientation_is_that_of_the_array(grid):
    for orientation in ORIENTATIONS:
        volume, _ = lazy_field(grid())
        turned, eager = volume.reoriented(orientation), world_field(grid()).reoriented(orientation)
        assert turned.geometry.is_close(eager.geometry, 1e-9)
        box = (slice(1, None), slice(0, 2), slice(1, 3))
        assert np.array_equal(turned.read_block(box), eager.array[box])
        assert np.array_equal(turned.read_block(box), eager.read_block(box))
        assert not turned.is_loaded
        twice = turned.reoriented("SPL")
        assert np.array_equal(twice.read_block(box), world_field(grid()).reoriented("SPL").array[box])
        assert np.array_equal(twice.array, world_field(grid()).reoriented("SPL").array)
        assert np.array_equal(turned.read_block(box), eager.array[box])
        assert volume.is_loaded


def test_levels_turn_along():
    grid = Geometry.from_parts((3, 6, 8), grids.SPACING, grids.ORIGIN, grids.oblique().direction)
    coarse = grid.with_shape((3, 3, 4))
    source = CountingSource(
        world_field(grid).array, levels=(Level(CountingSource(world_field(coarse).array, (3, 2, 1)), coarse),)
    )
    turned = Volume.lazy(source, grid).reoriented("LSP")
    (level,) = turned.source.levels
    assert level.source.shape == level.geometry.shape != coarse.shape
    assert level.geometry.orientation == turned.geometry.orientation
    block = level.source.read((slice(0, 4), slice(1, 3), slice(0, 2)))
    assert on_field(block, level.geometry, (0, 1, 0))
    assert sorted(level.source.chunks) == [1, 2, 3]
    assert np.argmin(level.source.chunks) == np.argmax(level.source.shape)


def test_color_keeps_its_last_axis():
    array = np.random.default_rng(0).integers(0, 255, (*grids.SHAPE, 3)).astype(np.uint8)
    volume = Volume.lazy(CountingSource(array), grids.axial())
    assert volume.is_color
    turned = volume.reoriented("RSP")
    block = turned.read_block((slice(1, 4), slice(0, 2), slice(2, 4)))
    assert np.array_equal(block, Volume(array, grids.axial()).reoriented("RSP").array[1:4, 0:2, 2:4])


def test_boxes():
    assert box_ends((slice(None), slice(1, 99), slice(-2, None)), (3, 4, 5)) == ((0, 3), (1, 4), (3, 5))
    assert box_ends((slice(2, 1), slice(7, 9), slice(0, 1)), (3, 4, 5)) == ((2, 2), (4, 4), (0, 1))
    for bad in ((slice(None),) * 2, (slice(None, None, 2), slice(None), slice(None))):
        with pytest.raises(ValueError, match="box"):
            Volume(np.zeros(grids.SHAPE), grids.axial()).read_block(bad)


def test_what_cannot_fit_is_refused_before_it_is_read():
    source = CountingSource(shape=(1 << 20, 1 << 20, 1 << 20))
    grid = Geometry.from_parts(source.shape, grids.SPACING)
    volume = Volume.lazy(source, grid, VolumeMetadata(name="huge"))
    assert volume.shape == source.shape
    for use in (lambda: volume.array, lambda: volume.reoriented("LSP").array, volume.load):
        with pytest.raises(ResourceError, match=r"huge.*memory.*GiB") as caught:
            use()
        assert caught.value.exit_status == 5
    assert source.boxes == []


def test_a_limit_of_the_process_is_told_too():
    volume, source = lazy_field(grids.axial(), name="large")

    def no_memory(box):
        raise MemoryError

    source.read = no_memory
    with pytest.raises(ResourceError, match=r"large.*memory"):
        volume.load()


def test_threads_load_once():
    volume, source = lazy_field(grids.axial())
    reading, go = threading.Event(), threading.Event()
    plain = source.read

    def slow(box):
        reading.set()
        assert go.wait(PATIENCE)
        return plain(box)

    source.read = slow
    found = []
    threads = [threading.Thread(target=lambda: found.append(volume.array)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert reading.wait(PATIENCE)
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(found) == 4
    assert all(array is found[0] for array in found)
    assert sum(k[1] - k[0] for k, _, _ in source.boxes) == grids.SHAPE[0]


def test_loading_tells_how_far_it_is_and_can_be_stopped(monkeypatch):
    monkeypatch.setattr("napari_radcnn.voxels._SLAB_BYTES", 1)
    volume, source = lazy_field(grids.axial())
    steps, cancel = [], threading.Event()
    with pytest.raises(CancelledError):
        volume.load(lambda done, total, message: cancel.set(), cancel)
    assert not volume.is_loaded
    volume.load(lambda done, total, message: steps.append((done, total)))
    assert steps == [(0, 2), (1, 2), (2, 2)]
    assert np.array_equal(volume.array, source.array)


def test_display_range_reads_a_coarse_level_or_some_blocks(monkeypatch):
    fine = np.linspace(0, 1000, 24**3).reshape(24, 24, 24)
    grid = Geometry.from_parts(fine.shape, grids.SPACING)
    coarse = CountingSource(fine[::2, ::2, ::2])
    source = CountingSource(fine, (4, 4, 4), (Level(coarse, grid.with_shape((12, 12, 12))),))
    low, high = Volume.lazy(source, grid).contrast_limits()
    assert low < 30
    assert high > 900
    assert len(coarse.boxes) == 1
    assert source.boxes == []
    monkeypatch.setattr("napari_radcnn.voxels._SAMPLED_BYTES", 100)
    alone = CountingSource(fine, (4, 4, 4))
    low, high = Volume.lazy(alone, grid).contrast_limits()
    assert low < 200
    assert high > 800
    read = sum(np.prod([stop - start for start, stop in ends]) for ends in alone.boxes)
    assert 0 < read <= 7 * 4**3
    windowed = VolumeMetadata(window_center=40.0, window_width=80.0)
    untouched = CountingSource(fine)
    assert Volume.lazy(untouched, grid, windowed).contrast_limits() == (0.0, 80.0)
    assert untouched.boxes == []


def test_source_and_geometry_must_fit():
    with pytest.raises(GeometryError, match=r"\(3, 4, 5\)"):
        Volume.lazy(CountingSource(np.zeros(grids.SHAPE[::-1])), grids.axial())
    with pytest.raises(TypeError, match="geometry"):
        Volume(np.zeros(grids.SHAPE))


def test_copies_are_lazy_too():
    volume, source = lazy_field(grids.axial())
    other = copy.deepcopy(volume)
    assert np.array_equal(other.array, source.array)
    assert not volume.is_loaded


def test_the_hash_of_a_volume_on_disk_is_that_of_its_array_and_loads_nothing():
    array = np.arange(7 * 6 * 5, dtype=np.int16).reshape(7, 6, 5)
    source = CountingSource(array, chunks=(2, 3, 5))
    geometry = grids.oblique().with_shape(array.shape)
    lazy = Volume.lazy(source, geometry)
    assert provenance.identify(lazy)["sha256"] == provenance.voxel_hash(array, geometry)
    assert not lazy.is_loaded
