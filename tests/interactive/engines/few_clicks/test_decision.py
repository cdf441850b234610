"""From features to the object: the small network by hand, marks that are obeyed, boxes that are kept to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.few_clicks.decision import Decision, decided
from napari_radcnn.interactive.engines.few_clicks.features import NAMES, Known
from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.few_clicks.walk import noise_of
from napari_radcnn.interactive.engines.lattice import Lattice
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.metrics import dice

PATH = Path("few-clicks-decision.safetensors")
SHAPE = (12, 20, 26)
GEOMETRY = Geometry.from_parts(SHAPE, (2.5, 0.8, 1.1), (3.0, -7.0, 11.0), np.eye(3)[:, ::-1])


def only(name: str, slope: float = 3.0) -> Decision:
    """Return a decision by one feature: its sign."""
    weights = np.zeros((1, len(NAMES)), np.float32)
    weights[0, NAMES.index(name)] = slope
    return Decision.of({"0.weight": weights, "0.bias": np.zeros(1, np.float32)}, PATH)


def known(mask: np.ndarray) -> Known:
    """Return features in which the network says what a mask says, on an image with an edge around it."""
    features = np.zeros((len(NAMES), *mask.shape), np.float32)
    features[NAMES.index("network")] = np.where(mask, 2, -2)
    values = (np.where(mask, 200, 0) + np.random.default_rng(0).normal(0, 9, mask.shape)).astype(np.float32)
    return Known(Lattice.whole(mask.shape), features, values, np.array(GEOMETRY.spacing))


def click(at: tuple[int, int, int], *, positive: bool = True) -> Prompt:
    return Prompt.point(GEOMETRY.to_world(at), positive=positive)


def box(low: tuple[float, ...], high: tuple[float, ...]) -> Prompt:
    """Return a box from the first voxel to the one past the last."""
    a, b = np.asarray(low) - 0.5, np.asarray(high) - 0.5
    corners = [a, (b[0], a[1], a[2]), (a[0], b[1], a[2]), (a[0], a[1], b[2])]
    return Prompt.box(*(GEOMETRY.to_world(corner) for corner in corners))


NOTHING = np.zeros(SHAPE, bool)


def answer(mask: np.ndarray, *prompts: Prompt, current: np.ndarray = NOTHING) -> np.ndarray:
    marks = Marks.of(prompts, GEOMETRY)
    update = decided(only("network"), known(mask), marks, current, np.array(GEOMETRY.spacing))
    found = current.copy()
    found[update.box] = update.mask
    return found


def block() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 5:15, 6:20] = True
    return mask


def test_two_layers_are_computed_as_written() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(5, len(NAMES))), rng.normal(size=(1, 5))
    bias, last = rng.normal(size=5), rng.normal(size=1)
    decision = Decision.of({"0.weight": first, "0.bias": bias, "1.weight": second, "1.bias": last}, PATH)
    features = rng.normal(0, 0.4, size=(len(NAMES), 2, 3, 4)).astype(np.float32)
    for at in [(0, 0, 0), (1, 2, 3)]:
        x = features[(slice(None), *at)]
        logit = (second @ np.maximum(first @ x + bias, 0) + last)[0]
        assert decision.belief(features)[at] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"0.weight": np.zeros((1, 7)), "0.bias": np.zeros(1)},
        {"0.weight": np.zeros((2, len(NAMES))), "0.bias": np.zeros(2)},
        {"0.weight": np.zeros((1, len(NAMES))), "bias": np.zeros(1)},
    ],
    ids=["nothing", "other features", "two answers", "no bias"],
)
def test_weights_that_do_not_fit_are_refused(tensors: dict[str, np.ndarray]) -> None:
    with pytest.raises(ModelError, match="do not match this version"):
        Decision.of(tensors, PATH)


def test_the_object_is_what_is_believed_up_to_its_edge() -> None:
    np.testing.assert_array_equal(answer(block(), click((5, 9, 12))), block())


@pytest.mark.parametrize(("change", "reached"), [(ndimage.binary_dilation, 0.97), (ndimage.binary_erosion, 0.88)])
def test_a_border_that_is_believed_beside_an_edge_goes_to_the_edge(change: Callable, reached: float) -> None:
    k, j, i = np.indices(SHAPE)
    truth = (((k - 6) * 2.5) / 11) ** 2 + (((j - 10) * 0.8) / 5.5) ** 2 + (((i - 13) * 1.1) / 9) ** 2 <= 1
    flat = np.zeros((3, 3, 3), bool)
    flat[1] = ndimage.generate_binary_structure(2, 1)
    believed = change(truth, flat, iterations=2)
    of = known(believed)
    of = Known(of.lattice, of.features, known(truth).values, of.spacing)
    marks = Marks.of((click((6, 10, 13)),), GEOMETRY)
    update = decided(only("network"), of, marks, NOTHING, np.array(GEOMETRY.spacing))
    found = NOTHING.copy()
    found[update.box] = update.mask
    assert dice(truth, believed) < 0.8
    assert dice(truth, found) > reached


def test_a_negative_mark_is_outside_and_a_positive_one_inside() -> None:
    found = answer(block(), click((5, 9, 12)), click((4, 6, 8), positive=False), click((10, 18, 3)))
    assert not found[4, 6, 8]
    assert found[10, 18, 3]
    assert found[5, 9, 12]


def test_pieces_without_a_positive_mark_are_left_out() -> None:
    mask = block()
    mask[10:, 17:, 22:] = True
    found = answer(mask, click((5, 9, 12)))
    assert found[block()].all()
    assert not found[10:, 17:, 22:].any()


def test_nothing_lies_well_outside_a_box_and_its_largest_piece_is_the_object() -> None:
    mask = block()
    mask[0:2, 0:2, 0:2] = True
    found = answer(mask, box((3, 5, 6), (9, 15, 12)))
    assert found[3:9, 5:15, 6:12].all()
    assert not found[:, :, 14:].any()
    assert not found[0:2, 0:2, 0:2].any()


def test_a_positive_click_takes_nothing_away_and_a_negative_one_adds_nothing() -> None:
    before = NOTHING.copy()
    before[1:5, 3:18, 4:24] = True
    clicks = (*tuple(click((4, 9, at)) for at in (9, 10, 11, 12)), click((8, 9, 12)))
    np.testing.assert_array_equal(answer(block(), *clicks, current=before), before | block())
    less = answer(block(), *clicks, click((1, 4, 5), positive=False), current=before)
    assert not (less & ~before).any()
    assert not less[1, 4, 5]


def test_a_box_that_is_drawn_again_may_do_both() -> None:
    before = NOTHING.copy()
    before[1:5, 1:18, 4:24] = True
    found = answer(block(), click((4, 9, 12)), box((3, 5, 6), (9, 15, 20)), current=before)
    np.testing.assert_array_equal(found, block())


def test_a_flat_box_limits_its_plane_only() -> None:
    a, b = np.array([5, 4.5, 5.5]), np.array([5, 14.5, 19.5])
    corners = [a, (5, b[1], a[2]), (5, a[1], b[2])]
    flat = Prompt.box(*(GEOMETRY.to_world(corner) for corner in corners))
    np.testing.assert_array_equal(answer(block(), flat), block())


def test_a_coarse_working_grid_still_answers_on_the_scans_voxels() -> None:
    lattice = Lattice.over((slice(1, 11), slice(1, 19), slice(2, 24)), GEOMETRY.spacing, 8)
    middle = np.array([6.0, 10.0, 13.0])
    far = np.linalg.norm(
        (np.moveaxis(np.indices(lattice.shape), 0, -1) * lattice.steps + lattice.first - middle) / 4, axis=-1
    )
    features = np.zeros((len(NAMES), *lattice.shape), np.float32)
    features[NAMES.index("network")] = 2 - 2 * far
    spacing = np.asarray(lattice.steps) * GEOMETRY.spacing
    image = np.where(far < 1, 200, 0) + np.random.default_rng(0).normal(0, 9, lattice.shape)
    coarse = Known(lattice, features, image.astype(np.float32), spacing)
    update = decided(
        only("network"), coarse, Marks.of((click((6, 10, 13)),), GEOMETRY), NOTHING, np.array(GEOMETRY.spacing)
    )
    found = np.zeros(SHAPE, bool)
    found[update.box] = update.mask
    truth = np.linalg.norm((np.moveaxis(np.indices(SHAPE), 0, -1) - middle) / 4, axis=-1) < 1
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.75


def test_the_noise_of_an_image_is_that_of_its_flat_parts() -> None:
    values = np.random.default_rng(3).normal(0, 7, SHAPE).astype(np.float32)
    values[:, 10:] += 500
    assert noise_of(values) == pytest.approx(7 * np.sqrt(2), rel=0.15)
    assert noise_of(np.full((1, 1, 1), 5, np.float32)) > 0
    assert noise_of(np.full(SHAPE, 5, np.float32)) > 0
