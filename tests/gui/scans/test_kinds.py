"""What opens as what: label maps that do not say so, segmentations whose series is open, radiographs as pictures."""

import subprocess
import sys

import nibabel
import numpy as np
import pytest
from napari.layers import Image, Labels
from PIL import Image as Picture
from pydicom import dcmread
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QDialog

from contour_files import write_contours
from dicom_factory import write_dicom_series
from film_segmentation import film_with_segments
from films import corner_picture
from mixed_folders import labels_on
from napari_radcnn.gui.layers.layers import label_map_from_layer, volume_from_layer
from napari_radcnn.gui.layers.view import letters
from napari_radcnn.gui.scans.dock import ScansDock
from napari_radcnn.io import read
from napari_radcnn.phantom import oblique_geometry, world_field
from patience import PATIENCE

pytestmark = pytest.mark.gui
AFFINE = np.array([[-0.7, 0, 0, 30.0], [0, -0.8, 0, 12.0], [0, 0, 2.5, -5.0], [0, 0, 0, 1]])


def segmented():
    """Two areas of labels 3 and 17 on a grid of (i, j, k) = (20, 16, 12)."""
    labels = np.zeros((20, 16, 12), np.int16)
    labels[3:9, 4:12, 2:9] = 3
    labels[10:17, 4:12, 2:9] = 17
    return labels


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """Return a function that opens paths on the Scans page and waits."""
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-radcnn", "Scans")
    assert isinstance(dock, ScansDock)

    def open_(*paths):
        dock.open_paths(paths)
        qtbot.waitUntil(lambda: dock.job is None, timeout=20_000)
        return viewer, dock

    return open_


def test_a_label_map_that_does_not_say_so_opens_as_labels_and_back(opened, qtbot, tmp_path):
    nibabel.save(nibabel.Nifti1Image(segmented(), AFFINE), tmp_path / "seg.nii.gz")
    viewer, dock = opened(tmp_path / "seg.nii.gz")
    (layer,) = viewer.layers
    assert isinstance(layer, Labels)
    assert sorted(label_map_from_layer(layer).labels) == [3, 17]
    assert dock.kind_button.text() == "Show 'seg' as a scan"
    qtbot.mouseClick(dock.kind_button, Qt.MouseButton.LeftButton)
    (layer,) = viewer.layers
    assert isinstance(layer, Image)
    back = volume_from_layer(layer)
    assert np.array_equal(back.array, segmented().transpose(2, 1, 0))
    assert not back.metadata.is_label
    qtbot.mouseClick(dock.kind_button, Qt.MouseButton.LeftButton)
    assert isinstance(viewer.layers[0], Labels)
    assert len(viewer.layers) == 1


@pytest.mark.parametrize("name", ["scan", "probabilities", "negative"])
def test_what_is_no_label_map_opens_as_a_scan(opened, tmp_path, name):
    random = np.random.default_rng(1)
    labels = segmented()
    data = {
        "scan": (labels * 10 + random.integers(0, 40, labels.shape)).astype(np.int16),
        "probabilities": np.clip(labels / 17 + random.normal(0, 0.01, labels.shape), 0, 1).astype(np.float32),
        "negative": (labels - 5).astype(np.int16),
    }[name]
    nibabel.save(nibabel.Nifti1Image(data, AFFINE), tmp_path / "a.nii.gz")
    viewer, dock = opened(tmp_path / "a.nii.gz")
    (layer,) = viewer.layers
    assert isinstance(layer, Image)
    assert dock.kind_button.isVisible() == (data.dtype.kind == "i")


def test_a_scan_that_is_shown_as_labels_against_its_values_stays(opened, qtbot, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("napari.utils.notifications.show_error", lines.append)
    nibabel.save(nibabel.Nifti1Image((segmented() - 5).astype(np.int16), AFFINE), tmp_path / "a.nii.gz")
    viewer, dock = opened(tmp_path / "a.nii.gz")
    qtbot.mouseClick(dock.kind_button, Qt.MouseButton.LeftButton)
    assert isinstance(viewer.layers[0], Image)
    assert "labels must be 0" in dock.panel.message_label.text()
    assert lines == []


def test_a_segmentation_finds_its_series_among_open_layers(opened, tmp_path):
    field = world_field(oblique_geometry((6, 5, 4)))
    write_dicom_series(tmp_path / "ct", field.with_array(np.rint(field.array).astype(np.int16)), modality="CT")
    labels_on(tmp_path / "ct", tmp_path / "x.seg.dcm")
    (tmp_path / "elsewhere").mkdir()
    path = (tmp_path / "x.seg.dcm").rename(tmp_path / "elsewhere" / "x.seg.dcm")
    viewer, _ = opened(path)
    alone = label_map_from_layer(viewer.layers[0])
    assert alone.geometry.shape[0] == 1  # the only slice with a segment
    viewer.layers.clear()
    opened(tmp_path / "ct")
    opened(path)
    scan, labels = viewer.layers
    assert label_map_from_layer(labels).geometry.is_close(volume_from_layer(scan).geometry)
    assert label_map_from_layer(labels).labels[1].name == "liver"
    assert scan.visible


def test_a_segmentation_of_a_film_lies_on_it_with_its_letters(opened, tmp_path):
    _, path = film_with_segments(tmp_path, corner_picture(), PatientOrientation=["R", "F"], ViewPosition="AP")
    viewer, _ = opened(tmp_path / "film")
    opened(path)
    film, labels = viewer.layers
    hung = {"top": "S", "bottom": "I", "left": "R", "right": "L"}
    assert letters(viewer) == hung
    assert np.array_equal(label_map_from_layer(labels).array[0] > 0, corner_picture() > 500)
    assert labels.extent.world.tolist() == film.extent.world.tolist()
    film.visible = False
    assert letters(viewer) == hung


def test_contours_find_their_series_among_open_layers_and_keep_numbers_and_colors(opened, tmp_path):
    field = world_field(oblique_geometry((6, 12, 15)))
    write_dicom_series(tmp_path / "ct", field.with_array(np.rint(field.array).astype(np.int16)), modality="CT")
    (scan,) = read(tmp_path / "ct")
    corners = [(2, 2.5, 3.5), (2, 2.5, 11.5), (2, 8.5, 11.5), (2, 8.5, 3.5)]
    (tmp_path / "elsewhere").mkdir()
    path = write_contours(
        tmp_path / "elsewhere" / "rs.dcm", scan, {"Liver": [scan.geometry.to_world(corners)]}, first=7
    )
    dataset = dcmread(path)
    dataset.ROIContourSequence[0].ROIDisplayColor = [255, 0, 51]
    dataset.save_as(path)
    viewer, _ = opened(tmp_path / "ct")
    opened(path)
    _, labels = viewer.layers
    found = label_map_from_layer(labels)
    assert found.geometry.is_close(scan.geometry)
    assert {value: (label.name, label.color) for value, label in found.labels.items()} == {7: ("Liver", (1.0, 0, 0.2))}
    assert labels.get_color(7)[:3] == pytest.approx((1.0, 0.0, 0.2), abs=0.01)


def test_a_picture_opens_as_a_radiograph(opened, tmp_path):
    Picture.fromarray(corner_picture().astype(np.uint16)).save(tmp_path / "film.png")
    viewer, _ = opened(tmp_path / "film.png")
    (layer,) = viewer.layers
    assert np.array_equal(volume_from_layer(layer).array[0], corner_picture())
    assert viewer.canvas.overlays["radcnn_letter_left"].text == ""
    assert viewer.canvas.overlays["radcnn_caption"].text == "sides not stated · pixel size not known"


def drop(viewer, path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    canvas, action = viewer.window._qt_viewer, Qt.DropAction.CopyAction
    button, modifier = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), action, data, button, modifier)
    QApplication.sendEvent(canvas, enter)
    QApplication.sendEvent(canvas, QDropEvent(QPointF(50, 50), action, data, button, modifier))


def test_a_drop_of_a_deep_folder_is_not_asked_about_by_napari(opened, qtbot, tmp_path, monkeypatch):
    asked = []
    for name in ("exec", "exec_"):  # a dialog of napari's
        monkeypatch.setattr(QDialog, name, lambda dialog: asked.append(dialog) or 0, raising=False)
    field = world_field(oblique_geometry((6, 5, 4)))
    scan = field.with_array(np.rint(field.array).astype(np.int16))
    for patient in ("1", "2"):
        write_dicom_series(tmp_path / "disc" / patient / "study" / "series", scan, PatientID=patient)
    viewer, dock = opened(tmp_path)
    viewer.layers.clear()
    drop(viewer, tmp_path / "disc")
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and dock.job is None, timeout=20_000)
    qtbot.waitUntil(lambda: len(list(dock.tree.items())) == 2 and dock.job is None, timeout=20_000)
    assert len(viewer.layers) == 1
    assert asked == []
    Picture.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "screenshot.png")
    drop(viewer, tmp_path / "screenshot.png")
    assert len(asked) == 1  # a picture may be anything: napari asks


@pytest.mark.parametrize("name", ["scan.nii", "scan.nrrd"])
def test_a_scan_without_orientation_has_no_letters_and_says_so(opened, tmp_path, name):
    data = np.random.default_rng(2).integers(0, 1000, (5, 4, 3)).astype(np.int16)
    if name.endswith(".nii"):
        image = nibabel.Nifti1Image(data, None)
        image.header.set_zooms((0.7, 0.8, 2.5))
        image.set_sform(None, 0)
        image.set_qform(None, 0)
        nibabel.save(image, tmp_path / name)
    else:
        header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\nspacings: 0.7 0.8 2.5\nencoding: raw\n"
        (tmp_path / name).write_bytes(f"{header}endian: little\n\n".encode() + data.tobytes())
    viewer, _ = opened(tmp_path / name)
    (layer,) = viewer.layers
    assert any("orientation is unknown" in line for line in volume_from_layer(layer).warnings)
    for edge in ("top", "bottom", "left", "right"):
        assert viewer.canvas.overlays[f"radcnn_letter_{edge}"].text == ""
    assert viewer.canvas.overlays["radcnn_caption"].text == "sides not stated"


def test_a_layer_may_be_made_while_the_first_is_prepared_beside_the_viewer():
    """In a program of its own, since units are listed once: this one has long done so."""
    program = """
import sys, threading
import numpy as np, pint
from napari.layers import Image
from napari_radcnn.gui.scans.showing import warm_up
sys.setswitchinterval(1e-5)
wrong = []
threading.excepthook = lambda args: wrong.append(args.exc_value)
thread = threading.Thread(target=warm_up)
thread.start()
while thread.is_alive() and type(pint.get_application_registry().get()) is pint.registry.LazyRegistry:
    pass  # until the units are there, or someone is about to list them
Image(np.zeros((2, 3, 4)), units="mm")
thread.join()
assert not wrong, wrong
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


def test_a_layer_is_made_beside_a_viewer_that_has_begun_to_list_units():
    """As the scale bar of an empty viewer does; in a program of its own as well."""
    program = """
import sys, threading
import napari.layers, scipy.spatial.transform  # so that nothing comes between
import numpy as np, pint
from napari_radcnn.gui.scans.showing import make_layers
sys.setswitchinterval(1e-5)
wrong = []
threading.excepthook = lambda args: wrong.append(args.exc_value)
units = pint.get_application_registry()
other = threading.Thread(target=lambda: units.mm)
other.start()
while type(units.get()) is pint.registry.LazyRegistry:
    pass
(layer,) = make_layers([(np.zeros((2, 3, 4)), {"units": "mm"}, "image")])
other.join()
assert not wrong, wrong
assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
