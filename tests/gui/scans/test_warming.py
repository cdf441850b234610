"""What the first scan of a viewer needs is made beforehand, and nothing of it is seen."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.layers.view import letter_steps, letters, overlay_steps
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.show import add_to_viewer
from reading_room import SCANS, field
from screens import pump

pytestmark = pytest.mark.gui


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """A viewer with the page of scans, which has begun."""
    viewer = make_napari_viewer(show=True)
    panel_of(viewer).open("Scans")
    page = panel_of(viewer).page
    qtbot.waitUntil(lambda: page.warming is not None)
    return viewer, page


def test_an_empty_viewer_is_made_ready_and_looks_as_before(opened, qtbot):
    viewer, page = opened
    bar = viewer.canvas.overlays["scale_bar"]
    qtbot.waitUntil(lambda: page.warming.is_done, timeout=20_000)
    assert letter_steps(viewer) == []
    assert len(overlay_steps(viewer)) == 1
    assert not any(letters(viewer).values())
    assert (bar.visible, bar.opacity) == (False, 1.0)


def test_a_scan_that_comes_in_between_has_its_scale_and_letters(opened, qtbot):
    viewer, page = opened
    bar = viewer.canvas.overlays["scale_bar"]
    opacities = []

    def scan_arrives():
        opacities.append(bar.opacity)
        add_to_viewer(viewer, layer_data(field(SCANS["oblique"])))

    # Asked for by the step itself: a loaded computer may take the next one before a test looks again.
    bar.events.visible.connect(lambda: None if opacities else QTimer.singleShot(0, scan_arrives))
    qtbot.waitUntil(lambda: bool(opacities) and page.warming.is_done, timeout=40_000)
    assert opacities == [0]
    assert (bar.visible, bar.opacity) == (True, 1.0)
    assert letters(viewer) == {"top": "A", "bottom": "P", "left": "R", "right": "L"}


def test_a_viewer_with_layers_of_others_is_left_alone(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.arange(60.0).reshape(3, 4, 5))
    before = set(viewer.canvas.overlays)
    panel_of(viewer).open("Scans")
    pump(10)
    assert panel_of(viewer).page.isVisible()
    assert panel_of(viewer).page.warming is None
    assert set(viewer.canvas.overlays) == before
