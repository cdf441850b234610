"""Features of shapes whose values are known, and how they join the networks."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_radcnn.models.classifiers.shape import FEATURES, ShapeModel, shape_features, stored_shape


def ellipsoid(radii, center=(31.3, 33.8, 30.4), side=64):
    place = np.indices((side,) * 3) - np.array(center)[:, None, None, None]
    return (np.square(place / np.array(radii)[:, None, None, None])).sum(0) < 1


def named(mask):
    return dict(zip(FEATURES, shape_features(mask), strict=True))


def test_a_ball_has_the_features_of_a_ball():
    found = named(ellipsoid((10, 10, 10)))
    assert found["volume"] == pytest.approx(4 / 3 * np.pi * 1000, rel=0.01)
    assert found["long deviation"] == pytest.approx(10 / np.sqrt(5), rel=0.01)  # of a ball filled evenly
    assert found["long extent"] == pytest.approx(20, abs=1.5)
    assert found["middle extent"] == pytest.approx(20, abs=1.5)
    assert found["thick at 3 mm"] == pytest.approx(found["volume"], rel=0.02)
    assert found["mean depth"] == pytest.approx(2.5, abs=0.3)  # a quarter of the radius
    assert found["sphericity"] == pytest.approx(1, abs=0.05)
    assert found["parts"] == 1


def test_a_long_thin_limb_is_told_from_a_ball_of_its_volume():
    ball, limb = named(ellipsoid((6, 6, 6))), named(ellipsoid((2.2, 4.1, 24)))
    assert limb["volume"] == pytest.approx(ball["volume"], rel=0.05)
    assert limb["long extent"] > 3 * ball["long extent"]
    assert limb["thick at 3 mm"] < 0.7 * limb["volume"]
    assert limb["deepest"] < 0.6 * ball["deepest"]
    assert limb["sphericity"] < 0.8 < ball["sphericity"]


def test_parts_are_counted():
    assert named(ellipsoid((4, 4, 4), (16, 16, 16)) | ellipsoid((4, 4, 4), (44, 40, 40)))["parts"] == 2


@settings(max_examples=8, deadline=None)
@given(order=st.permutations((0, 1, 2)), flips=st.lists(st.booleans(), min_size=3, max_size=3), move=st.integers(-5, 5))
def test_neither_orientation_nor_place_counts(order, flips, move):
    mask = ellipsoid((4, 7, 12)) | ellipsoid((6, 6, 6), (34, 38, 36))
    turned = np.flip(mask.transpose(order), [axis for axis, flip in enumerate(flips) if flip])
    np.testing.assert_allclose(shape_features(np.roll(turned, move, 0)), shape_features(mask), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (1, 6, 9)])
def test_a_voxel_a_line_and_a_plane_have_features(shape):
    mask = np.zeros((64, 64, 64), bool)
    mask[tuple(slice(30, 30 + n) for n in shape)] = True
    found = shape_features(mask)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found[0] == np.prod(shape)


def test_what_both_say_is_weighed_and_shifted():
    model = ShapeModel((0.0, 1.0), (1.0, 2.0), (0.5, -1.0), 0.25, network=2.0, shape=0.5, shift=-1.0)
    features = np.array([np.e - 1, np.e**3 - 1])  # logarithms of 1 and 3 after one is added
    assert model.logit(features) == pytest.approx(0.5 * 1 - 1.0 * (3 - 1) / 2 + 0.25)
    joint = model.joint(np.array([[1.0, 4.0], [2.0, 2.0]]), features)
    np.testing.assert_allclose(joint, [[0, 2 * 3 + 0.5 * -0.25 - 1], [0, 0.5 * -0.25 - 1]])


def test_it_comes_back_as_it_was_stored():
    model = ShapeModel((0.1,), (1.5,), (2.0,), -3.0, 0.5, 0.7, 0.1)
    stored = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(model).items()}
    assert stored_shape({"shape": stored}) == model
    assert stored_shape({}) is None
