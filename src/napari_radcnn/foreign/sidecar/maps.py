"""The part of a ``model.json`` for a network that answers for every voxel: a segmentation, or an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from napari_radcnn.foreign.arguments import Arguments
from napari_radcnn.foreign.description import labels_for
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.foreign.sidecar.input import read_intensity, read_orientation, read_sampling, read_spacing
from napari_radcnn.results import Label


def read_names(a: Arguments) -> list[str]:
    """Return ``classes``; empty where it is left out."""
    names = a.take("classes", [])
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names) or len(names) > 4096:
        raise a.wrong("'classes' must be a list of names, one for each channel of the output", "classes")
    return names


def read_image_values(a: Arguments) -> steps.ImageValues:
    """Return what the values of an image are that is made of a scan."""
    unit, modality = a.text("unit"), a.text("modality", "")
    if not unit:
        raise a.wrong("'unit' must not be empty; that of plain numbers is \"1\"", "unit")
    slope, intercept = read_scale(a)
    return steps.ImageValues(unit, modality, slope, intercept, read_limits(a))


def read_scale(a: Arguments) -> tuple[float, float]:
    """Return slope and intercept from the network's number to the value."""
    given = a.take("scale", {})
    if not isinstance(given, Mapping):
        raise a.wrong('\'scale\' must be a mapping, such as {"slope": 240, "intercept": 0}', "scale")
    inner = a.inside(given, "scale", what="'scale'")
    slope, intercept = inner.number("slope", 1.0), inner.number("intercept", 0.0)
    inner.done()
    if slope == 0:
        raise inner.wrong("the slope must not be 0", "slope")
    return slope, intercept


def read_limits(a: Arguments) -> tuple[float, float] | None:
    """Return the least and the greatest value there can be."""
    limits = a.numbers("limits")
    if limits is None:
        return None
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise a.wrong("'limits' must be two numbers, the lower first", "limits")
    return limits[0], limits[1]


def read_maps(a: Arguments, task: str, channels: int) -> tuple[steps.Processing, dict[int, Label]]:
    """Return how the network is run, and its labels."""
    dims = a.only("spatial_dims", [2, 3], 3)
    turn, sampling = read_orientation(a), read_sampling(a, dims)
    there = (
        *turn,
        *read_spacing(a),
        *read_intensity(a),
        *((steps.CropForeground(),) if a.flag("crop_foreground") else ()),
    )
    keep_scale = a.flag("keep_scale", True) if task != "synthesis" else False
    names = read_names(a)
    activation = a.only("activation", ["softmax", "sigmoid", "none"], "softmax" if task == "segmentation" else "none")
    threshold, colors, largest = a.number("threshold", 0.5), a.take("colors", {}), a.take("keep_largest", False)
    if task != "segmentation":
        if names or activation != "none":
            raise a.wrong(
                f"a model for {task} has no 'classes' and no 'activation'", "classes" if names else "activation"
            )
        made = read_image_values(a) if task == "synthesis" else None
        back: tuple[steps.BackStep, ...] = (steps.Invert("linear"),)
        processing = steps.Processing(
            channels,
            1,
            there,
            sampling,
            back,
            (),
            dims,
            "image",
            keep_scale=keep_scale,
            stored_order=(0, 1, 2),
            made=made,
        )
        return processing, {}
    if not names:
        raise a.wrong("'classes' is missing: the name of each channel of the output, background included")
    is_argmax = activation == "softmax" or (activation == "none" and len(names) > 1)
    numbers, labels = labels_for(names, is_argmax)
    back = (
        *(() if activation == "none" else (steps.Activate(activation),)),
        steps.Invert("linear"),
        steps.Decide("argmax" if is_argmax else "threshold", threshold),
        *_largest(a, largest, labels),
    )
    processing = steps.Processing(
        channels, len(names), there, sampling, back, numbers, dims, "labels", stored_order=(0, 1, 2)
    )
    return processing, _colored(a, labels, colors)


def _largest(a: Arguments, option: Any, labels: Mapping[int, Label]) -> tuple[steps.BackStep, ...]:
    if option is False:
        return ()
    if option is True:
        return (steps.KeepLargest(),)
    names = {label.name: value for value, label in labels.items()}
    if not isinstance(option, list) or not all(isinstance(n, str) and n in names for n in option):
        raise a.wrong("'keep_largest' must be true, false or a list of class names", "keep_largest")
    return (steps.KeepLargest(tuple(names[n] for n in option)),)


def _colored(a: Arguments, labels: dict[int, Label], colors: Any) -> dict[int, Label]:
    names = {label.name for label in labels.values()}
    if not isinstance(colors, Mapping) or not set(colors) <= names:
        raise a.wrong("'colors' must give red, green and blue (0 to 1) for names in 'classes'", "colors")
    for color in colors.values():
        if not (isinstance(color, list) and len(color) == 3 and all(type(c) in (int, float) for c in color)) or not all(
            0 <= c <= 1 for c in color
        ):
            raise a.wrong("a color must be three numbers from 0 to 1", "colors")
    return {
        value: replace(label, color=_color(colors[label.name])) if label.name in colors else label
        for value, label in labels.items()
    }


def _color(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
