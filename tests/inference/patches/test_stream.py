"""Streaming against closed forms, against MONAI's sliding window, and against itself in other circumstances."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from napari_radcnn.errors import CancelledError, ModelError, ResourceError
from napari_radcnn.inference.patches.positions import patch_count, patch_weights
from napari_radcnn.inference.patches.stream import run_patches
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import Sampling

SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 11), st.integers(1, 9))
AMPLE = 2**30


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Convolutions of a few hundred voxels spend their time on starting threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def affine(patch):
    """A closed form: 2x + 1 and x of the first channel."""
    return np.stack([2 * patch[0] + 1, patch[0]])


def conv_network(channels, classes):
    """Return a network whose answer depends on the patch's position and content."""
    import torch

    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(channels, 5, 3, padding=1),
        torch.nn.InstanceNorm3d(5),
        torch.nn.LeakyReLU(),
        torch.nn.Conv3d(5, classes, 3, padding=1),
    )
    return network.eval()


def as_predictor(network):
    import torch

    def predict(patch):
        with torch.inference_mode():
            return network(torch.from_numpy(patch)[None])[0].numpy()

    return predict


def collect(array, predictors, sampling, classes=2, keep_whole=False, **kwargs):
    """Run over an array and put the planes together as they become final."""
    shape = array.shape[1:]
    asked = []

    def read(box):
        asked.append(box)
        assert all(0 <= side.start < side.stop <= n for side, n in zip(box, shape, strict=True))
        return array[(slice(None), *box)]

    kwargs = {"classes": classes, "budget_bytes": AMPLE} | kwargs
    done = kwargs.get("first_plane", 0)
    found = np.full((classes, *shape), np.nan, np.float32)
    for final, blend in run_patches(predictors, read, shape, sampling, **kwargs):
        assert final >= done
        found[:, done:final] = blend.read((slice(done, final), slice(0, shape[1]), slice(0, shape[2])))
        if not keep_whole:
            blend.release(final)
        done = final
    assert done == shape[0]
    return found


@settings(deadline=None, max_examples=80)
@given(
    shape=SHAPES,
    patch=SHAPES,
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    positions=st.sampled_from(["nnunet", "monai"]),
    mirror=st.sampled_from([(), (1,), (0, 2), (0, 1, 2)]),
    budget=st.sampled_from([0, AMPLE]),
)
@pytest.mark.parametrize("weights", ["constant", "monai", "nnunet"])
def test_a_pointwise_network_is_reproduced(weights, shape, patch, overlap, positions, mirror, budget):
    array = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    sampling = Sampling(patch, overlap, positions, weights, mirror_axes=mirror)
    found = collect(array, [affine], sampling, budget_bytes=budget)
    # A weighted mean of n equal float32 numbers is off by n roundings at most; 64 patches at most cover a voxel here.
    assert found[0] == pytest.approx(2 * array[0] + 1, abs=64 * 2.0**-24 * 10)
    assert found[1] == pytest.approx(array[0], abs=64 * 2.0**-24 * 5)


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 14), st.integers(1, 13), st.integers(1, 15)),
    patch=st.tuples(st.integers(2, 9), st.integers(3, 8), st.integers(2, 7)),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.8]),
    mode=st.sampled_from(["constant", "gaussian"]),
    budget=st.sampled_from([0, AMPLE]),
)
def test_the_same_as_monai(shape, patch, overlap, mode, budget):
    import torch
    from monai.inferers import sliding_window_inference

    network = conv_network(2, 3)
    array = np.random.default_rng(5).normal(size=(2, *shape)).astype(np.float32)
    with torch.inference_mode():
        expected = sliding_window_inference(
            torch.from_numpy(array)[None], patch, 1, network, overlap=overlap, mode=mode, cval=-0.5
        )[0].numpy()
    weights = "constant" if mode == "constant" else "monai"
    sampling = Sampling(patch, overlap, "monai", weights, padding_value=-0.5)
    found = collect(array, [as_predictor(network)], sampling, classes=3, budget_bytes=budget)
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_network_of_that_test_depends_on_the_position():
    network = as_predictor(conv_network(1, 2))
    array = np.random.default_rng(5).normal(size=(1, 9, 12, 11)).astype(np.float32)
    one, other = (collect(array, [network], Sampling((5, 6, 7), 0.5, kind)) for kind in ("monai", "nnunet"))
    assert np.abs(one - other).max() > 1e-2


def test_patches_are_blended_by_their_weights():
    # Two patches, 0..3 and 2..5, that answer with 1 and 4.
    answers = iter([1.0, 4.0])
    sampling = Sampling((1, 1, 4), 0.5, "nnunet", "nnunet")
    found = collect(np.zeros((1, 1, 1, 6), np.float32), [lambda p: np.full_like(p, next(answers))], sampling, 1)
    weights = patch_weights(sampling)[0, 0].astype(float)
    shared = (weights[2:] * 1 + weights[:2] * 4) / (weights[2:] + weights[:2])
    assert found.ravel() == pytest.approx([1, 1, *shared, 4, 4], rel=1e-6)
    assert abs(shared[0] - shared[1]) > 1  # so that swapped or missing weights would show


@pytest.mark.parametrize("weights", ["constant", "nnunet"])
def test_memory_and_disk_give_the_same_bits(weights, tmp_path):
    array = np.random.default_rng(2).normal(size=(1, 23, 19, 17)).astype(np.float32)
    network = as_predictor(conv_network(1, 3))
    sampling = Sampling((8, 7, 6), 0.6, "nnunet", weights)
    held = collect(array, [network], sampling, classes=3)
    spilled = collect(array, [network], sampling, classes=3, budget_bytes=0, workspace=tmp_path)
    assert np.array_equal(held, spilled)
    unreleased = collect(array, [network], sampling, classes=3, budget_bytes=0, workspace=tmp_path, keep_whole=True)
    assert np.array_equal(held, unreleased)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("budget", [0, AMPLE])
@pytest.mark.parametrize(("first", "rows"), [(1, 5), (7, 5), (8, 4), (15, 3), (22, 1)])
def test_beginning_again_gives_the_same_bits(first, rows, budget):
    array = np.random.default_rng(2).normal(size=(1, 23, 19, 17)).astype(np.float32)
    network = as_predictor(conv_network(1, 2))
    sampling = Sampling((8, 7, 6), 0.5, "monai", "monai")
    calls = []

    def counted(patch):
        calls.append(1)
        return network(patch)

    whole = collect(array, [network], sampling)
    resumed = collect(array, [counted], sampling, first_plane=first, budget_bytes=budget)
    assert np.array_equal(resumed[:, first:], whole[:, first:])
    assert len(calls) == patch_count((23, 19, 17), sampling, first) == rows * 5 * 5


def test_mirror_images_are_averaged():
    def ramp(patch):
        return patch * np.arange(1, 1 + patch.shape[1], dtype=np.float32)[None, :, None, None]

    array = np.ones((1, 4, 3, 2), np.float32)
    plain = collect(array, [ramp], Sampling((4, 3, 2)), classes=1)
    mirrored = collect(array, [ramp], Sampling((4, 3, 2), mirror_axes=(0,)), classes=1)
    assert plain[0, :, 0, 0] == pytest.approx([1, 2, 3, 4])
    assert mirrored[0, :, 0, 0] == pytest.approx([2.5] * 4)
    across = collect(array, [ramp], Sampling((4, 3, 2), mirror_axes=(1, 2)), classes=1)
    assert across == pytest.approx(plain)


def test_calls_are_patches_times_networks_times_flips():
    calls = []

    def counted(patch):
        calls.append(patch.shape)
        return affine(patch)

    array = np.zeros((1, 12, 11, 10), np.float32)
    sampling = Sampling((6, 6, 6), 0.5, mirror_axes=(0, 2))
    collect(array, [counted, counted], sampling)
    assert len(calls) == 3 * 3 * 3 * 2 * 4
    assert set(calls) == {(1, 6, 6, 6)}


def test_an_ensemble_is_the_mean_of_its_logits_though_answers_are_overwritten():
    buffer = np.zeros((1, 4, 4, 4), np.float32)

    def answering(value):
        def predict(patch):
            buffer[:] = value
            return buffer

        return predict

    found = collect(
        np.zeros((1, 7, 5, 4), np.float32), [answering(1), answering(2), answering(6)], Sampling((4, 4, 4)), 1
    )
    assert found == pytest.approx(np.full((1, 7, 5, 4), 3.0))


@pytest.mark.parametrize("budget", [0, AMPLE])
def test_empty_boxes_are_not_computed(budget):
    array = np.zeros((1, 16, 12, 8), np.float32)
    array[0, 9:11, 2:4, 3:5] = 5
    calls, seen = [], []

    def counted(patch):
        calls.append(patch.max())
        return affine(patch)

    def skip(box):
        seen.append(box)
        return not array[(0, *box)].any()

    found = collect(
        array, [counted], Sampling((4, 4, 4), 0.0, weights="constant"), skip=skip, empty=(-7, 9), budget_bytes=budget
    )
    assert len(seen) == 4 * 3 * 2
    assert calls == [5, 5]
    inside = np.zeros(array.shape[1:], bool)
    inside[8:12, 0:4] = True
    assert np.array_equal(found[0][inside], 2 * array[0][inside] + 1)
    assert (found[0][~inside] == -7).all()
    assert (found[1][~inside] == 9).all()


def test_skipping_needs_to_know_what_is_empty():
    with pytest.raises(ValueError, match="empty"):
        collect(np.zeros((1, 4, 4, 4), np.float32), [affine], Sampling((4, 4, 4)), skip=lambda box: True)


def test_cancel_takes_effect_within_one_patch_and_leaves_no_file(tmp_path):
    cancel, calls = threading.Event(), []

    def predict(patch):
        calls.append(1)
        if len(calls) == 3:
            cancel.set()
        return affine(patch)

    array = np.zeros((1, 8, 8, 40), np.float32)
    with pytest.raises(CancelledError, match="cancelled"):
        collect(
            array,
            [predict],
            Sampling((8, 8, 8), 0.5),
            monitor=Monitor(9, cancel=cancel),
            budget_bytes=0,
            workspace=tmp_path,
        )
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_patch():
    told, sampling = [], Sampling((8, 8, 8), 0.5)
    array = np.zeros((1, 20, 9, 12), np.float32)
    monitor = Monitor(patch_count((20, 9, 12), sampling), lambda *step: told.append(step))
    collect(array, [affine], sampling, monitor=monitor)
    assert [step[0] for step in told] == list(range(1, 17))
    assert told[-1] == (16, 16, "patch 16 of 16")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda p: np.zeros((3, *p.shape[1:]), np.float32), r"shape \(3, 4, 4, 4\)"),
        (lambda p: np.full((2, *p.shape[1:]), np.nan, np.float32), "not finite"),
        (lambda p: np.full((2, *p.shape[1:]), np.inf, np.float32), "not finite"),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused(answer, message):
    with pytest.raises(ModelError, match=message):
        collect(np.zeros((1, 4, 4, 4), np.float32), [answer], Sampling((4, 4, 4)))


def test_no_network():
    with pytest.raises(ValueError, match="predictor"):
        collect(np.zeros((1, 4, 4, 4), np.float32), [], Sampling((4, 4, 4)))


def _blending_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("radcnn-blend")]


def test_an_error_of_the_device_is_passed_on_and_nothing_stays(tmp_path):
    calls = []

    def predict(patch):
        calls.append(1)
        if len(calls) == 5:
            raise ResourceError("out of device memory")
        return affine(patch)

    array = np.zeros((1, 16, 8, 24), np.float32)
    with pytest.raises(ResourceError, match="out of device memory"):
        collect(array, [predict], Sampling((8, 8, 8), 0.0), budget_bytes=0, workspace=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert _blending_threads() == []


def test_a_caller_that_stops_early_leaves_nothing():
    calls = []

    def predict(patch):
        calls.append(1)
        return affine(patch)

    array = np.zeros((1, 32, 8, 8), np.float32)
    stream = run_patches(
        [predict],
        lambda box: array[(slice(None), *box)],
        (32, 8, 8),
        Sampling((8, 8, 8), 0.0),
        classes=2,
        budget_bytes=AMPLE,
    )
    assert next(stream)[0] == 8
    assert len(_blending_threads()) == 1
    stream.close()
    assert len(calls) == 1
    assert _blending_threads() == []
