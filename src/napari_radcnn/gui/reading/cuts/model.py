"""What stands for a view whose plane is cut by us, where tools ask a view of napari for its axes and the mouse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class CutDims:
    """Of a view of a plane in any direction: two axes are on the screen, and a position in it needs all three.

    Attributes
    ----------
    ndim : int
        Of napari's world.
    point : tuple of float
        napari's world point that is shown.
    """

    ndim: int
    point: tuple[float, ...]
    ndisplay: int = 2
    not_displayed: tuple[int, ...] = ()

    @property
    def displayed(self) -> tuple[int, ...]:
        """The patient's axes: none of them lies alone along the screen."""
        return tuple(range(self.ndim - 3, self.ndim))


@dataclass(frozen=True)
class _Camera:
    zoom: float


@dataclass(frozen=True)
class _Scene:
    camera: _Camera


@dataclass(frozen=True, eq=False)
class CutModel:
    """Stands for the model of a view in callbacks of the mouse.

    Attributes
    ----------
    view : CutView
        That was pressed in.
    dims : CutDims
        See there.
    frame : (2, 3) array of float
        Unit vectors, LPS: down and to the right on the screen.
    zoom : float
        Pixels a mm.
    """

    view: Any
    dims: CutDims
    frame: npt.NDArray[np.float64]
    zoom: float
    is_cut: bool = True

    @property
    def scene(self) -> _Scene:
        """With a camera that knows the zoom."""
        return _Scene(_Camera(self.zoom))


@dataclass
class CutEvent:
    """What the mouse does over a view, as napari's events tell it.

    Attributes
    ----------
    type : str
        ``"mouse_press"``, ``"mouse_move"``, ``"mouse_release"``, ``"mouse_wheel"``.
    pos : (2,) array of float
        Pixels, right of and below the upper left corner.
    position : tuple of float
        napari's world point under the mouse.
    button : int
        1 left, 2 right, 3 middle.
    modifiers : tuple of str
        ``"Shift"``, ``"Control"``, ``"Alt"``.
    delta : (float, float)
        Notches of the wheel.
    handled : bool
        Whether somebody has taken it.
    """

    type: str
    pos: npt.NDArray[np.float64]
    position: tuple[float, ...]
    button: int
    modifiers: tuple[str, ...]
    delta: tuple[float, float] = (0.0, 0.0)
    handled: bool = field(default=False)
