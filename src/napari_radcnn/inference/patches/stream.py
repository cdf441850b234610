"""Runs networks over a volume patch by patch and hands out their blended answer as it becomes final."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.patches.accumulate import Blend, BlendingThread
from napari_radcnn.inference.patches.positions import (
    axis_starts,
    clipped,
    padding,
    patch_box,
    patch_count,
    patch_weights,
)
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import Sampling

if TYPE_CHECKING:
    from napari_radcnn.inference.backends.base import Patch, Predictor

#: Gives a float32 ``(channels, k, j, i)`` block of the volume.
Reader = Callable[[Box], "Patch"]


def run_patches(
    predictors: Sequence[Predictor],
    read: Reader,
    shape: Shape,
    sampling: Sampling,
    *,
    classes: int,
    budget_bytes: int,
    monitor: Monitor | None = None,
    skip: Callable[[Box], bool] | None = None,
    empty: Sequence[float] | None = None,
    first_plane: int = 0,
    workspace: Path | None = None,
) -> Iterator[tuple[int, Blend]]:
    """Run networks over overlapping patches.

    Parameters
    ----------
    predictors : sequence of Predictor
        For patches of ``sampling.patch``; the mean of their logits is taken.
    read : callable
        See `Reader`; it is asked for boxes inside the volume only.
    shape : tuple of int
        Of the volume, in the order of the network's axes.
    sampling : Sampling
        Where the patches lie, how they are mirrored and blended.
    classes : int
        Channels of the answer.
    budget_bytes : int
        Memory for the blended answer, see `Blend`.
    monitor : Monitor, optional
        Gets one step a patch (`patch_count` says how many), and may cancel between two.
    skip : callable, optional
        Says whether a box holds nothing, so that its patch need not be computed.
    empty : sequence of float, optional
        Logits of voxels that only skipped patches cover; needed with `skip`.
    first_plane : int
        Where to begin again after an interruption: planes below are not computed, the others come out the same.
    workspace : Path or None
        Folder of a temporary file, if one is needed; None takes the system's.

    Yields
    ------
    final : int
        Number of planes along the first axis, counted from 0, that no further patch touches.
    blend : Blend
        Reads them, until the next step is asked for. The caller must `Blend.release` what it needs no more, or memory
        grows; what it does not release can be read after later steps too, until the last has been taken.

    Raises
    ------
    ModelError
        If a network's answer is of another shape, or not finite.
    ResourceError
        If memory or disk do not suffice.
    CancelledError
        If the user asked to stop.
    """
    if skip is not None and empty is None:
        raise ValueError("`skip` needs `empty`, the logits of a skipped voxel")
    axes = axis_starts(shape, sampling)
    before = padding(shape, sampling.patch)[0][0]
    ends = [start - before for start in axes[0][1:]] + [shape[0]]
    weights = patch_weights(sampling)
    blend = Blend(shape, classes, sampling.patch, budget_bytes, workspace, first_plane=first_plane, empty=empty)
    thread = BlendingThread(blend)
    number, count = 0, patch_count(shape, sampling, first_plane)
    try:
        for k, end in zip(axes[0], ends, strict=True):
            if k - before + sampling.patch[0] <= first_plane:
                continue
            for j in axes[1]:
                thread.go_to(*patch_box((k, j, 0), shape, sampling.patch)[:2])
                for i in axes[2]:
                    number += 1
                    box = patch_box((k, j, i), shape, sampling.patch)
                    if skip is None or not skip(clipped(box, shape)):
                        patch = read_padded(read, box, shape, sampling.padding_value)
                        thread.add(box, predict(predictors, patch, classes, sampling.mirror_axes, monitor), weights)
                    if monitor is not None:
                        monitor.step(f"patch {number} of {count}")
            thread.settle()
            if end > first_plane:
                yield end, blend
    finally:
        thread.close()
        blend.close()


def read_padded(read: Reader, box: Box, shape: Shape, value: float) -> Patch:
    """Return a box that may reach outside the volume, `value` there; float32, contiguous."""
    inside = clipped(box, shape)
    block = np.ascontiguousarray(read(inside), np.float32)
    missing = [(within.start - side.start, side.stop - within.stop) for side, within in zip(box, inside, strict=True)]
    if not any(before or after for before, after in missing):
        return block
    return np.pad(block, [(0, 0), *missing], constant_values=value)


def predict(
    predictors: Sequence[Predictor],
    patch: Patch,
    classes: int,
    mirror_axes: Sequence[int] = (),
    monitor: Monitor | None = None,
) -> Patch:
    """Return the mean of all networks' logits of a patch and its mirror images, ``(classes, k, j, i)``.

    The answer may be overwritten by the next call.

    Raises
    ------
    ModelError
        If an answer is of another shape, or not finite.
    """
    flips = [axes for count in range(len(mirror_axes) + 1) for axes in combinations(mirror_axes, count)]
    total: Patch | None = None
    for predictor in predictors:
        for axes in flips:
            if monitor is not None:
                monitor.check()
            turned = tuple(axis + 1 for axis in axes)
            answer = predictor(np.ascontiguousarray(np.flip(patch, turned)) if turned else patch)
            _check_answer(answer, (classes, *patch.shape[1:]))
            if len(predictors) * len(flips) == 1:
                return answer
            answer = np.flip(answer, turned)
            if total is None:
                total = np.array(answer, np.float32)
            else:
                total += answer
    if total is None:
        raise ValueError("at least one predictor is needed")
    total /= len(predictors) * len(flips)
    return total


def _check_answer(answer: Patch, expected: tuple[int, ...]) -> None:
    if answer.shape != expected:
        raise ModelError(
            f"The output of the network has shape {answer.shape}, expected {expected} (classes, then the voxels of "
            "the patch): the description of the model does not match its weights."
        )
    if not np.isfinite(answer.sum()):
        raise ModelError(
            "The output of the network is not finite: its input contains non-finite values, or the precision is too "
            "low for this model; run it with precision float32."
        )
