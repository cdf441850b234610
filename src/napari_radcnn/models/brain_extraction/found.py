"""What a method of brain extraction returns, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.inference.request import Request

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found.

    Attributes
    ----------
    probabilities : (k, j, i) array of float32
        Of brain, on the scan's grid, 0..1.
    device, precision : str
        Where and how it was computed.
    facts : mapping
        For the manifest.
    warnings : tuple of str
        What must be said of it.
    opening_seconds : float
        What opening the network took.
    """

    probabilities: npt.NDArray[np.float32]
    device: str
    precision: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    opening_seconds: float = 0.0


def no_brain(request: Request) -> str:
    """Return the message where none is detected."""
    return (
        f"No brain was detected in '{request.volume.name}': '{request.spec.name}' expects an MR of a whole head. "
        "Check the scan's orientation and that it is the right series."
    )


def largest_part(mask: Mask) -> Mask:
    """Return the largest part of a mask whose voxels touch by face, edge or corner."""
    from scipy import ndimage

    parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def cleaned(mask: Mask) -> Mask:
    """Return the largest part of a mask, its inner holes filled."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(largest_part(mask)))
