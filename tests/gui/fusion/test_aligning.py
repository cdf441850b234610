"""The overlay is aligned to the base by real clicks, with its labels, and taken back."""

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy.spatial.transform import Rotation

from napari_radcnn.alignment import Alignment
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.fusion.dock import FusionDock
from napari_radcnn.gui.layers.aligning import alignment_of, place
from napari_radcnn.gui.layers.belonging import identity, made_of
from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data, points_of, show_point, volume_from_layer
from napari_radcnn.gui.layers.sequences import layers_of
from napari_radcnn.gui.reading.beside.spaces import link_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata

GRID = Geometry.from_parts((30, 34, 32), (5.5, 5.0, 5.2), (-80.0, -85.0, -80.0))
MIDDLE = GRID.to_world((np.array(GRID.shape) - 1) / 2)
MATRIX = np.eye(4)
MATRIX[:3, :3] = Rotation.from_rotvec(np.radians(9) * np.array((0.6, 0.0, 0.8))).as_matrix()
MATRIX[:3, 3] = np.add(MIDDLE, (9.0, -6.0, 7.0)) - MATRIX[:3, :3] @ MIDDLE
MOVE = Alignment(MATRIX)


def scan(name, seed=0):
    drawn = np.random.default_rng(4)
    index = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), -1).astype(float)
    world = GRID.to_world(index)
    array = np.random.default_rng(seed).normal(0, 2, GRID.shape)
    for _ in range(40):
        place_, width, value = MIDDLE + drawn.uniform(-50, 50, 3), drawn.uniform(7, 16), drawn.uniform(40, 200)
        array += value * np.exp(-((world - place_) ** 2).sum(-1) / (2 * width**2))
    return Volume(array.astype(np.float32), GRID, VolumeMetadata(name=name, modality="MR"))


def labels_of(volume):
    array = (volume.array > 150).astype(np.uint8)
    return LabelMap(array, volume.geometry, {1: Label("bright")}, "bright")


def corners_apart(one, two):
    return float(np.abs(one.geometry.corners - two.geometry.corners).max())


@pytest.mark.gui
def test_the_overlay_is_aligned_with_its_labels_and_taken_back(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    moving = MOVE.moved(scan("before", 1)).with_metadata(patient_name="Two", patient_id="2")
    base = add_to_viewer(viewer, layer_data(scan("now").with_metadata(patient_name="One", patient_id="1")))
    overlay = add_to_viewer(viewer, layer_data(moving))
    drawn = add_to_viewer(viewer, made_of(layer_data(labels_of(moving)), identity(overlay)))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Fusion")
    assert isinstance(dock, FusionDock)
    dock.base_combo.choose(base)
    dock.overlay_combo.choose(overlay)
    box, limits = dock.align_box, tuple(overlay.contrast_limits)
    assert not box.people_label.isHidden()
    assert box.people_label.text() == "Two patients: One · 1 and Two · 2."
    assert not box.undo_button.isEnabled()
    qtbot.mouseClick(box.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: box.panel.job is None, timeout=200_000)
    assert "residual" in box.panel.message_label.text()
    found = volume_from_layer(overlay)
    assert corners_apart(found, scan("now")) < 2.5
    assert found.array is moving.array or np.array_equal(found.array, moving.array)
    assert any("aligned to 'now'" in line for line in found.warnings)
    assert corners_apart(label_map_from_layer(drawn), found) < 1e-6
    assert np.array_equal(label_map_from_layer(drawn).array, labels_of(moving).array)
    assert tuple(overlay.contrast_limits) == limits
    assert alignment_of(overlay) is not None
    link = link_of(base, overlay, {})  # for scans side by side
    assert link is not None
    assert link.kind == "alignment"
    assert corners_apart(volume_from_layer(base), scan("now")) < 1e-9
    qtbot.mouseClick(box.flicker_button, Qt.MouseButton.LeftButton)
    assert base.visible != overlay.visible
    first = overlay.visible
    qtbot.waitUntil(lambda: overlay.visible != first and base.visible == first, timeout=20_000)
    qtbot.mouseClick(box.flicker_button, Qt.MouseButton.LeftButton)
    assert base.visible
    assert overlay.visible
    qtbot.mouseClick(box.undo_button, Qt.MouseButton.LeftButton)
    assert corners_apart(volume_from_layer(overlay), moving) < 1e-9
    assert corners_apart(label_map_from_layer(drawn), moving) < 1e-6
    assert alignment_of(overlay) is None
    assert link_of(base, overlay, {}) is None
    assert not box.undo_button.isEnabled()


class Layers(list):
    """The layers of a viewer."""


class Holder:
    def __init__(self, *layers):
        self.layers = Layers(layers)


def test_all_time_points_move():
    from napari.layers import Layer

    given = [scan(f"fmri · {n + 1}", n).with_metadata(source=Path("a")) for n in range(3)]
    (data,) = layers_of(given)
    layer = Layer.create(*data)
    show_point(layer, 1)
    placed = place(Holder(layer), layer, MOVE, "CT")
    points = points_of(layer)
    assert points is not None
    assert points.shown == 1
    for n, volume in enumerate(given):
        found = volume_from_layer(layer, n)
        assert found.array is volume.array
        assert np.allclose(found.geometry.affine, MATRIX @ volume.geometry.affine)
    assert layer.data.shape[0] == 3
    placed.undo()
    assert volume_from_layer(layer).array is given[1].array
    assert corners_apart(volume_from_layer(layer), given[1]) < 1e-9
