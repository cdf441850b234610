"""Which scan a layer belongs to: itself, or the one that its labels, findings or maps were made of."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable
from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData, is_ours

#: Where a layer keeps the identity of the scan's layer that it was made of, and whether it is an image of its own.
_SCAN, _IS_MAP = "radcnn_scan", "radcnn_is_map"
#: Layers that are hidden since another scan is shown, and not by the user.
HIDDEN: weakref.WeakSet[Any] = weakref.WeakSet()


def identity(layer: Any) -> Hashable | None:
    """Return what tells a layer from all others, also where a plugin got it wrapped; None for no layer."""
    return None if layer is None else layer.unique_id  # type: ignore[no-any-return]


def whose(layer: Any) -> tuple[str, str]:
    """Return what the file of a scan calls its series, and its patient with the date of the study; empty if unknown.

    People write names into both, so that no picture of a window is to show them.
    """
    volume = layer.metadata[METADATA_KEY].get("volume") if is_ours(layer) else None
    if volume is None:
        return "", ""
    about = volume.metadata
    return about.description, " · ".join(filter(None, (about.patient_name, about.patient_id, about.study_date)))


def made_of(data: LayerData, scan: Hashable | None, *, is_map: bool = False) -> LayerData:
    """Return the data of a layer that says of which scan it was made.

    Parameters
    ----------
    data : LayerData
        The layer.
    scan : Hashable or None
        `identity` of the scan's layer; None where it has none.
    is_map : bool
        Whether an image only accompanies a result, such as a map of evidence, and is no scan to be read.
    """
    array, arguments, kind = data
    if scan is None:
        return data
    return array, arguments | {"metadata": {**arguments["metadata"], _SCAN: scan, _IS_MAP: is_map}}, kind


def mark_made_of(layer: Any, scan: Any) -> None:
    """Let a layer say that it was made of the scan that another shows."""
    layer.metadata = {**layer.metadata, _SCAN: identity(scan), _IS_MAP: False}


def is_scan(layer: Any) -> bool:
    """Whether a layer is an image that can be read for itself: no labels, and no map that accompanies a result."""
    from napari.layers import Image

    return isinstance(layer, Image) and not is_map(layer)


def is_map(layer: Any) -> bool:
    """Whether a layer only accompanies a result, such as a map of evidence."""
    return bool(layer.metadata.get(_IS_MAP, False))


def made_for(layer: Any) -> Hashable | None:
    """Return the `identity` of the scan that a layer was made of, be it open or not; None where it does not say."""
    known: Hashable | None = layer.metadata.get(_SCAN)
    return known


def says_scan(layer: Any) -> bool:
    """Whether a layer says of which scan it was made, be it open or not."""
    return made_for(layer) is not None


def scan_of(layer: Any | None, layers: Iterable[Any]) -> Any | None:
    """Return the layer of the scan that a layer is, or was made of.

    Parameters
    ----------
    layer : napari layer or None
        Any.
    layers : iterable of napari layer
        Those of the viewer.

    Returns
    -------
    napari layer or None
        `layer` itself where it is an image. Of labels and findings the scan that they were made of, while it is open;
        where they do not say, the only scan on their grid. None where there is no such scan, or are several.
    """
    if layer is None or is_scan(layer):
        return layer
    scans = [other for other in layers if is_scan(other)]
    known = layer.metadata.get(_SCAN)
    if known is not None:
        return next((scan for scan in scans if identity(scan) == known), None)
    if not is_ours(layer):
        return None
    native = layer.metadata[METADATA_KEY]["place"].native
    on_grid = [scan for scan in scans if is_ours(scan) and scan.metadata[METADATA_KEY]["place"].native.is_close(native)]
    return on_grid[0] if len(on_grid) == 1 else None


def is_made_of(layer: Any | None, scan: Any | None) -> bool:
    """Whether a layer says that it was made of the scan that another shows."""
    return layer is not None and scan is not None and layer.metadata.get(_SCAN) == identity(scan)


def lies_on(layer: Any, scan: Any) -> bool:
    """Return whether a layer is no other scan but lies on one: its labels, its findings, a map, what is fused with it.

    Scans of two patients may have one grid: what says of which scan it was made lies on another only where both state
    the same space of one patient.
    """
    if is_made_of(layer, scan):
        return True
    if not is_ours(layer) or not is_ours(scan):
        return False
    volume = layer.metadata[METADATA_KEY].get("volume")
    if volume is not None and not volume.metadata.provenance:
        return False
    spaces = {_space_of(layer), _space_of(scan)}
    if len(spaces) > 1 and (says_scan(layer) or "" not in spaces):
        return False
    if spaces == {""} and says_scan(layer):
        return False
    one, two = (each.metadata[METADATA_KEY]["place"].native for each in (layer, scan))
    return bool(one.is_close(two))


def _space_of(layer: Any) -> str:
    """Return what names the space of the patient that a layer of ours lies in; empty where it does not say."""
    kept = layer.metadata[METADATA_KEY]
    found = kept.get("volume") or kept.get("labels")
    return "" if found is None else str(found.metadata.frame_of_reference_uid)


def hide_beside_another(layer: Any, layers: Iterable[Any]) -> bool:
    """Hide a layer that has just come if all scans that are seen are others than its own, and return whether.

    Such is a result whose scan was closed or hidden while a model ran: it would lie on another patient. It is shown
    again with its scan.
    """
    layer = getattr(layer, "__wrapped__", layer)  # what plugins get of napari, nothing keeps alive
    seen = [other for other in layers if other != layer and is_ours(other) and is_scan(other) and other.visible]
    if not seen or any(lies_on(layer, scan) for scan in seen):
        return False
    layer.visible = False
    HIDDEN.add(layer)
    return True
