"""The Scans dock by real clicks, drops and keys."""

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QMessageBox

import grids
from dicom_factory import write_dicom_series
from mixed_folders import FINDINGS, mixed, zipped
from napari_radcnn import io
from napari_radcnn.gui.findings.layer import detections_layer
from napari_radcnn.gui.layers.belonging import made_of
from napari_radcnn.gui.layers.layers import layer_data, volume_from_layer
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.gui.scans import defaults
from napari_radcnn.gui.scans.dock import ScansDock
from napari_radcnn.gui.scans.showing import show_alone
from napari_radcnn.gui.scans.tree import scan_of_item
from napari_radcnn.phantom import disks, head, oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap

pytestmark = pytest.mark.gui


@pytest.fixture
def folder(tmp_path):
    """Two series of two studies, and a NIfTI file."""
    root = tmp_path / "scans"
    (root / "a").mkdir(parents=True)
    study = {"StudyDate": "20200203", "StudyDescription": "BRAIN"}
    write_dicom_series(root / "a", head(oblique_geometry((4, 10, 12))), series_number=2, modality="MR", **study)
    ct = disks()[1]
    write_dicom_series(root / "b", ct.with_array(ct.array.astype(np.int16)), series_number=5, modality="CT", **study)
    io.write(world_field(oblique_geometry()), root / "field.nii.gz")
    (root / "notes.txt").write_text("hello")
    return root


def docked(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Scans")
    assert isinstance(dock, ScansDock)
    return viewer, dock


def wait_for_end(qtbot, dock):
    qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)


def rows(dock):
    groups = [dock.tree.topLevelItem(n) for n in range(dock.tree.topLevelItemCount())]
    return [group.child(n) for group in groups for n in range(group.childCount())]


def listed(dock, qtbot, folder):
    qtbot.keyClicks(dock.path_line, str(folder))
    qtbot.keyClick(dock.path_line, Qt.Key.Key_Return)
    wait_for_end(qtbot, dock)


def test_studies_series_and_files_are_listed_in_plain_words(make_napari_viewer, qtbot, folder):
    _, dock = docked(make_napari_viewer)
    listed(dock, qtbot, folder)
    titles = [dock.tree.topLevelItem(n).text(0) for n in range(dock.tree.topLevelItemCount())]
    study = "TEST, PATIENT (ID-SECRET-1)\n2020-02-03 · BRAIN"
    assert titles == [study, study, "Single files"]  # two studies of the same words
    by_modality = {scan_of_item(row).modality: row for row in rows(dock)}
    assert by_modality["CT"].text(0).endswith("\nCT · 24 slices · 72\u00d780 · 2\u00d70.9\u00d70.8\u00a0mm")
    assert by_modality["MR"].text(0).startswith("2\u00a0·\u00a0")
    assert by_modality["NIfTI"].text(0).startswith("field.nii.gz\nNIfTI · ")


def test_a_series_with_a_missing_slice_says_so_and_cannot_be_loaded(make_napari_viewer, qtbot, tmp_path):
    files = write_dicom_series(tmp_path, head(oblique_geometry((6, 10, 12))))
    files[3].unlink()
    _, dock = docked(make_napari_viewer)
    listed(dock, qtbot, tmp_path)
    (row,) = rows(dock)
    assert "missing" in row.child(0).text(0)
    where = dock.tree.visualItemRect(row.child(0)).topLeft() + QPoint(20, 5)
    qtbot.mouseClick(dock.tree.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert dock.panel.message_label.text() == row.child(0).text(0)
    row.setSelected(True)
    assert dock.selected() == []
    assert not dock.panel.start_button.isEnabled()


@pytest.mark.parametrize(("button", "shapes"), [("resample_button", [6]), ("split_button", [3, 2])])
def test_what_can_be_done_about_a_missing_slice_is_offered(make_napari_viewer, qtbot, tmp_path, button, shapes):
    files = write_dicom_series(tmp_path, head(oblique_geometry((6, 10, 12))))
    files[3].unlink()
    viewer, dock = docked(make_napari_viewer)
    listed(dock, qtbot, tmp_path)
    assert not dock.repair_row.isVisible()
    (row,) = rows(dock)
    where = dock.tree.visualItemRect(row.child(0)).topLeft() + QPoint(20, 5)
    qtbot.mouseClick(dock.tree.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert dock.repair_row.isVisible()
    qtbot.mouseClick(getattr(dock, button), Qt.MouseButton.LeftButton)
    wait_for_end(qtbot, dock)
    assert sorted(volume_from_layer(layer).shape[0] for layer in viewer.layers) == sorted(shapes)


def test_selected_series_are_loaded_with_one_click(make_napari_viewer, qtbot, folder):
    viewer, dock = docked(make_napari_viewer)
    listed(dock, qtbot, folder)
    assert len(viewer.layers) == 1  # the first is shown at once
    for row in rows(dock):
        row.setSelected(True)
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    wait_for_end(qtbot, dock)
    assert len(viewer.layers) == 3
    ct = next(layer for layer in viewer.layers if layer.data.shape == (24, 72, 80))
    assert np.array_equal(volume_from_layer(ct).array, disks()[1].array)
    assert viewer.canvas.overlays["radcnn_letter_left"].text == "R"


def test_a_double_click_loads_another_once(make_napari_viewer, qtbot, folder):
    viewer, dock = docked(make_napari_viewer)
    listed(dock, qtbot, folder)
    row = rows(dock)[-1]
    dock.tree.scrollToItem(row)
    where = dock.tree.visualItemRect(row).topLeft() + QPoint(20, 5)
    qtbot.mouseClick(dock.tree.viewport(), Qt.MouseButton.LeftButton, pos=where)
    qtbot.mouseDClick(dock.tree.viewport(), Qt.MouseButton.LeftButton, pos=where)
    wait_for_end(qtbot, dock)
    assert len(viewer.layers) == 2
    assert [layer.visible for layer in viewer.layers] == [False, True]


def test_a_folder_can_be_dropped(make_napari_viewer, qtbot, folder):
    _, dock = docked(make_napari_viewer)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    button, modifier = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    dock.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, button, modifier))
    wait_for_end(qtbot, dock)
    assert len(rows(dock)) == 3


def test_a_wrong_path_is_one_line(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_error", lines.append)
    _, dock = docked(make_napari_viewer)
    listed(dock, qtbot, tmp_path / "nowhere")
    assert "nowhere" in dock.panel.message_label.text()
    assert lines == []
    listed_empty = tmp_path / "nothing"
    listed_empty.mkdir()
    dock.path_line.clear()
    listed(dock, qtbot, listed_empty)
    assert dock.panel.message_label.text() == "No scans in this folder."


def test_cancel_leaves_no_layer(make_napari_viewer, qtbot, folder, monkeypatch):
    viewer, dock = docked(make_napari_viewer)
    listed(dock, qtbot, folder)
    for row in rows(dock):
        row.setSelected(True)
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(dock.panel.cancel_button, Qt.MouseButton.LeftButton)
    wait_for_end(qtbot, dock)
    assert len(viewer.layers) == 1
    assert dock.panel.message_label.text() == "Cancelled."


def answer(qtbot, dock, which):
    qtbot.mouseClick(dock.default_button, Qt.MouseButton.LeftButton)
    box = dock.findChild(QMessageBox, "radcnn_default_consent")
    assert "This changes napari's preferences" in box.text()
    qtbot.mouseClick(box.button(which), Qt.MouseButton.LeftButton)


def test_the_default_reader_is_set_only_with_consent_and_taken_back(make_napari_viewer, qtbot):
    settings = get_settings().plugins
    settings.extension2reader = {"*.tif": "other", "*.nrrd": "other"}
    _, dock = docked(make_napari_viewer)
    answer(qtbot, dock, QMessageBox.StandardButton.No)
    assert settings.extension2reader == {"*.tif": "other", "*.nrrd": "other"}
    dock.findChild(QMessageBox, "radcnn_default_consent").setObjectName("")
    answer(qtbot, dock, QMessageBox.StandardButton.Yes)
    assert settings.extension2reader["*.nii.gz"] == "napari-radcnn"
    assert settings.extension2reader["*/"] == "napari-radcnn"
    assert "*.png" not in settings.extension2reader
    assert settings.extension2reader["*.nrrd"] == "other"
    assert defaults.is_default()
    qtbot.mouseClick(dock.default_button, Qt.MouseButton.LeftButton)
    assert settings.extension2reader == {"*.tif": "other", "*.nrrd": "other"}


def test_after_consent_napari_itself_opens_with_us(make_napari_viewer, folder):
    defaults.make_default()
    viewer = make_napari_viewer()
    viewer.open(str(folder / "field.nii.gz"), plugin=None)
    viewer.open(str(folder / "b"), plugin=None)
    assert all("radcnn" in layer.metadata for layer in viewer.layers)
    assert len(viewer.layers) == 2


def test_the_dock_offers_what_read_reads(make_napari_viewer, qtbot, tmp_path):
    folder = mixed(tmp_path)
    viewer, dock = docked(make_napari_viewer)
    listed(dock, qtbot, folder)
    by_title = {scan_of_item(row).title: row for row in rows(dock)}
    images = [title for title, row in by_title.items() if row.parent().text(0) == "Single files"]
    assert images == [
        "LOUD.HDR",
        "a store of another name",
        "broken.nrrd",
        "field.nii.gz",
        "meta.mhd",
        "pair.hdr",
        "squeezed.hdr.gz",
        "store.ome.zarr",
    ]
    assert scan_of_item(by_title["store.ome.zarr"]).modality == "OME-Zarr"
    broken = by_title["broken.dcm"]
    assert broken.parent().text(0) == "Left out"
    assert "damaged" in broken.child(0).text(0)
    for title, row in by_title.items():
        row.setSelected(title != "broken.nrrd")
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
    wait_for_end(qtbot, dock)
    whole = io.read(folder)
    assert sorted(layer.name for layer in viewer.layers) == sorted(volume.name for volume in whole)
    for volume in whole:
        shown = next(layer for layer in viewer.layers if layer.name == volume.name)
        if not volume.metadata.is_label:
            assert volume_from_layer(shown).geometry.is_close(volume.geometry, 1e-3)


def test_a_store_an_archive_and_a_file_are_listed_by_themselves(make_napari_viewer, qtbot, tmp_path):
    store = io.write(world_field(oblique_geometry()), tmp_path / "a.ome.zarr")
    archive = zipped(tmp_path / "export.zip", write_dicom_series(tmp_path / "s", disks()[1]))
    _, dock = docked(make_napari_viewer)
    for path, kind in ((store, "OME-Zarr"), (archive, "ZIP archive")):
        dock.path_line.clear()
        listed(dock, qtbot, path)
        (row,) = rows(dock)
        assert (scan_of_item(row).title, scan_of_item(row).modality) == (path.name, kind)


def test_images_one_folder_down_are_listed_by_their_place(make_napari_viewer, qtbot, tmp_path):
    for name in ("t1", "t2"):
        (tmp_path / name).mkdir()
        io.write(world_field(oblique_geometry()), tmp_path / name / "scan.nii.gz")
    _, dock = docked(make_napari_viewer)
    listed(dock, qtbot, tmp_path)
    assert [scan_of_item(row).title for row in rows(dock)] == ["t1/scan.nii.gz", "t2/scan.nii.gz"]


def on_grid(name, patient):
    """A scan that lies on the same grid as every other, in the space of a patient."""
    about = {"frame_of_reference_uid": f"1.2.{patient}" if patient else "", "name": name}
    return world_field(grids.axial()).with_metadata(**about)


@pytest.mark.parametrize(("first", "second", "stays"), [(1, 1, True), (1, 2, False), (1, 0, False), (0, 0, False)])
def test_an_answer_never_lies_on_another_patient_of_the_same_grid(make_napari_viewer, first, second, stays):
    viewer = make_napari_viewer()
    scans = [on_grid("one", first), on_grid("two", second)]
    one, two = (add_to_viewer(viewer, layer_data(scan)) for scan in scans)
    mask = np.zeros(scans[0].geometry.shape, np.uint8)
    mask[1, 2, 3] = 1
    labels = LabelMap(mask, scans[0].geometry, {1: Label("liver")}, "one · model", {}, (), scans[0].metadata)
    answer = add_to_viewer(viewer, made_of(layer_data(labels), one.unique_id))
    found = add_to_viewer(viewer, made_of(detections_layer(FINDINGS), one.unique_id))
    show_alone(viewer, [one])
    assert (answer.visible, found.visible) == (True, True)
    show_alone(viewer, [two])
    assert (one.visible, two.visible) == (False, True)
    assert (answer.visible, found.visible) == (stays, False)
    show_alone(viewer, [one])
    assert (answer.visible, found.visible) == (True, True)
    answer.visible = False  # by hand: it stays so
    show_alone(viewer, [two])
    show_alone(viewer, [one])
    assert not answer.visible


def test_letters_come_back_with_scans_that_are_loaded_again(make_napari_viewer, qtbot, folder):
    viewer, dock = docked(make_napari_viewer)
    listed(dock, qtbot, folder)
    for _ in range(2):
        dock.tree.clearSelection()
        for row in rows(dock):
            row.setSelected(True)
        qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)
        wait_for_end(qtbot, dock)
        assert len(viewer.layers) == 3
        assert viewer.canvas.overlays["radcnn_letter_left"].text == "R"
        viewer.layers.clear()
        assert viewer.canvas.overlays["radcnn_letter_left"].text == ""
