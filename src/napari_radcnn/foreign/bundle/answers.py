"""Bundles whose network answers once for a whole scan: classes, and what their metadata state beyond that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.described import Activation, Answer, Answering, Classes, Points, Vector
from napari_radcnn.foreign.bundle.stated import KEY, Stated
from napari_radcnn.foreign.description import text_of
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.geometry import Shape
from napari_radcnn.networks.architectures import answers_once, known_name
from napari_radcnn.spec.patches import Architecture

#: How metadata call probabilities of classes: a format, or a type.
_CLASSES = frozenset({"classes", "labels", "classification", "probabilities", "probability"})
#: How they call other answers of a network that is run once, as MONAI's specification of bundles has them.
_POINTS, _LATENT = "points", "latent"
#: How they may call a value, of which they cannot say what it is of, nor its unit.
_VALUES = frozenset({"regression", "value", "values", "scalar", "number"})


def is_answer(architecture: Architecture, prediction: Mapping[str, Any]) -> bool:
    """Return whether a bundle answers once for whole scans: by its network, or by what its metadata say of the output.

    Formats of classes are those of maps as well; a network that is known to make maps makes maps.
    """
    if known_name(architecture.name) is not None:
        return answers_once(architecture.name)
    formats = _CLASSES | _VALUES | {_POINTS, _LATENT}
    return prediction.get("format") in formats or prediction.get("type") in ("probabilities", "probability")


def answer_of(
    stated: Stated | None,
    architecture: Architecture,
    prediction: Mapping[str, Any],
    metadata: Mapping[str, Any],
    back: Sequence[steps.BackStep],
    classes: Callable[[], Sequence[str]],
    dims: int,
    shown: str,
) -> Answer:
    """Return what the numbers of a bundle's network mean.

    Parameters
    ----------
    stated : Stated or None
        What its metadata state in the keys of a ``model.json``.
    architecture : Architecture
        The network.
    prediction, metadata : mapping
        What its metadata say of the output, and all of them.
    back : sequence of step
        Its postprocessing.
    classes : callable
        Returns the names of the classes, or refuses what metadata and network disagree about.
    dims : int
        Of the network.
    shown : str
        The file, for messages.

    Raises
    ------
    ModelError
        If it is not known what the network answers with, or its postprocessing does not go with that.
    """
    described = prediction.get("format")
    if stated is not None and stated.task == "classification":
        of_steps = next((step.kind for step in back if isinstance(step, steps.Activate)), None)
        given = {} if stated.a.has("classes") else {"classes": list(classes())}
        return stated.answer(**given, **({} if of_steps is None else {"activation": of_steps}))
    is_points = described == _POINTS if stated is None else stated.task == "landmarks"
    is_value = described in _VALUES or (known_name(architecture.name) == "Regressor" and described not in _CLASSES)
    if stated is None and not is_points and described != _LATENT:
        if is_value:
            raise ModelError(
                f"{shown}: the network returns a value, but its quantity and unit are not stated: add to "
                f'metadata.json "{KEY}": {{"task": "regression", "quantity": "bone age", "unit": "mo"}} (the keys of a '
                "model.json)."
            )
        return _classes(back, classes())
    activation = next((step.kind for step in back if isinstance(step, steps.Activate)), None)
    if stated is not None and is_points and activation is not None:
        return stated.answer(activation=activation)
    if activation is not None or any(not isinstance(step, steps.Invert) for step in back):
        step = next(step for step in back if not isinstance(step, steps.Invert))
        raise ModelError(f"{shown}: '{type(step).__name__}' in the postprocessing is not supported for such an output.")
    if stated is not None:
        return stated.answer()
    return _points(prediction, metadata, dims, shown) if is_points else _vector(prediction, shown)


def answering_of(
    there: tuple[steps.Step, ...],
    answer: Answer,
    channels: int,
    dims: int,
    stored_order: Shape,
    image: Mapping[str, Any],
    shown: str,
) -> Answering:
    """Return how the network of a bundle is run.

    Parameters
    ----------
    there : sequence of step
        Its preprocessing.
    answer : Answer
        What its numbers mean.
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
    shape = _shape(there, dims, image, shown)
    return Answering(channels // copies, channels, there, shape, answer, dims, "one", stored_order)


def _classes(back: Sequence[steps.BackStep], names: Sequence[str]) -> Classes:
    activation: Activation = next((step.kind for step in back if isinstance(step, steps.Activate)), "softmax")
    threshold = next((s.threshold for s in back if isinstance(s, steps.Decide) and s.kind == "threshold"), None)
    if threshold is not None and not any(isinstance(step, steps.Activate) for step in back):
        activation = "sigmoid"
    if len(names) == 1:
        activation = "sigmoid"
    is_exclusive = activation == "softmax"
    thresholds = () if threshold is None or is_exclusive else (threshold,) * len(names)
    return Classes(tuple(names), "exclusive" if is_exclusive else "multi-label", activation, thresholds=thresholds)


def _points(prediction: Mapping[str, Any], metadata: Mapping[str, Any], dims: int, shown: str) -> Points:
    """Return points as MONAI's metadata have them: voxels, a row for each, or for each axis."""
    shape = prediction.get("spatial_shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(n) is int and 1 <= n <= 4096 for n in shape):
        raise ModelError(f"{shown}: the 'spatial_shape' of points must be their number and {dims} coordinates.")
    if dims not in shape:
        raise ModelError(f"{shown}: points of {shape[1]} coordinates ({shape}) do not fit {dims} dimensions.")
    is_by_axis = shape[1] != dims  # the specification has a row for each point; the published bundle one for each axis
    count = shape[1] if is_by_axis else shape[0]
    meanings = metadata.get("coordinate_meanings")
    named = meanings if isinstance(meanings, Mapping) else {}
    names = [text_of(named.get(str(number))) or f"landmark {number + 1}" for number in range(count)]
    if len(set(names)) != count:
        raise ModelError(f"{shown}: 'coordinate_meanings' gives two landmarks the same name.")
    return Points(tuple(names), "coordinates", is_by_axis=is_by_axis)


def _vector(prediction: Mapping[str, Any], shown: str) -> Vector:
    count = prediction.get("num_channels")
    if type(count) is not int or not 1 <= count <= 1 << 20:
        raise ModelError(f"{shown}: 'num_channels' of a latent output must be the number of its values.")
    return Vector(count)


def _shape(there: tuple[steps.Step, ...], dims: int, image: Mapping[str, Any], shown: str) -> Shape:
    """Return what the network sees: what the last step makes of any scan, else what the metadata say."""
    for step in reversed(there):
        if isinstance(step, steps.Resize | steps.Center) and all(step.shape[3 - dims :]):
            return (1, *step.shape[1:]) if dims == 2 else step.shape
    given = image.get("spatial_shape")
    if isinstance(given, list) and len(given) == dims and all(type(n) is int and 1 <= n <= 4096 for n in given):
        return (1, given[0], given[1]) if dims == 2 else (given[0], given[1], given[2])
    raise ModelError(
        f"{shown}: the size that scans are resized to is not stated: there is neither a Resized or "
        "ResizeWithPadOrCropd in the preprocessing nor a 'spatial_shape' of numbers in the metadata."
    )
