"""Brain extraction in two passes, as deepbet's networks were trained (Fisch et al. 2024).

A first network finds the brain in the whole head, shrunk to 128^3; a second outlines it in that box, stretched to
256^3. Both see the head in RAS order, sampled to the nearest voxel and with intensities between the 0.5th and
99.5th percentile of the shrunk head. Unlike deepbet, probabilities are brought back linearly, so that the outline
depends less on the scan's voxel size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.inference.devices import computing, torch_device
from napari_radcnn.inference.plan import Plan
from napari_radcnn.inference.request import Outcome, Request
from napari_radcnn.inference.uncertainty import entropy
from napari_radcnn.preprocessing import Crop, Reorient, Resize, scale_to_range, standardize
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.weights import load_torchscript, read_verified

_COARSE, _FINE = (128, 128, 128), (256, 256, 256)
#: Of a patch on the reference computer, s; see `napari_radcnn.inference.cost.first`.
REFERENCE_SECONDS = 2.1
#: Mean and standard deviation of the networks' input, from their training.
_MEAN, _STD = 0.449, 0.226
#: A row of the coarse mask belongs to the box where more than this fraction of it is brain.
_ROW_FRACTION = 0.02
#: The box is this much larger than the coarse mask, on each side.
_MARGIN = 0.1
#: Liters within the inner skull from a newborn to a large adult in an enlarged template; outside, the user is told.
_PLAUSIBLE = (0.3, 2.5)
#: Peak memory of both passes beside the scan, and a voxel of the scan, measured on CPU in float32.
_MEMORY, _MEMORY_A_VOXEL = 850 * 2**20, 24

_Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def plan(request: Request) -> Plan:
    """Return the cost: two patches of fixed size, whatever the scan; one more for the mirror image."""
    memory = _MEMORY + _MEMORY_A_VOXEL * request.volume.size
    return Plan(request.spec.name, 3 if request.options.uncertainty else 2, _FINE, memory)


def run(request: Request, monitor: Monitor) -> Outcome:
    """Run both networks; labels are 1 in the brain."""
    spec, options = request.spec, request.options
    for weights in spec.weights:
        read_verified(spec, weights)
    monitor.say("loading the model")
    device = torch_device(request.settings)
    with computing(request.settings, device, request.threads) as precision:

        def load(number: int) -> _Network:
            import torch

            network = load_torchscript(spec, spec.weights[number], device)

            def predict(patch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
                probabilities = network(torch.from_numpy(patch)[None, None].to(device))[0, 1]
                return np.asarray(probabilities.float().cpu().numpy())

            return predict

        probabilities = _probabilities(request, load, monitor)
    mask = _clean(probabilities > options.threshold)
    if not mask.any():
        raise ModelError(_no_brain(request))
    if options.grow_mm:
        mask = grow(mask, options.grow_mm, request.volume.geometry.spacing)
    liters = np.count_nonzero(mask) * request.volume.geometry.voxel_volume / 1e6
    told = () if _PLAUSIBLE[0] <= liters <= _PLAUSIBLE[1] else (_implausible(liters),)
    maps = _maps(probabilities) if options.uncertainty else {}
    return Outcome(device.type, precision, array=mask.astype(np.uint8), maps=maps, warnings=told)


def _maps(brain: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Return the mean probability of brain, and the entropy of brain or not."""
    return {"probability": brain, "entropy": entropy(np.stack([1 - brain, brain]))}


def _implausible(liters: float) -> str:
    low, high = _PLAUSIBLE
    return f"The segmentation has {liters:.2f} liters, outside {low} to {high}: check it, it may not be the brain."


def _probabilities(request: Request, load: Callable[[int], _Network], monitor: Monitor) -> npt.NDArray[np.float32]:
    """Return the probability of brain on the scan's grid, zero outside the box of the first pass."""
    scan = request.volume
    upright = Reorient("RAS")
    head = upright.apply(scan.with_array(np.asarray(scan.array, np.float32)))

    small = Resize(_COARSE, "nearest").apply(head).array
    low, high = (float(q) for q in np.quantile(small, (0.005, 0.995)))
    if not high > low:  # the networks find a brain even in nothing
        raise ModelError(_no_brain(request))

    def normalize(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return standardize(scale_to_range(values, low, high), _MEAN, _STD)

    monitor.say("detecting the brain")
    coarse = load(0)(normalize(small)) > 0.5
    monitor.step("segmenting the brain")
    if not coarse.any():
        raise ModelError(_no_brain(request))
    crop = Crop(_box(_largest_part(coarse), head.geometry.shape))
    inside = crop.apply(head)
    stretch = Resize(_FINE, "nearest", back="linear")
    seen, network = normalize(stretch.apply(inside).array), load(1)
    fine = network(seen)
    if request.options.uncertainty:
        monitor.step("segmenting the mirror image")
        mirrored = network(np.ascontiguousarray(seen[::-1]))[::-1]  # the first axis runs from left to right
        fine = np.asarray((fine + mirrored) / 2, np.float32)
    monitor.step("resampling the result to the scan")
    found = crop.invert(stretch.invert(fine, inside.geometry), head.geometry)
    return upright.invert(found, scan.geometry)


def _no_brain(request: Request) -> str:
    return (
        f"No brain was detected in '{request.volume.name}': '{request.spec.name}' expects a T1-weighted MR of a "
        "whole head. Check the scan's orientation and that it is the right series."
    )


def _box(
    mask: npt.NDArray[np.bool_], shape: tuple[int, int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return the box around a coarse mask, with its margin, in voxels of a grid of `shape`."""
    box = []
    for axis, size in enumerate(shape):
        others = tuple(n for n in range(3) if n != axis)
        filled = mask.mean(others)
        # A thin brain (few slices stretched to 128) may leave no row above the fraction: then every row counts.
        rows = np.flatnonzero(filled > _ROW_FRACTION) if (filled > _ROW_FRACTION).any() else np.flatnonzero(filled)
        scale = size / mask.shape[axis]
        center = round((rows[-1] + 1 + rows[0]) / 2 * scale)
        extent = round((rows[-1] + 1 - rows[0]) * scale * (1 + 2 * _MARGIN))
        first, last = max(0, int(center - extent / 2)), min(size, int(center + extent / 2))
        box.append((first, max(last, first + 1)))
    return box[0], box[1], box[2]


def _largest_part(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest part of a mask whose voxels touch by face, edge or corner."""
    from scipy import ndimage

    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _clean(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the largest part of a mask, its inner holes filled."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(_largest_part(mask)))


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
