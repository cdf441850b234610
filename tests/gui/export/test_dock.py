"""The Export dock by real clicks: what is written can be read back, and every way it can end."""

import json
import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from dicom_factory import PATIENT_ID, write_dicom_series
from napari_radcnn import io
from napari_radcnn.errors import WriteError
from napari_radcnn.files import file_hash
from napari_radcnn.gui.export import dock as export, saving
from napari_radcnn.gui.export.dock import ExportDock
from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.io.formats import writable_suffixes
from napari_radcnn.phantom import disks, oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap
from patience import PATIENCE

pytestmark = pytest.mark.gui
GEOMETRY = oblique_geometry((6, 9, 11))


def labels(provenance=None):
    array = np.zeros(GEOMETRY.shape, np.uint8)
    array[1:4, 2:7, 3:9] = 2
    return LabelMap(array, GEOMETRY, {2: Label("liver")}, "CT 3 · Meier, Anna/liver", provenance or {})


def docked(make_napari_viewer, *scans):
    viewer = make_napari_viewer(show=True)
    for one in scans:
        add_to_viewer(viewer, layer_data(one))
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Export")
    assert isinstance(dock, ExportDock)
    return viewer, dock


def type_path(qtbot, dock, path):
    dock.path_line.selectAll()
    qtbot.keyClicks(dock.path_line, str(path))


def choose(dock, suffix):
    dock.format_combo.setCurrentIndex([choice.suffix for choice in dock._choices].index(suffix))


def click_write(qtbot, dock):
    assert dock.panel.start_button.isEnabled()
    qtbot.mouseClick(dock.panel.start_button, Qt.MouseButton.LeftButton)


def wait_for_end(qtbot, dock):
    qtbot.waitUntil(lambda: dock.panel.job is None, timeout=20_000)


def answer(qtbot, dock, which):
    box = dock.findChild(QMessageBox, "radcnn_overwrite")
    text = box.text()
    qtbot.mouseClick(box.button(which), Qt.MouseButton.LeftButton)
    return text


@pytest.fixture
def shown(monkeypatch):
    """Return the lines that napari was asked to show as errors."""
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_error", lines.append)
    return lines


class Held:
    """A function of the dock's work that waits, on its thread, until `go_on` is set."""

    def __init__(self, monkeypatch, name):
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._real = getattr(export, name)
        monkeypatch.setattr(export, name, self)

    def __call__(self, *arguments, **keywords):
        self.begun.set()
        assert self.go_on.wait(PATIENCE)
        return self._real(*arguments, **keywords)


def test_an_oblique_scan_is_written_on_its_own_grid(make_napari_viewer, qtbot, tmp_path):
    volume = world_field(GEOMETRY)
    _, dock = docked(make_napari_viewer, volume)
    for suffix in writable_suffixes():
        choose(dock, suffix)
        type_path(qtbot, dock, tmp_path / f"out{suffix}")
        click_write(qtbot, dock)
        wait_for_end(qtbot, dock)
        assert dock.panel.message_label.text() == f"Written and read back: {tmp_path / f'out{suffix}'}"
        (back,) = io.read(tmp_path / f"out{suffix}")
        assert back.geometry.is_close(volume.geometry), suffix
        assert np.allclose(back.array, volume.array), suffix


def test_all_formats_are_offered_each_with_a_plain_line(make_napari_viewer):
    _, dock = docked(make_napari_viewer, labels())
    offered = {choice.suffix for choice in dock._choices}
    assert set(writable_suffixes()) <= offered
    lines = []
    for row in range(dock.format_combo.count()):
        dock.format_combo.setCurrentIndex(row)
        lines.append(dock.about_label.text())
        assert dock.path_line.text().endswith(dock.choice.suffix)
    assert len(set(lines)) == len(lines)
    assert "programs that read the format" not in " ".join(lines)
    nifti = lines[[choice.suffix for choice in dock._choices].index(".nii.gz")]
    assert "ITK-SNAP" in nifti


def test_labels_with_their_manifest_under_a_safe_name(make_napari_viewer, qtbot, tmp_path, monkeypatch):
    wanted = labels({"schema": "radcnn-manifest/1", "model": {"name": "fake"}})
    _, dock = docked(make_napari_viewer, world_field(GEOMETRY), wanted)
    assert dock.layer_combo.currentText() == wanted.name  # the layer that is selected
    suggested = dock.path.name
    assert suggested == "CT_3_Meier_Anna_liver.nii.gz"
    asked = []

    def save_dialog(parent, title, start, *_, **__):
        asked.append(start)
        return str(tmp_path / "liver"), ""  # typed without a suffix

    monkeypatch.setattr(QFileDialog, "getSaveFileName", save_dialog)
    qtbot.mouseClick(dock.choose_button, Qt.MouseButton.LeftButton)
    assert asked[0].endswith(suggested)
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    target = tmp_path / "liver.nii.gz"
    assert dock.panel.message_label.text() == f"Written and read back: {target}\nManifest: liver.nii.gz.radcnn.json"
    assert dock.path_line.text() == str(target)
    manifest = json.loads((tmp_path / "liver.nii.gz.radcnn.json").read_text())
    files = {"liver.nii.gz": file_hash(target)}
    assert manifest == {**wanted.provenance, "output": "liver.nii.gz", "files": files}
    (back,) = io.read(target)
    assert np.array_equal(back.array, wanted.array)


def test_the_patient_is_left_out_where_the_box_is_ticked(make_napari_viewer, qtbot, tmp_path):
    write_dicom_series(tmp_path / "scan", world_field(GEOMETRY), modality="CT")
    (scan,) = io.read(tmp_path / "scan")
    _, dock = docked(make_napari_viewer, scan)
    choose(dock, "")
    qtbot.mouseClick(dock.deidentify_box, Qt.MouseButton.LeftButton, pos=QPoint(8, dock.deidentify_box.height() // 2))
    assert dock.path.name == "scan"
    type_path(qtbot, dock, tmp_path / "out")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    written, told = dock.panel.message_label.text().splitlines()
    assert written == f"Written and read back: {tmp_path / 'out'}"
    assert "face" in told
    files = list((tmp_path / "out").iterdir())
    assert len(files) == GEOMETRY.shape[0]
    assert not any(PATIENT_ID.encode() in path.read_bytes() for path in files)
    qtbot.mouseClick(dock.deidentify_box, Qt.MouseButton.LeftButton, pos=QPoint(8, dock.deidentify_box.height() // 2))
    type_path(qtbot, dock, tmp_path / "plain")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    assert any(PATIENT_ID.encode() in path.read_bytes() for path in (tmp_path / "plain").iterdir())


def test_no_layer_and_layers_of_the_wrong_kind(make_napari_viewer, qtbot, tmp_path, shown):
    viewer, dock = docked(make_napari_viewer)
    assert not dock.panel.start_button.isEnabled()
    assert not dock.choose_button.isEnabled()
    assert "Open a scan" in dock.about_label.text()
    viewer.add_points(np.zeros((2, 3)), name="points")
    assert dock.layer_combo.count() == 0
    viewer.add_image(np.zeros((2, 3, 4, 5)), name="time series")
    type_path(qtbot, dock, tmp_path / "a.nii.gz")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    assert "has 4 axes" in dock.panel.message_label.text()
    assert shown == []
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_layer_is_written_from_its_transforms(make_napari_viewer, qtbot, tmp_path):
    viewer, dock = docked(make_napari_viewer)
    viewer.add_image(
        np.arange(60, dtype=np.float32).reshape(3, 4, 5), scale=(2.5, 0.8, 0.7), translate=(1, 2, 3), units="mm"
    )
    type_path(qtbot, dock, tmp_path / "a.nrrd")
    choose(dock, ".nrrd")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    (back,) = io.read(tmp_path / "a.nrrd")
    assert np.allclose(back.geometry.spacing, (2.5, 0.8, 0.7))
    assert np.allclose(back.geometry.origin, (3, 2, 1))


@pytest.fixture
def ct(tmp_path):
    """A CT that was read from DICOM."""
    source = disks()[1]
    write_dicom_series(tmp_path / "ct", source.with_array(source.array.astype(np.int16)), modality="CT")
    return io.read(tmp_path / "ct")[0]


def painted(scan):
    """What napari's own new labels look like on a scan: they know nothing of it."""
    array = np.zeros(scan.geometry.shape, np.uint8)
    array[3:9, 20:40, 30:50] = 1
    return LabelMap(array, scan.geometry, {1: Label("liver")}, "Labels")


@pytest.mark.parametrize("suffix", [".seg.dcm", ".sr.dcm"])
def test_painted_labels_go_to_dicom_with_the_series_they_belong_to(make_napari_viewer, qtbot, tmp_path, ct, suffix):
    wanted = painted(ct)
    viewer, dock = docked(make_napari_viewer, ct, wanted)
    choose(dock, ".nii.gz")
    assert dock.series_combo.isHidden()
    choose(dock, suffix)
    assert "Needs the original DICOM series" in dock.about_label.text()
    assert not dock.series_combo.isHidden()
    assert dock.series_combo.layer is viewer.layers[0]
    type_path(qtbot, dock, tmp_path / f"liver{suffix}")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text() == f"Written and read back: {tmp_path / f'liver{suffix}'}"
    (layer,) = viewer.open(str(tmp_path / "liver.seg.dcm"), plugin="napari-radcnn")
    back = label_map_from_layer(layer)
    assert back.labels[1].name == "liver"
    assert back.volume_ml(1) == pytest.approx(wanted.volume_ml(1))
    assert np.array_equal(layer.data, viewer.layers["Labels"].data)


def test_a_scan_becomes_a_dicom_series_in_a_folder(make_napari_viewer, qtbot, tmp_path, ct):
    _, dock = docked(make_napari_viewer, ct)
    choose(dock, "")
    assert dock.series_combo.isHidden()  # it knows
    type_path(qtbot, dock, tmp_path / "derived")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text() == f"Written and read back: {tmp_path / 'derived'}"
    (back,) = io.read(tmp_path / "derived")
    assert back.geometry.is_close(ct.geometry)
    assert np.array_equal(back.array, ct.array)


def test_names_are_made_safe():
    assert saving.safe_stem("CT 3 · brain-extraction") == "CT_3_brain-extraction"
    assert saving.safe_stem("../../etc/passwd") == "etc_passwd"
    assert saving.safe_stem("Ärztin · 胸部") == "rztin"
    assert saving.safe_stem("···") == "scan"


def test_the_scan_itself_is_refused_before_any_question(make_napari_viewer, qtbot, tmp_path):
    path = io.write(world_field(GEOMETRY), tmp_path / "scan.nii.gz")
    before = path.read_bytes()
    _, dock = docked(make_napari_viewer, *io.read(path))
    dock.path_line.setText(str(tmp_path / "scan.nii.gz"))
    click_write(qtbot, dock)
    assert "is the input 'scan.nii.gz'" in dock.panel.message_label.text()
    assert dock.findChild(QMessageBox, "radcnn_overwrite") is None
    assert path.read_bytes() == before


def check_a_typed_name_stays(viewer, dock, qtbot, tmp_path, monkeypatch):
    type_path(qtbot, dock, tmp_path / "mine.nii.gz")
    choose(dock, ".nrrd")
    assert dock.path_line.text() == str(tmp_path / "mine.nrrd")
    dock.path_line.clear()
    qtbot.keyClicks(dock.path_line, "x")
    qtbot.keyClick(dock.path_line, Qt.Key.Key_Backspace)
    assert not dock.panel.start_button.isEnabled()


def check_an_existing_file_is_replaced_only_with_consent(viewer, dock, qtbot, tmp_path, monkeypatch):
    target, manifest = tmp_path / "a.nii.gz", tmp_path / "a.nii.gz.radcnn.json"
    target.write_bytes(b"old")
    manifest.write_text("{}")
    type_path(qtbot, dock, target)
    click_write(qtbot, dock)
    question = answer(qtbot, dock, QMessageBox.StandardButton.No)
    assert "'a.nii.gz' and 'a.nii.gz.radcnn.json'" in question
    assert dock.panel.message_label.text() == "Nothing was written."
    assert target.read_bytes() == b"old"
    qtbot.waitUntil(lambda: dock.findChild(QMessageBox, "radcnn_overwrite") is None)
    click_write(qtbot, dock)
    answer(qtbot, dock, QMessageBox.StandardButton.Yes)
    wait_for_end(qtbot, dock)
    assert np.array_equal(io.read(target)[0].array, labels().array)
    assert not manifest.exists()  # it told of the file that was replaced


def check_a_folder_that_cannot_be_written_to_is_one_line(viewer, dock, qtbot, tmp_path, monkeypatch):
    type_path(qtbot, dock, tmp_path / "nowhere" / "a.nii.gz")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    line = dock.panel.message_label.text()
    assert "does not exist; create it first" in line
    with pytest.raises(WriteError) as caught:  # the very line that the command line prints
        io.write(labels(), tmp_path / "nowhere" / "a.nii.gz")
    assert line == str(caught.value)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.replace", refuse)  # root may write anywhere
    monkeypatch.setattr("os.link", refuse)
    type_path(qtbot, dock, tmp_path / "a.nii.gz")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    assert "permission denied" in dock.panel.message_label.text()
    assert list(tmp_path.iterdir()) == []


def check_painting_during_the_writing_is_not_in_the_file(viewer, dock, qtbot, tmp_path, monkeypatch):
    held = Held(monkeypatch, "result_of")
    type_path(qtbot, dock, tmp_path / "a.nii.gz")
    click_write(qtbot, dock)
    qtbot.waitUntil(held.begun.is_set)
    viewer.layers[0].data[:] = 7
    held.go_on.set()
    wait_for_end(qtbot, dock)
    assert np.array_equal(io.read(tmp_path / "a.nii.gz")[0].array, labels().array)


def check_cancel_before_the_writing_leaves_nothing(viewer, dock, qtbot, tmp_path, monkeypatch):
    type_path(qtbot, dock, tmp_path / "a.nii.gz")
    held = Held(monkeypatch, "result_of")
    click_write(qtbot, dock)
    qtbot.mouseClick(dock.panel.cancel_button, Qt.MouseButton.LeftButton)
    held.go_on.set()
    wait_for_end(qtbot, dock)
    assert dock.panel.message_label.text() == "Cancelled; nothing was written."
    assert list(tmp_path.iterdir()) == []


def check_cancel_after_the_writing_says_that_it_was_too_late(viewer, dock, qtbot, tmp_path, monkeypatch):
    type_path(qtbot, dock, tmp_path / "a.nii.gz")
    held = Held(monkeypatch, "write_with_manifest")
    click_write(qtbot, dock)
    qtbot.waitUntil(held.begun.is_set)
    qtbot.mouseClick(dock.panel.cancel_button, Qt.MouseButton.LeftButton)
    held.go_on.set()
    wait_for_end(qtbot, dock)
    assert "before it could be cancelled" in dock.panel.message_label.text()
    assert np.array_equal(io.read(tmp_path / "a.nii.gz")[0].array, labels().array)


def check_without_the_series_dicom_is_refused_in_one_line(viewer, dock, qtbot, tmp_path, monkeypatch):
    choose(dock, ".seg.dcm")
    assert dock.series_combo.count() == 0
    assert "open it first" in dock.about_label.text()
    type_path(qtbot, dock, tmp_path / "a.seg.dcm")
    click_write(qtbot, dock)
    wait_for_end(qtbot, dock)
    assert "needs the original DICOM series" in dock.panel.message_label.text()
    assert list(tmp_path.iterdir()) == []


#: What is asked of one dock, one after the other, each with a folder of its own.
ASKED = [
    check_a_typed_name_stays,
    check_an_existing_file_is_replaced_only_with_consent,
    check_a_folder_that_cannot_be_written_to_is_one_line,
    check_cancel_before_the_writing_leaves_nothing,
    check_cancel_after_the_writing_says_that_it_was_too_late,
    check_without_the_series_dicom_is_refused_in_one_line,
    check_painting_during_the_writing_is_not_in_the_file,
]


def test_labels_are_written_where_it_was_asked_for_and_nothing_is_elsewhere(
    make_napari_viewer, qtbot, tmp_path, shown, monkeypatch
):
    viewer, dock = docked(make_napari_viewer, labels())
    for check in ASKED:
        folder = tmp_path / check.__name__
        folder.mkdir()
        choose(dock, ".nii.gz")
        with monkeypatch.context() as patched:
            check(viewer, dock, qtbot, folder, patched)
    assert shown == []  # errors stand on the page, which is seen
