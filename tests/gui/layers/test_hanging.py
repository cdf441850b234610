"""Sides of radiographs: letters are those of the file or there are none, and no voxel moves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from napari.components import ViewerModel

from films import COLUMNS, ROWS, corner_picture, read_film
from napari_radcnn.gui.layers import view
from napari_radcnn.gui.layers.layers import layer_data, scan_from_layer
from napari_radcnn.gui.reading.show import add_to_viewer
from napari_radcnn.phantom import head
from napari_radcnn.results import LabelMap
from screens import screenshot

pytestmark = pytest.mark.gui

AXIS = {"A": 0, "P": 0, "R": 1, "L": 1, "H": 2, "F": 2}
OPPOSITE = {"A": "P", "P": "A", "R": "L", "L": "R", "H": "F", "F": "H"}
SHOWN = {"A": "A", "P": "P", "R": "R", "L": "L", "H": "S", "F": "I"}
PAIRS = [(row, column) for row, column in product("APRLHF", repeat=2) if AXIS[row] != AXIS[column]]
FRONTAL = [(row, column) for row, column in PAIRS if {row, column} <= set("RLHF")]
NONE = {"top": "", "bottom": "", "left": "", "right": ""}
HUNG = {"top": "S", "bottom": "I", "left": "R", "right": "L"}


def shown(*volumes):
    viewer = ViewerModel()
    for volume in volumes:
        add_to_viewer(viewer, layer_data(volume))
    return viewer


def caption(viewer):
    return viewer.canvas.overlays["radcnn_caption"].text


def as_stored(row, column):
    """Return the letters of a picture that is shown as it is stored."""
    return {
        "top": SHOWN[OPPOSITE[column]],
        "bottom": SHOWN[column],
        "left": SHOWN[OPPOSITE[row]],
        "right": SHOWN[row],
    }


@pytest.mark.parametrize("modality", ["CR", "DX", "MG", "XA"])
def test_each_orthogonal_pair_is_shown_as_the_file_states_it(tmp_path, modality):
    for row, column in PAIRS:
        volume = read_film(
            tmp_path / f"{row}{column}", corner_picture(), modality=modality, PatientOrientation=[row, column]
        )
        viewer = shown(volume)
        assert view.letters(viewer) == as_stored(row, column), (row, column)
        assert viewer.canvas.overlays["radcnn_letter_right"].text == SHOWN[row]
        assert viewer.dims.order == (0, 1, 2)


@pytest.mark.parametrize("position", ["PA", "AP"])
def test_frontal_views_are_hung_and_others_shown_as_stored(tmp_path, position):
    for row, column in PAIRS:
        volume = read_film(
            tmp_path / f"{row}{column}", corner_picture(), PatientOrientation=[row, column], ViewPosition=position
        )
        viewer = shown(volume)
        expected = HUNG if (row, column) in FRONTAL else as_stored(row, column)
        assert view.letters(viewer) == expected, (row, column)
        assert np.array_equal(volume.array[0], corner_picture())
        assert np.array_equal(scan_from_layer(viewer.layers[0]).array, volume.array)


def test_pixels_are_on_the_screen_where_the_letters_say(make_napari_viewer, tmp_path):
    """A patch at the patient's left shoulder is in the upper right, whichever way the film was stored."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 700)
    for row, column in FRONTAL:
        picture = corner_picture()  # hung: rows towards L, columns towards F
        if row in "HF":
            picture = picture.T
        if "R" in (row, column):
            picture = np.flip(picture, 1 if row == "R" else 0)
        if "H" in (row, column):
            picture = np.flip(picture, 1 if row == "H" else 0)
        film = read_film(
            tmp_path / f"{row}{column}", picture.copy(), PatientOrientation=[row, column], ViewPosition="PA"
        )
        add_to_viewer(viewer, layer_data(film))
        assert view.letters(viewer) == HUNG
        for overlay in viewer.canvas.overlays.values():
            overlay.visible = False
        canvas = screenshot(viewer)
        rows, columns = np.nonzero(canvas > 200)
        assert len(rows) > 50, (row, column)
        middle = np.array(canvas.shape) / 2
        assert rows.max() < middle[0], (row, column)
        assert columns.min() > middle[1], (row, column)
        viewer.layers.clear()


@pytest.mark.parametrize(
    ("stated", "letters"),
    [
        (["A", "FR"], {"top": "SL", "bottom": "IR", "left": "P", "right": "A"}),
        (["PL", "F"], {"top": "S", "bottom": "I", "left": "AR", "right": "PL"}),
    ],
)
def test_compounds_keep_all_letters(tmp_path, stated, letters):
    assert view.letters(shown(read_film(tmp_path, corner_picture(), PatientOrientation=stated))) == letters


def test_an_extremity_whose_right_is_stored_on_the_right_is_turned_about(tmp_path):
    """The header of pydicom-data's RG3_UNCR.dcm; that of RG1_UNCR.dcm, a chest, is stored as it is hung."""
    leg = {"PatientOrientation": ["R", "F"], "ViewPosition": "AP", "Laterality": "R", "BodyPartExamined": "EXTREMITY"}
    viewer = shown(read_film(tmp_path / "leg", corner_picture(), **leg))
    assert view.letters(viewer) == HUNG
    assert [str(side) for side in viewer.scene.camera.orientation2d] == ["down", "left"]
    assert caption(viewer) == "AP · right"
    viewer = shown(read_film(tmp_path / "chest", corner_picture(), PatientOrientation=["L", "F"], ViewPosition="PA"))
    assert view.letters(viewer) == HUNG
    assert [str(side) for side in viewer.scene.camera.orientation2d] == ["down", "right"]
    assert caption(viewer) == "PA"


def test_laterality_of_the_image_goes_before_that_of_the_series(tmp_path):
    tags = {"PatientOrientation": ["A", "FR"], "ViewPosition": "MLO", "ImageLaterality": "L", "Laterality": "R"}
    assert caption(shown(read_film(tmp_path, corner_picture(), modality="MG", **tags))) == "MLO · left"


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"PatientOrientation": ""},
        {"PatientOrientation": ["L", ""]},
        {"PatientOrientation": ["L", "R"]},
        {"PatientOrientation": ["L", "F"], "AnatomicalOrientationType": "QUADRUPED"},
        {"ViewPosition": "PA"},
    ],
)
def test_where_the_file_says_nothing_there_are_no_letters(tmp_path, tags):
    viewer = shown(read_film(tmp_path, corner_picture(), **tags))
    assert view.letters(viewer) == NONE
    assert "sides not stated" in caption(viewer)
    viewer.dims.ndisplay = 3
    assert view.letters(viewer) == NONE


def test_letters_follow_a_film_that_the_user_flips(tmp_path):
    film = read_film(tmp_path, corner_picture(), PatientOrientation=["R", "F"], ViewPosition="AP")
    viewer = shown(film)
    viewer.scene.camera.orientation2d = ("up", "right")
    assert view.letters(viewer) == {"top": "I", "bottom": "S", "left": "L", "right": "R"}


def test_the_film_that_is_seen_is_hung_and_a_scan_after_it_as_ever(tmp_path):
    turned = read_film(tmp_path, corner_picture(), PatientOrientation=["F", "R"], ViewPosition="PA")
    viewer = shown(head())
    axial = view.letters(viewer)
    film = add_to_viewer(viewer, layer_data(turned))
    assert view.letters(viewer) == NONE  # both are seen, and their sides differ
    assert "different sides" in caption(viewer)
    viewer.layers[0].visible = False
    assert view.letters(viewer) == HUNG
    assert viewer.dims.order == (0, 2, 1)
    film.visible, viewer.layers[0].visible = False, True
    assert view.letters(viewer) == axial == {"top": "A", "bottom": "P", "left": "R", "right": "L"}
    assert viewer.dims.order == (0, 1, 2)
    film.visible = True
    viewer.layers.remove(viewer.layers[0])
    assert view.letters(viewer) == HUNG
    viewer.layers.remove(film)
    assert view.letters(viewer) == NONE


def test_labels_on_a_film_have_its_sides_and_lie_on_it(tmp_path):
    film = read_film(tmp_path, corner_picture(), PatientOrientation=["R", "F"], ViewPosition="AP")
    labels = LabelMap((film.array > 500).astype(np.uint8), film.geometry, {}, "patch", metadata=film.metadata)
    viewer = shown(film, labels)
    assert view.letters(viewer) == HUNG
    assert viewer.layers[0].extent.world.tolist() == viewer.layers[1].extent.world.tolist()
    assert scan_from_layer(viewer.layers[1]).array.shape == (1, ROWS, COLUMNS)
    viewer.layers.remove(viewer.layers[0])
    assert view.letters(viewer) == HUNG
