"""Which results would be lost: layers that were made here, and are not on the disk as they are now."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from napari_radcnn.gui.layers.belonging import is_map, says_scan
from napari_radcnn.gui.layers.layers import METADATA_KEY

_SAVED = "radcnn_saved"
#: Where a layer that is no result says itself whether what it shows would be lost, such as rulers.
_IS_UNSAVED = "radcnn_is_unsaved"


def state_of(layer: Any) -> int:
    """Return a number that changes when what would be written of a layer changes; of an image always the same."""
    from napari.layers import Labels, Points

    if isinstance(layer, Points):
        return zlib.crc32(layer.features.to_csv().encode())
    if isinstance(layer, Labels) and not layer.multiscale:
        return zlib.crc32(np.ascontiguousarray(layer.data).data)
    return 0


def note_saved(layer: Any, state: int) -> None:
    """Keep that a layer was written as it was when `state_of` gave `state`."""
    layer.metadata = {**layer.metadata, _SAVED: state}


def note_written(arguments: dict[str, Any], layer: Any) -> None:
    """Keep in the layer whose data a writer of napari's was given that it was written as it is.

    Parameters
    ----------
    arguments : dict
        What napari gave: it holds the layer's own metadata.
    layer : napari layer
        What was made of them.
    """
    arguments["metadata"][_SAVED] = state_of(layer)


def mark_unsaved(layer: Any, is_lost: bool) -> None:
    """Let a layer that is no result of a model say whether what it shows would be lost."""
    layer.metadata = {**layer.metadata, _IS_UNSAVED: is_lost}


def is_unsaved(layer: Any) -> bool:
    """Whether a layer is a result of a model or a session that is not written as it is now, or says so of itself.

    Maps that accompany a result, layers of a session, whose steps are on the disk, and labels that stay in their store
    do not count.
    """
    if _IS_UNSAVED in layer.metadata:
        return bool(layer.metadata[_IS_UNSAVED])
    kept = layer.metadata.get(METADATA_KEY)
    is_session = isinstance(kept, dict) and kept.get("is_session", False)
    if not says_scan(layer) or is_map(layer) or is_session or getattr(layer, "multiscale", False):
        return False
    saved = layer.metadata.get(_SAVED)
    return saved is None or saved != state_of(layer)


def unsaved(layers: Iterable[Any]) -> list[Any]:
    """Return the layers that would be lost."""
    return [layer for layer in layers if is_unsaved(layer)]
