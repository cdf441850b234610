"""How sure a segmentation is, in the viewer: hidden layers in the patient, over the scan."""

from dataclasses import dataclass

import numpy as np
import pytest
from napari.layers import Image

import fake_models
from models_dock import choose, click, docked, tiny_head, wait_for_end
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.inference.request import Outcome
from napari_radcnn.spec.options import CheckedOptions, option
from screens import wait_for_plan

pytestmark = pytest.mark.gui


@dataclass(frozen=True)
class _Options(CheckedOptions):
    uncertainty: bool = option(False, title="Show uncertainty", help="maps")


def test_the_maps_are_hidden_layers_in_the_same_place_where_they_are_asked_for(make_napari_viewer, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch, options=_Options)

    def run(request, monitor):
        array = np.asarray(request.volume.array, np.float32)
        share = (array - array.min()) / np.ptp(array)
        maps = {"entropy": share} if request.options.uncertainty else {}
        return Outcome("cpu", "float32", array=(share > 0.5).astype(np.uint8), maps=maps)

    monkeypatch.setattr(pipeline, "run", run)
    scan = tiny_head("PIR")
    viewer, dock = docked(make_napari_viewer, scan)
    choose(dock, "fake")
    name = f"{scan.name} · fake · entropy"
    for is_asked in (False, True):
        del viewer.layers[1:]  # the scan stays
        dock.options_form.editors["uncertainty"].setChecked(is_asked)
        wait_for_plan(dock)
        click(qtbot, dock.panel.start_button)
        wait_for_end(qtbot, dock)
        assert (name in viewer.layers) is is_asked
    layer = viewer.layers[name]
    assert isinstance(layer, Image)
    assert not layer.visible
    assert tuple(layer.contrast_limits) == (0, 1)
    back = volume_from_layer(layer)
    assert back.geometry.is_close(scan.geometry)
    assert np.allclose(back.array, (scan.array - scan.array.min()) / np.ptp(scan.array))
    assert viewer.layers[-1].name == f"{scan.name} · fake"  # the labels lie on top
