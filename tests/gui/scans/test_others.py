"""Further volumes of a scan with many that are no time points: one by its number, or all, on the Scans page."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers import sequences
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.gui.scans.dock import ScansDock
from vendor_layouts import LAYOUTS
from vendor_series import no_private, values, write_layout

pytestmark = pytest.mark.gui
SHAPE = (4, 5, 6)


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """Return what opens a path on the Scans page."""

    def open_(path):
        viewer = make_napari_viewer(show=True)
        _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Scans")
        assert isinstance(dock, ScansDock)
        qtbot.keyClicks(dock.path_line, str(path))
        qtbot.keyClick(dock.path_line, Qt.Key.Key_Return)
        wait(qtbot, dock)
        return viewer, dock

    return open_


@pytest.fixture
def unlike(monkeypatch):
    """Let no two volumes be time points of one scan, as those of series that move are none."""
    monkeypatch.setattr(sequences, "_why_apart", lambda _first, _other: "positions")


def wait(qtbot, dock):
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)


def click(qtbot, dock, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    wait(qtbot, dock)


def dynamic(path, count):
    series = np.stack([values(SHAPE, n).T for n in range(count)], -1)
    nibabel.save(nibabel.Nifti1Image(series, np.diag([-0.7, -0.8, 2.5, 1.0])), path)
    return path


@pytest.mark.usefixtures("unlike")
def test_a_volume_is_shown_by_its_number(opened, qtbot, tmp_path):
    viewer, dock = opened(dynamic(tmp_path / "scan.nii", 12))
    row = dock.others_row
    assert row.isVisible()
    assert row.label.text() == "8 of the 12 volumes are layers."
    assert row.number_box.value() == 1  # the one that is seen
    row.number_box.selectAll()
    qtbot.keyClicks(row.number_box, "11")
    qtbot.keyClick(row.number_box, Qt.Key.Key_Return)
    wait(qtbot, dock)
    assert len(viewer.layers) == 9
    (seen,) = [layer for layer in viewer.layers if layer.visible]
    assert seen.name == "scan · 11"
    assert np.array_equal(volume_from_layer(seen).array, values(SHAPE, 10))
    assert row.label.text() == "9 of the 12 volumes are layers."
    assert row.number_box.value() == 11
    row.number_box.setValue(3)
    click(qtbot, dock, row.show_button)
    assert len(viewer.layers) == 9
    assert [layer.name for layer in viewer.layers if layer.visible] == ["scan · 03"]
    assert viewer.layers.selection.active.name == "scan · 03"


@pytest.mark.usefixtures("unlike")
def test_all_others_are_added_after_a_question(opened, qtbot, tmp_path):
    viewer, dock = opened(dynamic(tmp_path / "scan.nii", 12))
    row = dock.others_row
    assert row.all_button.text() == "All 4 others …"
    click(qtbot, dock, row.all_button)
    assert len(viewer.layers) == 8
    box = row.findChild(QMessageBox)
    assert "4 more layers" in box.text()
    click(qtbot, dock, box.buttons()[0])
    assert [layer.name for layer in viewer.layers] == [f"scan · {n:02d}" for n in range(1, 13)]
    assert [layer.visible for layer in viewer.layers] == [True] + 11 * [False]
    for n, layer in enumerate(viewer.layers):
        assert np.array_equal(volume_from_layer(layer).array, values(SHAPE, n))
    assert not row.all_button.isEnabled()
    viewer.layers.remove("scan · 05")
    assert row.all_button.text() == "All 1 others …"


@pytest.mark.usefixtures("unlike")
def test_adding_can_be_stopped(opened, qtbot, tmp_path):
    viewer, dock = opened(dynamic(tmp_path / "scan.nii", 40))
    row = dock.others_row
    qtbot.mouseClick(row.all_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(row.findChild(QMessageBox).buttons()[0], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(viewer.layers) > 9, timeout=60_000)
    assert row.all_button.text() == "Stop"
    qtbot.mouseClick(row.all_button, Qt.MouseButton.LeftButton)
    wait(qtbot, dock)
    count = len(viewer.layers)
    assert 9 < count < 40
    assert row.label.text() == f"{count} of the 40 volumes are layers."
    assert row.all_button.text() == f"All {40 - count} others …"


def test_time_points_of_a_dicom_series_are_one_layer(opened, tmp_path):
    layout = next(one for one in LAYOUTS if one.kind == "fMRI (epiRT)")
    grid = Geometry.from_parts(SHAPE, (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))
    write_layout(tmp_path / "in", replace(layout, volumes=11, private=no_private), grid)
    viewer, dock = opened(tmp_path / "in")
    (layer,) = viewer.layers
    assert layer.data.shape == (11, *SHAPE)
    assert not dock.others_row.isVisible()
    assert viewer.dims.point[0] == 0
    viewer.dims.set_point(0, 9)
    assert np.array_equal(volume_from_layer(layer).array, values(SHAPE, 9))
    viewer.add_layer(Image(np.zeros(SHAPE)))
    assert not dock.others_row.isVisible()


def test_a_file_of_time_points_is_one_layer_too(opened, tmp_path):
    viewer, dock = opened(dynamic(tmp_path / "scan.nii", 8))
    (layer,) = viewer.layers
    assert layer.data.shape[0] == 8
    assert not dock.others_row.isVisible()
