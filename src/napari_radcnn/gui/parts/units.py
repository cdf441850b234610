"""Units of napari's layers, which are pint's."""

from __future__ import annotations

from typing import Any

#: The units that were asked for, by name.
_MM: dict[str, float | None] = {}


def in_mm(unit: Any) -> float | None:
    """Return how long a unit is, mm; None for one that is no length.

    pint takes a millisecond for it, and a layer is asked for its place at each move.
    """
    name = str(unit)
    if name not in _MM:
        _MM[name] = float((1.0 * unit).to("mm").magnitude) if unit.is_compatible_with("mm") else None
    return _MM[name]
