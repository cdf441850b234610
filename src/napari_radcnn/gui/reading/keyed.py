"""The point that all views show, moved by keys within the plane that is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QWidget

#: Of each key: how far right of and below it the point goes on the screen.
_WAYS = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}
#: Alt and Ctrl with arrows are napari's: for its sliders and its list of layers.
_STEP, _STRIDE = "Shift+{}", "Ctrl+Shift+{}"
_STRIDE_STEPS = 10


def move_point(viewer: Any, right: int, down: int) -> None:
    """Move the point of a 2-D view by steps of its sliders, as seen on the screen; at the edges no further.

    Parameters
    ----------
    viewer : napari viewer
        With two axes on the screen; else nothing is done.
    right, down : int
        How many steps.
    """
    dims, sides = viewer.dims, viewer.scene.camera.orientation[1:]
    if dims.ndisplay != 2 or dims.ndim < 3:
        return
    for axis, side, n in zip(dims.displayed, sides, (down, right), strict=True):
        way = -n if str(side) in ("up", "left") else n
        last = dims.nsteps[axis] - 1
        if n:
            dims.set_current_step(axis, int(np.clip(dims.current_step[axis] + way, 0, last)))


def add_point_keys(views: QWidget, move: Callable[[int, int], None]) -> None:
    """Let Shift and an arrow call `move` with how far right and down, with Ctrl ten times as far.

    Parameters
    ----------
    views : QWidget
        Holds the canvases: only where one of them has the keyboard, since text is selected by the same keys.
    move : callable
        ``move(right, down)``.
    """
    for name, (right, down) in _WAYS.items():
        for pattern, n in ((_STEP, 1), (_STRIDE, _STRIDE_STEPS)):
            action = QAction(views)
            action.setShortcut(QKeySequence(pattern.format(name)))
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            action.triggered.connect(partial(_call, move, n * right, n * down))
            views.addAction(action)


def _call(move: Callable[[int, int], None], right: int, down: int, _checked: bool = False) -> None:
    move(right, down)
