"""Structures of the brain: outline it, scale its gray values, 1 mm, network, left and right, and back to the scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.inference.uncertainty import maps_of
from napari_radcnn.models.brain_structures.answer import PATCH, Answer, softmax
from napari_radcnn.models.brain_structures.brain import (
    find_brain,
    plan_brain,
    prepare,
    refuse_shape,
)
from napari_radcnn.models.brain_structures.network import CLASSES, TISSUES
from napari_radcnn.models.brain_structures.sides import MiddlePlane, find_middle
from napari_radcnn.models.brain_structures.structures import LABELS, PAIRED, VALUES
from napari_radcnn.progress import Monitor

#: Of a patch on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 12.0
#: Peak memory beside the scan: a voxel of the patch; a voxel of the scan.
_BYTES_A_PATCH_VOXEL, _BYTES_A_VOXEL = 500, 48
#: Share of paired structures that mirror each other below which sides are doubtful.
_LEAST_AGREEMENT = 0.4
#: Values of the result by the network's classes, on the left and on the right; 0 where nothing is named.
_VALUES = np.array([[VALUES.get(n, (0, 0))[side] for n in range(len(CLASSES))] for side in (0, 1)], np.uint8)
#: Liters of a whole brain without fluid, from children to large adults; ml of each thalamus. Beyond, the user is told.
_PLAUSIBLE_LITERS, _PLAUSIBLE_THALAMUS = (0.5, 2.0), (3.0, 12.0)


def plan(request: Request) -> Plan:
    """Return the cost; see `plan_brain`."""
    return plan_brain(request, PATCH, _BYTES_A_PATCH_VOXEL, _BYTES_A_VOXEL)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Name the structure of every voxel of the brain; the values are those of `LABELS`."""
    refuse_shape(request)
    monitor.say("detecting the brain")
    values = np.array(request.volume.array, np.float32)
    brain = find_brain(request, values, monitor)
    prepared = prepare(request, values, brain.mask)
    answer = Answer(request, prepared, monitor, lambda logits: softmax(logits[TISSUES:]), len(CLASSES))
    shares = answer.shares()
    classes = shares.argmax(0).astype(np.uint8)
    middle = find_middle(classes, [CLASSES.index(name) for name in PAIRED])
    monitor.say("resampling the result to the scan")
    maps: dict[str, npt.NDArray[Any]] = {}
    if request.options.uncertainty:
        maps = {name: answer.placed_image(values) for name, values in maps_of(shares).items()}
    beyond = middle.is_beyond(classes.shape)  # the first axis points to the right
    is_right = answer.placed_image(beyond.astype(np.float32)) > 0.5
    found = answer.placed(shares)
    labels = np.where(is_right, _VALUES[1][found], _VALUES[0][found])
    labels[~brain.mask] = 0
    for values in maps.values():
        values[~brain.mask] = 0
    if not labels.any():
        raise ModelError(
            f"No structure of a brain was detected in '{request.volume.name}'. Check that it is an MR of the brain, "
            "and check its orientation."
        )
    told = (*brain.warnings, *answer.warnings, *_implausible(labels, request.volume.geometry, middle))
    return Outcome(
        answer.device,
        answer.precision,
        array=labels,
        maps=maps,
        facts=answer.facts
        | {
            "brain": brain.source,
            "gray_values_reversed": prepared.is_reversed,
            "sides_agree": round(middle.agreement, 3),
        },
        warnings=tuple(dict.fromkeys(told)),
        opening_seconds=answer.opening_seconds,
    )


def _implausible(labels: npt.NDArray[np.uint8], geometry: Geometry, middle: MiddlePlane) -> tuple[str, ...]:
    """Return what warns of relying on it."""
    told = []
    ml = np.bincount(labels.ravel(), minlength=max(LABELS) + 1) * geometry.voxel_volume / 1000
    if not _PLAUSIBLE_LITERS[0] <= ml[1:].sum() / 1000 <= _PLAUSIBLE_LITERS[1]:
        told.append(f"All structures together have {ml[1:].sum() / 1000:.2f} liters, which is implausible for a brain")
    thalami = VALUES[CLASSES.index("thalamus")]
    low, high = _PLAUSIBLE_THALAMUS
    if not all(low <= ml[n] <= high for n in thalami):
        told.append(
            f"The thalami have {ml[thalami[0]]:.1f} and {ml[thalami[1]]:.1f} ml, {low:.0f} to {high:.0f} are usual"
        )
    if middle.agreement < _LEAST_AGREEMENT:
        told.append("Left and right could not be told apart by the structures that lie in pairs")
    return tuple(f"{line}: check the labels before relying on them." for line in told)
