"""Tissue of the brain: outline the brain, scale its gray values, 1 mm, network, and back to the scan's grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Geometry
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.inference.uncertainty import entropy
from napari_radcnn.models.brain_structures.answer import PATCH, Answer
from napari_radcnn.models.brain_structures.brain import (
    find_brain,
    plan_brain,
    prepare,
    refuse_shape,
)
from napari_radcnn.models.brain_structures.network import OUTSIDE, TISSUES
from napari_radcnn.models.brain_tissue.refine import refined
from napari_radcnn.models.brain_tissue.tissues import OUTPUTS, tissue_shares
from napari_radcnn.progress import Monitor

#: Of a patch on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 10.0
#: Peak memory beside the scan: a voxel of the patch; a voxel of the scan.
_BYTES_A_PATCH_VOXEL, _BYTES_A_VOXEL = 500, 48
#: Liters of gray and white matter together, and white to gray, from children to large adults; else the user is told.
_PLAUSIBLE_LITERS, _PLAUSIBLE_RATIO = (0.5, 2.0), (0.4, 1.6)


def plan(request: Request) -> Plan:
    """Return the cost; see `plan_brain`."""
    return plan_brain(request, PATCH, _BYTES_A_PATCH_VOXEL, _BYTES_A_VOXEL)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Name the tissue of every voxel of the brain: 1 fluid, 2 gray, 3 white matter."""
    refuse_shape(request)
    monitor.say("detecting the brain")
    values = np.array(request.volume.array, np.float32)
    brain = find_brain(request, values, monitor)
    prepared = prepare(request, values, brain.mask)
    answer = Answer(request, prepared, monitor, tissue_shares, OUTPUTS)
    found = answer.shares()
    monitor.say("refining borders")
    shares = found[:TISSUES].astype(np.float32)
    final = refined(shares, prepared.picture, found[TISSUES] > 0.5, prepared.picture > OUTSIDE)
    monitor.say("resampling the result to the scan")
    maps: dict[str, npt.NDArray[Any]] = {}
    if request.options.uncertainty:
        chosen = np.take_along_axis(shares, final.argmax(0)[None], 0)[0]
        known = {"probability": chosen, "entropy": entropy(shares)}  # of the network: the fit is surer than it is right
        maps = {name: answer.placed_image(values) for name, values in known.items()}
    labels = answer.placed(final.astype(np.float16))
    labels[~brain.mask] = 0
    for values in maps.values():
        values[~brain.mask] = 0
    if not (labels > 1).any():
        raise ModelError(
            f"No brain tissue was detected in '{request.volume.name}'. Check that it is an MR of the brain, and "
            "check its orientation."
        )
    told = (*brain.warnings, *answer.warnings, *_implausible(labels, request.volume.geometry))
    return Outcome(
        answer.device,
        answer.precision,
        array=labels,
        maps=maps,
        facts=answer.facts | {"brain": brain.source, "gray_values_reversed": prepared.is_reversed},
        warnings=tuple(dict.fromkeys(told)),
        opening_seconds=answer.opening_seconds,
    )


def _implausible(labels: npt.NDArray[np.uint8], geometry: Geometry) -> tuple[str, ...]:
    gray, white = (np.count_nonzero(labels == n) * geometry.voxel_volume / 1e6 for n in (2, 3))
    liters, ratio = gray + white, white / max(gray, 1e-6)
    if _PLAUSIBLE_LITERS[0] <= liters <= _PLAUSIBLE_LITERS[1] and _PLAUSIBLE_RATIO[0] <= ratio <= _PLAUSIBLE_RATIO[1]:
        return ()
    return (
        f"The result has {gray:.2f} liters of gray and {white:.2f} of white matter, which is implausible for a whole "
        "brain: check the labels before relying on them.",
    )
