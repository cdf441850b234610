"""The slice that is seen while a scan is being read: the one that is seen afterwards, in its place."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject, QPoint
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication

import grids
import napari_radcnn as radcnn
from dicom_factory import write_dicom_series
from napari_radcnn.errors import ReadError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.panel.panel import panel_of
from napari_radcnn.gui.scans import folder as listing
from napari_radcnn.gui.scans.glimpse import glimpse_of
from napari_radcnn.io.dicom.series import find_dicom
from napari_radcnn.phantom import head, world_field

pytestmark = pytest.mark.gui
UPRIGHT = Geometry.from_parts((10, 36, 28), (8.0, 5.0, 6.0), (-80.0, -90.0, -40.0))
#: Slices across the patient, in both directions, with rows and columns of all kinds.
AXIAL = [name for name in grids.ORIENTATIONS if name[0] in "SI"]


def written(path, orientation="SPL", **overrides):
    grid = UPRIGHT.reoriented(UPRIGHT.axis_map(orientation))
    write_dicom_series(path, head(grid), modality="MR", **{"WindowCenter": 300, "WindowWidth": 700} | overrides)
    return path


def glimpse(path):
    (series,) = find_dicom(path).series
    return glimpse_of(series, path)


@pytest.mark.parametrize("orientation", AXIAL)
def test_it_is_the_slice_that_the_layer_shows_first(tmp_path, orientation):
    found = glimpse(written(tmp_path, orientation))
    data, arguments, _ = layer_data(radcnn.read(tmp_path)[0])
    low, high = arguments["contrast_limits"]
    assert (low, high) == (-50, 649)  # DICOM PS3.3, C.11.2.1.2.1
    expected = 255 * np.clip((data[int((10 - 1) / 2)] - low) / (high - low), 0, 1)
    assert found.pixels.shape == (36, 28, 3)
    assert np.abs(found.pixels - expected[..., None]).max() <= 1.5
    assert found.extent == pytest.approx((36 * 5.0, 28 * 6.0))


def test_low_values_are_bright_where_the_file_says_so(tmp_path):
    plain = glimpse(written(tmp_path / "plain"))
    inverted = glimpse(written(tmp_path / "inverted", PhotometricInterpretation="MONOCHROME1"))
    assert np.abs(255 - plain.pixels.astype(int) - inverted.pixels).max() <= 1


def test_there_is_none_of_what_is_no_stored_slice(tmp_path):
    assert glimpse(written(tmp_path / "sagittal", "LIP")) is None
    write_dicom_series(tmp_path / "oblique", world_field(grids.oblique()), modality="MR")
    assert glimpse(tmp_path / "oblique") is None
    for path in write_dicom_series(tmp_path / "one", head(UPRIGHT), modality="MR")[1:]:
        path.unlink()
    assert glimpse(tmp_path / "one") is None
    write_dicom_series(tmp_path / "missing", head(UPRIGHT), modality="MR")[3].unlink()
    assert glimpse(tmp_path / "missing") is None


class Held:
    """Reading that waits, in a viewer with the page of scans."""

    def __init__(self, viewer, page, gate):
        self.viewer, self.page, self.gate = viewer, page, gate
        self.error = None

    @property
    def shown(self):
        return self.page._preparing.glimpse

    def read(self, original):
        def held(*arguments, **settings):
            self.gate.wait(60)
            if self.error is not None:
                raise self.error
            return original(*arguments, **settings)

        return held


@pytest.fixture
def held(make_napari_viewer, qtbot, monkeypatch):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1366, 768)
    panel_of(viewer).open("Scans")
    page = panel_of(viewer).page
    qtbot.waitUntil(lambda: page.warming is not None and page.warming.is_done)
    made = Held(viewer, page, Event())
    monkeypatch.setattr(listing, "read_dicom_folder", made.read(listing.read_dicom_folder))
    yield made
    made.gate.set()
    qtbot.waitUntil(lambda: page.job is None)


def values_of(image: QImage, center: QPoint):
    """Return gray values about a place in a picture."""
    return [image.pixelColor(center + QPoint(x, y)).red() for x in (-40, 0, 40) for y in (-40, 0, 40)]


def on_screen(canvas):
    """Return gray values in the middle of a canvas as the screen shows it."""
    window = canvas.window()
    image = window.screen().grabWindow(window.winId()).toImage()
    return values_of(image, canvas.mapTo(window, canvas.rect().center()))


def boxed(viewer):
    """Return the names of the texts with a dark box behind them, which letters need on bone."""
    return {name for name, overlay in viewer.canvas.overlays.items() if overlay.box and overlay.visible}


BOXED = {"radcnn_letter_top", "radcnn_letter_bottom", "radcnn_letter_left", "radcnn_letter_right", "scale_bar"}


class Painted(QObject):
    """Where the slice lay in its window, and how large a mm was, each time it was painted."""

    def __init__(self, page):
        super().__init__()
        self.page, self.places = page, []
        QApplication.instance().installEventFilter(self)

    def eventFilter(self, watched, event):  # noqa: N802  Qt's name
        if event.type() == QEvent.Type.Paint and watched is self.page._preparing.glimpse:
            self.places.append((watched.mapTo(watched.window(), watched.place.center()), watched.zoom))
        return False


def test_it_is_seen_while_the_scan_is_read_and_nothing_moves_when_that_has_come(held, qtbot, tmp_path):
    canvas = held.viewer.window._qt_viewer.canvas.native
    size = held.viewer.window._qt_window.size()
    painted = Painted(held.page)
    held.page.open_paths([written(tmp_path / "series").parent])
    qtbot.waitUntil(lambda: held.shown is not None)
    qtbot.waitUntil(lambda: held.viewer.dims.ndim == 3)  # the viewer is made ready meanwhile
    qtbot.waitUntil(lambda: held.shown.place == held.shown.rect())  # and is so
    assert len(held.viewer.layers) == 0
    picture = held.shown.grab().toImage()
    before = values_of(picture, picture.rect().center())
    assert len(set(before)) > 3
    assert boxed(held.viewer) == set()  # each takes a moment at each change of the canvas
    axes = []
    dims = held.viewer.dims
    held.viewer.layers.events.inserting.connect(lambda: axes.append((dims.range, dims.point)))
    qtbot.waitUntil(lambda: on_screen(canvas) == before)  # over all that is there in an empty viewer
    held.gate.set()
    qtbot.waitUntil(lambda: held.page.job is None)
    assert held.shown is None
    QApplication.instance().removeEventFilter(painted)
    center = canvas.mapTo(canvas.window(), canvas.rect().center())
    assert held.viewer.window._qt_window.size() == size
    assert painted.places
    for place, zoom in painted.places:  # a pixel: what is below or above the canvas may be higher by one in the end
        assert (place - center).manhattanLength() <= 1
        assert zoom == pytest.approx(held.viewer.scene.camera.zoom, rel=1.5 / canvas.height())
    assert held.viewer.dims.current_step[0] == int((10 - 1) / 2)

    def is_as_before():  # voxels are large
        return sum(abs(one - other) <= 3 for one, other in zip(before, on_screen(canvas), strict=True)) >= 7

    qtbot.waitUntil(is_as_before)
    assert axes == [(dims.range, dims.point)]
    assert boxed(held.viewer) == BOXED


def test_it_is_seen_of_a_folder_with_the_slices_themselves(held, qtbot, tmp_path):
    held.page.open_paths([written(tmp_path)])
    qtbot.waitUntil(lambda: held.shown is not None)
    held.gate.set()
    qtbot.waitUntil(lambda: held.page.job is None)
    assert (held.shown, len(held.viewer.layers), len(list(held.page.tree.items()))) == (None, 1, 1)


def test_it_goes_with_a_scan_that_cannot_be_read_and_so_do_the_sliders(held, qtbot, tmp_path):
    held.error = ReadError("the disc is scratched")
    held.page.open_paths([written(tmp_path / "series").parent])
    qtbot.waitUntil(lambda: held.shown is not None)
    held.gate.set()
    qtbot.waitUntil(lambda: held.shown is None)
    held.error = None  # the list reads it once more, and shows it
    qtbot.waitUntil(lambda: held.page.job is None and len(held.viewer.layers) == 1)


def test_cancel_leaves_an_empty_viewer(held, qtbot, tmp_path):
    held.page.open_paths([written(tmp_path / "series").parent])
    qtbot.waitUntil(lambda: held.shown is not None)
    held.page.cancel()
    held.gate.set()
    qtbot.waitUntil(lambda: held.page.job is None)
    assert (held.shown, len(held.viewer.layers), held.viewer.dims.ndim) == (None, 0, 2)
    assert boxed(held.viewer) >= BOXED - {"scale_bar"}
    assert held.viewer.canvas.overlays["scale_bar"].box


def test_over_a_scan_that_is_seen_there_is_none(held, qtbot, tmp_path):
    held.viewer.add_image(np.arange(60.0).reshape(3, 4, 5))
    held.page.open_paths([written(tmp_path / "series").parent])
    qtbot.wait(500)
    assert held.shown is None
    held.gate.set()
    qtbot.waitUntil(lambda: held.page.job is None)
