"""Turned planes and slabs of a scan with time points: they cut the time point that is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from costly import few_of
from napari_radcnn.gui.layers.layers import to_display
from napari_radcnn.gui.layers.sequences import layers_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import FIELD_COEFFICIENTS, world_field
from napari_radcnn.volume import Volume, VolumeMetadata
from reading_room import ALT, SCANS
from screens import pump
from turned_planes import Cutting

pytestmark = pytest.mark.gui
#: By how much each time point is brighter than the one before.
STEP = 150.0


def dynamic(grid, n=4):
    base = world_field(grid).array
    about = VolumeMetadata(modality="MR", units="a.u.", source=Path("fmri"))
    return [
        Volume((base + np.float32(STEP * k)).astype(np.float32), grid, about).with_metadata(name=f"fmri · {k + 1}")
        for k in range(n)
    ]


def values_of(cutting, plane):
    """Return the gray values of a covered plane in the scan's units, and those of the closed form at no time."""
    cutting.settle()
    view, layer = cutting.view(plane), cutting.viewer.layers[0]
    grid = view.grid(1)
    pixels = grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))
    index = layer.metadata["radcnn"]["place"].native.to_index(pixels)
    inside = ((index >= 0) & (index <= np.array(layer.metadata["radcnn"]["place"].native.shape) - 1)).all(-1)
    low, high = layer.contrast_limits
    return low + view.shown[..., 0][inside] / 255.0 * (high - low), (pixels @ FIELD_COEFFICIENTS)[inside]


@pytest.mark.parametrize("name", few_of(["axial", "oblique"], "oblique"))
def test_a_turned_plane_is_of_the_time_point_that_is_shown(make_napari_viewer, qtbot, name):
    cutting = Cutting(make_napari_viewer, qtbot)
    given = dynamic(SCANS[name])
    (layer,) = [add_to_viewer(cutting.viewer, data) for data in layers_of(given)]
    layer.contrast_limits = (float(given[0].array.min()) - 50, float(given[-1].array.max()) + 50)
    cutting.layers = [layer]
    cutting.room.choose_layout("three")
    pump()
    shown = layer.metadata["radcnn"]["place"].shown
    center = to_display(shown.to_world((np.array(shown.shape) - 1) / 2))
    cutting.viewer.dims.set_point([1, 2, 3], center.tolist())
    cutting.turn("Axial", 30)
    tolerance = 3 * (layer.contrast_limits[1] - layer.contrast_limits[0]) / 255
    for time in (0, 2, 3):
        cutting.viewer.dims.set_point(0, time)
        pump()
        found, field = values_of(cutting, "Coronal")
        assert len(found) > 200
        assert found - field == pytest.approx(STEP * time, abs=tolerance)
    assert cutting.cuts.degrees("Coronal") == pytest.approx(30, abs=1)
    # a step back by its key leaves the planes as they are turned
    cutting.key(Qt.Key.Key_Left, ALT)
    pump()
    found, field = values_of(cutting, "Coronal")
    assert found - field == pytest.approx(STEP * 2, abs=tolerance)
    cutting.key(Qt.Key.Key_F8)
    assert not cutting.desk.awake
    assert int(cutting.viewer.dims.point[0]) == 2
