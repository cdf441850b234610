"""Thin slices in the viewer: the new layer lies over its scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image

from costly import few_of
from napari_radcnn import operations
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data, volume_from_layer
from napari_radcnn.gui.models.dock import ModelsDock
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import oblique_geometry, world_field
from screens import wait_for_plan

pytestmark = pytest.mark.gui


class Nothing:
    """Adds nothing to the spline."""

    backend, device, precision, agreement, measured_on = "torch", "cpu", "float32", 1.0, None

    def __call__(self, patch):
        return np.zeros((1, *patch.shape[1:]), np.float32)

    def close(self):
        pass


@pytest.fixture
def spline_alone(monkeypatch):
    monkeypatch.setattr("napari_radcnn.inference.backends.choice.open_predictor", lambda *_, **__: (Nothing(), ()))
    monkeypatch.setattr("napari_radcnn.networks.shipped.ShippedNetwork.of", lambda *_: None)
    # a field is no patient, and the question whether to run anyway is answered with yes
    monkeypatch.setattr("napari_radcnn.gui.models.dock.ask_to_run_anyway", lambda _dock, _spec, _reasons, then: then())


def shown(make_napari_viewer, qtbot, geometry, **metadata):
    """Return the scan's layer and that of three thin slices for each of its slices, made with the dock."""
    field = world_field(geometry)
    scan = replace(field, metadata=replace(field.metadata, modality="CT", **metadata))
    viewer = make_napari_viewer(show=True)
    add_to_viewer(viewer, layer_data(scan))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    assert isinstance(dock, ModelsDock)
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("ct-super-resolution"))
    dock.options_form.editors["factor"].setValue(3.0)
    wait_for_plan(dock)
    dock.panel.start_button.click()
    qtbot.waitUntil(lambda: dock.job is None, timeout=20_000)
    layer = viewer.layers[-1]
    assert isinstance(layer, Image)
    assert len(viewer.layers) == 2
    return scan, viewer.layers[0], layer


@pytest.mark.parametrize("stored", few_of(["SPL", "LIP", "ARS"], "LIP"))
def test_a_slice_of_the_scan_has_its_own_place_among_the_thin_ones(make_napari_viewer, qtbot, spline_alone, stored):
    usual = Geometry.from_parts((24, 12, 14), (6.0, 2.0, 1.5), (-31.0, 17.5, 40.25))
    scan, thick, thin = shown(make_napari_viewer, qtbot, usual.reoriented(usual.axis_map(stored)))
    assert thick.data.shape == (24, 12, 14)
    assert thin.data.shape == (72, 12, 14)
    for index in ((11, 3, 4), (12, 7, 9), (13, 10, 2)):  # far from the ends, where the stack is mirrored
        inside = thin.world_to_data(thick.data_to_world(index))
        np.testing.assert_allclose(inside, (index[0] * 3 + 1, *index[1:]), atol=1e-6)  # the middle one of three
        assert thin.data[tuple(np.rint(inside).astype(int))] == pytest.approx(float(thick.data[index]), abs=1e-2)
    assert np.array_equal(volume_from_layer(thick).array, scan.array)


def test_edges_of_both_layers_are_the_same(make_napari_viewer, qtbot, spline_alone):
    geometry = Geometry.from_parts((9, 12, 14), (6.0, 2.0, 1.5), (-31.0, 17.5, 40.25))
    _, thick, thin = shown(make_napari_viewer, qtbot, geometry)
    for end in (-0.5, 8.5):
        first = np.array(thick.data_to_world((end, 3, 4)))
        second = np.array(thin.data_to_world((end * 3 + 1, 3, 4)))
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_oblique_slices_keep_their_true_grid(make_napari_viewer, qtbot, spline_alone):
    geometry = oblique_geometry((9, 12, 14))
    scan, _, thin = shown(make_napari_viewer, qtbot, geometry)
    back = volume_from_layer(thin)
    expected = operations.super_resolve(scan, "ct-super-resolution", {"factor": 3.0}, anyway=True)
    assert back.geometry.is_close(expected.geometry, 1e-6)
    assert np.array_equal(back.array, expected.array)
    edge, own = geometry.to_world((-0.5, 5, 6)), back.geometry.to_world((-0.5, 5, 6))
    np.testing.assert_allclose(own, edge, atol=1e-6)
