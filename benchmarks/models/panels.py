"""The panels of which a picture of failures is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

#: Slices from below, as on a radiologist's screen: axes towards the head, the back and the patient's left.
AXES = "SPL"
#: Height of a panel in the picture and the space between two, in pixels.
_HEIGHT, _GAP = 220, 8
_WORD, _MISSING, _WRONG = (255, 230, 120), (86, 180, 233), (255, 140, 60)
_Floats = npt.NDArray[np.floating[Any]]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Panel:
    """A picture ``(rows, columns)`` in 0..1 with a word on it, and areas that are painted over it."""

    shades: _Floats
    word: str
    missing: _Mask | None = None
    wrong: _Mask | None = None

    def drawn(self) -> Image.Image:
        """Return the picture in the height of all panels."""
        rgb = np.repeat(np.clip(self.shades, 0, 1)[..., None] * 255, 3, axis=-1).astype(np.uint8)
        for area, color in ((self.missing, _MISSING), (self.wrong, _WRONG)):
            if area is not None:
                rgb[area] = (0.4 * rgb[area] + 0.6 * np.array(color)).astype(np.uint8)
        width = round(_HEIGHT * rgb.shape[1] / rgb.shape[0])
        picture = Image.fromarray(rgb).resize((width, _HEIGHT), Image.Resampling.BICUBIC)
        font = ImageFont.load_default(size=13)
        ImageDraw.Draw(picture).text((6, 4), self.word, fill=_WORD, font=font, stroke_width=2, stroke_fill=(0, 0, 0))
        return picture


#: The panels of a model's picture from left to right, and the text that says what they show.
Failures = tuple[list[Panel], str]


def write_panels(panels: list[Panel], path: Path) -> None:
    """Write panels side by side as a PNG."""
    pictures = [panel.drawn() for panel in panels]
    whole = Image.new("RGB", (sum(one.width + _GAP for one in pictures) - _GAP, _HEIGHT), (255, 255, 255))
    left = 0
    for one in pictures:
        whole.paste(one, (left, 0))
        left += one.width + _GAP
    path.parent.mkdir(exist_ok=True)
    whole.save(path, optimize=True)
