"""Where a nodule of the lung may lie: in the lungs, in their hila, and in what bulges into them from around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from napari_radcnn.models.ct_tissues.classes import find_organs
from napari_radcnn.models.ct_tissues.grids import Mask, Small, Spacing, erode, grow

#: mm: a bay of the lung's outline this wide, at most twice, counts as lung; and how far around it is looked.
CLOSED, AROUND = 12.0, 8.0


def find_region(
    hu: npt.NDArray[Any], spacing: Spacing, *, say: Callable[[str], None] = lambda _: None
) -> tuple[Small, Mask, Mask] | None:
    """Return the lungs of a scan, and the region around them.

    Dense lung is not looked for: it cannot be told from the flesh beside it everywhere, and a nodule in it cannot be
    seen.

    Parameters
    ----------
    hu : (k, j, i) array
        The scan, axes towards S, P, L.
    spacing : tuple of float
        mm along k, j, i.
    say : callable
        Told what is being looked for; may raise to stop.

    Returns
    -------
    small, lungs, region
        The scan at about 3 mm, and two masks on its grid; None where there is no lung with air.
    """
    organs = find_organs(hu, spacing, dense=False, say=say)
    if organs is None or not organs.lungs.any():
        return None
    small = organs.coarse
    wide = grow(organs.lungs, CLOSED + AROUND, small.spacing)
    return small, organs.lungs, erode(wide, CLOSED, small.spacing) | organs.lungs
