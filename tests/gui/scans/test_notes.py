"""What must be known of a scan stands on the page Scans while it is active, and is told once."""

import numpy as np
import pytest
from PIL import Image as Picture
from qtpy.QtCore import Qt

from dicom_factory import write_dicom_series
from films import corner_picture, read_film
from napari_radcnn.errors import OptionError
from napari_radcnn.gui.layers.belonging import mark_made_of
from napari_radcnn.gui.layers.calibrating import set_pixel_size
from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data, volume_from_layer
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import head
from napari_radcnn.results import LabelMap
from screens import pump

pytestmark = pytest.mark.gui
UNKNOWN = "The size of its pixels is not known: lengths are in pixels, not mm."


@pytest.fixture
def toasts(monkeypatch):
    lines = []
    for name in ("show_error", "show_warning", "show_info"):
        monkeypatch.setattr(f"napari.utils.notifications.{name}", lines.append)
    return lines


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    panel_of(viewer).open("Scans")
    dock = panel_of(viewer).page

    def open_(*paths):
        if paths:
            dock.open_paths(paths)
        qtbot.waitUntil(lambda: dock.job is None, timeout=60_000)
        return viewer, dock

    return open_


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "film.png"
    Picture.fromarray(corner_picture().astype(np.uint16)).save(path)
    return path


def test_a_warning_stands_on_the_page_and_goes_with_its_scan(opened, picture, toasts, package_log):
    viewer, dock = opened(picture)
    assert dock.notes.label.text() == f"⚠ {UNKNOWN}"
    assert dock.notes.isVisible()
    assert toasts == []
    assert package_log == [f"film: {UNKNOWN}"]
    add_to_viewer(viewer, layer_data(head()))
    assert not dock.notes.isVisible()
    viewer.layers.selection.active = viewer.layers["film"]
    assert dock.notes.isVisible()
    viewer.layers.remove("film")
    viewer.layers.selection.active = None
    assert dock.notes.label.text() == ""


def test_where_the_page_is_not_seen_it_is_a_notification(opened, picture, toasts):
    viewer, dock = opened()
    panel_of(viewer).open("Export")
    dock.open_paths([picture])
    while dock.job is not None:
        pump()
    assert toasts == [f"film: {UNKNOWN}"]


def test_what_is_made_of_a_scan_does_not_repeat_its_warnings(opened, picture, toasts):
    viewer, _ = opened(picture)
    volume = volume_from_layer(viewer.layers[0])
    labels = LabelMap((volume.array > 500).astype(np.uint8), volume.geometry, {}, "patch", {}, (UNKNOWN, "Only half."))
    data = layer_data(labels)
    data[1]["metadata"]["radcnn_scan"] = viewer.layers[0].unique_id
    add_to_viewer(viewer, data)
    assert toasts == ["patch: Only half."]


def test_scans_of_several_patients_are_a_line_on_the_page(opened, toasts, tmp_path):
    for n, name in enumerate(("A", "B")):
        write_dicom_series(tmp_path / "disc" / name, head(), modality="MR", PatientID=name, study_uid=f"1.2.{n + 3}")
    _, dock = opened(tmp_path / "disc")
    assert "scans of 2 patients" in dock.notes.label.text()
    assert dock.notes.label.text().count("patients") == 1
    assert toasts == []


def test_a_pixel_size_that_is_typed_moves_the_film_and_what_lies_on_it(opened, picture, qtbot):
    viewer, dock = opened(picture)
    film = viewer.layers[0]
    row = dock.pixel_size
    assert row.isVisible()
    assert not row.button.isEnabled()
    assert not viewer.canvas.overlays["scale_bar"].visible
    assert viewer.canvas.overlays["radcnn_caption"].text == "sides not stated · pixel size not known"
    volume = volume_from_layer(film)
    labels = add_to_viewer(
        viewer, layer_data(LabelMap((volume.array > 500).astype(np.uint8), volume.geometry, {}, "patch"))
    )
    mark_made_of(labels, film)
    viewer.layers.selection.active = film
    qtbot.keyClicks(row.line, "0.125")
    qtbot.keyClick(row.line, Qt.Key.Key_Return)
    assert volume_from_layer(film).geometry.spacing == (1.0, 0.125, 0.125)
    assert label_map_from_layer(labels).geometry.is_close(volume_from_layer(film).geometry)
    assert film.extent.world.tolist() == labels.extent.world.tolist()
    assert viewer.canvas.overlays["scale_bar"].visible
    assert viewer.canvas.overlays["radcnn_caption"].text == "sides not stated"
    assert dock.notes.label.text() == "⚠ Its pixel size of 0.125 mm was typed and is not from its file."
    row.line.setText("0.25")
    qtbot.mouseClick(row.button, Qt.MouseButton.LeftButton)
    assert volume_from_layer(film).geometry.spacing == (1.0, 0.25, 0.25)


def test_places_in_pixels_keep_the_size_from_being_typed(opened, picture):
    viewer, _ = opened(picture)
    film = viewer.layers[0]
    marks = viewer.add_points(np.array([[0.0, 3, 4]]), name="marks")
    mark_made_of(marks, film)
    with pytest.raises(OptionError, match="'marks' was made while the pixel size was not known"):
        set_pixel_size(viewer, film, 0.2)
    assert volume_from_layer(film).geometry.spacing == (1.0, 1.0, 1.0)


def test_a_film_that_states_its_size_has_no_field(opened, tmp_path):
    read_film(tmp_path / "film", corner_picture())
    _, dock = opened(tmp_path / "film")
    assert not dock.pixel_size.isVisible()
