"""Points, shapes and the like in another view: a copy that is brought up to date in place where napari allows it.

To take a layer out of a list and put another one in costs napari a third of a second, most of it garbage collection.
"""

from __future__ import annotations

from typing import Any

#: Of points, what is set after their places; the first ones are needed for those that follow.
_OF_POINTS = (
    "features",
    "border_width_is_relative",
    "symbol",
    "size",
    "border_width",
    "border_color",
    "face_color",
    "shown",
    "shading",
    "antialiasing",
    "canvas_size_limits",
)
_OF_SHAPES = ("shape_type", "edge_width", "edge_color", "face_color", "z_index")


def copy_of(layer: Any) -> Any:
    """Return a layer with the same content, which shares the array where it has one; it cannot be edited."""
    from napari.layers import Layer

    clone = Layer.create(*layer.as_layer_data_tuple())
    clone.editable = False
    return clone


def bring_up_to_date(clone: Any, layer: Any) -> bool:
    """Give a copy what its layer has now; return False where it has to be made anew.

    Parameters
    ----------
    clone : napari layer
        A copy of `layer`, which may have changed since.
    layer : napari layer
        Of points, shapes, vectors, tracks or a surface.
    """
    from napari.layers import Points, Shapes

    if clone.ndim != layer.ndim:
        return False
    data, state, _ = layer.as_layer_data_tuple()
    if isinstance(clone, Points):
        clone.data = data
        for name in _OF_POINTS if len(data) else ():
            setattr(clone, name, state[name])
    elif isinstance(clone, Shapes):
        clone.data = []
        if len(data):
            clone.add(data, **{name: state[name] for name in _OF_SHAPES})
        clone.features = state["features"]
    else:
        return False
    clone.text = state["text"]
    clone.selected_data = set()
    clone.editable = False
    return True
