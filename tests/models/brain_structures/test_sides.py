"""The plane between the halves of a brain against pairs of ellipsoids that mirror each other in a known one."""

import numpy as np
import pytest

from napari_radcnn.models.brain_structures.sides import find_middle

SHAPE = (80, 92, 70)
#: Middles, radii of three structures on one side.
PAIRS = [((24, 38, 36), (7, 11, 8)), ((20, 55, 40), (5, 8, 10)), ((30, 64, 27), (4, 7, 6))]


def mirrored_pairs(normal, through, *, sides=2):
    """A map of structures 1 to 3 on both sides of a plane, its unit normal and its offset."""
    normal = np.array(normal, float) / np.linalg.norm(normal)
    offset = float(normal @ np.array(through, float))
    places = np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in SHAPE), indexing="ij"), -1)
    mirror = places - 2 * ((places @ normal) - offset)[..., None] * normal
    classes = np.zeros(SHAPE, np.uint8)
    for number, (middle, radii) in enumerate(PAIRS, 1):
        for where in (places, mirror)[:sides]:
            classes[(((where - middle) / np.array(radii)) ** 2).sum(-1) < 1] = number
    return classes, normal, offset


@pytest.mark.parametrize(
    ("normal", "through"),
    [((1, 0, 0), (40.3, 0, 0)), ((1, 0.13, -0.09), (42.2, 46, 35)), ((1, -0.2, 0.15), (38.9, 46, 35))],
)
def test_the_plane_is_the_one_that_was_mirrored_in(normal, through):
    classes, unit, offset = mirrored_pairs(normal, through)
    middle = find_middle(classes, [1, 2, 3])
    assert np.degrees(np.arccos(min(1.0, float(unit @ middle.normal)))) < 0.5
    center = np.array(SHAPE) / 2
    assert abs((center @ unit - offset) - (center @ np.array(middle.normal) - middle.offset)) < 0.5
    assert middle.agreement > 0.9


def test_each_structure_lies_on_its_own_side():
    classes, unit, offset = mirrored_pairs((1, 0.13, -0.09), (42.2, 46, 35))
    beyond = find_middle(classes, [1, 2, 3]).is_beyond(SHAPE)
    places = np.argwhere(classes > 0)
    assert np.array_equal(beyond[classes > 0], places @ unit > offset)


def test_structures_of_one_side_alone_do_not_agree():
    classes, _, _ = mirrored_pairs((1, 0, 0), (40, 0, 0), sides=1)
    assert find_middle(classes, [1, 2, 3]).agreement < 0.9


def test_without_paired_structures_the_middle_of_the_map_is_taken():
    classes = np.zeros(SHAPE, np.uint8)
    classes[11:72, 20:70, 10:60] = 9
    middle = find_middle(classes, [1, 2, 3])
    assert middle.normal == (1, 0, 0)
    assert middle.offset == 41
    assert middle.agreement == 0
    assert find_middle(np.zeros(SHAPE, np.uint8), [1]).offset == (SHAPE[0] - 1) / 2
