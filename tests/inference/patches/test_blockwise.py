"""Blockwise labels against SciPy's zoom of the whole, and against skimage's resize."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from napari_radcnn.inference.patches.accumulate import Blend
from napari_radcnn.inference.patches.blockwise import LabelRule, first_network_plane, resampled_argmax

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 14), st.integers(1, 13))


def streamed(logits, step, budget=2**30, first_plane=0):
    """Hand out logits as the engine does: a few final planes at a time, the rest not there yet."""
    classes, *shape = logits.shape
    blend = Blend(tuple(shape), classes, (step, *shape[1:]), budget, first_plane=first_plane)
    for first in range(0, shape[0], step):
        last = min(first + step, shape[0])
        box = (slice(first, last), slice(0, shape[1]), slice(0, shape[2]))
        blend.go_to(*box[:2])
        blend.add(box, logits[:, first:last], np.full((last - first, *shape[1:]), 2, np.float32))
        blend.settle()
        if last > first_plane:
            yield last, blend
    blend.close()


def zoomed(logits, shape):
    zoom = [n / m for n, m in zip(shape, logits.shape[1:], strict=True)]
    return np.stack([ndimage.zoom(c, zoom, order=1, mode="nearest", grid_mode=True) for c in logits.astype(float)])


def labels_of(logits, rule):
    if rule.kind == "argmax":
        return np.asarray(rule.values)[logits.argmax(0)]
    labels = np.zeros(logits.shape[1:], int)
    for channel, value in zip(logits, rule.values, strict=True):
        labels[channel > rule.threshold] = value
    return labels


def undecided(logits, rule):
    """Return where rounding may decide: two classes, or class and threshold, within 1e-5."""
    if rule.kind == "argmax":
        ordered = np.sort(logits, 0)
        return ordered[-1] - ordered[-2] < 1e-5 if len(ordered) > 1 else np.zeros(logits.shape[1:], bool)
    return (np.abs(logits - rule.threshold) < 1e-5).any(0)


def assemble(blocks, shape, dtype):
    labels = np.full(shape, 99, dtype)
    written = np.zeros(shape, int)
    for box, block in blocks:
        assert block.dtype == dtype
        assert block.shape == tuple(side.stop - side.start for side in box)
        labels[box] = block
        written[box] += 1
    return labels, written


@settings(deadline=None, max_examples=120)
@given(
    network=SHAPES,
    native=SHAPES,
    classes=st.integers(1, 4),
    step=st.integers(1, 5),
    block_bytes=st.sampled_from([0, 3000, 2**26]),
    smooth=st.booleans(),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("kind", ["argmax", "regions"])
def test_the_same_as_zooming_the_whole(kind, network, native, classes, step, block_bytes, smooth, seed):
    logits = np.random.default_rng(seed).normal(size=(classes, *network)).astype(np.float32)
    if smooth:  # so that whole parts have no foreground
        logits = ndimage.gaussian_filter(logits, (0, 2, 2, 2), mode="constant") * 20
        logits[0] += 0.3
    rule = LabelRule(kind, (7, 3, 0, 5)[:classes], threshold=0.25)
    expected = zoomed(logits, native)
    blocks = resampled_argmax(streamed(logits, step), network, native, rule, block_bytes=block_bytes)
    labels, written = assemble(blocks, native, np.uint8)
    assert (written == 1).all()
    wrong = (labels != labels_of(expected, rule)) & ~undecided(expected, rule)
    assert not wrong.any()


def test_disk_gives_the_same():
    logits = np.random.default_rng(0).normal(size=(3, 11, 9, 10)).astype(np.float32)
    held, spilled = (
        assemble(
            resampled_argmax(streamed(logits, 3, budget), (11, 9, 10), (17, 13, 8), LabelRule.argmax(3)),
            (17, 13, 8),
            np.uint8,
        )[0]
        for budget in (2**30, 0)
    )
    assert np.array_equal(held, spilled)
    assert len(np.unique(held)) == 3


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_nearest_along_one_axis_is_what_nnunet_does_with_thick_slices(axis):
    from skimage.transform import resize

    logits = np.random.default_rng(1).normal(size=(3, 6, 7, 8)).astype(np.float32)
    native = (13, 10, 17)
    flat = [n for n in range(3) if n != axis]
    moved = np.moveaxis(logits.astype(float), axis + 1, 1)
    plane = tuple(native[n] for n in flat)
    fine = np.array([[resize(s, plane, 1, mode="edge", anti_aliasing=False) for s in c] for c in moved])
    nearest = np.floor((np.arange(native[axis]) + 0.5) * logits.shape[axis + 1] / native[axis]).astype(int)
    expected = np.moveaxis(fine[:, nearest], 1, axis + 1)
    how = tuple("nearest" if n == axis else "linear" for n in range(3))
    rule = LabelRule.argmax(3)
    blocks = resampled_argmax(streamed(logits, 2), (6, 7, 8), native, rule, interpolation=how)
    labels, _ = assemble(blocks, native, np.uint8)
    assert not ((labels != expected.argmax(0)) & ~undecided(expected, rule)).any()
    linear, _ = assemble(resampled_argmax(streamed(logits, 2), (6, 7, 8), native, rule), native, np.uint8)
    assert (labels != linear).mean() > 0.02


@pytest.mark.parametrize("first", [1, 6, 16])
def test_beginning_again(first):
    logits = np.random.default_rng(4).normal(size=(2, 9, 5, 6)).astype(np.float32)
    native, rule = (17, 6, 7), LabelRule.argmax(2)
    whole, _ = assemble(resampled_argmax(streamed(logits, 2), (9, 5, 6), native, rule), native, np.uint8)
    begin = first_network_plane(first, 9, 17)
    resumed, written = assemble(
        resampled_argmax(streamed(logits, 2, first_plane=begin), (9, 5, 6), native, rule, first_plane=first),
        native,
        np.uint8,
    )
    assert np.array_equal(resumed[first:], whole[first:])
    assert not written[:first].any()


def test_planes_come_in_order_and_are_released():
    logits = np.zeros((2, 20, 4, 5), np.float32)
    held = []

    def watched():
        for final, blend in streamed(logits, 4):
            yield final, blend
            held.append(len(blend._planes._planes))

    boxes = [box for box, _ in resampled_argmax(watched(), (20, 4, 5), (31, 4, 6), LabelRule.argmax(2))]
    assert [box[0].start for box in boxes] == [0, *[box[0].stop for box in boxes[:-1]]]
    assert boxes[-1][0].stop == 31
    assert max(held) <= 2


def test_a_small_block_splits_rows():
    logits = np.random.default_rng(0).normal(size=(2, 4, 30, 6)).astype(np.float32)
    boxes = [
        box
        for box, _ in resampled_argmax(
            streamed(logits, 4), (4, 30, 6), (5, 40, 9), LabelRule.argmax(2), block_bytes=4000
        )
    ]
    assert len({(box[1].start, box[1].stop) for box in boxes}) > 3
    assert all(box[2] == slice(0, 9) for box in boxes)


def test_many_classes_need_two_bytes():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    rule = LabelRule("argmax", (0, 300))
    labels, _ = assemble(resampled_argmax(streamed(logits, 3), (3, 4, 5), (3, 4, 5), rule), (3, 4, 5), np.uint16)
    assert np.array_equal(labels, 300 * logits.argmax(0))


@pytest.mark.parametrize("kind", ["argmax", "regions"])
def test_empty_logits_give_nothing(kind):
    rule = LabelRule(kind, (0, 1, 2) if kind == "argmax" else (1, 2, 3), threshold=0.5)
    logits = np.zeros((3, 2, 2, 2), np.float32) + np.array(rule.empty_logits, np.float32)[:, None, None, None]
    assert not labels_of(logits, rule).any()


@pytest.mark.parametrize("values", [(), (0, -1), (0, 65536)])
def test_labels_that_cannot_be_stored(values):
    with pytest.raises(ValueError, match="65535"):
        LabelRule("argmax", values)


@pytest.mark.parametrize("budget", [0, 2**30])
def test_streamed_patches_give_the_labels_of_monai_and_zoom(budget):
    import torch
    from monai.inferers import sliding_window_inference

    from napari_radcnn.inference.patches.stream import run_patches
    from napari_radcnn.spec.patches import Sampling

    torch.manual_seed(2)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 5, padding=2),
        torch.nn.InstanceNorm3d(4),
        torch.nn.ReLU(),
        torch.nn.Conv3d(4, 3, 3, padding=1),
    ).eval()
    array = np.random.default_rng(8).normal(size=(1, 21, 18, 15)).astype(np.float32)
    native, rule = (30, 25, 11), LabelRule("argmax", (0, 2, 5))
    with torch.inference_mode():
        whole = sliding_window_inference(torch.from_numpy(array)[None], (8, 10, 9), 1, network, 0.5, mode="gaussian")

    def predict(patch):
        with torch.inference_mode():
            return network(torch.from_numpy(patch)[None])[0].numpy()

    stream = run_patches(
        [predict],
        lambda box: array[(slice(None), *box)],
        array.shape[1:],
        Sampling((8, 10, 9), 0.5, "monai", "monai"),
        classes=3,
        budget_bytes=budget,
    )
    labels, written = assemble(resampled_argmax(stream, array.shape[1:], native, rule), native, np.uint8)
    expected = zoomed(whole[0].numpy(), native)
    assert (written == 1).all()
    assert not ((labels != labels_of(expected, rule)) & ~undecided(expected, rule)).any()
    assert set(np.unique(labels)) == {0, 2, 5}
