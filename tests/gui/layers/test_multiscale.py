"""Scans that stay in their store, in the viewer: every resolution in its place, and nothing read that is not shown."""

import contextlib
import copy

import numpy as np
import pytest
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Qt

import napari_radcnn as radcnn
from aligned import ORIENTATIONS, aligned, field_at
from napari_radcnn.errors import GeometryError, RadcnnError, ResourceError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.export.saving import knows_series
from napari_radcnn.gui.fusion.overlay import suv_factor, units_of
from napari_radcnn.gui.layers import multiscale
from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data, volume_from_layer
from napari_radcnn.gui.layers.multiscale import ShownArray, level_index
from napari_radcnn.io import write
from napari_radcnn.io.omezarr import read as reading
from napari_radcnn.phantom import FIELD_COEFFICIENTS, oblique_geometry, world_field
from napari_radcnn.volume import Volume, VolumeMetadata
from napari_radcnn.voxels import Level
from sources import CountingSource

WINDOW = {"window_center": 40.0, "window_width": 400.0}


def lazy_pyramid(orientation="SPL", shape=(8, 12, 20), **metadata):
    """A field with two coarser levels, whose voxels are alike at the second."""
    full = aligned(orientation, shape)
    shapes = [(shape[0], shape[1] // 2, shape[2] // 2), (shape[0] // 2, shape[1] // 4, shape[2] // 4)]
    grids = [full.with_shape(s) for s in shapes]
    levels = tuple(Level(CountingSource(world_field(grid).array, (2, 2, 2)), grid) for grid in grids)
    source = CountingSource(world_field(full).array, (3, 4, 5), levels)
    return Volume.lazy(source, full, VolumeMetadata(name="scan", **metadata)), source


def made(scan):
    return Layer.create(*layer_data(scan))


# -- where a resolution is drawn --------------------------------------------------------------------------------------


def test_levels_that_divide_evenly_are_drawn_as_they_are():
    full = aligned("SPL", (8, 12, 20))
    found = level_index(full, full.with_shape((8, 6, 5)))
    assert [index.tolist() for index in found] == [list(range(8)), list(range(6)), list(range(5))]


@pytest.mark.parametrize("n", [100, 255, 256, 257, 513, 515])
@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("rounded", [np.ceil, np.floor])
@pytest.mark.parametrize("start", ["center", "first"])
def test_every_drawn_voxel_is_the_nearest_one(n, factor, rounded, start):
    full = aligned("SPL", (3, 4, n))
    affine = full.affine.copy()
    affine[:3, 2] *= factor
    offset = (factor - 1) / 2 if start == "center" else 0
    affine[:3, 3] = full.to_world((0, 0, offset))
    level = Geometry((3, 4, int(rounded(n / factor))), affine)
    index = level_index(full, level)[2]
    ratio = n / len(index)  # what napari makes of the shapes
    drawn = np.arange(len(index)) * ratio + (ratio - 1) / 2
    shift = np.abs(offset + factor * index - drawn) / factor
    assert shift[:-1].max() <= 0.5 + 1e-9
    assert shift[-1] <= 1.5
    assert (np.diff(index) >= 0).all()


def test_levels_that_napari_cannot_place_are_left_out():
    full = aligned("SPL", (8, 12, 20))
    half = full.with_shape((8, 6, 10))
    moved = half.affine.copy()
    moved[:3, 3] += (0, 9, 0)
    assert level_index(full, Geometry(half.shape, moved)) is None
    assert level_index(full, Geometry((8, 3, 10), half.affine)) is None
    assert level_index(full, oblique_geometry((4, 6, 10))) is None
    assert level_index(full, half.reoriented(half.axis_map("IPL"))) is None


# -- array-likes ------------------------------------------------------------------------------------------------------


KEYS = [
    (slice(None),) * 3,
    (1, slice(None), slice(2, 5)),
    (slice(1, 3), -1),
    (Ellipsis, 3),
    (slice(0, 8, 2), slice(3, 3)),
    (np.int64(2), 1, 0),
    (slice(None, None, -1), slice(4, 2)),
    np.array([2, 0]),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("index", [None, ([0, 1, 1, 3], [2, 3, 4], [0, 2, 4, 4, 5])])
def test_indexing_is_that_of_an_array(key, index):
    array = np.random.default_rng(0).integers(0, 99, (4, 5, 6))
    shown = ShownArray(CountingSource(array), None if index is None else tuple(np.array(i) for i in index))
    wanted = array if index is None else array[np.ix_(*index)]
    assert (shown.shape, shown.ndim, shown.size) == (wanted.shape, 3, wanted.size)
    assert np.array_equal(np.asarray(shown[key]), wanted[key])
    assert np.array_equal(np.asarray(shown[1:3][1]), wanted[1:3][1])


def test_indexing_reads_nothing_and_an_array_only_what_it_holds():
    source = CountingSource(np.arange(120).reshape(4, 5, 6))
    plane = ShownArray(source)[:, 1:3][2]
    assert source.boxes == []
    assert plane.shape == (2, 6)
    assert np.asarray(plane, np.float32).dtype == np.float32
    assert source.boxes == [((2, 3), (1, 3), (0, 6))]


def test_color_stays_last():
    array = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 3)).astype(np.uint8)
    shown = ShownArray(CountingSource(array))
    assert np.array_equal(np.asarray(shown[2, 1:3]), array[2, 1:3])
    assert np.array_equal(np.asarray(shown[2, 1, 0, 1]), array[2, 1, 0, 1])


def test_a_view_that_needs_too_much_memory_is_refused(monkeypatch):
    source = CountingSource(shape=(1 << 14, 1 << 14, 1 << 14))
    shown = ShownArray(source)
    with pytest.raises(ResourceError, match="slice by slice"):
        np.asarray(shown)
    assert source.boxes == []


# -- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_level_shows_its_voxels_at_their_place(orientation):
    volume, source = lazy_pyramid(orientation, **WINDOW)
    layer = made(volume)
    assert isinstance(layer, Image)
    assert layer.multiscale
    assert source.boxes == []
    assert len(layer.data) == 3
    for n, array in enumerate(layer.data):
        values = np.asarray(array)
        ratio = layer.downsample_factors[n]
        for index in np.ndindex(values.shape):
            drawn = np.array(index) * ratio + (ratio - 1) / 2
            assert values[index] == pytest.approx(field_at(layer, drawn), abs=0.01)
    assert not volume.is_loaded


def test_the_scan_comes_back_unread():
    volume, source = lazy_pyramid("AIR", **WINDOW)
    layer = made(volume)
    layer.name = "renamed"
    back = volume_from_layer(layer)
    assert back.name == "renamed"
    assert back.geometry.is_close(volume.geometry, 1e-9)
    layer.translate = np.add(layer.translate, (10, 0, -2))
    moved = volume_from_layer(layer)
    assert np.allclose(np.array(moved.geometry.origin) - volume.geometry.origin, (-2, 0, 10))
    assert any("moved" in warning for warning in moved.warnings)
    assert source.boxes == []
    assert np.array_equal(back.array, source.array)
    assert moved.is_loaded
    duplicate = Image(
        copy.deepcopy(layer.data), metadata=layer.metadata, multiscale=True, scale=layer.scale, units="mm"
    )
    assert volume_from_layer(duplicate).source is volume.source


def test_other_data_in_the_layer_is_not_taken_for_the_scan():
    volume, _ = lazy_pyramid(**WINDOW)
    layer = made(volume)
    layer.data = [np.zeros(array.shape) for array in layer.data]
    with pytest.raises(RadcnnError, match="multiscale"):
        volume_from_layer(layer)


def test_a_store_without_coarser_levels_is_shown_too():
    source = CountingSource(world_field(aligned("LSP")).array)
    layer = made(Volume.lazy(source, aligned("LSP"), VolumeMetadata(**WINDOW)))
    assert len(layer.data) == 1
    assert np.asarray(layer.data[0])[1, 2, 1] == pytest.approx(field_at(layer, (1, 2, 1)), abs=0.01)


def test_a_loaded_scan_is_a_plain_layer():
    volume, _ = lazy_pyramid()
    volume.load()
    layer = made(volume)
    assert not layer.multiscale
    assert np.shares_memory(layer.data, volume.array)


@pytest.mark.parametrize("orientation", ["SPL", "AIR"])
def test_a_store_without_a_level_for_3d_gets_one_of_every_nth_voxel(monkeypatch, orientation):
    monkeypatch.setattr(multiscale, "_MOST_DRAWN", 40)
    full = aligned(orientation, (9, 12, 20))
    source = CountingSource(world_field(full).array, (2, 5, 20))
    layer = made(Volume.lazy(source, full, VolumeMetadata(**WINDOW)))
    assert len(layer.data) == 2
    assert source.boxes == []
    values = np.asarray(layer.data[1])
    assert values.size <= 60
    largest = max(np.prod([stop - start for start, stop in ends]) for ends in source.boxes)
    assert largest <= source.array.size / 2
    ratio = layer.downsample_factors[1]
    for index in np.ndindex(values.shape):
        drawn = np.array(index) * ratio + (ratio - 1) / 2
        half_voxel = 0.5 * np.abs(FIELD_COEFFICIENTS[::-1] * layer.scale).sum()
        assert values[index] == pytest.approx(field_at(layer, drawn), abs=half_voxel + 0.01)
    assert np.array_equal(np.asarray(layer.data[1][1]), values[1])


def oblique_pyramid():
    full = oblique_geometry((12, 40, 36))
    coarse = full.with_shape((6, 20, 18))
    level = Level(CountingSource(world_field(coarse).array), coarse)
    return Volume.lazy(CountingSource(world_field(full).array, levels=(level,)), full)


def test_an_oblique_scan_that_fits_is_shown_like_any_other():
    volume = oblique_pyramid()
    layer, eager = made(volume), made(world_field(volume.geometry))
    assert np.array_equal(layer.data, eager.data)
    assert layer.metadata["radcnn"]["warnings"] == ()
    assert volume_from_layer(layer).source is volume.source


def test_an_oblique_scan_that_does_not_fit_is_shown_coarser_and_told(monkeypatch):
    volume = oblique_pyramid()
    monkeypatch.setattr(multiscale, "_free", lambda: 4 * 12 * 40 * 36)
    layer = made(volume)
    assert not volume.is_loaded
    assert "6 x 20 x 18" in layer.metadata["radcnn"]["warnings"][0]
    inside = 0
    for index in np.random.default_rng(1).integers(0, layer.data.shape, (1000, 3)):
        z, y, x = layer.data_to_world(tuple(index.astype(float)))
        at = volume.geometry.to_index((x, y, z))
        if np.all(at >= 1) and np.all(at <= np.array(volume.geometry.shape) - 2):
            inside += 1
            assert layer.data[tuple(index)] == pytest.approx(field_at(layer, index), abs=0.01)
    assert inside > 100
    back = volume_from_layer(layer)
    assert back.source is volume.source
    assert back.geometry.is_close(volume.geometry)
    assert back.warnings == ()


def test_labels_are_loaded_in_the_finest_resolution_that_fits(monkeypatch):
    full = aligned("RIA", (8, 12, 20))
    array = (np.arange(8 * 12 * 20).reshape(full.shape) % 3).astype(np.uint8)
    coarse = full.with_shape((8, 6, 10))
    level = Level(CountingSource(array[:, ::2, ::2]), coarse)
    volume = Volume.lazy(CountingSource(array, levels=(level,)), full, VolumeMetadata(is_label=True))
    monkeypatch.setattr(multiscale, "_free", lambda: array.size)
    layer = made(volume)
    assert isinstance(layer, Labels)
    assert "coarser" in layer.metadata["radcnn"]["warnings"][0]
    assert label_map_from_layer(layer).geometry.is_close(coarse)
    monkeypatch.undo()
    assert np.array_equal(label_map_from_layer(made(volume)).array, array)


# -- in the viewer ----------------------------------------------------------------------------------------------------


@pytest.mark.gui
@pytest.mark.parametrize("orientation", ["SPL", "RIA"])
def test_the_value_under_the_cursor_on_every_level(make_napari_viewer, tmp_path, monkeypatch, orientation):
    """Of a store as we write it, whose levels do not divide evenly, in all three planes."""
    monkeypatch.setattr("napari_radcnn.io.omezarr.write._SMALLEST_LEVEL", 64)
    field = world_field(aligned(orientation, (39, 67, 131), (1.6, 0.9, 0.7)))
    path = write(field, tmp_path / "a.ome.zarr")
    monkeypatch.setattr(reading, "_READ_AT_ONCE", 0)
    viewer = make_napari_viewer(show=True)
    (layer,) = viewer.open(str(path), plugin="napari-radcnn")
    volume = layer.metadata["radcnn"]["volume"]
    assert layer.multiscale
    assert len(layer.data) == 3
    for order in [(0, 1, 2), (1, 0, 2), (2, 0, 1)]:
        viewer.dims.order = order
        for level in range(3):
            layer.locked_data_level = level
            ratio, shape = layer.downsample_factors[level], np.array(layer.data[level].shape)
            error = np.abs(FIELD_COEFFICIENTS[::-1] * ratio * layer.scale * (level > 0))  # one voxel of the level
            for part in (0.1, 0.5, 0.85):
                drawn = np.floor(part * shape) * ratio + (ratio - 1) / 2
                viewer.dims.set_point(order[0], layer.data_to_world(drawn)[order[0]])
                position = np.array(layer.data_to_world(drawn))
                position[order[0]] = viewer.dims.point[order[0]]  # snapped to a slice
                found, value = layer.get_value(position, world=True)
                assert found == level
                expected = float(np.dot(position[::-1], FIELD_COEFFICIENTS))
                assert abs(value - expected) <= 0.6 * error.sum() + 0.01, (order, level, part)
    layer.locked_data_level = None
    viewer.dims.ndisplay = 3
    assert layer.data_level == 2
    assert not volume.is_loaded


def test_planning_a_run_reads_a_sample_at_most_and_offering_to_save_nothing():
    volume, source = lazy_pyramid("RIA", shape=(24, 60, 64), **WINDOW)  # large enough for every model
    layer = made(volume)
    planned = {}
    for model in radcnn.models():
        if model.is_available and model.task != "interactive":
            with contextlib.suppress(GeometryError):  # a model of radiographs says no, which has to read nothing either
                radcnn.plan(volume_from_layer(layer), model=model.name)
                planned[model.name] = [tuple(stop - start for start, stop in box) for box in source.boxes]
                source.boxes.clear()
    # What the scan is, is seen in a sample of it, which of a small one is all; or in the values of one slice.
    assert all(read in ([], [(1, 60, 64)], [(24, 60, 64)]) for read in planned.values())
    assert knows_series(layer) is False
    assert (suv_factor(layer), units_of(layer)) == (None, "")
    assert source.boxes == []


def test_file_save_writes_the_full_resolution(tmp_path):
    volume, source = lazy_pyramid("AIR")
    layer = made(volume)
    (path,) = layer.save(str(tmp_path / "a.nii.gz"), plugin="napari-radcnn")
    (back,) = radcnn.read(path)
    assert np.array_equal(back.array, source.array)
    assert back.geometry.is_close(volume.geometry)


@pytest.mark.gui
def test_the_models_dock_takes_a_scan_in_a_store(make_napari_viewer, qtbot):
    volume, _ = lazy_pyramid("SPL", **WINDOW)
    viewer = make_napari_viewer(show=True)
    viewer.add_layer(made(volume))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("nlm-denoise"))
    dock.update_plan()
    qtbot.waitUntil(lambda: not dock.is_planning)
    assert not volume.is_loaded
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
    result = volume_from_layer(viewer.layers[-1])
    assert result.shape == volume.shape
    assert result.geometry.is_close(volume.geometry)


@pytest.mark.gui
def test_every_level_is_drawn_in_the_same_place(make_napari_viewer, qtbot):
    """A bright half: its border is at one place on the screen, whatever resolution is drawn."""
    full = aligned("SPL", (3, 64, 96), (2.0, 1.0, 1.0))
    array = np.zeros(full.shape, np.int16)
    array[:, :, 40:] = 1000
    array[:, :24] = 1000
    levels = tuple(
        Level(CountingSource(array[:, ::f, ::f].copy(), (3, 64, 96)), full.with_shape((3, 64 // f, 96 // f)))
        for f in (2, 4, 8)
    )
    source = CountingSource(array, (3, 64, 96), levels)
    volume = Volume.lazy(source, full, VolumeMetadata(window_center=500, window_width=1000))
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_layer(made(volume))
    layer.interpolation2d = "nearest"
    pictures: list[np.ndarray] = []
    shapes = [(0, 0)]

    def is_laid_out():  # the window gives the canvas its final size after a while
        shapes.append(viewer.screenshot(canvas_only=True, flash=False).shape[:2])
        return shapes[-1] == shapes[-2]

    qtbot.waitUntil(is_laid_out, timeout=10_000)
    for level in range(4):
        layer.locked_data_level = level
        qtbot.wait(50)
        pictures.append(viewer.screenshot(canvas_only=True, flash=False)[..., 0].astype(int))
    assert (pictures[0] > 200).sum() > 10_000
    for picture in pictures[1:]:
        differing = np.abs(picture - pictures[0]) > 100
        assert differing.sum() < 0.01 * differing.size
