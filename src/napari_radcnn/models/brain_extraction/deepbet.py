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
from napari_radcnn.inference.request import Request
from napari_radcnn.models.brain_extraction.found import Found, largest_part, no_brain
from napari_radcnn.models.brain_extraction.spec import DEEPBET, SPEC
from napari_radcnn.preprocessing import Crop, Reorient, Resize, scale_to_range, standardize
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.weights import load_torchscript, read_verified

_COARSE, FINE = (128, 128, 128), (256, 256, 256)
#: Mean and standard deviation of the networks' input, from their training.
_MEAN, _STD = 0.449, 0.226
#: A row of the coarse mask belongs to the box where more than this fraction of it is brain.
_ROW_FRACTION = 0.02
#: The box is this much larger than the coarse mask, on each side.
_MARGIN = 0.1
#: Peak memory of both passes beside the scan, and a voxel of the scan, measured on CPU in float32.
MEMORY, MEMORY_A_VOXEL = 850 * 2**20, 24

_Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def steps(request: Request) -> int:
    """Return how many patches are computed: two of fixed size, whatever the scan; one more for the mirror image."""
    return 3 if request.options.uncertainty else 2


def find(request: Request, monitor: Monitor) -> Found:
    """Run both networks.

    Raises
    ------
    ModelError
        If deepbet is not installed, its weights are not those that are known, or no brain is detected.
    """
    if not DEEPBET.is_available:
        raise ModelError(
            f"The method deepbet of '{SPEC.name}' needs the package deepbet, which is not installed: "
            f"{DEEPBET.install_command}, or set method to any-contrast."
        )
    for weights in DEEPBET.weights:
        read_verified(DEEPBET, weights)
    monitor.say("loading the model")
    device = torch_device(request.settings)
    with computing(request.settings, device, request.threads) as precision:

        def load(number: int) -> _Network:
            import torch

            network = load_torchscript(DEEPBET, DEEPBET.weights[number], device)

            def predict(patch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
                probabilities = network(torch.from_numpy(patch)[None, None].to(device))[0, 1]
                return np.asarray(probabilities.float().cpu().numpy())

            return predict

        probabilities = _probabilities(request, load, monitor)
    return Found(probabilities, device.type, precision, {"method": "deepbet"})


def _probabilities(request: Request, load: Callable[[int], _Network], monitor: Monitor) -> npt.NDArray[np.float32]:
    """Return the probability of brain on the scan's grid, zero outside the box of the first pass."""
    scan = request.volume
    upright = Reorient("RAS")
    head = upright.apply(scan.with_array(np.asarray(scan.array, np.float32)))

    small = Resize(_COARSE, "nearest").apply(head).array
    low, high = (float(q) for q in np.quantile(small, (0.005, 0.995)))
    if not high > low:  # the networks find a brain even in nothing
        raise ModelError(no_brain(request))

    def normalize(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return standardize(scale_to_range(values, low, high), _MEAN, _STD)

    monitor.say("detecting the brain")
    coarse = load(0)(normalize(small)) > 0.5
    monitor.step("segmenting the brain")
    if not coarse.any():
        raise ModelError(no_brain(request))
    crop = Crop(_box(largest_part(coarse), head.geometry.shape))
    inside = crop.apply(head)
    stretch = Resize(FINE, "nearest", back="linear")
    seen, network = normalize(stretch.apply(inside).array), load(1)
    fine = network(seen)
    if request.options.uncertainty:
        monitor.step("segmenting the mirror image")
        mirrored = network(np.ascontiguousarray(seen[::-1]))[::-1]  # the first axis runs from left to right
        fine = np.asarray((fine + mirrored) / 2, np.float32)
    monitor.step("resampling the result to the scan")
    found = crop.invert(stretch.invert(fine, inside.geometry), head.geometry)
    return upright.invert(found, scan.geometry)


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
