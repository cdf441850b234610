"""What is on the screen: an error of left and right here is an error in the patient."""

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from costly import few_of
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers import view
from napari_radcnn.gui.layers.layers import layer_data
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import head
from screens import screenshot

pytestmark = pytest.mark.gui

#: The same head as acquired in axial, coronal and sagittal planes, and with every axis reversed.
ACQUISITIONS = {
    "axial": "SPL",
    "coronal": "AIL",
    "sagittal": "LIP",
    "reversed": "IAR",
}


def acquired(orientation: str):
    usual = Geometry.from_parts((48, 64, 56), (4.0, 3.0, 3.5), (-96.25, -94.5, -94.0))
    geometry = usual.reoriented(usual.axis_map(orientation))
    return head(geometry)


def show(make_napari_viewer, orientation="SPL"):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 700)
    add_to_viewer(viewer, layer_data(acquired(orientation)))
    return viewer


def picture(viewer):
    """Return the brightness of the canvas without letters and scale bar."""
    for overlay in viewer.canvas.overlays.values():
        overlay.visible = False
    return screenshot(viewer)


@pytest.mark.parametrize("orientation", few_of(ACQUISITIONS.values(), "SPL", "IAR"), ids=ACQUISITIONS)
def test_in_each_plane_the_sides_are_where_a_radiologist_expects_them(make_napari_viewer, orientation):
    viewer = show(make_napari_viewer, orientation)
    check_axial_right_is_left_and_anterior_is_up(viewer)
    check_coronal_head_is_up_and_right_is_left(viewer)
    check_sagittal_head_is_up_and_looks_left(viewer)


def check_axial_right_is_left_and_anterior_is_up(viewer):
    assert viewer.canvas.overlays["radcnn_letter_left"].text == "R"
    viewer.dims.set_point(0, -12)  # through nose and ear
    viewer.reset_view()
    image = picture(viewer) > 60
    rows, columns = np.nonzero(image)
    middle = column_of_center(viewer, image)
    assert columns.max() - middle > (middle - columns.min()) * 1.05  # the one ear, on the patient's left
    top = image[rows.min() : rows.min() + 6]
    bottom = image[rows.max() - 6 : rows.max()]
    assert top.sum(1).mean() < bottom.sum(1).mean() * 0.8  # the narrow nose is in front
    assert view.letters(viewer) == {"top": "A", "bottom": "P", "left": "R", "right": "L"}
    assert viewer.canvas.overlays["radcnn_letter_left"].text == "R"


def check_coronal_head_is_up_and_right_is_left(viewer):
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, 20)  # through the mass: right, above
    viewer.layers[0].contrast_limits = (650, 900)
    viewer.reset_view()
    image = picture(viewer) > 150
    rows, columns = np.nonzero(image)
    assert len(rows) > 50
    assert columns.mean() < column_of_center(viewer, image) - 20
    assert rows.mean() < image.shape[0] / 2 - 20
    assert view.letters(viewer) == {"top": "S", "bottom": "I", "left": "R", "right": "L"}
    assert viewer.canvas.overlays["radcnn_letter_left"].text == "R"


def check_sagittal_head_is_up_and_looks_left(viewer):
    viewer.dims.order = (2, 0, 1)
    viewer.dims.set_point(2, -28)
    viewer.layers[0].contrast_limits = (650, 900)
    viewer.reset_view()
    image = picture(viewer) > 150
    rows, columns = np.nonzero(image)
    assert len(rows) > 50
    assert columns.mean() > image.shape[1] / 2 + 10  # the mass is behind
    assert rows.mean() < image.shape[0] / 2 - 20  # and above
    assert view.letters(viewer) == {"top": "S", "bottom": "I", "left": "A", "right": "P"}
    assert viewer.canvas.overlays["radcnn_letter_left"].text == "A"


def column_of_center(viewer, image):
    """Return the column where the patient's midline (x = 0) is drawn."""
    zoom, center = viewer.scene.camera.zoom, viewer.scene.camera.center[-1]
    scale = image.shape[1] / viewer.canvas.size[1]
    return image.shape[1] / 2 + (0 - center) * zoom * scale


@pytest.mark.parametrize("order", few_of([(0, 1, 2), (1, 0, 2), (2, 0, 1)], (1, 0, 2)))
def test_in_3d_seen_from_the_front_right_is_left_and_letters_follow_the_camera(make_napari_viewer, order):
    viewer = show(make_napari_viewer)
    viewer.dims.order = order
    viewer.layers[0].contrast_limits = (650, 900)
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    image = picture(viewer) > 120
    rows, columns = np.nonzero(image)
    assert len(rows) > 50
    assert columns.mean() < image.shape[1] / 2 - 15  # the mass is right
    assert rows.mean() < image.shape[0] / 2 - 15  # above
    assert view.letters(viewer) == {"top": "S", "bottom": "I", "left": "R", "right": "L"}
    if order == (0, 1, 2):
        viewer.scene.camera.set_view_direction(view_direction=(0, -1, 0), up_direction=(1, 0, 0))  # from behind
        assert view.letters(viewer) == {"top": "S", "bottom": "I", "left": "L", "right": "R"}
        assert viewer.canvas.overlays["radcnn_letter_left"].text == "L"


def test_letters_follow_a_view_that_the_user_flips(make_napari_viewer):
    viewer = show(make_napari_viewer)
    viewer.scene.camera.orientation2d = ("down", "left")
    assert viewer.canvas.overlays["radcnn_letter_left"].text == "L"
    assert viewer.canvas.overlays["radcnn_letter_right"].text == "R"


def test_it_waits_for_the_first_layer_of_ours_and_is_applied_once():
    viewer = ViewerModel()
    view.watch(viewer)
    viewer.add_image(np.zeros((3, 4, 5)))
    assert "radcnn_letter_top" not in viewer.canvas.overlays
    add_to_viewer(viewer, layer_data(head()))
    overlay = viewer.canvas.overlays["radcnn_letter_top"]
    view.watch(viewer)
    view.apply_radiological_view(viewer)
    assert viewer.canvas.overlays["radcnn_letter_top"] is overlay
    assert viewer.canvas.overlays["scale_bar"].visible


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_without_layers_there_are_no_letters(ndisplay):
    viewer = ViewerModel()
    add_to_viewer(viewer, layer_data(head()))
    viewer.dims.ndisplay = ndisplay
    viewer.layers.clear()
    assert set(view.letters(viewer).values()) == {""}


def test_it_keeps_no_viewer_alive():
    viewer = ViewerModel()
    add_to_viewer(viewer, layer_data(head()))
    viewer.dims.order = (1, 0, 2)
    reference = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert reference() is None
