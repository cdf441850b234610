"""The trivial rivals of the interactive engines: what an afternoon brings, in a crop around what was clicked.

An engine that is not ahead of them is not worth its name. They take clicks only, and know nothing of any other scan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from skimage.segmentation import random_walker

from napari_radcnn.geometry import Box
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.lattice import Lattice, carried
from napari_radcnn.interactive.update import MaskUpdate, box_of
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Margin around clicks and the object so far: mm, and as a share of their largest side; voxels of the crop, were it a
#: cube.
_LEAST, _MARGIN, _MOST = 30.0, 0.5, 56
#: How strongly the random walker minds edges, of an image with a standard deviation of 1.
_BETA = 130.0
#: Confidence-connected region growing: standard deviations around the mean, and how often both are taken anew.
_MULTIPLIER, _ITERATIONS = 2.0, 2
#: Sweeps of GrowCut at most.
_SWEEPS = 150


@dataclass(frozen=True, eq=False)
class _Crop:
    """What was clicked, and the scan around it."""

    box: Box
    lattice: Lattice
    image: Array
    spacing: npt.NDArray[np.float64]
    positive: npt.NDArray[np.int64]
    negative: npt.NDArray[np.int64]

    @classmethod
    def of(cls, request: EngineRequest) -> _Crop:
        geometry = request.volume.geometry
        spacing = np.asarray(geometry.spacing)
        places = {sign: _clicks(request, positive=sign) for sign in (True, False)}
        low, high = places[True].min(0), places[True].max(0) + 1
        current = box_of(request.current)
        if current is not None:
            low = np.minimum(low, [extent.start for extent in current])
            high = np.maximum(high, [extent.stop for extent in current])
        margin = max(_LEAST, _MARGIN * float(((high - low) * spacing).max()))
        start = np.maximum(np.floor(low - margin / spacing), 0).astype(int)
        stop = np.minimum(np.ceil(high + margin / spacing), geometry.shape).astype(int)
        k, j, i = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        lattice = Lattice.over((k, j, i), spacing.tolist(), _MOST)
        image = carried(request.volume.array, Lattice.whole(geometry.shape), lattice)
        scaled = (image - image.mean()) / max(float(image.std()), 1e-6)
        return cls(
            (k, j, i),
            lattice,
            scaled.astype(np.float32),
            spacing * lattice.steps,
            lattice.voxels(places[True]),
            lattice.voxels(places[False]),
        )

    def seeds(self) -> npt.NDArray[np.int32]:
        """Return 1 at positive clicks, 2 at negative ones and on the faces of the crop."""
        seeds = np.zeros(self.image.shape, np.int32)
        for axis in range(3):
            if seeds.shape[axis] > 2:
                np.moveaxis(seeds, axis, 0)[[0, -1]] = 2
        for places, label in ((self.negative, 2), (self.positive, 1)):
            for at in places:  # and the voxels beside it: a walk in three dimensions seldom meets a single one
                seeds[tuple(slice(max(0, n - 1), n + 2) for n in at)] = label
        seeds[tuple(self.negative.T)] = 2
        seeds[tuple(self.positive.T)] = 1
        return seeds

    def update(self, mask: Mask) -> MaskUpdate:
        """Return a mask of the crop on the scan's voxels: the pieces with a positive click."""
        pieces, _ = ndimage.label(mask)
        kept = np.unique(pieces[tuple(self.positive.T)])
        mask = np.isin(pieces, kept[kept > 0])
        k, j, i = self.box
        target = Lattice(
            (float(k.start), float(j.start), float(i.start)),
            (1.0, 1.0, 1.0),
            (k.stop - k.start, j.stop - j.start, i.stop - i.start),
        )
        return MaskUpdate(self.box, np.asarray(carried(mask, self.lattice, target) > 0.5))


def _clicks(request: EngineRequest, *, positive: bool) -> npt.NDArray[np.float64]:
    points = [prompt.points[0] for prompt in request.prompts if prompt.positive == positive]
    return np.asarray(request.volume.geometry.to_index(np.array(points).reshape(-1, 3)), float)


class _Rival:
    """An `Engine` without a network."""

    name = ""

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Nothing is slow the first time."""

    def predict(self, request: EngineRequest, monitor: Monitor) -> MaskUpdate:
        """Return the object's mask in the crop."""
        monitor.check()
        crop = _Crop.of(request)
        return crop.update(self.segment(crop))

    def segment(self, crop: _Crop) -> Mask:
        """Return the object's mask on the crop's own grid."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is kept."""


class RandomWalker(_Rival):
    """scikit-image's random walker (Grady 2006), with the faces of the crop as negative seeds."""

    name = "random-walker"

    def segment(self, crop: _Crop) -> Mask:
        """Return where a walk from a voxel reaches a positive click first."""
        relative = crop.spacing / crop.spacing.min()
        found = random_walker(crop.image, crop.seeds(), beta=_BETA, mode="cg_j", tol=1e-3, prob_tol=1, spacing=relative)
        return np.asarray(found == 1)


class ConfidenceConnected(_Rival):
    """ITK's region growing by mean and standard deviation, cut where a negative click is nearer than a positive one."""

    name = "confidence-connected"

    def segment(self, crop: _Crop) -> Mask:
        """Return the region grown from the positive clicks."""
        image = sitk.GetImageFromArray(crop.image)
        seeds = [tuple(int(n) for n in at[::-1]) for at in crop.positive]
        grown = sitk.ConfidenceConnected(image, seeds, _ITERATIONS, _MULTIPLIER, 1, 1)
        mask = sitk.GetArrayFromImage(grown) > 0
        mask[tuple(crop.positive.T)] = True
        if len(crop.negative):
            mask &= _distance(crop, crop.positive) <= _distance(crop, crop.negative)
        return np.asarray(mask)


def _distance(crop: _Crop, places: npt.NDArray[np.int64]) -> Array:
    away = np.ones(crop.image.shape, bool)
    away[tuple(places.T)] = False
    return np.asarray(ndimage.distance_transform_edt(away, crop.spacing), np.float32)


class GrowCut(_Rival):
    """A cellular automaton: every voxel is attacked by its neighbors (Vezhnevets and Konouchine 2005, GraphiCon)."""

    name = "grow-cut"

    def segment(self, crop: _Crop) -> Mask:
        """Return what the positive seeds have conquered when nothing changes any more."""
        labels = crop.seeds()
        strength = (labels > 0).astype(np.float32)
        widest = np.float32(max(float(np.ptp(crop.image)), 1e-6))
        for _ in range(_SWEEPS):
            changed = False
            for axis in range(3):
                keeps = 1 - np.abs(np.diff(crop.image, axis=axis)) / widest
                for to, of in (((1, None), (0, -1)), ((0, -1), (1, None))):
                    mine = tuple(slice(*to) if n == axis else slice(None) for n in range(3))
                    theirs = tuple(slice(*of) if n == axis else slice(None) for n in range(3))
                    attack = keeps * strength[theirs]
                    wins = attack > strength[mine] + 1e-6
                    if wins.any():
                        changed = True
                        labels[mine][wins] = labels[theirs][wins]
                        strength[mine][wins] = attack[wins]
            if not changed:
                break
        return np.asarray(labels == 1)


RIVALS = {rival.name: rival for rival in (RandomWalker, ConfidenceConnected, GrowCut)}
