"""Layers that are not ours, rotated, in other units, in color: shown, never changed, and used where they can be."""

from __future__ import annotations

import numpy as np
import pytest

from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.panel.table import PAGES
from napari_radcnn.gui.reading.room import room_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import oblique_geometry, world_field
from screens import pump

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Keep the sessions of a test in a folder of its own."""
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))


def rotation(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def others(viewer):
    """Add layers as plugins of microscopes and others do."""
    rng = np.random.default_rng(3)
    voxels = rng.integers(0, 200, (5, 8, 9)).astype(np.uint16)
    viewer.add_image(voxels.copy(), name="rotated", rotate=rotation(20), scale=(2.5, 0.8, 0.7), units="mm")
    viewer.add_image(voxels.copy(), name="small", scale=(250, 80, 70), units="um")
    viewer.add_image(voxels.copy(), name="pixels", translate=(4, -3, 2))
    viewer.add_image(rng.integers(0, 200, (8, 9, 3)).astype(np.uint8), name="photo", rgb=True)
    viewer.add_image(rng.integers(0, 200, (3, 5, 8, 9)).astype(np.uint16), name="through time")
    viewer.add_labels((voxels > 100).astype(np.uint8), name="outline", scale=(2.5, 0.8, 0.7), units="mm")
    viewer.add_points(np.array([[1.0, 2.0, 3.0]]), name="points")
    return list(viewer.layers)


def state(layer):
    """Return all of a layer that a page could have changed."""
    affine = np.asarray(layer.data_to_world(np.vstack([np.zeros(layer.ndim), np.eye(layer.ndim)])[0])), layer.affine
    look = [getattr(layer, name, None) for name in ("contrast_limits", "colormap", "opacity", "blending", "visible")]
    return layer.name, str(layer.units), repr(affine), repr(layer.scale), repr(look), np.asarray(layer.data).tobytes()


def test_they_are_never_changed_and_each_page_offers_those_that_it_can_use(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    theirs = others(viewer)
    before = [state(layer) for layer in theirs]
    assert room_of(viewer) is None  # a viewer without a scan of ours looks as ever
    own = add_to_viewer(viewer, layer_data(world_field(oblique_geometry((6, 9, 11)))))
    offered = {}
    for each in PAGES:
        panel_of(viewer).open(each.name)
        page = panel_of(viewer).page
        for layer in (*theirs, own):
            viewer.layers.selection.active = layer
            pump(2)
        combo = getattr(page, "overlay_combo", getattr(page, "layer_combo", None))
        offered[each.name] = set() if combo is None else {layer.name for layer in combo.layers if layer is not own}
    assert [state(layer) for layer in theirs] == before
    flat_scans = {"rotated", "small", "pixels"}
    assert offered["Models"] >= flat_scans
    assert offered["Interactive segmentation"] >= flat_scans
    assert offered["Measure"] == {"outline"}
    assert offered["Fusion"] >= flat_scans | {"outline"}
    assert offered["Export"] >= flat_scans | {"outline"}
    for name, names in offered.items():
        assert "points" not in names, name
    room = room_of(viewer)
    for layout in ("three", "one"):
        room.choose_layout(layout)
        pump()
    assert [state(layer) for layer in theirs] == before
