"""What a user must know before relying on a layer, as notifications."""

from __future__ import annotations

from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, RECOGNIZED, is_ours


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
    if kept.get(RECOGNIZED):
        show_info(f"{name} holds few whole numbers in areas: opened as labels. The page Scans can show it as a scan.")
    place = kept.get("place")
    if place is not None and place.axis_map is None:
        show_info(
            f"{name} is oblique: it is shown on an upright grid, but models run and results are saved on its own grid."
        )
