"""Layers into a viewer, and to the user what must be known about them."""

from __future__ import annotations

from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData, is_ours
from napari_radcnn.gui.layers.view import watch


def add_to_viewer(viewer: Any, data: LayerData) -> Any:
    """Add a layer, with the radiological view if it is the first of ours, and return it."""
    from napari.layers import Layer

    watch(viewer)
    layer = viewer.add_layer(Layer.create(*data))
    tell(layer)
    return layer


def tell(layer: Any) -> None:
    """Show as notifications what the user must know before relying on a layer of ours."""
    if is_ours(layer):
        tell_of(layer.name, layer.metadata)


def tell_of(name: str, metadata: dict[str, Any]) -> None:
    """Show the notifications of a layer that is not made yet."""
    from napari.utils.notifications import show_info, show_warning

    kept = metadata[METADATA_KEY]
    for warning in kept["warnings"]:
        show_warning(f"{name}: {warning}")
    if kept["place"].axis_map is None:
        show_info(
            f"{name} is oblique: it is shown on an upright grid, but models run and results are saved on its own grid."
        )
