"""What a restored scan is shown with: its difference from the scan, and its noise before and after."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from qtpy.QtCore import Qt

import fake_models
from napari_radcnn.gui.layers.layers import layer_data, volume_from_layer
from napari_radcnn.gui.models.dock import ModelsDock
from napari_radcnn.gui.models.restored import beside_restored, noise_line
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.inference.request import Outcome
from played import oblique_scan, scan
from screens import wait_for_plan

pytestmark = pytest.mark.gui


def no_progress(*_):
    pass


def changed(volume):
    """Return a change that is largest and negative at one corner of the scan's own array, and 0 elsewhere but one."""
    change = np.zeros(volume.shape, np.float32)
    change[0, 1, 2] = -8.0
    change[2, 3, 1] = 3.0
    return change


@pytest.mark.parametrize("make", [scan, oblique_scan], ids=["turned", "oblique"])
def test_a_denoised_scan_comes_with_its_difference_and_its_noise(make_napari_viewer, qtbot, monkeypatch, make):
    volume = make()
    _, pipeline = fake_models.register(monkeypatch, "denoising", "cleaner")
    array = volume.array + changed(volume)
    facts = {"noise_before_hu": 31.24, "noise_after_hu": 9.61}
    pipeline.run = lambda *_: Outcome("cpu", "float32", array=array, facts=facts)
    viewer = make_napari_viewer(show=True)
    add_to_viewer(viewer, layer_data(volume))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Models")
    assert isinstance(dock, ModelsDock)
    dock.model_combo.setCurrentIndex(dock.model_combo.findData("cleaner"))
    wait_for_plan(dock)
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.job is None, timeout=20_000)
    name = f"{volume.name} · cleaner"
    assert [layer.name for layer in viewer.layers] == [volume.name, f"{name} · difference", name]
    assert "noise 31 HU before, 9.6 HU after" in dock.panel.message_label.text().splitlines()
    difference, restored = viewer.layers[1:]
    assert not difference.visible
    assert restored.visible
    low, high = difference.contrast_limits
    assert low == -high
    assert 0 < high <= 8.0
    assert difference.colormap.name == "PiYG"
    assert np.allclose(difference.scale, restored.scale)
    assert np.allclose(difference.translate, restored.translate)
    back = volume_from_layer(difference)
    assert back.geometry.is_close(volume.geometry)
    assert np.allclose(back.array, changed(volume), atol=1e-3)


def test_a_finer_grid_has_no_difference():
    volume = scan()
    finer = volume.geometry.from_parts((28, 18, 16), (1.5, 1.5, 2.0), (-11.0, 7.5, 20.25))
    restored = type(volume)(np.zeros(finer.shape, np.float32), finer, volume.metadata)
    assert beside_restored(restored, volume, no_progress, Event()) == ((), ())


def test_where_memory_is_short_it_is_left_out_and_said(monkeypatch):
    volume = scan()
    monkeypatch.setattr("napari_radcnn.gui.models.restored.free_memory", lambda: 8 * volume.size - 1)
    layers, notes = beside_restored(volume.with_array(volume.array + 1), volume, no_progress, Event())
    assert layers == ()
    assert notes == ("No layer of the difference was added: not enough memory.",)
    monkeypatch.setattr("napari_radcnn.gui.models.restored.free_memory", lambda: 8 * volume.size)
    layers, notes = beside_restored(volume.with_array(volume.array + 1), volume, no_progress, Event())
    assert (len(layers), notes) == (1, ())


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_no_change_and_no_number_have_a_scale_of_colors(fill):
    volume = scan()
    restored = volume.with_array(np.asarray(volume.array, np.float32) + np.float32(fill))
    ((_, options, _),), _ = beside_restored(restored, volume, no_progress, Event())
    assert options["contrast_limits"] == (-1.0, 1.0)


def test_integers_do_not_wrap_around():
    volume = scan()
    unsigned = volume.with_array(np.full(volume.shape, 3, np.uint16))
    restored = volume.with_array(np.full(volume.shape, 1, np.float32))
    ((array, _, _),), _ = beside_restored(restored, unsigned, no_progress, Event())
    assert np.unique(array).tolist() == [-2.0]


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"noise_before_hu": 12.0, "noise_after_hu": 3.25}, "noise 12 HU before, 3.2 HU after"),
        ({"noise_before_hu": 0.0, "noise_after_hu": 0.0}, ""),  # no soft tissue to measure it in
        ({"noise_level": 7.0}, ""),
    ],
)
def test_the_noise_is_told_where_the_run_measured_it(facts, line):
    assert noise_line({"facts": facts}) == line
    assert noise_line({}) == ""
