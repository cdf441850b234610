"""Bundles whose network answers once for a whole scan: a row of numbers, one for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.described import Activation, Answering, Classes
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.geometry import Shape
from napari_radcnn.networks.architectures import answers_once
from napari_radcnn.spec.patches import Architecture

#: How metadata call such an answer.
_FORMATS = ("classes", "labels", "classification")


def is_answer(architecture: Architecture, prediction: Mapping[str, Any]) -> bool:
    """Return whether a bundle classifies whole scans, by its network or by what its metadata say of the output."""
    return answers_once(architecture.name) or prediction.get("format") in _FORMATS


def answering_of(
    there: tuple[steps.Step, ...],
    back: Sequence[steps.BackStep],
    names: Sequence[str],
    channels: int,
    dims: int,
    stored_order: Shape,
    image: Mapping[str, Any],
    shown: str,
) -> Answering:
    """Return how the network of a bundle is run.

    Parameters
    ----------
    there, back : sequence of step
        Its preprocessing and postprocessing.
    names : sequence of str
        Of the classes.
    channels, dims : int
        Of the network's input.
    stored_order : tuple of int
        As of `Answering`.
    image : mapping
        What the metadata say of the input.
    shown : str
        The file, for messages.

    Raises
    ------
    ModelError
        If it does not say to what size a scan is brought.
    """
    copies = next((step.times for step in there if isinstance(step, steps.Repeat)), 1)
    if channels % copies:
        raise ModelError(f"{shown}: {copies} equal channels are made, but the network takes {channels}.")
    activation: Activation = next((step.kind for step in back if isinstance(step, steps.Activate)), "softmax")
    threshold = next((s.threshold for s in back if isinstance(s, steps.Decide) and s.kind == "threshold"), None)
    if threshold is not None and not any(isinstance(step, steps.Activate) for step in back):
        activation = "sigmoid"
    if len(names) == 1:
        activation = "sigmoid"
    is_exclusive = activation == "softmax"
    thresholds = () if threshold is None or is_exclusive else (threshold,) * len(names)
    classes = Classes(tuple(names), "exclusive" if is_exclusive else "multi-label", activation, thresholds=thresholds)
    shape = _shape(there, dims, image, shown)
    return Answering(channels // copies, channels, there, shape, classes, dims, "one", stored_order)


def _shape(there: tuple[steps.Step, ...], dims: int, image: Mapping[str, Any], shown: str) -> Shape:
    """Return what the network sees: what the last step makes of any scan, else what the metadata say."""
    for step in reversed(there):
        if isinstance(step, steps.Resize | steps.Center) and all(step.shape[3 - dims :]):
            return (1, *step.shape[1:]) if dims == 2 else step.shape
    given = image.get("spatial_shape")
    if isinstance(given, list) and len(given) == dims and all(type(n) is int and 1 <= n <= 4096 for n in given):
        return (1, given[0], given[1]) if dims == 2 else (given[0], given[1], given[2])
    raise ModelError(
        f"{shown}: it is not stated to what size a scan is brought: neither a Resized or ResizeWithPadOrCropd "
        "in the preprocessing nor a 'spatial_shape' of numbers in the metadata."
    )
