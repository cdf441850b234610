"""A film that its header calls mirrored or turned is given to a model as stored, and that is told before."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from films import read_film, waves
from napari_radcnn.models import get_model
from napari_radcnn.models.classifiers.radiograph import prepare_radiograph
from napari_radcnn.suitability import judge, what_is

AXIS = {"A": 0, "P": 0, "R": 1, "L": 1, "H": 2, "F": 2}
PAIRS = [(row, column) for row, column in product("APRLHF", repeat=2) if AXIS[row] != AXIS[column]]


def told(volume):
    """Return what is told of the sides of a film."""
    reasons = judge(get_model("cxr-pneumonia"), [volume]).reasons
    return [reason for reason in reasons if "PatientOrientation" in reason]


def test_only_a_film_that_is_stored_as_it_is_hung_passes_without_a_word(tmp_path):
    for row, column in PAIRS:
        volume = read_film(tmp_path / f"{row}{column}", waves(), PatientOrientation=[row, column])
        reasons = told(volume)
        assert len(reasons) == ((row, column) != ("L", "F")), (row, column)
        is_frontal = {row, column} <= set("RLHF")
        assert all(("mirrored or turned" in one) == is_frontal for one in reasons), (row, column)


def test_a_doubt_is_the_least_that_is_said(tmp_path):
    volume = read_film(tmp_path, waves(), PatientOrientation=["R", "F"], ViewPosition="PA")
    assert judge(get_model("cxr-pneumonia"), [volume]).state != "fits"


def test_nothing_is_told_of_sides_that_are_not_stated(tmp_path):
    assert told(read_film(tmp_path, waves())) == []


@pytest.mark.parametrize("stated", [["L", "F"], ["R", "F"], ["F", "L"], ["A", "FR"]])
def test_the_network_sees_the_same_pixels_whatever_is_stated(tmp_path, stated):
    silent = prepare_radiograph(read_film(tmp_path / "silent", waves()))[0]
    stating = read_film(tmp_path / "stating", waves(), PatientOrientation=stated, ViewPosition="PA")
    assert np.array_equal(prepare_radiograph(stating)[0], silent)


def test_a_film_seen_from_the_side_is_lateral(tmp_path):
    small = waves((20, 25))  # too small for its pixels to tell
    assert what_is(read_film(tmp_path / "1", small, PatientOrientation=["A", "F"])).view.value == "lateral"
    assert what_is(read_film(tmp_path / "2", small, PatientOrientation=["L", "F"])).view.value is None
