"""Sides of radiographs: what PatientOrientation may state, and what it cannot."""

from __future__ import annotations

from itertools import product

import pytest

from napari_radcnn.sides import Sides, opposite

OURS = {"A": "A", "P": "P", "R": "R", "L": "L", "H": "S", "F": "I"}
AXIS = {"A": 0, "P": 0, "R": 1, "L": 1, "H": 2, "F": 2}
PAIRS = [(row, column) for row, column in product("APRLHF", repeat=2) if AXIS[row] != AXIS[column]]


def test_there_are_24_orthogonal_pairs():
    assert len(PAIRS) == len(set(PAIRS)) == 24


@pytest.mark.parametrize(("row", "column"), PAIRS)
def test_each_orthogonal_pair_is_taken_as_it_is_stated(row, column):
    sides = Sides.from_dicom([row, column])
    assert sides == Sides(OURS[row], OURS[column])
    assert sides.is_frontal == ({row, column} <= set("RLHF"))
    assert sides.is_lateral == ({row, column} <= set("APHF"))
    assert sides.is_hung == ((row, column) == ("L", "F"))


def test_compounds_keep_their_order_and_all_letters():
    assert Sides.from_dicom(["A", "FR"]) == Sides("A", "IR")
    assert Sides.from_dicom(["LF", "FR"]) == Sides("LI", "IR")  # a leaning film: L with L's opposite, F with F
    assert Sides.from_dicom(["PLH", "FRA"]) is None  # every letter runs against its own
    assert Sides.from_dicom(["PLH", "FLA"]) == Sides("PLS", "ILA")


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["L"],
        ["L", ""],
        ["", "F"],
        ["L", "F", "A"],
        ["L", "L"],
        ["L", "R"],  # rows and columns along one line
        ["L", "FL"],  # no right angle
        ["LR", "F"],
        ["AA", "F"],
        ["LE", "F"],  # the letters of animals
        ["l", "f"],
        ["X", "F"],
        ["I", "S"],  # ours are not DICOM's
    ],
)
def test_what_cannot_be_is_not_known(values):
    assert Sides.from_dicom(values) is None


def test_opposite_of_every_letter():
    assert opposite("ALS") == "PRI"
    assert opposite("PRI") == "ALS"
    assert opposite("") == ""
