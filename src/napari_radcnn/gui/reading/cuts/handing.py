"""The mouse over a further view, handed on to what listens to the viewer."""

from __future__ import annotations

import inspect
from typing import Any

#: Mouse callbacks of a viewer that serve its further views, too, are those of this package.
_OURS = "napari_radcnn"


def ours_of(callbacks: Any) -> list[Any]:
    """Return those of a viewer's callbacks that serve its further views."""
    return [each for each in list(callbacks) if str(getattr(each, "__module__", "")).startswith(_OURS)]


def hand_on(viewer: Any, model: Any, event: Any) -> list[Any]:
    """Tell what listens to a viewer's mouse of a button that goes down over another view.

    Parameters
    ----------
    viewer : napari viewer
        Whose callbacks are called.
    model : ViewerModel or what stands for one
        Of the view.
    event : mouse event
        Of the button.

    Returns
    -------
    list of generator
        What wants to hear of the rest of the drag; see `go_on`.
    """
    running = []
    for callback in ours_of(viewer.mouse_drag_callbacks):
        started = callback(model, event)
        if inspect.isgenerator(started):
            running.append(started)
    return go_on(running)


def go_on(running: list[Any]) -> list[Any]:
    """Tell of the next event of a drag, and return what wants to hear more."""
    return [each for each in running if next(each, _END) is not _END]


_END = object()
