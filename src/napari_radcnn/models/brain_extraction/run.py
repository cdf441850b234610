"""Brain extraction: our own network for any contrast, deepbet's two for T1, or HD-BET's; then one clean mask."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.cost.growth import check_own_spacing
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.inference.uncertainty import entropy
from napari_radcnn.models.brain_extraction import deepbet, hdbet, own
from napari_radcnn.models.brain_extraction.found import cleaned, no_brain
from napari_radcnn.models.brain_extraction.network import SPACING
from napari_radcnn.models.brain_extraction.spec import DEEPBET
from napari_radcnn.progress import Monitor
from napari_radcnn.suitability.what import what_is

#: Of a patch on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 2.1
#: Liters within the inner skull from a newborn to a large adult in an enlarged template; outside, the user is told.
_PLAUSIBLE = (0.3, 2.5)


def plan(request: Request) -> Plan:
    """Return the cost of the method that is asked for, of the more expensive one where the scan decides.

    Raises
    ------
    ModelError
        If its voxels are so large that 2 mm is out of all proportion.
    """
    check_own_spacing(request.volume, SPACING)
    if request.options.method == "hd-bet":
        return hdbet.plan(request)
    uses_deepbet = request.options.method == "deepbet" or (request.options.method == "auto" and DEEPBET.is_available)
    if not uses_deepbet:
        return Plan(request.spec.name, own.steps(request), own.PATCH, own.memory(request))
    memory = deepbet.MEMORY + deepbet.MEMORY_A_VOXEL * request.volume.size
    return Plan(request.spec.name, deepbet.steps(request), deepbet.FINE, max(memory, own.memory(request)))


def run(request: Request, monitor: Monitor) -> Outcome:
    """Run a method; labels are 1 in the brain."""
    options = request.options
    check_own_spacing(request.volume, SPACING)
    method = _method(request)
    monitor.total = method.steps(request)
    found = method.find(request, monitor)
    mask = cleaned(found.probabilities > options.threshold)
    if not mask.any():
        raise ModelError(no_brain(request))
    if options.grow_mm:
        mask = grow(mask, options.grow_mm, request.volume.geometry.spacing)
    liters = np.count_nonzero(mask) * request.volume.geometry.voxel_volume / 1e6
    told = () if _PLAUSIBLE[0] <= liters <= _PLAUSIBLE[1] else (_implausible(liters),)
    return Outcome(
        found.device,
        found.precision,
        array=mask.astype(np.uint8),
        maps=_maps(found.probabilities) if options.uncertainty else {},
        facts=found.facts,
        warnings=(*found.warnings, *told),
        opening_seconds=found.opening_seconds,
    )


def _method(request: Request) -> ModuleType:
    """Return the module that does it: deepbet's where it is installed and the scan is T1-weighted, unless asked."""
    wanted = request.options.method
    if wanted == "auto":
        wanted = "deepbet" if DEEPBET.is_available and what_is(request.volume).contrast.value == "T1" else "own"
    return {"deepbet": deepbet, "hd-bet": hdbet}.get(wanted, own)


def _maps(brain: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Return the mean probability of brain, and the entropy of brain or not."""
    return {"probability": brain, "entropy": entropy(np.stack([1 - brain, brain]))}


def _implausible(liters: float) -> str:
    low, high = _PLAUSIBLE
    return f"The segmentation has {liters:.2f} liters, outside {low} to {high}: check it, it may not be the brain."


def grow(mask: npt.NDArray[np.bool_], distance: float, spacing: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
    """Return a mask grown by `distance` mm in every direction; a negative distance shrinks it.

    Parameters
    ----------
    mask : (k, j, i) array of bool
        The mask.
    distance : float
        mm, measured between the centers of voxels.
    spacing : tuple of float
        mm along k, j, i.
    """
    from scipy import ndimage

    if distance >= 0:
        return np.asarray(ndimage.distance_transform_edt(~mask, spacing) <= distance)
    return np.asarray(ndimage.distance_transform_edt(mask, spacing) > -distance)
