"""napari's own tools for labels in a further view: what is painted there is a step of the layer itself, with its undo.

A tool works in the plane of the layer it belongs to, so that a further view needs one of its own. It paints in the same
array; when a stroke ends, its voxels are set back and set again by way of the layer, which keeps the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: Taken over from the layer as they change, by the names of napari's events.
_SETTINGS = ("mode", "n_edit_dimensions", "contiguous", "preserve_labels")
#: What a tool in a further view may change: the label that was picked, the size of the brush.
_CHOSEN = ("selected_label", "brush_size")


class Tool:
    """The tools of a labels layer in another view.

    Parameters
    ----------
    layer : napari.layers.Labels
        What is painted in.
    clone : napari.layers.Labels
        What shows it in the other view.
    """

    def __init__(self, layer: Any, clone: Any) -> None:
        self._layer, self._clone = layer, clone
        for name in ("editable", *_SETTINGS):
            getattr(layer.events, name).connect(self._on_setting)
        for name in _CHOSEN:
            setattr(clone, name, getattr(layer, name))
            getattr(clone.events, name).connect(self._on_chosen)
        clone.events.paint.connect(self._on_stroke)
        self._on_setting()

    @property
    def is_working(self) -> bool:
        """Whether a button that goes down in the other view is the tool's."""
        return bool(self._clone.editable) and str(self._clone.mode) != "pan_zoom"

    def part(self) -> None:
        """Follow no more."""
        for emitter in self._layer.events.emitters.values():
            emitter.disconnect(self._on_setting)
        self._clone.events.paint.disconnect(self._on_stroke)
        for name in _CHOSEN:
            getattr(self._clone.events, name).disconnect(self._on_chosen)

    def _on_setting(self, _event: Any = None) -> None:
        layer, clone = self._layer, self._clone
        can_paint = bool(layer.editable) and clone.data is layer.data and isinstance(layer.data, np.ndarray)
        if clone.editable != can_paint:
            clone.editable = can_paint
        if not can_paint:
            return
        for name in _SETTINGS:
            if getattr(clone, name) != getattr(layer, name):
                setattr(clone, name, getattr(layer, name))

    def _on_chosen(self, event: Any) -> None:
        value = getattr(self._clone, event.type)
        if getattr(self._layer, event.type) != value:
            setattr(self._layer, event.type, value)

    def _on_stroke(self, event: Any) -> None:
        """Make a stroke of the clone one of the layer."""
        layer = self._layer
        array = layer.data
        if self._clone.data is not array:
            return
        steps = [voxels_of(step, array.shape) for step in event.value]
        where = np.unique(np.concatenate([places for places, _ in steps]))
        indices = np.unravel_index(where, array.shape)
        painted = array[indices]
        for places, before in reversed(steps):
            array[np.unravel_index(places, array.shape)] = before
        self._clone.editable = False  # with this napari forgets the steps of the clone, which nothing can undo there
        with layer.block_history():
            layer.data_setitem(indices, painted)
        self._on_setting()


def voxels_of(step: Any, shape: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any]]:
    """Return the voxels that a step of napari's history changed, as places in the flat array, and their values before.

    A step is indices, values before and after; since napari 0.10 also a box, a mask in it or None for all of it,
    values before and after.
    """
    if len(step) == 3:
        indices, before, _ = step
        places = np.ravel_multi_index(tuple(np.asarray(one) for one in indices), shape)
        return places.ravel(), np.broadcast_to(before, places.shape).ravel()
    box, mask, before, _ = step
    grid = np.ix_(*(np.arange(*part.indices(n)) for part, n in zip(box, shape, strict=True)))
    places = np.ravel_multi_index(np.broadcast_arrays(*grid), shape)
    chosen = places.ravel() if mask is None else places[np.asarray(mask, bool).reshape(places.shape)]
    return chosen, np.asarray(before).ravel()
