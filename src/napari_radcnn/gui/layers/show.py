"""What a user must know before relying on a layer, on a page or as notifications."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any

from napari_radcnn.gui.layers.belonging import identity, made_for
from napari_radcnn.gui.layers.layers import METADATA_KEY, RECOGNIZED, is_ours

_log = logging.getLogger(__name__)


def warnings_of(layer: Any) -> tuple[str, ...]:
    """Return what warns of relying on a layer; nothing for a layer from elsewhere."""
    kept = layer.metadata.get(METADATA_KEY)
    return tuple(kept.get("warnings", ())) if isinstance(kept, dict) else ()


def remarks_of(metadata: dict[str, Any]) -> list[str]:
    """Return what a layer of ours is besides, in words that go on from its name."""
    kept, found = metadata[METADATA_KEY], []
    if kept.get(RECOGNIZED):
        found.append(
            "contains few different whole numbers, in connected areas: opened as labels. The page Scans can "
            "show it as a scan."
        )
    place = kept.get("place")
    if place is not None and place.axis_map is None:
        found.append(
            "is oblique: it is shown on an upright grid, but models run and results are saved on its own grid."
        )
    return found


def tell(layer: Any, others: Iterable[Any] = (), *, is_shown: bool = False) -> None:
    """Show as notifications what the user must know before relying on a layer of ours.

    Parameters
    ----------
    layer : napari layer
        Any.
    others : iterable of napari layer
        Those of the viewer: what was told of the same scan, or of another volume of its series, is not told again.
    is_shown : bool
        Whether it stands on a page that is seen: it then goes to the log only, where napari puts notifications, too.
    """
    if is_ours(layer):
        told = {line for other in others if _is_of_same_scan(layer, other) for line in warnings_of(other)}
        if is_shown:
            log_of(layer.name, layer.metadata, told)
        else:
            tell_of(layer.name, layer.metadata, told)


def tell_of(name: str, metadata: dict[str, Any], told: Collection[str] = ()) -> None:
    """Show the notifications of a layer that is not made yet, without warnings that were told."""
    from napari.utils.notifications import show_info, show_warning

    for warning in metadata[METADATA_KEY]["warnings"]:
        if warning not in told:
            show_warning(f"{name}: {warning}")
    for remark in remarks_of(metadata):
        show_info(f"{name} {remark}")


def log_of(name: str, metadata: dict[str, Any], told: Collection[str] = ()) -> None:
    """Write to the log what stands on a page of a layer, without warnings that were told."""
    for warning in metadata[METADATA_KEY]["warnings"]:
        if warning not in told:
            _log.warning("%s: %s", name, warning)


def _is_of_same_scan(layer: Any, other: Any) -> bool:
    """Return whether two layers are one scan and what was made of it, or volumes of one series."""
    if layer is other or not is_ours(other):
        return False
    if made_for(layer) is not None:
        return made_for(layer) in (identity(other), made_for(other))
    one, two = (each.metadata[METADATA_KEY].get("volume") for each in (layer, other))
    if one is None or two is None or not one.metadata.series_uid:
        return False
    return bool(one.metadata.series_uid == two.metadata.series_uid)
