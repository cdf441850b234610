"""The Fusion dock by real clicks: the voxels of `resample_to`, a layer that lies right, and every way it can end."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import QPoint, Qt

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.fusion import dock as fusion
from napari_radcnn.gui.fusion.dock import FusionDock
from napari_radcnn.gui.layers.belonging import identity, made_of
from napari_radcnn.gui.layers.layers import layer_data, scan_from_layer, volume_from_layer
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.gui.scans.showing import show_alone
from napari_radcnn.operations import resample_to
from napari_radcnn.phantom import FIELD_COEFFICIENTS, oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata
from patience import PATIENCE
from screens import pump, screenshot

pytestmark = pytest.mark.gui


def scan(modality, shape, spacing, origin, orientation="SPL", **more):
    usual = Geometry.from_parts(shape, spacing, origin)
    field = world_field(usual.reoriented(usual.axis_map(orientation)))
    name = {"CT": "CT 3", "PT": "PT 4"}.get(modality, modality)
    known = VolumeMetadata(name=name, modality=modality, **more)
    return replace(field, array=field.array.astype(np.float32), metadata=known)


def ct(**more):
    return scan("CT", (20, 24, 28), (2.5, 0.8, 0.7), (-10.0, -9.0, -20.0), "LIP", units="HU", **more)


def pet(**more):
    """A coarser scan around the CT, in Bq/ml."""
    made = scan("PT", (16, 10, 12), (4.0, 4.0, 3.0), (-18.0, -20.0, -26.0), units="Bq/ml", **more)
    return replace(made, suvbw_factor=0.0005)


def docked(make_napari_viewer, *scans):
    viewer = make_napari_viewer(show=True)
    for one in scans:
        add_to_viewer(viewer, layer_data(one))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Fusion")
    assert isinstance(dock, FusionDock)
    return viewer, dock


def fuse(qtbot, dock):
    assert dock.panel.start_button.isEnabled()
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=20_000)


@pytest.fixture
def shown(monkeypatch):
    """Return the lines that napari was asked to show as errors."""
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_error", lines.append)
    return lines


def test_a_pet_is_laid_over_its_ct(make_napari_viewer, qtbot):
    below, above = ct(), pet()
    viewer, dock = docked(make_napari_viewer, above, below)
    assert (dock.base_combo.currentText(), dock.overlay_combo.currentText()) == ("CT 3", "PT 4")
    viewer.layers["PT 4"].contrast_limits = (0.0, 8000.0)
    before = [np.array(layer.data) for layer in viewer.layers]
    fuse(qtbot, dock)
    layer = viewer.layers[-1]
    assert isinstance(layer, Image)
    assert layer.name == "PT 4 on CT 3"
    assert "'PT 4 on CT 3'" in dock.panel.message_label.text()
    assert (layer.blending, layer.colormap.name, layer.opacity) == ("additive", "inferno", 0.6)
    assert tuple(layer.contrast_limits) == (0.0, 8000.0)
    result = volume_from_layer(layer)
    expected = resample_to(above, below)
    assert np.array_equal(result.array, expected.array)
    assert result.geometry.is_close(below.geometry)
    assert result.suvbw_factor == 0.0005
    # It lies where it lay: the field's value at the patient's position, inside the PET's field of view.
    for index in np.random.default_rng(1).integers(0, layer.data.shape, (200, 3)):
        z, y, x = layer.data_to_world(tuple(index.astype(float)))
        assert layer.data[tuple(index)] == pytest.approx(np.dot((x, y, z), FIELD_COEFFICIENTS), abs=1e-3)
    for kept, now in zip(before, viewer.layers, strict=False):
        assert np.array_equal(kept, now.data)
    assert not viewer.layers["PT 4"].visible  # else it would hide what is below it
    assert viewer.layers["CT 3"].visible
    assert not dock.warning_label.isVisible()


def test_opacity_colors_and_the_suv_window_act_on_the_new_layer(make_napari_viewer, qtbot):
    viewer, dock = docked(make_napari_viewer, ct(), pet())
    assert not dock.suv_button.isVisible()
    fuse(qtbot, dock)
    layer = viewer.layers[-1]
    both = screenshot(viewer)
    slider = dock.opacity_slider
    for _ in range(10):  # each click beside the handle moves it by a tenth
        qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(2, slider.height() // 2))
    assert layer.opacity == 0.0
    assert np.abs(screenshot(viewer) - both).max() > 1  # the window is SUV 0 to 7, and the phantom reaches less than 1
    for _ in range(12):
        qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(slider.width() - 3, slider.height() // 2))
    assert layer.opacity == 1.0
    assert dock.opacity_label.text() == "100 %"
    dock.colormap_combo.setCurrentText("hot")
    assert layer.colormap.name == "hot"
    dock.mix_combo.setCurrentIndex(1)
    assert layer.blending == "translucent_no_depth"
    qtbot.mouseClick(dock.suv_button, Qt.MouseButton.LeftButton)
    assert np.allclose(layer.contrast_limits, (0, 10_000))
    assert dock.window_label.text() == "Colors span 0 to 10000 Bq/ml, which is SUVbw 0 to 5."
    layer.contrast_limits = (0, 4000)
    assert "SUVbw 0 to 2" in dock.window_label.text()


def test_labels_are_laid_over_an_oblique_scan(make_napari_viewer, qtbot):
    base = world_field(oblique_geometry((14, 20, 22)))
    low = base.geometry.corners.min(0)
    grid = Geometry.from_parts((16, 18, 20), (2.0, 2.0, 1.5), low.tolist())
    array = np.zeros(grid.shape, np.uint8)
    array[4:12, 5:13, 3:17] = 3
    labels = LabelMap(array, grid, {3: Label("liver")}, "liver")
    viewer, dock = docked(make_napari_viewer, base, labels)
    assert (dock.base_combo.currentText(), dock.overlay_combo.currentText()) == (base.name, "liver")
    fuse(qtbot, dock)
    layer = viewer.layers[-1]
    assert isinstance(layer, Labels)
    result = scan_from_layer(layer)
    assert np.array_equal(result.array, resample_to(labels, base).array)
    assert np.count_nonzero(result.array) > 100
    assert result.labels[3].name == "liver"
    assert np.array_equal(viewer.layers["liver"].data, array)
    assert dock.window_label.text() == ""


def test_two_scans_on_one_grid_keep_every_value(make_napari_viewer, qtbot):
    first = ct()
    rng = np.random.default_rng(0)
    second = first.with_array(rng.normal(size=first.array.shape).astype(np.float32), name="CT 5")
    viewer, dock = docked(make_napari_viewer, first, second)
    fuse(qtbot, dock)
    assert viewer.layers[-1].name == "CT 5 on CT 3"
    assert viewer.layers[-1].colormap.name == "bop orange"
    assert np.array_equal(volume_from_layer(viewer.layers[-1]).array, second.array)


def test_different_frames_of_reference_are_told(make_napari_viewer, qtbot):
    viewer, dock = docked(make_napari_viewer, ct(frame_of_reference_uid="1.2"), pet(frame_of_reference_uid="1.3"))
    fuse(qtbot, dock)
    assert dock.warning_label.isVisible()
    assert "different frames of reference" in dock.warning_label.text()
    assert len(viewer.layers) == 3


def test_scans_that_do_not_overlap_are_refused(make_napari_viewer, qtbot, shown):
    far = scan("PT", (5, 6, 7), (4.0, 4.0, 3.0), (500.0, 500.0, 500.0))
    viewer, dock = docked(make_napari_viewer, ct(), far)
    fuse(qtbot, dock)
    assert "do not overlap" in dock.panel.message_label.text()
    assert shown == []  # it stands on the page, which is seen
    assert len(viewer.layers) == 2


def test_a_layer_of_another_kind_is_refused_in_one_line(make_napari_viewer, qtbot, shown):
    viewer, dock = docked(make_napari_viewer, ct())
    viewer.add_points(np.zeros((2, 3)), name="points")
    assert not dock.panel.start_button.isEnabled()
    assert "two scans" in dock.about_label.text()
    viewer.add_image(np.zeros((2, 3, 4, 5)), name="time series")
    assert [layer.name for layer in dock.overlay_combo.layers] == ["CT 3", "time series"]
    dock.overlay_combo.setCurrentIndex(1)
    fuse(qtbot, dock)
    assert "has 4 axes" in dock.panel.message_label.text()
    assert shown == []


def test_base_and_overlay_must_differ_and_may_come_later(make_napari_viewer):
    viewer, dock = docked(make_napari_viewer)
    assert not dock.panel.start_button.isEnabled()
    add_to_viewer(viewer, layer_data(ct()))
    add_to_viewer(viewer, layer_data(pet()))
    assert (dock.base_combo.currentText(), dock.overlay_combo.currentText()) == ("CT 3", "PT 4")
    dock.overlay_combo.setCurrentIndex(0)
    assert not dock.panel.start_button.isEnabled()
    assert "same layer" in dock.about_label.text()
    dock.overlay_combo.setCurrentIndex(1)
    assert dock.panel.start_button.isEnabled()
    viewer.layers["PT 4"].name = "PT late"
    assert dock.overlay_combo.currentText() == "PT late"
    del viewer.layers["PT late"]
    assert not dock.panel.start_button.isEnabled()


def test_cancel_adds_no_layer(make_napari_viewer, qtbot):
    viewer, dock = docked(make_napari_viewer, ct(), pet())
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(dock.panel.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=20_000)
    assert dock.panel.message_label.text() == "Cancelled; no layer was added."
    assert len(viewer.layers) == 2
    assert viewer.layers["PT 4"].visible


def test_a_color_picture_can_lie_on_top(make_napari_viewer, qtbot):
    base = ct()
    colors = Volume(np.full((*base.geometry.shape, 3), 90, np.uint8), base.geometry, VolumeMetadata(name="paint"))
    viewer, dock = docked(make_napari_viewer, base, colors)
    fuse(qtbot, dock)
    assert viewer.layers[-1].rgb
    assert viewer.layers[-1].opacity == 0.6


def test_a_closed_dock_does_not_listen_any_more(make_napari_viewer):
    viewer, dock = docked(make_napari_viewer, ct())
    viewer.window.remove_dock_widget(dock.native)
    dock.deleteLater()
    pump()
    del dock
    add_to_viewer(viewer, layer_data(pet()))
    viewer.layers["CT 3"].name = "renamed"
    pump()
    assert len(viewer.layers) == 2


@pytest.mark.parametrize("what", ["hidden", "closed"])
def test_what_is_fused_does_not_lie_on_another_scan_that_is_seen_by_then(make_napari_viewer, qtbot, monkeypatch, what):
    started, may_go_on = threading.Event(), threading.Event()

    def held(*arguments, **settings):
        started.set()
        may_go_on.wait(PATIENCE)
        return fuse_of(*arguments, **settings)

    fuse_of = fusion.fuse
    monkeypatch.setattr(fusion, "fuse", held)
    viewer, dock = docked(make_napari_viewer, ct(), pet())
    base = viewer.layers[0]
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(started.is_set)
    other = add_to_viewer(viewer, layer_data(scan("MR", (9, 10, 11), (3.0, 2.5, 2.0), (40.0, 50.0, 60.0))))
    show_alone(viewer, [other])
    if what == "closed":
        viewer.layers.remove(base)
    may_go_on.set()
    qtbot.waitUntil(lambda: dock.panel.job is None)
    if what == "closed":
        assert len(viewer.layers) == 2
        assert dock.panel.message_label.text() == "'CT 3' was closed; no layer was added."
        return
    (fused,) = [layer for layer in viewer.layers if layer.name not in ("CT 3", "PT 4", "MR")]
    assert not fused.visible
    assert "hidden: another scan is shown" in dock.panel.message_label.text()
    assert [layer.name for layer in viewer.layers if layer.visible] == ["MR"]
    assert viewer.layers.selection.active is other
    show_alone(viewer, [base])
    assert fused.visible


def test_labels_are_laid_over_the_scan_that_they_were_made_of(make_napari_viewer):
    viewer, dock = docked(make_napari_viewer, ct(), scan("MR", (9, 10, 11), (3.0, 2.5, 2.0), (-10.0, -9.0, -20.0)))
    for own in list(viewer.layers):
        grid = own.metadata["radcnn"]["place"].native
        mask = LabelMap(np.ones(grid.shape, np.uint8), grid, {1: Label("brain")}, f"{own.name} · mask")
        labels = add_to_viewer(viewer, made_of(layer_data(mask), identity(own)))
        assert (dock.base_combo.layer, dock.overlay_combo.layer) == (own, labels)
