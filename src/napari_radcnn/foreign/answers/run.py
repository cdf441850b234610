"""A foreign network that is run once for a whole scan, or once for each slice, in float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.foreign.answers.classes import probabilities_of
from napari_radcnn.foreign.answers.clinical import told_of, vector_of
from napari_radcnn.foreign.answers.described import Answering, Classes, Hazards, Points, Quantity, Vector
from napari_radcnn.foreign.answers.evidence import KIND, covers, occlusion, on_scan
from napari_radcnn.foreign.answers.points import places_of
from napari_radcnn.foreign.answers.quantity import value_of
from napari_radcnn.foreign.answers.risk import risk_of
from napari_radcnn.foreign.answers.shown import as_shown
from napari_radcnn.foreign.processing.input import RecipeInput, turned_scans
from napari_radcnn.foreign.requested import check_scans, network_of
from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.backends import Predictor, late_warnings
from napari_radcnn.inference.backends.apart.predictor import open_file_network
from napari_radcnn.inference.cost.costs import LIBRARY_BYTES, keeping_budget, kept_bytes, network_bytes
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Decided, Outcome, Request
from napari_radcnn.networks.files import open_network
from napari_radcnn.progress import Monitor
from napari_radcnn.results import Landmark, OperatingPoint, Regression, Survival
from napari_radcnn.suitability import what_is

_Floats = npt.NDArray[np.float64]
#: Peak memory of a network at work, a voxel of its input, before its first run on this computer.
_BYTES_A_VOXEL = 800
#: Numbers of an embedding that a manifest keeps, beside its length.
_MOST_COMPARED = 16


def plan(request: Request) -> Plan:
    """Return the cost: the network is run once, or once a slice."""
    how = _answering(request)
    scans = turned_scans(request.volumes[:1] if how.is_apart else request.volumes, how)
    count = _count(how, scans.shape[0] if how.spatial_dims == 2 else 1, request)
    file = request.spec.files[0].path
    weights = file.stat().st_size if file.exists() else 0
    at_first = LIBRARY_BYTES + 2 * weights + _BYTES_A_VOXEL * prod(how.shape)
    network = network_bytes(request, how.shape, at_first)
    memory = network + kept_bytes(how.channels, prod(scans.shape))
    told = (*told_of(how.values, request.options), *_order_of_views(request))
    count += _evidence_steps(request, how, count)
    return Plan(request.spec.name, count, how.shape, memory, warnings=told, network_bytes=network)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Run the network.

    Raises
    ------
    ModelError
        If the scan does not become what the network takes, or its answer is not what its description says.
    """
    how = _answering(request)
    monitor.say("preparing the scan")
    values = vector_of(how.values, request.options)
    seen, read = _shown(request, how, values, monitor)
    _check_shape(how, seen.shape, request)
    count = _count(how, seen.shape[0] if how.spatial_dims == 2 else 1, request)
    monitor.total = count + _evidence_steps(request, how, count)
    started = time.perf_counter()
    file = request.spec.files[0]
    network = open_network(file, channels=how.channels, spatial_dims=how.spatial_dims)
    settings = request.settings
    if settings.precision == "auto":  # one answer, whose digits count: nothing to be gained by fewer of them
        settings = replace(settings, precision="float32")
    predictor, told = open_file_network(
        network, how.shape, settings, threads=request.threads, outputs="answer", monitor=monitor
    )
    opening = time.perf_counter() - started
    try:
        each = []
        for k in range(count):
            planes = slice(k, k + 1) if how.spatial_dims == 2 else slice(0, seen.shape[0])
            given = read((planes, slice(0, seen.shape[1]), slice(0, seen.shape[2])))
            answer = np.array(predictor(given), np.float64)
            _check_answer(answer, how, request.spec.name)
            each.append(answer)
            monitor.step("computing")
        maps, unexplained = _evidence(request, how, given, each, seen, predictor, monitor)
        told = (*told, *unexplained, *late_warnings([predictor]))
        facts: dict[str, Any] = {"backend": predictor.backend, "network_shape": list(how.shape)}
        if count > 1:
            facts |= {"slices": count, "of_slices": how.slices}
        bare = Outcome(
            predictor.device, predictor.precision, facts=facts, warnings=told, opening_seconds=opening, maps=maps
        )
    finally:
        predictor.close()
    if isinstance(how.answer, Points):
        return _placed(each[0], how, how.answer, seen, bare)
    rows = [answer.ravel() for answer in each]
    if isinstance(how.answer, Vector):
        return _embedded(rows, how.answer, request.spec.name, bare)
    if isinstance(how.answer, Classes):
        return _classified(rows, how, how.answer, request.spec.name, bare)
    if isinstance(how.answer, Hazards):
        return _surviving(rows, how.answer, request.spec.name, bare)
    return _valued(rows, how.answer, request.spec.name, bare)


def _shown(
    request: Request, how: Answering, values: npt.NDArray[np.float32], monitor: Monitor
) -> tuple[RecipeInput, Callable[[Box], npt.NDArray[np.float32]]]:
    """Return the scans as the network sees them, and what reads a box of all its channels."""
    volumes = [as_shown(volume, how.is_as_stored) for volume in request.volumes]
    groups = [[volume] for volume in volumes] if how.is_apart else [volumes]
    each = [RecipeInput(group, how, keeping_budget(), monitor) for group in groups]
    for other in each[1:]:
        if other.shape != each[0].shape:
            _check_shape(how, other.shape, request)
            raise ModelError(
                f"'{other.scans.volumes[0].name}' has {other.shape[0]} slices where '{each[0].scans.volumes[0].name}' "
                f"has {each[0].shape[0]}: '{request.spec.name}' takes one picture for each view."
            )

    def read(box: Box) -> npt.NDArray[np.float32]:
        parts = [one.read(box) for one in each]
        rest = [np.full((1, *parts[0].shape[1:]), value, np.float32) for value in values]
        return np.concatenate([*parts, *rest]) if len(parts) > 1 or rest else parts[0]

    return each[0], read


def _order_of_views(request: Request) -> list[str]:
    """Return what speaks against the views that were given: one that looks like that of another input."""
    told = []
    for slot, volume in zip(request.spec.inputs, request.volumes, strict=False):
        view = what_is(volume).view if slot.view else None
        if view is not None and view.is_known and view.value != slot.view:
            told.append(
                f"'{volume.name}' looks like a {view.value} view, but '{slot.name}' is {slot.view}: the views may be "
                "in the wrong order."
            )
    return told


# -- evidence ---------------------------------------------------------------------------------------------------------


def _evidence_steps(request: Request, how: Answering, count: int) -> int:
    asked = getattr(request.options, "explain", False) and count == 1
    return len(covers(how.shape, how.spatial_dims)) + 1 if asked else 0


def _evidence(
    request: Request,
    how: Answering,
    given: npt.NDArray[np.float32],
    each: list[_Floats],
    seen: RecipeInput,
    predictor: Predictor,
    monitor: Monitor,
) -> tuple[dict[str, npt.NDArray[np.float32]], tuple[str, ...]]:
    """Return the map of what the answer hangs on where it is asked for, and why there is none."""
    if not getattr(request.options, "explain", False):
        return {}, ()
    if len(each) > 1:
        return {}, ("An evidence map is made of one picture, not of several slices: choose one.",)
    shown, answer = request.spec.name, how.answer
    best = 0
    if isinstance(answer, Classes):
        best = int(np.argmax(probabilities_of(each[0].ravel(), answer, shown)[0]))

    def number(patch: npt.NDArray[np.float32]) -> float:
        said = np.array(predictor(patch), np.float64).ravel()
        monitor.step("evidence: occlusion")
        if isinstance(answer, Classes):
            return float(probabilities_of(said, answer, shown)[0][best])
        if isinstance(answer, Hazards):
            return risk_of(said, answer, shown)[0]
        return value_of(said, answer, shown)[0] if isinstance(answer, Quantity) else 0.0

    return {KIND: on_scan(occlusion(number, given, how.spatial_dims), seen)}, ()


# -- what it said -----------------------------------------------------------------------------------------------------


def _classified(each: list[_Floats], how: Answering, classes: Classes, shown: str, bare: Outcome) -> Outcome:
    found = [probabilities_of(answer, classes, shown) for answer in each]
    table = np.stack([one for one, _ in found])
    joined = table.max(0) if how.slices == "max" else table.mean(0)
    if how.slices == "max" and classes.kind != "multi-label" and len(each) > 1:
        joined = joined / joined.sum()
    told = tuple(dict.fromkeys(text for _, texts in found for text in texts))
    first = len(classes.names) - len(classes.thresholds)
    points: dict[str, tuple[OperatingPoint, ...]] = {}
    for name, point in classes.operating_points:
        points[name] = (*points.get(name, ()), point)
    decided = Decided(classes.kind, dict(zip(classes.names[first:], classes.thresholds, strict=True)), points)
    named = {name: float(value) for name, value in zip(classes.names, joined, strict=True)}
    return replace(bare, probabilities=named, answer=decided, warnings=(*bare.warnings, *told))


def _valued(each: list[_Floats], quantity: Quantity, shown: str, bare: Outcome) -> Outcome:
    value, interval, told = value_of(np.mean(each, 0), quantity, shown)
    found = Regression(value, quantity.unit, interval, quantity.name, quantity.level, quantity.limits)
    numbers = {"value": value} | ({} if interval is None else {"low": interval[0], "high": interval[1]})
    return replace(bare, answer=found, numbers=numbers, warnings=(*bare.warnings, *told))


def _surviving(each: list[_Floats], hazards: Hazards, shown: str, bare: Outcome) -> Outcome:
    risk, free = risk_of(np.mean(each, 0), hazards, shown)
    found = Survival(risk, hazards.event, hazards.unit, free, hazards.cuts, hazards.groups)
    numbers = {"risk": risk, **{f"free at {time:g}": share for time, share in free}}
    return replace(bare, answer=found, numbers=numbers)


def _embedded(rows: list[_Floats], vector: Vector, shown: str, bare: Outcome) -> Outcome:
    found = np.mean(rows, 0)
    length = float(np.linalg.norm(found))
    if vector.is_normalized:
        if length == 0:
            raise ModelError(
                f"{shown}: the network returned only zeros, which have no direction; check the scan and the weights."
            )
        found = found / length
    first = {f"{number}": float(value) for number, value in enumerate(found[:_MOST_COMPARED])}
    return replace(bare, answer=tuple(map(float, found)), numbers={"length": length, **first})


def _placed(answer: _Floats, how: Answering, points: Points, seen: RecipeInput, bare: Outcome) -> Outcome:
    """Return the landmarks in the patient; those that are not found, or lie outside of the scan, are told."""
    places, scores = places_of(answer, points, seen.shape, how.spatial_dims)
    indices = seen.indices_of(places)
    inside = np.all((indices >= -0.5) & (indices <= np.array(seen.scans.volumes[0].shape) - 0.5), axis=1)
    world = seen.scans.volumes[0].geometry.to_world(indices)
    found: list[Landmark] = []
    numbers: dict[str, float] = {}
    told: list[str] = []
    for name, place, score, is_inside in zip(points.names, world, scores, inside.tolist(), strict=True):
        if score < points.least_score:
            told.append(f"'{name}' was not detected: its score is {score:.2f}, below {points.least_score:g}.")
        elif not is_inside:
            told.append(f"'{name}' was not detected: the network places it outside the scan.")
        else:
            x, y, z = map(float, place)
            found.append(Landmark(name, (x, y, z), float(score)))
            numbers |= {f"{name} {axis}": value for axis, value in zip("xyz", (x, y, z), strict=True)}
    return replace(bare, answer=tuple(found), numbers=numbers, warnings=(*bare.warnings, *told))


# -- checked ----------------------------------------------------------------------------------------------------------


def _answering(request: Request) -> Answering:
    how = network_of(request, Answering)
    check_scans(request, how.scans)
    return how


def _count(how: Answering, slices: int, request: Request) -> int:
    """Return how often the network is run."""
    if slices > 1 and how.slices == "one":
        raise ModelError(
            f"'{request.spec.name}' takes a single picture, but '{request.volume.name}' has {slices} slices: choose "
            'one, or set "slices" to "mean" or "max" in its model.json.'
        )
    return slices


def _check_shape(how: Answering, shape: Shape, request: Request) -> None:
    wanted = (shape[0], *how.shape[1:]) if how.spatial_dims == 2 else how.shape
    if shape != wanted:
        here, there = (" x ".join(map(str, one[3 - how.spatial_dims :])) for one in (shape, wanted))
        raise ModelError(
            f"'{request.volume.name}' is {here} voxels where the network takes {there}: set \"fit\" in the model.json "
            "of the model, so that any scan is brought to that size."
        )


def _check_answer(answer: _Floats, how: Answering, shown: str) -> None:
    # of two dimensions the answer has an axis of slices, of length 1
    shape = (answer.shape[0], *answer.shape[2:]) if how.spatial_dims == 2 else answer.shape
    mismatch = how.answer.mismatch(shape, how.spatial_dims)
    if mismatch:
        raise ModelError(f"{shown}: the network {mismatch.format('its description')}.")
    if not np.isfinite(answer).all():
        bad = "NaN" if np.isnan(answer).any() else "infinity"
        raise ModelError(
            f"{shown}: the network returned {bad}, which is no result: the scan may differ from its training data, "
            "or its weights are damaged."
        )
