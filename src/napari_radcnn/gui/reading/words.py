"""What stands on and below the pictures, in words. Knows neither napari nor Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_radcnn.gui.layers.look import Look
from napari_radcnn.voi import VoiWindow
from napari_radcnn.volume import VolumeMetadata

#: Of each patient axis, x, y, z: towards positive and towards negative coordinates.
_SIDES = ("LR", "PA", "SI")
#: The plane across each of napari's world axes S, P, L, and the axes down and across the screen.
PLANES: dict[str, tuple[int, int, int]] = {"Axial": (0, 1, 2), "Coronal": (1, 0, 2), "Sagittal": (2, 0, 1)}
_NO_VALUE = "no value"


def number(value: float) -> str:
    """Return a value with the digits that can matter: no more than three after the point, four in all."""
    if not np.isfinite(value):
        return _NO_VALUE
    if value == 0 or abs(value) >= 1000 or float(value).is_integer():
        return f"{value:.0f}" if abs(value) < 1e7 else f"{value:.3g}"
    digits = int(np.clip(3 - np.floor(np.log10(abs(value))), 0, 3))
    shown = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return f"{value:.2g}" if shown in ("0", "-0") else shown


def position(world: Sequence[float]) -> str:
    """Return an LPS position in mm in words.

    Parameters
    ----------
    world : (x, y, z)
        LPS mm.

    Examples
    --------
    >>> position((166.22, -5.59, 146.0))
    'L 166.2 A 5.6 S 146.0'
    """
    return " ".join(along(axis, value) for axis, value in enumerate(world))


def along(axis: int, value: float) -> str:
    """Return a coordinate on one patient axis, 0 x, 1 y, 2 z, in words: ``"S 146.0"``."""
    rounded = round(float(value), 1)
    return f"{_SIDES[axis][rounded < 0]} {abs(rounded):.1f}"


def value_with_unit(value: Any, look: Look) -> str:
    """Return a value of a scan in the unit of its screen: ``"62 HU"``; of colors the three numbers."""
    values = np.atleast_1d(np.asarray(value))
    if values.size > 1:
        return " ".join(number(float(one)) for one in values[:3])
    written = number(look.written(float(values[0])))
    return written if written == _NO_VALUE or not look.unit else f"{written} {look.unit}"


def window(look: Look, shown: VoiWindow) -> str:
    """Return a window as it stands on the canvas: ``"Abdomen · W 400 C 40 HU"``."""
    written = look.written_window(shown)
    numbers = f"W {number(written.width)} C {number(written.center)} {look.unit}".strip()
    return " · ".join(part for part in (shown.name, numbers, _FUNCTIONS.get(shown.function, "")) if part)


def patient(metadata: VolumeMetadata) -> str:
    """Return the name and the ID of a patient: ``"Doe, Jane · 4711"``; empty where neither is known."""
    return " · ".join(part for part in (metadata.patient_name, metadata.patient_id) if part)


_FUNCTIONS = {"SIGMOID": "sigmoid", "TABLE": "table of the file"}


def plane(order: Sequence[int | None]) -> str:
    """Return the name of the plane whose axes, 0 S, 1 P, 2 L, the deepest first, are shown; empty where none is."""
    return next((name for name, axes in PLANES.items() if axes[0] == order[0] and set(axes) == set(order)), "")
