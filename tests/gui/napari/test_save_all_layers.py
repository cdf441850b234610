"""File > Save All Layers: nothing of ours is written without its place in the patient."""

import json
import warnings

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QLineEdit

from mixed_folders import FINDINGS
from napari_radcnn import io
from napari_radcnn.errors import RadcnnError
from napari_radcnn.gui.findings.layer import detections_layer
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.napari.all_layers import write_layers
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.results import Label, LabelMap
from screens import pump

pytestmark = pytest.mark.gui
MANIFEST = {"schema": "radcnn-manifest/1", "model": {"name": "fake"}}


@pytest.fixture
def lines(monkeypatch):
    """The warnings that are shown."""
    shown = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", shown.append)
    return shown


@pytest.fixture
def viewer(make_napari_viewer):
    """A tilted scan and its labels, with their manifest."""
    viewer = make_napari_viewer()
    scan = world_field(oblique_geometry()).with_metadata(name="CT 3")
    labels = np.zeros(scan.geometry.shape, np.uint8)
    labels[2, 3, 4] = 7
    add_to_viewer(viewer, layer_data(scan))
    made = LabelMap(labels, scan.geometry, {7: Label("liver", (0.2, 0.4, 0.6))}, "CT 3 · liver", MANIFEST)
    add_to_viewer(viewer, layer_data(made))
    return viewer


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def assert_both_lie_at_their_place(folder, suffix=".nii.gz"):
    geometry = oblique_geometry()
    (scan,) = io.read(folder / f"CT_3{suffix}")
    (labels,) = io.read(folder / f"CT_3_liver{suffix}")
    assert scan.geometry.is_close(geometry, tolerance=1e-4)
    assert np.allclose(scan.array, world_field(geometry).array, atol=1e-3)
    assert labels.geometry.is_close(geometry, tolerance=1e-4)
    assert np.argwhere(labels.array).tolist() == [[2, 3, 4]]
    assert labels.array[2, 3, 4] == 7
    assert json.loads((folder / f"CT_3_liver{suffix}.radcnn.json").read_text())["model"] == {"name": "fake"}


def test_a_name_without_suffix_is_a_folder_of_scans_at_their_place(viewer, tmp_path):
    written = viewer.layers.save(str(tmp_path / "study"))
    assert names(tmp_path / "study") == ["CT_3.nii.gz", "CT_3_liver.nii.gz", "CT_3_liver.nii.gz.radcnn.json"]
    assert sorted(written) == sorted(str(path) for path in (tmp_path / "study").iterdir())
    assert_both_lie_at_their_place(tmp_path / "study")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii"])
def test_the_suffix_sets_the_format_of_all(viewer, tmp_path, suffix):
    viewer.layers.save(str(tmp_path / f"study{suffix}"))
    assert_both_lie_at_their_place(tmp_path / "study", suffix)


def test_tif_writes_nothing_of_several_layers(viewer, tmp_path):
    with pytest.warns(UserWarning, match="No data written"):
        assert viewer.layers.save(str(tmp_path / "study.tif")) == []
    with pytest.raises(RadcnnError, match=r"study\.tif: a TIF file cannot store position in the patient; give a name"):
        write_layers(str(tmp_path / "study.tif"), [layer.as_layer_data_tuple() for layer in viewer.layers])
    assert names(tmp_path) == []


def save_all(viewer, path, entry=None):
    """Click File > Save All Layers and answer its dialog; return its first entry, titles, and the chosen entry."""
    seen = {}

    def answer():
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog):
            QTimer.singleShot(20, answer)
            return
        seen["first"] = dialog.selectedNameFilter()
        seen["title"] = dialog.windowTitle()
        if entry is not None:
            chosen = next(one for one in dialog.nameFilters() if entry in one)
            dialog.selectNameFilter(chosen)
            dialog.filterSelected.emit(chosen)  # as a click in the list does
            seen["other title"] = dialog.windowTitle()
        dialog.findChild(QLineEdit).setText(str(path))
        dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Save).click()

    QTimer.singleShot(50, answer)
    action = next(a for a in _actions(viewer.window._qt_window.menuBar()) if a.text().startswith("Save All Layers"))
    action.trigger()
    pump()
    return seen


def _actions(menu):
    for action in menu.actions():
        if action.menu() is not None:
            action.menu().aboutToShow.emit()
            yield from _actions(action.menu())
        else:
            yield action


def test_the_dialog_begins_with_our_writer(viewer, tmp_path, lines):
    seen = save_all(viewer, tmp_path / "study")
    assert seen["first"].startswith("RadCNN ")
    assert "position" not in seen["title"]
    assert_both_lie_at_their_place(tmp_path / "study")
    assert lines == []


def test_the_dialog_says_before_that_another_writer_loses_the_place(viewer, tmp_path, lines):
    viewer.layers.pop()
    seen = save_all(viewer, tmp_path / "scan.tif", entry="lossless")
    assert seen["first"].startswith("RadCNN ")
    assert seen["other title"].endswith("this format keeps NO position in the patient; choose a RadCNN format")
    assert lines == ["Saved by another plugin's writer: without position in the patient, units or names."]


def test_layers_of_other_plugins_alone_are_none_of_our_business(make_napari_viewer, tmp_path, lines):
    viewer = make_napari_viewer()
    viewer.open_sample("napari-radcnn", "disks")
    viewer.layers.clear()
    viewer.add_image(np.arange(60.0).reshape(3, 4, 5))
    seen = save_all(viewer, tmp_path / "scan.tif", entry="lossless")
    assert seen["other title"] == seen["title"]
    assert names(tmp_path) == ["scan.tif"]
    assert lines == []


def test_layers_of_other_plugins_are_written_too(viewer, tmp_path, lines):
    add_to_viewer(viewer, detections_layer(FINDINGS))
    viewer.add_image(np.zeros((3, 4, 5), np.float32), name="CT 3", scale=(2.5, 0.8, 0.7), units="mm")
    viewer.add_image(np.zeros((6, 8, 3), np.uint8), rgb=True, name="photo.jpg")
    viewer.add_image(np.zeros((2, 3, 4, 5)), name="4-D")
    viewer.add_points(np.zeros((2, 3)), name="marks")
    viewer.add_vectors(np.zeros((2, 2, 3)), name="arrows")
    viewer.layers.save(str(tmp_path / "study"), plugin="napari-radcnn")
    assert names(tmp_path / "study") == [
        "4-D.tif",
        "CT_3.nii.gz",
        "CT_3_1.nii.gz",
        "CT_3_liver.nii.gz",
        "CT_3_liver.nii.gz.radcnn.json",
        f"{FINDINGS.name}.json",
        "marks.csv",
        "photo_jpg.tif",
    ]
    (other,) = io.read(tmp_path / "study" / "CT_3_1.nii.gz")
    assert other.geometry.spacing == pytest.approx((2.5, 0.8, 0.7))
    assert lines == [
        "Written by napari's own writers, without position in the patient: photo.jpg, 4-D, marks.",
        "Not written, since no writer is installed for them, or they are empty: arrows.",
    ]


def test_what_is_in_the_way_stays_and_nothing_is_written(viewer, tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "CT_3_liver.nii.gz").write_bytes(b"another's")
    with pytest.raises(RadcnnError, match=r"CT_3_liver\.nii\.gz"):
        viewer.layers.save(str(folder))
    assert names(folder) == ["CT_3_liver.nii.gz"]
    assert (folder / "CT_3_liver.nii.gz").read_bytes() == b"another's"


def test_a_layer_of_ours_that_cannot_be_written_stops_all(viewer, tmp_path):
    viewer.layers[1].data = viewer.layers[1].data.astype(np.int16) - 1
    with pytest.raises(RadcnnError, match="labels must be 0"):
        viewer.layers.save(str(tmp_path / "study"))
    assert names(tmp_path) == []


def test_one_layer_without_suffix_is_a_file(viewer, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        viewer.layers.selection = {viewer.layers[1]}
        viewer.layers.save(str(tmp_path / "liver"), selected=True, plugin="napari-radcnn")
    assert names(tmp_path) == ["liver.nii.gz", "liver.nii.gz.radcnn.json"]


def test_four_kinds_at_once_are_written_at_their_place_from_python(viewer, tmp_path, lines):
    viewer.add_points(np.zeros((2, 3)), name="marks")
    viewer.add_shapes([np.array([[0, 0, 0], [0, 4, 4.0]])], shape_type="line", name="line")
    viewer.layers.save(str(tmp_path / "study"))
    assert_both_lie_at_their_place(tmp_path / "study")
    assert lines == ["Written by napari's own writers, without position in the patient: marks, line."]


@pytest.mark.parametrize("whole", [True, False])
def test_one_layer_without_suffix_keeps_its_place_from_python(viewer, tmp_path, whole):
    for layer, name in zip(viewer.layers, ("scan", "liver"), strict=True):
        viewer.layers.selection = {layer}
        if whole:
            viewer.layers.save(str(tmp_path / name), selected=True)
        else:
            layer.save(str(tmp_path / name))
    assert names(tmp_path) == ["liver.nii.gz", "liver.nii.gz.radcnn.json", "scan.nii.gz"]
    for name in ("scan", "liver"):
        assert io.read(tmp_path / f"{name}.nii.gz")[0].geometry.is_close(oblique_geometry(), tolerance=1e-4)


def test_a_picture_format_says_before_what_it_loses_and_a_named_plugin_is_obeyed(viewer, tmp_path, lines):
    viewer.layers[0].save(str(tmp_path / "scan.tif"))
    assert names(tmp_path) == ["scan.tif"]
    assert [line.startswith("scan.tif: a TIF file cannot store position in the patient") for line in lines] == [True]
    viewer.layers[0].save(str(tmp_path / "other"), plugin="napari")
    assert names(tmp_path) == ["other.tif", "scan.tif"]
    assert len(lines) == 1


def test_layers_of_others_are_saved_as_ever_beside_ours(viewer, tmp_path, lines):
    other = viewer.add_image(np.zeros((3, 4, 5), np.uint8), name="other")
    other.save(str(tmp_path / "other"))
    assert names(tmp_path) == ["other.tif"]
    assert lines == []
