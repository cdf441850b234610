"""Slices of a series come together, however they are opened: by Python, a drop, a dialog, one or all of them."""

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QCheckBox, QMessageBox

from dicom_factory import write_dicom_series
from films import read_film, waves
from napari_radcnn import io
from napari_radcnn.gui.layers.layers import volume_from_layer
from napari_radcnn.gui.scans.dock import pages
from napari_radcnn.phantom import oblique_geometry, world_field
from napari_radcnn.user_folders import recall, remember

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def _no_answer_kept():
    remember("opening", "one slice", {"answer": None})
    yield
    remember("opening", "one slice", {"answer": None})


@pytest.fixture
def lines(monkeypatch):
    shown = []
    monkeypatch.setattr("napari.utils.notifications.show_info", shown.append)
    return shown


def scan(k):
    field = world_field(oblique_geometry((12, 10, 9)))
    return field.with_array(np.rint(field.array * 10).astype(np.int16) + k)


@pytest.fixture
def files(tmp_path):
    """The twelve slices of a series, and of another, in one folder."""
    folder = tmp_path / "export"
    one = write_dicom_series(folder, scan(0), series_number=3, prefix="A", study_uid="1.2.3")
    return one, write_dicom_series(folder, scan(7), series_number=4, prefix="B", study_uid="1.2.3")


def assert_is_scan(layer, k=0):
    volume = volume_from_layer(layer)
    assert volume.geometry.is_close(scan(k).geometry, tolerance=1e-3)
    assert np.array_equal(volume.array, scan(k).array)


@pytest.mark.parametrize("stack", [False, True])
def test_twelve_slices_are_one_layer(make_napari_viewer, files, stack):
    viewer = make_napari_viewer()
    viewer.open([str(path) for path in files[0]], plugin="napari-radcnn", stack=stack)
    (layer,) = viewer.layers
    assert_is_scan(layer)


@pytest.mark.parametrize("stack", [False, True])
def test_slices_of_two_series_are_two_layers(make_napari_viewer, files, stack):
    viewer = make_napari_viewer()
    mixed = [path for pair in zip(*files, strict=True) for path in pair]
    viewer.open([str(path) for path in mixed], plugin="napari-radcnn", stack=stack)
    assert len(viewer.layers) == 2
    assert_is_scan(viewer.layers[0], 0)
    assert_is_scan(viewer.layers[1], 7)


def test_one_slice_opens_its_series_and_says_so(make_napari_viewer, files, lines):
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(files[0][5]), plugin="napari-radcnn")
    assert_is_scan(layer)
    name = files[0][5].name
    assert lines[0] == (
        f"{name}: the series of 12 slices that it belongs to was opened; "
        "napari_radcnn.read(path) reads the slice alone."
    )
    assert viewer.open(str(files[0][2]), plugin="napari-radcnn") == []
    assert len(viewer.layers) == 1


def test_one_slice_alone_in_its_folder_is_opened(make_napari_viewer, tmp_path):
    (path, *others) = write_dicom_series(tmp_path / "a", scan(0))
    for other in others:
        other.unlink()
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(path), plugin="napari-radcnn")
    assert volume_from_layer(layer).shape[0] == 1


def test_films_of_one_series_stay_apart(make_napari_viewer, tmp_path):
    for n in (1, 2):
        read_film(tmp_path / "made", waves((40 + n, 60)), SeriesInstanceUID="1.2.3", InstanceNumber=n)
        (tmp_path / "made" / "IM0001.dcm").rename(tmp_path / f"film{n}.dcm")
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(tmp_path / "film1.dcm"), plugin="napari-radcnn")
    assert volume_from_layer(layer).shape == (1, 41, 60)


# -- asked by the window ----------------------------------------------------------------------------------------------


@pytest.fixture
def viewer(make_napari_viewer):
    """A viewer that opens DICOM with this plugin, as after the answer to napari's own question."""
    get_settings().plugins.extension2reader = {"*.dcm": "napari-radcnn", "*/": "napari-radcnn"}
    return make_napari_viewer(show=True)


def drop(viewer, paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    button, modifier = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, button, modifier)
    viewer.window._qt_viewer.dropEvent(event)


def page(qtbot):
    """The Scans page, when it has come to rest."""

    qtbot.waitUntil(lambda: bool(pages()), timeout=60_000)
    (dock,) = pages()
    qtbot.waitUntil(lambda: dock.job is None and dock.tree.topLevelItemCount() > 0, timeout=60_000)
    return dock


def question(qtbot, dock):
    def seen():
        return [box for box in dock.findChildren(QMessageBox, "radcnn_slice_question") if box.isVisible()]

    qtbot.waitUntil(lambda: bool(seen()), timeout=60_000)
    return seen()[0]


def answer(qtbot, box, text, *, always=False):
    box.findChild(QCheckBox).setChecked(always)
    button = next(button for button in box.buttons() if text in button.text())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_twelve_dropped_slices_are_one_layer(viewer, qtbot, files):
    drop(viewer, files[0])
    page(qtbot)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=60_000)
    assert_is_scan(viewer.layers[0])


@pytest.mark.parametrize(("text", "n_slices"), [("Open the series", 12), ("Only this slice", 1)])
def test_one_dropped_slice_is_asked_about(viewer, qtbot, files, text, n_slices):
    drop(viewer, files[0][4:5])
    dock = page(qtbot)
    box = question(qtbot, dock)
    assert "is one of 12 slices of the series" in box.text()
    assert not viewer.layers
    answer(qtbot, box, text)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and dock.job is None, timeout=60_000)
    assert volume_from_layer(viewer.layers[0]).shape[0] == n_slices
    assert recall("opening", "one slice")["answer"] is None
    assert len(list(dock.tree.items())) == 2  # the other is one click away


def test_the_answer_is_kept_until_it_is_taken_back(viewer, qtbot, files):
    drop(viewer, files[0][4:5])
    dock = page(qtbot)
    answer(qtbot, question(qtbot, dock), "Open the series", always=True)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1 and dock.job is None, timeout=60_000)
    assert not dock.ask_box.isChecked()
    drop(viewer, files[1][4:5])
    qtbot.waitUntil(lambda: len(viewer.layers) == 2 and dock.job is None, timeout=60_000)
    assert_is_scan(viewer.layers[1], 7)
    assert not viewer.layers[0].visible
    qtbot.mouseClick(dock.ask_box, Qt.MouseButton.LeftButton)
    assert recall("opening", "one slice")["answer"] is None


def test_giving_up_the_question_opens_nothing(viewer, qtbot, files):
    drop(viewer, files[0][4:5])
    dock = page(qtbot)
    answer(qtbot, question(qtbot, dock), "Cancel")
    qtbot.wait(100)
    assert not viewer.layers
    assert dock.job is None


def test_a_dropped_folder_shows_its_first_series_and_lists_the_other(viewer, qtbot, files):
    drop(viewer, [files[0][0].parent])
    dock = page(qtbot)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=60_000)
    assert_is_scan(viewer.layers[0])
    first, second = dock.tree.items()
    assert first.font(0).bold()
    assert not second.font(0).bold()
    assert "TEST, PATIENT (ID-SECRET-1)" in dock.tree.topLevelItem(0).text(0)
    where = dock.tree.visualItemRect(second).center()
    qtbot.mouseClick(dock.tree.viewport(), Qt.MouseButton.LeftButton, pos=where)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2 and dock.job is None, timeout=60_000)
    assert [layer.visible for layer in viewer.layers] == [False, True]
    assert_is_scan(viewer.layers[1], 7)
    where = dock.tree.visualItemRect(first).center()
    qtbot.mouseClick(dock.tree.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert [layer.visible for layer in viewer.layers] == [True, False]
    assert viewer.layers.selection.active == viewer.layers[0]
    viewer.layers.pop(1)
    assert not second.font(0).bold()


def test_a_second_drop_waits_for_the_first(viewer, qtbot, files, tmp_path):
    io.write(world_field(oblique_geometry()), tmp_path / "field.nii.gz")
    get_settings().plugins.extension2reader = {"*.nii.gz": "napari-radcnn", "*/": "napari-radcnn"}
    drop(viewer, [files[0][0].parent])
    dock = page(qtbot)
    drop(viewer, [tmp_path / "field.nii.gz"])
    qtbot.waitUntil(lambda: len(viewer.layers) == 2 and dock.job is None, timeout=60_000)
    assert viewer.layers[1].name == "field"
