"""The organ that was clicked, or that a box was drawn around, as a network that knows the body outlines it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_radcnn.interactive.engines.few_clicks.marks import Marks
from napari_radcnn.interactive.engines.lattice import Array, Floats, Lattice, Mask, carried
from napari_radcnn.interactive.engines.region.boxed import in_common
from napari_radcnn.interactive.update import MaskUpdate
from napari_radcnn.progress import Monitor
from napari_radcnn.volume import Volume

#: Share of a class from which on a click is in it without doubt.
_SURE = 0.6
#: How much the box around an organ and a drawn one have in common at least, as a part of the box around both.
_FILLS = 0.6


@dataclass(frozen=True, eq=False)
class Shares:
    """What every voxel around a place may be.

    Attributes
    ----------
    lattice : Lattice
        Along the scan's axes.
    values : (classes, k, j, i) array of float32
        Probabilities on `lattice`; the first class is whatever has no name.
    trusted : (classes,) array of bool
        Classes that are outlined well enough to begin with.
    """

    lattice: Lattice
    values: Array
    trusted: Mask


class Anatomist(Protocol):
    """A network that knows the body: `napari_radcnn.models.ct_organs.around.OrgansAround`."""

    def prepare(self, volume: Volume, monitor: Monitor) -> None:
        """Take a scan, and do what is done once for it."""
        ...

    def around(self, place: Floats, monitor: Monitor) -> Shares | None:
        """Return what the voxels around an index in the scan may be; None for a scan that the network is not for."""
        ...

    def close(self) -> None:
        """Give its memory back."""
        ...


class Anatomy:
    """What the voxels around an object may be.

    Parameters
    ----------
    shares : Shares or None
        None where nothing is known.
    """

    def __init__(self, shares: Shares | None) -> None:
        self._shares = shares

    def organ(self, marks: Marks, shape: tuple[int, int, int]) -> MaskUpdate | None:
        """Return the organ that the first positive mark lies in; None where that is not known well.

        Parameters
        ----------
        marks : Marks
            All that was pointed at.
        shape : tuple of int
            Of the scan.
        """
        shares = self._shares
        mark = next((mark for mark in marks.all if mark.positive), None)
        if shares is None or mark is None:
            return None
        at = _voxels(shares.lattice, mark.middle[None])
        if not len(at):
            return None
        place = tuple(at[0])
        here = shares.values[(slice(None), *place)]
        likely = int(here.argmax())
        if not shares.trusted[likely] or here[likely] < _SURE:
            return None
        pieces, _ = ndimage.label(shares.values.argmax(0) == likely)
        return _on_scan(shares, likely, pieces == pieces[place], shape)

    def boxed(self, box: Floats, shape: tuple[int, int, int]) -> MaskUpdate | None:
        """Return the organ that a box was drawn around; None where none fills it.

        Parameters
        ----------
        box : (2, 3) array of float
            Index in the scan of its first voxel, and of the one past the last.
        shape : tuple of int
            Of the scan.
        """
        shares = self._shares
        if shares is None:
            return None
        low, high = shares.lattice.index(box - 0.5) + 0.5
        likeliest = shares.values.argmax(0)
        best, chosen = _FILLS, None
        for number in np.flatnonzero(shares.trusted):
            pieces, _ = ndimage.label(likeliest == number)
            for n, place in enumerate(ndimage.find_objects(pieces), 1):
                start, stop = (np.array([getattr(e, end) for e in place], float) for end in ("start", "stop"))
                common = float(in_common(start, stop, low, high))
                if common >= best:
                    best, chosen = common, (int(number), pieces == n)
        return None if chosen is None else _on_scan(shares, *chosen, shape)


def _voxels(lattice: Lattice, at: Floats) -> npt.NDArray[np.int64]:
    """Return the voxels (n, 3) nearest to indices (m, 3) in the scan, without those beyond the voxel past the last."""
    places = np.rint(lattice.index(at)).astype(np.int64)
    top = np.array(lattice.shape)
    places = places[((places >= -1) & (places <= top)).all(1)]
    return np.clip(places, 0, top - 1)


def _on_scan(shares: Shares, number: int, piece: Mask, shape: tuple[int, int, int]) -> MaskUpdate:
    """Return a piece of what is most likely of a class on the scan's own grid."""
    where = np.argwhere(piece)
    low = np.maximum(np.floor(shares.lattice.back(where.min(0) - 1)), 0).astype(int)
    high = np.minimum(np.ceil(shares.lattice.back(where.max(0) + 1)) + 1, shape).astype(int)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    near = ndimage.binary_dilation(piece)
    chance = carried(np.where(near, shares.values[number], 0.0), shares.lattice, Lattice.fine((k, j, i)), outside=0.0)
    return MaskUpdate((k, j, i), chance > 0.5)
