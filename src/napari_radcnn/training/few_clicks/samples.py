"""What `few-clicks` learns from: cubes around objects of scans, of recolored maps, around lesions and made-up shapes.

Half of the cubes are chosen by the object's size, as the engine chooses them once it knows the size; the others are
closer or farther away, so that the network knows a border when it sees only that, and can say how large an object is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.geometry import Geometry
from napari_radcnn.interactive.engines.base import EngineRequest
from napari_radcnn.interactive.engines.region.engine import PROPOSING, RegionEngine
from napari_radcnn.interactive.prompts import Prompt
from napari_radcnn.progress import Monitor
from napari_radcnn.training.few_clicks.crops import Crop
from napari_radcnn.training.few_clicks.lesions import paint_lesion
from napari_radcnn.training.few_clicks.looks import Look, random_look, thick_slices
from napari_radcnn.training.few_clicks.scans import Box, Scan
from napari_radcnn.training.promptable.shapes import draw_labels, paint
from napari_radcnn.volume import Volume

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_KINDS = ("drawn", "recolored", "lesion", "regions", "shapes")
_SHARES = (0.58, 0.12, 0.15, 0.04, 0.11)
#: Share of cubes that are chosen by the object's size, and the object's largest side in them as a share of the cube's.
_FITTING, _FITS = 0.65, (0.4, 0.85)
#: The same in the other cubes.
_ANY = (0.125, 4.0)
#: mm between voxels at most, and as a share of the scan's finest spacing at least.
_COARSEST, _FINEST = 10.0, 0.5
#: Share of a cube that lies in the scan, at least: what is continued outside of it says nothing of any object.
_INSIDE = 0.6
#: Voxels of an object in the cube, at least, and as a share of the cube, at most.
_FEWEST, _MOST = 60, 0.85


class Sampler:
    """Makes cubes; equal seeds make equal ones.

    Parameters
    ----------
    scans : sequence of Scan
        What is shown.
    size : int
        Voxels along a side.
    seed : int
        Of everything random.
    """

    def __init__(self, scans: Sequence[Scan], size: int, seed: int) -> None:
        self._rng, self._size = np.random.default_rng(seed), size
        self._drawn = [scan for scan in scans if scan.is_drawn]
        self._regions = [scan for scan in scans if not scan.is_drawn]
        weights = np.array([scan.weight for scan in self._drawn])
        self._weights = weights / weights.sum()
        self._region = RegionEngine(limits=PROPOSING)

    def make(self) -> Crop:
        """Return a cube."""
        while True:
            kind = _KINDS[int(self._rng.choice(len(_KINDS), p=_SHARES))]
            crop = self._shape() if kind == "shapes" else self._of_scan(kind)
            if crop is not None:
                return crop

    def _of_scan(self, kind: str) -> Crop | None:
        rng = self._rng
        is_drawn = kind in ("drawn", "recolored") or (kind == "lesion" and rng.random() < 0.5)
        if is_drawn:
            scan = self._drawn[int(rng.choice(len(self._drawn), p=self._weights))]
        else:
            scan = self._regions[int(rng.integers(len(self._regions)))]
        value, box = scan.objects[int(rng.integers(len(scan.objects)))]
        is_fit = bool(rng.random() < _FITTING)
        low, high = _FITS if is_fit else _ANY
        wanted = float(np.exp(rng.uniform(np.log(low), np.log(high)))) * self._size
        largest = max((e.stop - e.start) * s for e, s in zip(box, scan.spacing, strict=True))
        if kind == "lesion":
            largest = float(np.exp(rng.uniform(np.log(5), np.log(70))))
            wanted = min(wanted, 0.9 * self._size)
        finest = float(scan.spacing.min())
        zoom = float(np.clip(largest / wanted, _FINEST * finest, max(_COARSEST, finest)))
        extent = largest / zoom
        middle = self._middle(scan, value, box, zoom, is_whole=extent < self._size)
        look = random_look(rng, scan, middle, zoom, self._size)
        if look.inside.mean() < _INSIDE:
            return None
        picture, target = look.picture(), look.target(value)
        if kind == "lesion":
            most = 0.35 * (scan.high - scan.low)
            picture, target = paint_lesion(rng, picture, extent, most)
        elif kind == "recolored":
            picture = self._recolored(look, target)
        elif kind == "regions" and not _stands_out(picture, target):
            return None
        scale = (scan.low, scan.high) if kind != "recolored" else (0.0, 1000.0)
        return self._finished(picture, target & look.inside, look.inside, scale, zoom, extent, is_fit)

    def _middle(self, scan: Scan, value: int, box: Box, zoom: float, *, is_whole: bool) -> npt.NDArray[np.float64]:
        """Return where a cube lies: around the object or a place in it, at its border where it does not fit."""
        rng = self._rng
        start = np.array([extent.start for extent in box], float)
        if is_whole and rng.random() < 0.45:
            middle = np.array([(extent.start + extent.stop - 1) / 2 for extent in box])
        else:
            inside = scan.labels[box] == value
            places = inside
            if not is_whole and rng.random() < 0.75:
                places = inside & ~ndimage.binary_erosion(inside)
            elif inside.size < 500_000 and rng.random() < 0.7:  # where one would click
                depth = ndimage.distance_transform_edt(np.pad(inside, 1), scan.spacing)[1:-1, 1:-1, 1:-1]
                places = depth >= 0.7 * depth.max()
            found = np.flatnonzero(places)
            middle = start + np.unravel_index(int(found[int(rng.integers(len(found)))]), places.shape)
        return middle + rng.normal(0, 1.5 if rng.random() < 0.7 else 4.0, 3) * zoom / scan.spacing

    def _recolored(self, look: Look, target: Mask) -> Array:
        """Return a picture in which every structure, and every tissue in it, has a random value."""
        rng = self._rng
        picture = look.picture()
        steps = np.clip(picture / np.float32(180) + np.float32(rng.random()), -8, 8).astype(np.int32) + 8
        labels = look.labels().astype(np.int32) * 17 + steps
        labels[target] = -1
        _, numbers = np.unique(labels, return_inverse=True)
        return paint(rng, numbers.reshape(labels.shape).astype(np.uint16)) * np.float32(1000)

    def _shape(self) -> Crop | None:
        rng, size = self._rng, self._size
        labels, drawn = draw_labels(rng, size)
        if not drawn:
            return None
        target = labels == drawn[int(rng.integers(len(drawn)))]
        where = np.argwhere(target)
        extent = float((where.max(0) - where.min(0) + 1).max())
        picture = paint(rng, labels) * np.float32(1000)
        is_fit = _FITS[0] <= extent / size <= _FITS[1]
        zoom = float(np.exp(rng.uniform(np.log(0.5), np.log(5))))
        return self._finished(picture, target, np.ones_like(target), (0.0, 1000.0), zoom, extent, is_fit)

    def _finished(
        self,
        picture: Array,
        target: Mask,
        inside: Mask,
        scale: tuple[float, float],
        zoom: float,
        extent: float,
        is_fit: bool,
    ) -> Crop | None:
        rng = self._rng
        count = int(np.count_nonzero(target))
        if count < _FEWEST or count > _MOST * target.size:
            return None
        if rng.random() < 0.3:
            picture = thick_slices(rng, picture)
        elif rng.random() < 0.2:
            picture = ndimage.gaussian_filter(picture, rng.uniform(0.3, 1.2))
        click = self._click(target)
        proposal = self._proposal(picture, click, zoom)
        return Crop(picture, target, proposal, inside, click, *scale, zoom, extent, is_fit)

    def _click(self, target: Mask) -> npt.NDArray[np.int64]:
        """Return where one would click first: often the deepest place of an object, never far from it."""
        rng = self._rng
        depth = ndimage.distance_transform_edt(np.pad(target, 1))[1:-1, 1:-1, 1:-1]
        if rng.random() < 0.6:
            at = int(np.argmax(depth + 1e-3 * rng.random(depth.shape)))
        else:
            weights = (depth**2).ravel()
            at = int(rng.choice(weights.size, p=weights / weights.sum()))
        return np.array(np.unravel_index(at, target.shape), np.int64)

    def _proposal(self, picture: Array, click: npt.NDArray[np.int64], zoom: float) -> Mask:
        geometry = Geometry(picture.shape, np.diag([zoom, zoom, zoom, 1.0]))
        x, y, z = (float(v) for v in geometry.to_world(click))
        proposal = np.zeros(picture.shape, bool)
        request = EngineRequest(Volume(picture, geometry), (Prompt.point((x, y, z)),), proposal.copy())
        update = self._region.predict(request, Monitor(1))
        proposal[update.box] = update.mask
        return proposal


def _stands_out(picture: Array, target: Mask) -> bool:
    """Return whether a region differs from what surrounds it, so that its outline can be seen at all."""
    shell = ndimage.binary_dilation(target, iterations=2) & ~target
    if not shell.any() or not target.any():
        return False
    difference = abs(float(np.median(picture[target])) - float(np.median(picture[shell])))
    return difference > 0.8 * max(float(picture[target].std()), 15.0)
