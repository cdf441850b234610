"""How prompts look: + and - at their beginnings, full outlines for positive ones and dashed ones for negative ones.

They are points of one layer, of the same size on the screen at every zoom, so that they are seen in every slicing order
and on grids whose voxels are no cubes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_radcnn.gui.interactive.display import ShownLabels
from napari_radcnn.gui.layers.layers import METADATA_KEY
from napari_radcnn.interactive.prompts import Prompt

Color = tuple[float, float, float]

#: Size on the screen, pixels: of an outline's dots, and of the sign at its beginning.
_DOT_PIXELS, _SIGN_PIXELS = 5.0, 17.0
#: Distance of dots on the screen, pixels, and how many there are of one prompt at most.
_DOT_STEP, _MOST_DOTS = 4.0, 150
#: Dots and gaps of a negative outline, in dots.
_DASH, _GAP = 3, 3
_WHITE = (1.0, 1.0, 1.0)
#: How far the view may be zoomed out before signs are drawn smaller than they are meant to be.
_ZOOM_OUT = 1.5


@dataclass(frozen=True)
class Mark:
    """A prompt to be drawn.

    Attributes
    ----------
    prompt : Prompt
        What was said.
    color : tuple of float
        Of its object, red, green, blue in 0..1.
    is_waiting : bool
        Whether it is not answered yet.
    """

    prompt: Prompt
    color: Color
    is_waiting: bool = False


class MarkLayer:
    """The layer that shows prompts.

    Parameters
    ----------
    shown : ShownLabels
        Of the session.
    name : str
        Of the layer.
    """

    def __init__(self, shown: ShownLabels, name: str) -> None:
        from napari.layers import Points

        self._shown = shown
        self._before: tuple[Any, ...] = ()
        self.layer = Points(
            np.zeros((0, 3)),
            ndim=3,
            name=name,
            canvas_size_limits=(0, _SIGN_PIXELS),  # a smallest size would show napari's stand-in for no points at all
            border_width=0.15,
            border_color="black",  # with it colors are seen on bright tissue and on their own masks
            metadata={METADATA_KEY: {"is_session": True}},
            **shown.place.layer_arguments,
        )
        self.lock()

    def lock(self) -> None:
        """Keep napari's own tools out of it."""
        self.layer.editable = False

    def draw(self, marks: Sequence[Mark], pixel_mm: float) -> None:
        """Draw these prompts and no others; nothing is done where they are the same as before, at a similar zoom.

        Parameters
        ----------
        marks : sequence of Mark
            What is drawn, the last on top.
        pixel_mm : float
            The width of a screen pixel at the present zoom.
        """
        # At about the same zoom dots lie well as they are.
        now = (*marks, round(2 * math.log2(pixel_mm)))
        if now == self._before:
            return
        self._before = now
        places, signs, colors = [np.zeros((0, 3))], list[str](), [np.zeros((0, 3))]
        for mark in marks:
            line = outline(mark.prompt, pixel_mm * _DOT_STEP)
            places += [line, np.array([mark.prompt.points[0]])]
            signs += ["disc"] * len(line) + ["cross" if mark.prompt.positive else "hbar"]
            colors += [np.tile(mark.color, (len(line), 1)), np.array([_WHITE if mark.is_waiting else mark.color])]
        self._put(np.concatenate(places), signs, np.concatenate(colors), pixel_mm)

    def _put(self, positions: npt.NDArray[Any], signs: list[str], colors: npt.NDArray[Any], pixel_mm: float) -> None:
        layer = self.layer
        layer.data = self._shown.in_layer(positions) if len(positions) else np.zeros((0, 3))
        if len(positions):
            layer.symbol = signs
            # Signs are not larger on the screen than the layer's limit. None is much too large in the patient: "Home"
            # in the viewer fits all of it in.
            pixel = pixel_mm / float(np.mean(layer.scale))
            layer.size = np.where(np.array(signs) == "disc", _DOT_PIXELS, _SIGN_PIXELS * _ZOOM_OUT) * pixel
            layer.face_color = np.c_[colors, np.ones(len(colors))]
        layer.selected_data = set()
        self.lock()


def outline(prompt: Prompt, step: float) -> npt.NDArray[np.float64]:
    """Return dots along the outline of a prompt, ``(n, 3)`` LPS mm; none for a point.

    Parameters
    ----------
    prompt : Prompt
        Positive ones are drawn through, negative ones in dashes.
    step : float
        Distance of the dots, mm; larger where there would be too many.
    """
    lines = _lines(prompt)
    length = float(sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines))
    step = max(step, length / _MOST_DOTS)
    if not lines or step <= 0:
        return np.zeros((0, 3))
    dots = np.concatenate([_along(line, step) for line in lines])
    if prompt.positive:
        return dots
    return np.asarray(dots[np.arange(len(dots)) % (_DASH + _GAP) < _DASH])


def _lines(prompt: Prompt) -> list[npt.NDArray[np.float64]]:
    """Return the lines of an outline, each ``(n, 3)``."""
    points = np.array(prompt.points)
    if prompt.kind == "point":
        return []
    if prompt.kind == "scribble":
        return [points]
    if prompt.kind == "lasso":
        return [np.concatenate([points, points[:1]])]
    corner, sides = points[0], points[1:] - points[0]
    ends = list(product((0, 1), repeat=len(sides)))
    edges = [(a, b) for a in ends for b in ends if a < b and sum(np.abs(np.subtract(a, b))) == 1]
    return [np.array([corner + np.array(a) @ sides, corner + np.array(b) @ sides]) for a, b in edges]


def _along(line: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.float64]:
    """Return points on a line at equal distances."""
    lengths = np.concatenate([[0.0], np.cumsum([float(np.linalg.norm(b - a)) for a, b in pairwise(line)])])
    at = np.arange(0.0, lengths[-1] + step / 2, step)
    return np.stack([np.interp(at, lengths, line[:, axis]) for axis in range(3)], axis=-1)
