"""Muscle by its place: an abdomen drawn of ellipses, with a spine whose marrow is soft and one rib reaching farther."""

import numpy as np
import pytest

from napari_radcnn.models.ct_tissues.grids import shrink
from napari_radcnn.models.ct_tissues.muscles import find_muscle

SPACING = (3.0, 3.0, 3.0)
SHAPE = (8, 90, 120)
#: mm from the middle; y towards the back.
Y, X = ((np.indices(SHAPE)[a] - SHAPE[a] / 2) * 3.0 for a in (1, 2))


def ellipse(y, x, high, wide):
    return np.hypot((Y - y) / high, (X - x) / wide) < 1


@pytest.fixture(scope="module")
def found():
    """Muscle, and where the parts were drawn."""
    body = ellipse(0, 0, 120, 170)
    trunk = ellipse(0, 0, 105, 155)
    cavity = ellipse(-15, 0, 80, 130)
    marrow, vertebra = ellipse(55, 0, 13, 18), ellipse(55, 0, 18, 23)
    # the rib of one side reaches far to the front, the other does not
    ribs = ellipse(0, 0, 108, 158) & ~ellipse(0, 0, 100, 150) & (((X < 0) & (Y > -60)) | ((X > 0) & (Y > 30)))
    liver = cavity & (np.hypot((Y + 20) / 60, (X - 70) / 55) < 1)
    back = ellipse(85, 45, 15, 30)
    hu = np.full(SHAPE, -1000.0, np.float32)
    for where, value in ((body, -100), (trunk, 50), (cavity, -100), (liver, 55), (ribs, 700), (vertebra, 800)):
        hu[where] = value
    hu[marrow] = 60
    small = shrink(hu, SPACING, 3.0)
    bone = hu > 300
    muscle = find_muscle(small, body, np.zeros(SHAPE, bool), bone)
    return muscle, {"liver": liver, "marrow": marrow, "back": back & trunk}


def test_the_muscles_of_the_back_are_found_though_the_marrow_is_as_soft_as_they_are(found):
    muscle, drawn = found
    assert muscle[drawn["back"]].mean() > 0.75


def test_marrow_is_no_muscle(found):
    muscle, drawn = found
    assert not muscle[drawn["marrow"]].any()


def test_the_liver_in_front_of_the_ribs_of_its_side_is_no_muscle(found):
    muscle, drawn = found
    assert drawn["liver"].sum() > 5000
    assert muscle[drawn["liver"]].mean() < 0.05
