"""Which scan goes to which input, by names and modalities alone."""

import pytest

from napari_radcnn.gui.models.matching import match
from napari_radcnn.spec.patches import InputSlot


def mr(*names):
    return [InputSlot(name, ("MR",)) for name in names]


BRAIN = mr("T1", "T1ce", "T2", "FLAIR")


@pytest.mark.parametrize(
    ("slots", "scans", "expected"),
    [
        (BRAIN, ["BraTS_7_t2", "BraTS_7_flair", "BraTS_7_t1ce", "BraTS_7_t1"], [3, 2, 0, 1]),
        (BRAIN, ["AX T2 FLAIR", "AX T1 post contrast", "sub-1_T1w", "sub-1_T2w"], [2, 1, 3, 0]),
        (mr("T1w", "t1gd", "T2w", "FLAIR"), ["T1 MPRAGE +C", "T2 TSE", "mprage", "dark fluid"], [2, 0, 1, None]),
        (mr("T2", "ADC", "HBV"), ["t2_tse_tra", "ep2d_diff ADC", "ep2d b1500"], [0, 1, 2]),
        (mr("arterial", "portal"), ["liver portal phase", "liver arterial phase"], [1, 0]),
        (mr("T1", "T2"), ["T1 · nlm-denoise", "T2", "T1"], [2, 1]),
    ],
)
def test_names_tell(slots, scans, expected):
    assert match(slots, [(name, "MR") for name in scans]) == expected
    backwards = match(slots, [(name, "MR") for name in reversed(scans)])
    assert backwards == [None if n is None else len(scans) - 1 - n for n in expected]


@pytest.mark.parametrize("name", ["T10 axial", "series 1", "scan", "T2*", "abT1"])
def test_other_names_do_not(name):
    assert match(mr("T1", "T2"), [(name, "MR")]) == [None, None]


def test_two_that_fit_equally_are_left_to_the_user():
    assert match(mr("T1", "T2"), [("T1 axial", "MR"), ("T1 coronal", "MR"), ("T2", "MR")]) == [None, 2]


def test_another_modality_is_not_taken_whatever_its_name():
    assert match(mr("T1", "T2"), [("T1", "CT"), ("T2", "")]) == [None, 1]


def test_the_modality_tells_where_it_is_one_inputs_only():
    slots = [InputSlot("CT", ("CT",)), InputSlot("PET", ("PT",))]
    assert match(slots, [("WB_AC", "PT"), ("abdomen", "CT")]) == [1, 0]
    assert match(slots, [("WB_AC", "PT"), ("WB_NAC", "PT"), ("abdomen", "CT")]) == [2, None]
    assert match(mr("T1", "T2"), [("series 5", "MR")], [None, None]) == [None, None]


def test_what_is_chosen_already_stays_and_is_not_used_twice():
    assert match(mr("T1", "T1n"), [("T1", "MR")], [0, None]) == [0, None]
    assert match(mr("T1", "T2"), [("T2", "MR"), ("T1", "MR")], [0, None]) == [0, None]
    assert match(mr("T1", "T2"), [("x", "MR"), ("y", "MR")], [0, None]) == [0, None]
