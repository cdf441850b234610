"""The dock that the how-to page shows docks and measures."""

import re
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import oblique_geometry
from napari_radcnn.results import Label, LabelMap

pytestmark = pytest.mark.gui
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-dock.md"


def test_the_dock_of_the_page_measures_the_labels_of_a_layer(make_napari_viewer, qtbot):
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(code, PAGE.name, "exec"), names)
    viewer = make_napari_viewer(show=True)
    dock = names["VolumesDock"](viewer)
    viewer.window.add_dock_widget(dock, name="Volumes")
    assert not dock.panel.start_button.isEnabled()
    array = np.zeros((10, 16, 20), np.uint8)
    array[2:5, 3:9, 4:15] = 1
    labels = LabelMap(array, oblique_geometry(), {1: Label("mass")})
    add_to_viewer(viewer, layer_data(labels))
    viewer.add_image(np.zeros((3, 4, 5)))
    assert [layer.name for layer in dock.layer_combo.layers] == [labels.name]
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=20_000)
    assert dock.panel.message_label.text() == "1 labels."
    assert dock.numbers_label.text() == f"mass: {labels.volume_ml(1):.1f} ml"
    assert dock.panel.message_label.text() == "1 labels."
