"""Which scan a layer belongs to: itself, or the one that its labels, findings or maps were made of."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from napari_radcnn.gui.layers.layers import METADATA_KEY, LayerData, is_ours

#: Where a layer keeps the identity of the scan's layer that it was made of, and whether it is an image of its own.
_SCAN, _IS_MAP = "radcnn_scan", "radcnn_is_map"


def identity(layer: Any) -> Hashable | None:
    """Return what tells a layer from all others, also where a plugin got it wrapped; None for no layer."""
    return None if layer is None else layer.unique_id  # type: ignore[no-any-return]


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
