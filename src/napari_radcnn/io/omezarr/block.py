"""Our own block in the attributes of a store: what OME-Zarr has no place for.

The affine above all: the format knows a scale and a translation, not how a grid lies in the patient. The block is
believed only where scale, translation and shape still say the same, since other programs copy attributes to images
that they cropped or resampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.errors import GeometryError
from napari_radcnn.geometry import Geometry
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Volume

#: The attribute, and the version of what is in it.
_KEY, _VERSION = "radcnn", 1
#: How far scale and translation may be from the block's affine: relative, and in mm.
_SCALE_TOLERANCE, _ORIGIN_TOLERANCE = 1e-4, 1e-2


@dataclass(frozen=True)
class Block:
    """What the block says; all defaults where there is none.

    Attributes
    ----------
    affine : (4, 4) array or None
        ``(k, j, i)`` to LPS mm.
    shape : tuple of int
        Of the grid the affine was written for.
    modality, units, is_inverted, padding_value, is_calibrated
        As in `VolumeMetadata`.
    is_color : bool
        Whether the three channels are red, green and blue of one picture.
    suvbw_factor : float or None
        As in `Volume`.
    """

    affine: npt.NDArray[np.float64] | None = None
    shape: tuple[int, ...] = ()
    modality: str = ""
    units: str = ""
    is_inverted: bool = False
    padding_value: float | None = None
    is_calibrated: bool = True
    is_color: bool = False
    suvbw_factor: float | None = None

    def agrees(self, shape: tuple[int, int, int], plain: npt.NDArray[np.float64], warnings: list[str]) -> bool:
        """Whether the block is of this grid: its shape, and the spacing and origin of the `plain` affine."""
        if self.affine is None:
            return False
        steps, own_steps = (np.linalg.norm(a[:3, :3], axis=0) for a in (plain, self.affine))
        if (
            self.shape == shape
            and np.allclose(own_steps, steps, rtol=_SCALE_TOLERANCE, atol=0)
            and np.abs(plain[:3, 3] - self.affine[:3, 3]).max() <= _ORIGIN_TOLERANCE
        ):
            return True
        warnings.append(
            "The store's affine (radcnn) contradicts its shape, scale or translation, which were used instead: "
            "another program changed the image. Directions in the patient are lost; left and right may be swapped."
        )
        return False


def read_block(attributes: Mapping[str, Any], warnings: list[str]) -> Block:
    """Return what the block says; one that cannot be used is ignored with a warning.

    Parameters
    ----------
    attributes : mapping
        Of the image's group.
    warnings : list of str
        Warnings for the user are appended.
    """
    found = attributes.get(_KEY)
    if found is None:
        return Block()
    if not isinstance(found, dict) or found.get("version") != _VERSION or found.get("frame") != "LPS":
        warnings.append("The RadCNN metadata (radcnn) of the store is damaged or from another version and was ignored.")
        return Block()
    try:
        affine = np.array(found.get("affine_lps"), float)
        shape = tuple(int(n) for n in found.get("shape", ()))
        Geometry((1, 1, 1), affine)
    except (TypeError, ValueError, OverflowError, GeometryError):
        warnings.append("The affine in the RadCNN metadata (radcnn) of the store is damaged and was ignored.")
        return Block()
    return Block(
        affine=affine,
        shape=shape,
        modality=_text(found.get("modality")),
        units=_text(found.get("units")),
        is_inverted=found.get("is_inverted") is True,
        padding_value=_number(found.get("padding_value")),
        is_calibrated=found.get("is_calibrated") is not False,
        is_color=found.get("is_color") is True,
        suvbw_factor=_number(found.get("suvbw_factor")),
    )


def is_own_block(attributes: Mapping[str, Any]) -> bool:
    """Whether attributes are those of a store that was written here."""
    found = attributes.get(_KEY)
    return isinstance(found, dict) and found.get("version") == _VERSION


def make_block(obj: Volume | LabelMap) -> dict[str, Any]:
    """Return the attributes to write: nothing that a person typed, no identifier of patient or study."""
    block: dict[str, Any] = {
        "version": _VERSION,
        "frame": "LPS",
        "affine_lps": obj.geometry.affine.tolist(),
        "shape": list(obj.geometry.shape),
    }
    if isinstance(obj, Volume):
        metadata = obj.metadata
        block |= {
            "modality": metadata.modality,
            "units": metadata.units,
            "is_inverted": metadata.is_inverted,
            "is_calibrated": metadata.is_calibrated,
            "is_color": obj.is_color,
        }
        for name, value in (("padding_value", metadata.padding_value), ("suvbw_factor", obj.suvbw_factor)):
            if value is not None and math.isfinite(value):
                block[name] = float(value)
    return {_KEY: block}


def plain_origin(geometry: Geometry) -> Sequence[float]:
    """Return the translation ``(z, y, x)`` that readers without our block get: the place of voxel 0."""
    return geometry.origin[::-1]


def _text(value: object) -> str:
    return value[:64] if isinstance(value, str) and value.isprintable() else ""


def _number(value: object) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None  # type: ignore[arg-type]
