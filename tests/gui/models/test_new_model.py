"""The dock offers a model whose folder was dropped into the catalogue, beside one that is broken."""

import numpy as np
import pytest
from napari.layers import Image

from models_dock import choose, click, docked, tiny_head, wait_for_end
from napari_radcnn.errors import CatalogueWarning
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.models import registry
from screens import wait_for_plan
from toy_model import NAME, also_looked_into, drop_in, drop_in_broken

pytestmark = pytest.mark.gui


@pytest.fixture
def dropped_in(tmp_path):
    """A catalogue with a new model and a folder that cannot be imported."""
    drop_in(tmp_path)
    drop_in_broken(tmp_path, "broken_syntax")
    registry.own_models.cache_clear()
    with also_looked_into("napari_radcnn.models", tmp_path):
        yield
    registry.own_models.cache_clear()


def test_a_folder_that_is_dropped_in_is_offered_and_runs(dropped_in, make_napari_viewer, qtbot):
    scan = tiny_head()
    with pytest.warns(CatalogueWarning, match="'models/broken_syntax' are left out"):
        viewer, dock = docked(make_napari_viewer, scan)
    offered = [dock.model_combo.itemData(index) for index in range(dock.model_combo.count())]
    assert {NAME, "brain-extraction", "nlm-denoise"} <= set(offered)
    choose(dock, NAME)
    assert "Doubles each value" in dock.about.text()
    dock.options_form.editors["offset"].setValue(4.0)
    wait_for_plan(dock)
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    layer = viewer.layers[-1]
    assert isinstance(layer, Image)
    assert layer.name == f"{scan.name} · {NAME}"
    np.testing.assert_array_equal(volume_from_layer(layer).array, 2 * scan.array.astype(np.float32) + 4)
