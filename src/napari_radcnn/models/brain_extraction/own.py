"""Brain extraction by our own network, which sees a whole head of any contrast at 2 mm."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import ModelError
from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.backends import late_warnings
from napari_radcnn.inference.cost.costs import blending_budget
from napari_radcnn.inference.opening import open_shipped
from napari_radcnn.inference.patches.positions import patch_count
from napari_radcnn.inference.patches.stream import read_padded, run_patches
from napari_radcnn.inference.request import Request
from napari_radcnn.models.brain_extraction.found import Found, no_brain
from napari_radcnn.models.brain_extraction.network import OUTSIDE, SPACING, build_network
from napari_radcnn.preprocessing import Reorient, resample
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import Sampling

if TYPE_CHECKING:
    from napari_radcnn.inference.backends.base import Predictor

Array = npt.NDArray[np.float32]

#: The largest patch; smaller heads get multiples of `_STEP`, so that few shapes are compiled.
PATCH, _STEP, _OVERLAP = (128, 128, 128), 32, 0.25
#: Quantiles of the head that are 0 and 1, as in training.
_LOW, _HIGH = 0.005, 0.995
#: Peak memory: libraries; a voxel of the patch, of the scan at 2 mm, of the scan.
_LIBRARIES, _PATCH_BYTES, _SMALL_BYTES, _SCAN_BYTES = 600 << 20, 200, 40, 24
#: Logits are kept within this: farther from the border they say no more.
_SURE = 20.0


def steps(request: Request) -> int:
    """Return how many patches are computed, the mirror image's among them."""
    geometry = request.volume.geometry
    shape = _small(geometry.shape, geometry.spacing)
    return patch_count(shape, _sampling(shape, request.options.uncertainty))


def memory(request: Request) -> int:
    """Return the peak memory beside the scan, bytes."""
    geometry = request.volume.geometry
    small = _SMALL_BYTES * math.prod(_small(geometry.shape, geometry.spacing))
    return int(_LIBRARIES + _PATCH_BYTES * math.prod(PATCH) + small + _SCAN_BYTES * request.volume.size)


def find(request: Request, monitor: Monitor) -> Found:
    """Run the network.

    Raises
    ------
    ModelError
        If the scan is constant.
    """
    monitor.say("detecting the brain")
    scan, turn = request.volume, Reorient("RAS")
    head = turn.apply(scan.with_array(np.asarray(scan.array, np.float32)))
    upright = head.geometry
    grid = upright.with_shape(_small(upright.shape, upright.spacing))
    image = resample(head.array, upright, grid, interpolation="linear", fill=float(head.array.min()))
    low, high = (float(q) for q in np.quantile(image, (_LOW, _HIGH)))
    if not high > low:
        raise ModelError(no_brain(request))
    shown = np.clip((image - low) / (high - low), OUTSIDE, 1.5).astype(np.float32)
    run = _Run(request, shown, monitor)
    logits = run.logits()
    monitor.say("resampling the result to the scan")
    fine = resample(logits, grid, upright, interpolation="linear", antialias=False)
    probabilities = turn.invert(1 / (1 + np.exp(-fine)), scan.geometry)
    facts = {"method": "any-contrast", "backend": run.backend, "agreement_with_float32": run.agreement}
    return Found(
        np.asarray(probabilities, np.float32), run.device, run.precision, facts, run.warnings, run.opening_seconds
    )


def _small(shape: Shape, spacing: tuple[float, float, float]) -> Shape:
    k, j, i = (max(1, round(n * step / SPACING)) for n, step in zip(shape, spacing, strict=True))
    return k, j, i


def _sampling(shape: Shape, mirrored: bool) -> Sampling:
    k, j, i = (min(most, -(-n // _STEP) * _STEP) for n, most in zip(shape, PATCH, strict=True))
    axes = (0,) if mirrored else ()  # of the network's orientation: left to right
    return Sampling((k, j, i), _OVERLAP, "monai", "monai", padding_value=OUTSIDE, mirror_axes=axes)


class _Run:
    """One run of the network."""

    def __init__(self, request: Request, shown: Array, monitor: Monitor) -> None:
        self._request, self._shown, self._monitor = request, shown, monitor
        k, j, i = shown.shape
        self._shape: Shape = (k, j, i)
        self._sampling = _sampling(self._shape, request.options.uncertainty)
        self.device = self.precision = self.backend = ""
        self.agreement: float | None = None
        self.warnings: tuple[str, ...] = ()
        self.opening_seconds = 0.0

    def logits(self) -> Array:
        """Return the logit of brain of each voxel at 2 mm."""
        predictor = self._open()
        try:
            stream = run_patches(
                [predictor],
                self._read,
                self._shape,
                self._sampling,
                classes=1,
                budget_bytes=blending_budget(),
                monitor=self._monitor,
            )
            found = np.empty(self._shape, np.float32)
            done = 0
            for final, blend in stream:
                box = (slice(done, final), slice(0, self._shape[1]), slice(0, self._shape[2]))
                found[box] = np.clip(np.array(blend.read(box))[0], -_SURE, _SURE)
                done = final
                blend.release(final)
            self.warnings += tuple(late_warnings([predictor]))
        finally:
            predictor.close()
        return found

    def _read(self, box: Box) -> Array:
        return self._shown[(None, *box)]

    def _open(self) -> Predictor:
        started = time.perf_counter()
        patch = self._sampling.patch
        k, j, i = (slice((n - p) // 2, (n - p) // 2 + p) for n, p in zip(self._shape, patch, strict=True))
        sample = read_padded(self._read, (k, j, i), self._shape, OUTSIDE)
        predictor, told = open_shipped(
            self._request, build_network, patch, self._monitor, channels=1, spatial_dims=3, sample=sample
        )
        self.warnings += tuple(told)
        self.device, self.precision, self.backend = predictor.device, predictor.precision, predictor.backend
        self.agreement = predictor.agreement
        self.opening_seconds = time.perf_counter() - started
        return predictor
