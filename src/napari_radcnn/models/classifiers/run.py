"""Classifiers that ship: an ensemble looks at a scan and at its mirror images, and says how likely each class is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.evidence.ensemble import KINDS, explain
from napari_radcnn.inference.devices import computing, torch_device
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Decided, Outcome, Request
from napari_radcnn.models.classifiers import adrenal_mass, cxr_pneumonia
from napari_radcnn.models.classifiers.calibrated import Calibration, probabilities
from napari_radcnn.models.classifiers.gland import cut_gland, gland_plan_warnings, spreading
from napari_radcnn.models.classifiers.guard import features_of, guard_of
from napari_radcnn.models.classifiers.input import gland_channels
from napari_radcnn.models.classifiers.radiograph import prepare_radiograph, radiograph_warnings
from napari_radcnn.models.classifiers.shape import shape_features, stored_shape
from napari_radcnn.networks.classifier import ClassifierShape, build_ensemble
from napari_radcnn.networks.shipped import ShippedNetwork
from napari_radcnn.progress import Monitor
from napari_radcnn.results import OperatingPoint
from napari_radcnn.spec.model import ModelSpec
from napari_radcnn.spec.shipped import about_weights
from napari_radcnn.volume import Volume

if TYPE_CHECKING:
    import torch

#: Of a patch on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS: Mapping[str, float] = {"adrenal-mass": 0.12, "cxr-pneumonia": 0.022}
#: Brings a map on the network's input grid back to the scan's grid.
Back = Callable[[npt.NDArray[Any]], Volume]
#: Memory beside the scan: torch, the networks and what they hold; and a voxel of the scan while it is prepared.
_MEMORY, _MEMORY_A_VOXEL = 250 * 2**20, 16


class _Prepared(NamedTuple):
    """What the networks are shown `(C, ...)`, what brings a map of it back, what to tell, and features of a shape."""

    given: npt.NDArray[np.float32]
    back: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]
    told: tuple[str, ...]
    features: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True)
class _Kind:
    """What differs from classifier to classifier.

    Attributes
    ----------
    shape : ClassifierShape
        Of a member.
    classes : tuple of str
        In the order of the logits.
    prepare : callable
        Returns the input and what belongs to it.
    warnings : callable
        Returns what speaks against a scan without looking at its voxels.
    """

    shape: ClassifierShape
    classes: tuple[str, ...]
    prepare: Callable[[Request], _Prepared]
    warnings: Callable[[Volume], tuple[str, ...]]


def _radiograph(request: Request) -> _Prepared:
    return _Prepared(*prepare_radiograph(request.volume), ())


def _gland(request: Request) -> _Prepared:
    cube, center, told = cut_gland(request.volume, request.options.label)
    return _Prepared(gland_channels(cube), spreading(request.volume.geometry, center), told, shape_features(cube))


_KINDS: Mapping[str, _Kind] = {
    "cxr-pneumonia": _Kind(cxr_pneumonia.SHAPE, cxr_pneumonia.CLASSES, _radiograph, radiograph_warnings),
    "adrenal-mass": _Kind(adrenal_mass.SHAPE, adrenal_mass.CLASSES, _gland, gland_plan_warnings),
}
#: By model: axes of the input, channels not counted, that are turned round for each look.
MIRRORS: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "cxr-pneumonia": ((), (1,)),
    "adrenal-mass": ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)),
}


def plan(request: Request) -> Plan:
    """Return the cost: one patch a member, whatever the scan.

    Raises
    ------
    GeometryError
        If the scan has the wrong number of dimensions.
    """
    spec = request.spec
    told = _kind(spec).warnings(request.volume)
    memory = _MEMORY + _MEMORY_A_VOXEL * request.volume.size
    steps = _members(spec) + (len(KINDS) if request.options.explain else 0)
    return Plan(spec.name, steps, spec.patch or (1, 1, 1), memory, warnings=told)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Classify; the probabilities are the mean of all members and views, and add to one."""
    kind = _kind(request.spec)
    monitor.say("loading the model")
    members = modules(request.spec)
    device = torch_device(request.settings)
    with computing(request.settings, device, request.threads) as precision:
        found, spread, told = looked_at(request, members, device, monitor)
        distance = _feature_distance(request, members, device)
    named = {name: float(value) for name, value in zip(kind.classes, found, strict=True)}
    facts: dict[str, Any] = {"members": len(members), "views": len(MIRRORS[request.spec.name]), "spread": spread}
    doubts: tuple[str, ...] = ()
    if distance is not None:
        facts["feature_distance"] = round(distance, 3)
        if distance > 1:
            doubts = (
                f"The input of the networks differs from their training data: {distance:.1f} times as far from it as "
                "nearly all that they were tested with.",
            )
    maps = {}
    if request.options.explain:
        likeliest = int(np.argmax(found))
        facts["evidence_for"] = kind.classes[likeliest]
        maps = _evidence(request, members, likeliest, monitor)
    return Outcome(
        device.type,
        precision,
        probabilities=named,
        facts=facts,
        warnings=told,
        maps=maps,
        doubts=doubts,
        answer=_decided(request, kind.classes[-1]),
    )


def _decided(request: Request, finding: str) -> Decided:
    """Return the operating points of a finding, and the one that was asked for as its threshold."""
    points = operating_points(request.spec)
    chosen = [point for point in points if point.name == request.options.operating_point]
    return Decided(
        thresholds={finding: chosen[0].threshold} if chosen else {},
        operating_points={finding: points} if points else {},
    )


def operating_points(spec: ModelSpec) -> tuple[OperatingPoint, ...]:
    """Return the thresholds of the finding that were chosen on cases that no network of the ensemble had seen."""
    stored = about_weights(spec).get("operating_points", ())
    return tuple(OperatingPoint(**point) for point in stored) if isinstance(stored, list) else ()


def _feature_distance(request: Request, members: Sequence[torch.nn.Module], device: torch.device) -> float | None:
    """Return how far the scan lies from the training data by the networks' features; None without a guard."""
    import torch

    guard = guard_of(request.spec)
    if guard is None:
        return None
    with torch.inference_mode():
        given = _one(_kind(request.spec).prepare(request).given).to(device)
        return guard.distance(features_of(members, given)[:, 0])


def _evidence(
    request: Request, members: Sequence[torch.nn.Module], index: int, monitor: Monitor
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the maps of what spoke for a class, on the scan's grid; computed in float32 on the processor."""
    prepared = _kind(request.spec).prepare(request)
    given, back = prepared.given, prepared.back
    found = explain([member.cpu().float() for member in members], _one(given), index, monitor)
    return {name: np.asarray(back(values), np.float32) for name, values in found.items()}


def _one(network_input: npt.NDArray[np.float32]) -> torch.Tensor:
    import torch

    return torch.from_numpy(network_input)[None]


def looked_at(
    request: Request,
    members: Sequence[torch.nn.Module],
    device: torch.device | str = "cpu",
    monitor: Monitor | None = None,
) -> tuple[npt.NDArray[np.float64], float, tuple[str, ...]]:
    """Return the probabilities `(classes,)`, how far members and views disagree, and what to tell.

    The disagreement is the standard deviation of the last class's probability.
    """
    import torch

    prepared = _kind(request.spec).prepare(request)
    mirrored = _mirrored(prepared.given, MIRRORS[request.spec.name]).to(device)
    said = []
    with torch.inference_mode():
        for number, member in enumerate(members, 1):
            said.append(member.to(device)(mirrored).float().cpu().numpy())
            if monitor is not None:
                monitor.step(f"network {number} of {len(members)}")
    each = each_look(request.spec, np.concatenate(said), prepared.features)
    return each.mean(0), round(float(each[:, -1].std()), 4), prepared.told


def each_look(
    spec: ModelSpec, logits: npt.NDArray[Any], features: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    """Return the probabilities `(looks, classes)` that each look of a member gives, with the shape where it counts.

    Parameters
    ----------
    spec : ModelSpec
        Of the classifier.
    logits : (looks, classes) array
        As its members said them.
    features : (n,) array or None
        Of the shape.
    """
    shape = stored_shape(about_weights(spec))
    if shape is None or features is None:
        return probabilities(logits[:, None], calibration_of(spec))
    return probabilities(shape.joint(logits, features)[:, None], Calibration(1.0, (0.0, 0.0)))


def views(request: Request) -> torch.Tensor:
    """Return all views the members are shown `(views, C, ...)`, the scan as it is first."""
    return _mirrored(_kind(request.spec).prepare(request).given, MIRRORS[request.spec.name])


def features(request: Request) -> npt.NDArray[np.float64] | None:
    """Return what counts of the shape in a scan; None where the networks decide alone."""
    return _kind(request.spec).prepare(request).features


def _mirrored(network_input: npt.NDArray[np.float32], mirrors: tuple[tuple[int, ...], ...]) -> torch.Tensor:
    import torch

    seen = torch.from_numpy(network_input)
    return torch.stack([seen.flip([1 + axis for axis in axes]) for axes in mirrors])


def calibration_of(spec: ModelSpec) -> Calibration:
    """Return the calibration that was found in training.

    Raises
    ------
    ModelError
        If there is none beside the weights.
    """
    stored = about_weights(spec).get("calibration")
    if not isinstance(stored, dict):
        raise ModelError(f"The calibration of '{spec.name}' is missing: install napari-radcnn again.")
    return Calibration(float(stored["temperature"]), tuple(float(value) for value in stored["shift"]))


# -- for the evidence -------------------------------------------------------------------------------------------------


def modules(spec: ModelSpec) -> list[torch.nn.Module]:
    """Return the members of the ensemble, in evaluation mode: `(B, C, ...)` in, logits `(B, classes)` out.

    Each has a submodule ``features`` that returns its last feature maps.

    Raises
    ------
    ModelError
        If the weights are missing or damaged.
    """
    kind = _kind(spec)

    def build() -> torch.nn.Module:
        return build_ensemble(kind.shape, _members(spec))

    ensemble = ShippedNetwork.of(spec, build, kind.shape.dims, kind.shape.channels).torch_module()
    return list(ensemble.members.children())  # type: ignore[union-attr,operator]


def classes(spec: ModelSpec) -> tuple[str, ...]:
    """Return the names of the classes, in the order of the logits."""
    return _kind(spec).classes


def prepared(request: Request) -> tuple[torch.Tensor, Back]:
    """Return what the members see `(1, C, ...)`, and what brings a map `(...)` of that grid onto the scan's grid.

    Raises
    ------
    GeometryError, ModelError
        If the scan cannot be classified.
    """
    import torch

    prepared = _kind(request.spec).prepare(request)
    given, back, volume = prepared.given, prepared.back, request.volume

    def volume_of(values: npt.NDArray[Any]) -> Volume:
        metadata = replace(
            volume.metadata, units="", is_label=False, label_names={}, label_colors={}, is_inverted=False
        )
        metadata = replace(metadata, window_center=None, window_width=None, padding_value=None)
        return Volume(back(values), volume.geometry, metadata)

    return torch.from_numpy(given)[None], volume_of


def _kind(spec: ModelSpec) -> _Kind:
    if spec.name not in _KINDS:
        raise ModelError(f"'{spec.name}' is not a classifier of this program.")
    return _KINDS[spec.name]


def _members(spec: ModelSpec) -> int:
    recipe = about_weights(spec).get("recipe")
    return int(recipe["members"]) if isinstance(recipe, dict) else 1
