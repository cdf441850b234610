"""Colors of new objects."""

from __future__ import annotations

import colorsys

Color = tuple[float, float, float]

#: Told apart by color-blind people too: Okabe and Ito, Color Universal Design, 2008; without their gray and black.
_FIRST: tuple[Color, ...] = (
    (0.902, 0.624, 0.0),
    (0.337, 0.706, 0.914),
    (0.0, 0.620, 0.451),
    (0.941, 0.894, 0.259),
    (0.835, 0.369, 0.0),
    (0.800, 0.475, 0.655),
    (0.0, 0.447, 0.698),
)
#: Hues this far apart never come back to one that was used.
_GOLDEN = 0.618034


def object_color(value: int) -> Color:
    """Return the color of a new object, from its value alone."""
    if value <= len(_FIRST):
        return _FIRST[value - 1]
    red, green, blue = colorsys.hsv_to_rgb(value * _GOLDEN % 1.0, 0.55 + 0.35 * (value % 2), 0.95)
    return round(red, 3), round(green, 3), round(blue, 3)
