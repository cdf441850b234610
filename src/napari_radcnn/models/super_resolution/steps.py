"""Steps between thin slices, made as large where a thick slice ends and the next begins as elsewhere.

In scans with thin slices they are equally large wherever a slab begins. Whatever is computed from thick slices changes
more between slabs than within them, most of all in noise, and shows a fine band along every slice. So the two thin
slices at such a place are moved towards each other by a share of their difference, the same one everywhere in a scan,
that makes the mean steps alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.models.super_resolution.through_plane import Array, ThroughPlane

#: Voxels that are looked at, about; the largest share, and how near it is found; what steps are even to.
_LOOKED_AT, _LARGEST, _NEAR, _EVEN = 2_000_000, 0.9, 1e-3, 0.015
#: Below this factor hardly two thin slices lie in one slab.
_LOWEST = 1.4
#: Slabs at either end that do not tell whether anything is to be done, for the spline is mirrored there, and that there
#: must be besides.
_ENDS, _FEWEST = 2, 3


def evened(slabs: ThroughPlane, thin: Array, share: float, thick: npt.NDArray[Any] | None) -> Array:
    """Return thin slices whose steps between slabs are smaller.

    Parameters
    ----------
    slabs : ThroughPlane
        Where they lie.
    thin : (thin_count, ...) array of float32
        The slices; not changed.
    share : float
        Of each such step that is taken away, 0..1.
    thick : (count, ...) array or None
        What the mean of each slab stays, where slabs divide evenly.
    """
    begins = slabs.begins()
    moved = thin.copy()
    half = (np.float32(share / 2)) * (thin[begins] - thin[begins - 1])
    moved[begins - 1] += half
    moved[begins] -= half
    return moved if thick is None else slabs.with_means(moved, thick)


def even_share(slabs: ThroughPlane, thin: Array, thick: npt.NDArray[Any] | None) -> float:
    """Return the share for `evened` by which steps between slabs become as large as those within, 0 where they are.

    Parameters
    ----------
    slabs, thin, thick
        As in `evened`; thin is ``(thin_count, first, second)``.
    """
    every = max(1, round(np.sqrt(thin.size / _LOOKED_AT)))
    some = thin[:, ::every, ::every]
    means = None if thick is None else thick[:, ::every, ::every]

    def is_even(share: float, ends: int = 0) -> bool:
        at_border, within = mean_steps(slabs, evened(slabs, some, share, means), ends)
        return bool(at_border <= within * (1 + _EVEN))

    if slabs.count < 2 * _ENDS + _FEWEST or slabs.factor < _LOWEST or is_even(0.0, _ENDS):
        return 0.0
    low, high = 0.0, _LARGEST
    while high - low > _NEAR:
        middle = (low + high) / 2
        low, high = (low, middle) if is_even(middle) else (middle, high)
    return high


def mean_steps(slabs: ThroughPlane, thin: Array, ends: int = 0) -> tuple[float, float]:
    """Return the mean absolute difference of neighboring thin slices between slabs, and within; without end slabs."""
    position = slabs.positions()
    is_border = np.zeros(len(position), bool)
    is_border[slabs.begins()] = True
    counts = (position > ends - 0.5) & (position < slabs.count - 0.5 - ends)
    counts[0] = False
    steps = np.asarray(np.nanmean(np.abs(np.diff(thin, axis=0, prepend=thin[:1])), (1, 2), dtype=np.float64))
    return float(steps[counts & is_border].mean()), float(steps[counts & ~is_border].mean())
