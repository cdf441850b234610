"""The evidence of a classification in the viewer: layers over the scan, in its place in the patient."""

from __future__ import annotations

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
    explain: bool = option(False, title="Evidence", help="maps")


def _run(request, _monitor):
    array = np.asarray(request.volume.array, np.float32)
    share = (array - array.min()) / np.ptp(array)
    maps = {"Grad-CAM": share, "occlusion": share - 0.75} if request.options.explain else {}
    return Outcome("cpu", "float32", probabilities={"normal": 0.2, "mass": 0.8}, maps=maps)


def test_the_maps_lie_over_the_scan_where_they_are_asked_for(make_napari_viewer, qtbot, monkeypatch):
    _, pipeline = fake_models.register(monkeypatch, options=_Options, task="classification")
    monkeypatch.setattr(pipeline, "run", _run)
    scan = tiny_head("PIR")
    viewer, dock = docked(make_napari_viewer, scan)
    choose(dock, "fake")
    names = [f"{scan.name} · fake · {kind}" for kind in ("Grad-CAM", "occlusion")]
    for is_asked in (False, True):
        dock.options_form.editors["explain"].setChecked(is_asked)
        wait_for_plan(dock)
        click(qtbot, dock.panel.start_button)
        wait_for_end(qtbot, dock)
        assert [name in viewer.layers for name in names] == [is_asked, is_asked]
    cam, occlusion = (viewer.layers[name] for name in names)
    assert isinstance(cam, Image)
    assert (cam.visible, occlusion.visible) == (True, False)
    assert tuple(cam.contrast_limits) == (0, 1)
    # What speaks against the class is told from what speaks for it: the middle of the colors is 0.
    assert tuple(occlusion.contrast_limits) == (-0.75, 0.75)
    back = volume_from_layer(occlusion)
    assert back.geometry.is_close(scan.geometry)
    assert np.allclose(back.array, (scan.array - scan.array.min()) / np.ptp(scan.array) - 0.75, atol=1e-6)
