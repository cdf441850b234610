"""What the network of brains answers, on its own grid and on the scan's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.geometry import Box, Shape
from napari_radcnn.inference.backends import late_warnings
from napari_radcnn.inference.cost.costs import blending_budget
from napari_radcnn.inference.opening import open_shipped
from napari_radcnn.inference.patches.positions import patch_count
from napari_radcnn.inference.patches.stream import read_padded, run_patches
from napari_radcnn.inference.request import Request
from napari_radcnn.models.brain_structures.brain import ORIENTATION, Prepared
from napari_radcnn.models.brain_structures.network import CLASSES, OUTSIDE, TISSUES, build_network
from napari_radcnn.preprocessing import Reorient, resample
from napari_radcnn.progress import Monitor
from napari_radcnn.spec.patches import Sampling

if TYPE_CHECKING:
    from napari_radcnn.inference.backends.base import Predictor

#: The largest patch, three of which hold most brains; smaller brains get multiples of `_STEP`, so that few shapes are
#: compiled.
PATCH, _STEP = (64, 192, 160), 32
_OVERLAP = 0.25

Array = npt.NDArray[np.float32]


def softmax(logits: Array) -> Array:
    """Return probabilities of logits along the first axis."""
    power = np.exp(logits - logits.max(0))
    return np.asarray(power / power.sum(0))


def _sampling(shape: tuple[int, ...], mirrored: bool) -> Sampling:
    k, j, i = (min(most, -(-n // _STEP) * _STEP) for n, most in zip(shape, PATCH, strict=True))
    axes = (0,) if mirrored else ()  # of the network's orientation: left to right
    return Sampling((k, j, i), _OVERLAP, "monai", "monai", padding_value=OUTSIDE, mirror_axes=axes)


class Answer:
    """One run of the network on a brain.

    Parameters
    ----------
    request : Request
        Its option ``mirrored`` says whether the mirror image is asked, too.
    prepared : Prepared
        The brain.
    monitor : Monitor
        Of the run.
    shares_of : callable
        Makes the probabilities of the classes, ``(classes, k, j, i)``, of the network's logits.
    classes : int
        How many there are.

    Attributes
    ----------
    device, precision : str
        Where and how it was computed.
    warnings : list of str
        What must be said of it.
    facts : dict
        For the manifest.
    opening_seconds : float
        What opening the network took.
    """

    def __init__(
        self,
        request: Request,
        prepared: Prepared,
        monitor: Monitor,
        shares_of: Callable[[Array], Array],
        classes: int,
    ) -> None:
        self._request, self._prepared, self._monitor = request, prepared, monitor
        self._shares_of, self._classes = shares_of, classes
        k, j, i = prepared.picture.shape
        self._shape: Shape = (k, j, i)
        self._sampling = _sampling(self._shape, request.options.mirrored)
        self.device = self.precision = ""
        self.warnings: list[str] = []
        self.facts: dict[str, Any] = {}
        self.opening_seconds = 0.0

    def shares(self) -> npt.NDArray[np.float16]:
        """Return the probability of each class, on the network's grid within the box around the brain."""
        self._monitor.total = patch_count(self._shape, self._sampling)
        predictor = self._open()
        try:
            shares = self._shares(predictor)
            self.warnings += late_warnings([predictor])
        finally:
            predictor.close()
        return shares

    def _read(self, box: Box) -> npt.NDArray[np.float32]:
        return self._prepared.picture[(None, *box)]

    def _open(self) -> Predictor:
        started = time.perf_counter()
        patch = self._sampling.patch
        k, j, i = (slice((n - p) // 2, (n - p) // 2 + p) for n, p in zip(self._shape, patch, strict=True))
        sample = read_padded(self._read, (k, j, i), self._shape, OUTSIDE)
        predictor, told = open_shipped(
            self._request, build_network, patch, self._monitor, channels=1, spatial_dims=3, sample=sample
        )
        self.warnings += told
        self.device, self.precision = predictor.device, predictor.precision
        self.facts = {
            "patches": self._monitor.total,
            "network_shape": list(self._shape),
            "backend": predictor.backend,
            "agreement_with_float32": predictor.agreement,
            "agreement_measured_on": predictor.measured_on,
        }
        self.opening_seconds = time.perf_counter() - started
        return predictor

    def _shares(self, predictor: Predictor) -> npt.NDArray[np.float16]:
        shares = np.zeros((self._classes, *self._shape), np.float16)
        stream = run_patches(
            [predictor],
            self._read,
            self._shape,
            self._sampling,
            classes=TISSUES + len(CLASSES),
            budget_bytes=blending_budget(),
            monitor=self._monitor,
        )
        done = 0
        for final, blend in stream:
            for start in range(done, final, _STEP):
                box = (slice(start, min(start + _STEP, final)), slice(0, self._shape[1]), slice(0, self._shape[2]))
                shares[(slice(None), *box)] = self._shares_of(np.array(blend.read(box)))
            done = final
            blend.release(final)
        return shares

    def placed_image(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return an image of the network's grid on the scan's."""
        crop, grid, upright = self._prepared.crop, self._prepared.grid, self._prepared.upright
        if grid is upright:
            placed = crop.invert(values, upright)
        else:
            small = grid.cropped([slice(*ends) for ends in crop.box])
            placed = resample(values, small, upright, interpolation="linear", antialias=False)
        return np.array(Reorient(ORIENTATION).invert(placed, self._request.volume.geometry), np.float32)

    def placed(self, shares: npt.NDArray[np.float16]) -> npt.NDArray[np.uint8]:
        """Return the most probable class of each voxel of the scan."""
        crop, grid, upright = self._prepared.crop, self._prepared.grid, self._prepared.upright
        labels = np.zeros(upright.shape, np.uint8)
        if grid is upright:
            labels = crop.invert(shares.argmax(0).astype(np.uint8), upright)
        else:
            best = np.zeros(upright.shape, np.float32)
            small = grid.cropped([slice(*ends) for ends in crop.box])
            for value in range(shares.shape[0]):
                share = resample(
                    shares[value].astype(np.float32), small, upright, interpolation="linear", antialias=False
                )
                labels[share > best] = value
                np.maximum(best, share, out=best)
        back = Reorient(ORIENTATION).invert(labels, self._request.volume.geometry)
        return np.ascontiguousarray(back)
