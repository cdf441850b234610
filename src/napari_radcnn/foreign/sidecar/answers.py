"""The part of a ``model.json`` for a network that answers once for a whole scan: classes, a value, landmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from napari_radcnn.foreign.answers.described import (
    Answer,
    Answering,
    Classes,
    Hazards,
    IntervalKind,
    Points,
    Quantity,
    Vector,
)
from napari_radcnn.foreign.arguments import Arguments
from napari_radcnn.foreign.processing import steps as steps
from napari_radcnn.foreign.sidecar.clinical import read_parts, read_values, read_views
from napari_radcnn.foreign.sidecar.input import read_intensity, read_orientation, read_patch, read_spacing
from napari_radcnn.foreign.sidecar.maps import read_limits, read_names, read_scale
from napari_radcnn.geometry import Shape
from napari_radcnn.results import ClassKind, OperatingPoint

_FITS = ("linear", "area", "antialias", "center", "exact")


def read_answering(a: Arguments, task: str, scans: int) -> Answering:
    """Return how a network that answers once for a whole scan is run."""
    dims = a.only("spatial_dims", [2, 3], 3)
    turn, shape = read_orientation(a), read_patch(a, dims)
    copies = read_copies(a, scans)
    spacing = read_spacing(a)
    crop = (steps.CropForeground(),) if a.flag("crop_foreground") else ()
    there = (
        *turn,
        *spacing,
        *((steps.Repeat(copies),) if copies > 1 else ()),
        *read_intensity(a, (*crop, *read_fit(a, shape, dims))),
    )
    slices, is_as_stored, answer = read_slices(a, task, dims), read_monochrome1(a), read_answer(a, task)
    values, is_apart = read_values(a), read_views(a, scans)
    parts = read_parts(a, scans, scans * copies, len(values))
    channels = scans * copies + len(values)
    how = Answering(scans, channels, there, shape, answer, dims, slices, is_as_stored=is_as_stored)
    return replace(how, values=values, parts=parts, is_apart=is_apart)


def read_answer(a: Arguments, task: str) -> Answer:
    """Return what the numbers of a network for this task mean."""
    return _ANSWERS[task](a)


def read_slices(a: Arguments, task: str, dims: int) -> Literal["one", "mean", "max"]:
    """Return what a network of two dimensions makes of several slices."""
    slices: Literal["one", "mean", "max"] = a.only("slices", ["one", "mean", "max"], "one")
    if slices != "one" and dims == 3:
        raise a.wrong("'slices' is for networks of two dimensions", "slices")
    if slices == "max" and task in ("regression", "survival", "embedding"):
        raise a.wrong("outputs of slices that are not probabilities can only be combined by their mean", "slices")
    if slices != "one" and task == "landmarks":
        raise a.wrong("landmarks can only be detected in one slice", "slices")
    return slices


def read_monochrome1(a: Arguments) -> bool:
    """Return whether a radiograph whose low values are shown bright is shown to the network as it is stored."""
    return bool(a.only("monochrome1", ["bright", "stored"], "bright") == "stored")


def read_copies(a: Arguments, scans: int) -> int:
    """Return as how many equal channels one scan is shown."""
    copies = a.counts("repeat_channels", 1, length=1)[0]
    if not 1 <= copies <= 64 or (copies > 1 and scans > 1):
        raise a.wrong(
            "'repeat_channels' must be a number from 1 to 64, and 1 for a network of several inputs", "repeat_channels"
        )
    return copies


def read_fit(a: Arguments, shape: Shape, dims: int) -> tuple[steps.Step, ...]:
    """Return what brings a scan to the size of the patch."""
    kind = a.take("fit", None)
    if kind not in _FITS:
        what = "is missing" if kind is None else f"is {str(kind)[:40]!r}"
        raise a.wrong(
            f"'fit' {what}: how a scan is resized to the patch: 'linear', 'area' or 'antialias' "
            "(interpolated), 'center' (cut out of its middle, padded with zeros if smaller) or 'exact' (it already "
            "has this size)",
            "fit",
        )
    wanted = (0, shape[1], shape[2]) if dims == 2 else shape
    shorter = a.counts("shorter", 0, length=1)[0]
    if shorter and (kind != "center" or dims != 2 or not 1 <= shorter <= 4096):
        raise a.wrong('\'shorter\' is a number of pixels for two dimensions with "fit": "center"', "shorter")
    if kind == "center":
        return (*((steps.Resize(kind="antialias", shorter=shorter),) if shorter else ()), steps.Center(wanted))
    return () if kind == "exact" else (steps.Resize(wanted, kind),)


# -- classes ----------------------------------------------------------------------------------------------------------


def _classes(a: Arguments) -> Classes:
    names = read_names(a)
    if len(names) < 1 or len(set(names)) != len(names):
        raise a.wrong("'classes' must name each class, none twice", "classes")
    kind: ClassKind = a.only("kind", list(get_args(ClassKind)), "exclusive")
    if kind != "multi-label" and len(names) < 2:
        raise a.wrong(f"{kind} classes are two or more", "classes")
    usual = {"exclusive": "softmax", "multi-label": "sigmoid", "ordinal": "softmax"}[kind]
    activation = a.only("activation", ["softmax", "sigmoid", "none"], usual)
    if kind == "multi-label" and activation == "softmax":
        raise a.wrong("with softmax the classes exclude each other: 'kind' must be 'exclusive'", "activation")
    if kind == "exclusive" and activation == "sigmoid" and len(names) > 2:
        raise a.wrong("with sigmoid several classes may be present: 'kind' must be 'multi-label'", "activation")
    is_cumulative = a.flag("cumulative", kind == "ordinal" and activation == "sigmoid")
    if is_cumulative and (kind != "ordinal" or activation == "softmax"):
        raise a.wrong("'cumulative' is for ordinal classes without softmax", "cumulative")
    if kind == "ordinal" and activation == "sigmoid" and not is_cumulative:
        raise a.wrong("ordinal classes with sigmoid are 'cumulative'", "cumulative")
    temperature = a.number("temperature", 1.0)
    if not temperature > 0 or (temperature != 1.0 and activation == "none"):
        raise a.wrong("'temperature' must be more than 0, and 1 where the network returns probabilities", "temperature")
    thresholds, points = _thresholds(a, names, kind), _operating_points(a, names, kind)
    return Classes(tuple(names), kind, activation, is_cumulative, temperature, thresholds, points)


def _thresholds(a: Arguments, names: list[str], kind: ClassKind) -> tuple[float, ...]:
    """Return the thresholds of the last names: all of them, all grades but the lowest, or the second of two classes."""
    given = a.take("thresholds", {})
    allowed = names if kind == "multi-label" else names[1:]
    if not isinstance(given, Mapping) or not set(given) <= set(allowed):
        raise a.wrong(f"'thresholds' must give a probability for names of: {', '.join(allowed)}", "thresholds")
    if given and kind == "exclusive" and len(names) > 2:
        raise a.wrong(
            "with more than two exclusive classes, the most likely one is chosen: omit 'thresholds'", "thresholds"
        )
    for name, value in given.items():
        if type(value) not in (int, float) or not 0 < value < 1:
            raise a.wrong(f"the threshold of '{name}' must be between 0 and 1", "thresholds", name)
    return tuple(float(given.get(name, 0.5)) for name in allowed) if given else ()


def _operating_points(a: Arguments, names: list[str], kind: ClassKind) -> tuple[tuple[str, OperatingPoint], ...]:
    """Return the thresholds that classes were tested at."""
    given = a.take("operating_points", {})
    allowed = names if kind == "multi-label" else names[1:]
    is_choice = kind != "exclusive" or len(names) == 2
    if not isinstance(given, Mapping) or not set(given) <= set(allowed) or (given and not is_choice):
        raise a.wrong(
            "'operating_points' must be lists of points by name: of findings, of grades but the lowest, or of the "
            "second of two classes",
            "operating_points",
        )
    found = []
    for name, points in given.items():
        if not isinstance(points, list) or not all(isinstance(point, Mapping) for point in points):
            raise a.wrong(f"the operating points of '{name}' must be a list", "operating_points", name)
        for number, point in enumerate(points):
            inner = a.inside(point, "operating_points", name, number, what=f"operating point of '{name}'")
            values = [inner.number(key) for key in ("threshold", "sensitivity", "specificity")]
            made = OperatingPoint(inner.text("name"), *values)
            inner.done()
            if not all(0 <= value <= 1 for value in values):
                raise inner.wrong("threshold, sensitivity and specificity must be between 0 and 1")
            found.append((str(name), made))
    return tuple(found)


# -- a value ----------------------------------------------------------------------------------------------------------


def _quantity(a: Arguments) -> Quantity:
    name, unit = a.text("quantity"), a.text("unit")
    if not name or not unit:
        raise a.wrong("'quantity' and 'unit' must not be empty; the unit of a plain number is \"1\"", "unit")
    slope, intercept = read_scale(a)
    limits = read_limits(a)
    inner = _mapping(a, "interval", '{"kind": "fixed", "half_width": 6, "level": 0.95}')
    kind: IntervalKind = inner.only("kind", list(get_args(IntervalKind)), "none")
    half_width, level = inner.number("half_width", 0.0), inner.number("level", 0.95)
    inner.done()
    if (half_width > 0) != (kind == "fixed"):
        raise inner.wrong(
            "'half_width' must be more than 0 for a fixed interval, and omitted for any other", "half_width"
        )
    if not 0 < level < 1:
        raise inner.wrong("'level' must be between 0 and 1", "level")
    return Quantity(name, unit, slope, intercept, limits, kind, half_width, level)


# -- survival ---------------------------------------------------------------------------------------------------------


def _hazards(a: Arguments) -> Hazards:
    event = a.text("event")
    if not event:
        raise a.wrong("'event' must name the event, such as \"death\"", "event")
    form = a.only("form", ["log-hazard", "intervals"], "log-hazard")
    times = a.numbers("times") or ()
    unit = a.text("unit", "")
    if list(times) != sorted(set(times)) or (times and times[0] <= 0):
        raise a.wrong("'times' must be numbers above 0 in increasing order", "times")
    if bool(times) != bool(unit):
        raise a.wrong("'times' and their 'unit' must be given together", "unit" if unit else "times")
    cuts, groups = _groups(a)
    if form == "intervals":
        if not times:
            raise a.wrong("'times' is missing: the end of each interval", "times")
        activation = a.only("activation", ["sigmoid", "none"], "sigmoid")
        return Hazards(event, form, unit, times, (), 0.0, activation, cuts, groups)
    baseline = a.numbers("baseline") or ()
    if len(baseline) != len(times) or list(baseline) != sorted(baseline) or (baseline and baseline[0] < 0):
        raise a.wrong("'baseline' must be the cumulative hazard at each of 'times', never decreasing", "baseline")
    return Hazards(event, form, unit, times, baseline, a.number("reference", 0.0), "none", cuts, groups)


def _groups(a: Arguments) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return from which risk groups begin, and their names."""
    inner = _mapping(a, "groups", '{"names": ["low", "high"], "cuts": [0.3]}')
    cuts, names = inner.numbers("cuts") or (), inner.take("names", [])
    inner.done()
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise inner.wrong("'names' must be a list of names, the lowest risk first", "names")
    if list(cuts) != sorted(set(cuts)) or len(names) != (len(cuts) + 1 if cuts else 0):
        raise inner.wrong("'cuts' must be risks in increasing order, one fewer than names", "cuts")
    return cuts, tuple(names)


# -- landmarks --------------------------------------------------------------------------------------------------------


def _points(a: Arguments) -> Points:
    names = a.take("landmarks", [])
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names) or not 1 <= len(names) <= 4096:
        raise a.wrong("'landmarks' must be a list of names, one for each map or point of the output", "landmarks")
    if len(set(names)) != len(names):
        raise a.wrong("'landmarks' must name each landmark, none twice", "landmarks")
    form = a.only("form", ["heat-maps", "coordinates"], "heat-maps")
    least = a.number("least_score", 0.0)
    if not 0 <= least <= 1:
        raise a.wrong("'least_score' must be between 0 and 1", "least_score")
    if form == "heat-maps":
        activation = a.only("activation", ["none", "sigmoid", "softmax"], "none")
        return Points(tuple(names), form, activation, a.only("position", ["peak", "mean"], "peak"), least_score=least)
    unit = a.only("coordinates", ["voxel", "fraction", "signed"], "voxel")
    is_reversed = a.only("order", ["axes", "reversed"], "axes") == "reversed"
    is_by_axis = a.only("layout", ["points", "axes"], "points") == "axes"
    has_scores = a.flag("scores")
    activation = a.only("activation", ["none", "sigmoid"], "none")
    if not has_scores and (least > 0 or activation != "none"):
        raise a.wrong("without 'scores' there is neither a 'least_score' nor an 'activation'", "scores")
    return Points(tuple(names), form, activation, "peak", unit, is_reversed, has_scores, least, is_by_axis)


def _vector(a: Arguments) -> Vector:
    (length,) = a.counts("length", length=1)
    if length < 1:
        raise a.wrong("'length' must be the number of values that the network returns", "length")
    return Vector(length, a.flag("normalize"))


def _mapping(a: Arguments, name: str, example: str) -> Arguments:
    given: Any = a.take(name, {})
    if not isinstance(given, Mapping):
        raise a.wrong(f"'{name}' must be a mapping, such as {example}", name)
    return a.inside(given, name, what=f"'{name}'")


_ANSWERS: dict[str, Callable[[Arguments], Answer]] = {
    "classification": _classes,
    "regression": _quantity,
    "survival": _hazards,
    "landmarks": _points,
    "embedding": _vector,
}
