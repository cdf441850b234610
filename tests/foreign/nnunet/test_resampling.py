"""nnU-Net's resampling against the functions of scikit-image and SciPy that it calls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import resize

from napari_radcnn.foreign.nnunet.plans import Resampling
from napari_radcnn.foreign.nnunet.resampling import Resampler, labels_like_nnunet, make_resampler, new_shape

ISOTROPIC = (1.0, 1.1, 0.9)
CUBIC, LINEAR = Resampling(3, 0, None), Resampling(1, 0, None)


def _image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return (ndimage.gaussian_filter(noise, 0.8) * 100 + noise).astype(np.float32)


def _limits(image: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    others = tuple(n for n in range(3) if n != axis)
    return image.min(others).reshape(1, -1), image.max(others).reshape(1, -1)


def _whole(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(0, n) for n in shape)


def _ours(resampler: Resampler, image: np.ndarray, limits=None) -> np.ndarray:
    box = _whole(resampler.new)
    return resampler.apply(image[None][:, *resampler.support(box)], box, limits)[0]


def _theirs(image: np.ndarray, new: tuple[int, int, int], order: int) -> np.ndarray:
    return resize(image.astype(float), new, order, mode="edge", anti_aliasing=False)


def _theirs_apart(image: np.ndarray, new: tuple[int, int, int], order: int, axis: int) -> np.ndarray:
    """Slice by slice, then the nearest slice, as nnU-Net does it."""
    flat = tuple(n for m, n in enumerate(new) if m != axis)
    slices = [
        resize(s, flat, order, mode="edge", anti_aliasing=False) for s in np.moveaxis(image.astype(float), axis, 0)
    ]
    stack = np.stack(slices, axis)
    scale = stack.shape[axis] / new[axis]
    places = list(np.meshgrid(*map(np.arange, new), indexing="ij"))
    places[axis] = scale * (places[axis] + 0.5) - 0.5
    return ndimage.map_coordinates(stack, np.array(places, float), order=0, mode="nearest")


@pytest.mark.parametrize("new", [(13, 10, 20), (5, 28, 11), (9, 14, 7), (1, 2, 3)])
@pytest.mark.parametrize("how", [CUBIC, LINEAR], ids=["cubic", "linear"])
def test_it_is_scikit_image_s_resize(new, how):
    image = _image((9, 14, 11))
    resampler = make_resampler(image.shape, new, ISOTROPIC, ISOTROPIC, how)
    assert resampler.apart is None
    ours = _ours(resampler, image, _limits(image, None))
    np.testing.assert_allclose(ours, _theirs(image, new, how.order), atol=1e-4 * np.ptp(image))


def test_overshoot_is_cut_off_at_the_image_s_own_limits():
    image = np.zeros((12, 13, 14), np.float32)
    image[4:8, 5:9, 6:10] = 100
    resampler = make_resampler(image.shape, (24, 26, 28), ISOTROPIC, ISOTROPIC, CUBIC)
    without = _ours(resampler, image)
    assert without.max() > 105
    assert without.min() < -5
    ours = _ours(resampler, image, _limits(image, None))
    np.testing.assert_allclose(ours, _theirs(image, (24, 26, 28), 3), atol=0.01)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("how", [CUBIC, LINEAR], ids=["cubic", "linear"])
def test_the_axis_of_long_voxels_goes_apart_to_the_nearest_slice(axis, how):
    image = _image((9, 10, 11), axis)
    new = tuple(int(n * s) for n, s in zip(image.shape, np.roll([0.8, 1.4, 1.7], axis), strict=True))
    spacing = tuple(5.0 if n == axis else 1.0 + n / 10 for n in range(3))
    resampler = make_resampler(image.shape, new, spacing, ISOTROPIC, how)
    assert resampler.apart == axis
    ours = _ours(resampler, image, _limits(image, axis))
    np.testing.assert_allclose(ours, _theirs_apart(image, new, how.order, axis), atol=1e-4 * np.ptp(image))


@pytest.mark.parametrize("spacing", [ISOTROPIC, (1.0, 4.0, 1.1)])
def test_a_part_is_that_part_of_the_whole(spacing):
    image, new = _image((40, 22, 33)), (61, 15, 50)
    resampler = make_resampler(image.shape, new, spacing, spacing, CUBIC)
    limits = _limits(image, resampler.apart)
    whole = _ours(resampler, image, limits)
    for box in ((slice(3, 9), slice(0, 4), slice(45, 50)), (slice(60, 61), slice(14, 15), slice(0, 50))):
        part = resampler.apply(image[None][:, *resampler.support(box)], box, limits)[0]
        np.testing.assert_allclose(part, whole[box], atol=1e-5 * np.ptp(image))
    deep = resampler.support((slice(0, 1), slice(0, 1), slice(0, 1)))
    assert deep[0].stop < image.shape[0]


def test_the_same_shape_is_left_alone():
    image = _image((5, 6, 7))
    resampler = make_resampler(image.shape, image.shape, ISOTROPIC, (1.01, 1.1, 0.9), CUBIC)
    assert resampler.is_identity
    assert not resampler.needs_limits
    assert np.array_equal(_ours(resampler, image), image)


@pytest.mark.parametrize(
    ("spacing", "target", "forced", "apart"),
    [
        ((3.0, 1.0, 1.0), (1.0, 1.0, 1.0), None, None),  # exactly three times is not more than three times
        ((3.1, 1.0, 1.0), (1.0, 1.0, 1.0), None, 0),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 3.1), None, 2),
        ((4.0, 1.0, 1.0), (1.0, 1.0, 4.0), None, 0),  # the spacing before goes first
        ((0.2, 1.0, 1.0), (1.0, 1.0, 1.0), None, None),  # two long axes: none goes apart
        ((1.0, 1.2, 1.1), (1.0, 1.0, 1.0), True, 1),
        ((9.0, 1.0, 1.0), (1.0, 1.0, 1.0), False, None),
        ((1.0, 1.0, 1.0), (9.0, 1.0, 1.0), True, None),
    ],
)
def test_which_axis_goes_apart(spacing, target, forced, apart):
    how = Resampling(3, 0, forced)
    assert make_resampler((8, 9, 10), (10, 9, 8), spacing, target, how).apart == apart


def test_shapes_are_rounded_as_python_rounds():
    assert new_shape((51, 7, 10), (0.75, 1.0, 1.0), (1.5, 2.0, 4.0)) == (26, 4, 2)  # 25.5, 3.5 and 2.5: to even
    assert new_shape((1, 2, 3), (1.0, 1.0, 1.0), (9.0, 9.0, 9.0)) == (1, 1, 1)


@pytest.mark.parametrize("new", [(13, 10, 20), (18, 28, 22), (5, 9, 6)])
def test_labels_take_the_largest_of_their_resampled_indicators(new):
    labels = np.digitize(ndimage.gaussian_filter(_image((9, 14, 11), 3), 1.5), (-10, 0, 12)).astype(np.int32) - 1
    assert set(np.unique(labels)) == {-1, 0, 1, 2}
    resampler = make_resampler(labels.shape, new, ISOTROPIC, ISOTROPIC, LINEAR)
    ours = labels_like_nnunet(labels, resampler, _whole(new))
    scores = np.stack([_theirs(labels == value, new, 1) for value in (-1, 0, 1, 2)])
    nearest = resize(labels.astype(float), new, 0, mode="edge", anti_aliasing=False).astype(int)
    ordered = np.sort(scores, axis=0)
    is_clear = ordered[-1] - ordered[-2] > 1e-4
    assert np.array_equal(ours[is_clear], scores.argmax(0)[is_clear] - 1)
    # Between two equal ones the nearest voxel decides.
    score_nearest = np.take_along_axis(scores, nearest[None] + 1, 0)[0]
    is_tied = ~is_clear & (score_nearest > ordered[-1] - 1e-9)
    assert np.array_equal(ours[is_tied], nearest[is_tied])
    part = (slice(1, 4), slice(2, 9), slice(0, 5))
    assert np.array_equal(labels_like_nnunet(labels[resampler.support(part)], resampler, part), ours[part])
