"""The docks offer what an installed package adds, beside one that is broken, and use it like our own."""

import numpy as np
import pytest
from napari.layers import Labels

import toy_package
from models_dock import choose, click, docked, tiny_head, wait_for_end
from napari_radcnn import io
from napari_radcnn.errors import CatalogueWarning
from napari_radcnn.gui.export.saving import choices
from napari_radcnn.gui.layers.layers import label_map_from_layer
from napari_radcnn.phantom import world_field
from played import Played, oblique_scan, scan
from screens import wait_for_plan

pytestmark = pytest.mark.gui


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The toy package, installed, and another one whose model and engine cannot be imported."""
    monkeypatch.setenv("RADCNN_SESSIONS", str(tmp_path / "sessions"))
    whole = toy_package.lay_out(tmp_path / "site")
    entries = {group: {"broken": "broken_radcnn:SPEC"} for group in toy_package.GROUPS}
    broken = toy_package.lay_out_module(tmp_path / "other", "broken-radcnn", "1 / 0\n", entries)
    with toy_package.installed(whole, broken):
        yield


def test_the_models_dock_offers_its_model_and_runs_it(toy, make_napari_viewer, qtbot):
    volume = tiny_head()
    with pytest.warns(CatalogueWarning, match="The model 'broken' of the package 'broken-radcnn'"):
        viewer, dock = docked(make_napari_viewer, volume)
    offered = [dock.model_combo.itemData(index) for index in range(dock.model_combo.count())]
    assert {toy_package.MODEL, "brain-extraction"} <= set(offered)
    assert not {toy_package.ENGINE, "broken"} & set(offered)
    choose(dock, toy_package.MODEL)
    assert "Labels what is brighter than a value" in dock.about.text()
    dock.options_form.editors["value"].setValue(300.0)
    wait_for_plan(dock)
    click(qtbot, dock.panel.start_button)
    wait_for_end(qtbot, dock)
    layer = viewer.layers[-1]
    assert isinstance(layer, Labels)
    np.testing.assert_array_equal(label_map_from_layer(layer).array, volume.array > 300)


def test_the_dock_shows_its_card_as_plain_text(toy, make_napari_viewer, qtbot):
    with pytest.warns(CatalogueWarning, match="broken-radcnn"):
        _, dock = docked(make_napari_viewer, tiny_head())
    choose(dock, toy_package.MODEL)
    click(qtbot, dock.chooser.card_button)
    box = dock.chooser.findChild(object, "radcnn_card")
    assert box.textFormat().name == "PlainText"
    assert "Added by: the package toy-radcnn 1.0" in box.text()
    assert "# toy-threshold: Threshold" in box.text()
    box.close()


def test_the_interactive_dock_offers_its_engine_and_a_click_is_answered(toy, make_napari_viewer, qtbot):
    volume = scan()
    with pytest.warns(CatalogueWarning, match="The engine 'broken' of the package 'broken-radcnn'"):
        played = Played(make_napari_viewer, qtbot, volume)
    combo = played.dock.engine_combo
    assert [combo.itemData(row) for row in range(combo.count())][-2:] == ["nninteractive", toy_package.ENGINE]
    combo.setCurrentIndex(combo.count() - 1)
    played.start()
    middle = volume.geometry.to_world([7, 8, 8])
    played.show("axial", middle)
    played.click(middle)
    played.idle()
    assert played.warning == ""
    assert played.session.labels[7, 8, 8] == 1
    similar = np.abs(volume.array - volume.array[7, 8, 8]) <= 0.1 * np.ptp(volume.array)
    np.testing.assert_array_equal(played.session.labels > 0, similar)
    played.undo()
    assert not played.session.labels.any()


def test_its_format_is_offered_for_writing_and_opened_by_napari(toy, make_napari_viewer, tmp_path):
    with pytest.warns(CatalogueWarning, match="The format 'broken' of the package 'broken-radcnn'"):
        (choice,) = [one for one in choices("image") if one.suffix == ".npz"]
    assert choice.line == "The scan on its own grid. NPZ: programs that read the format."
    volume = world_field(oblique_scan().geometry)
    io.write(volume, tmp_path / "a.npz")
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(tmp_path / "a.npz"), plugin="napari-radcnn")
    assert layer.name == "a"
    assert layer.data.size >= volume.size
