"""Boxes and masks of one object."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from napari_radcnn.errors import GeometryError
from napari_radcnn.interactive.update import MaskUpdate, box_of, box_shape, joined


@given(arrays(bool, st.tuples(*[st.integers(1, 6)] * 3)), st.tuples(*[st.integers(0, 9)] * 3))
def test_a_box_is_tight(mask, offset):
    box = box_of(mask, offset)
    where = np.argwhere(mask) + offset
    if not len(where):
        assert box is None
        return
    assert [e.start for e in box] == where.min(0).tolist()
    assert [e.stop for e in box] == (where.max(0) + 1).tolist()


def test_boxes_are_joined():
    first, second = (slice(1, 3), slice(0, 2), slice(4, 5)), (slice(2, 7), slice(1, 2), slice(0, 1))
    assert joined(first, second) == (slice(1, 7), slice(0, 2), slice(0, 5))
    assert joined(None, second) == second
    assert joined(first, None) == first
    assert joined(None, None) is None
    assert box_shape(first) == (2, 2, 1)


@pytest.mark.parametrize("mask", [np.zeros((2, 2, 2), bool), np.zeros((2, 2, 1), np.uint8)])
def test_an_update_of_the_wrong_shape_or_type_is_refused(mask):
    with pytest.raises(GeometryError, match=r"must be boolean and of that shape"):
        MaskUpdate((slice(1, 3), slice(0, 2), slice(4, 5)), mask)
