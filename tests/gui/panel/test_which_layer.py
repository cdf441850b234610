"""Which layer each page is about: the active one, until it is pinned, and never one that nobody has chosen."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from models_dock import choose
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap
from screens import pump

pytestmark = pytest.mark.gui
SHAPES = {"A": (6, 9, 11), "B": (5, 8, 10), "C": (7, 10, 9)}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Keep the sessions of a test in a folder of its own."""
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))


def field(name):
    return world_field(oblique_geometry(SHAPES[name])).with_metadata(name=name, modality="CT")


def organ(name):
    array = np.zeros(SHAPES[name], np.uint8)
    array[1:3, 2:6, 3:8] = 1
    return LabelMap(array, oblique_geometry(SHAPES[name]), {1: Label("liver")}, name)


#: Of each page: what it is about, and which of its lists says so.
PAGES = {
    "Models": (field, "layer_combo"),
    "Interactive segmentation": (field, "layer_combo"),
    "Measure": (organ, "layer_combo"),
    "Fusion": (field, "base_combo"),
    "Export": (field, "layer_combo"),
}


@pytest.mark.parametrize("name", PAGES)
def test_it_is_the_active_one_until_it_is_pinned_and_none_that_nobody_has_chosen(make_napari_viewer, qtbot, name):
    make, combo_name = PAGES[name]
    viewer = make_napari_viewer(show=True)
    first, second, third = (add_to_viewer(viewer, layer_data(make(each))) for each in "ABC")
    overlay = add_to_viewer(viewer, layer_data(organ("A"))) if name == "Fusion" else None
    panel_of(viewer).open(name)
    page = panel_of(viewer).page
    if name == "Models":
        choose(page, "nlm-denoise")
    if name == "Fusion":
        page.overlay_combo.choose(overlay)
    combo, pin = getattr(page, combo_name), page.pin

    for layer in (first, second):  # changed
        viewer.layers.selection.active = layer
        assert combo.layer is layer
        assert pin.status.text() == "Follows the active layer"
    second.name = "B renamed"
    viewer.layers.move(viewer.layers.index(second), 0)  # below another
    assert combo.layer is second
    assert combo.currentText() == "B renamed"

    qtbot.mouseClick(pin.button, Qt.MouseButton.LeftButton)
    viewer.layers.selection.active = first
    assert combo.layer is second
    assert pin.status.text() == "Pinned; 'A' is active"
    first.name = "A renamed"
    assert pin.status.text() == "Pinned; 'A renamed' is active"
    viewer.layers.move(viewer.layers.index(second), len(viewer.layers))
    viewer.layers.remove(third)  # another one
    assert combo.layer is second
    assert pin.is_pinned

    third = add_to_viewer(viewer, layer_data(make("C")))
    viewer.layers.selection.active = third
    assert combo.layer is second
    viewer.layers.remove(second)  # the one that is pinned: not just any is kept then
    viewer.layers.selection.active = third
    assert not pin.is_pinned
    assert combo.layer is third
    assert pin.status.text() == "Follows the active layer"

    viewer.layers.selection.active = None
    assert combo.layer is third
    qtbot.mouseClick(pin.button, Qt.MouseButton.LeftButton)
    viewer.layers.clear()
    pump()
    assert combo.layer is None
    assert not pin.is_pinned
    assert pin.status.text() == ""
    assert not page.panel.start_button.isEnabled() if hasattr(page, "panel") else not page.start_button.isEnabled()
